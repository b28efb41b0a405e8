//! The published cases end to end through the REST door, over each layout of rows, beside the same questions in SQL; and questions
//! at random beside theirs. Prints a table of verdicts.

use super::conformance::{decode, shared, world};
use querygate_metadata::model::Protocol;
use querygate_tests::harness::{Client, Layout, Rng, TestGate};
use querygate_tests::questions::{Differs, Kind, Object, Questions, statement};
use querygate_tests::rest::RestServer;
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What became of the cases of an area.
#[derive(Default)]
struct Count {
    agree: usize,
    differ: usize,
    /// What JSON, or a row in JSON, cannot say.
    inexpressible: usize,
    /// Those whose SQL gave the same rows.
    twins: usize,
}

/// One layout's gate by the release of the published cases, another by the last one, whose door is strict about text operators, and a
/// session for SQL.
struct Run {
    _gates: [TestGate; 2],
    door: RestServer,
    strict: RestServer,
    client: Client,
    kinds: BTreeMap<String, BTreeMap<String, Kind>>,
    writes: bool,
    counts: BTreeMap<String, Count>,
    failures: Vec<String>,
}

/// What the door says to a question.
struct Page {
    records: Vec<Value>,
    total: Value,
}

/// Status, code and text of a refusal.
type Refused = (u16, String, String);

type Verdict = Result<bool, String>;

fn layouts() -> Vec<Layout> {
    Layout::ALL.into_iter().chain(Layout::servers()).collect()
}

fn ids(records: &[Value]) -> Vec<String> {
    records.iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

impl Run {
    fn over(conformance: &Value, layout: Layout) -> Self {
        let mut fixture = world(conformance);
        // Where the harness opens sources for changes.
        let writes = matches!(layout, Layout::Sqlite | Layout::Postgres | Layout::MariaDb);
        fixture.writes = writes;
        let snapshot = fixture.snapshot();
        let kinds = fixture.tables.iter().map(|table| {
            let fields = &snapshot.object(&table.object).unwrap().fields;
            let kinds = fields.values().map(|field| {
                let kind = if field.multiple { Kind::Tags } else { Kind::of(field.field_type.name()) };
                (field.name.clone(), kind)
            });
            (table.object.clone(), kinds.collect())
        });
        let kinds = kinds.collect();
        let gate = TestGate::new(&fixture, layout);
        fixture.protocol = Protocol::V17_7;
        let strict_gate = TestGate::new(&fixture, layout);
        let reader = Principal::builder("rea").permission_set("conf_reader").build();
        Self {
            door: RestServer::over(&gate, &[&reader], |_| {}),
            strict: RestServer::over(&strict_gate, &[&reader], |_| {}),
            client: gate.client(&reader),
            _gates: [gate, strict_gate],
            kinds,
            writes,
            counts: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

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

    /// Whether SQL said the same too, or what is different; `None` of a case that cannot be said there.
    fn verdict(&self, case: &Value, area: &str) -> Option<Verdict> {
        let object = format!("conf_{}", case["given"]["fixture"].as_str().unwrap());
        let query = decode(&case["query"])?;
        let expect = &case["expect"];
        Some(match area {
            "aggregation" => self.aggregation(&object, &query, expect),
            "pagination_zero_limit" => self.ask(&object, &query).map_err(shown).and_then(|page| {
                let expected = expect["rowCount"].as_u64().unwrap();
                let said = page.records.len() as u64;
                if said != expected {
                    return Err(format!("{said} records"));
                }
                self.twin(&object, &query, &page.records)
            }),
            "pagination_ordered" | "pagination_unordered" => self.pages(&object, &query, expect),
            // Rows of files and of memory say no text that looks like a structure; records that are written do.
            "value_roundtrip"
                if !self.writes && expect["readBack"].as_str().is_some_and(|text| text.starts_with(['[', '{'])) =>
            {
                return None;
            }
            "value_roundtrip" => self.stored(&object, case),
            "text_operator_door" => self.text_operator(&object, &query, expect),
            _ => self.filter(&object, &query, expect),
        })
    }

    /// The question of a body. What the published cases hold beside it is not sent.
    fn ask(&self, object: &str, body: &Value) -> Result<Page, Refused> {
        ask(&self.door, object, body)
    }

    /// Whether SQL has the question, and says the same.
    fn twin(&self, object: &str, body: &Value, records: &[Value]) -> Verdict {
        let kinds = &self.kinds[object];
        let Some(twin) = statement(object.trim_start_matches("conf_"), body, &|field| kinds.get(field).copied()) else {
            return Ok(false);
        };
        match twin.compare(records, &self.client.run(&twin.sql)) {
            Ok(()) => Ok(true),
            Err(Differs::Refused(why)) => Err(format!("{}: {why}", twin.sql)),
            Err(Differs::Rows(rows)) => Err(rows),
        }
    }

    fn filter(&self, object: &str, query: &Value, expect: &Value) -> Verdict {
        let asked = self.ask(object, query);
        if let Some(error) = expect.get("error") {
            let Err((status, code, text)) = asked else { return Err("was not refused".to_owned()) };
            let mut words = error["mustMention"].as_array().unwrap().iter();
            let says = words.all(|word| text.contains(word.as_str().unwrap()));
            let agrees = says && status == 400 && Some(code.as_str()) == error["code"].as_str();
            return if agrees { Ok(false) } else { Err(format!("{status} {code} {text}")) };
        }
        let page = asked.map_err(shown)?;
        let Some(expected) = expect.get("ids").map(texts) else { return self.twin(object, query, &page.records) };
        if sorted(ids(&page.records)) != sorted(expected.clone()) {
            return Err(format!("found {:?}, expected {expected:?}", ids(&page.records)));
        }
        if page.total != json!(expected.len()) {
            return Err(format!("total {}", page.total));
        }
        self.twin(object, query, &page.records)
    }

    fn aggregation(&self, object: &str, query: &Value, expect: &Value) -> Verdict {
        let page = self.ask(object, query).map_err(shown)?;
        let found: BTreeSet<String> = page.records.iter().map(Value::to_string).collect();
        let expected = expect["rows"].as_array().unwrap();
        let plain = |row: &Value| {
            let keys = page
                .records
                .first()
                .and_then(Value::as_object)
                .map(|record| record.keys().cloned().collect::<Vec<_>>());
            let ordered: Map<String, Value> =
                keys.unwrap_or_default().into_iter().map(|key| (key.clone(), row[&key].clone())).collect();
            json!(ordered).to_string()
        };
        let expected: BTreeSet<String> = expected.iter().map(plain).collect();
        if found != expected || found.len() != page.records.len() {
            return Err(format!("found {found:?}, expected {expected:?}"));
        }
        if page.total != json!(page.records.len()) {
            return Err(format!("total {}", page.total));
        }
        self.twin(object, query, &page.records)
    }

    /// Pages of a walk hold each record once, in the order that was asked for.
    fn pages(&self, object: &str, query: &Value, expect: &Value) -> Verdict {
        let size = query["pageSize"].as_u64().unwrap();
        let (mut walked, mut all_twins) = (Vec::new(), true);
        loop {
            let mut body = query.clone();
            (body["limit"], body["offset"]) = (json!(size), json!(walked.len()));
            let page = self.ask(object, &body).map_err(shown)?;
            all_twins &= self.twin(object, &body, &page.records)?;
            if page.records.is_empty() {
                break;
            }
            walked.extend(page.records);
        }
        if sorted(ids(&walked)) != sorted(texts(&expect["each_id_exactly_once"])) {
            return Err(format!("{:?}", ids(&walked)));
        }
        let keys = query["orderBy"].as_array().cloned().unwrap_or_default();
        let before = |one: &Value, other: &Value| {
            for key in &keys {
                let (one, other) = (&one[key["field"].as_str().unwrap()], &other[key["field"].as_str().unwrap()]);
                let order = match (one.as_f64(), other.as_f64()) {
                    (Some(one), Some(other)) => one.total_cmp(&other),
                    _ => one.to_string().cmp(&other.to_string()),
                };
                if order.is_ne() {
                    return order.is_lt() == (key["order"] != "desc");
                }
            }
            true
        };
        let is_ordered = walked.windows(2).all(|pair| before(&pair[0], &pair[1]));
        if is_ordered { Ok(all_twins) } else { Err(format!("{:?} are not ordered", ids(&walked))) }
    }

    /// A value that is stored reads back as it was written: by the door itself, where it changes records there.
    fn stored(&self, object: &str, case: &Value) -> Verdict {
        let (label, column) = (&case["name"], case["query"]["write"]["column"].as_str().unwrap());
        let expected = &case["expect"]["readBack"];
        if self.writes {
            let id = format!("w-{}", case["id"].as_str().unwrap());
            let given = json!({"id": id, "label": format!("written {label}"), column: case["query"]["write"]["value"]});
            let made = self.door.send("rea", "POST", &format!("/data/{object}"), Some(&given));
            let read = self.door.send("rea", "GET", &format!("/data/{object}/{id}"), None);
            let (made, read) = (made.json(), read.json());
            if made["record"][column] != *expected || read["record"][column] != *expected {
                return Err(format!("wrote {given}, got {made}, read {read}"));
            }
        }
        let body = json!({"where": {"label": label}, "fields": ["label", column]});
        let page = self.ask(object, &body).map_err(shown)?;
        let [record] = page.records.as_slice() else { return Err(format!("{:?}", page.records)) };
        if !self.writes && record[column] != *expected {
            return Err(format!("read {}, expected {expected}", record[column]));
        }
        self.twin(object, &body, &page.records)
    }

    /// Which fields take text operators, where the door is as strict as the last release.
    fn text_operator(&self, object: &str, query: &Value, expect: &Value) -> Verdict {
        let body = json!({ "where": query["where"], "fields": ["id"] });
        let asked = ask(&self.strict, object, &body);
        let code = asked.as_ref().err().map(|(_, code, _)| code.as_str());
        let declared = query["declaredType"].as_str().unwrap();
        // What is always masked for every reader takes no operator at all.
        if matches!(declared, "password" | "secret") {
            return if code == Some("PERMISSION_DENIED") { Ok(false) } else { Err(format!("{code:?}")) };
        }
        let agrees = match expect["error"]["code"].as_str() {
            Some(refusal) => code == Some(refusal),
            // The published door leaves formulas and paths into documents to what is behind it, which refuses them here.
            None => {
                code.is_none()
                    || code == Some("INVALID_FIELD") && (declared == "formula" || expect["verdict"] == "deferred")
            }
        };
        match asked {
            _ if !agrees => Err(format!("{expect} but {code:?}")),
            Ok(page) => self.twin(object, &body, &page.records),
            Err(_) => Ok(false),
        }
    }
}

fn shown((status, code, text): Refused) -> String {
    format!("{status} {code} {text}")
}

fn ask(door: &RestServer, object: &str, body: &Value) -> Result<Page, Refused> {
    const KEYS: [&str; 8] = ["where", "fields", "orderBy", "limit", "offset", "groupBy", "aggregations", "having"];
    let keys = body.as_object().unwrap().iter().filter(|(key, _)| KEYS.contains(&key.as_str()));
    let sent: Map<String, Value> = keys.map(|(key, value)| (key.clone(), value.clone())).collect();
    let answer = door.send("rea", "POST", &format!("/data/{object}/query"), Some(&Value::Object(sent)));
    let mut said = answer.json();
    if answer.status != 200 {
        let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
        return Err((answer.status, text("code"), text("error")));
    }
    let Value::Array(records) = said["records"].take() else { panic!("{said}") };
    Ok(Page { records, total: said["total"].take() })
}

/// Verdicts of all layouts beside each other.
fn print_table(runs: &[(Layout, BTreeMap<String, Count>)]) {
    let names: Vec<&str> = runs.iter().map(|(layout, _)| layout.name()).collect();
    println!("| area | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    let mut sums: Vec<Count> = names.iter().map(|_| Count::default()).collect();
    let cell = |count: &Count| {
        let rest = [(count.differ, "differ"), (count.inexpressible, "not said")];
        let rest: String = rest.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!(", {n} {word}")).collect();
        format!("{} ({}){rest}", count.agree, count.twins)
    };
    for area in runs[0].1.keys() {
        let cells = runs.iter().zip(&mut sums).map(|((_, counts), sum)| {
            let count = &counts[area];
            sum.agree += count.agree;
            sum.differ += count.differ;
            sum.inexpressible += count.inexpressible;
            sum.twins += count.twins;
            cell(count)
        });
        println!("| `{area}` | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    println!("| all | {} |", sums.iter().map(cell).collect::<Vec<_>>().join(" | "));
}

/// Agreeing cases, and in brackets those whose SQL gives the same rows.
#[test]
fn published_cases_agree_over_rest_wherever_rows_lie() {
    let Some(conformance) = shared("conformance.json") else { return };
    let cases = conformance["cases"].as_array().unwrap();
    let (mut runs, mut failures) = (Vec::new(), Vec::new());
    for layout in layouts() {
        let mut run = Run::over(&conformance, layout);
        cases.iter().for_each(|case| run.case(case));
        let all: usize = run.counts.values().map(|count| count.agree + count.differ + count.inexpressible).sum();
        assert_eq!(all, cases.len());
        failures.extend(run.failures.iter().map(|failure| format!("{}: {failure}", layout.name())));
        runs.push((layout, run.counts));
    }
    print_table(&runs);
    let some = failures.iter().take(40).map(String::as_str).collect::<Vec<_>>();
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), some.join("\n"));
}

/// `QUESTIONS=5000 SEED=7` asks more, or others, on each layout.
#[test]
fn random_questions_say_what_their_sql_says() {
    let Some(conformance) = shared("conformance.json") else { return };
    let number = |name: &str, otherwise: u64| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (count, seed) = (number("QUESTIONS", 150), number("SEED", 1));
    let (mut failures, mut table) = (Vec::new(), Vec::new());
    for layout in layouts() {
        let run = Run::over(&conformance, layout);
        let objects =
            ["aggregation", "comparand", "logic", "text", "pagination", "temporal", "temporal_time"].map(|name| {
                let name = format!("conf_{name}");
                let fields = run.kinds[&name].iter().map(|(field, kind)| (field.clone(), *kind)).collect();
                Object { name, fields, references: Vec::new() }
            });
        let values =
            ["won", "west", "open", "acme", "É", "100%", "a_b", "c1", "d_mid", "Alpha"].map(|text| json!(text));
        let (mut same, mut apart, mut with_rows) = (0, 0, 0);
        for n in 0..count {
            let mut rng = Rng::part(seed, n);
            let questions = Questions { rng: &mut rng, objects: &objects, forbidden: &[], values: &values };
            let (object, body) = { questions }.question();
            let answer = run.door.send("rea", "POST", &format!("/data/{object}/query"), Some(&body));
            if answer.status != 200 {
                failures.push(format!("{} {n} {object} {body}: {}", layout.name(), answer.text()));
                continue;
            }
            let said = answer.json();
            let records = said["records"].as_array().unwrap();
            with_rows += usize::from(!records.is_empty());
            match run.twin(&object, &body, records) {
                Ok(true) => same += 1,
                Ok(false) => apart += 1,
                Err(differs) => failures.push(format!("{} {n} {object} {body}: {differs}", layout.name())),
            }
        }
        table.push(format!("| {} | {count} | {with_rows} | {same} | {apart} |", layout.name()));
        assert!(same * 3 > apart, "too few questions have a form in SQL: {}", table.join("\n"));
    }
    println!(
        "| rows in | questions | with records | as in SQL | without a plain form in SQL |\n|---|---|---|---|---|\n{}",
        table.join("\n")
    );
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures[..failures.len().min(20)].join("\n"));
}
