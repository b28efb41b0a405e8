//! The greatest and the least float of each group. The engine's begins with the greatest finite number, which an infinity does not beat,
//! and takes NaN for greater and for less than all others, as rows come. To PostgreSQL NaN is the greatest.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, PrimitiveBuilder};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};
use std::sync::{Arc, LazyLock};

/// What stands for the engine's `max` or `min` where its argument is a float. `None`: it is another function.
pub(crate) fn of_floats(function: &AggregateUDF) -> Option<Arc<AggregateUDF>> {
    static GREATEST: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| Extreme::function(max_udaf(), true));
    static LEAST: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| Extreme::function(min_udaf(), false));
    if *function == *max_udaf() {
        Some(Arc::clone(&GREATEST))
    } else if *function == *min_udaf() {
        Some(Arc::clone(&LEAST))
    } else {
        None
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    inner: Arc<AggregateUDF>,
    is_max: bool,
}

impl Extreme {
    fn function(inner: Arc<AggregateUDF>, is_max: bool) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::new_from_impl(Self { inner, is_max }))
    }
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        args.return_field.data_type().is_floating() || self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let data_type = args.return_field.data_type().clone();
        match data_type {
            DataType::Float64 => Ok(Box::new(Groups::<Float64Type>::new(self.is_max))),
            DataType::Float32 => Ok(Box::new(Groups::<Float32Type>::new(self.is_max))),
            _ => self.inner.create_groups_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// The extreme of each group so far; none of a group without a value.
#[derive(Debug)]
struct Groups<T: ArrowPrimitiveType> {
    extremes: Vec<Option<T::Native>>,
    is_max: bool,
}

impl<T: ArrowPrimitiveType> Groups<T>
where
    T::Native: Into<f64>,
{
    fn new(is_max: bool) -> Self {
        Self { extremes: Vec::new(), is_max }
    }

    fn take_in(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        passes: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        let Some(values) = values.first().and_then(|values| values.as_primitive_opt::<T>()) else {
            return exec_err!("floats were expected");
        };
        self.extremes.resize(count, None);
        let is_max = self.is_max;
        let beats = |new: T::Native, old: T::Native| {
            let (new, old): (f64, f64) = (new.into(), old.into());
            if is_max { is_less(old, new) } else { is_less(new, old) }
        };
        for (row, (value, group)) in values.iter().zip(groups).enumerate() {
            let passes = passes.is_none_or(|passes| passes.is_valid(row) && passes.value(row));
            let Some(value) = value.filter(|_| passes) else { continue };
            let own = &mut self.extremes[*group];
            if own.is_none_or(|old| beats(value, old)) {
                *own = Some(value);
            }
        }
        Ok(())
    }

    fn taken(&mut self, emit_to: EmitTo) -> PrimitiveArray<T> {
        let extremes = emit_to.take_needed(&mut self.extremes);
        let mut array = PrimitiveBuilder::<T>::with_capacity(extremes.len());
        extremes.into_iter().for_each(|extreme| array.append_option(extreme));
        array.finish()
    }
}

/// NaN is greater than all, and as great as NaN.
fn is_less(one: f64, other: f64) -> bool {
    one < other || (!one.is_nan() && other.is_nan())
}

impl<T: ArrowPrimitiveType> GroupsAccumulator for Groups<T>
where
    T::Native: Into<f64>,
{
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        passes: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.take_in(values, groups, passes, count)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.take_in(states, groups, None, count)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(self.taken(emit_to)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(self.taken(emit_to))])
    }

    fn convert_to_state(&self, values: &[ArrayRef], passes: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |values| values.len());
        let mut each = Self::new(self.is_max);
        each.take_in(values, &(0..rows).collect::<Vec<_>>(), passes, rows)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.extremes.capacity() * size_of::<Option<T::Native>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Float64Array;

    #[test]
    fn nan_is_the_greatest_and_infinities_are_found() {
        let (nan, infinite) = (f64::NAN, f64::INFINITY);
        let values: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(nan), Some(1.0), Some(-infinite), Some(infinite), None, Some(nan)]));
        let groups = [0, 0, 1, 2, 3, 4];
        for (is_max, expected) in [
            (true, [Some(nan), Some(-infinite), Some(infinite), None, Some(nan)]),
            (false, [Some(1.0), Some(-infinite), Some(infinite), None, Some(nan)]),
        ] {
            let mut found = Groups::<Float64Type>::new(is_max);
            found.update_batch(&[Arc::clone(&values)], &groups, None, 5).unwrap();
            let expected = Float64Array::from(expected.to_vec());
            assert_eq!(format!("{:?}", found.evaluate(EmitTo::All).unwrap()), format!("{:?}", Arc::new(expected)));
        }
    }
}
