//! Values of formulas, how they compare, and their text.

use super::Fault;
use std::cmp::Ordering;

/// A value while a formula is evaluated. Numbers of records are doubles, as they are to the vendor.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// Days since 1970.
    Date(i32),
    /// Milliseconds since 1970, UTC.
    Timestamp(i64),
    List(Vec<Cell>),
}

impl Cell {
    /// Equality of CEL: null equals null only, numbers compare as numbers, other types are not equal.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::List(a), Self::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b)),
            (a, b) => a.order(b) == Ok(Some(Ordering::Equal)),
        }
    }

    /// Order of two values of one kind; `None` beside NaN.
    pub(super) fn order(&self, other: &Self) -> Result<Option<Ordering>, Fault> {
        Ok(match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => Some(a.cmp(b)),
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Date(_) | Self::Timestamp(_), Self::Date(_) | Self::Timestamp(_)) => {
                Some(self.instant()?.cmp(&other.instant()?))
            }
            (Self::Integer(_) | Self::Float(_), Self::Integer(_) | Self::Float(_)) => {
                self.float()?.partial_cmp(&other.float()?)
            }
            _ => return Err(Fault::Type),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "int and double mix as doubles")]
    pub(super) fn float(&self) -> Result<f64, Fault> {
        match self {
            Self::Integer(n) => Ok(*n as f64),
            Self::Float(n) => Ok(*n),
            Self::Null | Self::Boolean(_) | Self::Text(_) | Self::Date(_) | Self::Timestamp(_) | Self::List(_) => {
                Err(Fault::Type)
            }
        }
    }

    /// A whole number, also where it is written as a double.
    pub(super) fn integer(&self) -> Result<i64, Fault> {
        match self {
            Self::Integer(n) => Ok(*n),
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            Self::Float(n) if n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0 => Ok(*n as i64),
            Self::Float(_) => Err(Fault::Range),
            Self::Null | Self::Boolean(_) | Self::Text(_) | Self::Date(_) | Self::Timestamp(_) | Self::List(_) => {
                Err(Fault::Type)
            }
        }
    }

    pub(super) fn text(&self) -> Result<&str, Fault> {
        if let Self::Text(text) = self { Ok(text) } else { Err(Fault::Type) }
    }

    pub(super) fn truth(&self) -> Result<bool, Fault> {
        if let Self::Boolean(truth) = self { Ok(*truth) } else { Err(Fault::Type) }
    }

    /// Milliseconds since 1970; a date is its midnight in UTC.
    pub(super) fn instant(&self) -> Result<i64, Fault> {
        match self {
            Self::Date(day) => Ok(i64::from(*day) * super::calendar::DAY_MS),
            Self::Timestamp(ms) => Ok(*ms),
            Self::Text(text) => crate::value::timestamp(text).ok_or(Fault::Type),
            Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Float(_) | Self::List(_) => Err(Fault::Type),
        }
    }

    /// The day of a date, of an instant in UTC, or of a text that is one.
    #[must_use]
    pub fn day(&self) -> Option<i32> {
        self.instant().and_then(super::calendar::day_at).ok()
    }

    /// Null, or a text or list with nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Boolean(_) | Self::Integer(_) | Self::Float(_) | Self::Date(_) | Self::Timestamp(_) => false,
        }
    }

    /// Its text, as in JSON without quotes: whole doubles without a point, instants with milliseconds and Z.
    ///
    /// # Errors
    /// [`Fault::Type`] for null and lists, [`Fault::Range`] for a number or day without text.
    pub fn render(&self) -> Result<String, Fault> {
        match self {
            Self::Boolean(truth) => Ok(truth.to_string()),
            Self::Integer(n) => Ok(n.to_string()),
            Self::Float(n) if n.is_finite() => Ok(n.to_string()),
            Self::Float(_) => Err(Fault::Range),
            Self::Text(text) => Ok(text.clone()),
            Self::Date(day) => super::calendar::date_text(*day),
            Self::Timestamp(ms) => super::calendar::instant_text(*ms),
            Self::Null | Self::List(_) => Err(Fault::Type),
        }
    }
}
