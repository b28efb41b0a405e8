//! What the gate answered against what the vendor did.

use crate::recording::Recording;
use crate::request::{Request, Verb};
use querygate_metadata::model::FieldType;
use std::borrow::Cow;

/// What became of a request.
pub(crate) enum Verdict {
    Agrees,
    Differs(String),
    /// SQL means something else here, or the gate does not do it.
    LeftOut(Cow<'static, str>),
}

/// The verdict on several statements: what differs first, else what is left out.
pub(crate) fn worst(verdicts: Vec<Verdict>) -> Verdict {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Agrees => 0,
        Verdict::Differs(_) => 1,
        Verdict::LeftOut(_) => 2,
    };
    verdicts.into_iter().rev().max_by_key(rank).unwrap_or(Verdict::Agrees)
}

/// Whether a statement was refused, or met no record.
pub(crate) fn is_refused_at_all(request: &Request, answer: &Answer) -> bool {
    match answer {
        Ok(count) => *count == 0 && request.verb != Verb::Insert,
        Err(_) => true,
    }
}

type Answer = Result<u64, (String, String)>;

pub(crate) fn compare(
    recording: &Recording,
    request: &Request,
    answer: &Answer,
    sees: &dyn Fn(&str, &str) -> bool,
) -> Verdict {
    if let Some(reason) = on_purpose(recording, request, answer, sees) {
        return Verdict::LeftOut(reason);
    }
    let agrees = match (&request.code, answer) {
        (None, Ok(count)) => *count > 0,
        (None, Err(_)) => false,
        (Some(code), answer) => is_refused(code, request.verb, answer),
    };
    if agrees {
        return Verdict::Agrees;
    }
    let expected = request.code.as_deref().unwrap_or("accepted");
    Verdict::Differs(format!("{answer:?} instead of {expected}: {}", request.sql))
}

/// Whether a refusal is of the vendor's kind. A row that is no target is not changed, and that is no error.
fn is_refused(code: &str, verb: Verb, answer: &Answer) -> bool {
    let state = match answer {
        Ok(count) => return *count == 0 && verb != Verb::Insert && is_of_rights(code),
        Err((state, _)) => state.as_str(),
    };
    match code {
        "PERMISSION_DENIED" | "FORBIDDEN" => {
            // Names that are hidden are not there; dependents that may not be deleted refuse as those that restrict.
            matches!(state, "42501" | "42P01" | "42703") || (verb == Verb::Delete && state == "23503")
        }
        "RECORD_NOT_FOUND" => matches!(state, "42501" | "42P01"),
        "VALIDATION_FAILED" => state.starts_with("22") || matches!(state, "23502" | "23503" | "23514"),
        "UNIQUE_VIOLATION" => state == "23505",
        "DELETE_RESTRICTED" => state == "23503",
        "INVALID_FIELD" => matches!(state, "42703" | "428C9"),
        "VALIDATION_ERROR" => matches!(state, "23514" | "42501" | "P0001"),
        "HOOK" => state == "P0001",
        "MISSING_REQUIRED_FIELD" => matches!(state, "23502" | "42501"),
        _ => false,
    }
}

fn is_of_rights(code: &str) -> bool {
    matches!(code, "PERMISSION_DENIED" | "FORBIDDEN" | "RECORD_NOT_FOUND" | "OBJECT_NOT_FOUND")
}

fn on_purpose(
    recording: &Recording,
    request: &Request,
    answer: &Answer,
    sees: &dyn Fn(&str, &str) -> bool,
) -> Option<Cow<'static, str>> {
    let object = recording.object(&request.object);
    let state = answer.as_ref().err().map(|(state, _)| state.as_str());
    if let Err((_, message)) = answer
        && state == Some("0A000")
    {
        return Some(format!("refused: {message}").into());
    }
    let is_stamped = |name: &String| matches!(name.as_str(), "created_at" | "updated_at" | "created_by" | "updated_by");
    if request.drops || request.payload.keys().any(is_stamped) || state == Some("428C9") && request.code.is_none() {
        return Some("a value that the vendor drops and SQL refuses".into());
    }
    let of_type =
        |name: &String, wanted: fn(FieldType) -> bool| object.field(name).is_some_and(|f| wanted(f.field_type));
    if request.payload.keys().any(|name| of_type(name, |t| t == FieldType::Summary)) {
        return Some("a value for a summary, which the vendor takes".into());
    }
    if request.code.is_none() && request.is_many && state == Some("42501") {
        return Some("CHECK, which the vendor does not ask of several new records".into());
    }
    if request.code.is_none() && state == Some("42501") && recording.is_bound_by_using(&request.object) {
        return Some("a policy without a check, which binds what is stored since 17.5".into());
    }
    if request.code.is_none() && state == Some("23503") {
        let hidden = request.payload.iter().any(|(name, value)| {
            let target =
                object.field(name).filter(|f| f.field_type.is_reference()).and_then(|f| f.reference.as_deref());
            target.is_some_and(|target| !sees(target, value.as_str().unwrap_or_default()))
        });
        if hidden {
            return Some("a reference to a record that the writer does not see".into());
        }
    }
    // Where the vendor goes on to look at the values, SQL knows no such column.
    if !matches!(request.code.as_deref(), Some("PERMISSION_DENIED" | "FORBIDDEN"))
        && state == Some("42703")
        && request.payload.keys().all(|name| object.field(name).is_some())
    {
        return Some("a column that is written and not seen".into());
    }
    if request.code.is_none() && *answer == Ok(0) && request.id.as_ref().is_some_and(|id| !sees(&request.object, id)) {
        return Some("a record that is changed and not seen".into());
    }
    None
}

/// What SQL says in another way whatever hooks do, by the text of a difference.
pub(crate) fn of_sql(difference: &str) -> Option<&'static str> {
    let has = |text: &str| difference.contains(text);
    Some(match () {
        () if has("received string") => "a structure that SQL gives as a text",
        () if has("is not a text[]") => "a list that the source's column does not hold",
        () if has("\"428C9\"") => "a value that the vendor drops and SQL refuses",
        () if has("\"42804\"") => "a type that SQL refuses before any rule",
        () if has("\"23503\"") && has("instead of") => "a reference that is looked up first",
        () if has("Ok(0) instead of VALIDATION_FAILED") || has("Ok(0) instead of DELETE_RESTRICTED") => {
            "a record that is no target, which the vendor judges first"
        }
        () if has("instead of \"2026/") || has("holds a value that is not a date") => {
            "a date that the vendor stores as it is given"
        }
        () if (has("\"23502\"") || has("\"23514\"")) && has("PERMISSION_DENIED") => "a rule that is asked before CHECK",
        () if has("stored otherwise") && has("instead of \"2026-03-15") => "a default of the clock",
        () => return None,
    })
}
