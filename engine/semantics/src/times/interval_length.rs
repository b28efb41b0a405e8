//! How long an interval is, which is what it is compared and sorted by: a month is 30 days and a day is 24 hours, so that 36 hours are
//! more than a day. Arrow compares months first, then days, then time. Knows no plan but nodes that sort.

use super::interval_extremes;
use crate::bounds::of_no_rows;
use crate::fault::external;
use crate::typing::{member_rows, null_if};
use crate::windows::exclusions;
use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_err};
use datafusion::logical_expr::expr::{AggregateFunction, InSubquery, ScalarFunction, Sort, WindowFunction};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, when,
};
use querygate_types::{Error, ErrorCode};
use std::sync::{Arc, LazyLock};

const MONTH_NANOSECONDS: i128 = 30 * DAY_NANOSECONDS;
const DAY_NANOSECONDS: i128 = 86_400 * 1_000_000_000;
pub(crate) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const LENGTH: DataType = DataType::Decimal128(38, 0);

static FUNCTION: LazyLock<ScalarUDF> = LazyLock::new(|| {
    ScalarUDF::new_from_impl(Length { signature: Signature::exact(vec![INTERVAL], Volatility::Immutable) })
});

/// The function of an interval's length.
pub(crate) fn function() -> &'static ScalarUDF {
    &FUNCTION
}

/// Intervals that are compared as their lengths; texts beside them are intervals. Whether there is any.
pub(crate) fn compared(sides: Vec<&mut Expr>, schema: &DFSchema) -> Result<bool> {
    let types: Vec<Option<DataType>> = sides.iter().map(|side| side.get_type(schema).ok()).collect();
    let comparable =
        |t: &Option<DataType>| matches!(t, Some(INTERVAL | DataType::Null | DataType::Utf8 | DataType::Utf8View));
    if !types.iter().any(|t| t.as_ref() == Some(&INTERVAL)) || !types.iter().all(comparable) {
        return Ok(false);
    }
    for (side, data_type) in sides.into_iter().zip(types) {
        let own = std::mem::take(side);
        let own = if data_type == Some(INTERVAL) { own } else { own.cast_to(&INTERVAL, schema)? };
        *side = FUNCTION.call(vec![own]);
    }
    Ok(true)
}

/// Whether two intervals are equally long, as a condition; `None`: they are no intervals.
pub(crate) fn same(one: &Expr, other: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let mut sides = [one.clone(), other.clone()];
    if one.get_type(schema)? != INTERVAL || !compared(sides.iter_mut().collect(), schema)? {
        return Ok(None);
    }
    let [left, right] = sides;
    Ok(Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Eq, Box::new(right)))))
}

/// A node that sorts by the lengths of intervals.
pub(crate) fn sorted(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Sort(mut sort) = node else { return Ok(Transformed::no(node)) };
    let changed = by_length(&mut sort.expr, sort.input.schema())?;
    Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), changed))
}

/// Keys that are intervals, as their lengths. Whether there is any.
pub(crate) fn by_length(keys: &mut [Sort], schema: &DFSchema) -> Result<bool> {
    let mut changed = false;
    for key in keys {
        if key.expr.get_type(schema)? == INTERVAL {
            key.expr = FUNCTION.call(vec![std::mem::take(&mut key.expr)]);
            changed = true;
        }
    }
    Ok(changed)
}

/// Keys of a window that are intervals, as their lengths, unless its frame counts from the key. Whether there is any.
pub(crate) fn ordered(window: &mut WindowFunction, schema: &DFSchema) -> Result<bool> {
    let counts = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => false,
        WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by) => !by.is_null(),
    };
    let frame = &window.params.window_frame;
    if frame.units == WindowFrameUnits::Range && (counts(&frame.start_bound) || counts(&frame.end_bound)) {
        return Ok(false);
    }
    by_length(&mut window.params.order_by, schema)
}

/// `x IN (SELECT …)` of intervals as one of their lengths.
pub(crate) fn member(mut member: InSubquery, schema: &DFSchema) -> Result<Transformed<InSubquery>> {
    let rows = &member.subquery.subquery;
    let [column] = &rows.schema().columns()[..] else { return Ok(Transformed::no(member)) };
    let theirs = Expr::Column(column.clone());
    if member.expr.get_type(schema).ok() != Some(INTERVAL) || theirs.get_type(rows.schema())? != INTERVAL {
        return Ok(Transformed::no(member));
    }
    member.subquery = member.subquery.with_plan(member_rows(rows, FUNCTION.call(vec![theirs]))?);
    member.expr = Box::new(FUNCTION.call(vec![*member.expr]));
    Ok(Transformed::yes(member))
}

/// `min` and `max` of intervals, by length. Whether the call was one.
pub(crate) fn aggregated(call: &mut AggregateFunction, schema: &DFSchema) -> Result<bool> {
    let [value] = &call.params.args[..] else { return Ok(false) };
    let Some(extreme) = interval_extremes::of(call.func.name()) else { return Ok(false) };
    if value.get_type(schema)? != INTERVAL {
        return Ok(false);
    }
    call.params.distinct = false;
    call.func = extreme;
    Ok(true)
}

/// `min` and `max` of intervals over a window's frame, by length. Whether the call was one.
pub(crate) fn in_window(window: &mut WindowFunction, schema: &DFSchema) -> Result<bool> {
    let [value] = &window.params.args[..] else { return Ok(false) };
    let aggregate = match &window.fun {
        WindowFunctionDefinition::AggregateUDF(function) => Some(function.as_ref()),
        WindowFunctionDefinition::WindowUDF(function) => exclusions::aggregate_of(function),
    };
    let Some(extreme) = aggregate.and_then(|aggregate| interval_extremes::of(aggregate.name())) else {
        return Ok(false);
    };
    if value.get_type(schema)? != INTERVAL {
        return Ok(false);
    }
    window.fun = match &window.fun {
        WindowFunctionDefinition::AggregateUDF(_) => WindowFunctionDefinition::AggregateUDF(extreme),
        WindowFunctionDefinition::WindowUDF(function) => match exclusions::with_aggregate(function, extreme) {
            Some(excluding) => WindowFunctionDefinition::WindowUDF(excluding),
            None => return Ok(false),
        },
    };
    Ok(true)
}

/// `greatest` and `least` of intervals, as a CASE that takes the lengths of each two.
pub(crate) fn extreme(call: ScalarFunction, schema: &DFSchema) -> Result<std::result::Result<Expr, ScalarFunction>> {
    let op = match call.name() {
        "greatest" => Operator::GtEq,
        "least" => Operator::LtEq,
        _ => return Ok(Err(call)),
    };
    let mut intervals = true;
    for value in &call.args {
        intervals &= matches!(value.get_type(schema)?, INTERVAL | DataType::Null);
    }
    if !intervals || call.args.iter().all(|value| value.get_type(schema).is_ok_and(|t| t == DataType::Null)) {
        return Ok(Err(call));
    }
    if call.args.len() > EXTREMES_MAX {
        let message = format!("greatest and least of more than {EXTREMES_MAX} intervals are not supported");
        return Err(external(Error::new(ErrorCode::FeatureNotSupported, message)));
    }
    // Each further value writes what stands before it twice.
    let copied = |(at, value): (usize, &Expr)| Ok(null_if::cases(value)? << (call.args.len() - at.max(1)));
    let within: usize = call.args.iter().enumerate().map(copied).sum::<Result<usize>>()?;
    if within > null_if::CASES_MAX {
        let message = "GREATEST or LEAST is nested too deeply, or of values that are too complex";
        return Err(null_if::nested_too_deeply(message));
    }
    let mut values = call.args.into_iter();
    let Some(first) = values.next() else { return exec_err!("greatest and least have a value") };
    let chosen = values.try_fold(first, |best, next| {
        let of = |value: &Expr| FUNCTION.call(vec![value.clone()]);
        let keeps = Expr::BinaryExpr(BinaryExpr::new(Box::new(of(&best)), op, Box::new(of(&next))));
        when(next.clone().is_null().or(keeps), best).otherwise(next)
    })?;
    Ok(Ok(chosen))
}

/// Each further value doubles what is written.
const EXTREMES_MAX: usize = 6;

#[derive(Debug, PartialEq, Eq, Hash)]
struct Length {
    signature: Signature,
}

impl ScalarUDFImpl for Length {
    fn name(&self) -> &'static str {
        "interval_length"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(LENGTH)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        let is_scalar = matches!(args.args.as_slice(), [ColumnarValue::Scalar(_)]);
        let [intervals] =
            ColumnarValue::values_to_arrays(&args.args)?.try_into().or_else(|_| exec_err!("one interval"))?;
        if *intervals.data_type() != INTERVAL {
            return exec_err!("an interval was expected");
        }
        let lengths = lengths(&intervals);
        if is_scalar {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&lengths, 0)?));
        }
        Ok(ColumnarValue::Array(lengths))
    }
}

/// An interval's length.
pub(crate) fn as_length(interval: Expr) -> Expr {
    FUNCTION.call(vec![interval])
}

/// The lengths of a column of intervals.
pub(crate) fn lengths(intervals: &ArrayRef) -> ArrayRef {
    Arc::new(
        intervals.as_primitive::<IntervalMonthDayNanoType>().unary::<_, Decimal128Type>(length).with_data_type(LENGTH),
    )
}

/// Nanoseconds.
pub(crate) fn length(interval: IntervalMonthDayNano) -> i128 {
    i128::from(interval.months) * MONTH_NANOSECONDS
        + i128::from(interval.days) * DAY_NANOSECONDS
        + i128::from(interval.nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_thirty_days_and_a_day_is_24_hours() {
        let interval =
            |months, days, hours: i64| length(IntervalMonthDayNano::new(months, days, hours * 3_600_000_000_000));
        assert_eq!(interval(1, 0, 0), interval(0, 30, 0));
        assert_eq!(interval(0, 1, 0), interval(0, 0, 24));
        assert!(interval(0, 0, 36) > interval(0, 1, 0));
        assert!(interval(1, 0, 0) < interval(0, 40, 0));
        assert!(interval(0, -1, 0) < interval(0, 0, -23));
        assert_eq!(interval(i32::MAX, i32::MAX, 0) + interval(i32::MIN, i32::MIN, 0), interval(-1, -1, 0));
    }
}
