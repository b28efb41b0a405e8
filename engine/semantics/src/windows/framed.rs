//! Aggregates as window functions whose results hold what is in their frame, or take time with it: over a frame that grows with the
//! rows both are squares. And those that give many rows one long value, or look for one in each row's frame. Each row's result is charged to the statement's memory, and
//! before each it is asked whether the statement is over. What they mean stays.

use super::replaced;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunctionParams, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ExprSchemable, ReversedUDAF, SetMonotonicity, Signature,
    WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, SlidingAggregateWindowExpr, WindowExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use querygate_resources::{CHARGE_LEAST, charge, proceed};
use std::sync::Arc;

const FRAMED: &[&str] = &[
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "array_agg",
    "median",
    "percentile_cont",
    "string_agg",
];

/// Those that give one of the values that they see.
const CHOOSING: &[&str] = &["any_value", "first_value", "last_value", "max", "min", "nth_value"];

/// Those that look through each frame: over millions of rows they take seconds, whatever they give.
const LOOKING: &[&str] = &["max", "min", "stddev", "stddev_pop", "var", "var_pop"];

/// Rows between two questions whether the statement is over, where a row's result takes no time to speak of.
const ROWS_UNASKED: usize = 256;

/// Puts one around a window function that is such an aggregate.
pub(crate) fn charged(mut window: Box<WindowFunction>, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let WindowFunctionDefinition::AggregateUDF(inner) = &window.fun else {
        return Ok(Transformed::no(Expr::WindowFunction(window)));
    };
    let chosen = window.params.args.first().filter(|_| CHOOSING.contains(&inner.name()));
    let whole = is_whole(&window.params);
    let long = match chosen {
        Some(argument) => is_long(&argument.get_type(schema)?),
        None => FRAMED.contains(&inner.name()),
    };
    let looks = !whole && (LOOKING.contains(&inner.name()) || adds(&window.params, inner.name(), schema)?);
    if !(long || looks || window.params.distinct) || inner.inner().is::<Framed>() {
        return Ok(Transformed::no(Expr::WindowFunction(window)));
    }
    let unasked = if long || window.params.distinct { 1 } else { ROWS_UNASKED };
    let framed = Framed { inner: Arc::clone(inner), whole, unasked };
    window.fun = WindowFunctionDefinition::AggregateUDF(Arc::new(AggregateUDF::new_from_impl(framed)));
    Ok(Transformed::yes(Expr::WindowFunction(window)))
}

/// Whether doubles of each frame are added up anew.
fn adds(params: &WindowFunctionParams, name: &str, schema: &DFSchema) -> Result<bool> {
    match params.args.as_slice() {
        [value] if matches!(name, "sum" | "avg") && !params.window_frame.start_bound.is_unbounded() => {
            Ok(value.get_type(schema)?.is_floating())
        }
        _ => Ok(false),
    }
}

/// Whether values of a type may be of any length.
pub(super) fn is_long(of: &DataType) -> bool {
    of.primitive_width().is_none() && !matches!(of, DataType::Null | DataType::Boolean)
}

/// Whether each row's frame is all of its partition: then there is one result, which each row gets.
fn is_whole(params: &WindowFunctionParams) -> bool {
    let frame = &params.window_frame;
    let is_end = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => frame.units == WindowFrameUnits::Range && params.order_by.is_empty(),
        WindowFrameBound::Preceding(_) | WindowFrameBound::Following(_) => bound.is_unbounded(),
    };
    is_end(&frame.start_bound) && is_end(&frame.end_bound)
}

/// Whether an operator computes one of them.
pub fn frames(node: &Arc<dyn ExecutionPlan>) -> bool {
    let expressions = match (node.downcast_ref::<WindowAggExec>(), node.downcast_ref::<BoundedWindowAggExec>()) {
        (Some(window), _) => window.window_expr(),
        (None, Some(window)) => window.window_expr(),
        (None, None) => return false,
    };
    expressions.iter().any(|window| is_framed(window) || replaced::charges(window))
}

fn is_framed(window: &Arc<dyn WindowExpr>) -> bool {
    let plain = window.as_any().downcast_ref::<PlainAggregateWindowExpr>();
    let sliding = window.as_any().downcast_ref::<SlidingAggregateWindowExpr>();
    let aggregate = plain.map(PlainAggregateWindowExpr::get_aggregate_expr);
    let aggregate = aggregate.or_else(|| sliding.map(SlidingAggregateWindowExpr::get_aggregate_expr));
    aggregate.is_some_and(|aggregate| aggregate.fun().inner().is::<Framed>())
}

/// An aggregate that charges for its results.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Framed {
    inner: Arc<AggregateUDF>,
    whole: bool,
    /// Rows between two questions.
    unasked: usize,
}

impl Framed {
    fn around(&self, accumulator: Box<dyn Accumulator>) -> Box<dyn Accumulator> {
        Box::new(Charging {
            inner: accumulator,
            whole: self.whole,
            unasked: self.unasked,
            rows: 0,
            told: 0,
            uncharged: Uncharged::default(),
        })
    }

    fn same(&self, inner: AggregateUDF) -> Self {
        Self { inner: Arc::new(inner), whole: self.whole, unasked: self.unasked }
    }
}

impl AggregateUDFImpl for Framed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.inner.schema_name(params)
    }

    fn human_display(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.inner.human_display(params)
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_schema_name(params)
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.inner.display_name(params)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_display_name(params)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(self.around(self.inner.accumulator(args)?))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(self.around(self.inner.create_sliding_accumulator(args)?))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn with_beneficial_ordering(self: Arc<Self>, beneficial: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let inner = AggregateUDF::clone(&self.inner).with_beneficial_ordering(beneficial)?;
        Ok(inner.map(|inner| Arc::new(self.same(inner)) as Arc<dyn AggregateUDFImpl>))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        match self.inner.reverse_udf() {
            ReversedUDAF::Identical => ReversedUDAF::Identical,
            ReversedUDAF::NotSupported => ReversedUDAF::NotSupported,
            ReversedUDAF::Reversed(inner) => {
                let same = self.same(AggregateUDF::clone(&inner));
                ReversedUDAF::Reversed(Arc::new(AggregateUDF::new_from_impl(same)))
            }
        }
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.inner.supports_within_group_clause()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }
}

#[derive(Debug)]
struct Charging {
    inner: Box<dyn Accumulator>,
    whole: bool,
    unasked: usize,
    /// Rows that it was given.
    rows: usize,
    /// Results that it gave.
    told: usize,
    uncharged: Uncharged,
}

/// Bytes of results that are not worth a charge yet.
#[derive(Debug, Default)]
pub(crate) struct Uncharged(usize);

impl Uncharged {
    /// A result that so many rows get. What is of a fixed length is no longer than the rows themselves.
    pub(crate) fn add(&mut self, value: &ScalarValue, rows: usize) -> Result<()> {
        if !is_long(&value.data_type()) {
            return Ok(());
        }
        self.0 = self.0.saturating_add(size(value).saturating_mul(rows));
        if self.0 >= CHARGE_LEAST {
            charge(std::mem::take(&mut self.0))?;
        }
        Ok(())
    }
}

/// Bytes of a result as a value and in its column.
fn size(value: &ScalarValue) -> usize {
    let bytes = match value {
        ScalarValue::List(list) => list.to_data().get_slice_memory_size().unwrap_or_else(|_| value.size()),
        other => other.size(),
    };
    bytes.saturating_mul(2)
}

impl Accumulator for Charging {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.rows = self.rows.saturating_add(values.first().map_or(0, |values| values.len()));
        self.inner.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.told.is_multiple_of(self.unasked) {
            proceed()?;
        }
        self.told = self.told.wrapping_add(1);
        let value = self.inner.evaluate()?;
        self.uncharged.add(&value, if self.whole { self.rows.max(1) } else { 1 })?;
        Ok(value)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}
