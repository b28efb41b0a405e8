//! Whether the value of an open parameter decides more than a value, so that a plan for one value is none for another.

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use querygate_catalog::remote::is_open;
use querygate_pg_catalog::is_of_catalog;
use querygate_query_api::column::pg_type_of;
use querygate_semantics::lineage::InputColumns;
use querygate_types::PgType;

/// Whether it decides the type of what a function gives, as places do for `round`, the type in which numbers meet, or the bytes that a
/// `"char"` holds.
pub(super) fn a_value_decides_a_type(plan: &LogicalPlan) -> Result<bool> {
    let mut decides = false;
    plan.apply_with_subqueries(|node| {
        let columns = InputColumns::of(node)?;
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                decides |= is_open(part) && follows_from_values(part, columns.schema())?;
                Ok(if decides { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    })?;
    Ok(decides)
}

/// `part`: an expression with an open parameter somewhere in it.
#[expect(deprecated, reason = "each kind of expression is named")]
fn follows_from_values(part: &Expr, schema: &DFSchema) -> Result<bool> {
    Ok(match part {
        Expr::ScalarFunction(call) => {
            !is_of_catalog(&call.func) && !matches!(part.get_type(schema), Ok(DataType::Boolean))
        }
        Expr::Cast(cast) => is_char(&cast.field),
        Expr::TryCast(cast) => is_char(&cast.field),
        Expr::Placeholder(parameter) => parameter.field.as_deref().is_none_or(is_char),
        Expr::Alias(_)
        | Expr::BinaryExpr(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::InList(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_)
        | Expr::GroupingSet(_) => has_scaled_number(part, schema)?,
        Expr::AggregateFunction(_)
        | Expr::WindowFunction(_)
        | Expr::HigherOrderFunction(_)
        | Expr::Lambda(_)
        | Expr::LambdaVariable(_)
        | Expr::Unnest(_)
        | Expr::ScalarVariable(..)
        | Expr::Wildcard { .. } => true,
        // A walk of the plan sees what is in these by itself; a column and a constant hold no parameter.
        Expr::Exists(_)
        | Expr::ScalarSubquery(_)
        | Expr::Column(_)
        | Expr::OuterReferenceColumn(..)
        | Expr::Literal(..) => false,
    })
}

/// Whether the expression is, or is made of, numbers whose scale or width another number beside them decides.
fn has_scaled_number(part: &Expr, schema: &DFSchema) -> Result<bool> {
    let is_scaled =
        |expr: &Expr| expr.get_type(schema).is_ok_and(|of| of.is_floating() || matches!(of, DataType::Decimal128(..)));
    let mut found = is_scaled(part);
    part.apply_children(|child| {
        found |= is_scaled(child);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn is_char(field: impl AsRef<Field>) -> bool {
    let pg_type = pg_type_of(field.as_ref());
    pg_type == PgType::Char || pg_type.element() == Some(PgType::Char)
}
