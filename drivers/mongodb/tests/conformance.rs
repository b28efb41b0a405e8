//! The shared conformance suite against a real MongoDB, whose collections have a collation that is not ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::suited::{PAIRS, Suited};
use common::{LIMITS, driver, load};
use mongodb::bson::doc;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::testkit::{lifecycle, suite};
use std::time::{Duration, Instant};

#[tokio::test]
async fn every_pushed_fragment_equals_the_reference() {
    let Some(server) = Server::start().await else { return };
    let mut failed = 0;
    for (database, indexed) in [("plain", false), ("indexed", true)] {
        load(&server, database, indexed).await;
        let driver = Suited { inner: driver(&server, database), endless: false };
        let report = suite::run(&driver, &[database], LIMITS).await.unwrap();
        let refused: usize = report.refused.values().sum();
        let failures = report.failures.len();
        eprintln!(
            "{database}: equal {}, refused {refused}, overflowed {}, failed {failures}",
            report.equal, report.overflowed
        );
        for (text, count) in &report.refused {
            eprintln!("  refused {count}: {text}");
        }
        for failure in report.failures.iter().take(25) {
            eprintln!("FAILED {failure}");
        }
        failed += failures;
        assert!(report.equal > 2_500, "only {} fragments were pushed", report.equal);
    }
    assert_eq!(failed, 0);
}

#[tokio::test]
async fn executions_end_as_they_should() {
    let Some(server) = Server::start().await else { return };
    load(&server, "plain", false).await;
    let view = doc! { "create": PAIRS, "viewOn": "many", "pipeline": [
        { "$lookup": { "from": "many", "pipeline": [], "as": "other" } },
        { "$unwind": "$other" },
        { "$match": { "$expr": { "$ne": ["$label", "$other.label"] } } },
    ], "collation": { "locale": "simple" } };
    let admin = server.admin("plain");
    admin.run_command(view).await.unwrap();
    let driver = Suited { inner: driver(&server, "plain"), endless: true };
    assert_eq!(lifecycle::run(&driver, &["plain"]).await.unwrap(), Vec::<String>::new());
    assert_eq!(driver.kind(), "mongodb");
    // Nothing that was stopped is left running, once the last stream that was dropped has told its server.
    let began = Instant::now();
    loop {
        let running = server.running().await;
        if running.is_empty() {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{running:?}");
    }
}
