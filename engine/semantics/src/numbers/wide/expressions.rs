//! Expressions in which a numeric of any width stands, once its parts are settled: what compares takes keys, what chooses has one type,
//! operators, functions and aggregates are ours.

use super::keyed::{compared, in_order};
use super::meeting::met;
use super::{aggregates, is_wide, operators};
use crate::functions;
use crate::times::zone::Zone;
use crate::typing::comparable::is_comparison;
use crate::typing::null_if;
use crate::windows::exclusions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Case, Expr, ExprSchemable, Operator, WindowFunctionDefinition};
use std::sync::Arc;

/// Settles one expression whose parts are settled. Not transformed: it holds no such numeric.
pub(crate) fn settled(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            let mut sides = [*left, *right];
            let changed = compared(sides.iter_mut().collect(), schema)?;
            let [left, right] = sides;
            let expr = Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
            Transformed::new_transformed(expr, changed)
        }
        Expr::BinaryExpr(binary) => match operators::calculated(binary, schema)? {
            Ok(numeric) => Transformed::yes(numeric),
            Err(binary) => Transformed::no(Expr::BinaryExpr(binary)),
        },
        Expr::Between(mut between) => {
            let sides = [between.expr.as_mut(), between.low.as_mut(), between.high.as_mut()];
            let changed = compared(sides.into(), schema)?;
            Transformed::new_transformed(Expr::Between(between), changed)
        }
        Expr::InList(mut list) => {
            let changed = compared(std::iter::once(list.expr.as_mut()).chain(&mut list.list).collect(), schema)?;
            Transformed::new_transformed(Expr::InList(list), changed)
        }
        Expr::Negative(operand) if is_wide(&operand, schema) => {
            match functions::in_zone("numeric_negated", Zone::UTC) {
                Some(function) => Transformed::yes(function.call(vec![*operand])),
                None => Transformed::no(Expr::Negative(operand)),
            }
        }
        Expr::Case(case) => branches(case, schema)?,
        Expr::ScalarFunction(call) => called(call, schema)?,
        Expr::AggregateFunction(mut call) => {
            let changed = aggregates::aggregated(&mut call, schema)?;
            Transformed::new_transformed(Expr::AggregateFunction(call), changed)
        }
        Expr::WindowFunction(mut window) => {
            let mut changed = in_order(&mut window, schema)?;
            let aggregate = match &window.fun {
                WindowFunctionDefinition::AggregateUDF(function) => Some(function.as_ref()),
                WindowFunctionDefinition::WindowUDF(function) => exclusions::aggregate_of(function),
            };
            if let Some(aggregate) = aggregate
                && let Some(ours) = aggregates::in_window(aggregate.name(), &window.params.args, schema)?
            {
                let excluding = match &window.fun {
                    WindowFunctionDefinition::AggregateUDF(_) => None,
                    WindowFunctionDefinition::WindowUDF(function) => {
                        exclusions::with_aggregate(function, Arc::clone(&ours))
                    }
                };
                window.fun = match excluding {
                    Some(excluding) => WindowFunctionDefinition::WindowUDF(excluding),
                    None => WindowFunctionDefinition::AggregateUDF(ours),
                };
                changed = true;
            }
            Transformed::new_transformed(Expr::WindowFunction(window), changed)
        }
        other => Transformed::no(other),
    })
}

fn called(mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match call.name() {
        "nullif" if call.args.iter().any(|arg| is_wide(arg, schema)) => null_if(call.args, schema),
        "coalesce" | "greatest" | "least" | "make_array" => {
            let changed = met(call.args.iter_mut().collect(), schema)?;
            Ok(Transformed::new_transformed(Expr::ScalarFunction(call), changed))
        }
        _ => match operators::called(call, schema)? {
            Ok(numeric) => Ok(Transformed::yes(numeric)),
            Err(call) => operators::of_doubles(call, schema),
        },
    }
}

/// A CASE whose results meet, and whose operand meets what it is compared with.
fn branches(mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let results = case.when_then_expr.iter_mut().map(|(_, then)| then).chain(&mut case.else_expr);
    let mut changed = met(results.map(AsMut::as_mut).collect(), schema)?;
    if let Some(operand) = &mut case.expr {
        let sides = std::iter::once(operand).chain(case.when_then_expr.iter_mut().map(|(when, _)| when));
        changed |= compared(sides.map(AsMut::as_mut).collect(), schema)?;
    }
    Ok(Transformed::new_transformed(Expr::Case(case), changed))
}

/// NULLIF, which would compare cells.
fn null_if(args: Vec<Expr>, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Ok([value, other]) = <[Expr; 2]>::try_from(args) else { return plan_err!("NULLIF has two arguments") };
    let mut sides = [value.clone(), other];
    compared(sides.iter_mut().collect(), schema)?;
    let [left, right] = sides;
    let same = Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Eq, Box::new(right)));
    let of = value.get_type(schema)?;
    Ok(Transformed::yes(null_if::as_case(same, value, &of)?))
}
