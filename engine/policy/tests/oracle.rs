//! The vendor runtime's verdicts, persona by object: 264 cells over the showcase application, all of which must agree.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic and report")]

mod sets;
mod support;

use querygate_metadata::load::permission_sets_from_rows;
use querygate_metadata::model::Facts;
use querygate_policy::write::{Change, RefusalCode};
use querygate_policy::{CompiledPolicy, Evaluator, resolve_principal};
use querygate_types::principal::{Posture, Principal};
use serde_json::{Map, Value};
use sets::{Outcome, outcome};
use std::collections::{BTreeMap, BTreeSet};
use support::{Rows, shared, snapshot};

/// When the oracle was recorded.
const NOW_MS: i64 = 1_795_155_600_000;

struct Oracle {
    policy: CompiledPolicy,
    facts: Facts,
    rows: Rows,
    data: Value,
}

fn oracle() -> Option<Oracle> {
    let (stack, data) = (shared("app-showcase.json")?, shared("oracle-showcase.json")?);
    let rows_of = |value: &Value| -> Vec<(String, Vec<Map<String, Value>>)> {
        let objects = value.as_object().unwrap().iter();
        let rows = |rows: &Value| rows.as_array().unwrap().iter().map(|r| r.as_object().unwrap().clone()).collect();
        objects.map(|(object, list)| (object.clone(), rows(list))).collect()
    };
    let system = rows_of(&data["system"]);
    let facts =
        Facts::from_rows(system.iter().flat_map(|(object, rows)| rows.iter().map(move |row| (object.as_str(), row))));
    let sets = system.iter().find(|(object, _)| object == "sys_permission_set").map(|(_, rows)| rows.clone()).unwrap();
    let policy = CompiledPolicy::compile(snapshot(&stack), permission_sets_from_rows(&sets).unwrap());
    let rows = Rows(rows_of(&data["rows"]).into_iter().collect());
    Some(Oracle { policy, facts: facts.unwrap(), rows, data })
}

impl Oracle {
    fn principal(&self, persona: &str) -> Principal {
        let persona = self.data["personas"].as_array().unwrap().iter().find(|p| p["key"] == persona).unwrap();
        let login = Principal::builder(persona["email"].as_str().unwrap()).user_id(persona["userId"].as_str().unwrap());
        resolve_principal(login.build(), &self.policy, &self.facts, NOW_MS)
    }
}

fn names(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn id(row: &Map<String, Value>) -> String {
    row["id"].as_str().unwrap().to_owned()
}

/// Ids accepted, and ids refused by code.
type Verdicts = (BTreeSet<String>, BTreeMap<String, BTreeSet<String>>);

fn verdicts(accepted: &Value, refused: &Value) -> Verdicts {
    let refused = refused.as_object().into_iter().flatten().map(|(code, ids)| (code.clone(), names(ids)));
    (names(accepted), refused.collect())
}

struct Cell<'a> {
    oracle: &'a Oracle,
    evaluator: Evaluator<'a>,
    object: &'a str,
    expected: &'a Value,
    differences: Vec<String>,
}

impl Cell<'_> {
    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: &T, expected: &T) {
        if found != expected {
            let (persona, object) = (&self.expected["persona"], self.object);
            self.differences.push(format!("{persona} {object} {what}: found {found:?}, expected {expected:?}"));
        }
    }

    fn check(&mut self) {
        let rows = self.oracle.rows.0.get(self.object).cloned().unwrap_or_default();
        self.check_read(&rows);
        self.check_create();
        let probe = self.expected["editProbe"].as_str().unwrap();
        let edit = self.verdicts(&rows, |row| {
            let patch: Map<String, Value> = std::iter::once((probe.to_owned(), row[probe].clone())).collect();
            self.decide(&Change::Update { before: row, patch: &patch })
        });
        let expected = verdicts(&self.expected["edit"], &self.expected["editRefused"]);
        self.check_locked(rows.iter().find(|row| edit.0.contains(&id(row))));
        self.expect("edit", &edit, &expected);
        let delete = self.verdicts(&rows, |row| self.decide(&Change::Delete { before: row }));
        let expected = verdicts(&self.expected["delete"], &self.expected["deleteRefused"]);
        self.expect("delete", &delete, &expected);
    }

    fn check_read(&mut self, rows: &[Map<String, Value>]) {
        let decision = self.evaluator.decide_read(self.object);
        self.expect("read", &decision.is_allowed(), &self.expected["read"].as_bool().unwrap());
        assert_eq!(decision.permit().is_ok(), decision.is_allowed());
        let visible = rows.iter().filter(|row| decision.row_filter().evaluate(row, &self.oracle.rows).unwrap());
        let visible: Vec<_> = visible.collect();
        let ids: BTreeSet<String> = visible.iter().map(|row| id(row)).collect();
        self.expect("visible", &ids, &names(&self.expected["visible"]));
        if !decision.is_allowed() {
            return;
        }
        self.expect("hidden", decision.hidden_fields(), &names(&self.expected["hiddenFields"]));
        let mut masked: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
        for row in visible {
            for (field, mask) in decision.masks() {
                let stored = row.get(field).unwrap_or(&Value::Null);
                let shown = mask.apply_json(stored).unwrap();
                if shown != *stored {
                    masked.entry(field.clone()).or_default().insert(id(row), shown);
                }
            }
        }
        let expected = serde_json::from_value(self.expected["maskedFields"].clone()).unwrap();
        self.expect("masked", &masked, &expected);
    }

    fn check_create(&mut self) {
        let payload = self.expected["createBody"].as_object().unwrap();
        let image = self.evaluator.insert_image(self.object, payload, &Map::new());
        let change = Change::Insert { payload, image: &image };
        let refusal = self.decide(&change).err();
        let code = refusal.map(|r| r.code.name().to_owned());
        let expected = self.expected["createCode"].as_str().map(str::to_owned);
        assert_eq!(expected.is_none(), self.expected["create"].as_bool().unwrap());
        self.expect("create", &code, &expected);
    }

    fn check_locked(&mut self, row: Option<&Map<String, Value>>) {
        let (Some(row), Some(_)) = (row, self.expected.get("notEditableFields")) else { return };
        let object = self.oracle.policy.snapshot().object(self.object).unwrap();
        let mut locked = BTreeSet::new();
        for field in object.fields.values() {
            // The recorder's way in refused computed fields before it asked for rights; over HTTP, rights come first.
            if !field.stored() {
                continue;
            }
            let value = row.get(&field.name).cloned().unwrap_or_default();
            let patch: Map<String, Value> = std::iter::once((field.name.clone(), value)).collect();
            let change = Change::Update { before: row, patch: &patch };
            match self.decide(&change) {
                Err(refusal) if refusal.code == RefusalCode::PermissionDenied => locked.insert(field.name.clone()),
                _ => false,
            };
        }
        self.expect("notEditableFields", &locked, &names(&self.expected["notEditableFields"]));
    }

    /// The verdict on the record, which the set form shares.
    fn decide(&self, change: &Change<'_>) -> Result<(), querygate_policy::write::Refusal> {
        let verdict = self.evaluator.decide_write(self.object, change, &self.oracle.rows);
        let as_sets = outcome(&self.evaluator, self.object, change, &Map::new(), &self.oracle.rows);
        let persona = &self.expected["persona"];
        assert_eq!(verdict.is_ok(), as_sets == Outcome::Passes, "{persona} {} {as_sets:?} {verdict:?}", self.object);
        verdict
    }

    fn verdicts(
        &self,
        rows: &[Map<String, Value>],
        decide: impl Fn(&Map<String, Value>) -> Result<(), querygate_policy::write::Refusal>,
    ) -> Verdicts {
        let mut verdicts = Verdicts::default();
        for row in rows {
            match decide(row) {
                Ok(()) => verdicts.0.insert(id(row)),
                Err(refusal) => verdicts.1.entry(refusal.code.name().to_owned()).or_default().insert(id(row)),
            };
        }
        verdicts
    }
}

#[test]
fn every_cell_agrees_with_the_vendor_runtime() {
    let Some(oracle) = oracle() else { return };
    let cells = oracle.data["cells"].as_array().unwrap();
    let (mut agreeing, mut differences) = (0, Vec::new());
    for expected in cells {
        let principal = oracle.principal(expected["persona"].as_str().unwrap());
        let (policy, facts) = (&oracle.policy, &oracle.facts);
        let evaluator = Evaluator { policy, principal: &principal, facts, now_ms: NOW_MS };
        let object = expected["object"].as_str().unwrap();
        let mut cell = Cell { oracle: &oracle, evaluator, object, expected, differences: Vec::new() };
        cell.check();
        agreeing += usize::from(cell.differences.is_empty());
        differences.extend(cell.differences);
    }
    println!("{agreeing} of {} cells agree", cells.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(cells.len(), 264);
}

#[test]
fn principals_resolve_as_the_vendor_resolved_them() {
    let Some(oracle) = oracle() else { return };
    for persona in oracle.data["personas"].as_array().unwrap() {
        let (key, context) = (persona["key"].as_str().unwrap(), &persona["context"]);
        let principal = oracle.principal(key);
        assert_eq!(principal.positions, names(&context["positions"]), "{key}");
        assert_eq!(principal.permission_sets, names(&context["permissions"]), "{key}");
        assert_eq!(principal.org_user_ids, names(&context["org_user_ids"]), "{key}");
        assert_eq!(principal.email.as_deref(), context["email"].as_str(), "{key}");
        let posture = match principal.posture {
            Posture::PlatformAdmin => "PLATFORM_ADMIN",
            Posture::TenantAdmin => "TENANT_ADMIN",
            Posture::Member => "MEMBER",
            Posture::External => "EXTERNAL",
        };
        assert_eq!(Some(posture), context["posture"].as_str(), "{key}");
    }
}

#[test]
fn no_policy_of_the_showcase_drops_out() {
    let Some(oracle) = oracle() else { return };
    let mut dropped = oracle.policy.dropped();
    // The platform's write floor names a column that federated tables do not have.
    dropped.retain(|(object, ..)| !object.starts_with("showcase_ext_"));
    assert_eq!(dropped, Vec::<(&str, &str, &str)>::new());
}
