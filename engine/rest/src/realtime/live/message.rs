//! What clients say over a WebSocket, and how they hear of refusals. Does nothing.

use super::attendance::Attend;
use super::subscription::Wish;
use crate::call::question_of;
use crate::code::Code;
use crate::refusal::Refusal;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Characters of the name that a client gives to what it asks for.
const ID_MAX: usize = 64;
/// Seconds after which a question is asked again, at the least and at the most.
const EVERY_MIN: u64 = 1;
const EVERY_MAX: u64 = 3_600;

/// What a client says.
#[derive(Debug)]
pub(super) enum Message {
    Subscribe(Wish),
    Attend(Attend),
    Unsubscribe { id: String },
}

/// # Errors
/// It is no message, with the name that it gives.
pub(super) fn read(text: &[u8]) -> Result<Message, (Option<String>, Box<Refusal>)> {
    let invalid = |message: &str| Refusal::new(Code::InvalidRequest, message);
    let Some(Value::Object(mut body)) = question_of(text).map_err(|refusal| (None, Box::new(refusal)))? else {
        return Err((None, Box::new(invalid("A message is an object of JSON."))));
    };
    let id = body.get("id").and_then(Value::as_str).filter(|id| !id.is_empty() && id.chars().count() <= ID_MAX);
    let Some(id) = id.map(str::to_owned) else {
        return Err((None, Box::new(invalid(&format!("A message has an 'id' of 1 to {ID_MAX} characters.")))));
    };
    message(&mut body, &id).map_err(|refusal| (Some(id), Box::new(refusal)))
}

fn message(body: &mut Map<String, Value>, id: &str) -> Result<Message, Refusal> {
    let invalid = |message: String| Refusal::new(Code::InvalidRequest, message);
    let only = |names: &[&str]| match body.keys().find(|key| !names.contains(&key.as_str())) {
        Some(key) => Err(invalid(format!("Unrecognized key: \"{key}\""))),
        None => Ok(()),
    };
    match body.get("type").and_then(Value::as_str) {
        Some("subscribe") => {
            only(&["type", "id", "query", "every"])?;
            let every = match body.get("every") {
                None => None,
                Some(every) => Some(every.as_u64().map_or_else(|| every_of(""), |every| every_of(&every.to_string()))?),
            };
            let query = body.remove("query").unwrap_or_default();
            Ok(Message::Subscribe(Wish { id: id.to_owned(), query, every }))
        }
        Some("attend") => {
            only(&["type", "id", "object", "record", "shown"])?;
            let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
            let (Some(object), Some(record)) = (text("object"), text("record")) else {
                return Err(invalid("Who attends names an 'object' and a 'record'.".to_owned()));
            };
            let is_shown = match body.get("shown") {
                None => true,
                Some(Value::Bool(shown)) => *shown,
                Some(_) => return Err(invalid("'shown' is true or false.".to_owned())),
            };
            Ok(Message::Attend(Attend { id: id.to_owned(), object, record, is_shown }))
        }
        Some("unsubscribe") => {
            only(&["type", "id"])?;
            Ok(Message::Unsubscribe { id: id.to_owned() })
        }
        Some(_) | None => Err(invalid("The 'type' of a message is subscribe, attend or unsubscribe.".to_owned())),
    }
}

/// Seconds after which a question is asked again whatever comes.
///
/// # Errors
/// They are none, too few or too many.
pub(in crate::realtime) fn every_of(text: &str) -> Result<Duration, Refusal> {
    let seconds = text.parse().ok().filter(|seconds| (EVERY_MIN..=EVERY_MAX).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        let message = format!("'every' is a number of seconds, {EVERY_MIN} to {EVERY_MAX}.");
        Refusal::invalid("every", "invalid_value", message)
    })
}

/// A refusal as a message. `id`: what it is about.
pub(in crate::realtime) fn error_message(id: Option<&str>, refusal: &Refusal) -> String {
    let mut body = json!({"type": "error", "code": refusal.code().name(), "message": refusal.message()});
    if let Some(body) = body.as_object_mut() {
        if let Some(id) = id {
            body.insert("id".to_owned(), id.into());
        }
        if let Some(faults) = refusal.faults() {
            body.insert("fields".to_owned(), faults.clone());
        }
    }
    body.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_and_others_are_refused() {
        let Ok(Message::Subscribe(wish)) = read(br#"{"type":"subscribe","id":"a","query":{"object":"o"},"every":5}"#)
        else {
            panic!("a subscription is read")
        };
        assert_eq!((wish.id.as_str(), wish.every), ("a", Some(Duration::from_secs(5))));
        assert!(matches!(read(br#"{"type":"unsubscribe","id":"a"}"#), Ok(Message::Unsubscribe { .. })));
        for text in [
            "",
            "[]",
            "{",
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","id":""}"#,
            r#"{"type":"subscribe","id":"a","every":0}"#,
            r#"{"type":"subscribe","id":"a","every":"5"}"#,
            r#"{"type":"subscribe","id":"a","where":{}}"#,
            r#"{"type":"publish","id":"a"}"#,
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        let long = format!(r#"{{"type":"unsubscribe","id":"{}"}}"#, "x".repeat(65));
        assert!(read(long.as_bytes()).is_err());
    }
}
