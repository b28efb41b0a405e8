//! `querygate demo --backends --writes`: pieces of products, some in the shop's PostgreSQL and some in the warehouse's MariaDB, which may be
//! carried from one to the other in one transaction. The gate over them is a process of its own, so that it can be killed. Starts nothing.

use super::{Running, governance};
use crate::demo::DATABASE;
use crate::serve::Bound;
use querygate_query_api::service::Door;
use querygate_types::Result;
use serde_json::{Value, json};

/// The account that changes rows.
pub(super) const WRITER: &str = "writer";
/// Settings of PostgreSQL: without room for prepared transactions it takes part in none of several sources.
pub(super) const PREPARED: &str = "max_prepared_transactions=20";

/// PostgreSQL's table and the rights at it; the password comes as psql's variable `password`.
pub(super) const POSTGRES: &str = "
CREATE ROLE writer LOGIN PASSWORD :'password';
CREATE TABLE stock (product_id text COLLATE \"C\" PRIMARY KEY, pieces integer NOT NULL CHECK (pieces >= 0));
INSERT INTO stock SELECT 'P' || lpad(number::text, 3, '0'), 10 FROM generate_series(1, 20) number;
COMMENT ON TABLE stock IS 'Pieces in the shop';
GRANT SELECT ON stock TO gate;
GRANT SELECT, INSERT, UPDATE, DELETE ON stock TO writer;
";
/// MariaDB's table.
pub(super) const MARIADB: &str = "
CREATE TABLE warehouse.stock (
    product_id VARCHAR(8) COLLATE utf8mb4_nopad_bin PRIMARY KEY, pieces INT NOT NULL CHECK (pieces >= 0)
) COMMENT 'Pieces in the warehouse' CHARACTER SET utf8mb4;
INSERT INTO warehouse.stock SELECT CONCAT('P', LPAD(seq, 3, '0')), 100 FROM warehouse.seq_1_to_20;
";

/// Keys of a source's entry beside those with which it is read. It has the same password for both accounts.
pub(super) fn keys(source: &str) -> String {
    format!(
        "writes = true\nwrite_user = \"{WRITER}\"\nwrite_password = \"file:{source}.password\"\ndistributed = true\n"
    )
}

/// Tables of the configuration. Its servers are its own, so that no other gate meets this one there.
pub(super) const CONFIG: &str =
    "\n[writes]\nenabled = true\n\n[transactions]\ngate = \"64656d6f00000002\"\nlog = \"transactions\"\n";

/// Opens the stock of a package to changes of who reads everything.
pub(super) fn open(package: &mut Value, object: &str) -> Result<()> {
    for source in package["datasources"].as_array_mut().into_iter().flatten() {
        source["external"]["allowWrites"] = json!(true);
    }
    for known in package["objects"].as_array_mut().into_iter().flatten().filter(|known| known["name"] == object) {
        known["external"]["writable"] = json!(true);
        known["sharingModel"] = json!("public_read_write");
    }
    governance::reader(package)?["objects"][object]["allowEdit"] = json!(true);
    Ok(())
}

/// What to try, for the ports that the gate is to have.
pub(crate) fn text(running: &Running, bound: Bound) -> String {
    let config = running.config();
    let option = |name, address| match address {
        Some(address) => format!(" --{name} {address}"),
        None => String::new(),
    };
    let (pg, http, flight) = (
        option("pg", bound.of(Door::Postgres)),
        option("http", bound.of(Door::Http)),
        option("flight", bound.of(Door::FlightSql)),
    );
    let to = bound.of(Door::Postgres).map_or_else(String::new, |address| address.to_string());
    format!(
        "
The servers wait for a gate, which is a process of its own here. In another terminal:
  querygate serve -c {config}{pg}{http}{flight}

A transfer between PostgreSQL and MariaDB, stored in both or in neither:
  psql 'postgres://ada:demo-ada@{to}/{DATABASE}'
  BEGIN;
  UPDATE warehouse_stock SET pieces = pieces - 5 WHERE product_id = 'P001';
  UPDATE shop_stock SET pieces = pieces + 5 WHERE product_id = 'P001';
  COMMIT;
Kill the gate with -9 in the middle of it, and start it again: together they are 110 pieces as before, and nothing is left open.
  SELECT w.pieces AS warehouse, s.pieces AS shop, w.pieces + s.pieces AS together
    FROM warehouse_stock w JOIN shop_stock s ON s.product_id = w.product_id WHERE w.product_id = 'P001';
  SELECT * FROM querygate.transactions;
",
        config = config.display()
    )
}
