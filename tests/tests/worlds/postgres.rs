//! PostgreSQL databases: odd names and schemas, extremes, own types, partitions, views and missing rights. What its own client prints is
//! what must be served.

use super::cell::Cell;
use super::names;
use super::sqlite::quoted;
use super::world::{Column, Fate, Made, World};
use crate::postgres_server::{PASSWORD, Server};
use querygate_tests::harness::Rng;
use std::fmt::Write as _;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Declared types with values of them.
const KINDS: &[(&str, &[&str])] = &[
    ("integer", &["0", "-2147483648", "7"]),
    ("smallint", &["1", "-32768"]),
    ("bigint", &["9223372036854775807", "-1"]),
    ("numeric", &["1.50", "0", "123456789012345678901234567890.12", "-0.001"]),
    ("numeric", &["1.50", "NaN", "2"]),
    ("numeric", &["12345678901234567890123456789012345678901234567890", "Infinity", "0.5"]),
    ("numeric(12,2)", &["1.50", "-9999999999.99"]),
    ("numeric(5,-2)", &["12300", "0"]),
    ("numeric(3,5)", &["0.00123", "0"]),
    ("real", &["1.5", "NaN", "-Infinity", "3.4028235e38"]),
    ("double precision", &["0.1", "-0", "Infinity", "5e-324"]),
    ("boolean", &["true", "false"]),
    ("text", &["", "a", "it''s", "é", "line\nbreak", "NULL", " x "]),
    ("varchar(10)", &["", "abc", "日本"]),
    ("char(5)", &["ab", "", "abcde"]),
    ("\"char\"", &["a", ""]),
    ("name", &["pg", "a b"]),
    ("bytea", &["\\x", "\\x00ff", "\\x5c27"]),
    ("date", &["2024-02-29", "0001-01-01", "infinity", "4713-01-01 BC", "5874897-12-31"]),
    ("date", &["2024-02-29", "1999-12-31"]),
    ("timestamp", &["2024-01-01 10:00:00.123456", "-infinity", "0044-03-15 00:00:00 BC", "294000-01-01 00:00:00"]),
    ("timestamptz", &["2024-01-01 10:00:00.5+02", "infinity", "1969-12-31 23:59:59.999999+00"]),
    ("timestamptz(0)", &["2024-01-01 10:00:00+00"]),
    ("time", &["24:00:00", "00:00:00", "23:59:59.999999"]),
    ("timetz", &["10:00:00+05:30", "24:00:00-12"]),
    ("interval", &["1 year 2 mons -3 days", "-00:00:01.5", "0"]),
    ("uuid", &["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    ("json", &["{\"b\": 1, \"b\": 2.50}", "[1, null]", "\"x\"", "null"]),
    ("jsonb", &["{\"b\": 1, \"a\": 2.50}", "[]", "\"\\u00e9\"", "123456789012345678901234567890"]),
    ("integer[]", &["{1,2,NULL}", "{}"]),
    ("integer[]", &["{1}", "{{1,2},{3,4}}"]),
    ("text[]", &["{a,\"b,c\",NULL,\"NULL\"}", "{}", "{\"\"}"]),
    ("text[]", &["{a}", "[0:1]={x,y}"]),
    ("timestamptz[]", &["{\"2024-01-01 00:00:00+00\"}", "{infinity}"]),
    ("numeric[]", &["{1.5,2}", "{NaN}"]),
    ("uuid[]", &["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "{}"]),
    ("inet", &["10.0.0.1/8", "::1", "192.168.0.1"]),
    ("cidr", &["10.0.0.0/8"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("bit(3)", &["101"]),
    ("bit varying", &["1", "", "10101"]),
    ("money", &["1.50", "-3"]),
    ("point", &["(1,2)"]),
    ("box", &["(1,2),(0,0)"]),
    ("int4range", &["[1,5)", "empty", "(,)"]),
    ("tstzrange", &["[2024-01-01 00:00:00+00,infinity)"]),
    ("int4multirange", &["{[1,3),[5,7)}"]),
    ("tsvector", &["a b", ""]),
    ("tsquery", &["a & b"]),
    ("xml", &["<a>é</a>", ""]),
    ("jsonpath", &["$.a[*]"]),
    ("oid", &["4294967295"]),
    ("regclass", &["pg_class"]),
    ("pg_lsn", &["16/B374D848"]),
    ("\"Odd Schema\".\"Mood!\"", &["it''s fine", "OK", "größe"]),
    ("\"Odd Schema\".\"Mood!\"[]", &["{OK}", "{}"]),
    ("label", &["abc", ""]),
    ("small", &["1", "99"]),
    ("pair", &["(1,\"a,b\")", "(,)"]),
    ("pair[]", &["{\"(1,a)\"}"]),
    ("xid", &["7"]),
];

const TYPES: &str = "CREATE SCHEMA \"Odd Schema\"; CREATE SCHEMA hidden; CREATE SCHEMA \"a.b\"; GRANT USAGE ON SCHEMA \"Odd Schema\", \"a.b\", public TO gate;
    CREATE TYPE \"Odd Schema\".\"Mood!\" AS ENUM ('OK', 'it''s fine', 'größe'); CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN small AS integer CHECK (VALUE < 100); CREATE DOMAIN label AS varchar(12);
    CREATE TABLE sound (id integer PRIMARY KEY, v text); INSERT INTO sound VALUES (1, 'a'); GRANT SELECT ON sound TO gate;\n";

struct Columns {
    columns: Vec<Column>,
    declared: Vec<String>,
    rows: Vec<String>,
}

fn columns(rng: &mut Rng) -> Columns {
    let mut taken = Vec::new();
    let mut found = Columns { columns: Vec::new(), declared: Vec::new(), rows: Vec::new() };
    let mut values: Vec<&[&str]> = Vec::new();
    for _ in 0..rng.between(1, 7) {
        let name = unique(rng, "c", &mut taken);
        let (declared, of_kind) = *rng.pick(KINDS);
        found.declared.push(format!("{} {declared}", quoted(&name)));
        found.columns.push(Column::of(name));
        values.push(of_kind);
    }
    for _ in 0..rng.below(8) {
        let cells = values.iter().map(|values| {
            let value = rng.pick(values);
            if rng.percent(15) { "NULL".to_owned() } else { format!("'{value}'") }
        });
        let row = cells.collect::<Vec<_>>().join(", ");
        found.rows.push(row);
    }
    found
}

/// As PostgreSQL cuts names.
fn cut(name: &str) -> String {
    name[..name.floor_char_boundary(63)].to_owned()
}

/// A name as PostgreSQL has it, which is none of those that are taken.
fn unique(rng: &mut Rng, plain: &str, taken: &mut Vec<String>) -> String {
    let mut name = cut(&names::name(rng, plain, &mut Vec::new(), &['\u{0}']));
    while taken.contains(&name) {
        name = cut(&format!("x{name}"));
    }
    taken.push(name.clone());
    name
}

/// Where a table lies, and what introspection calls it.
fn place(rng: &mut Rng, name: &str) -> (String, String) {
    match rng.below(4) {
        0 => (format!("\"Odd Schema\".{}", quoted(name)), format!("Odd Schema.{name}")),
        1 => (format!("\"a.b\".{}", quoted(name)), format!("a.b.{name}")),
        _ => (format!("public.{}", quoted(name)), name.to_owned()),
    }
}

/// Statements, and whether the table can be served.
fn table(rng: &mut Rng, sql_name: &str, number: usize) -> (String, Vec<Column>, Fate) {
    let grant = format!("GRANT SELECT ON {sql_name} TO gate;\n");
    let plain = |columns: &[&str]| columns.iter().map(|name| Column::of(*name)).collect::<Vec<_>>();
    match rng.below(16) {
        0 => (
            format!("CREATE TABLE {sql_name} (a int, twice int GENERATED ALWAYS AS (a * 2) STORED, gone text, b text DEFAULT 'x');
                ALTER TABLE {sql_name} DROP COLUMN gone; INSERT INTO {sql_name} (a) VALUES (1), (NULL); {grant}"),
            plain(&["a", "twice", "b"]),
            Fate::Served,
        ),
        1 => (
            format!("CREATE TABLE {sql_name} (id int, part text) PARTITION BY LIST (part);
                CREATE TABLE part_{number}_a PARTITION OF {sql_name} FOR VALUES IN ('a');
                CREATE TABLE part_{number}_b PARTITION OF {sql_name} DEFAULT;
                INSERT INTO {sql_name} VALUES (1, 'a'), (2, 'b'), (3, NULL); {grant}"),
            plain(&["id", "part"]),
            Fate::Served,
        ),
        2 => (
            format!("CREATE VIEW {sql_name} AS SELECT id, v, 1 / (id - 1) AS broken FROM sound; {grant}"),
            [plain(&["id", "v"]), vec![Column { name: "broken".to_owned(), may_go: true }]].concat(),
            Fate::Served,
        ),
        3 => (format!("CREATE TABLE {sql_name} (a int); INSERT INTO {sql_name} VALUES (1);\n"), plain(&["a"]), Fate::LeftOut("no right")),
        4 => (
            format!("CREATE TABLE {sql_name} (a int, secret int); GRANT SELECT (a) ON {sql_name} TO gate; INSERT INTO {sql_name} VALUES (1, 2);\n"),
            vec![Column::of("a"), Column { name: "secret".to_owned(), may_go: true }],
            Fate::Served,
        ),
        5 => (
            format!("CREATE VIEW {sql_name} AS SELECT * FROM sound; {grant}ALTER VIEW {sql_name} OWNER TO poor;\n"),
            plain(&["id", "v"]),
            Fate::LeftOut("a view without a right"),
        ),
        6 => (
            format!("CREATE MATERIALIZED VIEW {sql_name} AS SELECT id, upper(v) AS up FROM sound {}; {grant}",
                if rng.percent(50) { "WITH NO DATA" } else { "" }),
            plain(&["id", "up"]),
            Fate::MayBeLeftOut("a materialized view without data"),
        ),
        8 => (
            format!(
                "CREATE TABLE base_{number} (id int GENERATED ALWAYS AS IDENTITY, \"comment's\" text COLLATE \"de-x-icu\");
                CREATE TABLE {sql_name} (more int[]) INHERITS (base_{number}); REVOKE ALL ON base_{number} FROM gate;
                COMMENT ON TABLE {sql_name} IS 'it''s \"quoted\", with\na line'; COMMENT ON COLUMN {sql_name}.more IS '\\ ${{x}} 年';
                INSERT INTO {sql_name} (id, \"comment's\", more) VALUES (1, 'ä', '{{1}}'), (2, 'a', NULL); {grant}"
            ),
            plain(&["id", "comment's", "more"]),
            Fate::Served,
        ),
        9 => (
            format!(
                "CREATE TABLE {sql_name} (id int, owner text DEFAULT 'x', UNIQUE NULLS NOT DISTINCT (id));
                INSERT INTO {sql_name} VALUES (1, 'gate'), (NULL, 'gate'); ALTER TABLE {sql_name} ENABLE ROW LEVEL SECURITY;
                CREATE POLICY own ON {sql_name} TO gate USING (owner = current_user); {grant}"
            ),
            plain(&["id", "owner"]),
            Fate::Served,
        ),
        7 => (format!("CREATE TABLE {sql_name} (); {grant}"), Vec::new(), Fate::LeftOut("no columns")),
        _ => {
            let Columns { columns, declared, rows } = columns(rng);
            let mut sql = format!("CREATE TABLE {sql_name} ({});\n", declared.join(", "));
            rows.iter().for_each(|row| writeln!(sql, "INSERT INTO {sql_name} VALUES ({row});").unwrap());
            (sql + &grant, columns, Fate::Served)
        }
    }
}

/// Makes the role that the gates log in with, and one that may read nothing.
pub(crate) async fn prepare(server: &Server) {
    let password = PASSWORD.replace('\'', "''");
    let role = format!("CREATE ROLE gate LOGIN PASSWORD '{password}'; CREATE ROLE poor;");
    server.client("postgres").await.batch_execute(&role).await.unwrap();
}

pub(crate) async fn world(server: &Server, rng: &mut Rng, number: u64) -> World {
    let database = format!("world_{number}");
    let address = format!("postgres://gate@127.0.0.1:{}/{database}", server.port);
    let mut world = World::new(&[&address, "--password", "file:password"]);
    std::fs::write(world.folder.path().join("password"), PASSWORD).unwrap();
    let client = server.database(&database, "").await;
    client.batch_execute(&format!("SET standard_conforming_strings = on; {TYPES}")).await.unwrap();
    let mut taken = vec!["sound".to_owned()];
    let mut places =
        vec![("public.sound".to_owned(), "sound".to_owned(), vec![Column::of("id"), Column::of("v")], Fate::Served)];
    for number in 0..rng.between(4, 8) {
        let name = unique(rng, &format!("t{number}"), &mut taken);
        let (sql_name, remote) = place(rng, &name);
        let (sql, columns, fate) = table(rng, &sql_name, number);
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
        places.push((sql_name, remote, columns, fate));
    }
    for (sql_name, remote, columns, fate) in places {
        let rows = if matches!(fate, Fate::LeftOut(_)) { Vec::new() } else { printed(&client, &sql_name).await };
        world.made.push(Made { remote, columns, rows, fate });
    }
    world
}

/// What its own client prints. Of what cannot be read there are no rows.
async fn printed(client: &Client, sql_name: &str) -> Vec<Vec<Cell>> {
    client.batch_execute("SET TimeZone = 'UTC'").await.unwrap();
    let messages = match client.simple_query(&format!("SELECT * FROM {sql_name}")).await {
        Ok(messages) => messages,
        // Of a view with a broken column.
        Err(_) => client.simple_query(&format!("SELECT id, v, NULL FROM {sql_name}")).await.unwrap_or_default(),
    };
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let cell = |text: Option<&str>| text.map_or(Cell::Null, |text| Cell::Printed(text.to_owned()));
    rows.map(|row| (0..row.len()).map(|at| cell(row.get(at))).collect()).collect()
}
