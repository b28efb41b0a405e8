//! Changes that were committed, as one who follows them may see them. Knows no log and no HTTP.

use futures::stream::BoxStream;
use querygate_types::json::print::quoted;
use querygate_types::{Error, ErrorCode, Result};
use std::fmt::Write as _;

/// A place among all changes: what was published later has a greater one. It is a time, so that how much lies between two of them is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Reads one as it was written.
    ///
    /// # Errors
    /// 22023: it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let is_number = !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_number { text.parse().ok() } else { None };
        number.map(Self).ok_or_else(|| Error::new(ErrorCode::InvalidParameterValue, "the sequence is no number"))
    }
}

impl std::fmt::Display for Sequence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What became of a record, for the one who follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventOperation {
    /// It is there now, and was not before, or was not to be seen.
    Insert,
    /// It is another than before.
    Update,
    /// It is not there any more, or is not to be seen any more.
    Delete,
}

impl EventOperation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Insert, Self::Update, Self::Delete];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// By its word.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

/// Which changes are followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Objects, by their names in metadata; `None`: all that the follower sees.
    pub objects: Option<Vec<String>>,
    /// What became of records; `None`: anything.
    pub operations: Option<Vec<EventOperation>>,
    /// What came after this; `None`: what comes from now on.
    pub from: Option<Sequence>,
}

/// What one transaction did to one record, as its follower may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeEvent {
    /// The place of its transaction: all of its events have the same.
    pub sequence: Sequence,
    /// Names the event: no other has it, and an event that comes twice has it twice.
    pub id: String,
    /// Whether the follower gets no further event of this transaction.
    pub is_last: bool,
    /// The object, by its name in metadata.
    pub object: String,
    /// What became of the record.
    pub operation: EventOperation,
    /// The fields that tell records apart, as an object of JSON.
    pub key: String,
    /// Fields whose values are others than before; `None`: what was before is not known to the follower.
    pub changed: Option<Vec<String>>,
    /// The record as the follower reads it, as an object of JSON; `None` of a deleted one.
    pub record: Option<String>,
    /// The transaction's number.
    pub transaction: String,
    /// Id of the user whose change it was, for that user and for operators.
    pub actor: Option<String>,
    /// Through which door it came. Its JSON does not have it.
    pub door: String,
    /// Whether the source did not say whether the transaction was committed.
    pub uncertain: bool,
}

impl ChangeEvent {
    /// When it was published, in milliseconds since 1970.
    #[must_use]
    pub fn at_ms(&self) -> u64 {
        self.sequence.0 / 1_000
    }

    /// The event as an object of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.printed(true)
    }

    /// As [`to_json`](Self::to_json), without the record and the names of its fields.
    #[must_use]
    pub fn to_short_json(&self) -> String {
        self.printed(false)
    }

    fn printed(&self, is_whole: bool) -> String {
        let mut out = String::with_capacity(256 + self.record.as_ref().map_or(0, String::len));
        let text = |out: &mut String, name: &str, value: &str| {
            let _ = write!(out, ",\"{name}\":");
            quoted(value, out);
        };
        let _ = write!(out, "{{\"sequence\":\"{}\"", self.sequence);
        text(&mut out, "id", &self.id);
        text(&mut out, "object", &self.object);
        text(&mut out, "operation", self.operation.name());
        out.push_str(",\"key\":");
        out.push_str(&self.key);
        if let (Some(changed), true) = (&self.changed, is_whole) {
            out.push_str(",\"changed\":[");
            for (at, name) in changed.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                quoted(name, &mut out);
            }
            out.push(']');
        }
        if let (Some(record), true) = (&self.record, is_whole) {
            out.push_str(",\"record\":");
            out.push_str(record);
        }
        text(&mut out, "transaction", &self.transaction);
        if let Some(actor) = &self.actor {
            text(&mut out, "actor", actor);
        }
        let _ = write!(out, ",\"at\":{}", self.at_ms());
        if self.uncertain {
            out.push_str(",\"uncertain\":true");
        }
        out.push('}');
        out
    }
}

/// Something that comes to one who follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// An event.
    Event(Box<ChangeEvent>),
    /// There is nothing up to this place that was not given: who begins again begins behind it.
    Reached(Sequence),
}

/// What comes to one who follows, until an error ends it: 55000 where what is next is no longer kept.
pub type EventStream = BoxStream<'static, Result<Followed>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_json() {
        let mut event = ChangeEvent {
            sequence: Sequence(1_700_000_000_123_456),
            id: "ab".to_owned(),
            is_last: true,
            object: "a\"b".to_owned(),
            operation: EventOperation::Update,
            key: r#"{"id":"1"}"#.to_owned(),
            changed: Some(vec!["x".to_owned(), "y".to_owned()]),
            record: Some(r#"{"id":"1","x":2}"#.to_owned()),
            transaction: "t".to_owned(),
            actor: None,
            door: "postgres".to_owned(),
            uncertain: false,
        };
        assert_eq!(
            event.to_json(),
            r#"{"sequence":"1700000000123456","id":"ab","object":"a\"b","operation":"update","key":{"id":"1"},"changed":["x","y"],"record":{"id":"1","x":2},"transaction":"t","at":1700000000123}"#
        );
        (event.uncertain, event.actor) = (true, Some("ada".to_owned()));
        assert_eq!(
            event.to_short_json(),
            r#"{"sequence":"1700000000123456","id":"ab","object":"a\"b","operation":"update","key":{"id":"1"},"transaction":"t","actor":"ada","at":1700000000123,"uncertain":true}"#
        );
    }

    #[test]
    fn sequences_are_numbers() {
        assert_eq!(Sequence::parse("17").unwrap(), Sequence(17));
        for text in ["", "-1", "+1", "1.0", "x", " 1", "99999999999999999999", "111111111111111111111"] {
            assert_eq!(Sequence::parse(text).unwrap_err().code(), ErrorCode::InvalidParameterValue, "{text}");
        }
    }
}
