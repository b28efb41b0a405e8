//! What is asked of both servers: a statement, its values, and the way they are sent. Knows no server.

use crate::wire::Format;
use tokio_postgres::types::Type;

/// A value beside a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    /// As PostgreSQL reads it; `None` for NULL.
    pub(crate) text: Option<String>,
    pub(crate) pg_type: Type,
}

impl Value {
    /// As a literal of the statement that executes a prepared one.
    fn literal(&self) -> String {
        let Some(text) = &self.text else { return "NULL".to_owned() };
        let plain = text.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
        match self.pg_type {
            Type::INT4 | Type::INT8 | Type::NUMERIC if plain => text.clone(),
            Type::TEXT => format!("'{}'", text.replace('\'', "''")),
            _ => format!("{} '{}'", self.pg_type.name(), text.replace('\'', "''")),
        }
    }
}

/// The way a statement and its values are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// As one text.
    Simple,
    /// Prepared, without values; results in this format.
    Extended(Format),
    /// With values, of declared types or none.
    Bound { typed: bool, format: Format },
    /// PREPARE and EXECUTE, with types or without.
    Prepare { typed: bool },
    /// Through Flight SQL, values as Arrow; compared with what typed values give.
    Flight,
}

/// The ways in which values are sent, with the names that reports have for them.
pub(crate) const PARAMETER_FORMS: [(&str, Ask); 7] = [
    ("typed text", Ask::Bound { typed: true, format: Format::Text }),
    ("typed binary", Ask::Bound { typed: true, format: Format::Binary }),
    ("untyped text", Ask::Bound { typed: false, format: Format::Text }),
    ("untyped binary", Ask::Bound { typed: false, format: Format::Binary }),
    ("PREPARE typed", Ask::Prepare { typed: true }),
    ("PREPARE untyped", Ask::Prepare { typed: false }),
    ("Flight", Ask::Flight),
];

/// One statement in one form over one source.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) form: &'static str,
    pub(crate) source: &'static str,
    pub(crate) sql: String,
    pub(crate) ask: Ask,
    pub(crate) values: Vec<Value>,
    /// Why the statement as it stands in the corpus answers otherwise.
    pub(crate) reason: Option<String>,
}

impl Case {
    /// The statements of PREPARE and EXECUTE.
    pub(crate) fn script(&self, typed: bool) -> [String; 2] {
        let types: Vec<&str> = self.values.iter().map(|value| value.pg_type.name()).collect();
        let types = if typed && !types.is_empty() { format!(" ({})", types.join(", ")) } else { String::new() };
        let values: Vec<String> = self.values.iter().map(Value::literal).collect();
        let values = if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) };
        [format!("PREPARE form{types} AS {}", self.sql), format!("EXECUTE form{values}")]
    }

    /// Whether the rows have an order that both servers must keep.
    pub(crate) fn is_ordered(&self) -> bool {
        // In another statement, an order is nobody's promise.
        let alone = self.source == "none" && (self.form == "simple" || self.ask != Ask::Simple);
        alone && self.sql.to_ascii_uppercase().contains("ORDER BY")
    }

    /// What names the case in lists of known differences.
    pub(crate) fn key(&self) -> String {
        let value = |value: &Value| format!("{} {}", value.pg_type.name(), value.text.as_deref().unwrap_or("NULL"));
        let values: Vec<String> = self.values.iter().map(value).collect();
        let values = values.join(", ").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r");
        format!("{}\t{}\t{}\t{values}", self.form, self.source, self.sql)
    }

    /// A number that is the same in every run, whatever other cases there are.
    pub(crate) fn hash(&self) -> u64 {
        hash(&self.key())
    }
}

/// FNV-1a of a text: it names what must be chosen, or called, the same whatever else the corpus holds.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
