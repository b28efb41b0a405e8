//! Every verdict on one user and object, and their form for programs.

use super::describe;
use super::rows::{Row, Rows};
use super::table_name;
use querygate_metadata::model::Snapshot;
use querygate_policy::filter::reference_text;
use querygate_policy::write::{Change, Refusal, WriteDecision, WriteOperation};
use querygate_policy::{Evaluator, ReadDecision};
use querygate_types::principal::Principal;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The verdict on a write.
pub(super) type Write = std::result::Result<(), Refusal>;

/// What was found.
pub(super) struct AccessVerdicts<'a> {
    pub(super) principal: &'a Principal,
    pub(super) object: &'a str,
    pub(super) read: ReadDecision,
    /// What the user may do with records of any kind.
    pub(super) creates: Verdict,
    pub(super) edits: Verdict,
    pub(super) deletes: Verdict,
    pub(super) create: Write,
    /// Whether `create` is of a record that was given.
    pub(super) is_given: bool,
    pub(super) records: Vec<Record>,
    /// Fields that field security does not let the user write.
    pub(super) locked: BTreeSet<String>,
}

/// What the user may do with records of any kind, as a statement is decided by it.
pub(super) struct Verdict {
    decision: WriteDecision,
    /// Why nothing is changed in this way, whatever the record.
    refusal: Option<Refusal>,
}

impl Verdict {
    fn of(evaluator: &Evaluator<'_>, object: &str, operation: WriteOperation) -> Self {
        let decision = evaluator.decide_target(object, operation);
        // Each object is taken to have a table: no source is asked.
        Self { decision, refusal: evaluator.refuse_all(object, operation, false, |_| true) }
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal.clone()
    }

    /// `None`: nothing is changed in this way.
    pub(super) fn allowed(&self) -> Option<&WriteDecision> {
        self.refusal.is_none().then_some(&self.decision)
    }

    /// The verdict on one record that is not refused whatever it is.
    fn on(&self, record: impl FnOnce() -> Write) -> Write {
        self.refusal().map_or_else(record, Err)
    }
}

/// The verdicts on one record.
pub(super) struct Record {
    pub(super) id: String,
    /// Stands for any record of the user's own, where there are no records.
    pub(super) is_made_up: bool,
    pub(super) is_visible: bool,
    pub(super) edit: Write,
    pub(super) delete: Write,
}

impl<'a> AccessVerdicts<'a> {
    pub(super) fn of(evaluator: &Evaluator<'a>, object: &'a str, rows: &Rows, record: Option<Row>) -> Self {
        let read = evaluator.decide_read(object);
        let is_given = record.is_some();
        let payload = record.unwrap_or_default();
        let image = evaluator.insert_image(object, &payload, &evaluator.fixed_defaults(object));
        let verdict = |operation| Verdict::of(evaluator, object, operation);
        let creates = verdict(WriteOperation::Insert);
        let (edits, deletes) = (verdict(WriteOperation::Update), verdict(WriteOperation::Delete));
        let decide = |change: &Change<'_>| evaluator.decide_write(object, change, rows);
        let create = creates.on(|| decide(&Change::Insert { payload: &payload, image: &image }));
        let nothing = Row::new();
        let keys = keys(evaluator, object);
        let judge = |before: &Row, is_made_up: bool| Record {
            id: id_of(before, &keys),
            is_made_up,
            // Records that decide and cannot be had hide the row.
            is_visible: read.is_allowed() && read.row_filter().evaluate(before, rows).unwrap_or(false),
            edit: edits.on(|| decide(&Change::Update { before, patch: &nothing })),
            delete: deletes.on(|| decide(&Change::Delete { before })),
        };
        let mut records: Vec<Record> = rows.of(object).map(|row| judge(row, false)).collect();
        if records.is_empty() {
            records.push(judge(&own_record(evaluator.principal, &keys), true));
        }
        let locked = evaluator.not_editable_fields(object);
        Self {
            principal: evaluator.principal,
            object,
            creates,
            edits,
            deletes,
            create,
            is_given,
            records,
            locked,
            read,
        }
    }

    pub(super) fn to_json(&self, snapshot: &Snapshot) -> Value {
        let principal = self.principal;
        let layers: Vec<Value> = self
            .read
            .layers()
            .iter()
            .map(|layer| {
                json!({"layer": layer.layer.name(), "effect": layer.effect.name(), "detail": layer.detail,
                    "contributors": layer.contributors})
            })
            .collect();
        let masked: serde_json::Map<String, Value> =
            self.read.masks().iter().map(|(field, mask)| (field.clone(), json!(describe::mask(mask)))).collect();
        let is_allowed = self.read.is_allowed() && self.read.unusable_rule().is_none();
        let records: Vec<Value> =
            self.records.iter().filter(|record| !record.is_made_up).map(Record::to_json).collect();
        let own = self.records.iter().find(|record| record.is_made_up).map(Record::to_json);
        json!({
            "login": principal.login,
            "user_id": principal.user_id,
            "object": self.object,
            "table": table_name(snapshot, self.object),
            "positions": principal.positions,
            "permission_sets": principal.permission_sets,
            "read": {
                "allowed": is_allowed,
                "unusable_rule": self.read.unusable_rule(),
                "rows": describe::filter(self.read.row_filter()),
                "hidden": self.read.hidden_fields(),
                "masked": masked,
                "layers": layers,
            },
            "writes": {
                "create": decision(&self.creates),
                "edit": decision(&self.edits),
                "delete": decision(&self.deletes),
            },
            "create": write(&self.create),
            "own_record": own,
            "records": records,
            "not_editable": self.locked,
        })
    }
}

impl Record {
    fn to_json(&self) -> Value {
        json!({"id": self.id, "read": self.is_visible, "edit": write(&self.edit), "delete": write(&self.delete)})
    }
}

fn write(write: &Write) -> Value {
    match write {
        Ok(()) => json!({"allowed": true}),
        Err(refusal) => json!({"allowed": false, "code": refusal.code.name(), "message": refusal.message}),
    }
}

fn decision(verdict: &Verdict) -> Value {
    match verdict.allowed() {
        None => verdict.refusal().map_or(Value::Null, |refusal| write(&Err(refusal))),
        Some(decision) => json!({
            "allowed": true,
            "rows": describe::filter(decision.target()),
            "stores": describe::filter(decision.check()),
        }),
    }
}

/// The fields of an object's key.
fn keys<'a>(evaluator: &Evaluator<'a>, object: &str) -> Vec<&'a str> {
    let object = evaluator.policy.snapshot().object(object);
    object.into_iter().flat_map(|object| object.key()).map(|field| field.name.as_str()).collect()
}

/// A record's key as one text.
fn id_of(record: &Row, keys: &[&str]) -> String {
    let parts: Option<Vec<_>> = keys.iter().map(|key| record.get(*key).and_then(reference_text)).collect();
    match parts {
        Some(parts) if !parts.is_empty() => parts.join(","),
        Some(_) | None => "(no id)".to_owned(),
    }
}

fn own_record(principal: &Principal, keys: &[&str]) -> Row {
    let key = keys.iter().map(|key| (*key, Value::String("(own record)".to_owned())));
    let me = Value::String(principal.user_id.clone());
    let organization = principal.organization_id.clone().map_or(Value::Null, Value::String);
    let own = [("owner_id", me.clone()), ("created_by", me), ("organization_id", organization)];
    key.chain(own).map(|(name, value)| (name.to_owned(), value)).collect()
}
