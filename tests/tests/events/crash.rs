//! The gate is killed while rows are written.

use super::gate::{Gate, Outbox};
use super::source::Kind;
use querygate_tests::server::runtime;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Ids of what was published since the beginning, and whether the gate was sure of it.
fn told(gate: &Gate) -> BTreeMap<String, bool> {
    let mut stream = gate.follow("wanda", "?objects=desk_notes&from=0");
    let mut told = BTreeMap::new();
    while let Some(block) = stream.next(Duration::from_secs(3)) {
        let Some(event) = block.data else { continue };
        assert_eq!(event["operation"], "insert", "{event}");
        let id = event["key"]["id"].as_str().unwrap().to_owned();
        let is_sure = event.get("uncertain") != Some(&Value::Bool(true));
        assert!(told.insert(id, is_sure).is_none(), "told twice: {event}");
    }
    told
}

/// `knows`: whether the source says what became of a transaction.
fn check(gate: &Gate, knows: bool, stored: &impl Fn(&Gate) -> Vec<String>) -> usize {
    let (told, stored) = (told(gate), stored(gate));
    for id in &stored {
        assert!(told.contains_key(id), "{id} was committed and is not told");
    }
    for (id, is_sure) in &told {
        assert!(!is_sure || stored.contains(id), "{id} is told and was not committed");
    }
    let unsure = told.values().filter(|is_sure| !**is_sure).count();
    assert!(!knows || unsure == 0, "{unsure} are uncertain");
    eprintln!("{} stored, {} told, {unsure} uncertain", stored.len(), told.len());
    stored.len()
}

#[test]
fn nothing_is_lost_when_the_gate_is_killed_over_a_file() {
    killed(Gate::new(), false, &notes);
}

#[test]
fn nothing_is_lost_or_made_up_when_the_gate_is_killed_over_a_server_that_knows() {
    killed(Gate::over(Kind::Postgres, Outbox::None, ""), true, &notes);
}

#[test]
fn nothing_is_lost_or_made_up_when_the_gate_is_killed_over_an_outbox() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let gate = killed(Gate::over(kind, Outbox::Table, ""), true, &notes);
        let end = Instant::now() + Duration::from_secs(30);
        while gate.source().stored("SELECT count(*) || '' FROM querygate_outbox") != ["0"] {
            assert!(Instant::now() < end, "the outbox is not emptied");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Ids of what a source of SQL has stored.
fn notes(gate: &Gate) -> Vec<String> {
    gate.source().stored("SELECT id FROM notes")
}

/// `stored_ids`: ids of what the source has stored, as itself says.
pub(crate) fn killed(mut gate: Gate, knows: bool, stored_ids: &impl Fn(&Gate) -> Vec<String>) -> Gate {
    let mut stored = 0;
    for round in 0..3_u64 {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let client = gate.client("wanda");
                runtime().spawn(async move {
                    for n in 0.. {
                        let id = format!("r{round}w{writer}n{n}");
                        let sql = format!("INSERT INTO notes(id, region) VALUES ('{id}', 'eu')");
                        if let Err(error) = client.batch_execute(&sql).await {
                            // The gate is killed; what it refuses before is a fault.
                            assert!(error.is_closed() || error.as_db_error().is_none(), "{error:?}");
                            return;
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(700 + 333 * round));
        gate = gate.killed();
        for writer in writers {
            runtime().block_on(writer).unwrap();
        }
        let now = check(&gate, knows, stored_ids);
        assert!(now > stored, "nothing was written in round {round}");
        stored = now;
    }
    gate
}
