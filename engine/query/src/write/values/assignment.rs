//! What a value becomes that is assigned to a column: the SQL type that it is cast to, and the exact form that its source is given.

use arrow::array::{ArrayRef, AsArray, StringArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use arrow::util::display::FormatOptions;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CastKind, DataType as SqlType, ExactNumberInfo, Expr, TimezoneInfo, UnaryOperator, Value,
};
use querygate_driver_api::value::ValueType;
use querygate_metadata::model::Field;
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::sync::Arc;

/// The SQL type of a column's values. `None`: values of its type are not stored.
pub(crate) fn sql_type(value_type: ValueType, field: &Field) -> Option<SqlType> {
    use querygate_metadata::model::ValueType as Declared;
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
            Declared::Json => SqlType::JSON,
            // Their texts have forms of their own, which are not made here.
            _ => return None,
        },
        ValueType::Date => SqlType::Date,
        ValueType::Time => SqlType::Time(None, TimezoneInfo::None),
        ValueType::Timestamp { utc: true } => SqlType::Timestamp(None, TimezoneInfo::Tz),
        ValueType::Timestamp { utc: false } => SqlType::Timestamp(None, TimezoneInfo::None),
        ValueType::Binary => SqlType::Bytea,
        ValueType::TextList => SqlType::Array(ArrayElemTypeDef::SquareBracket(Box::new(SqlType::Text), None)),
        ValueType::List(_) => return None,
    })
}

/// The Postgres type in whose words clients write a column's values. `None`: values of its type are not stored.
pub(crate) fn pg_type(value_type: ValueType, field: &Field) -> Option<PgType> {
    sql_type(value_type, field).map(|_| field.pg_type())
}

/// `CAST(expr AS type)`.
pub(crate) fn cast_to(expr: Expr, data_type: SqlType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// What is known of an expression's type from its text alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Literal {
    /// It takes the type of its column: a text, NULL, a parameter.
    Any,
    Number,
    Boolean,
}

/// `None`: it must be bound to be known.
pub(crate) fn literal(expr: &Expr) -> Option<Literal> {
    match expr {
        Expr::Nested(inner) => literal(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => {
            literal(expr).filter(|literal| *literal == Literal::Number)
        }
        Expr::Value(value) => match &value.value {
            Value::Number(..) => Some(Literal::Number),
            Value::Boolean(_) => Some(Literal::Boolean),
            Value::Null
            | Value::Placeholder(_)
            | Value::SingleQuotedString(_)
            | Value::DollarQuotedString(_)
            | Value::EscapedStringLiteral(_)
            | Value::UnicodeStringLiteral(_) => Some(Literal::Any),
            _ => None,
        },
        _ => None,
    }
}

impl Literal {
    /// # Errors
    /// 42804: it is no value of the column.
    pub(crate) fn admit(self, column: &Field) -> Result<()> {
        match self {
            Self::Any => Ok(()),
            Self::Number => admit(PgType::Numeric, column),
            Self::Boolean => admit(PgType::Bool, column),
        }
    }
}

/// Whether a column takes values of a type without an explicit cast.
///
/// # Errors
/// 42804: it does not.
pub(crate) fn admit(found: PgType, column: &Field) -> Result<()> {
    let wanted = column.pg_type();
    if is_assigned_type(found, wanted) {
        return Ok(());
    }
    let (name, wanted, found) = (&column.name, wanted.sql_name(), found.sql_name());
    Err(mismatch(format!("column \"{name}\" is of type {wanted} but expression is of type {found}")))
}

/// Whether a parameter of EXECUTE, by its number, takes values of a type without an explicit cast.
///
/// # Errors
/// 42804: it does not.
pub(crate) fn admit_argument(number: usize, found: PgType, wanted: PgType) -> Result<()> {
    if wanted == PgType::Unknown || is_assigned_type(found, wanted) || casts_object_identifier(found, wanted) {
        return Ok(());
    }
    let (wanted, found) = (wanted.sql_name(), found.sql_name());
    Err(mismatch(format!("parameter ${number} of type {found} cannot be coerced to the expected type {wanted}")))
}

fn mismatch(text: String) -> Error {
    Error::new(ErrorCode::DatatypeMismatch, text).with_hint("You will need to rewrite or cast the expression.")
}

/// Whether PostgreSQL casts between object identifiers (`oid`, `regclass` and its kin), or between one and a whole number, without being
/// asked; their arrays likewise. A text is the name of a relation.
fn casts_object_identifier(found: PgType, wanted: PgType) -> bool {
    let is_identifier = |of: PgType| of == PgType::Oid || of.name().starts_with("reg");
    let is_number = |of: PgType| is_identifier(of) || matches!(of, PgType::Int2 | PgType::Int4 | PgType::Int8);
    let names = matches!(found, PgType::Text | PgType::Varchar) && wanted == PgType::Regclass;
    let members = found.element().zip(wanted.element());
    names
        || (is_number(found) && is_number(wanted) && (is_identifier(found) || is_identifier(wanted)))
        || members.is_some_and(|(found, wanted)| casts_object_identifier(found, wanted))
}

/// PostgreSQL's casts that it makes in an assignment.
pub(crate) fn is_assigned_type(found: PgType, wanted: PgType) -> bool {
    use PgType as T;
    let is_number = |t| matches!(t, T::Int2 | T::Int4 | T::Int8 | T::Float4 | T::Float8 | T::Numeric);
    let is_string = |t| matches!(t, T::Text | T::Varchar | T::Bpchar | T::Name | T::Char);
    let members = found.element().zip(wanted.element());
    found == wanted
        || found == T::Unknown
        || is_string(wanted)
        || (is_number(found) && is_number(wanted))
        || members.is_some_and(|(found, wanted)| is_assigned_type(found, wanted))
        || matches!(
            (found, wanted),
            (T::Date, T::Timestamp | T::Timestamptz)
                | (T::Timestamp, T::Date | T::Time | T::Timestamptz)
                | (T::Timestamptz, T::Date | T::Time | T::Timetz | T::Timestamp)
                | (T::Time, T::Timetz | T::Interval)
                | (T::Timetz | T::Interval, T::Time)
                | (T::Json, T::Jsonb)
                | (T::Jsonb, T::Json)
                | (T::Inet, T::Cidr)
                | (T::Cidr, T::Inet)
                | (T::Macaddr, T::Macaddr8)
                | (T::Macaddr8, T::Macaddr)
                | (T::Bit, T::Varbit)
                | (T::Varbit, T::Bit)
        )
}

/// Refuses texts that are longer than their column's type says. Blanks beyond it are cut off, as in PostgreSQL.
///
/// # Errors
/// 22001.
pub(crate) fn within(values: ArrayRef, length: Option<usize>) -> Result<ArrayRef> {
    let (Some(length), Some(texts)) = (length, values.as_string_opt::<i32>()) else { return Ok(values) };
    let is_long = |text: &str| text.len() > length && text.chars().nth(length).is_some();
    if !texts.iter().flatten().any(is_long) {
        return Ok(values);
    }
    let cut = |text: &str| -> Result<String> {
        let kept: String = text.chars().take(length).collect();
        let rest = text.get(kept.len()..).unwrap_or_default();
        if rest.chars().all(|character| character == ' ') {
            return Ok(kept);
        }
        let text = format!("value too long for type character varying({length})");
        Err(Error::new(ErrorCode::StringDataTooLong, text))
    };
    let cut = texts.iter().map(|text| text.map(cut).transpose()).collect::<Result<Vec<Option<String>>>>()?;
    Ok(Arc::new(StringArray::from(cut)))
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
        return Err(mismatch(format!("column \"{column}\" is of another type than its value")));
    }
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    cast_with_options(values, wanted, &options).map_err(|error| {
        Error::new(ErrorCode::NumericOutOfRange, format!("value is out of range for column \"{column}\""))
            .with_cause(error)
    })
}

/// Whether every value of a type is stored by an assignment as a cast of it would be.
pub(crate) fn is_stored_as(found: &DataType, wanted: &DataType) -> bool {
    let is_exact = |t: &DataType| t.is_signed_integer() || matches!(t, DataType::Decimal128(..));
    found == wanted
        || (found.is_signed_integer() && is_exact(wanted))
        || (matches!(found, DataType::Decimal128(..)) && matches!(wanted, DataType::Decimal128(..)))
        || (matches!(found, DataType::Timestamp(..)) && is_assigned(found, wanted))
}

fn is_assigned(found: &DataType, wanted: &DataType) -> bool {
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_float = |t: &DataType| matches!(t, DataType::Float32 | DataType::Float64);
    let is_decimal = |t: &DataType| matches!(t, DataType::Decimal128(..));
    let is_exact = |t: &DataType| t.is_signed_integer() || is_decimal(t);
    let is_binary = |t: &DataType| matches!(t, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    (is_text(found) && is_text(wanted))
        || (is_binary(found) && is_binary(wanted))
        || matches!((found, wanted), (DataType::List(_), DataType::List(_)))
        || (found.is_signed_integer() && is_exact(wanted))
        || (is_decimal(found) && is_decimal(wanted))
        || ((is_exact(found) || is_float(found)) && is_float(wanted))
        || (matches!(found, DataType::Date32) && matches!(wanted, DataType::Timestamp(_, None)))
        || matches!((found, wanted), (DataType::Timestamp(_, a), DataType::Timestamp(_, b)) if a.is_some() == b.is_some())
        || matches!((found, wanted), (DataType::Time64(_) | DataType::Time32(_), DataType::Time64(_)))
}

#[cfg(test)]
mod tests;
