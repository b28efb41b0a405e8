//! `sum` with Postgres' types: smallint and integer add up to bigint, bigint to numeric, real to real. Anything but whole numbers,
//! reals and decimals is DataFusion's.

mod addend;
mod distinct;
mod groups;
mod real;
mod total;

use super::averages::{span_state, span_sum, span_sums};
use super::frame_sums::{self, FrameSum, Of};
use super::plain_nan;
use addend::{Addend, Amount};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Int32Type, Int64Type, IntervalUnit,
};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};
use real::Reals;
use std::hash::Hash;
use std::sync::{Arc, LazyLock};

/// The function to register in place of DataFusion's.
pub(crate) fn function() -> Arc<AggregateUDF> {
    static FUNCTION: LazyLock<Arc<AggregateUDF>> =
        LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(Sum::new(false))));
    Arc::clone(&FUNCTION)
}

/// The function for sums of integers in analyzed plans. It adds its own partial sums up to its own type: the optimizer
/// sums sums when it takes DISTINCT apart.
pub(crate) fn of_integers() -> Arc<AggregateUDF> {
    static FUNCTION: LazyLock<Arc<AggregateUDF>> =
        LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(Sum::new(true))));
    Arc::clone(&FUNCTION)
}

/// Whether the function is the registered one.
pub(crate) fn is_sum(function: &AggregateUDF) -> bool {
    *function == *self::function()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    signature: Signature,
    /// Whether bigint adds up to bigint.
    narrow: bool,
}

/// How an argument of a type is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    IntegerToBigint,
    BigintToBigint,
    BigintToNumeric,
    Decimal,
    Interval,
    Real,
    BuiltIn,
}

impl Sum {
    fn new(narrow: bool) -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable), narrow }
    }

    fn way(&self, argument: &DataType) -> Way {
        match argument {
            DataType::Int32 => Way::IntegerToBigint,
            DataType::Int64 if self.narrow => Way::BigintToBigint,
            DataType::Int64 => Way::BigintToNumeric,
            DataType::Decimal128(..) => Way::Decimal,
            DataType::Interval(IntervalUnit::MonthDayNano) => Way::Interval,
            DataType::Float32 => Way::Real,
            _ => Way::BuiltIn,
        }
    }

    fn way_of(&self, fields: &[FieldRef]) -> Result<Way> {
        match fields.first() {
            Some(field) => Ok(self.way(field.data_type())),
            None => internal_err!("sum has one argument"),
        }
    }
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [argument] = arguments else { return plan_err!("sum has one argument, not {}", arguments.len()) };
        Ok(vec![coerced(argument)?])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let [argument] = arguments else { return plan_err!("sum has one argument, not {}", arguments.len()) };
        match self.way(argument) {
            Way::IntegerToBigint | Way::BigintToBigint => Ok(DataType::Int64),
            Way::BigintToNumeric => Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0)),
            Way::Real => Ok(DataType::Float32),
            Way::Decimal | Way::Interval | Way::BuiltIn => sum_udaf().inner().return_type(arguments),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        match self.way_of(args.input_fields)? {
            Way::BuiltIn => return sum_udaf().inner().state_fields(args),
            Way::Real => {
                let (input_fields, return_field) = ([real::double()], real::double());
                let args = StateFieldsArgs { input_fields: &input_fields, return_field, ..args };
                return sum_udaf().inner().state_fields(args);
            }
            Way::Interval if !args.is_distinct => return Ok(span_state(args.name)),
            Way::IntegerToBigint | Way::BigintToBigint | Way::BigintToNumeric | Way::Decimal | Way::Interval => {}
        }
        if args.is_distinct {
            let item = Field::new_list_field(args.input_fields[0].data_type().clone(), true);
            return Ok(vec![Arc::new(Field::new_list(format_state_name(args.name, "sum distinct"), item, false))]);
        }
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sum"), args.return_type().clone(), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match self.way_of(args.expr_fields)? {
            Way::IntegerToBigint => Ok(accumulator::<Int32Type, Int64Type>(&args)),
            Way::BigintToBigint => Ok(accumulator::<Int64Type, Int64Type>(&args)),
            Way::BigintToNumeric => Ok(accumulator::<Int64Type, Decimal128Type>(&args)),
            Way::Decimal => Ok(accumulator::<Decimal128Type, Decimal128Type>(&args)),
            Way::Interval if args.is_distinct => {
                Err(crate::fault::unsupported("sum(DISTINCT …) of intervals is not supported"))
            }
            Way::Interval => Ok(span_sum()),
            Way::Real => {
                let fields = [real::double()];
                let doubles = sum_udaf().inner().accumulator(real::over_doubles(args, &fields))?;
                Ok(Box::new(Reals::new(plain_nan::of_one(doubles))))
            }
            Way::BuiltIn => sum_udaf().inner().accumulator(args).map(plain_nan::of_one),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct && !matches!(self.way_of(args.expr_fields), Ok(Way::Real))
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let returned = args.return_field.data_type().clone();
        match self.way_of(args.expr_fields)? {
            Way::IntegerToBigint => Ok(Box::new(groups::Totals::<Int32Type, Int64Type>::new(returned))),
            Way::BigintToBigint => Ok(Box::new(groups::Totals::<Int64Type, Int64Type>::new(returned))),
            Way::BigintToNumeric => Ok(Box::new(groups::Totals::<Int64Type, Decimal128Type>::new(returned))),
            Way::Interval => Ok(span_sums()),
            Way::Decimal => Ok(Box::new(groups::Totals::<Decimal128Type, Decimal128Type>::new(returned))),
            Way::Real => internal_err!("reals are added up group by group"),
            Way::BuiltIn => sum_udaf().inner().create_groups_accumulator(args).map(plain_nan::of_groups),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match self.way_of(args.expr_fields)? {
            Way::IntegerToBigint | Way::BigintToBigint | Way::BigintToNumeric | Way::Decimal | Way::Interval => {
                self.accumulator(args)
            }
            Way::Real if args.is_distinct => self.accumulator(args),
            Way::Real => Ok(Box::new(Reals::new(Box::new(FrameSum::new(Of::Sum))))),
            Way::BuiltIn if frame_sums::is_one(&args) => Ok(Box::new(FrameSum::new(Of::Sum))),
            Way::BuiltIn => sum_udaf().inner().create_sliding_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn accumulator<I, O>(args: &AccumulatorArgs) -> Box<dyn Accumulator>
where
    I: Addend<O>,
    I::Native: Hash + Eq,
    O: Amount,
{
    let returned = args.return_field.data_type().clone();
    if args.is_distinct {
        Box::new(distinct::Distinct::<I, O>::new(args.expr_fields[0].data_type().clone(), returned))
    } else {
        Box::new(total::Total::<I, O>::new(returned))
    }
}

fn coerced(argument: &DataType) -> Result<DataType> {
    Ok(match argument {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::Int64 | DataType::Null => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float32 => DataType::Float32,
        DataType::Float16 | DataType::Float64 => DataType::Float64,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Duration(_) | DataType::Interval(_) => {
            argument.clone()
        }
        DataType::Dictionary(_, values) => coerced(values)?,
        DataType::RunEndEncoded(_, values) => coerced(values.data_type())?,
        other => return plan_err!("No function matches the given name and argument types 'sum({other})'"),
    })
}
