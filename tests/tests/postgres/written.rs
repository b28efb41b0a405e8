//! Rows that are copied from the source to the client, against the same rows read and printed by the gate: alike to the byte, for
//! each type, in both forms, with the values that are hard to print.

use super::common::Server as Database;
use super::{PASSWORD, querygate};
use querygate_tests::server::{Frame, RawClient, Server, runtime};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const TABLE: &str = "
    CREATE TABLE kinds (nr bigint PRIMARY KEY, region text NOT NULL, b bool, s int2, i int4, l int8, f real, d double precision,
        n numeric(12,2), w numeric(6,0), t text, v varchar(60), c char(8), u uuid, y bytea, da date, ti time, ts timestamp,
        tz timestamptz, a text[]);
    INSERT INTO kinds SELECT 1, 'north', true, 7, -8, 9, 0.1, 123456789012345.678, 12.30, 123456, 'plain', 'Ärger 🦀', 'ab',
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff41', '2024-02-29', '13:14:15.5', '2024-02-29 13:14:15.123456',
        '2024-02-29 13:14:15.12+02', '{a,NULL,\"b c\"}';
    INSERT INTO kinds (nr, region) VALUES (2, 'north');
    INSERT INTO kinds SELECT 3, 'north', false, -32768, -2147483648, -9223372036854775808, -0.0, -0.0, 0, 0, '', '', '', NULL, '',
        '0001-01-01', '00:00', '0001-01-01 00:00:00', '1900-01-01 00:00:00+00', '{}';
    INSERT INTO kinds SELECT 4, 'north', true, 32767, 2147483647, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308,
        9999999999.99, -999999, E'tab\\t, \"quote\", \\\\ back', E'line\\nline\\r', '  x', NULL, '\\x5c27', '9999-12-31',
        '23:59:59.999999', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00', '{\"\"}';
    INSERT INTO kinds (nr, region, f, d, n, da, ts, tz) VALUES (5, 'north', 'NaN', 'NaN', 'NaN', 'infinity', 'infinity', '-infinity'),
        (6, 'north', 'Infinity', '-Infinity', -0.01, '0044-03-15 BC', '0044-03-15 01:02:03 BC', '0044-03-15 01:02:03+00 BC'),
        (7, 'north', 1e-45, 4.9406564584124654e-324, -1234567890.12, '5874897-12-31', '294276-12-31 23:59:59.999999', '10000-01-01 00:00+00'),
        (8, 'north', 16777216, 9007199254740993, 0.5, '1999-12-31', '2000-01-01 00:00', '1883-11-18 12:00:00+00'),
        (9, 'south', 1, 1, 1, '2024-01-01', '2024-01-01', '2024-01-01');
    INSERT INTO kinds (nr, region, ti, d, f) VALUES (10, 'north', '24:00', 1e23, 1234567.8),
        (11, 'north', '01:02:03.000001', 0.00001, 0.0001), (12, 'north', '00:00:00.1', 1e15, 1e6);
    ANALYZE;
";

const COLUMNS: [&str; 17] = ["b", "s", "i", "l", "f", "d", "n", "w", "t", "v", "c", "u", "da", "ti", "ts", "tz", "a"];

fn configured(folder: &Path, database: &Database) {
    let metadata = folder.join("metadata");
    let address = format!("postgres://postgres@127.0.0.1:{}/shop", database.port);
    querygate(&["introspect", &address, "--password", "env:SHOP_PASSWORD", "-o", metadata.to_str().unwrap()]);
    let file = metadata.join("shop.json");
    let mut stack: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    stack["packages"][0]["manifest"]["permissions"][0]["rowLevelSecurity"] = serde_json::json!([{
        "name": "own_region", "object": "shop_kinds", "operation": "select", "using": "region == current_user.region",
    }]);
    std::fs::write(&file, stack.to_string()).unwrap();
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    let verifier = postgres_protocol::password::scram_sha_256(b"demo-nora");
    let config = format!(
        "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"shop\"\nkind = \"postgres\"\n\
         host = \"127.0.0.1\"\nport = {}\nuser = \"postgres\"\ndatabase = \"shop\"\npassword = \"file:password\"\n\
         pool_size = 4\n[[users]]\nname = \"nora\"\nverifier = \"{verifier}\"\nuser_id = \"nora\"\n\
         permission_sets = [\"shop_reader\"]\nattributes = {{ region = \"north\" }}\n",
        database.port,
    );
    std::fs::write(folder.join("querygate.toml"), config).unwrap();
}

/// Runs a statement with one value, all columns in one form; gives every message up to ReadyForQuery.
fn ask(client: &mut RawClient, sql: &str, value: &str, form: u8) -> Vec<Frame> {
    client.send(b'P', format!("\0{sql}\0\0\0").as_bytes());
    let mut bind = b"\0\0\0\0\0\x01".to_vec();
    bind.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
    bind.extend(value.as_bytes());
    bind.extend([0, 1, 0, form]);
    client.send(b'B', &bind);
    client.send(b'E', &[0; 5]);
    client.send(b'S', b"");
    client.read_until(b'Z')
}

/// Rows that were copied, so far.
fn copied(server: &Server) -> u64 {
    let metrics = server.get("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix("querygate_pgwire_rows_copied_total "));
    line.map_or(0, |count| count.trim().parse().unwrap())
}

/// Whether the row of a statement is copied.
fn copies(client: &mut RawClient, server: &Server, sql: &str, form: u8) -> bool {
    let before = copied(server);
    ask(client, sql, "1", form);
    copied(server) > before
}

#[test]
fn copied_rows_are_those_that_the_gate_would_print() {
    let Some(database) = Database::start() else { return };
    runtime().block_on(async {
        let admin = database.database("shop", "").await;
        admin.batch_execute(TABLE).await.unwrap();
    });
    let folder = TempDir::new().unwrap();
    configured(folder.path(), &database);
    let server = Server::serve(&folder.path().join("querygate.toml"));
    let mut client = RawClient::login(server.postgres, "nora");
    client.tcp.set_nodelay(true).unwrap();
    // The first connection that is shared opens beside those who ask.
    let opened = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        copies(&mut client, &server, "SELECT region FROM kinds WHERE nr = $1", 0)
    });
    assert!(opened, "no row is copied");
    let mut found = Vec::new();
    for column in COLUMNS {
        for form in [0, 1] {
            // A statement for each form: what cannot be copied ends the copying of its statement's rows.
            let list = if form == 0 { format!("nr, {column}") } else { format!("{column}, nr") };
            let by_key = format!("SELECT {list} FROM kinds WHERE nr = $1");
            let by_value = format!("SELECT {list} FROM kinds WHERE nr + 0 = $1");
            (0..3).for_each(|_| drop(ask(&mut client, &by_key, "1", form)));
            let text = format!("SELECT {column} FROM kinds WHERE nr = $1");
            // Planned, then prepared at the source.
            (0..3).for_each(|_| drop(ask(&mut client, &text, "1", form)));
            if copies(&mut client, &server, &text, form) {
                found.push(format!("{column}{form}"));
            }
            for id in [1, 2, 3, 4, 8, 9, 11, 12, 5, 6, 7, 10] {
                let read = ask(&mut client, &by_value, &id.to_string(), form);
                let hidden = read.iter().all(|frame| frame.tag != b'D' && frame.tag != b'E');
                assert_eq!(hidden, id == 9, "{column} {id}: {read:?}");
                for round in 0..2 {
                    let looked_up = ask(&mut client, &by_key, &id.to_string(), form);
                    assert_eq!(looked_up, read, "{column} of {id} in form {form}, {round}");
                }
            }
        }
    }
    // A uuid is read as its text, in the gate.
    let expected = "b0 b1 s0 s1 i0 i1 l0 l1 f0 f1 d0 d1 n0 w0 t0 t1 v0 v1 c0 c1 da0 da1 ti0 ti1 ts0 ts1 tz0 tz1";
    assert_eq!(found.join(" "), expected);
    let_settings_be_followed(&mut client, &server);
}

/// Settings that print values in another way are the client's, not the source's.
fn let_settings_be_followed(client: &mut RawClient, server: &Server) {
    for (setting, column) in [("extra_float_digits = 0", "d"), ("TimeZone = 'Asia/Tokyo'", "tz")] {
        let by_key = format!("SELECT {column} FROM kinds WHERE nr = $1");
        let by_value = format!("SELECT {column} FROM kinds WHERE nr + 0 = $1");
        assert!(copies(client, server, &by_key, 0), "{column}");
        let usual = ask(client, &by_key, "1", 0);
        client.query(&format!("SET {setting}"));
        client.read_until(b'Z');
        assert!(!copies(client, server, &by_key, 0), "{setting}");
        let printed = ask(client, &by_key, "1", 0);
        assert_eq!(printed, ask(client, &by_value, "1", 0), "{setting}");
        assert_ne!(printed, usual, "{setting}");
        client.query("RESET ALL");
        client.read_until(b'Z');
    }
    // Alone, a setting of another kind changes nothing.
    client.query("SET application_name = 'x'");
    client.read_until(b'Z');
    assert!(copies(client, server, "SELECT t FROM kinds WHERE nr = $1", 0));
}
