//! Values there and back: what is sent is stored as INSERT stores it, what is read and written back changes nothing.

use crate::own::Gate;
use querygate_tests::server::runtime;
use serde_json::{Value, json};

const STACK: &str = r#"
manifest: { id: com.example.shop, namespace: shop, version: 1.0.0, type: app, name: Shop, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - name: shop_kinds
    label: Kind
    datasource: shop
    external: { remoteName: kinds, writable: true }
    sharingModel: public_read_write
    systemFields: false
    fields:
      id: { type: number }
      s: { type: number }
      i: { type: number }
      l: { type: number }
      r: { type: number }
      d: { type: number }
      m: { type: number }
      b: { type: boolean }
      t: { type: text }
      y: { type: file }
      z: { type: text }
      da: { type: date }
      ti: { type: time }
      ts: { type: datetime }
      tz: { type: datetime }
      j: { type: json }
      a: { type: tags }
querygate:
  tables:
    shop_kinds:
      primaryKey: [id]
      columnTypes: { id: bigint, s: smallint, i: integer, l: bigint, r: real, d: double precision, m: "numeric(38,8)", y: bytea,
        z: bytea, ts: timestamp, tz: timestamptz }
permissions:
  - name: shop_manager
    label: Everything
    objects:
      "*": { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, allowExport: true, viewAllRecords: true, modifyAllRecords: true }
  - name: shop_reader
    label: Reads
    objects:
      shop_kinds: { allowRead: true }
"#;

const ROWS: &str = "CREATE TABLE kinds(id INTEGER PRIMARY KEY NOT NULL, s SMALLINT, i INT4, l BIGINT, r FLOAT4, d DOUBLE,
    m DECIMAL_TEXT(38,8), b BOOLEAN, t TEXT, y BLOB, z BLOB, da DATE_TEXT, ti TIME_TEXT, ts TIMESTAMP_TEXT, tz TIMESTAMPTZ_TEXT, j TEXT,
    a LIST_TEXT);";

const COLUMNS: &str = "id, s, i, l, r, d, m, b, t, y, z, da, ti, ts, tz, a, j";

const PATH: &str = "/data/shop_kinds";

fn gate() -> Gate {
    Gate::of(STACK, ROWS, "")
}

/// Cells of a row as SQL prints them.
fn cells(gate: &Gate, columns: &str, id: i64) -> Vec<Option<String>> {
    runtime().block_on(async {
        let client = gate.sql("nora").await;
        let rows = client.simple_query(&format!("SELECT {columns} FROM kinds WHERE id = {id}")).await.unwrap();
        let row = rows.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let row = row.unwrap();
        (0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()
    })
}

fn insert(gate: &Gate, columns: &str, values: &str) {
    runtime().block_on(async {
        let client = gate.sql("nora").await;
        client.batch_execute(&format!("INSERT INTO kinds ({columns}) VALUES {values}")).await.unwrap();
    });
}

/// Doubles without a pattern. SQLite itself keeps no sign of zero.
fn doubles(count: usize) -> Vec<f64> {
    let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
    let mut found = vec![
        0.0,
        0.1,
        1e23,
        10_928_588.983_213_553,
        -1.407_470_518_826_136_4e113,
        5.780_402_177_141_150_6e-220,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::from_bits(1),
        -f64::from_bits(1),
        9_007_199_254_740_993.0,
        1e21,
        1e-7,
    ];
    while found.len() < count {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let double = f64::from_bits(bits ^ (bits >> 29));
        if double.is_finite() {
            found.push(double);
        }
    }
    found
}

#[test]
fn doubles_are_stored_bit_for_bit() {
    let gate = gate();
    let given = doubles(1_000);
    for (part, doubles) in given.chunks(100).enumerate() {
        let record =
            |(at, double): (usize, &f64)| format!("{{\"id\":{},\"d\":{double:e},\"j\":[{double}]}}", part * 100 + at);
        let body = format!("[{}]", doubles.iter().enumerate().map(record).collect::<Vec<_>>().join(","));
        let request = querygate_tests::server::Request::new("POST", &format!("/api/v1{PATH}/createMany"));
        let request = request.header("authorization", &format!("Bearer {}", gate.token("nora")));
        let made = gate.send(request.text("application/json", &body));
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let by_sql: Vec<f64> = runtime().block_on(async {
        let client = gate.sql("nora").await;
        let rows = client.query("SELECT d FROM kinds ORDER BY id", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    });
    let listed = gate.ask("nora", "GET", &format!("{PATH}?sort=id&limit=1000&select=id,d,j"), None).text();
    let listed = querygate_types::json::value::value(&listed).unwrap();
    for (at, double) in given.iter().enumerate() {
        let record = &listed["records"][at];
        assert_eq!(by_sql[at].to_bits(), double.to_bits(), "{double:e} by SQL is {:e}", by_sql[at]);
        assert_eq!(record["d"].as_f64().unwrap().to_bits(), double.to_bits(), "{double:e}: {record}");
        assert_eq!(record["j"][0].as_f64().unwrap(), *double, "{double:e}: {record}");
    }
    let changed = gate.ask("nora", "PATCH", &format!("{PATH}/5"), Some(&json!({"d": 122.416_294_033_786_58})));
    assert_eq!(changed.json()["record"]["d"], json!(122.416_294_033_786_58), "{}", changed.text());
    assert_eq!(cells(&gate, "d", 5), [Some("122.41629403378658".to_owned())]);
}

/// What INSERT takes of each type, and the same as REST says it.
const SAME: [(&str, &str); 4] = [
    (
        r#"7, -8, 9007199254740993, 0.1, 0.1, 12345678901234567890.12345678, true, 'A é 😀', '\x00ff', '\x41c3a9', '2024-02-29',
        '13:14:15.5', '2024-02-29 13:14:15.123', '2024-02-29 13:14:15.123+00', '{a,b c}', '{"n":[1,0.1]}'"#,
        r#""s":7,"i":-8,"l":9007199254740993,"r":0.1,"d":0.1,"m":12345678901234567890.12345678,"b":true,"t":"A é 😀","y":"\\x00ff",
        "z":"\\x41c3a9","da":"2024-02-29","ti":"13:14:15.500","ts":"2024-02-29T13:14:15.123Z",
        "tz":"2024-02-29T13:14:15.123Z","j":{"n":[1,0.1]},"a":["a","b c"]"#,
    ),
    (
        r"32767, 2147483647, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308, 999999999999999999999999999999.99999999, false,
        '', '\x', '\x5c27', '9999-12-31', '23:59:59.999', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59.999+00', '{}', '[]'",
        r#""s":32767,"i":2147483647,"l":9223372036854775807,"r":3.4028235e38,"d":1.7976931348623157e308,
        "m":999999999999999999999999999999.99999999,"b":false,"t":"","y":"\\x","z":"\\x5c27","da":"9999-12-31","ti":"23:59:59.999",
        "ts":"9999-12-31T23:59:59.999Z","tz":"9999-12-31T23:59:59.999Z","j":[],"a":[]"#,
    ),
    (
        r#"-32768, -2147483648, -9223372036854775808, -0.0, -0.0, -1.005, NULL, '"\\', 'abc', '\x0a', '1970-01-01', '00:00:00',
        '1970-01-01 00:00:00', '1970-01-01 00:00:00+00', '{"\""}', '"x"'"#,
        r#""s":-32768,"i":-2147483648,"l":-9223372036854775808,"r":-0.0,"d":-0,"m":-1.005,"b":null,"t":"\"\\\\","y":"abc","z":"\\x0A",
        "da":"1970-01-01","ti":"00:00:00","ts":"1970-01-01T00:00:00.000Z","tz":"1970-01-01T01:00:00.000+01:00","j":"x","a":["\""]"#,
    ),
    (
        "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
        r#""s":null,"y":null"#,
    ),
];

#[test]
fn what_is_sent_is_stored_as_insert_stores_it() {
    let gate = gate();
    let all = "s, i, l, r, d, m, b, t, y, z, da, ti, ts, tz, a, j";
    let bearer = format!("Bearer {}", gate.token("nora"));
    let send = |method: &str, path: &str, body: &str| {
        let request = querygate_tests::server::Request::new(method, &format!("/api/v1{path}"));
        gate.send(request.header("authorization", &bearer).text("application/json", body))
    };
    for (at, (sql, rest)) in (1_i64..).step_by(10).zip(SAME) {
        insert(&gate, COLUMNS, &format!("({at}, {sql})"));
        let made = send("POST", PATH, &format!("{{\"id\":{},{rest}}}", at + 1));
        assert_eq!(made.status, 201, "{}", made.text());
        let wanted = cells(&gate, all, at);
        assert_eq!(cells(&gate, all, at + 1), wanted, "{rest}");
        // As it was read, written back; and as a new one.
        let read = send("GET", &format!("{PATH}/{at}"), "").text();
        let record = read.split_once("\"record\":").unwrap().1;
        let record = record.strip_suffix('}').unwrap();
        let changed = send("PATCH", &format!("{PATH}/{at}"), record);
        assert_eq!(changed.status, 200, "{record}: {}", changed.text());
        assert_eq!(cells(&gate, all, at), wanted, "{record}");
        let other = record.replacen(&format!("\"id\":{at}"), &format!("\"id\":{}", at + 2), 1);
        let made = send("POST", PATH, &other);
        assert_eq!(made.status, 201, "{other}: {}", made.text());
        assert_eq!(cells(&gate, all, at + 2), wanted, "{other}");
        let id = |id: i64| [format!("\"id\":\"{id}\""), format!("\"id\":{id},")];
        let read_back = send("GET", &format!("{PATH}/{}", at + 2), "").text();
        let [as_text, as_number] = id(at);
        let [new_as_text, new_as_number] = id(at + 2);
        assert_eq!(read_back.replace(&new_as_text, &as_text).replace(&new_as_number, &as_number), read);
    }
}

#[test]
fn bytes_have_one_form() {
    let gate = gate();
    for (id, sql, text) in [(1, r"'\x00ff'", r"\x00ff"), (2, r"'\x41c3a9'", r"\x41c3a9"), (3, r"'\x'", r"\x")] {
        insert(&gate, "id, y", &format!("({id}, {sql})"));
        assert_eq!(gate.get("nora", &format!("{PATH}/{id}"))["record"]["y"], json!(text));
    }
    insert(&gate, "id", "(4)");
    let found = |filter: Value| {
        let answer = gate.ask("nora", "POST", &format!("{PATH}/query"), Some(&json!({"where": filter})));
        (answer.status, answer.json()["total"].clone())
    };
    for (filter, count) in [
        (json!({"y": null}), 1),
        (json!({"y": {"$eq": null}}), 1),
        (json!({"y": {"$ne": null}}), 3),
        (json!({"y": {"$null": false}}), 3),
        (json!({"y": {"$exists": false}}), 1),
    ] {
        assert_eq!(found(filter.clone()), (200, json!(count)), "{filter}");
    }
    for filter in [json!({"y": "\\x00ff"}), json!({"y": {"$contains": "A"}}), json!({"y": {"$in": ["\\x00ff"]}})] {
        assert_eq!(found(filter.clone()).0, 400, "{filter}");
    }
    for wrong in
        [json!("\\x0"), json!("\\xzz"), json!("a\\b"), json!(5), json!(true), json!(["\\x00"]), json!({"a": 1})]
    {
        let refused = gate.ask("nora", "PATCH", &format!("{PATH}/1"), Some(&json!({"y": wrong})));
        assert_eq!(
            (refused.status, &refused.json()["fields"][0]["field"]),
            (400, &json!("y")),
            "{wrong}: {}",
            refused.text()
        );
    }
    assert_eq!(gate.get("nora", &format!("{PATH}/1"))["record"]["y"], json!("\\x00ff"));
    let export = gate.ask("nora", "GET", &format!("{PATH}/export?format=csv&fields=y"), None).text();
    assert!(export.contains("\\x00ff\r\n\\x41c3a9\r\n\\x\r\n"), "{export}");
    let described = gate.get("nora", "/openapi.json");
    let field = &described["components"]["schemas"]["record.shop_kinds"]["properties"]["y"];
    assert!(field["pattern"].is_string() && field["description"].as_str().unwrap().contains("hexadecimal"), "{field}");
}

/// What INSERT keeps of documents and instants, and no double of: for each the document, the instant and the time of day.
const DIGITS: [[&str; 3]; 6] = [
    [
        r#"{"x":12345678901234567890123.5,"y":1.10,"z":0.1234567890123456789}"#,
        "2026-01-01T00:00:00.123456Z",
        "13:14:15.123456",
    ],
    ["[18446744073709551616, 1e400, -0, 1.0, 1E2]", "2026-01-01T00:00:00.999999Z", "23:59:59.999999"],
    [r#"{"a": {"b" : [ ]} , "n":[1.50]}"#, "1969-12-31T23:59:59.000001Z", "00:00:00.000001"],
    [r#""\u00e9 \/""#, "2026-01-01T00:00:00.120Z", "13:14:15.120"],
    ["3.1400", "2026-01-01T00:00:00.000Z", "13:14:15"],
    ["99999999999999999999", "0001-01-01T00:00:00.000001Z", "00:00:00"],
];

/// Instants with the type of their column, and without one.
fn stacks() -> [String; 2] {
    let types = ", ts: timestamp, tz: timestamptz";
    assert!(STACK.contains(types));
    [STACK.to_owned(), STACK.replace(types, "")]
}

/// Columns whose times are texts as they are written.
fn rows_of_microseconds() -> String {
    ["TIMESTAMP", "TIMESTAMPTZ", "TIME"]
        .iter()
        .fold(ROWS.to_owned(), |rows, name| rows.replace(&format!("{name}_TEXT"), name))
}

/// As INSERT stores it, by every way in which REST makes and changes a record; and as it was read, written back.
/// Datetimes before the year 1000 are stored.
const EARLY_YEARS: &str = "protocol = \"17.4\"\n";

#[test]
fn digits_of_documents_and_instants_are_kept() {
    stacks()
        .iter()
        .for_each(|stack| digits_are_kept(&Gate::with_metadata(stack, &rows_of_microseconds(), EARLY_YEARS)));
}

fn digits_are_kept(gate: &Gate) {
    let bearer = format!("Bearer {}", gate.token("nora"));
    let send = |method: &str, path: &str, body: &str| {
        let request = querygate_tests::server::Request::new(method, &format!("/api/v1{path}"));
        let answer = gate.send(request.header("authorization", &bearer).text("application/json", body));
        assert!(matches!(answer.status, 200 | 201), "{method} {path} {body}: {}", answer.text());
        let told = answer.json();
        assert!(told["success"] != json!(false) && told["errors"].as_u64().unwrap_or(0) == 0, "{body}: {told}");
        answer.text()
    };
    let stored = |id: i64| cells(gate, "j, ts, tz, ti", id);
    for (id, [document, instant, time]) in (100_i64..).step_by(100).zip(DIGITS) {
        // No double is that large, and a body with such a number is refused.
        let document = document.replace(" 1e400,", "");
        insert(gate, "id, j, ts, tz, ti", &format!("({id}, '{document}', '{instant}', '{instant}', '{time}')"));
        let wanted = stored(id);
        assert_eq!(wanted[0].as_deref(), Some(document.as_str()));
        let read = send("GET", &format!("{PATH}/{id}"), "");
        let record = read.split_once("\"record\":").unwrap().1.strip_suffix('}').unwrap().to_owned();
        send("PATCH", &format!("{PATH}/{id}"), &record);
        assert_eq!(stored(id), wanted, "{record}");
        let values = format!("\"j\":{document},\"ts\":\"{instant}\",\"tz\":\"{instant}\",\"ti\":\"{time}\"");
        let record = |at: i64| format!("{{\"id\":{},{values}}}", id + at);
        let data = |at: i64| format!("{{\"id\":{},\"data\":{{{values}}}}}", id + at);
        send("POST", PATH, &record(1));
        send("POST", &format!("{PATH}/createMany"), &format!("[{},{}]", record(2), record(3)));
        let made: Vec<String> = (4..10).map(|at| format!("{{\"id\":{}}}", id + at)).collect();
        send("POST", &format!("{PATH}/createMany"), &format!("[{}]", made.join(",")));
        send("PATCH", &format!("{PATH}/{}", id + 4), &format!("{{{values}}}"));
        send("POST", &format!("{PATH}/updateMany"), &format!("{{\"records\":[{},{}]}}", data(5), data(6)));
        let batch = format!("{{\"operation\":\"upsert\",\"records\":[{},{},{}]}}", data(7), record(8), data(10));
        send("POST", &format!("{PATH}/batch"), &batch);
        let update = format!("\"action\":\"update\",\"id\":\"{}\",\"data\":{{{values}}}", id + 9);
        let create = format!("\"action\":\"create\",\"data\":{}", record(11));
        let operation = |rest: &str| format!("{{\"object\":\"shop_kinds\",{rest}}}");
        send("POST", "/batch", &format!("{{\"operations\":[{},{}]}}", operation(&update), operation(&create)));
        send("POST", &format!("{PATH}/import"), &format!("{{\"format\":\"json\",\"rows\":[{}]}}", record(12)));
        let renamed = record(13).replace("\"j\":", "\"doc\":");
        let mapped = format!("{{\"format\":\"json\",\"mapping\":{{\"doc\":\"j\"}},\"rows\":[{renamed}]}}");
        send("POST", &format!("{PATH}/import"), &mapped);
        let cell = format!("\"{}\"", document.replace('"', "\"\""));
        let csv = format!("id,j,ts,tz,ti\n{},{cell},{instant},{instant},{time}\n", id + 14);
        send("POST", &format!("{PATH}/import"), &json!({"format": "csv", "csv": csv}).to_string());
        for at in 1..=14 {
            assert_eq!(stored(id + at), wanted, "{at}: {document}");
        }
    }
}

/// A source that keeps milliseconds cuts nothing off, of SQL as of REST: what INSERT refuses is refused, what it stores is stored.
#[test]
fn a_source_of_milliseconds_says_so() {
    let refused = stacks().map(|stack| refused_as_by_insert(&Gate::of(&stack, ROWS, "")));
    assert_eq!(refused[0], ["ts", "tz", "ti"], "of columns whose type is declared");
    assert!(refused[1].contains(&"ti"), "{refused:?}");
}

/// Columns that take no microseconds.
fn refused_as_by_insert(gate: &Gate) -> Vec<&'static str> {
    let instant = "2026-01-01T00:00:00.123456Z";
    let given = [("ts", instant), ("tz", instant), ("ti", "10:00:00.123456")];
    insert(gate, "id, ts, tz, ti", "(1, '2026-01-01 00:00:00.120', '2026-01-01 00:00:00.120Z', '10:00:00.5')");
    let mut refused = Vec::new();
    for (name, text) in given {
        let before = cells(gate, name, 1);
        let by_sql = runtime().block_on(async {
            let client = gate.sql("nora").await;
            client.batch_execute(&format!("INSERT INTO kinds (id, {name}) VALUES (2, '{text}')")).await
        });
        let by_rest = gate.ask("nora", "PATCH", &format!("{PATH}/1"), Some(&json!({ name: text })));
        match by_sql {
            Ok(()) => {
                assert_eq!(by_rest.status, 200, "{name}: {}", by_rest.text());
                assert_eq!(cells(gate, name, 1), cells(gate, name, 2), "{name}");
                assert_ne!(cells(gate, name, 1), before, "{name}");
                assert_eq!(gate.ask("nora", "DELETE", &format!("{PATH}/2"), None).status, 200);
            }
            Err(error) => {
                assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("22008"), "{name}: {error}");
                assert_eq!(by_rest.status, 400, "{name}: {}", by_rest.text());
                assert_eq!(by_rest.json()["sqlstate"], json!("22008"), "{name}: {}", by_rest.text());
                assert_eq!(cells(gate, name, 1), before, "{name}");
                refused.push(name);
            }
        }
    }
    // Zeros are no digits more.
    let same = gate.ask("nora", "PATCH", &format!("{PATH}/1"), Some(&json!({"ts": "2026-01-01T00:00:00.120000Z"})));
    assert_eq!(same.status, 200, "{}", same.text());
    refused
}
