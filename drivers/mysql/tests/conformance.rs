//! The shared conformance suite against a real MariaDB, over several ways to declare the same values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::{Variant, driver, load};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::testkit::{lifecycle, suite};
use std::time::{Duration, Instant};

/// Collations that fold and pad, that do not, and times with fewer digits than ours; with an index on every column, since
/// MariaDB's answers change with the index that it uses.
const VARIANTS: [Variant; 3] = [
    Variant { schema: "general", collation: "utf8mb4_general_ci", digits: 6, indexed: true },
    Variant { schema: "binary", collation: "utf8mb4_nopad_bin", digits: 0, indexed: true },
    Variant { schema: "unicode", collation: "utf8mb4_unicode_ci", digits: 3, indexed: false },
];

#[tokio::test]
async fn every_pushed_fragment_equals_the_reference() {
    let Some(server) = Server::start() else { return };
    let mut failed = 0;
    for variant in VARIANTS {
        load(&server, variant).await;
        let driver = driver(&server, variant.schema);
        let report = suite::run(&driver, &[variant.schema], variant.limits()).await.unwrap();
        let refused: usize = report.refused.values().sum();
        eprintln!(
            "{}: equal {}, refused {refused}, overflowed {}, failed {}",
            variant.schema,
            report.equal,
            report.overflowed,
            report.failures.len()
        );
        for (text, count) in &report.refused {
            eprintln!("  refused {count}: {text}");
        }
        for failure in report.failures.iter().take(25) {
            eprintln!("FAILED {failure}");
        }
        failed += report.failures.len();
        assert!(report.equal > 4_000, "only {} fragments were pushed", report.equal);
    }
    assert_eq!(failed, 0);
}

#[tokio::test]
async fn executions_end_as_they_should() {
    let Some(server) = Server::start() else { return };
    load(&server, VARIANTS[0]).await;
    let driver = driver(&server, "general");
    assert_eq!(lifecycle::run(&driver, &["general"]).await.unwrap(), Vec::<String>::new());
    assert_eq!(driver.kind(), "mysql");
    // Nothing that was stopped is left running, once the last stream that was dropped has told its server.
    let began = Instant::now();
    let running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'gate' AND COMMAND = 'Execute'";
    while server.sql(running).trim() != "0" {
        assert!(began.elapsed() < Duration::from_secs(60), "a statement goes on");
        driver.health().await.unwrap();
    }
}
