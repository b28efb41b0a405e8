//! An answer of the gate against the recorded one.

use crate::recording::{Recording, STAMPS, resolved};
use querygate_metadata::model::{DefaultValue, FieldType};
use querygate_tests::server::Answer;
use serde_json::Value;
use std::collections::BTreeMap;

/// What became of a request.
pub(crate) enum Outcome {
    Agrees,
    Differs(String),
    /// The gate is strict on purpose, or has no such service.
    LeftOut(String),
}

/// A request with both answers.
pub(crate) struct Sent<'s> {
    recording: &'s Recording,
    step: &'s Value,
    number: i64,
    status: u64,
    /// The gate's answer, with the vendor's names for ids that were made.
    body: Value,
    /// The gate's ids of new records, with the vendor's.
    ids: BTreeMap<String, String>,
}

type Stored = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

impl<'s> Sent<'s> {
    pub(crate) fn of(recording: &'s Recording, step: &'s Value, answer: &Answer) -> Self {
        let (body, mut ids) = (answer.json(), BTreeMap::new());
        pair(&step["body"], &body, &mut ids);
        let text = renamed(&body.to_string(), &ids);
        let body = serde_json::from_str(&text).unwrap_or_default();
        Self { recording, step, number: step["n"].as_i64().unwrap(), status: answer.status.into(), body, ids }
    }

    /// The clock of this step, as a step after it would name it.
    fn clock(&self) -> String {
        format!("$t{}", self.number)
    }

    fn is_accepted(&self) -> bool {
        self.status < 400
    }

    fn was_accepted(&self) -> bool {
        self.step["status"].as_u64().unwrap() < 400
    }

    /// What is stored, under the vendor's ids.
    pub(crate) fn renamed(&self, stored: Stored) -> Stored {
        let row = |cells: BTreeMap<String, String>| {
            cells.into_iter().map(|(name, cell)| (name, renamed(&cell, &self.ids))).collect()
        };
        let table = |rows: BTreeMap<String, BTreeMap<String, String>>| {
            rows.into_iter().map(|(id, cells)| (renamed(&id, &self.ids), row(cells))).collect()
        };
        stored.into_iter().map(|(object, rows)| (object, table(rows))).collect()
    }

    /// Why another store is right where the answers agree.
    pub(crate) fn store_reason(&self, text: &str) -> Option<&'static str> {
        let changed = !self.step["delta"].is_null();
        if changed && !self.was_accepted() {
            return Some("a refused request that changed the vendor's store");
        }
        let some_failed =
            self.step["body"]["results"].as_array().into_iter().flatten().any(|row| row["success"] == false);
        let fails_late = self.step["body"].to_string().contains("ERR_SUMMARY_RECOMPUTE")
            || self.step["body"].to_string().contains("INTERNAL_ERROR");
        if some_failed && fails_late {
            return Some("a row that failed and changed the vendor's store");
        }
        if text.contains("instead of \"2026-03-15") {
            return Some("a default of the clock");
        }
        if text.contains("'\"\"' instead of null") {
            return Some("an empty text in a column of another type");
        }
        None
    }
}

/// Ids that both made for one record, found at the places where they are answered.
fn pair(theirs: &Value, ours: &Value, ids: &mut BTreeMap<String, String>) {
    match (theirs, ours) {
        (Value::String(theirs), Value::String(ours)) if theirs.starts_with("$id") && theirs != ours => {
            // A text that holds more than an id is a message.
            if !ours.contains(' ') && ours.len() >= 8 {
                ids.insert(ours.clone(), theirs.clone());
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            theirs.iter().zip(ours).for_each(|(theirs, ours)| pair(theirs, ours, ids));
        }
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, theirs) in theirs {
                if let Some(ours) = ours.get(name) {
                    pair(theirs, ours, ids);
                }
            }
        }
        _ => {}
    }
}

fn renamed(text: &str, ids: &BTreeMap<String, String>) -> String {
    ids.iter().fold(text.to_owned(), |text, (ours, theirs)| text.replace(ours, theirs))
}

fn code(body: &Value) -> &str {
    body["code"].as_str().or_else(|| body["error"]["code"].as_str()).unwrap_or("")
}

/// Compares answers; the store comes after.
pub(crate) fn compare(sent: &Sent<'_>) -> Outcome {
    if let Some(reason) = left_out(sent) {
        return Outcome::LeftOut(reason);
    }
    let theirs = &sent.step["body"];
    let shown = |value: &Value| value.to_string().chars().take(400).collect::<String>();
    if sent.step["status"].as_u64() != Some(sent.status) {
        let text =
            format!("status {} for {}: {} for {}", sent.status, sent.step["status"], shown(&sent.body), shown(theirs));
        return Outcome::Differs(text);
    }
    if code(theirs) != code(&sent.body) {
        return Outcome::Differs(format!("code {} for {}: {}", code(&sent.body), code(theirs), shown(&sent.body)));
    }
    let fields = |body: &Value| -> Vec<[String; 3]> {
        let read = |field: &Value| ["field", "code", "message"].map(|key| field[key].to_string());
        body["fields"].as_array().into_iter().flatten().map(read).collect()
    };
    if fields(theirs) != fields(&sent.body) {
        return Outcome::Differs(format!("fields {:?} for {:?}", fields(&sent.body), fields(theirs)));
    }
    match results(sent).or_else(|| records(sent).map(Outcome::Differs)) {
        Some(outcome) => outcome,
        None => Outcome::Agrees,
    }
}

/// The first row of a batch that ended in another way.
fn results(sent: &Sent<'_>) -> Option<Outcome> {
    let (theirs, ours) = (sent.step["body"]["results"].as_array()?, sent.body["results"].as_array());
    let Some(ours) = ours else { return Some(Outcome::Differs("no results".to_owned())) };
    if theirs.len() != ours.len() {
        return Some(Outcome::Differs(format!("{} results for {}", ours.len(), theirs.len())));
    }
    let (at, (theirs, ours)) =
        theirs.iter().zip(ours).enumerate().find(|(_, (theirs, ours))| told(theirs) != told(ours))?;
    let texts = (ours["errors"][0]["message"].as_str().unwrap_or(""), told(theirs), told(ours));
    Some(match texts {
        (message, (_, Some("PERMISSION_DENIED") | None), (_, Some("VALIDATION_FAILED")))
            if message.contains("refers to a record that does not exist") =>
        {
            Outcome::LeftOut("a reference that is looked up first, or that the writer does not see".to_owned())
        }
        (_, (_, Some("PERMISSION_DENIED")), (_, Some("DELETE_RESTRICTED"))) => {
            Outcome::LeftOut("a dependent that may not be deleted".to_owned())
        }
        (_, (_, Some("PERMISSION_DENIED")), (_, Some("RECORD_NOT_FOUND"))) => {
            Outcome::LeftOut("rights to a record that is not there".to_owned())
        }
        (message, theirs, ours) => Outcome::Differs(format!("result {at}: {ours:?} for {theirs:?}: {message}")),
    })
}

/// How a row ended. Which rule keeps a record from its writer is not said.
fn told(row: &Value) -> (bool, Option<&str>) {
    let code = row["errors"][0]["code"].as_str();
    (row["success"] == true, code.map(|code| if code == "FORBIDDEN" { "PERMISSION_DENIED" } else { code }))
}

/// The first answered record that is another one.
fn records(sent: &Sent<'_>) -> Option<String> {
    let object = sent.step["object"].as_str()?;
    let pairs = |key: &str| {
        let list = |body: &Value| body[key].as_array().cloned().unwrap_or_default();
        let (theirs, ours) = (list(&sent.step["body"]), list(&sent.body));
        theirs.into_iter().zip(ours)
    };
    let one = (sent.step["body"]["record"].clone(), sent.body["record"].clone());
    pairs("records")
        .chain([one])
        .filter(|(theirs, _)| theirs.is_object())
        .find_map(|(theirs, ours)| record(sent, object, &resolved(&theirs, sent.number), &ours))
}

fn record(sent: &Sent<'_>, object: &str, theirs: &Value, ours: &Value) -> Option<String> {
    let declared = sent.recording.snapshot.object(object)?;
    let is_new = matches!(sent.step["kind"].as_str(), Some("create" | "createMany" | "clone" | "batch"));
    let Some(ours) = ours.as_object() else { return Some(format!("no record: {ours}")) };
    let theirs = theirs.as_object()?;
    if let Some(extra) = ours.keys().find(|name| !theirs.contains_key(*name)) {
        return Some(format!("{object}: {extra} is shown"));
    }
    for (name, value) in theirs {
        let field = declared.field(name);
        // Of the vendor's clock and counters, or a secret.
        let is_own = STAMPS.contains(&name.as_str())
            || field.is_some_and(|field| match field.field_type {
                FieldType::Password | FieldType::Secret => true,
                FieldType::Autonumber => is_new,
                _ => is_new && matches!(field.default, Some(DefaultValue::Now)),
            });
        let Some(mine) = ours.get(name) else { return Some(format!("{object}: {name} is not shown")) };
        // The clock of this step; that of an earlier one was stored.
        let is_now = value.as_str().is_some_and(|text| {
            matches!(text, "$now" | "$today" | "$time") || text.starts_with("2026-03-15") || text == sent.clock()
        });
        if !is_own && !is_now && !is_equal(&resolved(value, sent.number), mine) {
            return Some(format!("{object} {name}: {mine} for {value}"));
        }
    }
    None
}

fn is_equal(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Number(theirs), Value::Number(ours)) => theirs.as_f64() == ours.as_f64(),
        _ => theirs == ours,
    }
}

/// Why nothing is compared.
fn left_out(sent: &Sent<'_>) -> Option<String> {
    let (step, recorded) = (sent.step, &sent.step["body"]);
    let status = step["status"].as_u64().unwrap();
    let texts = recorded.to_string();
    if sent.status == 501 {
        return Some(format!("not served: {}", sent.body["error"].as_str().unwrap_or("")));
    }
    if texts.contains("After the fact") {
        return Some("an error after a change, which undoes it here".to_owned());
    }
    if status == 500 || texts.contains("INTERNAL_ERROR") || texts.contains("ERR_SUMMARY_RECOMPUTE") {
        return Some("the vendor's own failure".to_owned());
    }
    let message = sent.body.to_string();
    if sent.was_accepted() && !sent.is_accepted() {
        if step["kind"] == "createMany" && sent.status == 403 {
            return Some("CHECK, which the vendor does not ask of several new records".to_owned());
        }
        if message.contains("reference_not_found") {
            return Some("a reference to a record that the writer does not see".to_owned());
        }
    }
    if message.contains("does not fit its column") || message.contains("is not a text[] in such a column") {
        return Some("a value that the source's column does not hold, as a list of numbers".to_owned());
    }
    if sent.body["record"].as_object().is_some_and(|record| record.len() == 1) {
        return Some("a record that is written and not read".to_owned());
    }
    if texts.contains(":\"\"") {
        return Some("an empty text in a column of another type".to_owned());
    }
    if let Some(reason) = order(sent) {
        return Some(reason.to_owned());
    }
    let given = step["request"]["body"].to_string();
    let object = step["object"].as_str().and_then(|object| sent.recording.snapshot.object(object));
    let is_given = |wanted: fn(FieldType) -> bool| {
        object
            .into_iter()
            .flat_map(|object| object.fields.values())
            .any(|field| wanted(field.field_type) && given.contains(&format!("\"{}\":", field.name)))
    };
    if is_given(|kind| kind == FieldType::Summary) {
        return Some("a value for a summary, which the vendor takes".to_owned());
    }
    None
}

/// What is found in another order where several things are wrong with one request. Both refuse.
fn order(sent: &Sent<'_>) -> Option<&'static str> {
    if sent.was_accepted() || sent.is_accepted() {
        return None;
    }
    let (theirs, ours) = (code(&sent.step["body"]), code(&sent.body));
    let is_of_rights = |code: &str| matches!(code, "PERMISSION_DENIED" | "FORBIDDEN" | "RECORD_NOT_FOUND");
    if sent.body.to_string().contains("reference_not_found") && sent.step["body"]["fields"] != sent.body["fields"] {
        return Some("a reference that is looked up first");
    }
    match (theirs, ours) {
        (theirs, "VALIDATION_FAILED") if is_of_rights(theirs) => Some("a rule that is asked before CHECK"),
        // Which of both forbids a delete is not told.
        (theirs, "DELETE_RESTRICTED") if is_of_rights(theirs) => Some("a dependent that may not be deleted"),
        ("PERMISSION_DENIED", "FORBIDDEN") | ("FORBIDDEN", "PERMISSION_DENIED") => {
            Some("which rule keeps a record from its writer, which is not said")
        }
        ("CONCURRENT_UPDATE", ours) if is_of_rights(ours) => Some("rights that are asked before the version"),
        (theirs, "RECORD_NOT_FOUND") if is_of_rights(theirs) => Some("rights to a record that is not there"),
        _ => None,
    }
}
