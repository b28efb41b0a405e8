//! What a value becomes that is assigned to a column: the SQL type that it is cast to, and the exact form that its source is given.

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use arrow::util::display::FormatOptions;
use datafusion::sql::sqlparser::ast::{CastKind, DataType as SqlType, ExactNumberInfo, Expr, TimezoneInfo};
use querygate_driver_api::ValueType;
use querygate_metadata::model::Field;
use querygate_types::{Error, ErrorCode, Result};

/// The SQL type of a column's values. `None`: values of its type are not stored.
pub(crate) fn sql_type(value_type: ValueType, field: &Field) -> Option<SqlType> {
    use querygate_metadata::ValueType as Declared;
    Some(match value_type {
        ValueType::Boolean => SqlType::Boolean,
        ValueType::Int16 => SqlType::SmallInt(None),
        ValueType::Int32 => SqlType::Integer(None),
        ValueType::Int64 => SqlType::BigInt(None),
        ValueType::Float32 => SqlType::Real,
        ValueType::Float64 => SqlType::DoublePrecision,
        ValueType::Decimal128 { precision, scale } => {
            SqlType::Numeric(ExactNumberInfo::PrecisionAndScale(u64::from(precision), i64::from(scale)))
        }
        ValueType::Text => match field.value_type() {
            Declared::Text => SqlType::Text,
            Declared::Uuid => SqlType::Uuid,
            // Their texts have forms of their own, which are not made here.
            _ => return None,
        },
        ValueType::Date => SqlType::Date,
        ValueType::Time => SqlType::Time(None, TimezoneInfo::None),
        ValueType::Timestamp { utc: true } => SqlType::Timestamp(None, TimezoneInfo::Tz),
        ValueType::Timestamp { utc: false } => SqlType::Timestamp(None, TimezoneInfo::None),
        ValueType::Binary | ValueType::TextList | ValueType::List(_) => return None,
    })
}

/// `CAST(expr AS type)`.
pub(crate) fn cast_to(expr: Expr, data_type: SqlType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// Values in a column's own Arrow type. What is not assigned without an explicit cast is refused.
///
/// # Errors
/// 42804: of another kind of type. 22003 and others: a value that the column's type does not hold.
pub(crate) fn fit(values: &ArrayRef, wanted: &DataType, column: &str) -> Result<ArrayRef> {
    let found = values.data_type();
    if found == wanted {
        return Ok(ArrayRef::clone(values));
    }
    if found.is_null() {
        return Ok(new_null_array(wanted, values.len()));
    }
    if !is_assigned(found, wanted) {
        let text = format!("column \"{column}\" is of another type than its value");
        return Err(
            Error::new(ErrorCode::DatatypeMismatch, text).with_hint("You will need to rewrite or cast the expression.")
        );
    }
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    cast_with_options(values, wanted, &options).map_err(|error| {
        Error::new(ErrorCode::NumericOutOfRange, format!("value is out of range for column \"{column}\""))
            .with_cause(error)
    })
}

fn is_assigned(found: &DataType, wanted: &DataType) -> bool {
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_float = |t: &DataType| matches!(t, DataType::Float32 | DataType::Float64);
    let is_decimal = |t: &DataType| matches!(t, DataType::Decimal128(..));
    let is_exact = |t: &DataType| t.is_signed_integer() || is_decimal(t);
    (is_text(found) && is_text(wanted))
        || (found.is_signed_integer() && is_exact(wanted))
        || (is_decimal(found) && is_decimal(wanted))
        || ((is_exact(found) || is_float(found)) && is_float(wanted))
        || (matches!(found, DataType::Date32) && matches!(wanted, DataType::Timestamp(_, None)))
        || matches!((found, wanted), (DataType::Timestamp(_, a), DataType::Timestamp(_, b)) if a.is_some() == b.is_some())
        || matches!((found, wanted), (DataType::Time64(_) | DataType::Time32(_), DataType::Time64(_)))
}
