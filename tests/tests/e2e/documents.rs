//! The listings of the documents, run as they stand.

use querygate_tests::server::{Variant, binary, demo, psql, psql_with, runtime};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

fn document(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/docs");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// What stands between the fences of a text.
fn listings(text: &str) -> Vec<&str> {
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced.map(|listing| listing.split_once('\n').unwrap().1).collect()
}

/// Whether a listing is what was printed, but for blanks at the ends of lines.
fn shows(listing: &str, printed: &str) -> bool {
    let lines = |text: &str| text.trim().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    lines(listing) == lines(printed)
}

/// A listing's lines behind a prompt, each with the lines that follow it.
fn asked(listing: &str, prompt: &str) -> Vec<(String, String)> {
    let mut all = Vec::<(String, String)>::new();
    for line in listing.lines() {
        if let Some(command) = line.strip_prefix(prompt) {
            all.push((command.to_owned(), String::new()));
        } else if let Some((_, answer)) = all.last_mut() {
            answer.push_str(line);
            answer.push('\n');
        }
    }
    all
}

/// The heading of the part of the second session that changes rows.
const TRANSFER: &str = "\n## A change of two sources\n";

/// Runs the statements of a session. How many.
fn replayed(text: &str, address: SocketAddr) -> usize {
    let mut statements = 0;
    for (login, lines) in listings(text).into_iter().flat_map(|listing| asked(listing, "$ psql 'postgres://")) {
        let user = login.split(':').next().unwrap();
        // A statement of several lines has a prompt of its own before each further one.
        let lines = lines.replace("\ndemo-> ", " ");
        for (sql, expected) in asked(&lines, "demo=> ") {
            let plainly = ["-v", "VERBOSITY=default", "-c", &sql];
            let printed = psql_with(address, user, &format!("demo-{user}"), "disable", &plainly).both();
            assert!(shows(&expected, &printed), "{user}: {sql}\n{printed}");
            statements += 1;
        }
    }
    statements
}

#[test]
fn the_second_session_is_a_real_one() {
    let text = document("session.md");
    let (reading, _) = text.split_once(TRANSFER).unwrap();
    assert_eq!(replayed(reading, demo().server.postgres), 4);
}

#[test]
fn the_transfer_of_the_second_session_is_a_real_one() {
    let (variant, mut server) = Variant::writable();
    let text = document("session.md");
    let (_, transfer) = text.split_once(TRANSFER).unwrap();
    assert_eq!(replayed(transfer, server.postgres), 4);
    // What a kill leaves: the database has the whole of its part, and takes part again.
    server.signal("KILL");
    let _ = server.stop();
    let server = variant.serve_writable();
    let ada = |sql: &str| psql(&server, "ada", &["-At", "-c", sql]).both();
    assert_eq!(ada("SELECT count(*) FROM querygate.transactions"), "0\n");
    let moved = "SELECT count(DISTINCT region_id) FROM opportunities WHERE owner_id = 'usr_13' AND stage = 'negotiation' AND amount > 248000";
    assert_eq!(ada(moved), "1\n");
    let again = "BEGIN; UPDATE users SET active = false WHERE id = 'usr_13'; UPDATE opportunities SET region_id = 'amer' \
                 WHERE owner_id = 'usr_13' AND stage = 'proposal' AND amount > 248000; COMMIT";
    assert!(ada(again).ends_with("COMMIT\n"), "{}", ada(again));
    drop((server, variant));
}

fn fill(file: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    runtime().block_on(async {
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// Runs a line of the guide in a folder, and gives what it printed.
fn shell(folder: &Path, line: &str, input: &str) -> String {
    let script = format!("querygate() {{ \"$UNDER_TEST\" \"$@\"; }}; {line}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(folder).env("UNDER_TEST", binary()).env("NO_COLOR", "1");
    for name in ["QUERYGATE_CONFIG", "QUERYGATE_USER", "QUERYGATE_LOG"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that asks for nothing may be gone before it is given anything.
    let _given = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
}

#[test]
fn the_guide_is_run_as_it_stands() {
    let text = document("guide.md");
    let described = text.split("\n## Describe your data\n").nth(1).unwrap();
    let described = described.split("\n### A database server\n").next().unwrap();
    let found = listings(described);
    let [orders, returns, stack, config, users, looks, access] = found[..] else {
        panic!("other listings: {found:?}");
    };

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("files")).unwrap();
    std::fs::create_dir(at("metadata")).unwrap();
    fill(&at("shop.sqlite"), orders);
    std::fs::write(at("files/returns.csv"), format!("{returns}\n")).unwrap();
    std::fs::write(at("metadata/stack.yaml"), format!("{stack}\n")).unwrap();
    std::fs::write(at("querygate.toml"), format!("{config}\n")).unwrap();
    for user in ["nora", "omar"] {
        shell(folder.path(), &format!("querygate user add {user} --write"), "a password of theirs\n");
    }
    // The listing of users shortens the verifiers that were made.
    let written = std::fs::read_to_string(at("querygate.toml")).unwrap();
    let mut verifiers = written.lines().filter(|line| line.starts_with("verifier = "));
    let shortened = |line: &&str| line.starts_with("verifier = ");
    assert_eq!(users.lines().filter(shortened).count(), verifiers.clone().count(), "{written}");
    let users: Vec<&str> =
        users.lines().map(|line| if shortened(&line) { verifiers.next().unwrap() } else { line }).collect();
    std::fs::write(at("querygate.toml"), format!("{config}\n\n{}\n", users.join("\n"))).unwrap();

    let commands = [asked(looks, "$ "), asked(access, "$ ")].concat();
    assert_eq!(commands.len(), 5, "{commands:?}");
    for (command, expected) in commands {
        let printed = shell(folder.path(), &command, "");
        assert!(shows(&expected, &printed), "{command}\n{printed}");
    }
}
