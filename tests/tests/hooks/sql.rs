//! Hooks of statements.

use super::gate::{Gate, refusal};
use querygate_tests::server::{change, runtime};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, SimpleQueryMessage};

const FAILED: &str = "a hook of the table failed, and nothing was changed";

#[test]
fn a_hook_fills_what_a_statement_does_not() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    let done = |sql: &str| change(&nora, sql).unwrap_or_else(|told| panic!("{told:?}: {sql}"));
    done(
        "INSERT INTO deals (id, title, stage, amount) VALUES ('n1', '  Big  ', 'won', 7), ('n2', ' Small', 'open', NULL)",
    );
    assert_eq!(gate.deal("n1"), "Big|won|7.0|100.0|-");
    assert_eq!(gate.deal("n2"), "Small|open|-|-");
    done("UPDATE deals SET stage = 'won', title = title || ' ' WHERE id IN ('d1', 'd3')");
    assert_eq!((gate.deal("d1"), gate.deal("d3")), ("First|won|10.0|100.0|-".into(), "Third|won|30.0|100.0|-".into()));
    // What a hook returns is part of the record, too.
    done("UPDATE deals SET title = 'double', amount = 21 WHERE id = 'd1'");
    assert_eq!(gate.deal("d1"), "double|won|42.0|100.0|-");
    done("UPDATE deals SET title = 'document' WHERE id = 'd1'");
    let extra = gate.stored("SELECT extra FROM deals WHERE id = 'd1'").pop().unwrap();
    let extra: serde_json::Value = serde_json::from_str(&extra).unwrap();
    assert_eq!(extra["was"], 7, "{extra}");
    assert!(extra["at"].as_str().unwrap().ends_with('Z'), "{extra}");
    done("INSERT INTO deals (id, title) VALUES ('n3', 'who')");
    assert_eq!(gate.stored("SELECT secret FROM deals WHERE id = 'n3'"), ["nora everyone,seller record"]);
    // A default comes back where a hook takes it away.
    done("INSERT INTO deals (id, title) VALUES ('n4', 'no default')");
    assert_eq!(gate.deal("n4"), "no default|open|-|-");
    done("INSERT INTO deals (id, title) VALUES ('d1', 'x') ON CONFLICT (id) DO UPDATE SET title = ' again '");
    assert_eq!(gate.deal("d1"), "again|won|42.0|100.0|-");
}

#[test]
fn a_hook_refuses_and_nothing_is_changed() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    let before = gate.stored("SELECT concat_ws('|', id, title, amount, region, secret) FROM deals ORDER BY 1");
    let cases = [
        ("UPDATE deals SET amount = -1 WHERE id = 'd1'", "P0001", "An amount is positive"),
        ("INSERT INTO deals (id, amount) VALUES ('n1', 1), ('n2', -5)", "P0001", "An amount is positive"),
        ("UPDATE deals SET title = 'leak' WHERE id = 'd1'", "P0001", "The secret is hush"),
        ("UPDATE deals SET title = 'throws null' WHERE id = 'd1'", "38000", FAILED),
        ("UPDATE deals SET amount = 6000 WHERE id = 'd1'", "P0001", "After the fact"),
        ("UPDATE deals SET amount = 10 WHERE id = 'd1'", "P0001", "The same amount"),
        ("DELETE FROM deals WHERE id IN ('d1', 'd2')", "P0001", "A won deal is kept"),
        ("UPDATE deals SET title = 'loop' WHERE id = 'd1'", "38000", FAILED),
        ("UPDATE deals SET title = 'memory' WHERE id = 'd1'", "38000", FAILED),
        ("UPDATE deals SET title = 'condition' WHERE id = 'd2'", "38000", FAILED),
        // What a hook made is held to the rules of the record.
        ("UPDATE deals SET title = 'bogus' WHERE id = 'd1'", "42703", "Unknown field 'nowhere'"),
        ("UPDATE deals SET title = 'too long' WHERE id = 'd1'", "22001", "must be"),
        ("UPDATE deals SET title = 'the amount' WHERE id = 'd1'", "23514", "Not this amount"),
        ("UPDATE deals SET title = 'no number' WHERE id = 'd1'", "22P02", "number"),
        ("UPDATE deals SET title = 'refer' WHERE id = 'd3'", "0A000", "cannot be changed"),
        ("UPDATE deals SET probability = 1 WHERE id = 'd1'", "428C9", "probability"),
        ("INSERT INTO closed (id) VALUES ('c1')", "0A000", "cannot be changed"),
    ];
    for (sql, state, text) in cases {
        let (code, message) = refusal(&nora, sql);
        assert_eq!(code, state, "{sql}: {message}");
        assert!(message.contains(text), "{sql}: {message}");
        let after = gate.stored("SELECT concat_ws('|', id, title, amount, region, secret) FROM deals ORDER BY 1");
        assert_eq!(after, before, "{sql}");
    }
    // A transaction goes on from its savepoint.
    change(&nora, "BEGIN; SAVEPOINT a").unwrap();
    assert_eq!(refusal(&nora, "UPDATE deals SET amount = -1 WHERE id = 'd1'").0, "P0001");
    change(&nora, "ROLLBACK TO a; UPDATE deals SET amount = 11 WHERE id = 'd1'; COMMIT").unwrap();
    assert_eq!(gate.deal("d1"), "First|open|11.0|5.0|-");
}

#[test]
fn a_hook_says_nothing_of_what_its_writer_does_not_read() {
    let gate = Gate::new();
    let omar = gate.client("omar");
    let (code, message) = refusal(&omar, "UPDATE deals SET title = 'leak' WHERE id = 'd1'");
    assert_eq!((code.as_str(), message.as_str()), ("P0001", "a hook of the table refuses the change"));
    // Words that stand in the hook are its author's.
    let (_, message) = refusal(&omar, "UPDATE deals SET amount = -1 WHERE id = 'd1'");
    assert_eq!(message, "An amount is positive");
    // A hook takes a row no further than its writer may.
    let (code, _) = refusal(&omar, "UPDATE deals SET title = 'move' WHERE id = 'd1'");
    assert_eq!(code, "42501");
    assert_eq!(gate.deal("d1"), "First|open|10.0|5.0|-");
    assert_eq!(change(&omar, "UPDATE deals SET title = 'ours' WHERE true").unwrap(), 2);
    assert_eq!(gate.deal("d3"), "Third|open|30.0|1.0|-");
}

#[test]
fn hooks_of_what_follows_run_too() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    change(&nora, "INSERT INTO lines (id, deal) VALUES ('l9', 'd1')").unwrap();
    assert_eq!(gate.deal("d1"), "First|open|10.0|5.0|lines 3");
    // The words of a hook of other rows are not passed on.
    let (code, message) = refusal(&nora, "DELETE FROM deals WHERE id = 'd3'");
    assert_eq!((code.as_str(), message.as_str()), ("P0001", "a hook of the table refuses the change"));
    assert_eq!(change(&nora, "DELETE FROM deals WHERE id = 'd1'").unwrap(), 1);
    let files =
        gate.stored("SELECT concat_ws('|', id, coalesce(deal, '-'), coalesce(state, '-')) FROM files ORDER BY 1");
    assert_eq!(files, ["f1|-|orphan of d1", "f2|d3|-"]);
    assert_eq!(gate.stored("SELECT id FROM lines ORDER BY 1"), ["l3"]);
}

#[test]
fn a_hook_after_the_commit_is_not_waited_for() {
    let gate = Gate::new();
    let nora = gate.client("nora");
    let told = |title: &str| {
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if gate.server.lines().iter().any(|line| line.contains(&format!("a deal is there: {title}"))) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    };
    change(&nora, "BEGIN; INSERT INTO deals (id, title) VALUES ('n1', 'undone'); ROLLBACK").unwrap();
    change(&nora, "BEGIN; SAVEPOINT a; INSERT INTO deals (id, title) VALUES ('n2', 'taken back'); ROLLBACK TO a")
        .unwrap();
    change(&nora, "INSERT INTO deals (id, title) VALUES ('n3', 'stored'); COMMIT").unwrap();
    assert!(told("stored"));
    let lines = gate.server.lines();
    assert!(!lines.iter().any(|line| line.contains("undone") || line.contains("taken back")), "{lines:?}");
}

/// Rows of a question, their cells with bars between.
pub(crate) fn rows(client: &Client, sql: &str) -> Vec<String> {
    let messages = runtime().block_on(client.simple_query(sql)).unwrap();
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|at| row.get(at).unwrap_or("-")).collect::<Vec<_>>().join("|"))
        }
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

#[test]
fn operators_see_how_hooks_ran() {
    let gate = Gate::new();
    let (nora, root) = (gate.client("nora"), gate.client("root"));
    change(&nora, "UPDATE deals SET amount = 11 WHERE id = 'd1'").unwrap();
    assert_eq!(refusal(&nora, "UPDATE deals SET amount = -1 WHERE id = 'd1'").0, "P0001");
    let sql = "SELECT name, runs, faults, p95_ms > 0 FROM querygate.hooks WHERE object = 'sales_deals' AND event = 'beforeUpdate' ORDER BY priority";
    let expected = ["tidy_title|2|0|t", "later|2|0|t", "unknown_condition|0|0|-", "refuse|2|1|t"];
    assert_eq!(rows(&root, sql), expected);
    assert_eq!(rows(&nora, "SELECT name FROM querygate.hooks"), Vec::<String>::new());
}
