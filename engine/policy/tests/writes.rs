//! Verdicts of single writes as the vendor runtime recorded them: twelve histories over random stacks. A request's access is
//! judged before hooks and validation, so only the codes of access count here: any other answer was let through.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic and report")]

mod sets;
mod support;

use querygate_metadata::model::Facts;
use querygate_policy::write::{Change, RefusalCode};
use querygate_policy::{CompiledPolicy, Evaluator, resolve_principal};
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use sets::{Outcome, outcome};
use std::collections::BTreeSet;
use support::{Rows, shared, snapshot};

type Row = Map<String, Value>;

/// 2026-03-15T12:00:00Z, the day on which all steps are.
const NOW_MS: i64 = 1_773_576_000_000;
const HISTORIES: usize = 12;

struct History {
    policy: CompiledPolicy,
    rows: Rows,
    shares: BTreeSet<String>,
    personas: Vec<Value>,
}

impl History {
    fn new(recorded: &Value) -> Self {
        let rows = recorded["initial"]["rows"].as_object().unwrap().iter().map(|(object, rows)| {
            (object.clone(), rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect())
        });
        Self {
            policy: CompiledPolicy::compile(snapshot(&recorded["stack"]), Vec::new()),
            rows: Rows(rows.collect()),
            shares: texts(&recorded["initial"]["shares"]).collect(),
            personas: recorded["personas"].as_array().unwrap().clone(),
        }
    }

    fn facts(&self) -> Facts {
        let shares: Vec<Value> = self.shares.iter().map(|share| {
            let parts: Vec<&str> = share.split('|').collect();
            json!({"object_name": parts[0], "record_id": parts[1], "recipient_type": "user", "recipient_id": parts[2],
                "access_level": parts[3]})
        }).collect();
        Facts::from_rows(shares.iter().map(|row| ("sys_record_share", row.as_object().unwrap()))).unwrap()
    }

    fn principal(&self, key: &str, facts: &Facts) -> Principal {
        let persona = self.personas.iter().find(|persona| persona["key"] == key).unwrap();
        let context = &persona["context"];
        let mut principal = Principal::builder(key).user_id(context["userId"].as_str().unwrap()).build();
        principal.positions = texts(&context["positions"]).collect();
        principal.permission_sets = texts(&context["permissions"]).collect();
        resolve_principal(principal, &self.policy, facts, NOW_MS)
    }

    /// The code of access of a recorded request, `None` when it is let through; nothing where it asks for something else.
    fn verdict(&self, op: &Value) -> Option<Option<RefusalCode>> {
        let (object, kind) = (op["object"].as_str()?, op["kind"].as_str()?);
        let facts = self.facts();
        let principal = self.principal(op["persona"].as_str()?, &facts);
        let evaluator = Evaluator { policy: &self.policy, principal: &principal, facts: &facts, now_ms: NOW_MS };
        let body = op["request"]["body"].as_object().cloned().unwrap_or_default();
        let image = evaluator.insert_image(object, &body, &Row::new());
        let before = || self.rows.0.get(object)?.iter().find(|row| row.get("id") == op.get("id"));
        let change = match kind {
            "create" => Change::Insert { payload: &body, image: &image },
            "update" => Change::Update { before: before()?, patch: &body },
            "delete" => Change::Delete { before: before()? },
            _ => return None,
        };
        let verdict = evaluator.decide_write(object, &change, &self.rows);
        let as_sets = outcome(&evaluator, object, &change, &Row::new(), &self.rows);
        assert_eq!(verdict.is_ok(), as_sets == Outcome::Passes, "{op} {as_sets:?} {verdict:?}");
        Some(verdict.err().map(|refusal| refusal.code))
    }

    fn apply(&mut self, delta: &Value) {
        for (object, changed) in delta.as_object().into_iter().flatten() {
            if object == "$shares" {
                texts(&changed["minus"]).for_each(|share| assert!(self.shares.remove(&share)));
                self.shares.extend(texts(&changed["plus"]));
                continue;
            }
            let rows = self.rows.0.entry(object.clone()).or_default();
            for (id, values) in changed.as_object().unwrap() {
                let place = rows.iter().position(|row| row["id"] == **id);
                match (place, values.as_object()) {
                    (Some(place), None) => drop(rows.remove(place)),
                    (Some(place), Some(values)) => rows[place].extend(values.clone()),
                    (None, Some(values)) => rows.push(with_id(id, values)),
                    (None, None) => panic!("{object} {id} is deleted twice"),
                }
            }
        }
    }
}

fn with_id(id: &str, values: &Row) -> Row {
    let mut row = values.clone();
    row.insert("id".to_owned(), json!(id));
    row
}

fn texts(value: &Value) -> impl Iterator<Item = String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned())
}

fn is_of_payload(code: RefusalCode) -> bool {
    match code {
        RefusalCode::InvalidField | RefusalCode::ComputedField | RefusalCode::ValidationError => true,
        RefusalCode::PermissionDenied
        | RefusalCode::Forbidden
        | RefusalCode::ExternalWriteForbidden
        | RefusalCode::ApiDisabled
        | RefusalCode::ApiMethodNotAllowed
        | RefusalCode::NotSupported
        | RefusalCode::DeleteRestricted => false,
    }
}

/// The recorded code of access; nothing where the request never got there, or was refused before or after by something else.
fn recorded(op: &Value) -> Option<Option<&str>> {
    let (status, code) = (op["status"].as_i64()?, op["body"]["code"].as_str());
    let of_hook = op["body"]["error"].as_str().is_some_and(|error| error.starts_with("PermissionDeniedError"));
    // Deletes that a hook refused, and masters that nobody has: both refuse, each in its own words.
    let refused_first = (status == 400 && code.is_none() && op["kind"] == "delete") || lacks_reference(op);
    match code {
        Some("OBJECT_API_METHOD_NOT_ALLOWED") => Some(code),
        _ if matches!(status, 404 | 405) || of_hook || refused_first => None,
        Some("PERMISSION_DENIED" | "FORBIDDEN" | "DELETE_RESTRICTED") => Some(code),
        Some(_) | None => Some(None),
    }
}

fn lacks_reference(op: &Value) -> bool {
    let fields = op["body"]["fields"].as_array();
    fields.into_iter().flatten().any(|field| {
        field["code"] == "reference_not_found" || (field["code"] == "required" && field["field"] == "parent")
    })
}

/// Whether a policy binds what is stored by its `using`, having no `check`.
fn is_bound_by_using(file: &Value, object: &Value) -> bool {
    let sets = file["stack"]["permissions"].as_array().into_iter().flatten();
    sets.flat_map(|set| set["rowLevelSecurity"].as_array().into_iter().flatten()).any(|policy| {
        let writes = matches!(policy["operation"].as_str(), Some("all" | "insert" | "update"));
        policy["object"] == *object && writes && policy["check"].is_null()
    })
}

#[test]
fn single_writes_are_judged_as_recorded() {
    let (mut judged, mut closed, mut stricter, mut differences) = (0, 0, 0, Vec::new());
    for number in 1..=HISTORIES {
        let Some(file) = shared(&format!("writes/writes-{number}.json")) else { return };
        let mut history = History::new(&file);
        for op in file["ops"].as_array().unwrap() {
            if let (Some(expected), Some(found)) = (recorded(op), history.verdict(op)) {
                judged += 1;
                closed += usize::from(expected == Some("OBJECT_API_METHOD_NOT_ALLOWED"));
                // What a payload says is no matter of access.
                let found = found.filter(|code| !is_of_payload(*code));
                let found = found.map(RefusalCode::name);
                // Recorded of the version in which such a policy binds nothing that is stored.
                let since = found == Some("PERMISSION_DENIED") && is_bound_by_using(&file, &op["object"]);
                stricter += usize::from(since && expected.is_none());
                if found != expected && !(since && expected.is_none()) {
                    let (n, persona, kind) = (&op["n"], &op["persona"], &op["kind"]);
                    let (object, id) = (&op["object"], &op["id"]);
                    differences.push(format!(
                        "{number}.{n}: {persona} {kind} {object} {id}: found {found:?}, recorded {expected:?}"
                    ));
                }
            }
            history.apply(&op["delta"]);
        }
    }
    println!("{} of {judged} verdicts agree, {stricter} more are stricter", judged - differences.len() - stricter);
    assert!(stricter < 40, "{stricter} refused for a policy without a check");
    assert!(differences.is_empty(), "{} of {judged} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(judged > 1_000 && closed > 2, "{judged}, of which {closed} by apiMethods");
}
