//! Settings that a client makes up for its own use: `SET my.thing = 'x'`, read back by SHOW and `current_setting`. They mean nothing
//! to the gate, to its policies and to its sources.

use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;

/// Settings of one session.
const NUMBER_MAX: usize = 256;
/// Bytes of their names and values together.
const BYTES_MAX: usize = 65_536;

/// Values by names in lower case. One that was ever named stays there, empty, as in PostgreSQL.
#[derive(Debug, Clone, Default)]
pub(super) struct Custom {
    values: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Default)]
struct Value {
    now: String,
    /// What RESET goes back to.
    start: String,
}

/// The name of a setting that is none of the gate's, in lower case.
///
/// # Errors
/// `unknown`: it has no prefix, or the gate's own. 42704: its parts are no simple names.
pub(super) fn named(name: &str, unknown: Error) -> Result<String> {
    let lower = name.to_lowercase();
    let Some((prefix, _)) = lower.split_once('.') else { return Err(unknown) };
    if prefix == "querygate" {
        return Err(unknown);
    }
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let goes_on = |c: char| begins(c) || c.is_ascii_digit() || c == '$';
    let is_simple = |part: &str| part.starts_with(begins) && part.chars().all(goes_on);
    if lower.split('.').all(is_simple) {
        return Ok(lower);
    }
    Err(Error::new(ErrorCode::UndefinedObject, format!("invalid configuration parameter name \"{name}\""))
        .with_detail("Custom parameter names must be two or more simple identifiers separated by dots."))
}

impl Custom {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(&name.to_lowercase()).map(|value| value.now.as_str())
    }

    /// `start`: it is also what RESET goes back to.
    ///
    /// # Errors
    /// 54000: there are too many, or they are too long.
    pub(super) fn set(&mut self, name: &str, text: &str, start: bool) -> Result<()> {
        let others = self.values.iter().filter(|(other, _)| *other != name);
        let (mut number, mut bytes) = (1_usize, name.len().saturating_add(text.len()));
        for (other, value) in others {
            number += 1;
            bytes = bytes.saturating_add(other.len()).saturating_add(value.now.len());
        }
        if number > NUMBER_MAX || bytes > BYTES_MAX {
            let detail = format!("A session has at most {NUMBER_MAX} of {BYTES_MAX} bytes together.");
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many custom parameters").with_detail(detail));
        }
        let value = self.values.entry(name.to_owned()).or_default();
        text.clone_into(&mut value.now);
        if start {
            text.clone_into(&mut value.start);
        }
        Ok(())
    }

    /// The value that it has then.
    ///
    /// # Errors
    /// 54000: it was not there, and there are too many.
    pub(super) fn reset(&mut self, name: &str) -> Result<String> {
        let start = self.values.get(name).map(|value| value.start.clone()).unwrap_or_default();
        self.set(name, &start, false)?;
        Ok(start)
    }

    pub(super) fn reset_all(&mut self) {
        for value in self.values.values_mut() {
            value.now.clone_from(&value.start);
        }
    }

    /// Settings that were named in what is taken back stay, empty.
    pub(super) fn keep_names(&mut self, taken_back: &Self) {
        for name in taken_back.values.keys() {
            self.values.entry(name.clone()).or_default();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.now.as_str()))
    }
}
