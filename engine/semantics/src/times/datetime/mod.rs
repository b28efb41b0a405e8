//! Dates, time stamps, times of day and intervals: Postgres' texts in and out. Knows no array.

pub(crate) mod format;
pub(crate) mod interval;
pub(crate) mod moment;
mod names;
pub(crate) mod parse;
pub(crate) mod pattern;
pub(crate) mod read;
mod token;

use crate::fault::external;
use datafusion::common::DataFusionError;
use querygate_types::{Error, ErrorCode};

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Not of this form.
    Syntax,
    /// A field that no calendar or clock has.
    Field,
    /// Beyond what the type holds.
    Range,
    /// A field of an interval beyond what it holds.
    Span,
    /// A field of a pattern that only prints.
    Printed,
}

impl Wrong {
    /// The error, without the text.
    pub(crate) fn error(self, type_name: &str) -> DataFusionError {
        external(match self {
            Self::Syntax => {
                Error::new(ErrorCode::InvalidDatetimeFormat, format!("invalid input syntax for type {type_name}"))
            }
            Self::Field => Error::new(ErrorCode::DatetimeOverflow, "date/time field value out of range"),
            Self::Span => Error::new(ErrorCode::IntervalFieldOverflow, "interval field value out of range"),
            Self::Printed => {
                Error::new(ErrorCode::FeatureNotSupported, "a formatting field is only supported in to_char")
            }
            Self::Range => Error::new(ErrorCode::DatetimeOverflow, format!("{type_name} out of range")),
        })
    }
}
