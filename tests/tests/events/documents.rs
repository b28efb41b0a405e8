//! Events over MongoDB: kept in the gate's log, and in a collection of the source in the transaction itself.

use super::gate::{Gate, Outbox, STACK};
use super::{crash, histories, mongodb_server};
use mongodb::bson::{Document, doc};
use querygate_tests::server::runtime;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A document that shows the fields of notes.
const SEED: &str = "seed";

fn mongodb() -> Option<&'static mongodb_server::Server> {
    static SERVER: OnceLock<Option<mongodb_server::Server>> = OnceLock::new();
    SERVER.get_or_init(|| runtime().block_on(mongodb_server::Server::start_replicated())).as_ref()
}

/// A database of a test's own.
struct Database(mongodb::Database);

impl Database {
    fn new(server: &mongodb_server::Server) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let name = format!("desk_{}", NUMBERS.fetch_add(1, Ordering::Relaxed));
        // A client wants a runtime when it is made, too.
        let database = runtime().block_on(async { server.admin(&name) });
        let note = doc! { "_id": SEED, "title": "t", "region": "asia", "phone": "12345", "secret": "s", "amount": 1.5 };
        let shown = [
            ("notes", note),
            ("note_lines", doc! { "_id": SEED, "note": SEED, "words": "w" }),
            ("quiet", doc! { "_id": SEED }),
            ("querygate_outbox", doc! { "_id": "querygate", "payload": "" }),
        ];
        runtime().block_on(async {
            for (name, document) in shown {
                database.collection::<Document>(name).insert_one(document).await.unwrap();
            }
        });
        Self(database)
    }

    /// The keys of a collection but those that were there first.
    fn keys(&self, collection: &str) -> Vec<String> {
        runtime().block_on(async {
            let mut cursor = self.0.collection::<Document>(collection).find(doc! {}).await.unwrap();
            let mut found = Vec::new();
            while cursor.advance().await.unwrap() {
                found.push(cursor.deserialize_current().unwrap().get_str("_id").unwrap().to_owned());
            }
            found.retain(|key| key != SEED && key != "querygate");
            found
        })
    }

    fn gate(&self, server: &mongodb_server::Server, outbox: Outbox) -> Gate {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("login"), mongodb_server::PASSWORD).unwrap();
        let stack = STACK.replace("driver: sqlite", "driver: mongodb");
        let stack = stack.replace("writable: true }", "writable: true, columnMap: { _id: id } }");
        // Rows of which a master decides are not changed here, and a note takes its lines with it.
        let stack = stack.replace("controlled_by_parent", "public_read_write");
        let mut entry = format!(
            "[[sources]]\nname = \"shop\"\nkind = \"mongodb\"\nurl = \"mongodb://{}@127.0.0.1:{}/{database}?authSource=admin&directConnection=true\"\n\
             database = \"{database}\"\npassword = \"file:login\"\nwrites = true\nwrite_user = \"{}\"\nwrite_password = \"file:login\"\n",
            mongodb_server::USER,
            server.port,
            mongodb_server::WRITER,
            database = self.0.name(),
        );
        if outbox == Outbox::Table {
            entry.push_str("outbox = \"querygate_outbox\"\n");
        }
        Gate::served(folder, None, &stack, &entry, "objects = [\"desk_notes\", \"desk_lines\"]\n")
    }
}

/// With the log alone, and with an outbox.
fn each(check: impl Fn(&Database, &mongodb_server::Server, Outbox)) {
    let Some(server) = mongodb() else {
        eprintln!("NOTHING RUN: MongoDB is not installed");
        return;
    };
    for outbox in [Outbox::None, Outbox::Table] {
        check(&Database::new(server), server, outbox);
    }
}

#[test]
fn each_follower_hears_the_difference_of_what_he_may_read_over_documents() {
    each(|database, server, outbox| histories::each(&database.gate(server, outbox), false));
}

#[test]
fn nothing_is_lost_when_the_gate_is_killed_over_documents() {
    each(|database, server, outbox| {
        let has_outbox = outbox == Outbox::Table;
        let gate = crash::killed(database.gate(server, outbox), has_outbox, &|_: &Gate| database.keys("notes"));
        let end = Instant::now() + Duration::from_secs(30);
        while has_outbox && !database.keys("querygate_outbox").is_empty() {
            assert!(Instant::now() < end, "the outbox is not emptied");
            std::thread::sleep(Duration::from_millis(200));
        }
        drop(gate);
    });
}
