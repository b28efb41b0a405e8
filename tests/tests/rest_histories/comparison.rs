//! An answer of the gate against the recorded one.

use crate::reasons::{between, of_request, of_rows, of_status};
use crate::recording::{Recording, resolved};
use crate::records::record;
use querygate_tests::server::Answer;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What became of a request.
pub(crate) enum Outcome {
    /// With what single fields or rows do otherwise for a reason that is named; all else was compared.
    Agrees(BTreeSet<&'static str>),
    Differs(String),
    /// The gate does it otherwise on purpose, so that nothing behind the verdict can be compared.
    Otherwise(&'static str),
    /// There is nothing to compare: the gate, or the source of this test, does not serve it; or the vendor failed.
    LeftOut(String),
}

/// A request with both answers.
pub(crate) struct Sent<'s> {
    pub(crate) recording: &'s Recording,
    pub(crate) step: &'s Value,
    pub(crate) number: i64,
    pub(crate) status: u64,
    /// The gate's answer, with the vendor's names for ids that were made.
    pub(crate) body: Value,
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
    pub(crate) fn clock(&self) -> String {
        format!("$t{}", self.number)
    }

    pub(crate) fn is_accepted(&self) -> bool {
        self.status < 400
    }

    pub(crate) fn was_accepted(&self) -> bool {
        self.step["status"].as_u64().unwrap() < 400
    }

    /// Whether an error after the change of one record was told, which undoes the change here.
    pub(crate) fn is_taken_back(&self) -> bool {
        !self.was_accepted() && !self.is_accepted() && self.step["body"]["error"] == "After the fact"
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
}

/// Ids that both made for one record, found at the places where they are answered.
fn pair(theirs: &Value, ours: &Value, ids: &mut BTreeMap<String, String>) {
    match (theirs, ours) {
        // A text that holds more than an id is a message.
        (Value::String(theirs), Value::String(ours))
            if theirs.starts_with("$id") && theirs != ours && !ours.contains(' ') && ours.len() >= 8 =>
        {
            ids.insert(ours.clone(), theirs.clone());
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

pub(crate) fn code(body: &Value) -> &str {
    body["code"].as_str().or_else(|| body["error"]["code"].as_str()).unwrap_or("")
}

/// Field, code and message of each fault.
pub(crate) fn fields(body: &Value) -> Vec<[String; 3]> {
    let read = |field: &Value| ["field", "code", "message"].map(|key| field[key].to_string());
    body["fields"].as_array().into_iter().flatten().map(read).collect()
}

/// Compares answers; the store comes after.
pub(crate) fn compare(sent: &Sent<'_>) -> Outcome {
    let theirs = &sent.step["body"];
    let shown = |value: &Value| value.to_string().chars().take(400).collect::<String>();
    if let Some(outcome) = of_request(sent) {
        return outcome;
    }
    let mut notes = BTreeSet::new();
    if sent.step["status"].as_u64() != Some(sent.status)
        || code(theirs) != code(&sent.body)
        || fields(theirs) != fields(&sent.body)
    {
        if let Some(reason) = of_status(sent) {
            return Outcome::Otherwise(reason);
        }
        let text =
            format!("status {} for {}: {} for {}", sent.status, sent.step["status"], shown(&sent.body), shown(theirs));
        return Outcome::Differs(text);
    }
    if sent.is_taken_back() && theirs["error"] != sent.body["error"] {
        return Outcome::Differs(format!("{} for {}", sent.body["error"], theirs["error"]));
    }
    if let Some(outcome) = results(sent, &mut notes) {
        return outcome;
    }
    match records(sent, &mut notes) {
        Some(text) => Outcome::Differs(text),
        None => Outcome::Agrees(notes),
    }
}

/// The first row of a batch that ended in another way.
fn results(sent: &Sent<'_>, notes: &mut BTreeSet<&'static str>) -> Option<Outcome> {
    let (theirs, ours) = (sent.step["body"]["results"].as_array()?, sent.body["results"].as_array());
    let Some(ours) = ours else { return Some(Outcome::Differs("no results".to_owned())) };
    if theirs.len() != ours.len() {
        return Some(Outcome::Differs(format!("{} results for {}", ours.len(), theirs.len())));
    }
    let object = sent.step["object"].as_str();
    for (at, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
        let both = (theirs["success"] == true, ours["success"] == true);
        if both == (true, true) && theirs["data"].is_object() {
            let data = resolved(&theirs["data"], sent.number);
            let text = object.and_then(|object| record(sent, (object, true), (&data, &ours["data"]), notes));
            if let Some(text) = text {
                return Some(Outcome::Differs(format!("result {at}: {text}")));
            }
        }
        if theirs["success"] == ours["success"] && row_code(theirs) == row_code(ours) {
            continue;
        }
        match (of_rows(sent, theirs, ours), both) {
            // What comes after it goes the same way at both.
            (Some(reason), (false, false)) => _ = notes.insert(reason),
            (Some(reason), _) => return Some(Outcome::Otherwise(reason)),
            (None, _) => {
                let message = ours["errors"][0]["message"].as_str().unwrap_or("");
                let (theirs, ours) = (row_code(theirs), row_code(ours));
                return Some(match between(theirs, ours) {
                    Some(reason) => Outcome::LeftOut(reason.to_owned()),
                    None => Outcome::Differs(format!("result {at}: {ours:?} for {theirs:?}: {message}")),
                });
            }
        }
    }
    None
}

/// The code of a row that failed. Which rule keeps a record from its writer is not said.
pub(crate) fn row_code(row: &Value) -> Option<&str> {
    row["errors"][0]["code"].as_str().map(|code| if code == "FORBIDDEN" { "PERMISSION_DENIED" } else { code })
}

/// The first answered record that is another one.
fn records(sent: &Sent<'_>, notes: &mut BTreeSet<&'static str>) -> Option<String> {
    let object = sent.step["object"].as_str()?;
    let is_new = matches!(sent.step["kind"].as_str(), Some("create" | "createMany" | "clone" | "batch"));
    let pairs = |key: &str| {
        let list = |body: &Value| body[key].as_array().cloned().unwrap_or_default();
        let (theirs, ours) = (list(&sent.step["body"]), list(&sent.body));
        theirs.into_iter().zip(ours)
    };
    let one = (sent.step["body"]["record"].clone(), sent.body["record"].clone());
    for (theirs, ours) in pairs("records").chain([one]).filter(|(theirs, _)| theirs.is_object()) {
        if let Some(text) = record(sent, (object, is_new), (&resolved(&theirs, sent.number), &ours), notes) {
            return Some(text);
        }
    }
    None
}
