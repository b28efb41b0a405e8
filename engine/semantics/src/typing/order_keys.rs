//! What compares and sorts jsonb and arrays does so by keys: the texts of jsonb say neither that 9 is less than 10 nor that 1.0 is 1, and
//! to the engine an item that is NULL is the least, where it is the greatest. Knows no value.

use super::binding::is_jsonb;
use crate::fault::{external, unsupported};
use crate::functions;
use crate::times::zone::Zone;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{InSubquery, ScalarFunction, Sort};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator};
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// The function that gives a value's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Jsonb,
    Array,
}

impl Key {
    fn of(expr: &Expr, schema: &DFSchema) -> Option<Self> {
        let (_, field) = expr.to_field(schema).ok()?;
        match field.data_type() {
            DataType::List(item) if is_ordered(item.data_type()) => Some(Self::Array),
            _ if is_jsonb(&field) => Some(Self::Jsonb),
            _ => None,
        }
    }

    fn call(self, value: Expr) -> Expr {
        let name = match self {
            Self::Jsonb => "jsonb_key",
            Self::Array => "array_key",
        };
        match functions::in_zone(name, Zone::UTC) {
            Some(function) => function.call(vec![value]),
            None => value,
        }
    }
}

/// Whether items are ordered by their bytes in rows. Those of numerics of any width and of rows are not ordered at all.
fn is_ordered(item: &DataType) -> bool {
    match item {
        DataType::List(inner) => is_ordered(inner.data_type()),
        DataType::Null | DataType::LargeBinary => false,
        other => !other.is_nested(),
    }
}

/// Sides that are compared, as their keys where they have some: texts beside jsonb are read as such. Whether there are any. `=` of
/// jsonb is a call where a statement has it (see [`equal`]), and elsewhere what sources compare; items that are NULL are equal.
pub(crate) fn compared(sides: Vec<&mut Expr>, op: Operator, schema: &DFSchema) -> Result<bool> {
    let key = match op {
        Operator::Eq => None,
        _ => sides.iter().find_map(|side| Key::of(side, schema)),
    };
    let ordered = matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    match key {
        Some(Key::Jsonb) => {
            for side in sides {
                *side = Key::Jsonb.call(std::mem::take(side));
            }
            Ok(true)
        }
        Some(Key::Array) if ordered => arrays(sides, schema),
        Some(Key::Array) | None => Ok(false),
    }
}

/// `=` of jsonb, which is a call where a statement has it, as one of keys: rows that are joined by it are hashed, and a constant beside a
/// column is read once.
pub(crate) fn equal(call: ScalarFunction) -> Transformed<Expr> {
    match <[Expr; 2]>::try_from(call.args) {
        Ok([left, right]) => {
            let (left, right) = (Key::Jsonb.call(left), Key::Jsonb.call(right));
            Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Eq, Box::new(right))))
        }
        Err(args) => Transformed::no(Expr::ScalarFunction(ScalarFunction::new_udf(call.func, args))),
    }
}

/// Whether a jsonb equals what NULLIF compares it with, as a condition; `None`: they are others.
pub(crate) fn same(value: &Expr, other: &Expr, schema: &DFSchema) -> Option<Expr> {
    if ![Key::of(value, schema), Key::of(other, schema)].contains(&Some(Key::Jsonb)) {
        return None;
    }
    let [left, right] = [value, other].map(|side| Box::new(Key::Jsonb.call(side.clone())));
    Some(Expr::BinaryExpr(BinaryExpr::new(left, Operator::Eq, right)))
}

/// A jsonb as its key.
pub(crate) fn of_jsonb(value: Expr) -> Expr {
    Key::Jsonb.call(value)
}

/// Columns of jsonb by which rows are joined, as their keys. Whether they are such.
pub(crate) fn joined(left: &mut Expr, of_left: &DFSchema, right: &mut Expr, of_right: &DFSchema) -> bool {
    if Key::of(left, of_left) != Some(Key::Jsonb) || Key::of(right, of_right) != Some(Key::Jsonb) {
        return false;
    }
    *left = Key::Jsonb.call(std::mem::take(left));
    *right = Key::Jsonb.call(std::mem::take(right));
    true
}

/// `x IN (SELECT …)` of jsonb as one of keys; a text beside one is read as such.
pub(crate) fn member(mut member: InSubquery, schema: &DFSchema) -> Result<Transformed<InSubquery>> {
    let rows = &member.subquery.subquery;
    let [column] = &rows.schema().columns()[..] else { return Ok(Transformed::no(member)) };
    let theirs = Expr::Column(column.clone());
    if ![Key::of(&member.expr, schema), Key::of(&theirs, rows.schema())].contains(&Some(Key::Jsonb)) {
        return Ok(Transformed::no(member));
    }
    let keys = LogicalPlanBuilder::from(Arc::clone(rows)).project([Key::Jsonb.call(theirs).alias("key")])?;
    member.subquery = member.subquery.with_plan(Arc::new(keys.build()?));
    member.expr = Box::new(Key::Jsonb.call(*member.expr));
    Ok(Transformed::yes(member))
}

/// Arrays of one type, as their keys. Where they have none, the engine says so.
fn arrays(sides: Vec<&mut Expr>, schema: &DFSchema) -> Result<bool> {
    let types = sides.iter().map(|side| side.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let mut rest = types.iter();
    let Some(first) = rest.next() else { return Ok(false) };
    let common = rest.try_fold(first.clone(), |met, other| comparison_coercion(&met, other));
    let Some(common) = common.filter(|met| matches!(met, DataType::List(item) if is_ordered(item.data_type()))) else {
        return Ok(false);
    };
    for side in sides {
        *side = Key::Array.call(std::mem::take(side).cast_to(&common, schema)?);
    }
    Ok(true)
}

/// A node that sorts what has keys.
pub(crate) fn sorted(node: LogicalPlan) -> Transformed<LogicalPlan> {
    match node {
        LogicalPlan::Sort(mut sort) => {
            let changed = by_key(&mut sort.expr, sort.input.schema());
            Transformed::new_transformed(LogicalPlan::Sort(sort), changed)
        }
        LogicalPlan::Distinct(Distinct::On(mut on)) => {
            let mut changed = false;
            // The distinct values stay what is sorted by.
            for expr in &mut on.on_expr {
                changed |= as_key(expr, on.input.schema());
            }
            if let Some(keys) = &mut on.sort_expr {
                changed |= by_key(keys, on.input.schema());
            }
            Transformed::new_transformed(LogicalPlan::Distinct(Distinct::On(on)), changed)
        }
        other => Transformed::no(other),
    }
}

/// Sorts by keys. Whether there are any.
pub(crate) fn by_key(sorts: &mut [Sort], schema: &DFSchema) -> bool {
    let mut changed = false;
    for sort in sorts {
        changed |= as_key(&mut sort.expr, schema);
    }
    changed
}

fn as_key(expr: &mut Expr, schema: &DFSchema) -> bool {
    let Some(key) = Key::of(expr, schema) else { return false };
    *expr = key.call(std::mem::take(expr));
    true
}

/// Refuses what would take the first and the last of the texts of jsonb.
///
/// # Errors
/// 42883 for `min` and `max`, which PostgreSQL does not have; 0A000 for `greatest` and `least`.
pub(crate) fn refuse_extremes(name: &str, args: &[Expr], schema: &DFSchema) -> Result<()> {
    let extreme = matches!(name, "min" | "max" | "greatest" | "least");
    if !extreme || !args.iter().any(|arg| Key::of(arg, schema) == Some(Key::Jsonb)) {
        return Ok(());
    }
    if matches!(name, "greatest" | "least") {
        return Err(unsupported("greatest and least of jsonb are not supported"));
    }
    Err(external(Error::new(ErrorCode::UndefinedFunction, format!("function {name}(jsonb) does not exist"))))
}
