//! Shared data, snapshots and rows for the tests.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use querygate_metadata::load::{LoadOptions, load_text};
use querygate_metadata::model::{Facts, Protocol, Snapshot, TenancyPosture};
use querygate_policy::filter::{RowLookup, refers_to};
use querygate_policy::platform::PlatformRead;
use querygate_policy::write::Change;
use querygate_policy::{CompiledPolicy, Evaluator, ReadDecision, resolve_principal};
use querygate_types::principal::{Principal, Scope};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A file of the shared data. `None` where there is none; a failure where `QUERYGATE_SHARED` says that there is.
pub fn shared(file: &str) -> Option<Value> {
    let root = std::env::var_os("QUERYGATE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    match std::fs::read_to_string(root.join("data/objectstack").join(file)) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            assert!(std::env::var_os("QUERYGATE_SHARED").is_none(), "QUERYGATE_SHARED has no {file}");
            println!("SKIPPED: {file} absent");
            None
        }
    }
}

/// Rows by object.
pub struct Rows(pub HashMap<String, Vec<Map<String, Value>>>);

impl RowLookup for Rows {
    fn rows_where(&self, object: &str, column: &str, value: &str) -> Result<Vec<Map<String, Value>>> {
        let holds = |row: &&Map<String, Value>| row.get(column).is_some_and(|cell| refers_to(cell, value));
        Ok(self.0.get(object).into_iter().flatten().filter(holds).cloned().collect())
    }
}

/// The snapshot of a stack without a tenant wall.
pub fn snapshot(stack: &Value) -> Arc<Snapshot> {
    snapshot_with(stack, TenancyPosture::Single)
}

/// The snapshot of a stack.
pub fn snapshot_with(stack: &Value, posture: TenancyPosture) -> Arc<Snapshot> {
    match load_text(
        "stack.json",
        &stack.to_string(),
        &LoadOptions { posture, protocol: Protocol::V17_4, ..LoadOptions::default() },
    ) {
        Ok(snapshot) => Arc::new(snapshot),
        Err(error) => panic!("{error}"),
    }
}

/// Names in one line.
pub fn join<'n>(names: impl IntoIterator<Item = &'n String>) -> String {
    names.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// A stack with rows and facts, asked about users that hold given sets.
pub struct World {
    policy: CompiledPolicy,
    facts: Facts,
    pub rows: Rows,
    /// The active organization of every user.
    pub organization: Option<String>,
    /// Rows cannot be had.
    pub broken: bool,
    /// The platform asks on behalf of each user.
    pub is_system: bool,
}

struct Broken;

impl RowLookup for Broken {
    fn rows_where(&self, _: &str, _: &str, _: &str) -> Result<Vec<Map<String, Value>>> {
        Err(Error::new(ErrorCode::SourceLost, "source lost"))
    }
}

/// 2026-01-01T00:00:00Z.
const NOW_MS: i64 = 1_767_225_600_000;

impl World {
    pub fn new(stack: &Value, posture: TenancyPosture, rows: Value) -> Self {
        let rows = rows.as_object().unwrap().iter().map(|(object, rows)| {
            (object.clone(), rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect())
        });
        let policy = CompiledPolicy::compile(snapshot_with(stack, posture), Vec::new());
        Self {
            policy,
            facts: Facts::default(),
            rows: Rows(rows.collect()),
            organization: None,
            broken: false,
            is_system: false,
        }
    }

    pub fn facts(&mut self, rows: &[(&str, Value)]) {
        self.facts = Facts::from_rows(rows.iter().map(|(o, row)| (*o, row.as_object().unwrap()))).unwrap();
    }

    fn principal(&self, user: &str, sets: &[&str]) -> Principal {
        let builder = Principal::builder(user);
        let builder = sets.iter().fold(builder, |builder, set| builder.permission_set(set));
        let builder = self.organization.iter().fold(builder, |builder, id| builder.organization(id));
        let principal = builder.build();
        let principal = if self.is_system { principal.as_system() } else { principal };
        resolve_principal(principal, &self.policy, &self.facts, NOW_MS)
    }

    pub fn decision(&self, user: &str, sets: &[&str], object: &str) -> ReadDecision {
        let principal = self.principal(user, sets);
        let (policy, facts) = (&self.policy, &self.facts);
        Evaluator { policy, principal: &principal, facts, now_ms: NOW_MS }.decide_read(object)
    }

    /// What a user reads of one of ObjectStack's own objects, by a credential that is good for these objects alone, if any is named.
    pub fn platform(&self, user: &str, sets: &[&str], object: &str, scope: Option<&str>) -> PlatformRead {
        let principal = self.principal(user, sets);
        let principal = match scope {
            Some(scope) => principal.narrowed(Scope::parse([scope]).unwrap()),
            None => principal,
        };
        let (policy, facts) = (&self.policy, &self.facts);
        Evaluator { policy, principal: &principal, facts, now_ms: NOW_MS }.platform_read(object)
    }

    /// Ids of the visible rows, or `denied`.
    pub fn visible(&self, user: &str, sets: &[&str], object: &str) -> String {
        let decision = self.decision(user, sets, object);
        if !decision.is_allowed() {
            return "denied".to_owned();
        }
        let rows = self.rows.0[object].iter();
        let visible = rows.filter(|row| decision.row_filter().evaluate(row, &self.rows).unwrap());
        visible.map(|row| row["id"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    /// `ok`, or the code of the refusal. `change` is create, edit or delete.
    pub fn write(&self, user: &str, sets: &[&str], object: &str, change: &str, row: &str, payload: Value) -> String {
        let principal = self.principal(user, sets);
        let (policy, facts) = (&self.policy, &self.facts);
        let evaluator = Evaluator { policy, principal: &principal, facts, now_ms: NOW_MS };
        let payload = payload.as_object().unwrap();
        let image = evaluator.insert_image(object, payload, &evaluator.fixed_defaults(object));
        let before = self.rows.0.get(object).and_then(|rows| rows.iter().find(|r| r["id"] == row));
        let change = match (change, before) {
            ("create", _) => Change::Insert { payload, image: &image },
            ("edit", Some(before)) => Change::Update { before, patch: payload },
            ("delete", Some(before)) => Change::Delete { before },
            other => panic!("{other:?}"),
        };
        let rows: &dyn RowLookup = if self.broken { &Broken } else { &self.rows };
        match evaluator.decide_write(object, &change, rows) {
            Ok(()) => "ok".to_owned(),
            Err(refusal) => refusal.code.name().to_owned(),
        }
    }
}
