//! What follows of a change by the metadata, through the real binary and the Postgres door, over a SQLite file: dependents of deleted
//! rows, numbers, roll-ups, masters.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

#[path = "effects/deletes.rs"]
mod deletes;
#[path = "effects/masters.rs"]
mod masters;
#[path = "effects/numbers.rs"]
mod numbers;
#[path = "effects/rollups.rs"]
mod rollups;

use querygate_tests::server::{Shop, change};
use tokio_postgres::Client;

const STACK: &str = include_str!("effects/stack.yaml");
const USERS: &[(&str, &str)] = &[
    ("nora", "email = \"nora@shop.example\"\npermission_sets = [\"desk_manager\"]"),
    ("omar", "permission_sets = [\"desk_clerk\"]\npositions = [\"clerk\"]\nattributes = { region = \"eu\" }"),
];
const ROWS: &str = r#"CREATE TABLE accounts(id text primary key not null, region text, tickets real, open_hours real, longest real);
CREATE TABLE tickets(id text primary key not null, number text, account text, state text, hours real, spent real);
CREATE TABLE lines(id text primary key not null, ticket text, hours real, reason text);
CREATE TABLE notes(id text primary key not null, line text, region text);
CREATE TABLE bills(id text primary key not null, ticket text, also text);
CREATE TABLE folders(id text primary key not null, inside text);
INSERT INTO accounts VALUES ('a1','eu',2,3,3), ('a2','us',1,0,9);
INSERT INTO tickets VALUES ('t1','T-001','a1','open',3,1.5), ('t2','T-002','a1','closed',NULL,2), ('t3','T-007','a2','held',9,NULL),
    ('t4','T-003',NULL,'locked',1,0), ('t5','T-004',NULL,'secret',1,0);
INSERT INTO lines VALUES ('l1','t1',1,NULL), ('l2','t1',0.5,NULL), ('l3','t2',2,NULL), ('l4','t4',4,NULL), ('l5','t5',5,NULL);
INSERT INTO notes VALUES ('n1','l1','eu'), ('n2','l1','eu'), ('n3','l3','us'), ('n4',NULL,'eu');
INSERT INTO bills VALUES ('b1','t3','["t3"]');
INSERT INTO folders VALUES ('f1','f2'), ('f2','f1'), ('f3','f1'), ('f4',NULL);"#;

fn shop() -> Shop {
    Shop::new(STACK, USERS, ROWS)
}

fn code(client: &Client, sql: &str) -> String {
    match change(client, sql) {
        Err((code, _)) => code,
        Ok(count) => panic!("{count} rows: {sql}"),
    }
}

/// Every row of every table.
fn all(shop: &Shop) -> Vec<String> {
    shop.stored(
        "SELECT concat_ws('|', 'a', id, region, tickets, open_hours, longest) FROM accounts
         UNION ALL SELECT concat_ws('|', 't', id, number, account, state, hours, spent) FROM tickets
         UNION ALL SELECT concat_ws('|', 'l', id, ticket, hours, reason) FROM lines
         UNION ALL SELECT concat_ws('|', 'n', id, line, region) FROM notes
         UNION ALL SELECT concat_ws('|', 'b', id, ticket) FROM bills
         UNION ALL SELECT concat_ws('|', 'f', id, inside) FROM folders ORDER BY 1",
    )
}

fn ids(shop: &Shop, table: &str) -> String {
    shop.stored(&format!("SELECT id FROM {table} ORDER BY id")).join(" ")
}
