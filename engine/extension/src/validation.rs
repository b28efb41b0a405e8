//! Validations in Rust: what a written record must not be. They run beside those of the metadata, by the same priorities.

use super::Row;
use super::panic_guard::catch_panic;
use super::registration::Registration;

/// Violations that one validation tells of a record, and bytes of a message.
const VIOLATIONS_MAX: usize = 100;
const MESSAGE_BYTES_MAX: usize = 2_000;

/// A record as it would be stored.
#[derive(Debug, Clone, Copy)]
pub struct Written<'r> {
    /// With the values that are not changed; of the declared `fields` alone, where the metadata names some.
    pub record: &'r Row,
    /// The stored record of an update; `None`: it is a new one.
    pub previous: Option<&'r Row>,
    /// The statement's time: milliseconds since 1970.
    pub now_ms: i64,
}

/// Something that is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field it is about; `None`: the record.
    pub field: Option<String>,
    /// For programs, as `invalid_iban`.
    pub code: &'static str,
    /// For people who read all that was looked at; for others, and where there is none, the message of the metadata stands.
    pub message: Option<String>,
}

impl Violation {
    /// One of a field, with the metadata's message.
    #[must_use]
    pub fn of(field: impl Into<String>, code: &'static str) -> Self {
        Self { field: Some(field.into()), code, message: None }
    }

    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
}

/// What a written record must not be. Nothing bounds the time of a call.
pub trait NativeValidation: Send + Sync {
    /// What is wrong; nothing: the record is good.
    ///
    /// # Errors
    /// Why that cannot be said, for operators; without values. The record is refused.
    fn check(&self, written: &Written<'_>) -> Result<Vec<Violation>, String>;
}

impl Registration<dyn NativeValidation> {
    /// What is wrong with a record.
    ///
    /// # Errors
    /// The validation failed or panicked, with its own words, which are in the log.
    pub fn check(&self, written: &Written<'_>) -> Result<Vec<Violation>, String> {
        let checked = catch_panic(|| self.code.check(written)).unwrap_or_else(|_| Err("it panicked".to_owned()));
        let mut found = checked.inspect_err(|why| tracing::error!(validation = ?self, why, "a validation failed"))?;
        found.truncate(VIOLATIONS_MAX);
        for violation in &mut found {
            if let Some(message) = &mut violation.message {
                message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
            }
        }
        Ok(found)
    }
}
