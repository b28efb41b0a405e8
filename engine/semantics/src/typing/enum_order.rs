//! Enums are ordered as they are declared, not as their labels are spelled. Their values are texts here, whose field names type and
//! labels; what sorts and compares them takes the place of the label instead, in every source as a CASE over the label. Walks
//! plans down to find what a column was made of.

use crate::fault::{external, unsupported};
use crate::lineage::{Below, below};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction, Sort, WindowFunction};
use datafusion::logical_expr::{Case, Distinct, Expr, ExprSchemable, LogicalPlan, lit};
use querygate_query_api::column::ENUM_LABELS_KEY;
use querygate_types::{Error, ErrorCode};
use std::collections::HashMap;

/// Type and labels of an expression that is an enum.
fn described(expr: &Expr, schema: &DFSchema) -> Option<String> {
    match expr {
        Expr::OuterReferenceColumn(field, _) => field.metadata().get(ENUM_LABELS_KEY).cloned(),
        Expr::Alias(alias) => described(&alias.expr, schema),
        Expr::Case(case) => {
            let branches = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            branches.into_iter().find_map(|branch| described(branch, schema))
        }
        Expr::ScalarFunction(call) if matches!(call.name(), "coalesce" | "nullif" | "told_apart") => {
            call.args.iter().find_map(|arg| described(arg, schema))
        }
        Expr::Column(_) | Expr::ScalarSubquery(_) => {
            expr.to_field(schema).ok()?.1.metadata().get(ENUM_LABELS_KEY).cloned()
        }
        _ => None,
    }
}

/// Type and labels of a key that a node sorts by; the engine forgets what a CASE in a subquery was made of, so plans are followed down.
fn traced(expr: &Expr, input: &LogicalPlan) -> Option<String> {
    trace(expr, input, &mut Seen::new())
}

/// Columns that one walk has followed: one that is named twice at each of many levels is followed down once.
type Seen = HashMap<(*const LogicalPlan, usize), Option<String>>;

fn trace(expr: &Expr, input: &LogicalPlan, seen: &mut Seen) -> Option<String> {
    match expr {
        Expr::Alias(alias) => trace(&alias.expr, input, seen),
        Expr::Column(column) => followed(input, input.schema().maybe_index_of_column(column)?, seen),
        Expr::Case(case) => {
            let branches = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            branches.into_iter().find_map(|branch| trace(branch, input, seen))
        }
        Expr::ScalarFunction(call) if matches!(call.name(), "coalesce" | "nullif" | "told_apart") => {
            call.args.iter().find_map(|arg| trace(arg, input, seen))
        }
        Expr::AggregateFunction(call) if matches!(call.func.name(), "first_value" | "last_value" | "min" | "max") => {
            trace(call.params.args.first()?, input, seen)
        }
        other => described(other, input.schema()),
    }
}

/// Type and labels of a plan's column that is an enum, with NUL between.
pub fn of_column(plan: &LogicalPlan, column: usize) -> Option<String> {
    followed(plan, column, &mut Seen::new())
}

fn followed(plan: &LogicalPlan, column: usize, seen: &mut Seen) -> Option<String> {
    let place = (std::ptr::from_ref(plan), column);
    if let Some(known) = seen.get(&place) {
        return known.clone();
    }
    let found = stepped(plan, column, seen);
    seen.insert(place, found.clone());
    found
}

fn stepped(plan: &LogicalPlan, column: usize, seen: &mut Seen) -> Option<String> {
    match below(plan, column) {
        Below::Table(_, field) => field.metadata().get(ENUM_LABELS_KEY).cloned(),
        Below::Computed(expr, input) => trace(expr, input, seen),
        Below::Handed(input, column) | Below::Rounds(input, column) => followed(input, column, seen),
        Below::OneOf(inputs, column) => {
            let mut described = inputs.iter().map(|input| followed(input, column, seen));
            let first = described.next()??;
            described.all(|other| other.as_ref() == Some(&first)).then_some(first)
        }
        Below::Nothing => plan.schema().fields().get(column)?.metadata().get(ENUM_LABELS_KEY).cloned(),
        Below::Items(..) => None,
    }
}

/// The first is the type's name.
fn parts(described: &str) -> (&str, Vec<&str>) {
    let mut parts = described.split('\0');
    (parts.next().unwrap_or_default(), parts.collect())
}

/// # Errors
/// 22P02 when a text is none of an enum's labels.
pub fn check_label(described: &str, text: &str) -> Result<()> {
    let (name, labels) = parts(described);
    if labels.contains(&text) {
        return Ok(());
    }
    let message = format!("invalid input value for enum {name}: \"{text}\"");
    Err(external(Error::new(ErrorCode::InvalidTextRepresentation, message)))
}

/// The place of a label, from 1. One that came to the source since its tables were described is behind all.
fn rank(value: Expr, described: &str) -> Expr {
    let (_, labels) = parts(described);
    let behind = i64::try_from(labels.len()).unwrap_or(i64::MAX).saturating_add(1);
    let other = Case {
        expr: None,
        when_then_expr: vec![(Box::new(value.clone().is_not_null()), Box::new(lit(behind)))],
        else_expr: None,
    };
    place(value, &labels, Some(Box::new(Expr::Case(other))))
}

/// The place of a label; of what is none, `other`, else NULL.
fn place(value: Expr, labels: &[&str], other: Option<Box<Expr>>) -> Expr {
    let places = labels.iter().zip(1_i64..).map(|(label, place)| (Box::new(lit(*label)), Box::new(lit(place))));
    Expr::Case(Case { expr: Some(Box::new(value)), when_then_expr: places.collect(), else_expr: other })
}

/// Sides that are compared, at least one of them an enum: the texts beside it are labels. If one of them must be less, they are
/// compared by their places. Whether any was changed.
pub(crate) fn compared(mut sides: Vec<&mut Expr>, by_place: bool, schema: &DFSchema) -> Result<bool> {
    let Some(described) = sides.iter().find_map(|side| described(side, schema)) else { return Ok(false) };
    if sides.iter().filter_map(|side| self::described(side, schema)).any(|other| other != described) {
        let message = "enums of two types are not compared with one another";
        return Err(external(Error::new(ErrorCode::UndefinedFunction, message)));
    }
    for side in &sides {
        if let Expr::Literal(value, _) = side
            && let Some(Some(text)) = value.try_as_str()
        {
            check_label(&described, text)?;
        }
    }
    if by_place {
        if !sides.iter().all(|side| is_plain(side)) {
            return Err(unsupported("enums that are computed are not compared by their order"));
        }
        for side in &mut sides {
            let is_enum = self::described(side, schema).is_some();
            let own = std::mem::take(*side);
            if let Expr::Literal(value, _) = &own
                && let Some(Some(text)) = value.try_as_str()
            {
                let place = parts(&described).1.iter().position(|label| *label == text);
                **side = lit(ScalarValue::Int64(place.and_then(|place| i64::try_from(place + 1).ok())));
                continue;
            }
            // A text that is no label has no place: compared, it is unknown.
            **side = if is_enum { rank(own, &described) } else { place(own, &parts(&described).1, None) };
        }
    }
    Ok(by_place)
}

/// Whether an expression may be written twice: it holds no other one that was.
fn is_plain(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::Alias(alias) => is_plain(&alias.expr),
        Expr::Cast(cast) => is_plain(&cast.expr),
        Expr::ScalarFunction(call) if call.name() == "told_apart" => call.args.iter().all(is_plain),
        Expr::ScalarSubquery(query) => !query
            .subquery
            .exists(|node| {
                let mut nested = false;
                node.apply_expressions(|expr| {
                    nested |= expr.exists(|part| Ok(matches!(part, Expr::ScalarSubquery(_))))?;
                    Ok(TreeNodeRecursion::Continue)
                })?;
                Ok(nested)
            })
            .unwrap_or(true),
        _ => false,
    }
}

/// A node that sorts enums as they are declared.
pub(crate) fn sorted(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Sort(mut sort) => {
            let changed = by_place(&mut sort.expr, |key| traced(key, &sort.input));
            Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), changed))
        }
        LogicalPlan::Distinct(Distinct::On(mut on)) => {
            let mut changed = false;
            for key in &mut on.on_expr {
                if let Some(described) = traced(key, &on.input) {
                    *key = rank(std::mem::take(key), &described);
                    changed = true;
                }
            }
            if let Some(keys) = &mut on.sort_expr {
                changed |= by_place(keys, |key| traced(key, &on.input));
            }
            Ok(Transformed::new_transformed(LogicalPlan::Distinct(Distinct::On(on)), changed))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn by_place(keys: &mut [Sort], described: impl Fn(&Expr) -> Option<String>) -> bool {
    let mut changed = false;
    for key in keys {
        if let Some(described) = described(&key.expr) {
            key.expr = rank(std::mem::take(&mut key.expr), &described);
            changed = true;
        }
    }
    changed
}

const EXTREMES: &str = "min and max of an enum in a window, and greatest and least of enums, are not supported";

/// An aggregate over enums, or in their order. Whether it was changed.
pub(crate) fn aggregated(call: &mut AggregateFunction, schema: &DFSchema) -> Result<bool> {
    let greatest = match call.func.name() {
        "max" => true,
        "min" => false,
        // The engine wants distinct values sorted by themselves.
        _ if call.params.distinct => return Ok(false),
        _ => return Ok(by_place(&mut call.params.order_by, |key| described(key, schema))),
    };
    let [value] = &call.params.args[..] else { return Ok(false) };
    let Some(described) = described(value, schema) else { return Ok(false) };
    call.params.order_by = vec![Sort::new(rank(value.clone(), &described), !greatest, false)];
    call.params.distinct = false;
    call.func = first_value_udaf();
    Ok(true)
}

/// A window in the order of enums. Whether it was changed.
pub(crate) fn ordered(window: &mut WindowFunction, schema: &DFSchema) -> Result<bool> {
    let is_extreme = matches!(window.fun.name(), "min" | "max");
    if is_extreme && window.params.args.iter().any(|arg| described(arg, schema).is_some()) {
        return Err(unsupported(EXTREMES));
    }
    Ok(by_place(&mut window.params.order_by, |key| described(key, schema)))
}

/// `greatest` and `least`, which would go by spelling.
pub(crate) fn extreme(call: &ScalarFunction, schema: &DFSchema) -> Result<()> {
    let extreme = matches!(call.name(), "greatest" | "least");
    if extreme && call.args.iter().any(|arg| described(arg, schema).is_some()) {
        return Err(unsupported(EXTREMES));
    }
    Ok(())
}
