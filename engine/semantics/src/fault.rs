//! The errors that values can cause, in Postgres' words and without the values. Knows no expression.

use datafusion::common::DataFusionError;
use querygate_types::{Error, ErrorCode};

/// Bytes of a literal that an error repeats, at most.
pub(super) const REPEATED_MAX: usize = 1_000;

/// What a value can do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// With the type's name in Postgres.
    OutOfRange(&'static str),
    Overflow,
    Underflow,
    DivisionByZero,
    /// Outside of a function's domain, with a sentence that holds for every value.
    Logarithm(&'static str),
    /// The same of powers and roots.
    Power(&'static str),
    /// Not a text of this type.
    Syntax(&'static str),
}

impl Fault {
    pub(super) fn error(self) -> DataFusionError {
        let error = match self {
            Self::OutOfRange(name) => Error::new(ErrorCode::NumericOutOfRange, format!("{name} out of range")),
            Self::Overflow => Error::new(ErrorCode::NumericOutOfRange, "value out of range: overflow"),
            Self::Underflow => Error::new(ErrorCode::NumericOutOfRange, "value out of range: underflow"),
            Self::DivisionByZero => Error::new(ErrorCode::DivisionByZero, "division by zero"),
            Self::Logarithm(text) => Error::new(ErrorCode::InvalidLogarithmArgument, text),
            Self::Power(text) => Error::new(ErrorCode::InvalidPowerArgument, text),
            Self::Syntax(name) => {
                Error::new(ErrorCode::InvalidTextRepresentation, format!("invalid input syntax for type {name}"))
            }
        };
        external(error)
    }
}

pub(super) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// An error of a literal with its text, as PostgreSQL has it. The query crate, which knows the statement, takes out a text that the statement
/// does not write. A row's value is never in an error.
pub(super) fn with_text(error: DataFusionError, text: &str) -> DataFusionError {
    let DataFusionError::External(inner) = error else { return error };
    let own = match inner.downcast::<Error>() {
        Ok(own) => own,
        Err(other) => return DataFusionError::External(other),
    };
    let integer = |name: &str| matches!(name, "smallint" | "integer" | "bigint");
    let told = match own.code() {
        ErrorCode::InvalidTextRepresentation
            if own.message().ends_with(" json") || own.message().ends_with(" bytea") =>
        {
            None
        }
        ErrorCode::InvalidTextRepresentation | ErrorCode::InvalidDatetimeFormat => own
            .message()
            .starts_with("invalid input syntax for type ")
            .then(|| format!("{}: \"{text}\"", own.message())),
        ErrorCode::DatetimeOverflow | ErrorCode::IntervalFieldOverflow => {
            own.message().ends_with(" out of range").then(|| format!("{}: \"{text}\"", own.message()))
        }
        ErrorCode::NumericOutOfRange => {
            let name = own.message().strip_suffix(" out of range").filter(|name| integer(name));
            name.map(|name| format!("value \"{text}\" is out of range for type {name}"))
        }
        _ => None,
    };
    let Some(told) = told.filter(|_| !own.message().contains('"')) else { return external(*own) };
    let bare = own.message().to_owned();
    external(own.reworded(|part| if part == bare { told.clone() } else { part.to_owned() }))
}

/// 22023.
pub(super) fn refused(message: &'static str) -> DataFusionError {
    external(Error::new(ErrorCode::InvalidParameterValue, message))
}

pub(super) fn unsupported(text: &'static str) -> DataFusionError {
    external(Error::new(ErrorCode::FeatureNotSupported, text))
}
