//! What the gate does otherwise than the vendor on purpose, and what cannot be compared: the closed list of reasons. A step that is none of
//! these is compared whole.

use crate::comparison::{Outcome, Sent, code, fields, row_code};
use querygate_metadata::model::FieldType;
use serde_json::Value;

/// What leaves nothing to compare.
pub(crate) fn of_request(sent: &Sent<'_>) -> Option<Outcome> {
    let recorded = &sent.step["body"];
    if sent.status == 501 {
        return Some(Outcome::LeftOut(format!("not served: {}", sent.body["error"].as_str().unwrap_or(""))));
    }
    let status = sent.step["status"].as_u64().unwrap();
    if status == 500 || code(recorded) == "INTERNAL_ERROR" || code(recorded) == "ERR_SUMMARY_RECOMPUTE" {
        return Some(Outcome::LeftOut("the vendor's own failure".to_owned()));
    }
    let rows = sent.body["results"].as_array().into_iter().flatten();
    let mut messages = rows.map(|row| &row["errors"][0]["message"]).chain([&sent.body["error"]]);
    let is_unheld = |message: &Value| {
        let text = message.as_str().unwrap_or_default();
        text.contains("does not fit its column") || text.contains("in such a column")
    };
    if messages.any(is_unheld) {
        return Some(Outcome::LeftOut("a list of numbers, which the source's column does not hold".to_owned()));
    }
    None
}

/// Why an answer has another status, code or list of faults.
pub(crate) fn of_status(sent: &Sent<'_>) -> Option<&'static str> {
    let recorded = &sent.step["body"];
    match (sent.was_accepted(), sent.is_accepted()) {
        (_, true) => None,
        (true, false) => stricter(sent),
        (false, false) if sent.step["kind"] == "createMany" && sent.status == 403 => {
            Some("both refuse: CHECK, which the vendor does not ask of several new records")
        }
        (false, false) => of_codes(code(recorded), code(&sent.body)).or_else(|| of_faults(sent)),
    }
}

const BOUND_BY_USING: &str = "a policy without a check, which binds what is stored since 17.5";

fn is_bound_by_using(sent: &Sent<'_>) -> bool {
    sent.step["object"].as_str().is_some_and(|object| sent.recording.is_bound_by_using(object))
}

/// Why the gate refuses what the vendor accepts.
fn stricter(sent: &Sent<'_>) -> Option<&'static str> {
    if sent.step["kind"] == "createMany" && sent.status == 403 {
        return Some("CHECK, which the vendor does not ask of several new records");
    }
    if sent.status == 403 && is_bound_by_using(sent) {
        return Some(BOUND_BY_USING);
    }
    let faults = fields(&sent.body);
    let all = |code: &str| !faults.is_empty() && faults.iter().all(|[_, own, _]| own.trim_matches('"') == code);
    if all("reference_not_found") {
        return Some("a reference to a record that the writer does not see");
    }
    if all("invalid_date") {
        return Some("a date in a form of its own, which the vendor stores as it is");
    }
    let given = sent.step["request"]["body"].to_string();
    let object = sent.step["object"].as_str().and_then(|object| sent.recording.snapshot.object(object));
    let summaries = object.into_iter().flat_map(|object| object.fields.values());
    let mut summaries = summaries.filter(|field| field.field_type == FieldType::Summary);
    if summaries.any(|field| given.contains(&format!("\"{}\":", field.name))) {
        return Some("a value for a summary, which the vendor takes");
    }
    None
}

/// Both refuse, and another of several faults is told. Rights are asked before rules, and nobody hears of records and dependents that he
/// may not see.
fn of_codes(theirs: &str, ours: &str) -> Option<&'static str> {
    let is_of_rights = |code: &str| matches!(code, "PERMISSION_DENIED" | "FORBIDDEN" | "RECORD_NOT_FOUND");
    match (theirs, ours) {
        (theirs, "DELETE_RESTRICTED") if is_of_rights(theirs) => Some(
            "both refuse: which of both forbids a delete, its dependents or the right to delete those, is not told",
        ),
        ("PERMISSION_DENIED", "FORBIDDEN") | ("FORBIDDEN", "PERMISSION_DENIED") => {
            Some("both refuse: which rule keeps a record from its writer is not said")
        }
        ("CONCURRENT_UPDATE", ours) if is_of_rights(ours) => {
            Some("both refuse: rights are asked before the version of a record")
        }
        (theirs, "RECORD_NOT_FOUND") if is_of_rights(theirs) => {
            Some("both refuse: a record that is not there, or that its writer does not see")
        }
        _ => None,
    }
}

/// Both refuse a record by its faults, and the gate has more of them.
fn of_faults(sent: &Sent<'_>) -> Option<&'static str> {
    let (theirs, ours) = (fields(&sent.step["body"]), fields(&sent.body));
    if code(&sent.step["body"]) != code(&sent.body) || !theirs.iter().all(|fault| ours.contains(fault)) {
        return None;
    }
    let object = sent.step["object"].as_str().and_then(|object| sent.recording.snapshot.object(object))?;
    let is_loose = |name: &str| {
        let kind = object.field(name.trim_matches('"')).map(|field| field.field_type);
        matches!(kind, Some(FieldType::Slider | FieldType::Progress))
    };
    let mut more = ours.iter().filter(|fault| !theirs.contains(fault));
    more.all(|[name, _, _]| is_loose(name))
        .then_some("both refuse: a slider or a progress that is no number, which the vendor does not look at")
}

/// Why a row of a batch ended otherwise.
pub(crate) fn of_rows(sent: &Sent<'_>, theirs: &Value, ours: &Value) -> Option<&'static str> {
    let message = ours["errors"][0]["message"].as_str().unwrap_or("");
    let is_dangling = message.contains(" record has id \"");
    match (theirs["success"] == true, ours["success"] == true) {
        (true, false) if row_code(ours) == Some("PERMISSION_DENIED") && is_bound_by_using(sent) => Some(BOUND_BY_USING),
        (true, false) if is_dangling => Some("a reference to a record that the writer does not see"),
        (false, false) => match (row_code(theirs)?, row_code(ours)?) {
            // The metadata's own error, in its own words.
            ("INTERNAL_ERROR", "VALIDATION_ERROR") => Some("both refuse: an error of a hook is told in its own words"),
            (theirs, ours) => of_codes(theirs, ours),
        },
        _ => None,
    }
}

/// Why a row cannot be compared, nor what comes after it.
pub(crate) fn between(theirs: Option<&str>, ours: Option<&str>) -> Option<&'static str> {
    if matches!(theirs, Some("INTERNAL_ERROR" | "ERR_SUMMARY_RECOMPUTE")) {
        return Some("the vendor's own failure");
    }
    (ours == Some("NOT_IMPLEMENTED")).then_some("not served: a row of a batch")
}

/// Why another store is right where the answers agree.
pub(crate) fn of_store(sent: &Sent<'_>) -> Option<&'static str> {
    let changed = !sent.step["delta"].is_null();
    (changed && !sent.was_accepted()).then_some("a refused request that changed the vendor's store")
}
