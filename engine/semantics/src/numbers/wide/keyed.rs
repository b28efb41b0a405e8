//! What compares, sorts, groups and joins numerics of any width does so by their keys: 1.0 is 1.00, which their cells do not say; what
//! groups and joins intervals, by their lengths; and what groups and joins jsonb and arrays of floats or intervals, by their keys. A group
//! shows the number with the most places, the interval with the most months, and of jsonb the greatest text.

use super::meeting::narrowed;
use super::{holds_wide, is_wide};
use crate::aggregates::ordered;
use crate::fault::unsupported;
use crate::functions::numeric_key;
use crate::times::interval_extremes;
use crate::times::interval_length::{self, INTERVAL};
use crate::typing::{is_jsonb, member_rows, order_keys};
use crate::windows::peers::as_groups;
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, TableReference};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::functions_aggregate::min_max::max_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, GroupingSet, InSubquery, Sort, WindowFunction};
use datafusion::logical_expr::logical_plan::{Aggregate, Distinct, Join};
use datafusion::logical_expr::{
    Case, Cast, Expr, ExprSchemable, JoinConstraint, LogicalPlan, LogicalPlanBuilder, WindowFrameUnits, cast, lit,
};
use querygate_query_api::own_names::at_place;
use querygate_query_api::values::timetz::TimeTz;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use std::sync::Arc;

/// The key of a value.
fn key(value: Expr) -> Expr {
    match numeric_key() {
        Some(function) => function.call(vec![value]),
        None => value,
    }
}

/// Sides that are compared, as their keys if one of them is wide; as doubles if one is. Whether any was changed.
pub(super) fn compared(sides: Vec<&mut Expr>, schema: &DFSchema) -> Result<bool> {
    if !sides.iter().any(|side| is_wide(side, schema)) {
        for side in &sides {
            if side.get_type(schema).is_ok_and(|data_type| holds_wide(&data_type)) {
                return Err(unsupported("arrays and rows of numerics of any width are not compared"));
            }
        }
        return Ok(false);
    }
    let float = |side: &&mut Expr| {
        side.get_type(schema).is_ok_and(|data_type| matches!(data_type, DataType::Float32 | DataType::Float64))
    };
    let double = sides.iter().any(float);
    for side in sides {
        let own = std::mem::take(side);
        *side = match (double, is_wide(&own, schema)) {
            (true, true) => narrowed(own, schema)?,
            (true, false) => cast(own, DataType::Float64),
            (false, _) if matches!(&own, Expr::Literal(value, _) if value.is_null()) => {
                Expr::Literal(ScalarValue::Binary(None), None)
            }
            (false, _) => key(own),
        };
    }
    Ok(true)
}

/// `x IN (SELECT …)` of wide numerics as one of their keys.
pub(crate) fn member(mut member: InSubquery, schema: &DFSchema) -> Result<Transformed<InSubquery>> {
    let rows = &member.subquery.subquery;
    let [column] = &rows.schema().columns()[..] else { return Ok(Transformed::no(member)) };
    let mut theirs = Expr::Column(column.clone());
    let wide = is_wide(&member.expr, schema) || is_wide(&theirs, rows.schema());
    if !wide {
        let (Ok(one), Ok(other)) = (member.expr.get_type(schema), theirs.get_type(rows.schema())) else {
            return Ok(Transformed::no(member));
        };
        if !are_doubles(&one, &other) {
            return Ok(Transformed::no(member));
        }
        member.subquery = member.subquery.with_plan(member_rows(rows, as_double(theirs, &other))?);
        *member.expr = as_double(std::mem::take(member.expr.as_mut()), &one);
        return Ok(Transformed::yes(member));
    }
    let floats = |t: Result<DataType>| t.is_ok_and(|t| matches!(t, DataType::Float32 | DataType::Float64));
    if floats(member.expr.get_type(schema)) || floats(theirs.get_type(rows.schema())) {
        if theirs.get_type(rows.schema())? == WIDE_NUMERIC {
            let double = narrowed(theirs, rows.schema())?;
            member.subquery = member.subquery.with_plan(member_rows(rows, double)?);
        } else {
            *member.expr = narrowed(std::mem::take(&mut member.expr), schema)?;
        }
        return Ok(Transformed::yes(member));
    }
    theirs = key(theirs);
    member.subquery = member.subquery.with_plan(member_rows(rows, theirs)?);
    member.expr = Box::new(key(*member.expr));
    Ok(Transformed::yes(member))
}

/// Whether a real stands beside a whole number, of which the engine would make a real, or a float beside a decimal, which cannot hold all
/// floats: both are compared as doubles.
fn are_doubles(one: &DataType, other: &DataType) -> bool {
    let is_beside = |float: &DataType, exact: &DataType| {
        *float == DataType::Float32 && exact.is_integer() || float.is_floating() && exact.is_decimal()
    };
    is_beside(one, other) || is_beside(other, one)
}

/// A value of a type as a double.
fn as_double(value: Expr, of: &DataType) -> Expr {
    if *of == DataType::Float64 { value } else { cast(value, DataType::Float64) }
}

/// Keys of a sort that are wide. Whether there is any.
fn by_key(keys: &mut [Sort], schema: &DFSchema) -> Result<bool> {
    let mut changed = false;
    for sort in keys {
        changed |= as_numeric_key(&mut sort.expr, schema)?;
    }
    Ok(changed)
}

/// Kinds of values that are equal by a key, and not by how they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keyed {
    Numeric,
    Interval,
    Jsonb,
    /// Arrays of floats or intervals.
    Arrays,
}

impl Keyed {
    fn of(expr: &Expr, schema: &DFSchema) -> Result<Option<Self>> {
        let (_, field) = expr.to_field(schema)?;
        Ok(Self::of_field(&field))
    }

    fn of_field(field: &Field) -> Option<Self> {
        match field.data_type() {
            data_type if *data_type == WIDE_NUMERIC => Some(Self::Numeric),
            data_type if *data_type == INTERVAL => Some(Self::Interval),
            data_type if order_keys::has_keys(data_type) => Some(Self::Arrays),
            _ => is_jsonb(field).then_some(Self::Jsonb),
        }
    }

    /// What a group shows: one of its equal values, and whatever the order of its rows the same one.
    fn shown(self, value: Expr, data_type: DataType) -> Expr {
        let (function, value) = match self {
            Self::Numeric => (max_udaf(), value),
            Self::Interval => (interval_extremes::shown(), value),
            // The engine has no greatest one of several dimensions, and none of intervals.
            Self::Arrays if !matches!(&data_type, DataType::List(item) if item.data_type().is_floating()) => {
                (first_value_udaf(), value)
            }
            Self::Arrays => (max_udaf(), value),
            // Of the text, since jsonb has no greatest value. A field with a name is one of that type and no other.
            Self::Jsonb => {
                let field = Arc::new(Field::new("text", data_type, true));
                (max_udaf(), Expr::Cast(Cast { expr: Box::new(value), field }))
            }
        };
        Expr::AggregateFunction(AggregateFunction::new_udf(function, vec![value], false, None, Vec::new(), None))
    }
}

fn as_key(expr: &mut Expr, schema: &DFSchema) -> Result<bool> {
    match Keyed::of(expr, schema)? {
        Some(Keyed::Interval) => *expr = interval_length::as_length(std::mem::take(expr)),
        Some(Keyed::Jsonb) => *expr = order_keys::of_jsonb(std::mem::take(expr)),
        Some(Keyed::Arrays) => *expr = order_keys::of_keyed(std::mem::take(expr)),
        Some(Keyed::Numeric) | None => return as_numeric_key(expr, schema),
    }
    Ok(true)
}

fn as_numeric_key(expr: &mut Expr, schema: &DFSchema) -> Result<bool> {
    let data_type = expr.get_type(schema)?;
    if data_type == WIDE_NUMERIC {
        *expr = key(std::mem::take(expr));
        return Ok(true);
    }
    if holds_wide(&data_type) {
        return Err(unsupported("arrays and rows of numerics of any width are not ordered or grouped"));
    }
    Ok(false)
}

/// Orders and partitions of a window by wide numerics. Whether there is any.
pub(super) fn in_order(window: &mut WindowFunction, schema: &DFSchema) -> Result<bool> {
    let frame = &window.params.window_frame;
    let groups = as_groups(frame);
    let offset = frame.units == WindowFrameUnits::Range && groups.is_none();
    let mut changed = by_key(&mut window.params.order_by, schema)?;
    if changed && offset {
        return Err(unsupported("RANGE with an offset of numerics of any width is not supported"));
    }
    let bytes = |sort: &Sort| sort.expr.get_type(schema).is_ok_and(|of| of.is_binary() || of == TimeTz::ARROW);
    if let Some(groups) = groups
        && window.params.order_by.iter().any(bytes)
    {
        // The engine wants numbers in a frame of several keys; peers are groups.
        window.params.window_frame = groups;
        changed = true;
    }
    let mut parts = false;
    for part in &mut window.params.partition_by {
        parts |= as_key(part, schema)?;
    }
    Ok(changed | parts)
}

/// Orders within an aggregate, and what it counts or collects once.
pub(super) fn within(call: &mut AggregateFunction, schema: &DFSchema) -> Result<bool> {
    if call.params.distinct && call.func.name() == "array_agg" && collected_once(call, schema)? {
        return Ok(true);
    }
    let mut changed = by_key(&mut call.params.order_by, schema)?;
    if call.func.name() == "count"
        && call.params.distinct
        && let [value] = call.params.args.as_mut_slice()
    {
        changed |= as_key(value, schema)?;
    }
    Ok(changed)
}

/// Distinct values that have keys, in an array: they are sorted and kept apart by them. Whether they are such.
fn collected_once(call: &mut AggregateFunction, schema: &DFSchema) -> Result<bool> {
    let [value] = call.params.args.as_slice() else { return Ok(false) };
    let mut key = value.clone();
    // Zeros of either sign are one, which the aggregate knows.
    if !value.get_type(schema)?.is_floating() && !as_key(&mut key, schema)? {
        return Ok(false);
    }
    let (asc, nulls_first) = match call.params.order_by.as_slice() {
        [] => (true, false),
        [sort] if sort.expr.clone().unalias() == value.clone().unalias() => (sort.asc, sort.nulls_first),
        // The engine says that there may be no other order.
        _ => return Ok(false),
    };
    call.params.order_by = vec![Sort::new(key, asc, nulls_first)];
    call.params.distinct = false;
    call.func = ordered::apart();
    Ok(true)
}

/// A node that sorts, groups, tells apart or joins.
pub(crate) fn keyed(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Sort(mut sort) => {
            let changed = by_key(&mut sort.expr, sort.input.schema())?;
            Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), changed))
        }
        LogicalPlan::Distinct(Distinct::All(input)) if has_columns(input.schema()) => {
            let columns = input.schema().columns().into_iter().map(Expr::Column).collect();
            let aggregate = Aggregate::try_new(input, columns, Vec::new())?;
            grouped(aggregate).map(Transformed::yes)
        }
        LogicalPlan::Distinct(Distinct::On(mut on)) => {
            let mut changed = false;
            // Both stay the same expressions.
            for expr in &mut on.on_expr {
                changed |= as_key(expr, on.input.schema())?;
            }
            for sort in on.sort_expr.iter_mut().flatten() {
                changed |= as_key(&mut sort.expr, on.input.schema())?;
            }
            Ok(Transformed::new_transformed(LogicalPlan::Distinct(Distinct::On(on)), changed))
        }
        LogicalPlan::Aggregate(aggregate) if groups_by_keys(&aggregate)? => grouped(aggregate).map(Transformed::yes),
        LogicalPlan::Join(join) => joined(join),
        other => Ok(Transformed::no(other)),
    }
}

fn has_columns(schema: &DFSchemaRef) -> bool {
    schema.fields().iter().any(|field| holds_wide(field.data_type()) || Keyed::of_field(field).is_some())
}

fn group_keys(aggregate: &Aggregate) -> Vec<&Expr> {
    match aggregate.group_expr.as_slice() {
        [Expr::GroupingSet(sets)] => sets.distinct_expr(),
        keys => keys.iter().collect(),
    }
}

fn groups_by_keys(aggregate: &Aggregate) -> Result<bool> {
    for expr in group_keys(aggregate) {
        let (_, field) = expr.to_field(aggregate.input.schema())?;
        if holds_wide(field.data_type()) || Keyed::of_field(&field).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Groups by keys; of numbers each shows the greatest cell, which has the most places, of intervals that with the most months, of
/// jsonb the greatest text.
fn grouped(aggregate: Aggregate) -> Result<LogicalPlan> {
    let input = Arc::clone(&aggregate.input);
    let schema = input.schema();
    let keys: Vec<Expr> = group_keys(&aggregate).into_iter().cloned().collect();
    let sets = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
    let kinds = keys.iter().map(|expr| Keyed::of(expr, schema)).collect::<Result<Vec<_>>>()?;
    let replaced = |expr: &Expr| -> Result<Expr> {
        let mut own = expr.clone();
        as_key(&mut own, schema)?;
        Ok(own)
    };
    let all = |of: &Vec<Expr>| of.iter().map(replaced).collect::<Result<Vec<_>>>();
    let group_expr = match aggregate.group_expr.as_slice() {
        [Expr::GroupingSet(GroupingSet::Rollup(of))] => vec![Expr::GroupingSet(GroupingSet::Rollup(all(of)?))],
        [Expr::GroupingSet(GroupingSet::Cube(of))] => vec![Expr::GroupingSet(GroupingSet::Cube(all(of)?))],
        [Expr::GroupingSet(GroupingSet::GroupingSets(of))] => {
            vec![Expr::GroupingSet(GroupingSet::GroupingSets(of.iter().map(all).collect::<Result<_>>()?))]
        }
        plain => plain.iter().map(replaced).collect::<Result<_>>()?,
    };
    let mut aggr_expr = aggregate.aggr_expr.iter().map(|expr| with_keys(expr, schema)).collect::<Result<Vec<_>>>()?;
    for (expr, kind) in keys.iter().zip(&kinds) {
        let Some(kind) = kind else { continue };
        // An aggregate may be there already.
        let shown = kind.shown(expr.clone(), expr.get_type(schema)?).alias(at_place("shown ", aggr_expr.len()));
        aggr_expr.push(shown);
    }
    let own = aggregate.aggr_expr.len();
    let regrouped = Aggregate::try_new(input, group_expr, aggr_expr)?;
    let columns = regrouped.schema.columns();
    let others = keys.len() + usize::from(sets);
    let mut next = others + own;
    let mut shown = Vec::with_capacity(aggregate.schema.fields().len());
    for (place, (qualifier, field)) in aggregate.schema.iter().enumerate() {
        let column = |place: usize| Expr::Column(columns.get(place).cloned().unwrap_or_else(|| Column::from_name("")));
        // The number of the set is the engine's own, and is gone once GROUPING is computed of it.
        if sets && place == keys.len() {
            continue;
        }
        let kind = kinds.get(place).copied().flatten();
        let value = if kind.is_some() {
            let value = Expr::Column(columns.get(next).cloned().unwrap_or_else(|| Column::from_name("")));
            next += 1;
            // Of a set without this key, the group has no value of it.
            if sets {
                Expr::Case(Case {
                    expr: None,
                    when_then_expr: vec![(Box::new(column(place).is_not_null()), Box::new(value))],
                    else_expr: Some(Box::new(lit(ScalarValue::try_from(field.data_type())?))),
                })
            } else {
                value
            }
        } else {
            column(place)
        };
        let value = match kind {
            Some(Keyed::Jsonb) => jsonb_of(value, field),
            Some(Keyed::Numeric | Keyed::Interval | Keyed::Arrays) | None => value,
        };
        shown.push(renamed(value, qualifier, field.name()));
    }
    LogicalPlanBuilder::from(LogicalPlan::Aggregate(regrouped)).project(shown)?.build()
}

/// An aggregate beside such keys: GROUPING names them as they are.
fn with_keys(expr: &Expr, schema: &DFSchema) -> Result<Expr> {
    match expr {
        Expr::Alias(alias) => {
            let mut alias = alias.clone();
            *alias.expr = with_keys(&alias.expr, schema)?;
            Ok(Expr::Alias(alias))
        }
        Expr::AggregateFunction(call) if call.func.name() == "grouping" => {
            let mut call = call.clone();
            for key in &mut call.params.args {
                as_key(key, schema)?;
            }
            Ok(Expr::AggregateFunction(call))
        }
        other => Ok(other.clone()),
    }
}

/// The text that a group shows, as what it was grouped by. (An alias that says so would be lost where expressions are merged.)
fn jsonb_of(text: Expr, was: &Field) -> Expr {
    let field = Arc::new(was.clone().with_name("").with_nullable(true));
    Expr::Cast(Cast { expr: Box::new(text), field })
}

pub(super) fn renamed(value: Expr, qualifier: Option<&TableReference>, name: &str) -> Expr {
    match &value {
        Expr::Column(column) if column.name == name && column.relation.as_ref() == qualifier => value,
        _ => value.alias_qualified(qualifier.cloned(), name),
    }
}

fn joined(mut join: Join) -> Result<Transformed<LogicalPlan>> {
    let mut changed = false;
    for (left, right) in &mut join.on {
        let is_interval = |side: &Expr, of: &LogicalPlan| side.get_type(of.schema()).is_ok_and(|of| of == INTERVAL);
        if is_interval(left, &join.left) && is_interval(right, &join.right) {
            *left = interval_length::as_length(std::mem::take(left));
            *right = interval_length::as_length(std::mem::take(right));
            changed = true;
            continue;
        }
        if order_keys::joined(left, join.left.schema(), right, join.right.schema())? {
            changed = true;
            continue;
        }
        if let (Ok(one), Ok(other)) = (left.get_type(join.left.schema()), right.get_type(join.right.schema()))
            && are_doubles(&one, &other)
        {
            *left = as_double(std::mem::take(left), &one);
            *right = as_double(std::mem::take(right), &other);
            changed = true;
            continue;
        }
        let (a, b) = (is_wide(left, join.left.schema()), is_wide(right, join.right.schema()));
        if !a && !b {
            continue;
        }
        let floats = |t: Result<DataType>| t.is_ok_and(|t| matches!(t, DataType::Float32 | DataType::Float64));
        if floats(left.get_type(join.left.schema())) {
            *right = narrowed(std::mem::take(right), join.right.schema())?;
        } else if floats(right.get_type(join.right.schema())) {
            *left = narrowed(std::mem::take(left), join.left.schema())?;
        } else {
            *left = key(std::mem::take(left));
            *right = key(std::mem::take(right));
        }
        changed = true;
    }
    if changed {
        // Names are resolved, and the engine wants columns in a USING.
        join.join_constraint = JoinConstraint::On;
    }
    Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
}
