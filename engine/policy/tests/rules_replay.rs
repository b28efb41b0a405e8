//! Recorded write histories of the vendor's runtime, replayed against the rules alone: verdict, codes, messages, and the record
//! as it is stored. What rights, hooks and doors decided is left out and counted.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic and report")]

mod histories;
mod support;

use histories::{COUNT, History, Row, clock, history, resolved};
use querygate_metadata::model::FieldType;
use querygate_policy::Evaluator;
use querygate_policy::rules::{Attempt, GrantedRights, ObjectRules, Outcome, ReadonlyMode, ReferredRecords, Violation};
use querygate_policy::write::WriteOperation;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// History, step, and why we store or answer something else on purpose.
const DIFFERENCES: [(usize, i64, &str); 10] = [
    (1, 6, NO_TEXT),
    (3, 58, NO_TEXT),
    (3, 86, "one value given to a locked list gets past the lock there"),
    (4, 42, NO_TEXT),
    (4, 52, NO_TEXT),
    (7, 11, NO_TEXT),
    (8, 55, NO_TEXT),
    (10, 28, "a list is no number"),
    (11, 119, NO_DATE),
    (12, 88, NO_TEXT),
];
const NO_TEXT: &str = "a column of numbers or lists holds no empty text, there is no value";
const NO_DATE: &str = "a text that is stored as it is must be a date: 2026/05/07 is none";

#[derive(Default)]
struct Tally {
    agreed: usize,
    /// By step.
    differences: Vec<(i64, String)>,
    left_out: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn leave_out(&mut self, reason: &'static str) {
        *self.left_out.entry(reason).or_default() += 1;
    }

    fn compare(&mut self, step: i64, place: &str, difference: Option<String>) {
        match difference {
            None => self.agreed += 1,
            Some(difference) => self.differences.push((step, format!("{place}: {difference}"))),
        }
    }
}

/// One record of a request, and what was answered for it.
struct Part<'s> {
    object: &'s str,
    /// The record of an update.
    id: Option<String>,
    payload: Row,
    /// The vendor's code; `None` where the write was accepted.
    code: Option<String>,
    message: Option<String>,
    fields: Option<Vec<Value>>,
    /// The id of the record that was stored.
    stored: Option<String>,
    dropped: Option<Vec<Value>>,
}

struct Replay {
    history: History,
    /// Records of this step that were accepted, by object.
    pending: Vec<(String, Row)>,
    rules: HashMap<String, ObjectRules>,
    tally: Tally,
}

#[test]
fn rules_answer_as_recorded() {
    let (mut all, mut unexpected) = (0, Vec::new());
    let mut expected = DIFFERENCES.to_vec();
    for number in 1..=COUNT {
        let Some(history) = history(number) else { return };
        let snapshot = history.snapshot();
        let rules =
            snapshot.objects.iter().map(|(name, object)| (name.clone(), ObjectRules::compile(object, snapshot)));
        let rules: HashMap<String, ObjectRules> = rules.collect();
        let faults: Vec<_> = rules.values().flat_map(ObjectRules::faults).collect();
        assert!(faults.is_empty(), "history {number}: {faults:?}");
        let mut replay = Replay { history, pending: Vec::new(), rules, tally: Tally::default() };
        for step in replay.history.steps() {
            replay.step(&step);
            replay.history.apply(&step);
        }
        let tally = replay.tally;
        let compared = tally.agreed + tally.differences.len();
        println!("history {number}: {} of {compared} records agree; left out: {:?}", tally.agreed, tally.left_out);
        for (step, difference) in tally.differences {
            let known = expected.iter().position(|(history, known, _)| (*history, *known) == (number, step));
            match known.map(|place| expected.remove(place)) {
                Some((_, _, reason)) => println!("    step {step}: {reason}"),
                None => unexpected.push(format!("history {number}, step {step}: {difference}")),
            }
        }
        all += compared;
    }
    println!("{all} records compared");
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    assert!(expected.is_empty(), "these differences are gone: {expected:?}");
    assert!(all > 950, "only {all} records were compared");
}

impl Replay {
    fn step(&mut self, step: &Value) {
        let parts = parts(step);
        if parts.is_empty() {
            self.tally.leave_out("not a write of records");
        }
        let many = parts.len() > 1;
        self.pending.clear();
        if many && step["kind"] == "createMany" && step["body"]["code"].is_string() {
            self.refused_as_one(step, &parts);
            return;
        }
        for part in &parts {
            if let Some(reason) = self.left_out(step, part) {
                self.tally.leave_out(reason);
                // What comes after a refused record of one unit was not looked at.
                continue;
            }
            let place =
                format!("{} {} {} {}", step["n"], step["kind"], part.object, part.id.as_deref().unwrap_or("new"));
            let difference = self.difference(step, part, many);
            self.tally.compare(step["n"].as_i64().unwrap(), &place, difference);
        }
    }

    /// Several records that are refused as one: unknown fields first, then the first bad record, then what another record has.
    fn refused_as_one(&mut self, step: &Value, parts: &[Part<'_>]) {
        if let Some(reason) = parts.iter().find_map(|part| self.left_out(step, part)) {
            return self.tally.leave_out(reason);
        }
        let mut refused = Vec::new();
        for part in parts {
            let (outcome, found) = self.found(step, part, None).unwrap();
            match found.first().map(|violation| violation.code.name()) {
                None => self.pending.push((part.object.to_owned(), outcome.record)),
                Some(code) => refused.push((
                    ["INVALID_FIELD", "", "UNIQUE_VIOLATION"].iter().position(|own| *own == code).unwrap_or(1),
                    found,
                )),
            }
        }
        let first = refused.iter().min_by_key(|(phase, _)| *phase).map(|(_, found)| found);
        let difference = match (first, &parts[0].code) {
            (Some(found), Some(code)) => answer_difference(&parts[0], code, found, false),
            (None, code) => Some(format!("{code:?} there, accepted here")),
            (Some(found), None) => Some(format!("accepted there, here {:?}", texts(found))),
        };
        self.tally.compare(step["n"].as_i64().unwrap(), "createMany", difference);
    }

    /// What the rules make of a record, and everything that is wrong with it.
    fn found(
        &self,
        step: &Value,
        part: &Part<'_>,
        previous: Option<&Row>,
    ) -> Result<(Outcome, Vec<Violation>), String> {
        let rules = &self.rules[part.object];
        let outcome = self.evaluate(step, part, rules, previous)?;
        let mut found = outcome.violations.clone();
        if found.is_empty() {
            let checks = rules.references(&outcome.given).into_iter();
            let missing = checks.filter(|check| !self.exists(check.target, &check.value));
            found.extend(missing.map(|check| check.violation()));
        }
        if found.is_empty() {
            found.extend(self.taken(rules, &outcome, previous, part.id.as_deref()).into_iter().take(1));
        }
        Ok((outcome, found))
    }

    /// Why the rules alone do not decide it.
    fn left_out(&self, step: &Value, part: &Part<'_>) -> Option<&'static str> {
        const OURS: [&str; 3] = ["VALIDATION_FAILED", "UNIQUE_VIOLATION", "INVALID_FIELD"];
        let event = if part.id.is_some() { "Update" } else { "Insert" };
        let previous = part.id.as_ref().and_then(|id| self.history.store.get(part.object)?.get(id));
        let mut hooks = self.history.hooks().iter();
        let is_hooked = hooks.any(|hook| {
            let mut events = hook["events"].as_array().unwrap().iter();
            hook["object"] == part.object
                && events.any(|name| *name == format!("before{event}"))
                && acts(hook["body"]["source"].as_str().unwrap(), &part.payload, previous)
        });
        let is_ours = part.code.as_deref().is_none_or(|code| OURS.contains(&code));
        if step["status"] == 500 {
            return Some("a server's error of roll-ups, hooks or numbers");
        }
        if !is_ours {
            return Some("rights, doors, or codes of hooks");
        }
        if is_hooked {
            return Some("a hook changes or refuses it");
        }
        if part.code.is_some() && part.fields.is_none() && part.message.is_none() {
            return Some("an answer without texts");
        }
        let Some(rules) = self.rules.get(part.object) else { return Some("no such object") };
        let is_secret =
            |name: &String| rules.object().field(name).is_some_and(|field| field.field_type == FieldType::Secret);
        if part.payload.iter().any(|(name, value)| is_secret(name) && !value.is_null()) {
            return Some("a secret, for which the vendor has a store");
        }
        let is_there = |id: &String| self.history.store.get(part.object).is_some_and(|rows| rows.contains_key(id));
        if part.id.as_ref().is_some_and(|id| !is_there(id)) {
            return Some("the record is not there");
        }
        (part.payload.values().any(|value| value.get("$ref").is_some())).then_some("a reference into the request")
    }

    fn difference(&mut self, step: &Value, part: &Part<'_>, many: bool) -> Option<String> {
        let number = step["n"].as_i64().unwrap();
        let previous = part.id.as_ref().map(|id| self.history.store[part.object][id].clone());
        let (outcome, found) = match self.found(step, part, previous.as_ref()) {
            Ok(found) => found,
            Err(difference) => return Some(difference),
        };
        if found.is_empty() && part.id.is_none() {
            self.pending.push((part.object.to_owned(), outcome.record.clone()));
        }
        let rules = &self.rules[part.object];
        match (&part.code, found.is_empty()) {
            (None, true) => self.stored_difference(step, part, rules, &outcome, previous.as_ref(), number),
            (None, false) => Some(format!("accepted there, here {:?}", texts(&found))),
            (Some(code), true) => Some(format!("{code} {:?} there, accepted here", part.message)),
            (Some(code), false) => answer_difference(part, code, &found, many),
        }
    }

    fn evaluate(
        &self,
        step: &Value,
        part: &Part<'_>,
        rules: &ObjectRules,
        previous: Option<&Row>,
    ) -> Result<Outcome, String> {
        let number = step["n"].as_i64().unwrap();
        let principal = self.history.principal(step["persona"].as_str().unwrap());
        let evaluator = Evaluator {
            policy: &self.history.policy,
            principal: &principal,
            facts: self.history.facts(),
            now_ms: clock(number),
        };
        let operation = if previous.is_some() { WriteOperation::Update } else { WriteOperation::Insert };
        let permit = evaluator.decide_target(part.object, operation).permit();
        let permit = permit.map_err(|error| format!("no permit here: {}", error.message()))?;
        let parent = rules.parent_field().and_then(|field| {
            let id = part.payload.get(&field.name).or_else(|| previous?.get(&field.name))?.as_str()?;
            self.history.store.get(field.reference.as_deref()?)?.get(id)
        });
        Ok(rules.evaluate(&Attempt {
            payload: &part.payload,
            previous,
            parent,
            referred: &ReferredRecords::default(),
            rights: &GrantedRights::default(),
            principal: &principal,
            stamps: permit.stamps(),
            readonly: ReadonlyMode::Drop,
            made: &[],
            now_ms: clock(number),
        }))
    }

    fn exists(&self, target: &str, value: &Value) -> bool {
        let Some(id) = value.as_str() else { return false };
        match target {
            "sys_user" => self.history.is_user(id),
            other => self.history.store.get(other).is_some_and(|rows| rows.contains_key(id)),
        }
    }

    /// Unique values that another record has.
    fn taken(
        &self,
        rules: &ObjectRules,
        outcome: &Outcome,
        previous: Option<&Row>,
        id: Option<&str>,
    ) -> Vec<Violation> {
        let Some(rows) = self.history.store.get(&rules.object().name) else { return Vec::new() };
        let checks = rules.unique_checks(&outcome.record, previous).into_iter();
        let taken = checks.filter(|check| {
            let stored = rows.iter().filter(|(other, _)| Some(other.as_str()) != id).map(|(_, row)| row);
            let pending = self.pending.iter().filter(|(object, _)| *object == rules.object().name).map(|(_, row)| row);
            stored.chain(pending).any(|row| {
                let same = |name: &String, value: &Value| row.get(name).unwrap_or(&Value::Null) == value;
                let values = check.group.fields.iter().zip(&check.values).all(|(name, value)| same(name, value));
                let organization = check.group.organization.iter().zip(&check.organization);
                values && organization.into_iter().all(|(name, value)| same(name, value))
            })
        });
        taken.map(|check| check.violation()).collect()
    }

    fn stored_difference(
        &self,
        step: &Value,
        part: &Part<'_>,
        rules: &ObjectRules,
        outcome: &Outcome,
        previous: Option<&Row>,
        number: i64,
    ) -> Option<String> {
        if let Some(dropped) = &part.dropped {
            let ours: Vec<Value> =
                outcome.dropped.iter().map(|dropped| json!([dropped.field, dropped.reason.name()])).collect();
            if !dropped.iter().all(|one| ours.contains(one)) || dropped.len() != ours.len() {
                return Some(format!("dropped {dropped:?} there, {ours:?} here"));
            }
        }
        let id = part.stored.as_ref()?;
        let delta = resolved(&step["delta"][part.object][id], number);
        let mut expected = previous.cloned().unwrap_or_default();
        expected.extend(delta.as_object().cloned().unwrap_or_default());
        for field in rules.object().fields.values().filter(|field| field.stored()) {
            let (there, here) = (expected.get(&field.name), outcome.record.get(&field.name));
            let (there, here) = (there.unwrap_or(&Value::Null), here.unwrap_or(&Value::Null));
            let is_same = match field.field_type {
                FieldType::Password | FieldType::Secret => there.is_null() == here.is_null(),
                FieldType::Autonumber if previous.is_none() => numbered(rules, outcome, there, &field.name, number),
                // The child's own roll-ups of the same request.
                FieldType::Summary => previous.is_some() || here == there,
                // Not shown to anybody, recordings included.
                _ if field.internal => true,
                _ if field.name == "id" && !part.payload.contains_key("id") => true,
                _ => here == there || (here.is_number() && here.as_f64() == there.as_f64()),
            };
            if !is_same {
                return Some(format!("{} is {there} there, {here} here", field.name));
            }
        }
        None
    }
}

/// Whether a hook before a write does something to it. What is not known does.
fn acts(source: &str, payload: &Row, previous: Option<&Row>) -> bool {
    let status = |row: Option<&Row>| row.and_then(|row| row.get("status")).and_then(Value::as_str).map(str::to_owned);
    let amount = payload.get("amount");
    let number = |text: &str| text.split(|c: char| !c.is_ascii_digit()).find_map(|digits| digits.parse::<f64>().ok());
    if let Some(rest) = source.strip_prefix("if (ctx.input.amount === ") {
        return amount.is_some_and(|amount| amount.as_f64() == number(rest));
    }
    if let Some(rest) = source.strip_prefix("if (ctx.input.amount > ") {
        let limit = number(rest).unwrap();
        return amount.is_some_and(|amount| match amount {
            Value::Number(amount) => amount.as_f64().unwrap() > limit,
            Value::Null | Value::Object(_) => false,
            _ => true,
        });
    }
    if source.starts_with("if (ctx.input.status === 'lost')") {
        return status(Some(payload)).as_deref() == Some("lost");
    }
    if let Some(rest) = source.strip_prefix("if (ctx.previous && ctx.previous.status === '") {
        return status(previous).is_some_and(|status| rest.starts_with(&status));
    }
    if source.starts_with("if (typeof ctx.input.name === 'string') ctx.input.name = ctx.input.name.trim();") {
        return payload.get("name").and_then(Value::as_str).is_some_and(|name| name.trim() != name);
    }
    true
}

/// Whether a recorded number is one that the format makes.
fn numbered(rules: &ObjectRules, outcome: &Outcome, there: &Value, field: &str, step: i64) -> bool {
    let format = rules.autonumbers().find(|(own, _)| own.name == field).map(|(_, format)| format);
    let texts = |counter| format.and_then(|format| format.text(&outcome.record, clock(step), counter));
    (1..1_000).any(|counter| texts(counter).as_deref() == there.as_str())
}

fn texts(found: &[Violation]) -> Vec<String> {
    found.iter().map(|violation| format!("{}: {}", violation.field_name(), violation.message)).collect()
}

fn answer_difference(part: &Part<'_>, code: &str, found: &[Violation], many: bool) -> Option<String> {
    let message = found.iter().map(|violation| violation.message.as_str()).collect::<Vec<_>>().join("; ");
    let own = found.first().map(|violation| violation.code.name());
    let ours = own.filter(|own| ["INVALID_FIELD", "UNIQUE_VIOLATION"].contains(own)).unwrap_or("VALIDATION_FAILED");
    if ours != code {
        return Some(format!("{code} {:?} there, {ours} {message} here", part.message));
    }
    // Rows of a batch have the developer's text of these.
    if let Some(there) = &part.message
        && *there != message
        && !(many && ours == "UNIQUE_VIOLATION")
    {
        return Some(format!("{there:?} there, {message:?} here"));
    }
    let fields = part.fields.as_ref()?;
    let key = |field: &Value| json!([field["field"], field["code"], field["message"], field.get("constraint")]);
    let there: Vec<Value> = fields.iter().map(key).collect();
    let here: Vec<Value> = found
        .iter()
        .map(|violation| {
            let constraint = (!violation.constraint.is_empty()).then_some(&violation.constraint);
            json!([violation.field_name(), violation.code.name(), violation.message, constraint])
        })
        .collect();
    (there != here).then(|| format!("{there:?} there, {here:?} here"))
}

/// The records of a request with what was answered for each.
fn parts(step: &Value) -> Vec<Part<'_>> {
    let Some(object) = step["object"].as_str() else { return Vec::new() };
    let number = step["n"].as_i64().unwrap();
    let (body, answer) = (resolved(&step["request"]["body"], number), &step["body"]);
    match step["kind"].as_str().unwrap() {
        "create" | "update" | "stale" => {
            let id = (step["kind"] != "create").then(|| step["id"].as_str().map(str::to_owned)).flatten();
            let Some(payload) = body.as_object().cloned() else { return Vec::new() };
            if step["request"]["method"] == "DELETE" {
                return Vec::new();
            }
            let stored = answer["id"].as_str().map(str::to_owned);
            vec![Part { dropped: Some(dropped(answer)), stored, id, ..whole(object, payload, answer) }]
        }
        "createMany" => {
            let payloads: Vec<Row> =
                body.as_array().into_iter().flatten().filter_map(|row| row.as_object().cloned()).collect();
            if answer["code"].is_null() {
                let ids =
                    answer["records"].as_array().into_iter().flatten().map(|row| row["id"].as_str().map(str::to_owned));
                return payloads
                    .into_iter()
                    .zip(ids)
                    .map(|(payload, stored)| Part { stored, ..whole(object, payload, answer) })
                    .collect();
            }
            payloads.into_iter().map(|payload| whole(object, payload, answer)).collect()
        }
        "updateMany" | "batch" => rows(step, object, &body, answer),
        _ => Vec::new(),
    }
}

fn whole<'s>(object: &'s str, payload: Row, answer: &Value) -> Part<'s> {
    let text = |key: &str| answer[key].as_str().map(str::to_owned);
    // An error without a code is that of a hook.
    let code = text("code").or_else(|| answer.get("error").map(|_| "of a hook".to_owned()));
    Part {
        object,
        id: None,
        payload,
        code,
        message: text("error"),
        fields: answer["fields"].as_array().cloned(),
        stored: None,
        dropped: None,
    }
}

fn dropped(answer: &Value) -> Vec<Value> {
    let all = answer["droppedFields"].as_array().into_iter().flatten();
    all.flat_map(|one| one["fields"].as_array().unwrap().iter().map(|field| json!([field, one["reason"]]))).collect()
}

/// Rows of a batch: each has its own answer. A record that stands twice is left out.
fn rows<'s>(step: &'s Value, object: &'s str, body: &Value, answer: &Value) -> Vec<Part<'s>> {
    let operation = step["operation"].as_str().unwrap_or("update");
    if operation == "delete" {
        return Vec::new();
    }
    let records = body["records"].as_array().into_iter().flatten();
    let results = answer["results"].as_array().into_iter().flatten();
    let ids: Vec<&Value> = body["records"].as_array().into_iter().flatten().map(|record| &record["id"]).collect();
    let mut parts = Vec::new();
    for (record, result) in records.zip(results) {
        let Some(payload) = record.get("data").and_then(Value::as_object).cloned() else { continue };
        let id = record["id"].as_str().filter(|_| operation != "create").map(str::to_owned);
        if id.is_some() && ids.iter().filter(|other| **other == &record["id"]).count() > 1 {
            continue;
        }
        let error = &result["errors"][0];
        let text = |key: &str| error[key].as_str().map(str::to_owned);
        parts.push(Part {
            object,
            payload,
            code: if result["success"] == true { None } else { text("code").or_else(|| Some("?".to_owned())) },
            message: text("message"),
            fields: None,
            stored: result["id"].as_str().filter(|_| result["success"] == true).map(str::to_owned),
            dropped: None,
            id,
        });
    }
    parts
}
