# Perl DBI with DBD::Pg: placeholders (server-side), catalog methods, asynchronous cancel, COPY out.
use strict;
use warnings;
use DBI;

my $port = $ENV{GATE_PORT};
my $large = "select id, account_id, occurred_at, duration_ms from events order by id limit 50000";
my $slow = "select count(*) from events a join events b on a.duration_ms < b.duration_ms";

sub connect_as {
    my ($user, $password) = @_;
    return DBI->connect("dbi:Pg:host=127.0.0.1;port=$port;dbname=demo", $user, $password // "demo-$user",
        { RaiseError => 1, PrintError => 0, AutoCommit => 1 });
}

sub expect {
    my ($what, $got, $wanted) = @_;
    die "$what: '" . ($got // 'NULL') . "' instead of '" . ($wanted // 'NULL') . "'\n" if ($got // "\0") ne ($wanted // "\0");
}

sub expect_error {
    my ($act, $state) = @_;
    eval { $act->(); 1 } and die "no error, expected $state\n";
    expect("SQLSTATE of '$@'", $DBI::state, $state);
}

my %checks = (
    connect => sub { expect("user", connect_as('ada')->selectrow_array('select current_user'), 'ada') },
    tables => sub {
        for (['ada', 22], ['sam', 22], ['iris', 15]) {
            my @tables = connect_as($_->[0])->tables('', 'public', '%', 'TABLE,VIEW');
            expect("tables of $_->[0]", scalar @tables, $_->[1]);
        }
    },
    describe => sub {
        for (['ada', 10], ['sam', 8]) {
            my $db = connect_as($_->[0]);
            expect("columns", scalar @{ $db->column_info('', 'public', 'employees', '%')->fetchall_arrayref }, $_->[1]);
            expect("key", join(',', $db->primary_key('', 'public', 'accounts')), 'id');
            my $foreign = $db->foreign_key_info(undef, undef, undef, undef, 'public', 'contacts');
            expect("foreign keys", $foreign && @{ $foreign->fetchall_arrayref } > 0 ? 1 : 0, 1);
        }
        return "tables, column_info, primary_key, foreign_key_info";
    },
    types => sub {
        my ($db, @wrong, $cases) = (connect_as('ada'));
        $db->{pg_enable_utf8} = 0;
        $db->{pg_expand_array} = 0;
        open my $file, '<', $ENV{TYPES} or die $!;
        while (<$file>) {
            chomp;
            next if /^#/ or $_ eq '';
            my ($name, $expression, $text) = split /\t/, $_, -1;
            $cases++;
            $text = undef if $name eq 'null';
            $text = '1' if $name eq 'bool';
            $text = "\xde\xad\x00\xff" if $name eq 'bytea';
            my $got = eval { ($db->selectrow_array("select $expression"))[0] };
            $got = "error: $@" if $@;
            push @wrong, "$name: '" . ($got // 'NULL') . "'" if ($got // "\0") ne ($text // "\0");
        }
        die join('; ', @wrong) . "\n" if @wrong;
        return "$cases types";
    },
    parameters => sub {
        my $db = connect_as('ada');
        my $by_id = $db->prepare('select id from accounts where id = ?');
        my $echo = $db->prepare('select ?::int4 + 1, ?::text, ?::text');
        for my $n (1 .. 12) {
            my $id = sprintf 'acc_%05d', $n;
            expect('id', $db->selectrow_array($by_id, undef, $id), $id);
            my @row = $db->selectrow_array($echo, undef, $n, "o'$n", undef);
            expect('echo', join('|', $row[0], $row[1], defined $row[2] ? 1 : 0), join('|', $n + 1, "o'$n", 0));
            expect('any', $db->selectrow_array('select count(*) from regions where id = any(?)', undef, ['emea', 'amer']), 2);
        }
        return "3 statements, 12 executions each";
    },
    errors => sub {
        my $db = connect_as('ada');
        for (['select * from no_such_table', '42P01'], ['select no_such from regions', '42703'], ['selec 1', '42601'], ['select 1/0', '22012']) {
            my ($sql, $state) = @$_;
            expect_error(sub { $db->selectall_arrayref($sql) }, $state);
        }
        expect('after the errors', $db->selectrow_array('select 1'), 1);
        expect('ping', $db->ping, 1);
        eval { connect_as('ada', 'wrong') } and die "a wrong password was accepted\n";
    },
    cancel => sub {
        my $db = connect_as('ada');
        my $statement = $db->prepare($slow, { pg_async => 1 });
        $statement->execute;
        sleep 1;
        expect('cancelled', $db->pg_cancel ? 1 : 0, 1);
        expect('after the cancel', $db->selectrow_array('select 1'), 1);
    },
    transactions => sub {
        my $db = connect_as('ada');
        $db->begin_work;
        $db->pg_savepoint('a');
        expect_error(sub { $db->do('select 1/0') }, '22012');
        $db->pg_rollback_to('a');
        expect('after the savepoint', $db->selectrow_array('select count(*) from regions'), 4);
        $db->commit;
        expect_error(sub { $db->do("insert into regions (id) values ('x')") }, '0A000');
        return "writes are refused with 0A000: the gate reads";
    },
    fetch => sub {
        my $db = connect_as('ada');
        $db->begin_work;
        $db->do("declare large cursor for $large");
        my $count = 0;
        while (1) {
            my $rows = $db->selectall_arrayref('fetch 1000 from large');
            last unless @$rows;
            $count += @$rows;
        }
        $db->do('close large');
        $db->commit;
        expect('rows', $count, 50000);
        return "cursor in SQL, 1000 at a time";
    },
    policy => sub {
        expect('ada', connect_as('ada')->selectrow_array('select count(*) from accounts'), 20000);
        my $sam = connect_as('sam');
        expect('sam', $sam->selectrow_array('select count(*) from accounts'), 2157);
        for ('salary from employees', 'unit_cost from products', 'credit_limit from accounts', 'margin_percent from opportunities') {
            my $what = $_;
            expect_error(sub { $sam->selectall_arrayref("select $what") }, '42703');
        }
    },
    own => sub {
        my $db = connect_as('ada');
        $db->do('copy (select id from regions order by id) to stdout');
        my ($line, @lines);
        push @lines, $line while $db->pg_getcopydata(\$line) >= 0;
        expect('COPY', join('', @lines), "amer\napac\nemea\nlatam\n");
        return "COPY out";
    },
);

print "client\tPerl DBD::Pg\t$DBD::Pg::VERSION\n" if require DBD::Pg;
for my $name (qw(connect tables describe types parameters errors cancel transactions fetch policy own)) {
    my $note = eval { $checks{$name}->() };
    my $failed = $@;
    $_ = $failed ? $failed : ($note // ''), s/\s+/ /g for my $text = '';
    $text = $failed ? $failed : ($note && $note =~ /\D/ ? $note : '');
    $text =~ s/\s+/ /g;
    print "$name\t", ($failed ? 'FAIL' : 'ok'), "\t$text\n";
}
