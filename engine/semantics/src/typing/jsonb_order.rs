//! What compares and sorts jsonb does so by keys: its texts say neither that 9 is less than 10 nor that 1.0 is 1. Knows no value.

use super::binding::is_jsonb;
use crate::fault::{external, unsupported};
use crate::functions;
use crate::times::zone::Zone;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan};
use querygate_types::{Error, ErrorCode};

fn is_one(expr: &Expr, schema: &DFSchema) -> bool {
    expr.to_field(schema).is_ok_and(|(_, field)| is_jsonb(&field))
}

fn key(value: Expr) -> Expr {
    match functions::in_zone("jsonb_key", Zone::UTC) {
        Some(function) => function.call(vec![value]),
        None => value,
    }
}

/// Sides that are compared, as their keys where one is jsonb: texts beside it are read as such. Whether there is one. `=` of jsonb is a
/// call already where a statement has it, and elsewhere what sources compare.
pub(crate) fn compared(sides: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    if !sides.iter().any(|side| is_one(side, schema)) {
        return false;
    }
    for side in sides {
        *side = key(std::mem::take(side));
    }
    true
}

/// A node that sorts jsonb.
pub(crate) fn sorted(node: LogicalPlan) -> Transformed<LogicalPlan> {
    match node {
        LogicalPlan::Sort(mut sort) => {
            let changed = by_key(&mut sort.expr, sort.input.schema());
            Transformed::new_transformed(LogicalPlan::Sort(sort), changed)
        }
        LogicalPlan::Distinct(Distinct::On(mut on)) => {
            let mut changed = false;
            // What is told apart stays what is sorted by.
            for expr in &mut on.on_expr {
                if is_one(expr, on.input.schema()) {
                    *expr = key(std::mem::take(expr));
                    changed = true;
                }
            }
            if let Some(keys) = &mut on.sort_expr {
                changed |= by_key(keys, on.input.schema());
            }
            Transformed::new_transformed(LogicalPlan::Distinct(Distinct::On(on)), changed)
        }
        other => Transformed::no(other),
    }
}

/// Sorts by jsonb, as its keys. Whether there is one.
pub(crate) fn by_key(keys: &mut [Sort], schema: &DFSchema) -> bool {
    let mut changed = false;
    for sort in keys {
        if is_one(&sort.expr, schema) {
            sort.expr = key(std::mem::take(&mut sort.expr));
            changed = true;
        }
    }
    changed
}

/// Refuses what would take the first and the last of texts.
///
/// # Errors
/// 42883 for `min` and `max`, which PostgreSQL does not have; 0A000 for `greatest` and `least`.
pub(crate) fn refuse_extremes(name: &str, args: &[Expr], schema: &DFSchema) -> Result<()> {
    if !matches!(name, "min" | "max" | "greatest" | "least") || !args.iter().any(|arg| is_one(arg, schema)) {
        return Ok(());
    }
    if matches!(name, "greatest" | "least") {
        return Err(unsupported("greatest and least of jsonb are not supported"));
    }
    Err(external(Error::new(ErrorCode::UndefinedFunction, format!("function {name}(jsonb) does not exist"))))
}
