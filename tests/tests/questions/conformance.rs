//! The vendor's published query cases, end to end through the engine, over each layout of rows, with the verdicts printed.

use super::{question, twin};
use querygate_query_api::requests::question::AnswerForm;
use querygate_tests::harness::{Answer, Client, Fixture, Layout, Records, TestGate};
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A file of the vendor's data. Where there is none, a test says so; the variable makes it a failure.
pub(crate) fn shared(file: &str) -> Option<Value> {
    let root = std::env::var_os("QUERYGATE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let path = root.join("data/objectstack").join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            assert!(std::env::var_os("QUERYGATE_SHARED").is_none(), "QUERYGATE_SHARED has no {file}");
            println!("SKIPPED: {} is absent; no published case was run", path.display());
            None
        }
    }
}

/// Values JSON cannot hold, as a JSON client sends them.
fn decode(value: &Value) -> Option<Value> {
    match value {
        Value::Object(object) => match object.get("@js").and_then(Value::as_str) {
            Some("bigint") => serde_json::from_str(object["value"].as_str().unwrap()).ok(),
            Some("Date") => Some(object["value"].clone()),
            Some(_) => None,
            None => {
                let members = object.iter().map(|(key, value)| Some((key.clone(), decode(value)?)));
                members.collect::<Option<Map<_, _>>>().map(Value::Object)
            }
        },
        Value::Array(values) => values.iter().map(decode).collect::<Option<Vec<_>>>().map(Value::Array),
        other => Some(other.clone()),
    }
}

fn field(declared: &Value) -> Value {
    let mut field = match declared {
        Value::String(name) => json!({ "type": name }),
        // The fixture's object has another name here.
        other => serde_json::from_str(&other.to_string().replace("text_door_probe", "conf_text_door")).unwrap(),
    };
    let map = field.as_object_mut().unwrap();
    // The fixture's own word for a text, or for several.
    if map["type"] == "string" {
        let several = map.remove("multiple") == Some(json!(true));
        map.insert("type".to_owned(), json!(if several { "tags" } else { "text" }));
    }
    let reference = matches!(map["type"].as_str(), Some("lookup" | "master_detail" | "tree"));
    if reference && !map.contains_key("reference") {
        map.insert("reference".to_owned(), json!("conf_logic"));
    }
    if let Some(summary) = map.get_mut("summaryOperations").and_then(Value::as_object_mut) {
        summary.insert("relationshipField".to_owned(), json!("f_lookup"));
    }
    map.entry("label").or_insert(json!("l"));
    map.remove("name");
    field
}

/// One object for each fixture of the published cases.
pub(crate) fn world(conformance: &Value) -> Fixture {
    let (mut objects, mut grants) = (Vec::new(), Map::new());
    let fixtures = conformance["fixtures"].as_object().unwrap();
    let fields_of = |fixture: &Value| fixture.get("fields").unwrap_or(&fixture["object"]["fields"]).clone();
    for (name, fixture) in fixtures {
        let fields = fields_of(fixture);
        let declared = fields.as_object().unwrap().iter().filter(|(name, _)| *name != "id");
        let fields: Map<String, Value> = declared.map(|(name, own)| (name.clone(), field(own))).collect();
        objects.push(
            json!({"name": format!("conf_{name}"), "label": name, "sharingModel": "public_read", "ownership": "none",
            "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "fields": fields}),
        );
        grants.insert(format!("conf_{name}"), json!({ "allowRead": true }));
    }
    let stack = json!({
        "manifest": {"id": "test.conf", "namespace": "conf", "version": "1.0.0", "type": "app", "name": "conf",
            "engines": {"protocol": "^17"}},
        "objects": objects,
        "permissions": [{"name": "conf_reader", "label": "r", "objects": grants}],
    });
    let mut world = Fixture::new(stack, Vec::new());
    let snapshot = world.snapshot();
    for (name, fixture) in fixtures {
        let object = snapshot.object(&format!("conf_{name}")).unwrap();
        let rows = fixture["rows"].as_array().cloned().unwrap_or_default().into_iter().enumerate().map(|(at, row)| {
            let mut row = row;
            let row = row.as_object_mut().unwrap();
            row.retain(|field, _| object.field(field).is_some());
            row.entry("id").or_insert_with(|| json!(format!("r{at}")));
            // A driver's own text of a list.
            if let Some(list) = row.get("v_multi").and_then(Value::as_str) {
                let list = serde_json::from_str(list).unwrap();
                row.insert("v_multi".to_owned(), list);
            }
            Value::Object(row.clone())
        });
        let table = Fixture::declared(&snapshot, &object.name, &rows.collect());
        world.tables.push(table);
    }
    world
}

/// What became of the cases of an area.
#[derive(Default)]
struct Count {
    agree: usize,
    differ: usize,
    inexpressible: usize,
    /// Those whose SQL gave the same rows too.
    twins: usize,
}

struct Run<'a> {
    client: &'a Client,
    strict: &'a Client,
    counts: BTreeMap<String, Count>,
    failures: Vec<String>,
}

fn ids(records: &Records) -> Vec<String> {
    records.iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

impl Run<'_> {
    fn case(&mut self, case: &Value) {
        let area = case["area"].as_str().unwrap().to_owned();
        let verdict = self.verdict(case, &area);
        let count = self.counts.entry(area).or_default();
        match verdict {
            None => count.inexpressible += 1,
            Some(Ok(twin)) => {
                count.agree += 1;
                count.twins += usize::from(twin);
            }
            Some(Err(message)) => {
                count.differ += 1;
                self.failures.push(format!("{} {}: {message}", case["id"], case["name"]));
            }
        }
    }

    /// Whether SQL said the same too, or what is different; `None` of a case that JSON cannot say.
    fn verdict(&self, case: &Value, area: &str) -> Option<Result<bool, String>> {
        let object = format!("conf_{}", case["given"]["fixture"].as_str().unwrap());
        let query = decode(&case["query"])?;
        Some(match area {
            "aggregation" => self.aggregation(&object, &query, &case["expect"]),
            "pagination_zero_limit" => {
                let count = self.client.ask(&question(&object, &query), AnswerForm::Records).map(|rows| rows.len());
                let expected = case["expect"]["rowCount"].as_u64().and_then(|rows| usize::try_from(rows).ok());
                if count.as_ref().ok() == expected.as_ref() { Ok(false) } else { Err(format!("{count:?}")) }
            }
            "pagination_ordered" | "pagination_unordered" => self.pages(&object, &query, &case["expect"]),
            // Rows of files say no text that looks like a structure; records that are written do.
            "value_roundtrip"
                if case["expect"]["readBack"].as_str().is_some_and(|text| text.starts_with(['[', '{'])) =>
            {
                return None;
            }
            "value_roundtrip" => self.stored(&object, case),
            "text_operator_door" => self.door(&object, &query, &case["expect"]),
            _ => self.filter(&object, &query, &case["expect"]),
        })
    }

    fn filter(&self, object: &str, query: &Value, expect: &Value) -> Result<bool, String> {
        let asked = self.client.ask(&question(object, query), AnswerForm::Records);
        if let Some(error) = expect.get("error") {
            let Err(refused) = asked else { return Err("was not refused".to_owned()) };
            let code = refused.vendor_code().map(|code| code.name());
            let says = error["mustMention"]
                .as_array()
                .unwrap()
                .iter()
                .all(|m| refused.message().contains(m.as_str().unwrap()));
            return if says && code == error["code"].as_str() { Ok(false) } else { Err(format!("{code:?} {refused}")) };
        }
        let records = asked.map_err(|error| format!("{:?} {error}", error.vendor_code()))?;
        let Some(expected) = expect.get("ids").map(texts) else { return Ok(false) };
        if sorted(ids(&records)) != sorted(expected.clone()) {
            return Err(format!("found {:?}, expected {expected:?}", ids(&records)));
        }
        let total = self.client.ask(&question(object, query), AnswerForm::Total).map_err(|error| error.to_string())?;
        if total.len() != 1 || total[0]["total"] != json!(expected.len()) {
            return Err(format!("total {total:?}"));
        }
        let Some(condition) = twin::condition(&query["where"]) else { return Ok(false) };
        let table = object.trim_start_matches("conf_");
        let sql = format!("SELECT id FROM \"{table}\" WHERE {condition}");
        match self.client.run(&sql) {
            Answer::Rows { rows, .. } => {
                let found = rows.into_iter().map(|row| row[0].clone().unwrap()).collect();
                if sorted(found) == sorted(expected) { Ok(true) } else { Err(format!("{sql} differs")) }
            }
            // A comparison of types that SQL does not compare.
            _ => Ok(false),
        }
    }

    fn aggregation(&self, object: &str, query: &Value, expect: &Value) -> Result<bool, String> {
        let records = self.client.ask(&question(object, query), AnswerForm::Records);
        let records = records.map_err(|error| error.to_string())?;
        let found: BTreeSet<String> = records.iter().map(|record| json!(record).to_string()).collect();
        let expected = expect["rows"].as_array().unwrap();
        let plain = |row: &Value| {
            let keys = records.first().map(|record| record.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
            let ordered: Map<String, Value> = keys.into_iter().map(|key| (key.clone(), row[&key].clone())).collect();
            json!(ordered).to_string()
        };
        let expected: BTreeSet<String> = expected.iter().map(plain).collect();
        if found != expected || found.len() != records.len() {
            return Err(format!("found {found:?}, expected {expected:?}"));
        }
        let total = self.client.ask(&question(object, query), AnswerForm::Total).map_err(|error| error.to_string())?;
        if total[0]["total"] == json!(records.len()) { Ok(false) } else { Err(format!("total {total:?}")) }
    }

    /// Pages of a walk hold each record once, in the order that was asked for.
    fn pages(&self, object: &str, query: &Value, expect: &Value) -> Result<bool, String> {
        let size = query["pageSize"].as_u64().unwrap();
        let mut walked = Records::new();
        loop {
            let mut page = question(object, query);
            (page.limit, page.offset) = (Some(size), Some(walked.len() as u64));
            let rows = self.client.ask(&page, AnswerForm::Records).map_err(|error| error.to_string())?;
            if rows.is_empty() {
                break;
            }
            walked.extend(rows);
        }
        let expected = sorted(texts(&expect["each_id_exactly_once"]));
        if sorted(ids(&walked)) != expected {
            return Err(format!("{:?}", ids(&walked)));
        }
        let keys = question(object, query).order;
        let before = |one: &Map<String, Value>, other: &Map<String, Value>| {
            for key in &keys {
                let (one, other) = (&one[&key.field], &other[&key.field]);
                let order = match (one.as_f64(), other.as_f64()) {
                    (Some(one), Some(other)) => one.total_cmp(&other),
                    _ => one.to_string().cmp(&other.to_string()),
                };
                if order.is_ne() {
                    return order.is_lt() != key.descending;
                }
            }
            true
        };
        let is_ordered = walked.windows(2).all(|pair| before(&pair[0], &pair[1]));
        if is_ordered { Ok(false) } else { Err(format!("{:?} are not ordered", ids(&walked))) }
    }

    /// A value that is stored reads back as it was written.
    fn stored(&self, object: &str, case: &Value) -> Result<bool, String> {
        let (label, column) = (&case["name"], case["query"]["write"]["column"].as_str().unwrap());
        let body = json!({"where": {"label": label}, "fields": ["label", column]});
        let records = self.client.ask(&question(object, &body), AnswerForm::Records).map_err(|e| e.to_string())?;
        let [record] = records.as_slice() else { return Err(format!("{records:?}")) };
        let expected = &case["expect"]["readBack"];
        if record[column] == *expected {
            Ok(false)
        } else {
            Err(format!("read {}, expected {expected}", record[column]))
        }
    }

    /// Which fields take text operators, where the door is as strict as the published cases.
    fn door(&self, object: &str, query: &Value, expect: &Value) -> Result<bool, String> {
        let body = json!({ "where": query["where"], "fields": ["id"] });
        let asked = self.strict.ask(&question(object, &body), AnswerForm::Records);
        let code = asked.as_ref().err().map(|error| error.vendor_code().map(|code| code.name()));
        let declared = query["declaredType"].as_str().unwrap();
        // What is always masked for every reader takes no operator at all.
        if matches!(declared, "password" | "secret") {
            return if code == Some(Some("PERMISSION_DENIED")) { Ok(false) } else { Err(format!("{asked:?}")) };
        }
        let refusal = expect["error"]["code"].as_str();
        let agrees = match refusal {
            Some(refusal) => code == Some(Some(refusal)),
            // The published door leaves formulas and paths into documents to what is behind it, which refuses them here.
            None => {
                code.is_none()
                    || code == Some(Some("INVALID_FIELD")) && (declared == "formula" || expect["verdict"] == "deferred")
            }
        };
        if agrees { Ok(false) } else { Err(format!("{expect} but {asked:?}")) }
    }
}

fn run(layout: Layout) {
    let Some(conformance) = shared("conformance.json") else { return };
    let gate = TestGate::new(&world(&conformance), layout);
    let reader = Principal::builder("rea").permission_set("conf_reader").build();
    let client = gate.client(&reader);
    let strict = gate.try_client(&reader, &[("querygate.strict_text_operators", "on")]).unwrap();
    let mut run = Run { client: &client, strict: &strict, counts: BTreeMap::new(), failures: Vec::new() };
    let cases = conformance["cases"].as_array().unwrap();
    cases.iter().for_each(|case| run.case(case));
    println!("| {} | agree | differ | not JSON | same in SQL |", layout.name());
    for (area, count) in &run.counts {
        println!("| {area} | {} | {} | {} | {} |", count.agree, count.differ, count.inexpressible, count.twins);
    }
    let all: usize = run.counts.values().map(|count| count.agree + count.differ + count.inexpressible).sum();
    assert_eq!(all, cases.len());
    let (count, some) = (run.failures.len(), run.failures.iter().take(40).map(String::as_str).collect::<Vec<_>>());
    assert!(count == 0, "{count} differ: {}", some.join("\n"));
}

#[test]
fn published_cases_agree_in_memory() {
    run(Layout::Memory);
}

#[test]
fn published_cases_agree_in_parquet_files() {
    run(Layout::Parquet);
}

#[test]
fn published_cases_agree_in_sqlite() {
    run(Layout::Sqlite);
}

#[test]
fn published_cases_agree_on_servers() {
    Layout::servers().into_iter().for_each(run);
}
