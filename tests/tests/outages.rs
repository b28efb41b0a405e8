//! Servers that die, hang, change or are not there, behind the real binary while clients ask: only what needs a server fails,
//! with its name and at once, nothing is ever half an answer, and a server that is back is found again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests panic"
)]

#[path = "outages/load.rs"]
mod load;
#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mariadb;
#[path = "../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mongo;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres;
#[path = "outages/servers.rs"]
mod servers;

use load::{Load, ask};
use querygate_tests::server::{Server, runtime};
use servers::{Backend, CHANGING, Servers, TABLES};
use std::time::{Duration, Instant};

/// Answers of each client before a server goes.
const ANSWERS: usize = 5;
/// Failures of statements that need a server, after which it was down for long enough.
const FAILURES: usize = 20;
/// A source's breaker tries again after ten seconds at the latest; the rest is the machine's.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn an_outage_costs_the_statements_that_need_the_server_and_nothing_else() {
    let Some(servers) = Servers::start() else { return };
    let gate = Server::serve(&servers.config());
    killed_under_load(&servers, &gate);
    hangs(&servers, &gate);
    changes(&servers, &gate);
    drop(gate);
    policies(&servers);
    away_at_the_start(&servers);
}

/// Each server in turn is killed and started again, while clients ask every source and joins of two.
fn killed_under_load(servers: &Servers, gate: &Server) {
    let load = Load::start(gate);
    println!(
        "| server | statements that failed, all of which needed it | others answered meanwhile | found again after ms |"
    );
    println!("|---|---|---|---|");
    for backend in Backend::ALL {
        load.until("answers", |seen| seen.everybody_answered(ANSWERS));
        load.forget();
        servers.kill(backend);
        load.until("failures", |seen| seen.failed(|asked| asked.needs(Some(backend))) >= FAILURES);
        load.until("others", |seen| seen.answered(|asked| !asked.needs(Some(backend))) >= FAILURES);
        servers.resume(backend);
        let back = Instant::now();
        load.until("recovery", |seen| seen.all_answer_again(backend));
        let found = back.elapsed();
        let seen = load.seen();
        let (failed, others) =
            (seen.failed(|asked| asked.needs(Some(backend))), seen.answered(|asked| !asked.needs(Some(backend))));
        println!("| {} | {failed} | {others} | {} |", backend.source(), found.as_millis());
        assert_eq!(seen.failed(|asked| !asked.needs(Some(backend))), 0, "{backend:?}: {:?}", seen.strangers(backend));
        for error in seen.errors() {
            assert!(["08001", "08006"].contains(&error.code.as_str()), "{backend:?}: {error:?}");
            assert!(error.message.contains(&format!("\"{}\"", backend.source())), "{backend:?}: {error:?}");
            assert!(!error.message.contains("127.0.0.1"), "{error:?}");
        }
        assert!(found < FOUND_WITHIN, "{backend:?}: {found:?}");
    }
    load.stop();
}

/// A server that answers nothing costs its statements their deadline; others do not wait for it.
fn hangs(servers: &Servers, gate: &Server) {
    runtime().block_on(async {
        let client = gate.client("ada").await;
        client.batch_execute("SET statement_timeout = '700ms'").await.unwrap();
        for table in TABLES {
            assert_eq!(ask(&client, table.count).await.unwrap(), table.answer);
        }
        for backend in Backend::ALL {
            servers.freeze(backend).await;
            for table in TABLES {
                let asked = Instant::now();
                let answer = ask(&client, table.count).await;
                let took = asked.elapsed();
                if table.backend == Some(backend) {
                    let error = answer.unwrap_err();
                    assert_eq!(error.code, "57014", "{backend:?}: {error:?}");
                    assert!(took < Duration::from_secs(5), "{backend:?}: {took:?}");
                } else {
                    assert_eq!(answer.unwrap(), table.answer, "{backend:?} hangs");
                }
            }
            servers.thaw(backend).await;
            let thawed = Instant::now();
            let count = TABLES.iter().find(|table| table.backend == Some(backend)).unwrap();
            while ask(&client, count.count).await != Ok(count.answer.to_owned()) {
                assert!(thawed.elapsed() < FOUND_WITHIN, "{backend:?}");
            }
        }
    });
}

/// A column that is gone, or holds something else, is told by the source's name and no other; the rest of its table, and the
/// other tables, answer.
fn changes(servers: &Servers, gate: &Server) {
    runtime().block_on(async {
        let client = gate.client("ada").await;
        for backend in Backend::ALL {
            servers.change(backend).await;
            for table in TABLES {
                let answer = ask(&client, table.count).await;
                if table.backend == Some(backend) {
                    let error = answer.unwrap_err();
                    assert!(["0A000", "22000"].contains(&error.code.as_str()), "{backend:?}: {error:?}");
                    assert!(!error.message.contains("secret"), "{error:?}");
                    let rows = ask(&client, &format!("SELECT count(*) FROM {}", table.name)).await;
                    assert_eq!(rows.unwrap(), "1000", "{backend:?}");
                } else {
                    assert_eq!(answer.unwrap(), table.answer, "{backend:?} changed");
                }
            }
            servers.change_back(backend).await;
            let count = TABLES.iter().find(|table| table.backend == Some(backend)).unwrap();
            // By then the gate may have looked, and refuses the column until it looks again.
            eventually(gate, || async { ask(&client, count.count).await == Ok(count.answer.to_owned()) }).await;
        }
    });
}

/// Waits for what the gate does beside statements.
async fn eventually<F: Future<Output = bool>>(gate: &Server, mut is_so: impl FnMut() -> F) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < FOUND_WITHIN * 2, "{}", gate.lines().join("\n"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Columns of a running gate's tables get other types, and each object's policy decides what becomes of its column: refused by
/// its name, widened, or hidden. Operators read what happened.
fn policies(servers: &Servers) {
    let gate = Server::serve(&servers.config());
    runtime().block_on(async {
        let client = gate.client("ada").await;
        for table in CHANGING {
            assert_eq!(ask(&client, &format!("SELECT sum(n) FROM {table}")).await.unwrap(), "6", "{table}");
        }
        servers.retype("text").await;
        eventually(&gate, || async {
            let error = ask(&client, "SELECT sum(n) FROM refusing").await.unwrap_err();
            assert_eq!(error.code, "0A000", "{error:?}");
            error.message.contains("column \\\"n\\\" of \\\"refusing\\\" was integer and is text")
        })
        .await;
        assert_eq!(ask(&client, "SELECT count(*) FROM refusing").await.unwrap(), "3");
        assert_eq!(ask(&client, "SELECT max(n) FROM widening").await.unwrap(), "3");
        let described = client.prepare("SELECT n FROM widening").await.unwrap();
        assert_eq!(*described.columns()[0].type_(), tokio_postgres::types::Type::TEXT);
        assert_eq!(ask(&client, "SELECT n FROM hiding").await.unwrap_err().code, "42703");
        assert_eq!(ask(&client, "SELECT count(*) FROM hiding").await.unwrap(), "3");
        let events = "SELECT string_agg(object || ' ' || field || ' ' || type_before || ' ' || type_now || ' ' || done, '; ' \
                      ORDER BY object) FROM querygate.schema_changes WHERE done <> 'restored' AND field = 'n'";
        assert_eq!(
            ask(&client, events).await.unwrap(),
            "pg_hiding n integer text hidden; pg_refusing n integer text refused; pg_widening n integer text widened"
        );
        assert!(gate.get("/metrics").contains("querygate_source_schema_changes_total{source=\"pg\",done=\"refused\"} 1"));

        servers.retype("integer USING n::integer").await;
        for table in CHANGING {
            let sum = format!("SELECT sum(n) FROM {table}");
            eventually(&gate, || async { ask(&client, &sum).await == Ok("6".to_owned()) }).await;
        }
        let restored = "SELECT count(*) FROM querygate.schema_changes WHERE done = 'restored'";
        assert_eq!(ask(&client, restored).await.unwrap(), "3");
    });
}

/// A gate starts without its servers, serves what it has, and finds each when it comes.
fn away_at_the_start(servers: &Servers) {
    Backend::ALL.into_iter().for_each(|backend| servers.kill(backend));
    let gate = Server::serve(&servers.config());
    runtime().block_on(async {
        let client = gate.client("ada").await;
        for table in TABLES {
            match (table.backend, ask(&client, table.count).await) {
                (None, answer) => assert_eq!(answer.unwrap(), table.answer),
                (Some(backend), answer) => {
                    let error = answer.unwrap_err();
                    assert_eq!(error.code, "08001", "{error:?}");
                    assert!(error.message.contains(&format!("\"{}\"", backend.source())), "{error:?}");
                }
            }
        }
    });
    for backend in Backend::ALL {
        servers.resume(backend);
        let back = Instant::now();
        let table = TABLES.iter().find(|table| table.backend == Some(backend)).unwrap();
        runtime().block_on(async {
            // A session keeps the tables that it began with until its next statement.
            while ask(&gate.client("ada").await, table.count).await != Ok(table.answer.to_owned()) {
                assert!(back.elapsed() < FOUND_WITHIN * 2, "{backend:?}: {}", gate.lines().join("\n"));
            }
        });
    }
}
