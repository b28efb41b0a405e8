//! Changes of tables in memory: governed as those of any source, in transactions that see one moment, kept until the process ends.

use crate::source::{PASSWORD, add};
use querygate_tests::server::{Server, connect, runtime};
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

const STACK: &str = include_str!("memory.yaml");

struct Gate {
    folder: TempDir,
    server: Server,
}

impl Gate {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), STACK).unwrap();
        let config = "[server]\ndatabase = \"shop\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n[flight]\naddress = \"127.0.0.1:0\"\n\
             [metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n\
             [[sources]]\nname = \"shop\"\nkind = \"memory\"\nwrites = true\n\
             [[users]]\nname = \"nora\"\npermission_sets = [\"desk_manager\"]\n\
             [[users]]\nname = \"omar\"\npermission_sets = [\"desk_clerk\"]\npositions = [\"clerk\"]\nattributes = { region = \"eu\" }\n";
        std::fs::write(at("querygate.toml"), config).unwrap();
        add(folder.path(), "nora");
        add(folder.path(), "omar");
        let server = Server::serve(&at("querygate.toml"));
        Self { folder, server }
    }

    fn client(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("shop").password(PASSWORD);
        runtime().block_on(connect(&config))
    }
}

/// The rows that a text gives, and how many its last statement changed.
fn answer(client: &Client, sql: &str) -> Result<(Vec<String>, u64), String> {
    let answer = runtime().block_on(client.simple_query(sql));
    let messages =
        answer.map_err(|error| error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()))?;
    let (mut rows, mut count) = (Vec::new(), 0);
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                let cells: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or("-")).collect();
                rows.push(cells.join("|"));
            }
            SimpleQueryMessage::CommandComplete(changed) => count = changed,
            _ => {}
        }
    }
    Ok((rows, count))
}

fn rows(client: &Client, sql: &str) -> Vec<String> {
    answer(client, sql).unwrap_or_else(|code| panic!("{sql}: {code}")).0
}

fn run(client: &Client, sql: &str) -> u64 {
    answer(client, sql).unwrap_or_else(|code| panic!("{sql}: {code}")).1
}

fn code(client: &Client, sql: &str) -> String {
    answer(client, sql).expect_err(sql)
}

const ACCOUNTS: &str = "SELECT id, region, code, \"limit\", hours FROM accounts ORDER BY id";

#[test]
fn rules_and_policies_hold() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    let before = rows(&nora, ACCOUNTS);
    assert_eq!(before, ["a1|eu|c1|10.5000|-", "a2|us|c2|-|-", "a3|eu|c3|-|-"]);
    assert_eq!(rows(&nora, "SELECT id FROM accounts WHERE region = 'us' LIMIT 1"), ["a2"]);
    assert_eq!(rows(&omar, "SELECT count(*) FROM (SELECT * FROM accounts LIMIT 2) a"), ["2"]);
    for (sql, expected) in [
        ("UPDATE accounts SET region = 'us' WHERE id = 'a1'", "42501"),
        ("INSERT INTO accounts (id, region) VALUES ('a9', 'us')", "42501"),
        ("INSERT INTO accounts (id, region) VALUES ('a2', 'eu')", "23505"),
        ("INSERT INTO accounts (id, region, code) VALUES ('a9', 'eu', 'c2')", "23505"),
        ("UPDATE accounts SET code = 'c1' WHERE id = 'a3'", "23505"),
        ("UPDATE accounts SET \"limit\" = 1001 WHERE id = 'a1'", "23514"),
        ("UPDATE accounts SET hours = 1", "428C9"),
        ("INSERT INTO tickets (id, account) VALUES ('t9', 'a2')", "23503"),
        ("DELETE FROM accounts WHERE 1 / length(nothing) > 1", "42703"),
    ] {
        assert_eq!(code(&omar, sql), expected, "{sql}");
        assert_eq!(rows(&nora, ACCOUNTS), before, "{sql}");
    }
    assert_eq!(run(&omar, "UPDATE accounts SET \"limit\" = 2.5"), 2);
    assert_eq!(run(&omar, "UPDATE accounts SET \"limit\" = 3 WHERE id = 'a2'"), 0);
    assert_eq!(run(&omar, "DELETE FROM accounts WHERE id = 'a2'"), 0);
    let sql = "INSERT INTO accounts (id, region, tags, opened_at) VALUES ('a4', 'eu', '{p,\"q,r\"}', '2026-02-03 04:05:06.789+00')
        ON CONFLICT (id) DO UPDATE SET \"limit\" = 7 RETURNING id, tags, opened_at, \"limit\"";
    assert_eq!(rows(&omar, sql), ["a4|{p,\"q,r\"}|2026-02-03 04:05:06.789+00|-"]);
    assert_eq!(rows(&omar, sql), ["a4|{p,\"q,r\"}|2026-02-03 04:05:06.789+00|7.0000"]);
    assert_eq!(rows(&nora, ACCOUNTS), ["a1|eu|c1|2.5000|-", "a2|us|c2|-|-", "a3|eu|c3|2.5000|-", "a4|eu|-|7.0000|0"]);
}

#[test]
fn a_transaction_sees_itself_and_nobody_sees_it() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    run(&nora, "BEGIN");
    run(&nora, "INSERT INTO tickets (id, account, hours) VALUES ('t3', 'a1', 6)");
    run(&nora, "SAVEPOINT one");
    run(&nora, "DELETE FROM tickets WHERE id = 't1'");
    assert_eq!(code(&nora, "INSERT INTO tickets (id, account) VALUES ('t3', 'a1')"), "23505");
    run(&nora, "ROLLBACK TO one");
    let own = "SELECT id, number, hours FROM tickets WHERE account = 'a1' ORDER BY id";
    assert_eq!(rows(&nora, own), ["t1|T-001|4", "t3|T-003|6"]);
    assert_eq!(rows(&omar, own), ["t1|T-001|4"]);
    run(&nora, "COMMIT");
    assert_eq!(rows(&omar, own), ["t1|T-001|4", "t3|T-003|6"]);
    assert_eq!(rows(&omar, "SELECT hours FROM accounts WHERE id = 'a1'"), ["10"]);
    run(&nora, "BEGIN; UPDATE accounts SET code = 'x'||id; ROLLBACK");
    assert_eq!(rows(&nora, "SELECT code FROM accounts ORDER BY id"), ["c1", "c2", "c3"]);
}

#[test]
fn of_two_writers_of_a_row_one_fails() {
    let gate = Gate::new();
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    run(&nora, "BEGIN; UPDATE accounts SET \"limit\" = 1 WHERE id = 'a1'");
    assert_eq!(code(&omar, "UPDATE accounts SET \"limit\" = 2 WHERE id = 'a1'"), "40001");
    assert_eq!(code(&omar, "SELECT id FROM accounts WHERE id = 'a1' FOR UPDATE NOWAIT"), "55P03");
    assert_eq!(rows(&omar, "SELECT id FROM accounts ORDER BY id FOR UPDATE SKIP LOCKED"), ["a3"]);
    assert_eq!(run(&omar, "UPDATE accounts SET \"limit\" = 2 WHERE id = 'a3'"), 1);
    run(&nora, "COMMIT");
    // Who has seen a row before somebody else changed it does not change it.
    run(&omar, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_eq!(rows(&omar, "SELECT \"limit\" FROM accounts WHERE id = 'a1'"), ["1.0000"]);
    run(&nora, "UPDATE accounts SET \"limit\" = 5 WHERE id = 'a1'");
    assert_eq!(rows(&omar, "SELECT \"limit\" FROM accounts WHERE id = 'a1'"), ["1.0000"]);
    assert_eq!(code(&omar, "UPDATE accounts SET \"limit\" = 6 WHERE id = 'a1'"), "40001");
    run(&omar, "ROLLBACK");
    // Each reads what the other writes: only one can have been first.
    for client in [&nora, &omar] {
        run(client, "BEGIN ISOLATION LEVEL SERIALIZABLE");
        rows(client, "SELECT sum(\"limit\") FROM accounts");
    }
    run(&nora, "UPDATE accounts SET code = 'n1' WHERE id = 'a1'");
    run(&omar, "UPDATE accounts SET code = 'n3' WHERE id = 'a3'");
    run(&nora, "COMMIT");
    assert_eq!(code(&omar, "COMMIT"), "40001");
    assert_eq!(rows(&nora, "SELECT code FROM accounts ORDER BY id"), ["n1", "c2", "c3"]);
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let gate = Gate::new();
    let stored: usize = std::thread::scope(|scope| {
        let writer = |writer: usize| {
            let client = gate.client(if writer.is_multiple_of(2) { "nora" } else { "omar" });
            scope.spawn(move || {
                let insert = |n: usize| {
                    // All of them change one master.
                    let sql = format!("INSERT INTO tickets (id, account, hours) VALUES ('w{writer}_{n}', 'a1', 1)");
                    loop {
                        match answer(&client, &sql) {
                            Ok((_, count)) => return usize::try_from(count).unwrap(),
                            Err(code) => assert_eq!(code, "40001"),
                        }
                    }
                };
                (0..12).map(insert).sum::<usize>()
            })
        };
        let writers: Vec<_> = (0..4).map(writer).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    let nora = gate.client("nora");
    assert_eq!(stored, 48);
    let expected: Vec<String> = (1..=50).map(|n| format!("T-{n:03}")).collect();
    assert_eq!(rows(&nora, "SELECT number FROM tickets ORDER BY number"), expected);
    assert_eq!(rows(&nora, "SELECT hours FROM accounts WHERE id = 'a1'"), ["52"]);
}

#[test]
fn rows_stay_over_a_reload_and_go_with_the_process() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    run(
        &nora,
        "UPDATE accounts SET region = 'eu', \"limit\" = 9 WHERE id = 'a2'; DELETE FROM accounts WHERE id = 'a3'",
    );
    let from = gate.server.lines().len();
    let wider = STACK.replace("      code: { type: text", "      note: { type: text }\n      code: { type: text");
    std::fs::write(gate.folder.path().join("metadata/stack.yaml"), wider).unwrap();
    gate.server.signal("HUP");
    let _ = gate.server.wait_for("metadata reloaded", from);
    let nora = gate.client("nora");
    assert_eq!(run(&nora, "UPDATE accounts SET note = 'new' WHERE id = 'a1'"), 1);
    let all = "SELECT id, note, code, \"limit\" FROM accounts ORDER BY id";
    assert_eq!(rows(&nora, all), ["a1|new|c1|10.5000", "a2|-|c2|9.0000"]);
    let Gate { folder, server } = gate;
    drop(server);
    let gate = Gate { server: Server::serve(&folder.path().join("querygate.toml")), folder };
    assert_eq!(rows(&gate.client("nora"), all), ["a1|-|c1|10.5000", "a2|-|c2|-", "a3|-|c3|-"]);
}

/// Also where they went with another record, and of rows that the process loses.
#[test]
fn numbers_of_deleted_records_are_not_given_again() {
    let Gate { folder, server } = Gate::new();
    drop(server);
    let file = folder.path().join("querygate.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replacen("[writes]\n", "[writes]\nnumbers = \"state/numbers\"\n", 1)).unwrap();
    let gate = Gate { server: Server::serve(&file), folder };
    let nora = gate.client("nora");
    let insert = |client: &Client, id: &str| {
        rows(client, &format!("INSERT INTO tickets (id, account) VALUES ('{id}', 'a1') RETURNING number"))
    };
    assert_eq!(run(&nora, "DELETE FROM accounts WHERE id = 'a2'"), 1);
    assert_eq!(insert(&nora, "t3"), ["T-003"], "T-002 went with its account");
    assert_eq!(run(&nora, "DELETE FROM tickets WHERE id = 't3'"), 1);
    assert_eq!(insert(&nora, "t4"), ["T-004"]);
    run(&nora, "BEGIN");
    assert_eq!(insert(&nora, "t5"), ["T-005"]);
    run(&nora, "ROLLBACK");
    let from = gate.server.lines().len();
    gate.server.signal("HUP");
    let _ = gate.server.wait_for("metadata reloaded", from);
    assert_eq!(run(&nora, "DELETE FROM tickets WHERE id = 't4'"), 1);
    assert_eq!(insert(&nora, "t5"), ["T-005"]);
    assert_eq!(run(&nora, "DELETE FROM tickets WHERE id = 't5'"), 1);

    let Gate { folder, server } = gate;
    drop(server);
    let gate = Gate { server: Server::serve(&file), folder };
    assert_eq!(insert(&gate.client("nora"), "t6"), ["T-006"]);
}
