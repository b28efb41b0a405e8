<?php
// PHP PDO with pdo_pgsql: native and emulated prepares, transactions, COPY out, cursors in SQL.
const LARGE = 'select id, account_id, occurred_at, duration_ms from events order by id limit 50000';

function open(string $user, ?string $password = null, array $options = []): PDO {
    return new PDO('pgsql:host=127.0.0.1;port=' . getenv('GATE_PORT') . ';dbname=demo', $user, $password ?? "demo-$user",
        $options + [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

function expect(string $what, mixed $got, mixed $wanted): void {
    if ($got !== $wanted) throw new Exception("$what: " . json_encode($got) . ' instead of ' . json_encode($wanted));
}

function expectError(callable $act, string $state): void {
    try { $act(); } catch (PDOException $error) {
        expect("SQLSTATE of '{$error->getMessage()}'", $error->errorInfo[0], $state);
        return;
    }
    throw new Exception("no error, expected $state");
}

function one(PDO $db, string $sql, array $values = []): mixed {
    $statement = $db->prepare($sql);
    $statement->execute($values);
    return $statement->fetchColumn();
}

$checks = [
    'connect' => function () { expect('user', one(open('ada'), 'select current_user'), 'ada'); },
    'tables' => function () {
        foreach (['ada' => 22, 'sam' => 22, 'iris' => 15] as $user => $count)
            expect("tables of $user", one(open($user), "select count(*) from information_schema.tables where table_schema = ?", ['public']), $count);
    },
    'describe' => function () {
        foreach (['ada' => 10, 'sam' => 8] as $user => $count) {
            $statement = open($user)->query('select * from employees limit 1');
            expect('columns', $statement->columnCount(), $count);
            expect('type', $statement->getColumnMeta(0)['native_type'], 'text');
            expect('table', $statement->getColumnMeta(0)['table'], 'employees');
        }
        return 'column count, getColumnMeta with the table';
    },
    'types' => function () {
        [$wrong, $cases] = [[], 0];
        $db = open('ada', null, [PDO::ATTR_STRINGIFY_FETCHES => true]);
        foreach (file(getenv('TYPES'), FILE_IGNORE_NEW_LINES) as $line) {
            if ($line === '' || $line[0] === '#') continue;
            [$name, $expression, $text] = explode("\t", $line);
            if ($name === 'null') $text = null;
            if ($name === 'bool') $text = '1';
            $cases++;
            try {
                $got = $db->query("select $expression")->fetchColumn();
                if (is_resource($got)) { $got = '\x' . bin2hex(stream_get_contents($got)); }
                elseif ($name === 'bytea' && !str_starts_with($got, '\x')) $got = '\x' . bin2hex($got);
            } catch (PDOException $error) { $got = $error->getMessage(); }
            if ($got !== $text) $wrong[] = "$name: " . json_encode($got);
        }
        if ($wrong) throw new Exception(implode('; ', $wrong));
        return "$cases types";
    },
    'parameters' => function () {
        foreach ([false, true] as $emulate) {
            $db = open('ada', null, [PDO::ATTR_EMULATE_PREPARES => $emulate]);
            $statement = $db->prepare('select id from accounts where id = :id and rating > :rating - 20');
            for ($n = 1; $n <= 12; $n++) {
                $id = sprintf('acc_%05d', $n);
                $statement->execute(['id' => $id, 'rating' => $n]);
                expect('id', $statement->fetchColumn(), $id);
                expect('quotes', one($db, 'select ?::text', ["o'$n"]), "o'$n");
                expect('null', one($db, 'select ?::text', [null]), null);
            }
        }
        return '3 statements, 12 executions each, native and emulated';
    },
    'errors' => function () {
        $db = open('ada');
        foreach (['select * from no_such_table' => '42P01', 'select no_such from regions' => '42703', 'selec 1' => '42601', 'select 1/0' => '22012'] as $sql => $state)
            expectError(fn () => $db->query($sql)->fetchAll(), $state);
        expect('after the errors', one($db, 'select 1'), 1);
        try { open('ada', 'wrong'); } catch (PDOException $error) { return; }
        throw new Exception('a wrong password was accepted');
    },
    'transactions' => function () {
        $db = open('ada');
        $db->beginTransaction();
        $db->exec('savepoint a');
        expectError(fn () => $db->query('select 1/0')->fetchAll(), '22012');
        $db->exec('rollback to a');
        expect('after the savepoint', one($db, 'select count(*) from regions'), 4);
        $db->commit();
        expectError(fn () => $db->exec("insert into regions (id) values ('x')"), '0A000');
        return 'writes are refused with 0A000: the gate reads';
    },
    'fetch' => function () {
        $db = open('ada');
        $db->beginTransaction();
        $cursor = $db->prepare(LARGE, [PDO::ATTR_CURSOR => PDO::CURSOR_FWDONLY]);
        $db->exec('declare large cursor for ' . LARGE);
        for ($count = 0; $rows = $db->query('fetch 1000 from large')->fetchAll(); $count += count($rows));
        expect('rows', $count, 50000);
        $db->commit();
        return 'cursor in SQL, 1000 at a time';
    },
    'policy' => function () {
        foreach (['ada' => 20000, 'sam' => 2157] as $user => $count) expect("accounts of $user", one(open($user), 'select count(*) from accounts'), $count);
        foreach (['salary from employees', 'unit_cost from products', 'credit_limit from accounts', 'margin_percent from opportunities'] as $what)
            expectError(fn () => open('sam')->query("select $what")->fetchAll(), '42703');
    },
    'own' => function () {
        expect('COPY', open('ada')->pgsqlCopyToArray('(select id from regions order by id)'), ["amer\n", "apac\n", "emea\n", "latam\n"]);
        return 'COPY out';
    },
];
echo "client\tPHP PDO\t", PHP_VERSION, "\n";
foreach (['connect', 'tables', 'describe', 'types', 'parameters', 'errors', 'cancel', 'transactions', 'fetch', 'policy', 'own'] as $name) {
    if (!isset($checks[$name])) { echo "$name\tn/a\t\n"; continue; }
    try { [$outcome, $note] = ['ok', $checks[$name]() ?? '']; } catch (Throwable $error) { [$outcome, $note] = ['FAIL', $error->getMessage()]; }
    echo "$name\t$outcome\t", preg_replace('/\s+/', ' ', $note), "\n";
}
