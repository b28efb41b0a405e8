//! The errors that values can cause, in Postgres' words and without the values. Knows no expression.

use datafusion::common::DataFusionError;
use querygate_types::{Error, ErrorCode};

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

/// 22023.
pub(super) fn refused(message: &'static str) -> DataFusionError {
    external(Error::new(ErrorCode::InvalidParameterValue, message))
}

pub(super) fn unsupported(text: &'static str) -> DataFusionError {
    external(Error::new(ErrorCode::FeatureNotSupported, text))
}
