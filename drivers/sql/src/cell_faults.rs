//! What is said of a source's values that their column's type cannot hold. Reads no row.

use querygate_driver_api::value::ValueType;
use querygate_types::{Error, ErrorCode, Result};

/// 22000: it is of another kind.
#[must_use]
pub fn wrong_value(value_type: ValueType) -> Error {
    let message = format!("source holds a value that is not a {} in such a column", value_type.name());
    Error::new(ErrorCode::DataException, message)
}

/// 22021: a text that is none in Postgres, where no text has a NUL.
#[must_use]
pub fn broken_text() -> Error {
    Error::new(ErrorCode::CharacterNotInRepertoire, "source holds a text with a NUL or an invalid byte")
}

/// 22003: a number that the type is too small for.
#[must_use]
pub fn out_of_range(value_type: ValueType) -> Error {
    Error::new(ErrorCode::NumericOutOfRange, format!("{} out of range", value_type.name()))
}

/// A whole number in a smaller type.
///
/// # Errors
/// 22003: it does not fit.
pub fn narrow<T: TryFrom<S>, S>(value: Option<S>) -> Result<Option<T>> {
    value.map(T::try_from).transpose().map_err(|_| Error::new(ErrorCode::NumericOutOfRange, "integer out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_fit_are_out_of_range() {
        assert_eq!(narrow::<i16, i64>(Some(-32_768)).unwrap(), Some(i16::MIN));
        assert_eq!(narrow::<i16, i64>(None).unwrap(), None);
        let error = narrow::<i32, i128>(Some(1 << 31)).unwrap_err();
        assert_eq!((error.code(), error.message()), (ErrorCode::NumericOutOfRange, "integer out of range"));
        assert_eq!(out_of_range(ValueType::Float32).code(), ErrorCode::NumericOutOfRange);
    }
}
