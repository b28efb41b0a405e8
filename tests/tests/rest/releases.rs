//! What releases of ObjectStack made stricter, asked of gates that follow the last release, and 17.4.

use crate::own::Gate;
use bytes::Bytes;
use futures::SinkExt as _;
use querygate_tests::server::{Request, runtime};
use serde_json::{Value, json};
use std::path::Path;

const STACK: &str = include_str!("releases.yaml");
const ROWS: &str = "
CREATE TABLE deals(id TEXT PRIMARY KEY NOT NULL, name TEXT, region TEXT, n DOUBLE, score DOUBLE, whole DOUBLE, price DOUBLE,
    flag BOOLEAN, closed DATE_TEXT, at TIMESTAMPTZ_TEXT, tm TEXT, note TEXT, tags LIST_TEXT, rate DOUBLE, pick TEXT, kind TEXT);
CREATE TABLE ruled(id TEXT PRIMARY KEY NOT NULL, n DOUBLE, flag BOOLEAN);
INSERT INTO deals(id, name, region, n, flag, closed, at, tm, note) VALUES
    ('d1', 'one', 'eu', 1, 1, '2026-01-01', '2026-01-01T10:00:00.000Z', '10:00:00', 'a'),
    ('d2', 'two', 'us', 2, 0, '2026-01-02', '2026-01-02T10:00:00.000Z', '11:00:00', NULL);
UPDATE deals SET tags = '[\"x\"]', region = '' WHERE id = 'd1';
UPDATE deals SET tags = '[]' WHERE id = 'd2';
INSERT INTO ruled VALUES ('r1', 1, 1), ('r2', NULL, 0);";

fn gate(protocol: &str) -> Gate {
    Gate::with_metadata(STACK, ROWS, &format!("protocol = \"{protocol}\"\n"))
}

/// How many records a filter finds, or how it is refused.
fn found(gate: &Gate, filter: &Value) -> Result<usize, (u16, String)> {
    let body = json!({"where": filter});
    let answer = gate.ask("nora", "POST", "/data/shop_deals/query", Some(&body));
    if answer.status == 200 {
        return Ok(answer.json()["records"].as_array().unwrap().len());
    }
    Err(gate.refused("nora", "POST", "/data/shop_deals/query", Some(&body)))
}

#[test]
fn comparands_that_are_none_are_refused() {
    let (strict, earlier) = (gate("17.7"), gate("17.4"));
    let refused = Err((400, "INVALID_FILTER".to_owned()));
    for (filter, in_17_4) in [
        (json!({"n": "abc"}), 0),
        (json!({"n": {"$ne": "abc"}}), 2),
        (json!({"n": " 1 "}), 1),
        (json!({"n": {"$contains": "1"}}), 0),
        (json!({"n": {"$between": [1, ""]}}), 0),
        (json!({"flag": "yes"}), 0),
        (json!({"flag": {"$ne": "yes"}}), 2),
        (json!({"at": "2026"}), 0),
        (json!({"at": {"$gt": "0999-01-01T00:00:00Z"}}), 2),
        (json!({"tm": "25:00"}), 0),
    ] {
        assert_eq!(found(&strict, &filter), refused, "{filter}");
        assert_eq!(found(&earlier, &filter), Ok(in_17_4), "{filter}");
    }
    for gate in [&strict, &earlier] {
        for filter in [json!({"n": "1"}), json!({"flag": "true"}), json!({"flag": 1}), json!({"tm": "10:00"})] {
            assert_eq!(found(gate, &filter), Ok(1), "{filter}");
        }
    }
}

/// Status, code of the field's fault, and what is stored of the field.
fn stored(gate: &Gate, id: &str, field: &str, value: &Value) -> (u16, Value) {
    let record = json!({"id": id, "name": id, "note": "there", field: value});
    let answer = gate.ask("nora", "POST", "/data/shop_deals", Some(&record));
    if answer.status != 201 {
        let fault = answer.json()["fields"][0]["code"].clone();
        return (answer.status, fault);
    }
    let read = gate.get("nora", &format!("/data/shop_deals/{id}"));
    (201, read["record"][field].clone())
}

#[test]
fn values_that_later_releases_refuse_are_stored_by_17_4_alone() {
    let (strict, earlier) = (gate("17.7"), gate("17.4"));
    for (number, (field, value, code, in_17_4)) in [
        ("n", json!(" 12 "), "invalid_number", json!(12)),
        ("n", json!("+5"), "invalid_number", json!(5)),
        ("n", json!(".5"), "invalid_number", json!(0.5)),
        ("n", json!("007"), "invalid_number", json!(7)),
        ("n", json!(true), "invalid_number", json!(1)),
        ("whole", json!(1234), "max_precision", json!(1234)),
        ("whole", json!(12.34), "max_precision", json!(12.34)),
        ("price", json!(123_456), "max_precision", json!(123_456)),
        ("price", json!(1234.5), "max_precision", json!(1234.5)),
        ("closed", json!("0000-01-01"), "invalid_date", json!("0000-01-01")),
        ("at", json!("0999-01-01T00:00:00Z"), "invalid_date", json!("0999-01-01T00:00:00.000Z")),
        ("at", json!("2026-07-15 10:00:00+08:00"), "invalid_date", json!("2026-07-15T02:00:00.000Z")),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("w{number}");
        assert_eq!(stored(&strict, &id, field, &value), (400, json!(code)), "{field} {value}");
        assert_eq!(stored(&earlier, &id, field, &value), (201, in_17_4), "{field} {value}");
    }
    for (number, (field, value, kept)) in [
        ("n", json!("12"), json!(12)),
        ("score", json!(999.99), json!(999.99)),
        ("price", json!(123.45), json!(123.45)),
        ("at", json!("2026-07-15 10:00"), json!("2026-07-15T10:00:00.000Z")),
        ("flag", json!(""), Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(stored(&strict, &format!("k{number}"), field, &value), (201, kept), "{field} {value}");
    }
    // 17.4 keeps a blank as a value.
    assert_eq!(stored(&earlier, "b1", "flag", &json!("")), (201, json!(false)));
}

#[test]
fn a_field_that_may_be_required_is_asked_for() {
    let (strict, earlier) = (gate("17.7"), gate("17.4"));
    // Of nothing, it is not known whether it is more than five.
    let record = |id: &str| json!({"id": id, "name": "x"});
    let answer = strict.ask("nora", "POST", "/data/shop_deals", Some(&record("q1")));
    assert_eq!((answer.status, &answer.json()["fields"][0]["code"]), (400, &json!("rule_violation")));
    assert_eq!(answer.json()["fields"][0]["constraint"]["reason"], "unevaluable");
    assert_eq!(earlier.ask("nora", "POST", "/data/shop_deals", Some(&record("q1"))).status, 201);
    let known = json!({"id": "q2", "n": 6, "note": "there"});
    assert_eq!(strict.ask("nora", "POST", "/data/shop_deals", Some(&known)).status, 201);
}

/// Ids that a filter array finds, in their order.
fn ids(gate: &Gate, filter: &str) -> String {
    let filter_text: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/data/shop_deals?sort=id&select=id&filter={filter_text}");
    let answer = gate.ask("nora", "GET", &path, None);
    assert_eq!(answer.status, 200, "{filter}: {}", answer.text());
    let records = answer.json()["records"].as_array().unwrap().clone();
    records.iter().map(|record| record["id"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn blank_texts_and_lists_without_elements_are_empty() {
    let (strict, earlier) = (gate("17.7"), gate("17.4"));
    for (filter, now, before) in [
        ("[\"region\",\"is_empty\",true]", "d1", ""),
        ("[\"region\",\"is_not_empty\",true]", "d2", "d1 d2"),
        ("[\"note\",\"is_empty\",true]", "d2", "d2"),
        ("[\"tags\",\"is_empty\",true]", "d2", ""),
        ("[\"tags\",\"is_not_empty\",true]", "d1", "d1 d2"),
        ("[\"rate\",\"is_empty\",true]", "d1 d2", "d1 d2"),
        ("[\"region\",\"is_null\",true]", "", ""),
    ] {
        assert_eq!((ids(&strict, filter), ids(&earlier, filter)), (now.to_owned(), before.to_owned()), "{filter}");
    }
    assert_eq!(found(&strict, &json!({"tags": {"$empty": false}})), Ok(1));
    for filter in [json!({"id": {"$empty": true}}), json!({"region": {"$empty": "true"}})] {
        assert_eq!(found(&strict, &filter), Err((400, "INVALID_FILTER".to_owned())), "{filter}");
    }
}

#[test]
fn groups_and_aggregates_are_of_types_that_have_them() {
    let (strict, earlier) = (gate("17.7"), gate("17.4"));
    let status = |gate: &Gate, function: &str, field: &str| {
        let body = json!({"aggregations": [{"function": function, "field": field, "alias": "it"}]});
        gate.ask("nora", "POST", "/data/shop_deals/query", Some(&body)).status
    };
    for (function, field) in [
        ("sum", "name"),
        ("avg", "name"),
        ("min", "name"),
        ("sum", "rate"),
        ("sum", "closed"),
        ("count_distinct", "tags"),
    ] {
        let body = json!({"aggregations": [{"function": function, "field": field, "alias": "it"}]});
        let refused = strict.refused("nora", "POST", "/data/shop_deals/query", Some(&body));
        assert_eq!(refused, (400, "INVALID_FIELD".to_owned()), "{function} {field}");
    }
    assert_eq!((status(&earlier, "sum", "name"), status(&earlier, "sum", "rate")), (200, 200));
    for (function, field) in
        [("avg", "rate"), ("max", "closed"), ("sum", "flag"), ("count", "tags"), ("count_distinct", "name")]
    {
        assert_eq!(status(&strict, function, field), 200, "{function} {field}");
    }
    let by = json!({"groupBy": ["tags"], "aggregations": [{"function": "count", "alias": "it"}]});
    assert_eq!(strict.refused("nora", "POST", "/data/shop_deals/query", Some(&by)), (400, "INVALID_FIELD".to_owned()));
    assert_eq!(earlier.ask("nora", "POST", "/data/shop_deals/query", Some(&by)).status, 200);
}

#[test]
fn an_option_is_chosen_where_its_condition_holds() {
    let gate = gate("17.7");
    let create = |id: &str, n: u32, pick: &str| {
        let record = json!({"id": id, "n": n, "note": "x", "pick": pick});
        let answer = gate.ask("nora", "POST", "/data/shop_deals", Some(&record));
        (answer.status, answer.json()["fields"][0]["code"].as_str().unwrap_or_default().to_owned())
    };
    let refused = (400, "invalid_option".to_owned());
    let taken = (201, String::new());
    assert_eq!(create("o1", 1, "plain"), taken);
    assert_eq!(create("o2", 1, "large"), refused);
    assert_eq!(create("o3", 6, "large"), taken);
    assert_eq!(create("o4", 6, "mine"), refused);
    let unknown = json!({"id": "o5", "note": "x", "pick": "large"});
    let answer = gate.ask("nora", "POST", "/data/shop_deals", Some(&unknown));
    assert_eq!(
        (answer.status, &answer.json()["fields"][0]["code"]),
        (400, &json!("rule_violation")),
        "of nothing, it is not known"
    );
    let change =
        |id: &str, values: &Value| gate.ask("nora", "PATCH", &format!("/data/shop_deals/{id}"), Some(values)).status;
    assert_eq!(change("o1", &json!({"pick": "large"})), 400);
    assert_eq!(change("o1", &json!({"n": 7, "pick": "large"})), 200);
    // What a record has already stays.
    assert_eq!(change("o3", &json!({"n": 1, "pick": "large"})), 200);
    // By SQL, one row and many.
    let sql = runtime().block_on(gate.sql("nora"));
    for statement in [
        "INSERT INTO deals (id, n, note, pick) VALUES ('s1', 1, 'x', 'large')",
        "INSERT INTO deals (id, n, note, pick) SELECT 's' || i, i, 'x', 'large' FROM generate_series(1, 9) t(i)",
        "UPDATE deals SET pick = 'mine' WHERE id = 'o1'",
    ] {
        let error = runtime().block_on(sql.batch_execute(statement)).unwrap_err();
        assert_eq!(error.code().unwrap().code(), "23514", "{statement}");
    }
}

#[test]
fn a_field_has_the_options_of_its_picklist() {
    let gate = gate("17.7");
    for (id, kind, status) in [("l1", "new", 201), ("l2", "again", 201), ("l3", "other", 400)] {
        let record = json!({"id": id, "n": 1, "kind": kind});
        assert_eq!(gate.ask("nora", "POST", "/data/shop_deals", Some(&record)).status, status, "{kind}");
    }
    let field = gate.get("nora", "/meta/object/shop_deals");
    let field = &field["item"]["fields"]["kind"];
    let values: Vec<&Value> = field["options"].as_array().unwrap().iter().map(|option| &option["value"]).collect();
    assert_eq!((&field["picklist"], values), (&json!("shop_kinds"), vec![&json!("new"), &json!("again")]));
}

#[test]
fn who_has_no_session_is_refused() {
    let asked = |gate: &Gate| gate.send(Request::new("GET", "/api/v1/auth/get-session"));
    assert_eq!(asked(&gate("17.7")).status, 401);
    let earlier = asked(&gate("17.4"));
    assert_eq!((earlier.status, earlier.json()), (200, Value::Null));
}

#[test]
fn numbers_of_rows_are_numbers() {
    let (strict, earlier) = (gate("17.7"), gate("17.4"));
    for path in ["/data/shop_deals?top=x", "/data/shop_deals?limit=5x", "/data/shop_deals?skip=NaN"] {
        let refused = strict.ask("nora", "GET", path, None);
        let name = path.split(['?', '=']).nth(1).unwrap();
        assert_eq!((refused.status, refused.json()["code"].as_str()), (400, Some("VALIDATION_FAILED")), "{path}");
        assert_eq!(refused.json()["fields"][0]["field"], name, "{path}: {}", refused.text());
        assert_eq!(earlier.get("nora", path)["records"].as_array().unwrap().len(), 2, "{path}");
    }
    let searched = "/search?q=one&objects=shop_deals&limit=x";
    assert_eq!(strict.ask("nora", "GET", searched, None).status, 400);
    assert_eq!(earlier.ask("nora", "GET", searched, None).status, 200);
    assert_eq!(strict.get("nora", "/data/shop_deals?top=1")["records"].as_array().unwrap().len(), 1);
}

/// Refused since a release, and here whichever is followed: what an earlier one answers is wrong.
#[test]
fn what_earlier_releases_answer_wrongly_is_refused_by_all() {
    for protocol in ["17.4", "17.7"] {
        let gate = gate(protocol);
        for (filter, code) in [
            (json!({"name": ["one"]}), "INVALID_FILTER"),
            (json!({"name": {"$ne": ["one"]}}), "INVALID_FILTER"),
            (json!({"name": {"$in": ["one", null]}}), "INVALID_FILTER"),
            (json!({"n": {"$gt": null}}), "INVALID_FILTER"),
            (json!({"n": {"$gt": [0]}}), "INVALID_FILTER"),
            (json!({"n": {"$between": [1, null]}}), "INVALID_FILTER"),
            (json!({"name": {"$null": 1}}), "INVALID_FILTER"),
            (json!({"name": {"$exists": "true"}}), "INVALID_FILTER"),
            (json!({"name": {"first": "one"}}), "INVALID_FILTER"),
            (json!({"n": {"$eq": {"$field": "name"}}}), "INVALID_FILTER"),
            (json!({"closed": "2026-02-30"}), "INVALID_FILTER"),
            (json!({"closed": "soon"}), "INVALID_FILTER"),
            (json!({"closed": "2026-01-01junk"}), "INVALID_FILTER"),
            (json!({"leftover": 1}), "INVALID_FIELD"),
            (json!([]), "VALIDATION_FAILED"),
        ] {
            assert_eq!(found(&gate, &filter), Err((400, code.to_owned())), "{protocol} {filter}");
        }
        assert_eq!(found(&gate, &json!({"closed": {"$lte": "9999-12-31"}})), Ok(2), "{protocol}");
        assert_eq!(found(&gate, &json!({"closed": "2026-01-01T10:00:00Z"})), Ok(1), "{protocol}: the time is cut off");
        for (field, value, code) in [
            ("closed", "2026-07-05junk", "invalid_date"),
            ("at", "2026-07-05junk", "invalid_date"),
            ("tm", "10:00x", "invalid_time"),
        ] {
            assert_eq!(stored(&gate, "j", field, &json!(value)), (400, json!(code)), "{protocol} {field}");
        }
        for (field, value) in [("n", json!("")), ("closed", json!(" ")), ("at", json!("")), ("tm", json!(""))] {
            assert_eq!(stored(&gate, &format!("e_{field}"), field, &value), (201, Value::Null), "{protocol} {field}");
        }
    }
}

/// By SQL, too: as a literal, as a parameter, and by COPY, whose values are judged column by column.
#[test]
fn values_are_refused_by_sql_as_over_rest() {
    for (protocol, refuses) in [("17.7", true), ("17.4", false)] {
        let gate = gate(protocol);
        let code = |error: tokio_postgres::Error| error.code().unwrap().code().to_owned();
        let check = |form: &str, came_to: Result<u64, String>, expected: &str| {
            let expected = if refuses { Err(expected.to_owned()) } else { Ok(1) };
            assert_eq!(came_to, expected, "{protocol} {form}");
        };
        runtime().block_on(async {
            let client = gate.sql("nora").await;
            for (at, (column, literal, sqlstate)) in
                [("whole", "1234", "22003"), ("price", "1234.5", "22003"), ("at", "'0999-01-01 00:00:00Z'", "22007")]
                    .into_iter()
                    .enumerate()
            {
                let sql = format!("INSERT INTO deals (id, note, {column}) VALUES ('l{at}', 'x', {literal})");
                check(&sql, client.execute(&sql, &[]).await.map_err(code), sqlstate);
            }
            let sql = "INSERT INTO deals (id, note, whole) VALUES ('p1', 'x', $1)";
            check("parameter", client.execute(sql, &[&1234.0_f64]).await.map_err(code), "22003");
            let copied = async |rows: &'static str| {
                let sink = client.copy_in("COPY deals (id, note, whole, at) FROM STDIN").await.map_err(code)?;
                let mut sink = std::pin::pin!(sink);
                sink.send(Bytes::from_static(rows.as_bytes())).await.map_err(code)?;
                sink.finish().await.map_err(code)
            };
            check("COPY of digits", copied("c1\tx\t1234\t\\N\n").await, "22003");
            check("COPY of a fraction", copied("c4\tx\t12.34\t\\N\n").await, "22003");
            check("COPY of a moment", copied("c2\tx\t\\N\t0999-01-01 00:00:00Z\n").await, "22007");
            assert_eq!(copied("c3\tx\t123\t1000-01-01 00:00:00Z\n").await, Ok(1), "{protocol}");
        });
    }
}

/// What the page of releases names is there.
#[test]
fn each_rule_of_the_page_has_its_test() {
    let page = include_str!("../../../engine/docs/protocol.md");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains("| 17."));
    for row in rows {
        let test = row.trim_end_matches(" |").rsplit("| ").next().unwrap().trim_matches('`');
        let is_own = include_str!("releases.rs").contains(&format!("\nfn {test}() {{"));
        let is_file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(test).is_file();
        assert!(is_own || is_file, "{row}");
    }
}

/// By no release: these were holes.
#[test]
fn a_rule_that_compares_with_what_is_not_of_its_columns_type_gives_nothing() {
    for protocol in ["17.4", "17.7"] {
        let gate = gate(protocol);
        let all = gate.get("rita", "/data/shop_ruled");
        assert_eq!(all["records"], json!([]), "{protocol}");
        for (method, path, body) in [
            ("POST", "/data/shop_ruled", json!({"id": "r3", "n": 3})),
            ("PATCH", "/data/shop_ruled/r1", json!({"flag": false})),
        ] {
            let (status, _) = gate.refused("rita", method, path, Some(&body));
            assert!([403, 404].contains(&status), "{protocol} {method}: {status}");
        }
        runtime().block_on(async {
            let client = gate.sql("rita").await;
            let count: i64 = client.query_one("SELECT count(*) FROM ruled", &[]).await.unwrap().get(0);
            let one = client.query("SELECT id FROM ruled WHERE id = $1", &[&"r1"]).await.unwrap();
            let changed = client.execute("UPDATE ruled SET flag = false", &[]).await.unwrap();
            assert_eq!((count, one.len(), changed), (0, 0, 0), "{protocol}");
            let added = client.execute("INSERT INTO ruled (id, n) VALUES ('r3', 3)", &[]).await.unwrap_err();
            assert_eq!(added.code().unwrap().code(), "42501", "{protocol}");
        });
        let (status, code) =
            gate.refused("rita", "POST", "/data/shop_deals", Some(&json!({"id": "x", "region": "us"})));
        assert_eq!(
            (status, code.as_str()),
            (403, "PERMISSION_DENIED"),
            "a policy with `using` alone binds what is stored"
        );
        let (status, code) = gate.refused("rita", "PATCH", "/data/shop_deals/d2", Some(&json!({"name": "x"})));
        assert_eq!(
            (status, code.as_str()),
            (404, "RECORD_NOT_FOUND"),
            "a record that is not read is as if it were not there"
        );
    }
}
