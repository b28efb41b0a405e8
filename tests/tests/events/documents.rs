//! The histories over a replica set of MongoDB, with an outbox and without one.

use super::gate::{Gate, STACK};
use super::mongodb_server::{PASSWORD, Server, USER, WRITER};
use super::{histories, live};
use mongodb::bson::{Document, doc};
use querygate_tests::server::runtime;
use tempfile::TempDir;

fn gate(server: &Server, database: &str, outbox: &str) -> Gate {
    runtime().block_on(async {
        let shop = server.admin(database);
        // What fields there are, documents say.
        let note = doc! { "_id": "n", "title": "t", "region": "eu", "phone": "12345", "secret": "s", "amount": 1.0 };
        let line = doc! { "_id": "l", "note": "n", "words": "w" };
        let outbox = doc! { "_id": "o", "payload": "p" };
        for (name, first) in [("notes", note), ("note_lines", line), ("querygate_outbox", outbox)] {
            shop.collection::<Document>(name).insert_one(first).await.unwrap();
        }
        shop.collection::<Document>("querygate_outbox").delete_one(doc! { "_id": "o" }).await.unwrap();
    });
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("login"), PASSWORD).unwrap();
    let port = server.port;
    let entry = format!(
        "[[sources]]\nname = \"shop\"\nkind = \"mongodb\"\n\
         url = \"mongodb://{USER}@127.0.0.1:{port}/{database}?authSource=admin&directConnection=true\"\n\
         database = \"{database}\"\npassword = \"file:login\"\nwrites = true\nwrite_user = \"{WRITER}\"\n\
         write_password = \"file:login\"\n{outbox}"
    );
    let stack = STACK.replace("writable: true }", "writable: true, columnMap: { _id: id } }");
    Gate::served(folder, None, &stack, &entry, "")
}

#[test]
fn followers_and_answers_are_right_over_a_replica_set() {
    let Some(server) = runtime().block_on(Server::start_replicated()) else { return };
    let plain = gate(&server, "plain", "");
    histories::histories(&plain);
    live::histories(&plain, 30);
    let boxed = gate(&server, "boxed", "outbox = \"querygate_outbox\"\n");
    histories::histories(&boxed);
    live::histories(&boxed, 30);
}
