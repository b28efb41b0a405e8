//! Columns that are arrays, introspected as they are: every statement is asked of the gate and of the source itself, and both must say
//! the same, in text and in binary. What a list of ours does not hold is an error that names its column.

use super::common::Server as Database;
use super::{PASSWORD, querygate, refused};
use querygate_tests::server::{Server, psql, psql_with, runtime};
use std::error::Error;
use std::path::Path;
use tempfile::TempDir;
use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, Type};

const TABLES: &str = "
    CREATE TABLE lists (nr int PRIMARY KEY, s int2[], i int4[] NOT NULL, l int8[], f real[], d float8[], b bool[], n numeric(10,2)[],
        da date[], ti time[], ts timestamp[], tz timestamptz[], y bytea[], t text[], u uuid[], v varchar(9)[]);
    INSERT INTO lists VALUES (1, '{1,NULL,-32768}', '{3,1,2}', '{9223372036854775807,-1}', '{0.1,NaN,-0,1e30}',
        '{0.1,Infinity,1e-300}', '{t,f,NULL}', '{1.5,NULL,-12345678.90}', '{2024-02-29,0001-01-01,NULL}', '{13:14:15.5,00:00}',
        '{2024-02-29 13:14:15.123456,NULL}', '{2024-02-29 13:14:15.12+02}', '{\"\\\\x00ff\",NULL,\"\\\\x\"}', '{a,NULL,\"b c\",\"\"}',
        '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}', '{x}');
    INSERT INTO lists (nr, i) VALUES (2, '{}');
    INSERT INTO lists VALUES (3, '{}', '{2,1}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
    INSERT INTO lists (nr, i, s, l, n, da, b) VALUES (4, '{3,1,2}', '{7}', '{9223372036854775807,-1}', '{1.50}', '{2024-02-29}', '{t}'),
        (5, '{3,1,NULL}', '{NULL}', '{1,2,3}', '{0.00,1}', NULL, '{f,t}');
    CREATE TABLE odd (nr int PRIMARY KEY, i int4[], t text[], w numeric[]);
    INSERT INTO odd VALUES (1, '{{1,2},{3,4}}', '{{a,b}}', '{1.234}'), (2, '[0:1]={5,6}', '[2:2]={c}', '{10,NULL}'), (3, '{1}', '{d}', '{}');
";

/// Answered alike by the source, row for row and letter for letter.
const ALIKE: &[&str] = &[
    "SELECT nr, s, i, l, f, d, b, n, da, ti, ts, tz, y, t, u, v FROM lists ORDER BY nr",
    "SELECT pg_typeof(s), pg_typeof(i), pg_typeof(l), pg_typeof(f), pg_typeof(d), pg_typeof(b), pg_typeof(n), pg_typeof(da), \
     pg_typeof(ti), pg_typeof(ts), pg_typeof(tz), pg_typeof(y) FROM lists LIMIT 1",
    "SELECT pg_typeof(s[1]), pg_typeof(n[1]), pg_typeof(tz[1]), pg_typeof(i || 1) FROM lists LIMIT 1",
    "SELECT nr, s[1], i[2], l[1], f[2], d[1], b[2], n[1], da[1], ti[1], ts[1], tz[1], y[1], i[9] FROM lists ORDER BY nr",
    "SELECT nr, i[1:2], n[1:1] FROM lists ORDER BY nr",
    "SELECT nr FROM lists WHERE 2 = ANY(i) ORDER BY nr",
    "SELECT nr, 3 = ANY(i), 4 <> ALL(i), 7 = ANY(s), 1.5 = ANY(n), DATE '2024-02-29' = ANY(da) FROM lists ORDER BY nr",
    "SELECT nr FROM lists WHERE nr = ANY(i) ORDER BY nr",
    "SELECT nr, array_length(i, 1), cardinality(s), array_length(s, 1), array_upper(i, 1), array_dims(i) FROM lists ORDER BY nr",
    "SELECT nr, unnest(i) FROM lists ORDER BY 1, 2",
    "SELECT x, count(*) FROM lists, unnest(i) AS u(x) GROUP BY 1 ORDER BY 1",
    "SELECT sum(x), min(x), max(x) FROM lists, unnest(n) AS u(x)",
    "SELECT nr, (SELECT sum(x) FROM unnest(i) x), EXISTS (SELECT 1 FROM unnest(i) x WHERE x > 2) FROM lists ORDER BY nr",
    "SELECT array_agg(i ORDER BY nr) FROM lists WHERE cardinality(i) = 3",
    "SELECT array_agg(i[1] ORDER BY nr) FROM lists",
    "SELECT nr FROM lists WHERE i @> '{3,2}' ORDER BY nr",
    "SELECT nr FROM lists WHERE i @> ARRAY[3,2] OR i && '{7}' ORDER BY nr",
    "SELECT nr FROM lists WHERE i <@ ARRAY[1,2,3,4] ORDER BY nr",
    "SELECT nr FROM lists WHERE d @> '{0.1}' AND f @> '{0.1}' AND n @> '{1.5}' AND b @> '{t}' AND da @> '{2024-02-29}'",
    "SELECT nr FROM lists WHERE tz @> '{2024-02-29 11:14:15.12+00}'",
    "SELECT nr FROM lists WHERE i = '{3,1,2}' ORDER BY nr",
    "SELECT nr FROM lists WHERE i = ARRAY[3,1,2] AND l <> '{1}' ORDER BY nr",
    "SELECT nr FROM lists WHERE n = '{1.5}' OR ts = '{2024-02-29 13:14:15.123456,NULL}' ORDER BY nr",
    "SELECT nr FROM lists WHERE i IN ('{3,1,2}', '{2,1}') ORDER BY nr",
    "SELECT nr FROM lists WHERE s IS NULL ORDER BY nr",
    "SELECT nr, i FROM lists WHERE i >= '{3,1}' ORDER BY i DESC, nr",
    "SELECT nr FROM lists ORDER BY t, nr",
    "SELECT nr FROM lists ORDER BY n DESC, nr LIMIT 4",
    "SELECT nr FROM lists ORDER BY l NULLS FIRST, nr LIMIT 4",
    "SELECT a.nr, b.nr FROM lists a JOIN lists b ON a.l < b.l ORDER BY 1, 2",
    "SELECT i, count(*), count(DISTINCT l) FROM lists GROUP BY i ORDER BY i",
    "SELECT DISTINCT l FROM lists ORDER BY 1 DESC",
    "SELECT nr, i FROM lists UNION SELECT nr, i FROM lists ORDER BY 1",
    "SELECT a.nr, b.nr FROM lists a JOIN lists b ON a.i = b.i WHERE a.nr < b.nr ORDER BY 1, 2",
    "SELECT count(s), count(*), count(DISTINCT i), max(i), min(l), max(n) FROM lists",
    "SELECT nr, i || 7, i || '{8,9}', 0 || i, array_append(i, 5), array_cat(i, i) FROM lists ORDER BY nr",
    "SELECT nr, array_position(i, 1), array_remove(i, 1), array_replace(i, 3, 30), array_to_string(i, '-', '*') FROM lists ORDER BY nr",
    "SELECT nr, coalesce(s, '{5}'), CASE WHEN nr = 1 THEN i ELSE '{9}' END FROM lists ORDER BY nr",
    "SELECT i::text, n::text, b::text, s::int[], i::text[], n::float8[] FROM lists ORDER BY nr",
    "SELECT tz::text, ts::text, y::text, ti::text, da::text, d::text FROM lists ORDER BY nr",
    "PREPARE c(int[]) AS SELECT nr, coalesce(i, $1) FROM lists ORDER BY nr; EXECUTE c('{2}')",
    "SELECT to_json(i), to_jsonb(n), array_to_json(l) FROM lists WHERE nr = 4",
    "SET TimeZone = 'America/New_York'; SELECT tz, tz[1], ts FROM lists WHERE nr = 1",
    "PREPARE a AS SELECT nr FROM lists WHERE i = $1 ORDER BY 1; EXECUTE a('{3,1,2}')",
    "PREPARE b AS SELECT nr FROM lists WHERE $1 = ANY(i) ORDER BY 1; EXECUTE b(1)",
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod, a.attndims FROM pg_attribute a \
     WHERE attrelid = 'lists'::regclass AND attnum BETWEEN 1 AND 13 ORDER BY attnum",
    "SELECT i, t FROM odd WHERE nr = 3",
    "SELECT count(*), count(i) FROM odd",
];

/// A cell as it came.
#[derive(Debug, PartialEq)]
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Types and cells in binary.
async fn binary_of(client: &Client, sql: &str) -> (Vec<Type>, Vec<Vec<Option<Raw>>>) {
    let statement = client.prepare(sql).await.unwrap();
    let types = statement.columns().iter().map(|column| column.type_().clone()).collect::<Vec<_>>();
    let rows = client.query(&statement, &[]).await.unwrap();
    (types, rows.iter().map(|row| (0..row.len()).map(|place| row.get(place)).collect()).collect())
}

fn configured(folder: &Path, database: &Database) -> String {
    let metadata = folder.join("metadata");
    let address = format!("postgres://postgres@127.0.0.1:{}/demo", database.port);
    let said =
        querygate(&["introspect", &address, "--password", "env:SHOP_PASSWORD", "-o", metadata.to_str().unwrap()]);
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    let verifier = postgres_protocol::password::scram_sha_256(b"demo-ann");
    let config = format!(
        "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"demo\"\nkind = \"postgres\"\n\
         host = \"127.0.0.1\"\nport = {}\nuser = \"postgres\"\ndatabase = \"demo\"\npassword = \"file:password\"\n\
         [[users]]\nname = \"ann\"\nverifier = \"{verifier}\"\npermission_sets = [\"demo_reader\"]\n",
        database.port,
    );
    std::fs::write(folder.join("querygate.toml"), config).unwrap();
    said
}

#[test]
fn arrays_are_what_they_are_in_the_source() {
    let Some(database) = Database::start() else { return };
    let admin = runtime().block_on(async {
        let admin = database.database("demo", "").await;
        admin.batch_execute(TABLES).await.unwrap();
        admin
    });
    let folder = TempDir::new().unwrap();
    let said = configured(folder.path(), &database);
    for part in ["with 3 places: odd.w (numeric[]) as numeric(38,3)[]", "as list of texts: lists.u (uuid[])"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("as text") && !said.contains("lists.v") && !said.contains("lists.i"), "{said}");
    let server = Server::serve(&folder.path().join("querygate.toml"));
    let source = format!("127.0.0.1:{}", database.port).parse().unwrap();
    for sql in ALIKE {
        let expected = psql_with(source, "postgres", PASSWORD, "disable", &["-A", "-c", sql]);
        assert!(expected.success, "{sql}: {}", expected.err);
        let read = psql(&server, "ann", &["-A", "-c", sql]);
        assert_eq!(read.out, expected.out, "{sql}: {}", read.err);
    }
    runtime().block_on(async {
        let client = server.client("ann").await;
        for columns in ["s, i, l, f, d, b, n, da, ti, ts, tz, y, t", "s[1], n[1], ts[1], tz[1], y[1], i || 7"] {
            let sql = format!("SELECT {columns} FROM lists ORDER BY nr");
            assert_eq!(binary_of(&client, &sql).await, binary_of(&admin, &sql).await, "{sql}");
        }
        for parameter in [vec![3, 1, 2], vec![]] {
            let sql = "SELECT nr FROM lists WHERE i = $1 ORDER BY nr";
            let numbers = async |client: &Client| {
                let rows = client.query(sql, &[&parameter]).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>()
            };
            assert_eq!(numbers(&client).await, numbers(&admin).await);
        }
    });
    refuse_other_shapes(&server);
}

/// Dimensions and bounds that a list does not have.
fn refuse_other_shapes(server: &Server) {
    let error = refused(server, "ann", "SELECT nr FROM odd WHERE i[1] = 1");
    assert!(error.contains("an array of arrays"), "{error}");
    for (sql, what, column) in [
        ("SELECT i FROM odd WHERE nr = 1", "an array of arrays", "i"),
        ("SELECT i FROM odd WHERE nr = 2", "an array whose first index is not 1", "i"),
        ("SELECT t FROM odd WHERE nr = 1", "an array of arrays", "t"),
        ("SELECT nr, t FROM odd WHERE nr = 2", "an array whose first index is not 1", "t"),
        ("SELECT w, i AS own FROM odd ORDER BY nr", "an array of arrays", "own"),
    ] {
        let error = refused(server, "ann", sql);
        let (what, column) =
            (format!("22000: source \"demo\" holds {what}"), format!("It is in column \"{column}\" of table"));
        assert!(error.contains(&what) && error.contains(&column), "{sql}: {error}");
    }
}
