//! What compares and sorts jsonb and arrays does so by keys: the texts of jsonb say neither that 9 is less than 10 nor that 1.0 is 1, to
//! the engine an item that is NULL is the least, where it is the greatest, and items that are intervals are compared by their length. Knows
//! no value.

use super::binding::is_jsonb;
use super::member_rows;
use super::told_jsonb::is_value;
use crate::casts::conversions::named;
use crate::fault::{external, unsupported};
use crate::functions;
use crate::times::interval_length::INTERVAL;
use crate::times::zone::Zone;
use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, InSubquery, ScalarFunction, Sort, WindowFunction};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{BinaryExpr, Cast, Distinct, Expr, ExprSchemable, LogicalPlan, Operator};
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_types::{Error, ErrorCode, PgType};
use std::sync::Arc;

/// The function that gives a value's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Jsonb,
    Array,
    /// As [`Self::Array`], of an array that is called one of jsonb.
    JsonbArray,
}

impl Key {
    fn of(expr: &Expr, schema: &DFSchema) -> Option<Self> {
        let (_, field) = expr.to_field(schema).ok()?;
        match field.data_type() {
            DataType::List(_) if is_jsonb_array(expr, &field, schema) => Some(Self::JsonbArray),
            DataType::List(item) if is_ordered(item.data_type()) => Some(Self::Array),
            _ if is_jsonb(&field) => Some(Self::Jsonb),
            _ => None,
        }
    }

    fn call(self, value: Expr) -> Expr {
        let name = match self {
            Self::Jsonb => "jsonb_key",
            Self::Array | Self::JsonbArray => "array_key",
        };
        match functions::in_zone(name, Zone::UTC) {
            Some(function) => function.call(vec![value]),
            None => value,
        }
    }
}

/// Whether an array is known to be one of jsonb: by its name, or by what it is made of.
pub(super) fn is_jsonb_array(array: &Expr, field: &Field, schema: &DFSchema) -> bool {
    let is_made = |item: &Expr| match item {
        Expr::ScalarFunction(_) => item.to_field(schema).is_ok_and(|(_, field)| is_jsonb_array(item, &field, schema)),
        _ => false,
    };
    match array {
        Expr::Alias(alias) => is_jsonb_array(&alias.expr, field, schema),
        Expr::ScalarFunction(made) if made.name() == "make_array" => {
            made.args.iter().any(|item| is_value(item, schema) || is_made(item))
        }
        _ => named(field) == Some(PgType::JsonbArray.name()),
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

/// Whether a type is of arrays that are equal by their keys: of floats, where one may have a zero of the other sign, and of intervals,
/// where one may have days for hours. What is equal in other arrays is stored alike.
pub(crate) fn has_keys(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => {
            let item = item.data_type();
            item.is_floating() || *item == INTERVAL || has_keys(item)
        }
        _ => false,
    }
}

/// Sides that are compared, as their keys where they have some: texts beside jsonb are read as such. Whether there are any. `=` of
/// jsonb is a call where a statement has it (see [`equal`]), and elsewhere what sources compare; items that are NULL are equal.
pub(crate) fn compared(sides: Vec<&mut Expr>, op: Operator, schema: &DFSchema) -> Result<bool> {
    let is_array = |side: &&mut Expr| side.get_type(schema).is_ok_and(|data_type| data_type.is_list());
    let key = match op {
        Operator::Eq if !sides.iter().any(is_array) => None,
        _ => key_of(&sides, schema),
    };
    let ordered = matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    match key {
        Some(Key::Jsonb) if op != Operator::Eq => {
            for side in sides {
                *side = Key::Jsonb.call(std::mem::take(side));
            }
            Ok(true)
        }
        Some(Key::Array) => {
            let Some(common) = common(sides.iter().map(|side| side.get_type(schema)))? else { return Ok(false) };
            if !ordered && !has_keys(&common) {
                return Ok(false);
            }
            for side in sides {
                *side = of_array(std::mem::take(side), &common, schema)?;
            }
            Ok(true)
        }
        Some(Key::JsonbArray) => {
            let Some(common) = common(sides.iter().map(|side| side.get_type(schema)))? else { return Ok(false) };
            for side in sides {
                *side = of_jsonb_array(std::mem::take(side), &common, schema)?;
            }
            Ok(true)
        }
        Some(Key::Jsonb) | None => Ok(false),
    }
}

/// The key of sides that are compared: that of the first that has one, unless one is an array of jsonb.
fn key_of(sides: &[&mut Expr], schema: &DFSchema) -> Option<Key> {
    let mut found = None;
    for side in sides {
        match Key::of(side, schema) {
            Some(Key::JsonbArray) => return Some(Key::JsonbArray),
            other => found = found.or(other),
        }
    }
    found
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

/// Whether a value that has a key equals what NULLIF compares it with, as a condition; `None`: they are others.
pub(crate) fn same(value: &Expr, other: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let [mut left, mut right] = [value, other].map(Clone::clone);
    // The one who is NULL has no key, so that the keys are not equal.
    if !compared(vec![&mut left, &mut right], Operator::IsNotDistinctFrom, schema)? {
        return Ok(None);
    }
    Ok(Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Eq, Box::new(right)))))
}

/// A jsonb as its key.
pub(crate) fn of_jsonb(value: Expr) -> Expr {
    Key::Jsonb.call(value)
}

/// An array of floats or intervals as its key.
pub(crate) fn of_keyed(array: Expr) -> Expr {
    Key::Array.call(array)
}

/// Columns of jsonb, or of arrays of floats or intervals, by which rows are joined, as their keys. Whether they are such.
pub(crate) fn joined(left: &mut Expr, of_left: &DFSchema, right: &mut Expr, of_right: &DFSchema) -> Result<bool> {
    match (Key::of(left, of_left), Key::of(right, of_right)) {
        (Some(Key::Jsonb), Some(Key::Jsonb)) => {
            *left = Key::Jsonb.call(std::mem::take(left));
            *right = Key::Jsonb.call(std::mem::take(right));
            Ok(true)
        }
        (Some(Key::Array), Some(Key::Array)) => {
            let types = [left.get_type(of_left), right.get_type(of_right)];
            let Some(common) = common(types.into_iter())?.filter(has_keys) else { return Ok(false) };
            *left = of_array(std::mem::take(left), &common, of_left)?;
            *right = of_array(std::mem::take(right), &common, of_right)?;
            Ok(true)
        }
        (Some(Key::JsonbArray), Some(Key::Array | Key::JsonbArray)) | (Some(Key::Array), Some(Key::JsonbArray)) => {
            let types = [left.get_type(of_left), right.get_type(of_right)];
            let Some(common) = common(types.into_iter())? else { return Ok(false) };
            *left = of_jsonb_array(std::mem::take(left), &common, of_left)?;
            *right = of_jsonb_array(std::mem::take(right), &common, of_right)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// `x IN (SELECT …)` of jsonb, or of arrays of floats or intervals, as one of keys; a text beside a jsonb is read as such.
pub(crate) fn member(mut member: InSubquery, schema: &DFSchema) -> Result<Transformed<InSubquery>> {
    let rows = &member.subquery.subquery;
    let [column] = &rows.schema().columns()[..] else { return Ok(Transformed::no(member)) };
    let theirs = Expr::Column(column.clone());
    let keys = [Key::of(&member.expr, schema), Key::of(&theirs, rows.schema())];
    let (own, theirs) = if keys.contains(&Some(Key::Jsonb)) {
        (Key::Jsonb.call(std::mem::take(member.expr.as_mut())), Key::Jsonb.call(theirs))
    } else if keys == [Some(Key::Array); 2] {
        let types = [member.expr.get_type(schema), theirs.get_type(rows.schema())];
        let Some(common) = common(types.into_iter())?.filter(has_keys) else { return Ok(Transformed::no(member)) };
        let own = of_array(std::mem::take(member.expr.as_mut()), &common, schema)?;
        (own, of_array(theirs, &common, rows.schema())?)
    } else if keys.contains(&Some(Key::JsonbArray)) {
        let types = [member.expr.get_type(schema), theirs.get_type(rows.schema())];
        let Some(common) = common(types.into_iter())? else { return Ok(Transformed::no(member)) };
        let own = of_jsonb_array(std::mem::take(member.expr.as_mut()), &common, schema)?;
        (own, of_jsonb_array(theirs, &common, rows.schema())?)
    } else {
        return Ok(Transformed::no(member));
    };
    member.subquery = member.subquery.with_plan(member_rows(rows, theirs)?);
    *member.expr = own;
    Ok(Transformed::yes(member))
}

/// The type at which arrays meet. `None`: they have no keys, and where they do not compare, the engine says so.
fn common(mut types: impl Iterator<Item = Result<DataType>>) -> Result<Option<DataType>> {
    let Some(first) = types.next() else { return Ok(None) };
    let mut common = Some(first?);
    for other in types {
        let other = other?;
        common = common.and_then(|met| comparison_coercion(&met, &other));
    }
    Ok(common.filter(|met| matches!(met, DataType::List(item) if is_ordered(item.data_type()))))
}

/// An array as the key of one of a type.
fn of_array(array: Expr, of: &DataType, schema: &DFSchema) -> Result<Expr> {
    Ok(Key::Array.call(array.cast_to(of, schema)?))
}

/// An array of jsonb as the key of one.
fn of_jsonb_array(array: Expr, of: &DataType, schema: &DFSchema) -> Result<Expr> {
    Ok(Key::JsonbArray.call(called_jsonb(array.cast_to(of, schema)?, of)))
}

/// An array under the name of one of jsonb, by which its items are read.
fn called_jsonb(array: Expr, of: &DataType) -> Expr {
    let name = [(PG_TYPE_KEY.to_owned(), PgType::JsonbArray.name().to_owned())].into();
    let field = Field::new("", of.clone(), true).with_metadata(name);
    Expr::Cast(Cast { expr: Box::new(array), field: Arc::new(field) })
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
    let own = std::mem::take(expr);
    *expr = match (key, own.get_type(schema)) {
        (Key::JsonbArray, Ok(of)) => key.call(called_jsonb(own, &of)),
        (Key::Jsonb | Key::Array | Key::JsonbArray, _) => key.call(own),
    };
    true
}

/// `min` and `max` of arrays of several dimensions, which the engine cannot compare: the first in the order of their keys. Whether it
/// was one.
pub(crate) fn aggregated(call: &mut AggregateFunction, schema: &DFSchema) -> bool {
    let greatest = match call.func.name() {
        "max" => true,
        "min" => false,
        _ => return false,
    };
    let [value] = call.params.args.as_slice() else { return false };
    let mut key = value.clone();
    if !has_dimensions(value, schema) || !as_key(&mut key, schema) {
        return false;
    }
    call.params.order_by = vec![Sort::new(key, !greatest, false)];
    call.params.distinct = false;
    call.func = first_value_udaf();
    true
}

/// Refuses `min` and `max` of such arrays in a window.
///
/// # Errors
/// 0A000.
pub(crate) fn in_window(window: &WindowFunction, schema: &DFSchema) -> Result<()> {
    let is_extreme = matches!(window.fun.name(), "min" | "max");
    if is_extreme && window.params.args.iter().any(|arg| has_dimensions(arg, schema)) {
        return Err(unsupported("min and max of arrays of several dimensions in a window are not supported"));
    }
    Ok(())
}

/// Whether a value is an array of arrays.
fn has_dimensions(value: &Expr, schema: &DFSchema) -> bool {
    matches!(value.get_type(schema), Ok(DataType::List(item)) if item.data_type().is_list())
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
