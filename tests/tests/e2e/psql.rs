//! psql's own commands, as each user, against transcripts.

use querygate_tests::server::{DEMO_USERS, Variant, demo, golden, psql, psql_with};
use std::net::SocketAddr;

/// What psql asks the catalog for, and what a person types first.
const COMMANDS: [&str; 24] = [
    "\\conninfo",
    "\\d",
    "\\dt",
    "\\dt+",
    "\\d accounts",
    "\\d+ contacts",
    "\\d employees",
    "\\d open_cases",
    "\\d nothing_here",
    "\\dn",
    "\\dn+",
    "\\du",
    "\\l",
    "\\df",
    "\\dv",
    "\\di",
    "\\dT",
    "\\dp accounts",
    "\\dx",
    "\\ds",
    "\\sv open_cases",
    "\\x \\\\ SELECT id, name FROM regions ORDER BY id LIMIT 1",
    "\\gdesc",
    "SELECT id, name, salary FROM employees ORDER BY id LIMIT 2",
];

#[test]
fn psql_commands_print_what_the_transcripts_say() {
    let demo = demo();
    for user in DEMO_USERS {
        let mut transcript = String::new();
        for command in COMMANDS {
            let printed = psql(&demo.server, user, &["-c", command]);
            transcript.push_str(&format!("demo=> {command}\n{}\n", printed.both()));
        }
        let port = demo.server.postgres.port().to_string();
        golden(&format!("transcripts/psql-{user}.txt"), &transcript.replace(&port, "PORT"));
    }
}

#[test]
fn several_statements_in_one_text_run_until_the_first_error() {
    let server = &demo().server;
    let printed = psql(server, "sam", &["-At", "-c", "SELECT 1; SELECT 2; SELECT 1/0; SELECT 3"]);
    assert_eq!((printed.out.as_str(), printed.success), ("1\n2\n", false));
    assert!(printed.err.starts_with("ERROR:  22012: "), "{}", printed.err);
}

/// As PostgreSQL 15 does: an alias, a group, a prepared statement, a cursor and a savepoint are found by their cut names.
#[test]
fn long_names_are_cut_with_a_notice() {
    let (server, long, cut) = (&demo().server, "n".repeat(70), "n".repeat(63));
    let notice = format!("NOTICE:  42622: identifier \"{long}\" will be truncated to \"{cut}\"");
    for (statements, rows) in [
        (vec![format!("SELECT 1 AS {long}")], format!("{cut}\n1\n")),
        (vec![format!("SELECT \"{cut}\" FROM (SELECT 2 AS \"{long}\") t")], format!("{cut}\n2\n")),
        (vec![format!("WITH {long} AS (SELECT 3 AS x) SELECT x FROM {cut}")], "x\n3\n".to_owned()),
        (vec![format!("PREPARE {long} AS SELECT 4 AS x"), format!("EXECUTE {cut}")], "PREPARE\nx\n4\n".to_owned()),
    ] {
        let arguments: Vec<&str> = statements.iter().flat_map(|statement| ["-c", statement]).collect();
        let printed = psql(server, "sam", &[&["-A", "-F", ",", "-P", "footer=off"], arguments.as_slice()].concat());
        assert_eq!(printed.out, rows, "{statements:?}: {}", printed.err);
        assert!(printed.err.starts_with(&notice), "{statements:?}: {}", printed.err);
    }
    let refused = psql(server, "sam", &["-c", &format!("SELECT {long}(1)")]);
    assert!(refused.err.contains(&format!("function {cut} does not exist")), "{}", refused.err);
}

#[test]
fn copy_out_and_fetch_count_give_the_rows_of_a_select() {
    let server = &demo().server;
    let select = "SELECT id, name, industry FROM accounts ORDER BY id LIMIT 1000";
    let plain = psql(server, "iris", &["-At", "-F", ",", "-c", select]);
    assert_eq!(plain.out.lines().count(), 1000, "{}", plain.err);
    let fetched = psql(server, "iris", &["-At", "-F", ",", "-c", "\\set FETCH_COUNT 7", "-c", select]);
    assert_eq!(fetched, plain);
    let copied = psql(server, "iris", &["-c", &format!("COPY ({select}) TO STDOUT (FORMAT csv)")]);
    assert_eq!(copied, plain);
}

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pgwire-frontend/tests/data/test-only.crt");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pgwire-frontend/tests/data/test-only.key");

#[test]
fn tls_is_spoken_and_can_be_required() {
    let keys = format!("tls_certificate = \"{CERTIFICATE}\"\ntls_key = \"{KEY}\"\nrequire_tls = true\n");
    let variant = Variant::new(|config| config.replace("[server]\n", &format!("[server]\n{keys}")));
    let mut server = variant.serve();
    let run = |sslmode| psql_with(server.postgres, "sam", "demo-sam", sslmode, &["-At", "-c", "\\conninfo"]);
    let over_tls = run("require");
    assert!(over_tls.out.contains("SSL connection (protocol: TLSv1.3"), "{}", over_tls.both());
    let shown = psql_with(server.postgres, "sam", "demo-sam", "require", &["-At", "-c", "SHOW ssl"]);
    assert_eq!(shown.out.trim(), "on", "{}", shown.both());
    let plain = run("disable");
    assert!(!plain.success && plain.err.contains("FATAL"), "{}", plain.both());
    assert_eq!(server.stop(), 0);
}

fn readme_session(number: usize) -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    readme.split("\n## A session\n").nth(1).unwrap().split("```\n").nth(2 * number + 1).unwrap().to_owned()
}

#[test]
fn the_session_in_the_readme_is_a_real_one() {
    replay(&readme_session(0), demo().server.postgres, 11);
}

#[test]
fn the_session_of_changes_in_the_readme_is_a_real_one() {
    let (variant, server) = Variant::writable();
    replay(&readme_session(1), server.postgres, 6);
    drop((server, variant));
}

/// Letter by letter, but for blanks at the ends of lines, with which psql pads its headings.
fn replay(session: &str, address: SocketAddr, least: usize) {
    let (mut user, mut asked) = ("", Vec::<(&str, &str, String)>::new());
    for line in session.lines() {
        if let Some(login) = line.strip_prefix("$ psql 'postgres://") {
            user = login.split(':').next().unwrap();
        } else if let Some(sql) = line.strip_prefix("demo=> ") {
            asked.push((user, sql, String::new()));
        } else {
            let (_, _, answer) = asked.last_mut().unwrap();
            answer.push_str(line);
            answer.push('\n');
        }
    }
    assert!(asked.len() >= least, "{asked:?}");
    for (user, sql, expected) in asked {
        let plainly = ["-v", "VERBOSITY=default", "-c", sql];
        let printed = psql_with(address, user, &format!("demo-{user}"), "disable", &plainly);
        let found: String = printed.both().lines().map(|line| format!("{}\n", line.trim_end())).collect();
        assert_eq!(found.trim_end(), expected.trim_end(), "{user}: {sql}");
    }
}

/// Lines of an answer.
fn lines(user: &str, sql: &str) -> Vec<String> {
    let printed = psql(&demo().server, user, &["-At", "-c", sql]);
    assert!(printed.success, "{sql}: {}", printed.both());
    printed.out.lines().map(str::to_owned).collect()
}

#[test]
fn descriptions_speak_of_nothing_that_their_reader_does_not_see() {
    let columns =
        "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'";
    let described = "SELECT c.relname || '.' || d.description FROM pg_description d JOIN pg_class c ON c.oid = d.objoid \
                     WHERE c.relnamespace = 'public'::regnamespace";
    let of_object = "SELECT obj_description('accounts'::regclass)";
    assert!(lines("ada", of_object)[0].starts_with("Account: "), "who sees all fields is told");
    for user in ["sam", "iris"] {
        let seen = lines(user, columns);
        let hidden: Vec<String> = lines("ada", columns).into_iter().filter(|column| !seen.contains(column)).collect();
        assert!(hidden.iter().any(|column| column == "accounts.credit_limit"), "{user}");
        for text in lines(user, described) {
            let (table, words) = text.split_once('.').unwrap();
            let words = words.to_lowercase().replace('_', " ");
            for column in hidden.iter().filter_map(|column| column.strip_prefix(&format!("{table}."))) {
                assert!(!words.contains(&column.replace('_', " ")), "{user}: {text} names {column}");
            }
        }
        assert_eq!(lines(user, of_object), ["Account"], "{user}");
    }
}

#[test]
fn foreign_keys_are_shown_between_what_is_visible() {
    let keys = "SELECT conname FROM pg_constraint WHERE contype = 'f' ORDER BY 1";
    let ends = "SELECT count(*) FROM pg_class c WHERE relhastriggers <> EXISTS (SELECT 1 FROM pg_constraint k \
                WHERE k.contype = 'f' AND (k.conrelid = c.oid OR k.confrelid = c.oid))";
    for user in DEMO_USERS {
        assert_eq!(lines(user, ends), ["0"], "{user}");
        let shown = psql(&demo().server, user, &["-c", "\\d accounts"]).out;
        assert!(shown.contains("FOREIGN KEY (region_id) REFERENCES regions(id)"), "{user}: {shown}");
        for line in shown.lines().filter_map(|line| line.trim().strip_prefix("TABLE \"")) {
            let table = line.split('"').next().unwrap();
            assert!(lines(user, keys).iter().any(|key| key.starts_with(table)), "{user}: {line}");
        }
    }
}

#[test]
fn pg_dump_dumps_what_its_user_sees() {
    let address = demo().server.postgres;
    let dump = |options: &[&str]| {
        let to = format!("host=127.0.0.1 port={} user=sam dbname=demo", address.port());
        let ran = std::process::Command::new("pg_dump").args(options).arg(to).env("PGPASSWORD", "demo-sam").output();
        let ran = ran.unwrap();
        (
            ran.status.success(),
            String::from_utf8_lossy(&ran.stdout).into_owned(),
            String::from_utf8_lossy(&ran.stderr).into_owned(),
        )
    };
    let (done, _, said) = dump(&["-s"]);
    assert!(!done && said.contains("pg_dump has --enable-row-security"), "{said}");
    let (done, text, said) = dump(&["--enable-row-security", "-t", "accounts", "-t", "regions"]);
    assert!(done, "{said}");
    assert!(text.contains("CREATE TABLE public.accounts") && text.contains("COPY public.regions"), "{text}");
    assert!(!text.contains("credit_limit"), "a hidden column is in the dump");
    let rows = text.lines().filter(|line| line.starts_with("acc_")).count();
    assert_eq!(lines("sam", "SELECT count(*) FROM accounts"), [rows.to_string()]);
    let (done, text, said) = dump(&["--enable-row-security", "-s"]);
    assert!(done && text.contains("REFERENCES public.regions(id)") && !text.contains("CREATE FUNCTION"), "{said}");
}
