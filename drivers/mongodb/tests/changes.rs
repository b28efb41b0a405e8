//! Changes to a MongoDB database: the shared suite, and what only documents have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::{PASSWORD, Server, WRITER};
use common::suited::Suited;
use common::{LIMITS, load, options};
use mongodb::bson::doc;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::testkit::changes;
use querygate_mongodb::{MongoDriver, MongoOptions};
use std::sync::Arc;

/// A driver whose readers and writers are different users.
fn driver(server: &Server, database: &str) -> MongoDriver {
    let writer = Some((WRITER.to_owned(), Some(PASSWORD.to_owned())));
    MongoDriver::new(&MongoOptions { writer, ..options(server, database) })
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_stored_or_refused_and_end_as_they_should() {
    let Some(server) = Server::start_replicated().await else { return };
    load(&server, "shop", false).await;
    let unique = doc! { "key": { "id": 1 }, "name": "id", "unique": true, "collation": { "locale": "simple" } };
    server.admin("shop").run_command(doc! { "createIndexes": "empty", "indexes": [unique] }).await.unwrap();
    let driver = driver(&server, "shop");
    assert!(driver.writer().is_some() && common::driver(&server, "shop").writer().is_none());
    let suited = Suited { inner: driver, endless: false };
    let report = changes::run(Arc::new(suited), &["shop"], LIMITS).await.unwrap();
    eprintln!("stored {}, refused {:#?}", report.stored, report.refused);
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.stored > 150, "only {} values were stored", report.stored);
}
