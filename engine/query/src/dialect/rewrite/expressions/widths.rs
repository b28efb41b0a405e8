//! Whether a subquery has as many columns as values are compared with it. Knows what the text of a subquery says, and no table.

use datafusion::sql::sqlparser::ast::{Query, SelectItem, SetExpr};
use querygate_types::{Error, ErrorCode, Result};
use std::cmp::Ordering;

/// Refuses a subquery that is known to have more columns, or fewer.
///
/// # Errors
/// 42601.
pub(in crate::dialect) fn check(subquery: &Query, values: usize) -> Result<()> {
    columns_of(&subquery.body).map_or(Ok(()), |columns| fits(columns, values))
}

/// As [`check`], of that many columns.
///
/// # Errors
/// 42601.
pub(in crate::dialect) fn fits(columns: usize, values: usize) -> Result<()> {
    let wrong = match columns.cmp(&values) {
        Ordering::Less => "few",
        Ordering::Greater => "many",
        Ordering::Equal => return Ok(()),
    };
    Err(Error::new(ErrorCode::SyntaxError, format!("subquery has too {wrong} columns")))
}

/// `None`: its select list does not say.
fn columns_of(body: &SetExpr) -> Option<usize> {
    let named = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    match body {
        SetExpr::Select(select) => select.projection.iter().all(named).then_some(select.projection.len()),
        SetExpr::Query(query) => columns_of(&query.body),
        SetExpr::SetOperation { left, .. } => columns_of(left),
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        _ => None,
    }
}
