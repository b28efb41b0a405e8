//! Changes of documents: metadata that `querygate introspect` writes of a MongoDB database, opened by hand, changed through the
//! Postgres door. Fields that the metadata does not know stay as they are.

use crate::by_key::{Keys, changes_rows_by_their_keys};
use crate::mongodb_server::{PASSWORD, Server as MongoDb, USER, WRITER};
use crate::parameters::set_in_every_way;
use crate::servers::{ask, cells, checked, client_of, introspected};
use crate::source::add;
use bytes::Bytes;
use futures::SinkExt as _;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Decimal128, Document, doc};
use querygate_tests::server::{Server, runtime};
use tempfile::TempDir;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

struct Gate {
    database: MongoDb,
    folder: TempDir,
    server: Server,
}

impl Gate {
    /// Tickets of two regions, and customers by keys of their own.
    fn over(database: MongoDb) -> Self {
        runtime().block_on(async {
            let shop = database.admin("shop");
            let decimal = |text: &str| text.parse::<Decimal128>().unwrap();
            let ticket = |title: &str, region: &str| {
                doc! { "_id": ObjectId::new(), "title": title, "region": region, "amount": decimal("1.50"), "credits": 1_i64,
                    "open": true, "tags": ["a", "b"], "address": { "city": "Bern", "zip": "3000" } }
            };
            let mut first = ticket("first", "eu");
            first.insert("history", vec![doc! { "$at": 1 }]);
            let tickets = [first, ticket("second", "eu"), ticket("hidden", "us")];
            shop.collection::<Document>("ticket").insert_many(tickets).await.unwrap();
            let customers = [doc! { "_id": "c1", "name": "Ann", "code": "A" }, doc! { "_id": "c2", "name": "Bob", "code": "B" }];
            shop.collection::<Document>("customer").insert_many(customers).await.unwrap();
            let unique = doc! { "key": { "code": 1 }, "name": "secret_index", "unique": true };
            shop.run_command(doc! { "createIndexes": "customer", "indexes": [unique] }).await.unwrap();
        });
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("login"), PASSWORD).unwrap();
        let port = database.port;
        let address = format!("mongodb://{USER}@127.0.0.1:{port}/shop?authSource=admin&directConnection=true");
        introspected(folder.path(), &address, "shop");
        let config = format!(
            "[server]\ndatabase = \"shop\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n\
             [[sources]]\nname = \"shop\"\nkind = \"mongodb\"\nurl = \"{address}\"\ndatabase = \"shop\"\npassword = \"file:login\"\n\
             writes = true\nwrite_user = \"{WRITER}\"\nwrite_password = \"file:login\"\n\
             [[users]]\nname = \"omar\"\npermission_sets = [\"shop_reader\"]\nattributes = {{ region = \"eu\" }}\n\
             [[users]]\nname = \"olga\"\npermission_sets = [\"shop_reader\"]\noperator = true\nattributes = {{ region = \"eu\" }}\n"
        );
        std::fs::write(folder.path().join("querygate.toml"), config).unwrap();
        for user in ["omar", "olga"] {
            add(folder.path(), user);
        }
        let server = Server::serve(&folder.path().join("querygate.toml"));
        Self { database, folder, server }
    }

    fn client(&self, user: &str) -> Client {
        client_of(&self.server, user)
    }

    /// Documents as the server itself says them.
    fn count(&self, collection: &str, filter: Document) -> u64 {
        // A client belongs to the runtime in which it is made.
        runtime().block_on(async {
            let collection = self.database.admin("shop").collection::<Document>(collection);
            collection.count_documents(filter).await.unwrap()
        })
    }
}

/// How many rows COPY FROM stored, or the SQLSTATE of why it stored none.
fn copied(client: &Client, rows: &str) -> Result<u64, String> {
    let ended = runtime().block_on(async {
        let mut sink = Box::pin(client.copy_in("COPY customer (id, name, code) FROM STDIN").await?);
        sink.send(Bytes::copy_from_slice(rows.as_bytes())).await?;
        sink.as_mut().finish().await
    });
    ended.map_err(|error: tokio_postgres::Error| error.code().unwrap().code().to_owned())
}

fn code(client: &Client, sql: &str) -> String {
    let (code, text) = ask(client, sql).unwrap_err();
    // The index has the name that the catalog shows to one who sees all fields.
    for name in ["dup key", "E11000", "WriteConflict", "Transaction numbers"] {
        assert!(!text.contains(name), "{sql}: {text}");
    }
    code
}

#[test]
fn a_parameter_stores_in_a_document_what_a_literal_stores() {
    let Some(database) = runtime().block_on(MongoDb::start_replicated()) else { return };
    let gate = Gate::over(database);
    set_in_every_way(
        &gate.client("omar"),
        "first",
        &[
            ("address_city", Type::TEXT, &[Some("größe x"), Some("7"), None], true),
            ("credits", Type::INT8, &[Some("9"), Some("-7")], true),
            ("amount", Type::NUMERIC, &[Some("12.50"), Some("-3")], false),
            ("open", Type::BOOL, &[Some("true"), Some("false")], true),
        ],
    );
}

#[test]
fn documents_are_changed_by_the_rules_of_the_metadata() {
    let Some(database) = runtime().block_on(MongoDb::start_replicated()) else { return };
    let gate = Gate::over(database);
    let omar = gate.client("omar");
    let insert = "INSERT INTO ticket (title, region, amount, credits, open, address_city, tags)
        VALUES ('third', 'eu', 12.50, 7, false, 'Lima', ARRAY['x', 'y']) RETURNING length(id), title, amount, address_city, tags";
    assert_eq!(ask(&omar, insert).unwrap(), [cells(&["24", "third", "12.50", "Lima", "{x,y}"])]);
    let stored = doc! { "title": "third", "credits": 7_i64, "address": { "city": "Lima" }, "tags": ["x", "y"] };
    assert_eq!(gate.count("ticket", stored), 1);
    // Many, by a query; none.
    let many = "INSERT INTO ticket (title, region, credits) SELECT 'n' || i, 'eu', i FROM generate_series(1, 2500) AS g(i) RETURNING id";
    assert_eq!(ask(&omar, many).unwrap().len(), 2_500);
    let none =
        "INSERT INTO ticket (title, region) SELECT title, region FROM ticket WHERE title = 'nobody' RETURNING id";
    assert_eq!(ask(&omar, none).unwrap().len(), 0);
    let moved =
        ask(&omar, "UPDATE ticket SET credits = credits + 1, amount = 2 WHERE title LIKE 'n%' RETURNING credits");
    assert_eq!(moved.unwrap().len(), 2_500);
    assert_eq!(gate.count("ticket", doc! { "title": "n2500", "credits": 2_501_i64, "amount": 2 }), 1);
    assert_eq!(ask(&omar, "DELETE FROM ticket WHERE title LIKE 'n%' RETURNING 1").unwrap().len(), 2_500);
    // Parameters, typed and untyped, in both formats.
    let update = "UPDATE ticket SET credits = $1, address_city = $2 WHERE title = $3";
    let changed = runtime().block_on(omar.execute(update, &[&9_i64, &Some("Rome"), &"first"])).unwrap();
    assert_eq!(changed, 1);
    let nothing = runtime().block_on(omar.execute(update, &[&9_i64, &None::<&str>, &"hidden"])).unwrap();
    assert_eq!(nothing, 0, "a hidden row is none");
    assert_eq!(
        ask(&omar, "UPDATE ticket SET tags = NULL, open = 'false' WHERE title = 'first' RETURNING open, tags").unwrap(),
        [vec![Some("f".to_owned()), None]]
    );
    // What nobody assigned is there, known or not.
    let whole = doc! { "title": "first", "credits": 9_i64, "address.city": "Rome", "address.zip": "3000", "open": false,
    "tags": { "$exists": false }, "history": { "$size": 1 } };
    assert_eq!(gate.count("ticket", whole), 1);
    assert_eq!(gate.count("ticket", doc! { "title": "hidden", "credits": 1_i64, "region": "us" }), 1);
    // Rules of the metadata, of the types, and of the source.
    for (sql, expected) in [
        ("UPDATE ticket SET region = 'us' WHERE title = 'second'", "42501"),
        ("INSERT INTO ticket (title, region) VALUES ('x', 'us')", "42501"),
        ("INSERT INTO customer (id, name, code) VALUES ('c9', 'Cy', 'A')", "23505"),
        ("INSERT INTO customer (id, name, code) VALUES ('c1', 'Cy', 'C')", "23505"),
        ("INSERT INTO customer (name, code) VALUES ('Cy', 'C')", "23502"),
        ("UPDATE ticket SET credits = 'many' WHERE title = 'second'", "22P02"),
        ("UPDATE ticket SET id = 'x' WHERE title = 'second'", "0A000"),
    ] {
        assert_eq!(code(&omar, sql), expected, "{sql}");
    }
    let upsert = "INSERT INTO customer (id, name, code) VALUES ('c1', 'Anna', 'A'), ('c3', 'Cy', 'C')
        ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id, name";
    let mut both = ask(&omar, upsert).unwrap();
    both.sort();
    assert_eq!(both, [cells(&["c1", "Anna"]), cells(&["c3", "Cy"])]);
    assert_eq!(gate.count("customer", doc! {}), 3);
    assert_eq!(copied(&omar, "c5\tEve\tE\nc6\tFay\tF\n"), Ok(2));
    for wrong in ["c7\tGus\tG\nc8\tHal\tE\n", "c7\tGus\tG\nc7\tHal\tH\n", "c6\tGus\tG\n"] {
        assert_eq!(copied(&omar, wrong), Err("23505".to_owned()), "{wrong}");
    }
    assert_eq!(gate.count("customer", doc! {}), 5);
    let explained =
        ask(&gate.client("olga"), "EXPLAIN UPDATE ticket SET credits = 5 WHERE title = 'my title'").unwrap();
    let explained = explained.into_iter().flatten().flatten().collect::<Vec<_>>().join("\n");
    assert!(explained.contains("\"locks\":true") && explained.contains("{\"$set\":{\"credits\":$"), "{explained}");
    assert!(!explained.contains("my title"), "{explained}");
    assert!(!checked(gate.folder.path(), &[]).contains("transactions"));
}

#[test]
fn transactions_hold_together_and_conflicts_are_told() {
    let Some(database) = runtime().block_on(MongoDb::start_replicated()) else { return };
    let gate = Gate::over(database);
    let (omar, olga) = (gate.client("omar"), gate.client("olga"));
    let credits = |client: &Client| ask(client, "SELECT credits FROM ticket WHERE title = 'first'").unwrap();
    for (end, left) in [("ROLLBACK", "1"), ("COMMIT", "5")] {
        ask(&omar, "BEGIN").unwrap();
        ask(&omar, "UPDATE ticket SET credits = 5 WHERE title = 'first'").unwrap();
        ask(&omar, "INSERT INTO ticket (title, region) VALUES ('mine', 'eu')").unwrap();
        assert_eq!(credits(&omar), [cells(&["5"])]);
        assert_eq!(ask(&omar, "SELECT count(*) FROM ticket").unwrap(), [cells(&["3"])]);
        assert_eq!(credits(&olga), [cells(&["1"])]);
        ask(&omar, end).unwrap();
        assert_eq!(credits(&olga), [cells(&[left])]);
    }
    // Parts of a transaction are not undone.
    ask(&omar, "BEGIN").unwrap();
    ask(&omar, "DELETE FROM ticket WHERE title = 'mine'").unwrap();
    assert_eq!(code(&omar, "SAVEPOINT a"), "0A000");
    ask(&omar, "ROLLBACK").unwrap();
    assert_eq!(gate.count("ticket", doc! { "title": "mine" }), 1);
    // Two changes of one row.
    for client in [&omar, &olga] {
        ask(client, "BEGIN").unwrap();
    }
    ask(&omar, "UPDATE ticket SET credits = 6 WHERE title = 'first'").unwrap();
    assert_eq!(code(&olga, "UPDATE ticket SET credits = 7 WHERE title = 'first'"), "40001");
    ask(&olga, "ROLLBACK").unwrap();
    ask(&omar, "COMMIT").unwrap();
    assert_eq!(credits(&olga), [cells(&["6"])]);
    // A row that is locked, and that somebody else changes.
    ask(&omar, "BEGIN").unwrap();
    ask(&omar, "SELECT credits FROM ticket WHERE title = 'first' FOR UPDATE").unwrap();
    ask(&olga, "UPDATE ticket SET credits = 8 WHERE title = 'first'").unwrap();
    assert_eq!(code(&omar, "COMMIT"), "40001");
    assert_eq!(credits(&omar), [cells(&["8"])]);
    for wait in ["NOWAIT", "SKIP LOCKED"] {
        assert_eq!(
            code(&omar, &format!("SELECT credits FROM ticket WHERE title = 'first' FOR UPDATE {wait}")),
            "0A000"
        );
    }
    ask(&omar, "BEGIN").unwrap();
    ask(&omar, "SELECT credits FROM ticket WHERE title = 'first' FOR UPDATE").unwrap();
    ask(&omar, "UPDATE ticket SET credits = 9 WHERE title = 'first'").unwrap();
    ask(&omar, "COMMIT").unwrap();
    assert_eq!(credits(&olga), [cells(&["9"])]);
}

#[test]
fn a_server_alone_is_read_and_not_changed() {
    let Some(database) = runtime().block_on(MongoDb::start()) else { return };
    let gate = Gate::over(database);
    let omar = gate.client("omar");
    let (code, text) = ask(&omar, "UPDATE ticket SET credits = 5").unwrap_err();
    assert_eq!(code, "0A000");
    assert!(text.contains("the deployment has no transactions"), "{text}");
    assert_eq!(ask(&omar, "SELECT sum(credits) FROM ticket").unwrap(), [cells(&["2"])]);
    let found = checked(gate.folder.path(), &[]);
    assert!(found.contains("`shop_ticket`: the deployment has no transactions"), "{found}");
}

#[test]
fn documents_are_changed_by_their_keys() {
    let Some(database) = runtime().block_on(MongoDb::start_replicated()) else { return };
    let gate = Gate::over(database);
    let omar = gate.client("omar");
    let own = ask(&omar, "INSERT INTO ticket (title, region) VALUES ('mine', 'eu') RETURNING id").unwrap();
    let own = own[0][0].clone().unwrap();
    let hidden = runtime().block_on(async {
        let tickets = gate.database.admin("shop").collection::<Document>("ticket");
        let found = tickets.find_one(doc! { "title": "hidden" }).await.unwrap().unwrap();
        found.get_object_id("_id").unwrap().to_hex()
    });
    // The same number in other letters is another text.
    let (upper, short) = (own.to_uppercase(), own[..23].to_owned());
    assert_ne!(upper, own);
    let others = [hidden.as_str(), &upper, &short, "", "no number", "000000000000000000000000"];
    changes_rows_by_their_keys(&omar, &Keys { key_type: Type::TEXT, own: &own, others: &others });
    assert_eq!(gate.count("ticket", doc! { "title": "hidden" }), 1);
    assert_eq!(gate.count("ticket", doc! {}), 3);
}
