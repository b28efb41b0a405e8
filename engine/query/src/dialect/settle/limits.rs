//! What LIMIT and OFFSET count by: a number that is no bigint is rounded to one, as PostgreSQL does. Knows no row.

use crate::dialect::external;
use crate::dialect::planners::types::field_of;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, Limit};
use querygate_query_api::column::pg_type_of;
use querygate_semantics::numerics;
use querygate_types::{Error, ErrorCode, PgType};

/// The node with such numbers.
///
/// # Errors
/// 42804 for what is no number, 22003 for a constant that is no bigint.
pub(in crate::dialect) fn counted(mut limit: Limit) -> Result<Limit> {
    limit.fetch = limit.fetch.map(|count| bigint(*count, "LIMIT").map(Box::new)).transpose()?;
    limit.skip = limit.skip.map(|count| bigint(*count, "OFFSET").map(Box::new)).transpose()?;
    Ok(limit)
}

fn bigint(count: Expr, clause: &str) -> Result<Expr> {
    if let Expr::Literal(ScalarValue::Decimal128(Some(digits), _, scale), _) = &count {
        let whole = numerics::whole(*digits, *scale).and_then(|whole| i64::try_from(whole).ok());
        let whole = whole.ok_or_else(|| external(Error::new(ErrorCode::NumericOutOfRange, "bigint out of range")))?;
        return Ok(Expr::Literal(ScalarValue::Int64(Some(whole)), None));
    }
    // A subquery has its own columns, and a parameter no type yet.
    let Ok((_, field)) = count.to_field(&DFSchema::empty()) else { return Ok(count) };
    let data_type = field.data_type();
    if data_type.is_integer() || data_type.is_null() || matches!(count, Expr::Placeholder(_)) {
        return Ok(count);
    }
    if !(data_type.is_decimal() || data_type.is_floating()) {
        let given = pg_type_of(&field).sql_name();
        let message = format!("argument of {clause} must be type bigint, not type {given}");
        return Err(external(Error::new(ErrorCode::DatatypeMismatch, message)));
    }
    let Some(field) = field_of(PgType::Int8) else { return Ok(count) };
    Ok(Expr::Cast(Cast { expr: Box::new(count), field }))
}
