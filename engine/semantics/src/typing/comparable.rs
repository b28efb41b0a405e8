//! Two kinds of values side by side, where DataFusion's common type cannot hold both: a date and a time stamp compare at the
//! stamp's precision, a decimal and a float at double precision, a literal with a point beside a decimal is one. Knows no
//! plan.

use super::{enum_order, float_items, null_if, order_keys, patterns};
use crate::numbers::wide;
use crate::times::interval_length;
use arrow::array::Array;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{Between, BinaryExpr, Case, Expr, ExprSchemable, Operator};

/// Rewrites one expression, if it holds such values; LIKE loses its ESCAPE.
pub(crate) fn rewrite(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            let mut sides = [*left, *right];
            let changed = compared(sides.iter_mut().collect(), op, schema)?
                | interval_length::compared(sides.iter_mut().collect(), schema)?
                | enum_order::compared(sides.iter_mut().collect(), is_order(op), schema)?
                | order_keys::compared(sides.iter_mut().collect(), op, schema)?;
            let [left, right] = sides;
            let expr = Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
            Transformed::new_transformed(expr, changed)
        }
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Plus | Operator::Minus | Operator::Multiply),
            right,
        }) => {
            let mut sides = [*left, *right];
            let changed = exact(&mut sides, schema);
            let [left, right] = sides;
            let expr = Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
            Transformed::new_transformed(expr, changed)
        }
        Expr::Between(mut between) => {
            let mut sides = [between.expr.as_mut(), between.low.as_mut(), between.high.as_mut()];
            let mut changed = compared(sides.each_mut().map(|side| &mut **side).into(), Operator::GtEq, schema)?;
            changed |= interval_length::compared(sides.each_mut().map(|side| &mut **side).into(), schema)?;
            changed |= enum_order::compared(sides.each_mut().map(|side| &mut **side).into(), true, schema)?;
            changed |= order_keys::compared(sides.into(), Operator::LtEq, schema)?;
            refuse_bounds(&between, schema)?;
            Transformed::new_transformed(Expr::Between(between), changed)
        }
        Expr::InList(mut list) => {
            let mut changed = as_reals(&mut list, schema);
            let chosen = if has_constants(&list) { Chosen::Listed } else { Chosen::None };
            let sides: Vec<&mut Expr> = std::iter::once(list.expr.as_mut()).chain(&mut list.list).collect();
            let types = types_of(&sides, schema);
            refuse_days_beside_others(&types, Operator::Eq)?;
            changed |= meet_as(sides, types, chosen, schema)?;
            changed |=
                interval_length::compared(std::iter::once(list.expr.as_mut()).chain(&mut list.list).collect(), schema)?;
            let sides = std::iter::once(list.expr.as_mut()).chain(&mut list.list).collect();
            changed |= enum_order::compared(sides, false, schema)?;
            let sides = std::iter::once(list.expr.as_mut()).chain(&mut list.list).collect();
            changed |= order_keys::compared(sides, Operator::IsNotDistinctFrom, schema)?;
            Transformed::new_transformed(Expr::InList(list), changed)
        }
        Expr::ScalarFunction(call) if matches!(call.name(), "compare_any" | "compare_all") => {
            let listed = among(call)?;
            if !listed.transformed {
                return Ok(listed);
            }
            // What is in a list now was settled as a call; its sides have not met yet.
            let mut settled = wide::settled(listed.data, schema)?.data;
            // An array has a type of its own, unlike a list, whose members take that of the value.
            if let Expr::InList(list) = &mut settled {
                compared(std::iter::once(list.expr.as_mut()).chain(&mut list.list).collect(), Operator::Eq, schema)?;
            }
            Transformed::yes(rewrite(settled, schema)?.data)
        }
        Expr::ScalarFunction(call) if call.name() == "jsonb_equal" => order_keys::equal(call),
        Expr::ScalarFunction(call) if matches!(call.name(), "coalesce" | "nullif" | "greatest" | "least") => {
            choosing(call, schema)?
        }
        Expr::ScalarFunction(call) if float_items::MADE_OF.contains(&call.name()) => {
            float_items::with_float_items(call, schema)
        }
        Expr::InSubquery(member) => {
            let member = wide::member(member, schema)?;
            // One that was transformed has the type of a key, which is neither of the others.
            member
                .transform_data(|member| interval_length::member(member, schema))?
                .transform_data(|member| order_keys::member(member, schema))?
                .update_data(Expr::InSubquery)
        }
        Expr::Case(case) => branches(case, schema)?,
        Expr::AggregateFunction(mut call) => {
            order_keys::refuse_extremes(call.func.name(), &call.params.args, schema)?;
            let mut changed = interval_length::by_length(&mut call.params.order_by, schema)?;
            // The engine wants distinct values sorted by themselves.
            changed |= !call.params.distinct && order_keys::by_key(&mut call.params.order_by, schema);
            changed |= interval_length::aggregated(&mut call, schema)?;
            changed |= enum_order::aggregated(&mut call, schema)?;
            changed |= order_keys::aggregated(&mut call, schema);
            Transformed::new_transformed(Expr::AggregateFunction(call), changed)
        }
        Expr::WindowFunction(mut window) => {
            order_keys::refuse_extremes(window.fun.name(), &window.params.args, schema)?;
            order_keys::in_window(&window, schema)?;
            let mut changed =
                interval_length::ordered(&mut window, schema)? | enum_order::ordered(&mut window, schema)?;
            changed |= order_keys::by_key(&mut window.params.order_by, schema);
            changed |= interval_length::in_window(&mut window, schema)?;
            Transformed::new_transformed(Expr::WindowFunction(window), changed)
        }
        Expr::Like(like) if like.escape_char.is_some() => Transformed::yes(Expr::Like(patterns::without_escape(like)?)),
        other => Transformed::no(other),
    })
}

/// A call that gives one of its arguments.
fn choosing(mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if call.name() == "nullif"
        && let [value, other] = call.args.as_slice()
        && let Some(kept) = before_a_stamp(value, other, schema)?
    {
        return Ok(Transformed::yes(kept));
    }
    let changed = if call.name() == "nullif" {
        let sides: Vec<&mut Expr> = call.args.iter_mut().collect();
        let types = types_of(&sides, schema);
        refuse_days_beside_others(&types, Operator::Eq)?;
        // It gives a whole number as one.
        meet_as(sides, types, Chosen::Listed, schema)?
    } else {
        given(call.args.iter_mut().collect(), schema)?
    };
    enum_order::extreme(&call, schema)?;
    order_keys::refuse_extremes(call.name(), &call.args, schema)?;
    if call.name() == "nullif"
        && let [value, other] = call.args.as_slice()
    {
        if let Some(same) = interval_length::same(value, other, schema)? {
            return Ok(Transformed::yes(null_if::as_case(same, value.clone(), &interval_length::INTERVAL)?));
        }
        if let Some(same) = order_keys::same(value, other, schema)? {
            return Ok(Transformed::yes(null_if::as_case(same, value.clone(), &value.get_type(schema)?)?));
        }
        if let Some(same) = real_beside_double(value, other, schema)? {
            return Ok(Transformed::yes(null_if::as_case(same, value.clone(), &DataType::Float32)?));
        }
        if let Some(narrow) = null_if::of_narrow(&call, schema)? {
            return Ok(Transformed::yes(narrow));
        }
    }
    Ok(match interval_length::extreme(call, schema)? {
        Ok(extreme) => Transformed::yes(extreme),
        Err(same) => Transformed::new_transformed(Expr::ScalarFunction(same), changed),
    })
}

/// A CASE whose results meet, and whose operand meets what it is compared with.
fn branches(mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let results = case.when_then_expr.iter_mut().map(|(_, then)| then).chain(&mut case.else_expr);
    let mut changed = given(results.map(AsMut::as_mut).collect(), schema)?;
    if let Some(operand) = &mut case.expr {
        let compared = std::iter::once(operand).chain(case.when_then_expr.iter_mut().map(|(when, _)| when));
        let mut compared: Vec<&mut Expr> = compared.map(AsMut::as_mut).collect();
        changed |= self::compared(compared.iter_mut().map(|side| &mut **side).collect(), Operator::Eq, schema)?;
        changed |= enum_order::compared(compared.iter_mut().map(|side| &mut **side).collect(), false, schema)?;
        let same = Operator::IsNotDistinctFrom;
        changed |= order_keys::compared(compared.iter_mut().map(|side| &mut **side).collect(), same, schema)?;
        changed |= interval_length::compared(compared, schema)?;
    }
    Ok(Transformed::new_transformed(Expr::Case(case), changed))
}

const fn is_order(op: Operator) -> bool {
    matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

pub const fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// What becomes of sides that meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chosen {
    /// They are compared: a real beside an exact number is a double.
    None,
    /// They are compared, and have one type: a real beside a whole number makes a real of it.
    Listed,
    /// One of them is the result, which is a real where no double is among them.
    One,
}

/// Whether a real equals what is a double beside it, as a condition; `None`: they are others. NULLIF compares them as doubles, and gives
/// the real.
fn real_beside_double(value: &Expr, other: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let (own, beside) = (value.get_type(schema)?, other.get_type(schema)?);
    if own != DataType::Float32 || beside != DataType::Float64 {
        return Ok(None);
    }
    let double = Box::new(datafusion::logical_expr::cast(value.clone(), DataType::Float64));
    Ok(Some(Expr::BinaryExpr(BinaryExpr::new(double, Operator::Eq, Box::new(other.clone())))))
}

/// NULLIF of a date beside a time stamp, or of a time stamp beside one with a zone, which are compared as the second and give the first;
/// `None`: it is of others.
fn before_a_stamp(value: &Expr, other: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    // A parameter without a type is beside nothing.
    let (Ok(own), Ok(beside)) = (value.get_type(schema), other.get_type(schema)) else { return Ok(None) };
    let narrower = match (&own, &beside) {
        (DataType::Date32, DataType::Timestamp(..)) => true,
        (DataType::Timestamp(_, zone), DataType::Timestamp(_, beside)) => zone.is_none() && beside.is_some(),
        _ => false,
    };
    // What differs each time must not be compared as one value and given as another.
    if !narrower || value.is_volatile() {
        return Ok(None);
    }
    let mut sides = [value.clone(), other.clone()];
    compared(sides.iter_mut().collect(), Operator::Eq, schema)?;
    let [left, right] = sides;
    let same = Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Eq, Box::new(right)));
    null_if::as_case(same, value.clone(), &own).map(Some)
}

/// Casts sides that are compared so that they meet. Whether any was cast. A parameter without a type meets nothing.
///
/// # Errors
/// 42883: there is no such comparison.
fn compared(sides: Vec<&mut Expr>, op: Operator, schema: &DFSchema) -> Result<bool> {
    let types = types_of(&sides, schema);
    refuse_days_beside_others(&types, op)?;
    meet_as(sides, types, Chosen::None, schema)
}

/// Casts sides of which one is given, so that they meet.
fn given(sides: Vec<&mut Expr>, schema: &DFSchema) -> Result<bool> {
    let types = types_of(&sides, schema);
    meet_as(sides, types, Chosen::One, schema)
}

fn types_of(sides: &[&mut Expr], schema: &DFSchema) -> Vec<Option<DataType>> {
    sides.iter().map(|side| side.get_type(schema).ok()).collect()
}

/// Bounds of another kind than the value, which the engine takes for a fault of its own.
fn refuse_bounds(between: &Between, schema: &DFSchema) -> Result<()> {
    let Ok(value) = between.expr.get_type(schema) else { return Ok(()) };
    for (bound, op) in [(&between.low, Operator::GtEq), (&between.high, Operator::LtEq)] {
        if let Ok(bound) = bound.get_type(schema)
            && comparison_coercion(&value, &bound).is_none()
        {
            return plan_err!("Cannot infer common argument type for comparison operation {value} {op} {bound}");
        }
    }
    Ok(())
}

/// A date beside a whole number or a time of day, which the engine would compare by the days since 1970.
fn refuse_days_beside_others(types: &[Option<DataType>], op: Operator) -> Result<()> {
    let is_other = |of: &DataType| of.is_integer() || matches!(of, DataType::Time32(_) | DataType::Time64(_));
    let (Some(date), Some(other)) =
        (types.iter().flatten().find(|of| **of == DataType::Date32), types.iter().flatten().find(|of| is_other(of)))
    else {
        return Ok(());
    };
    let is_first = types.iter().flatten().next() == Some(date);
    let (left, right) = if is_first { (date, other) } else { (other, date) };
    plan_err!("Cannot infer common argument type for comparison operation {left} {op} {right}")
}

fn meet_as(
    mut sides: Vec<&mut Expr>,
    mut types: Vec<Option<DataType>>,
    chosen: Chosen,
    schema: &DFSchema,
) -> Result<bool> {
    let mut changed = false;
    if types.iter().flatten().any(DataType::is_decimal) {
        for (side, data_type) in sides.iter_mut().zip(&mut types) {
            if let Some(decimal) = written_decimal(side) {
                **side = Expr::Literal(decimal, None);
                *data_type = side.get_type(schema).ok();
                changed = true;
            }
        }
    }
    let is_float = |t: &DataType| matches!(t, DataType::Float32 | DataType::Float64);
    let stamp = types.iter().flatten().find(|t| matches!(t, DataType::Timestamp(..))).cloned();
    let reals = chosen == Chosen::One && !types.iter().flatten().any(|t| *t == DataType::Float64);
    let float = if reals { DataType::Float32 } else { DataType::Float64 };
    let double = types.iter().flatten().any(is_float).then_some(float);
    let wide = if double.is_none() { beyond_38_digits(&types) } else { None };
    // The engine would make reals of them, which have fewer digits. Beside a double it makes doubles by itself.
    let has = |wanted: &DataType| types.iter().flatten().any(|data_type| data_type == wanted);
    let beside_reals = chosen == Chosen::None && has(&DataType::Float32) && !has(&DataType::Float64);
    let whole = beside_reals.then_some(DataType::Float64);
    for (side, data_type) in sides.into_iter().zip(&types) {
        let to = match data_type {
            Some(DataType::Date32) => &stamp,
            Some(data_type) if wide.is_some() && (data_type.is_decimal() || data_type.is_integer()) => &wide,
            Some(data_type) if data_type.is_decimal() => &double,
            Some(data_type) if data_type.is_integer() && !is_small(side) => &whole,
            Some(_) | None => continue,
        };
        if let Some(to) = to {
            let (own, is_double) = super::binding::as_double(std::mem::take(side), to == &DataType::Float64);
            *side = match own {
                own if is_double => own,
                // Around the subquery, where a source still sees what it compares; `cast_to` would go into it.
                own @ Expr::ScalarSubquery(_) => datafusion::logical_expr::cast(own, to.clone()),
                own => own.cast_to(to, schema)?,
            };
            changed = true;
        }
    }
    Ok(changed)
}

/// The type that holds every value of some exact types, where they need more digits than the engine would give them: it would
/// refuse the values that have them all.
pub(super) fn beyond_38_digits(types: &[Option<DataType>]) -> Option<DataType> {
    if !types.iter().flatten().any(DataType::is_decimal) {
        return None;
    }
    let (mut whole, mut places) = (0, 0);
    for data_type in types.iter().flatten() {
        let (digits, scale) = match data_type {
            DataType::Decimal128(precision, scale) => (i16::from(*precision), i16::from(*scale)),
            DataType::Int16 => (5, 0),
            DataType::Int32 => (10, 0),
            DataType::Int64 => (19, 0),
            _ => return None,
        };
        whole = whole.max(digits - scale);
        places = places.max(scale);
    }
    let places = i8::try_from(places).ok()?;
    (whole + i16::from(places) > i16::from(DECIMAL128_MAX_PRECISION))
        .then_some(DataType::Decimal256(DECIMAL256_MAX_PRECISION, places))
}

/// `price * 1.19` is exact. Division stays with floats: a decimal's quotient has few digits here.
fn exact(sides: &mut [Expr; 2], schema: &DFSchema) -> bool {
    let mut changed = false;
    for (side, other) in [(0, 1), (1, 0)] {
        // The type of a long chain is asked only beside such a literal.
        if let Some(decimal) = written_decimal(&sides[side])
            && sides[other].get_type(schema).is_ok_and(|t| t.is_decimal())
        {
            sides[side] = Expr::Literal(decimal, None);
            changed = true;
        }
    }
    changed
}

/// The decimal that a literal with a point was written as; `None` if it has too many digits for one.
fn written_decimal(expr: &Expr) -> Option<ScalarValue> {
    let Expr::Literal(ScalarValue::Float64(Some(value)), None) = expr else { return None };
    let text = format!("{value}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = i8::try_from(fraction.len()).ok()?;
    let precision = u8::try_from(whole.trim_start_matches('-').len() + fraction.len()).ok()?;
    // Room for the other side's digits: comparing aligns the scales.
    (precision <= DECIMAL128_MAX_PRECISION / 2).then_some(ScalarValue::Decimal128(Some(digits), precision, scale))
}

/// `x = ANY ($1)` once the parameter has a value: IN, which sources and files know. Of an array of numbers too, and `x <> ALL` of one is
/// NOT IN.
fn among(call: ScalarFunction) -> Result<Transformed<Expr>> {
    let negated = call.name() == "compare_all";
    let wanted: &[&str] = if negated { &["<>", "!="] } else { &["="] };
    let [Expr::Literal(op, _), value, array] = call.args.as_slice() else {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    };
    let is_listed = op.try_as_str().flatten().is_some_and(|op| wanted.contains(&op));
    let items = match array {
        Expr::Literal(ScalarValue::List(list), _) if is_listed && !negated && !list.is_null(0) => {
            let members = list.value(0);
            let members =
                (0..members.len()).map(|at| Ok(Expr::Literal(ScalarValue::try_from_array(&members, at)?, None)));
            members.collect::<Result<Vec<_>>>()?
        }
        Expr::ScalarFunction(made) if is_listed && made.name() == "make_array" && made.args.iter().all(is_number) => {
            made.args.clone()
        }
        _ => Vec::new(),
    };
    if items.is_empty() {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    }
    Ok(Transformed::yes(Expr::InList(InList { expr: Box::new(value.clone()), list: items, negated })))
}

/// A constant that is a number.
fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.data_type().is_numeric())
}

/// Whether a whole number is one that a real holds, so that it is all the same as which it is compared.
fn is_small(expr: &Expr) -> bool {
    const MOST: i64 = 1 << f32::MANTISSA_DIGITS;
    let value = match expr {
        Expr::Literal(ScalarValue::Int16(Some(value)), _) => i64::from(*value),
        Expr::Literal(ScalarValue::Int32(Some(value)), _) => i64::from(*value),
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => *value,
        _ => return false,
    };
    (-MOST..=MOST).contains(&value)
}

/// Whether several members of a list are constants: they and the value have one type, where each other member is compared by itself.
fn has_constants(list: &InList) -> bool {
    list.list.iter().filter(|item| !item.any_column_refs()).count() > 1
}

/// Constants with a point in a list beside a real, as reals: several members of a list and the value have one type, which is not a
/// double's unless one of them is. A single one is compared as a double.
fn as_reals(list: &mut InList, schema: &DFSchema) -> bool {
    if !list.list.iter().any(|item| real(item).is_some()) || !has_constants(list) {
        return false;
    }
    let is = |expr: &Expr, wanted: &DataType| expr.get_type(schema).is_ok_and(|own| own == *wanted);
    if !is(list.expr.as_ref(), &DataType::Float32) || list.list.iter().any(|item| is(item, &DataType::Float64)) {
        return false;
    }
    for item in &mut list.list {
        if let Some(value) = real(item) {
            *item = Expr::Literal(ScalarValue::Float32(Some(value)), None);
        }
    }
    true
}

/// A constant with a point as a real. `None`: it is none, or beyond the reals.
fn real(expr: &Expr) -> Option<f32> {
    match expr {
        Expr::Literal(ScalarValue::Decimal128(Some(digits), _, scale), _) => {
            let value: f32 = crate::casts::display::decimal(*digits, *scale).parse().ok()?;
            value.is_finite().then_some(value)
        }
        Expr::Negative(inner) => real(inner).map(|value| -value),
        _ => None,
    }
}
