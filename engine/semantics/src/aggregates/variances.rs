//! Variances and standard deviations by Youngs and Cramer's sums, as PostgreSQL adds them up: an infinity or a NaN among the values
//! makes the result NaN, and no frame of a window has a variance below zero.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, UInt64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::functions_aggregate::stddev::{stddev_pop_udaf, stddev_udaf};
use datafusion::functions_aggregate::variance::{var_pop_udaf, var_samp_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};
use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

/// The functions to register in place of DataFusion's, by their names and aliases.
pub(crate) fn functions() -> Vec<Arc<AggregateUDF>> {
    static FUNCTIONS: LazyLock<Vec<Arc<AggregateUDF>>> = LazyLock::new(|| {
        [
            (var_pop_udaf(), false, false),
            (var_samp_udaf(), true, false),
            (stddev_pop_udaf(), false, true),
            (stddev_udaf(), true, true),
        ]
        .map(|(replaced, sample, root)| {
            let result = Statistic { sample, root };
            Arc::new(AggregateUDF::new_from_impl(VarianceFunction { replaced, result }))
        })
        .to_vec()
    });
    FUNCTIONS.clone()
}

/// What is made of the sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Statistic {
    /// Of a sample: divided by one less than the number of values.
    sample: bool,
    /// The deviation: the variance's square root.
    root: bool,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct VarianceFunction {
    /// DataFusion's function of the same name: it says what it takes, and adds up distinct values.
    replaced: Arc<AggregateUDF>,
    result: Statistic,
}

impl AggregateUDFImpl for VarianceFunction {
    fn name(&self) -> &str {
        self.replaced.name()
    }

    fn aliases(&self) -> &[String] {
        self.replaced.aliases()
    }

    fn signature(&self) -> &Signature {
        self.replaced.signature()
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.replaced.coerce_types(arguments)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if args.is_distinct {
            return self.replaced.state_fields(args);
        }
        let field = |name: &str, data_type| Arc::new(Field::new(format_state_name(args.name, name), data_type, true));
        Ok(vec![field("count", DataType::UInt64), field("sum", DataType::Float64), field("squares", DataType::Float64)])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return self.replaced.accumulator(args);
        }
        Ok(Box::new(RowSums { sums: Sums::default(), result: self.result }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(GroupSums { groups: Vec::new(), result: self.result }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return self.replaced.create_sliding_accumulator(args);
        }
        Ok(Box::new(FrameValues { values: VecDeque::new(), result: self.result }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// The number of values, their sum, and the sum of squares of their distances from the mean.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    count: u64,
    sum: f64,
    squares: f64,
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows")]
impl Sums {
    fn add(&mut self, value: f64) {
        let before = self.count as f64;
        self.count += 1;
        self.sum += value;
        if before > 0.0 {
            let count = before + 1.0;
            let distance = value * count - self.sum;
            self.squares += distance * distance / (count * before);
        }
        // Of a single value no distance was computed, which would be NaN.
        if !self.sum.is_finite() {
            self.squares = f64::NAN;
        }
    }

    fn merge(&mut self, other: Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other;
            return;
        }
        let (own, others) = (self.count as f64, other.count as f64);
        let distance = self.sum / own - other.sum / others;
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares + own * others * distance * distance / (own + others);
    }

    fn result(&self, of: Statistic) -> Option<f64> {
        let divisor = self.count.checked_sub(u64::from(of.sample)).filter(|divisor| *divisor > 0)?;
        let variance = self.squares / divisor as f64;
        Some(if of.root { variance.sqrt() } else { variance })
    }
}

fn only(values: &[ArrayRef]) -> Result<&Float64Array> {
    let [values] = values else { return exec_err!("a variance has one argument") };
    Ok(values.as_primitive::<Float64Type>())
}

/// The sums in the columns of a state.
fn states(columns: &[ArrayRef]) -> Result<impl Iterator<Item = Option<Sums>>> {
    let [counts, sums, squares] = columns else { return exec_err!("a state has three columns") };
    let counts = counts.as_primitive::<UInt64Type>().iter();
    let sums = sums.as_primitive::<Float64Type>().iter().zip(squares.as_primitive::<Float64Type>().iter());
    Ok(counts.zip(sums).map(|(count, (sum, squares))| Some(Sums { count: count?, sum: sum?, squares: squares? })))
}

/// Of all rows.
#[derive(Debug)]
struct RowSums {
    sums: Sums,
    result: Statistic,
}

impl Accumulator for RowSums {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        only(values)?.iter().flatten().for_each(|value| self.sums.add(value));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.sums.result(self.result)))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let Sums { count, sum, squares } = self.sums;
        Ok(vec![count.into(), sum.into(), squares.into()])
    }

    fn merge_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        states(columns)?.flatten().for_each(|state| self.sums.merge(state));
        Ok(())
    }
}

/// Of a frame that moves. What leaves it cannot be taken off the sums again: where a large value leaves, what is left would be
/// its rounding error. So each row's frame is added up from its beginning, as PostgreSQL does.
#[derive(Debug)]
struct FrameValues {
    values: VecDeque<f64>,
    result: Statistic,
}

impl FrameValues {
    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        self.values.iter().for_each(|value| sums.add(*value));
        sums
    }
}

impl Accumulator for FrameValues {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.extend(only(values)?.iter().flatten());
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = only(values)?;
        self.values.drain(..(values.len() - values.null_count()).min(self.values.len()));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.sums().result(self.result)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let Sums { count, sum, squares } = self.sums();
        Ok(vec![count.into(), sum.into(), squares.into()])
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        exec_err!("the frame of a window is not added up in parts")
    }
}

/// Of the rows of each group.
#[derive(Debug)]
struct GroupSums {
    groups: Vec<Sums>,
    result: Statistic,
}

impl GroupsAccumulator for GroupSums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        passes: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.groups.resize(count, Sums::default());
        for (row, (value, group)) in only(values)?.iter().zip(groups).enumerate() {
            let passes = passes.is_none_or(|passes| passes.is_valid(row) && passes.value(row));
            if let Some(value) = value.filter(|_| passes) {
                self.groups[*group].add(value);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, columns: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.groups.resize(count, Sums::default());
        for (state, group) in states(columns)?.zip(groups) {
            if let Some(state) = state {
                self.groups[*group].merge(state);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = emit_to.take_needed(&mut self.groups);
        Ok(Arc::new(groups.iter().map(|sums| sums.result(self.result)).collect::<Float64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = emit_to.take_needed(&mut self.groups);
        Ok(vec![
            Arc::new(UInt64Array::from_iter_values(groups.iter().map(|sums| sums.count))),
            Arc::new(Float64Array::from_iter_values(groups.iter().map(|sums| sums.sum))),
            Arc::new(Float64Array::from_iter_values(groups.iter().map(|sums| sums.squares))),
        ])
    }

    fn convert_to_state(&self, values: &[ArrayRef], passes: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |values| values.len());
        let mut each = Self { groups: Vec::new(), result: self.result };
        each.update_batch(values, &(0..rows).collect::<Vec<_>>(), passes, rows)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.groups.capacity() * size_of::<Sums>()
    }
}
