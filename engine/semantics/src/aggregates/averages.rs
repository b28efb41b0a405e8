//! `avg` of intervals, which DataFusion does not have, and their `sum`, which it lets overflow; of whole numbers only its type, until it
//! is bound; of everything else `avg` is DataFusion's.

use super::frame_sums::{self, FrameSum, Of};
use super::plain_nan;
use crate::casts::conversions::TYPE_MODIFIER_KEY;
use crate::functions::{of_arrow, scaled, to_arrow};
use crate::times::datetime::Wrong;
use crate::times::datetime::interval::Interval;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, PrimitiveArray};
use arrow::datatypes::{
    DataType, Field, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Coercion, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
    TypeSignature, TypeSignatureClass, Volatility,
};
use std::sync::{Arc, LazyLock};

/// The type of an average of whole numbers until binding takes it apart into sum and count: that of a cast to `numeric`.
const UNSETTLED: DataType = DataType::Decimal128(38, 10);

const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// The function to register in place of DataFusion's.
pub(crate) fn function() -> Arc<AggregateUDF> {
    static FUNCTION: LazyLock<Arc<AggregateUDF>> =
        LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(Average::new())));
    Arc::clone(&FUNCTION)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Average {
    signature: Signature,
}

impl Average {
    fn new() -> Self {
        let known = avg_udaf().signature().type_signature.clone();
        let span = TypeSignature::Coercible(vec![Coercion::new_exact(TypeSignatureClass::Interval)]);
        // Whole numbers stay what they are: of doubles the average would be one.
        let whole = TypeSignature::Coercible(vec![Coercion::new_exact(TypeSignatureClass::Integer)]);
        let forms = vec![whole, known, span];
        Self { signature: Signature::one_of(forms, Volatility::Immutable) }
    }
}

fn is_span(fields: &[FieldRef]) -> bool {
    fields.first().is_some_and(|field| field.data_type() == &SPAN)
}

impl AggregateUDFImpl for Average {
    fn name(&self) -> &'static str {
        "avg"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [SPAN] => Ok(SPAN),
            [whole] if whole.is_integer() => Ok(UNSETTLED),
            _ => avg_udaf().inner().return_type(arguments),
        }
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        let types: Vec<DataType> = fields.iter().map(|field| field.data_type().clone()).collect();
        let field = Field::new(self.name(), self.return_type(&types)?, true);
        let unsettled = matches!(&types[..], [whole] if whole.is_integer());
        let metadata = unsettled.then(|| (TYPE_MODIFIER_KEY.to_owned(), "any".to_owned()));
        Ok(Arc::new(field.with_metadata(metadata.into_iter().collect())))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if !is_span(args.input_fields) {
            return avg_udaf().inner().state_fields(args);
        }
        Ok(span_state(args.name))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if !is_span(args.expr_fields) {
            return avg_udaf().inner().accumulator(args).map(plain_nan::of_one);
        }
        if args.is_distinct {
            return Err(crate::fault::unsupported("avg(DISTINCT …) of intervals is not supported"));
        }
        Ok(Box::new(Mean::default()))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        if is_span(args.expr_fields) {
            !args.is_distinct
        } else {
            avg_udaf().inner().groups_accumulator_supported(args)
        }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        if is_span(args.expr_fields) {
            return Ok(Box::new(Means::default()));
        }
        avg_udaf().inner().create_groups_accumulator(args).map(plain_nan::of_groups)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if is_span(args.expr_fields) {
            return self.accumulator(args);
        }
        if frame_sums::is_one(&args) {
            return Ok(Box::new(FrameSum::new(Of::Mean)));
        }
        avg_udaf().inner().create_sliding_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// What is kept of intervals on the way to their sum or average.
pub(crate) fn span_state(name: &str) -> Vec<FieldRef> {
    vec![
        Arc::new(Field::new(format_state_name(name, "count"), DataType::Int64, true)),
        Arc::new(Field::new(format_state_name(name, "sum"), SPAN, true)),
    ]
}

/// The sum of intervals.
pub(crate) fn span_sum() -> Box<dyn Accumulator> {
    Box::new(Mean { is_sum: true, ..Mean::default() })
}

/// The sums of many groups of intervals.
pub(crate) fn span_sums() -> Box<dyn GroupsAccumulator> {
    Box::new(Means { is_sum: true, ..Means::default() })
}

/// Sum and count of a group's intervals.
#[derive(Debug, Default, Clone)]
struct Mean {
    count: i64,
    sum: Interval,
    /// Whether the sum is what is wanted.
    is_sum: bool,
}

impl Mean {
    fn add(&mut self, value: Interval, sign: i64) -> Result<()> {
        self.sum.months += sign * value.months;
        self.sum.days += sign * value.days;
        self.sum.micros = self.sum.micros.checked_add(sign * value.micros).ok_or_else(out_of_range)?;
        self.count += sign;
        Ok(())
    }

    fn change(&mut self, spans: &ArrayRef, sign: i64) -> Result<()> {
        let mut values = spans.as_primitive::<IntervalMonthDayNanoType>().iter().flatten();
        values.try_for_each(|value| self.add(of_arrow(value), sign))
    }

    fn total(&self) -> Result<IntervalMonthDayNano> {
        to_arrow(self.sum).ok_or_else(out_of_range)
    }

    fn mean(&self) -> Result<Option<IntervalMonthDayNano>> {
        if self.count == 0 {
            return Ok(None);
        }
        if self.is_sum {
            return self.total().map(Some);
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
        let count = self.count as f64;
        let mean = scaled(self.sum, |part| part / count)?;
        to_arrow(mean).ok_or_else(out_of_range).map(Some)
    }
}

/// The means of many groups, or their sums.
#[derive(Debug, Default)]
struct Means {
    groups: Vec<Mean>,
    is_sum: bool,
}

impl Means {
    fn resize(&mut self, count: usize) {
        self.groups.resize(count, Mean { is_sum: self.is_sum, ..Mean::default() });
    }
}

impl GroupsAccumulator for Means {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        passes: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.resize(count);
        let [spans] = values else { return exec_err!("an aggregate of intervals has one argument") };
        for (row, (value, group)) in spans.as_primitive::<IntervalMonthDayNanoType>().iter().zip(groups).enumerate() {
            let passes = passes.is_none_or(|passes| passes.is_valid(row) && passes.value(row));
            if let Some(value) = value.filter(|_| passes) {
                self.groups[*group].add(of_arrow(value), 1)?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.resize(count);
        let [counts, sums] = states else { return exec_err!("a state has two columns") };
        let counts = counts.as_primitive::<Int64Type>().iter();
        let sums = sums.as_primitive::<IntervalMonthDayNanoType>().iter();
        for ((count, sum), group) in counts.zip(sums).zip(groups) {
            let (Some(count), Some(sum)) = (count, sum) else { continue };
            let mean = &mut self.groups[*group];
            let before = mean.count;
            mean.add(of_arrow(sum), 1)?;
            mean.count = before + count;
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let means = emit_to.take_needed(&mut self.groups);
        let means = means.iter().map(Mean::mean).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(PrimitiveArray::<IntervalMonthDayNanoType>::from_iter(means)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let means = emit_to.take_needed(&mut self.groups);
        let sums = means.iter().map(Mean::total).collect::<Result<Vec<_>>>()?;
        let counts = means.iter().map(|mean| mean.count);
        Ok(vec![
            Arc::new(Int64Array::from_iter_values(counts)),
            Arc::new(PrimitiveArray::<IntervalMonthDayNanoType>::from_iter_values(sums)),
        ])
    }

    fn convert_to_state(&self, values: &[ArrayRef], passes: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |values| values.len());
        let mut each = Self::default();
        each.update_batch(values, &(0..rows).collect::<Vec<_>>(), passes, rows)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.groups.capacity() * size_of::<Mean>()
    }
}

fn out_of_range() -> DataFusionError {
    Wrong::Range.error("interval")
}

impl Accumulator for Mean {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values.first().map_or(Ok(()), |values| self.change(values, 1))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values.first().map_or(Ok(()), |values| self.change(values, -1))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::IntervalMonthDayNano(self.mean()?))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(Some(self.count)), ScalarValue::IntervalMonthDayNano(Some(self.total()?))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [counts, sums] = states else { return exec_err!("a state has two columns") };
        let before = self.count;
        self.change(sums, 1)?;
        self.count = before + counts.as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        Ok(())
    }
}
