//! Subscripts of arrays are integers, and arrays begin at 1: the engine counts places below that from the end. Knows no array.

use super::literals::{field_of, read_literal, untyped_text};
use super::types::field_of as field_of_type;
use crate::dialect::external;
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Case, Placeholder};
use datafusion::logical_expr::{Cast, Expr, lit};
use querygate_query_api::column::pg_type_of;
use querygate_semantics::numerics;
use querygate_types::{Error, ErrorCode, PgType};
use std::sync::Arc;

/// Refuses subscripts of what has no members, where the engine has words of its own, or fails when it computes them.
///
/// # Errors
/// 42804.
pub(super) fn refuse_scalar(of: &Expr, schema: &DFSchema) -> Result<()> {
    let name = if untyped_text(of).is_some() {
        "unknown".to_owned()
    } else {
        let Some(field) = field_of(of, schema) else { return Ok(()) };
        let own = field.data_type();
        let text = matches!(own, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
        if !text && !own.is_numeric() && !own.is_temporal() && *own != DataType::Boolean {
            return Ok(());
        }
        pg_type_of(&field).sql_name()
    };
    let message = format!("cannot subscript type {name} because it does not support subscripting");
    Err(external(Error::new(ErrorCode::DatatypeMismatch, message)))
}

/// The place of one member. There is none before the first.
pub(in crate::dialect) fn index(place: Expr, schema: &DFSchema) -> Result<Expr> {
    Ok(match integer(place, schema)? {
        Expr::Literal(ScalarValue::Int64(Some(..1)), _) => Expr::Literal(ScalarValue::Int64(None), None),
        constant @ Expr::Literal(..) => constant,
        other => at_least(other, 0),
    })
}

/// The first place of a slice.
pub(in crate::dialect) fn start(place: Expr, schema: &DFSchema) -> Result<Expr> {
    bound(place, 1, schema)
}

/// The last one. Nothing is before the first member.
pub(in crate::dialect) fn stop(place: Expr, schema: &DFSchema) -> Result<Expr> {
    bound(place, 0, schema)
}

fn bound(place: Expr, least: i64, schema: &DFSchema) -> Result<Expr> {
    Ok(match integer(place, schema)? {
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => lit(value.max(least)),
        constant @ Expr::Literal(..) => constant,
        other => at_least(other, least),
    })
}

/// NULL stays NULL, unlike in the function of that name.
fn at_least(place: Expr, least: i64) -> Expr {
    let below = place.clone().lt(lit(least));
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(below), Box::new(lit(least)))],
        else_expr: Some(Box::new(place)),
    })
}

/// A number as an integer.
///
/// # Errors
/// 22003: it is none. 22P02: a literal is no number.
fn integer(place: Expr, schema: &DFSchema) -> Result<Expr> {
    let out_of_range = || external(Error::new(ErrorCode::NumericOutOfRange, "integer out of range"));
    match &place {
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => {
            return i32::try_from(*value).map(|_| place.clone()).map_err(|_| out_of_range());
        }
        Expr::Literal(ScalarValue::Decimal128(Some(digits), _, scale), _) => {
            let whole = numerics::whole(*digits, *scale).and_then(|whole| i32::try_from(whole).ok());
            return whole.map(|whole| lit(i64::from(whole))).ok_or_else(out_of_range);
        }
        Expr::Literal(ScalarValue::Utf8(Some(text)), None) => {
            let value = read_literal(text, &DataType::Int32)?;
            return Ok(match value {
                Some(ScalarValue::Int32(Some(value))) => lit(i64::from(value)),
                _ => place,
            });
        }
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = field_of_type(PgType::Int4).map(|field| Arc::new(field.as_ref().clone().with_name(id.clone())));
            return Ok(Expr::Placeholder(Placeholder { id: id.clone(), field }));
        }
        _ => {}
    }
    let wide = field_of(&place, schema).is_some_and(|field| {
        let data_type = field.data_type();
        matches!(data_type, DataType::Int64) || data_type.is_decimal() || data_type.is_floating()
    });
    match field_of_type(PgType::Int4).filter(|_| wide) {
        Some(field) => Ok(Expr::Cast(Cast { expr: Box::new(place), field })),
        None => Ok(place),
    }
}
