//! PostgreSQL's type names that DataFusion does not plan, with the Postgres type in the field's metadata.

use crate::dialect::ast::parts;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{CharacterLength, DataType as SqlType, ExactNumberInfo, TimezoneInfo};
use querygate_query_api::column::{PG_TYPE_KEY, TYPE_MODIFIER_KEY, arrow_type_of};
use querygate_types::{Error, ErrorCode, PgType};
use std::collections::HashMap;
use std::sync::Arc;

/// Plans type names; types it does not know are left to DataFusion. Every type is named in the field's metadata: a cast to a
/// field without metadata would keep that of its source, and `oid::int` would still call itself an oid.
#[derive(Debug)]
pub(crate) struct PgTypePlanner;

impl TypePlanner for PgTypePlanner {
    fn plan_type_field(&self, sql_type: &SqlType) -> Result<Option<FieldRef>> {
        Ok(match sql_type {
            SqlType::Custom(name, modifiers) => {
                let Some(names) = parts(name) else { return Ok(None) };
                let (SqlName::Known(pg_type), _) = (lookup(&names), modifiers) else {
                    let message = format!("type \"{name}\" does not exist");
                    return Err(crate::dialect::external(Error::new(ErrorCode::UndefinedObject, message)));
                };
                field_of(pg_type)
            }
            SqlType::Regclass => field_of(PgType::Regclass),
            SqlType::Uuid => field_of(PgType::Uuid),
            SqlType::Bit(length) => modified(PgType::Bit, Some(bits("bit", length.unwrap_or(1))?)),
            SqlType::BitVarying(length) | SqlType::VarBit(length) => {
                modified(PgType::Varbit, length.map(|length| bits("varbit", length)).transpose()?)
            }
            SqlType::JSON => field_of(PgType::Json),
            SqlType::JSONB => field_of(PgType::Jsonb),
            SqlType::Boolean | SqlType::Bool => field_of(PgType::Bool),
            SqlType::SmallInt(_) | SqlType::Int2(_) => field_of(PgType::Int2),
            SqlType::Int(_) | SqlType::Integer(_) | SqlType::Int4(_) => field_of(PgType::Int4),
            SqlType::BigInt(_) | SqlType::Int8(_) => field_of(PgType::Int8),
            SqlType::Real | SqlType::Float4 => field_of(PgType::Float4),
            SqlType::DoublePrecision | SqlType::Float8 => field_of(PgType::Float8),
            SqlType::Float(bits) => field_of(float_of(*bits)?),
            SqlType::Text => field_of(PgType::Text),
            SqlType::Varchar(length) | SqlType::CharacterVarying(length) | SqlType::CharVarying(length) => {
                modified(PgType::Varchar, length.as_ref().and_then(characters))
            }
            SqlType::Char(length) | SqlType::Character(length) => {
                modified(PgType::Bpchar, Some(length.as_ref().and_then(characters).unwrap_or(1).to_string()))
            }
            SqlType::Numeric(ExactNumberInfo::None)
            | SqlType::Decimal(ExactNumberInfo::None)
            | SqlType::Dec(ExactNumberInfo::None) => modified(PgType::Numeric, Some("any")),
            SqlType::Numeric(digits) | SqlType::Decimal(digits) | SqlType::Dec(digits) => numeric_of(*digits)?,
            SqlType::Interval { precision, .. } => modified(PgType::Interval, *precision),
            SqlType::Array(_) => match crate::dialect::ast::element_type(sql_type) {
                Some(element) => array_of(self.plan_type_field(element)?),
                None => None,
            },
            SqlType::Date => field_of(PgType::Date),
            SqlType::Bytea => field_of(PgType::Bytea),
            SqlType::Timestamp(digits, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
                modified(PgType::Timestamptz, *digits)
            }
            SqlType::Timestamp(digits, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                modified(PgType::Timestamp, *digits)
            }
            SqlType::Time(digits, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                modified(PgType::Time, *digits)
            }
            SqlType::Time(digits, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => modified(PgType::Timetz, *digits),
            _ => None,
        })
    }
}

/// The error of a type's name that means none. Arguments have their types before a function is looked for.
pub(in crate::dialect) fn refuse_unknown(sql_type: &SqlType) -> querygate_types::Result<()> {
    match sql_type {
        SqlType::Array(_) => crate::dialect::ast::element_type(sql_type).map_or(Ok(()), refuse_unknown),
        SqlType::Custom(name, _) => match parts(name).map(|names| lookup(&names)) {
            Some(SqlName::Unknown) => {
                Err(Error::new(ErrorCode::UndefinedObject, format!("type \"{name}\" does not exist")))
            }
            Some(SqlName::Known(_)) | None => Ok(()),
        },
        _ => Ok(()),
    }
}

enum SqlName {
    Known(PgType),
    Unknown,
}

fn lookup(names: &[String]) -> SqlName {
    let name = match names {
        [name] => name.as_str(),
        [schema, name] if schema == "pg_catalog" || schema == "information_schema" => name.as_str(),
        _ => return SqlName::Unknown,
    };
    let known = match name {
        "sql_identifier" => Some(PgType::Name),
        "character_data" | "yes_or_no" => Some(PgType::Varchar),
        "cardinal_number" => Some(PgType::Int4),
        "time_stamp" => Some(PgType::Timestamptz),
        "cid" | "xid8" => Some(PgType::Oid),
        "cstring" | "citext" | "tid" | "pg_lsn" | "refcursor" | "anyelement" => Some(PgType::Text),
        "boolean" => Some(PgType::Bool),
        "smallint" => Some(PgType::Int2),
        "integer" | "int" => Some(PgType::Int4),
        "bigint" => Some(PgType::Int8),
        "real" => Some(PgType::Float4),
        "decimal" => Some(PgType::Numeric),
        other => PgType::from_name(other),
    };
    known.map_or(SqlName::Unknown, SqlName::Known)
}

/// The field of a type, which it names.
pub(in crate::dialect) fn field_of(pg_type: PgType) -> Option<FieldRef> {
    let data_type = arrow_type_of(pg_type)?;
    let metadata = [(PG_TYPE_KEY.to_owned(), pg_type.name().to_owned())].into();
    Some(Arc::new(Field::new("", data_type, true).with_metadata(metadata)))
}

/// A type with a length, or digits of a second.
fn modified(pg_type: PgType, modifier: Option<impl ToString>) -> Option<FieldRef> {
    let field = field_of(pg_type)?;
    let Some(modifier) = modifier else { return Some(field) };
    let metadata = modified_metadata(pg_type, &modifier.to_string());
    Some(Arc::new(field.as_ref().clone().with_metadata(metadata)))
}

/// A numeric with as many places as each value has.
pub(in crate::dialect) fn open_numeric() -> FieldRef {
    let metadata = modified_metadata(PgType::Numeric, "any");
    Arc::new(Field::new("", DataType::Decimal128(38, 10), true).with_metadata(metadata))
}

/// Tries for a map that prints in order: each has one chance in two.
const PRINTED_TRIES: usize = 64;

/// The metadata of a type with a modifier, which prints the same each time: names of casts tell their metadata, by which the engine finds
/// an expression again, and a map of two entries prints in an order of its own.
fn modified_metadata(pg_type: PgType, modifier: &str) -> HashMap<String, String> {
    let made = || -> HashMap<String, String> {
        let pairs = [(PG_TYPE_KEY, pg_type.name()), (TYPE_MODIFIER_KEY, modifier)];
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    };
    let in_order = |metadata: &HashMap<String, String>| metadata.keys().next().is_some_and(|key| key == PG_TYPE_KEY);
    std::iter::repeat_with(made).take(PRINTED_TRIES).find(in_order).unwrap_or_else(made)
}

/// The length of a string of bits.
///
/// # Errors
/// 22023 for one that there is not.
fn bits(name: &str, length: u64) -> Result<u64> {
    let refused =
        |message: String| Err(crate::dialect::external(Error::new(ErrorCode::InvalidParameterValue, message)));
    if length < 1 {
        return refused(format!("length for type {name} must be at least 1"));
    }
    if length > querygate_types::bits::LENGTH_MAX {
        return refused(format!("length for type {name} cannot exceed {}", querygate_types::bits::LENGTH_MAX));
    }
    Ok(length)
}

/// `float`, whose precision is in bits: up to 24 it is a real.
///
/// # Errors
/// 22023 for bits that no double has, or for a scale.
pub(in crate::dialect) fn float_of(bits: ExactNumberInfo) -> Result<PgType> {
    let refused = |message: &str| Err(crate::dialect::external(Error::new(ErrorCode::InvalidParameterValue, message)));
    match bits {
        ExactNumberInfo::None | ExactNumberInfo::Precision(25..=53) => Ok(PgType::Float8),
        ExactNumberInfo::Precision(1..=24) => Ok(PgType::Float4),
        ExactNumberInfo::Precision(0) => refused("precision for type float must be at least 1 bit"),
        ExactNumberInfo::Precision(_) => refused("precision for type float must be less than 54 bits"),
        ExactNumberInfo::PrecisionAndScale(..) => refused("type float has no scale"),
    }
}

/// A numeric with a precision: of any width where decimals do not have it.
///
/// # Errors
/// 22023 for digits that no numeric has.
fn numeric_of(digits: ExactNumberInfo) -> Result<Option<FieldRef>> {
    let (precision, scale) = match digits {
        ExactNumberInfo::None => return Ok(None),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    let refused =
        |message: String| Err(crate::dialect::external(Error::new(ErrorCode::InvalidParameterValue, message)));
    if !(1..=1_000).contains(&precision) {
        return refused(format!("NUMERIC precision {precision} must be between 1 and 1000"));
    }
    if !(-1_000..=1_000).contains(&scale) {
        return refused(format!("NUMERIC scale {scale} must be between -1000 and 1000"));
    }
    let data_type = match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision @ 1..=DECIMAL128_MAX_PRECISION), Ok(scale))
            if u8::try_from(scale).is_ok_and(|scale| scale <= precision) =>
        {
            DataType::Decimal128(precision, scale)
        }
        _ => {
            // Binding makes it a wide one, for which the engine has no functions.
            return Ok(modified(PgType::Numeric, Some(format!("{precision},{scale}"))));
        }
    };
    let field = field_of(PgType::Numeric);
    Ok(field.map(|field| Arc::new(field.as_ref().clone().with_data_type(data_type))))
}

fn characters(length: &CharacterLength) -> Option<u64> {
    match length {
        CharacterLength::IntegerLength { length, .. } => Some(*length),
        CharacterLength::Max => None,
    }
}

/// The array type over a planned element type: the element's own field carries no metadata. Its length, or its digits of a second, stand
/// in that of the array. Those of numerics are in the engine's type.
fn array_of(element: Option<FieldRef>) -> Option<FieldRef> {
    let element = element?;
    let own = element.metadata().get(PG_TYPE_KEY).and_then(|name| PgType::from_name(name))?;
    let modifier = element.metadata().get(TYPE_MODIFIER_KEY).filter(|_| own != PgType::Numeric);
    // However many dimensions a type is declared with, it is one.
    if matches!(element.data_type(), DataType::List(_)) && modifier.is_some() {
        return Some(element);
    }
    let array = own.array()?;
    let metadata = match modifier {
        Some(modifier) => modified_metadata(array, modifier),
        None => [(PG_TYPE_KEY.to_owned(), array.name().to_owned())].into(),
    };
    let item = Arc::new(Field::new("item", element.data_type().clone(), true));
    Some(Arc::new(Field::new("", DataType::List(item), true).with_metadata(metadata)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_with_a_modifier_print_the_same_each_time() {
        let printed = || format!("{:?}", modified(PgType::Varchar, Some(7)).unwrap().metadata());
        let first = printed();
        assert_eq!(first, "{\"pg_type\": \"varchar\", \"pg_type_modifier\": \"7\"}");
        assert!((0..200).all(|_| printed() == first));
    }

    #[test]
    fn arrays_are_as_long_as_their_items_say() {
        let told = |element: Option<FieldRef>| {
            let array = array_of(element).unwrap();
            assert!(matches!(array.data_type(), DataType::List(item) if item.metadata().is_empty()));
            let name = array.metadata().get(PG_TYPE_KEY).cloned();
            (name.unwrap(), array.metadata().get(TYPE_MODIFIER_KEY).cloned())
        };
        let short = || modified(PgType::Varchar, Some(7));
        assert_eq!(told(short()), ("_varchar".to_owned(), Some("7".to_owned())));
        assert_eq!(told(array_of(short())), ("_varchar".to_owned(), Some("7".to_owned())));
        assert_eq!(told(field_of(PgType::Varchar)), ("_varchar".to_owned(), None));
        assert_eq!(told(modified(PgType::Numeric, Some("any"))), ("_numeric".to_owned(), None));
    }
}
