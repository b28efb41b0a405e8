//! Window functions whose frames leave rows out: `EXCLUDE CURRENT ROW`, `GROUP` and `TIES`. The engine's frames have no such clause, so each
//! function is one of its own name for each of them, which computes every row's result from what is left of its frame.

use super::framed::Uncharged;
use crate::aggregates::{averages, sum};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::partition;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::functions_aggregate as aggregates;
use datafusion::logical_expr::function::{AccumulatorArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, LimitEffect, PartitionEvaluator, Signature, TypeSignature, Volatility, WindowUDF,
    WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;
use querygate_resources::proceed;
use querygate_types::{Error, ErrorCode};
use std::ops::Range;
use std::sync::Arc;

/// The clauses, as they are marked and as functions are named after them.
pub const CLAUSES: [&str; 3] = ["exclude current row", "exclude group", "exclude ties"];

/// A frame that leaves no row out, for `nth_value` whose number differs from row to row: the engine's wants a constant.
pub const NO_OTHERS: &str = "exclude no others";

/// The functions whose result depends on a frame and that are known with one that leaves rows out.
pub const FRAMED: [&str; 10] =
    ["avg", "bool_and", "bool_or", "count", "first_value", "last_value", "max", "min", "nth_value", "sum"];

/// The name of a function over a frame that leaves rows out.
pub fn name(function: &str, clause: &str) -> String {
    format!("{function} {clause}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Excluded {
    CurrentRow,
    Group,
    Ties,
    NoOthers,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What {
    Aggregate(Arc<AggregateUDF>),
    First,
    Last,
    Nth,
}

/// All of them.
pub(crate) fn functions() -> Vec<Arc<WindowUDF>> {
    let kinds = [Excluded::CurrentRow, Excluded::Group, Excluded::Ties];
    let all = FRAMED.iter().filter_map(|function| Some((*function, what(function)?)));
    let all = all.flat_map(|(function, what)| {
        kinds.iter().zip(CLAUSES).map(move |(excluded, clause)| {
            let signature = match &what {
                What::Aggregate(_) => Signature::user_defined(Volatility::Immutable),
                What::First | What::Last => Signature::any(1, Volatility::Immutable),
                What::Nth => Signature::any(2, Volatility::Immutable),
            };
            let function =
                Excluding { name: name(function, clause), what: what.clone(), excluded: *excluded, signature };
            Arc::new(WindowUDF::new_from_impl(function))
        })
    });
    let nth = Excluding {
        name: name("nth_value", NO_OTHERS),
        what: What::Nth,
        excluded: Excluded::NoOthers,
        signature: Signature::any(2, Volatility::Immutable),
    };
    all.chain([Arc::new(WindowUDF::new_from_impl(nth))]).collect()
}

fn what(function: &str) -> Option<What> {
    Some(What::Aggregate(match function {
        "avg" => averages::function(),
        "sum" => sum::function(),
        "count" => aggregates::count::count_udaf(),
        "max" => aggregates::min_max::max_udaf(),
        "min" => aggregates::min_max::min_udaf(),
        "bool_and" => aggregates::bool_and_or::bool_and_udaf(),
        "bool_or" => aggregates::bool_and_or::bool_or_udaf(),
        "first_value" => return Some(What::First),
        "last_value" => return Some(What::Last),
        "nth_value" => return Some(What::Nth),
        _ => return None,
    }))
}

/// The aggregate that such a function computes; `None` of all other functions.
pub(crate) fn aggregate_of(function: &WindowUDF) -> Option<&AggregateUDF> {
    match &function.inner().downcast_ref::<Excluding>()?.what {
        What::Aggregate(inner) => Some(inner),
        What::First | What::Last | What::Nth => None,
    }
}

/// Such a function with another aggregate over what it leaves of its frames.
pub(crate) fn with_aggregate(function: &WindowUDF, aggregate: Arc<AggregateUDF>) -> Option<Arc<WindowUDF>> {
    let known = function.inner().downcast_ref::<Excluding>()?;
    let (_, clause) = known.name.split_once(' ')?;
    let name = name(aggregate.name(), clause);
    let signature = Signature::user_defined(Volatility::Immutable);
    let what = What::Aggregate(aggregate);
    Some(Arc::new(WindowUDF::new_from_impl(Excluding { name, what, excluded: known.excluded, signature })))
}

/// Whether a window function is one of these.
pub(crate) fn is_one(function: &WindowUDF) -> bool {
    function.inner().is::<Excluding>()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Excluding {
    name: String,
    what: What,
    excluded: Excluded,
    signature: Signature,
}

impl WindowUDFImpl for Excluding {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let What::Aggregate(inner) = &self.what else { return Ok(types.to_vec()) };
        if matches!(inner.signature().type_signature, TypeSignature::UserDefined) {
            return inner.coerce_types(types);
        }
        let fields: Vec<FieldRef> = types.iter().map(|of| Arc::new(Field::new("", of.clone(), true))).collect();
        let fields = datafusion::logical_expr::type_coercion::functions::fields_with_udf(&fields, inner.as_ref())?;
        Ok(fields.iter().map(|field| field.data_type().clone()).collect())
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let field = match (&self.what, args.input_fields().first()) {
            (What::Aggregate(inner), _) => inner.return_field(args.input_fields())?.as_ref().clone(),
            (What::First | What::Last | What::Nth, Some(value)) => value.as_ref().clone(),
            (What::First | What::Last | What::Nth, None) => return internal_err!("a value is needed"),
        };
        let counts = self.name.starts_with("count");
        Ok(Arc::new(field.with_name(args.name()).with_nullable(!counts)))
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        let compute = match &self.what {
            What::Aggregate(inner) => Compute::Aggregate {
                inner: Arc::clone(inner),
                exprs: args.input_exprs().to_vec(),
                fields: args.input_fields().to_vec(),
            },
            What::First => Compute::First,
            What::Last => Compute::Last,
            What::Nth => Compute::Nth,
        };
        Ok(Box::new(Evaluator {
            compute,
            excluded: self.excluded,
            arguments: args.input_fields().len(),
            row: 0,
            peers: Vec::new(),
            uncharged: Uncharged::default(),
        }))
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::Unknown
    }
}

#[derive(Debug)]
enum Compute {
    Aggregate { inner: Arc<AggregateUDF>, exprs: Vec<Arc<dyn PhysicalExpr>>, fields: Vec<FieldRef> },
    First,
    Last,
    Nth,
}

/// Of one partition, whose rows come in their order.
#[derive(Debug)]
struct Evaluator {
    compute: Compute,
    excluded: Excluded,
    /// Arguments; behind them come the columns of ORDER BY.
    arguments: usize,
    row: usize,
    /// Rows that are equal to one another in what orders them, each with all of its kin.
    peers: Vec<Range<usize>>,
    uncharged: Uncharged,
}

impl Evaluator {
    /// The parts of a row's frame that are left, in order.
    fn left(&mut self, values: &[ArrayRef], frame: &Range<usize>) -> Result<Vec<Range<usize>>> {
        let row = self.row;
        self.row += 1;
        if self.peers.is_empty() {
            let rows = values.first().map_or(0, |column| column.len());
            let keys = values.get(self.arguments..).unwrap_or_default();
            self.peers = if keys.is_empty() { std::iter::once(0..rows).collect() } else { partition(keys)?.ranges() };
        }
        let at = self.peers.partition_point(|peers| peers.end <= row);
        let peers = self.peers.get(at).cloned().unwrap_or(row..row + 1);
        let parts = match self.excluded {
            Excluded::CurrentRow => vec![frame.start..row, row + 1..frame.end],
            Excluded::Group => vec![frame.start..peers.start, peers.end..frame.end],
            Excluded::NoOthers => vec![frame.clone()],
            Excluded::Ties => vec![frame.start..peers.start, row..row + 1, peers.end..frame.end],
        };
        let within = |part: Range<usize>| part.start.max(frame.start)..part.end.min(frame.end);
        Ok(parts.into_iter().map(within).filter(|part| part.start < part.end).collect())
    }
}

impl PartitionEvaluator for Evaluator {
    fn evaluate(&mut self, values: &[ArrayRef], frame: &Range<usize>) -> Result<ScalarValue> {
        proceed()?;
        let row = self.row;
        let parts = self.left(values, frame)?;
        let Some(column) = values.first() else { return internal_err!("an argument is needed") };
        let of = |at: Option<usize>| match at {
            Some(at) => ScalarValue::try_from_array(column, at),
            None => ScalarValue::try_from(column.data_type()),
        };
        let value = match &self.compute {
            Compute::Aggregate { inner, exprs, fields } => {
                let mut accumulator = accumulator(inner, exprs, fields)?;
                for part in parts {
                    let arguments = values.iter().take(self.arguments);
                    let slices: Vec<ArrayRef> = arguments.map(|column| column.slice(part.start, part.len())).collect();
                    accumulator.update_batch(&slices)?;
                }
                accumulator.evaluate()?
            }
            Compute::First => of(parts.first().map(|part| part.start))?,
            Compute::Last => of(parts.last().map(|part| part.end - 1))?,
            Compute::Nth => of(match nth(values, row)? {
                Some(nth) => parts.iter().flat_map(Clone::clone).nth(nth),
                None => None,
            })?,
        };
        self.uncharged.add(&value, 1)?;
        Ok(value)
    }

    fn uses_window_frame(&self) -> bool {
        true
    }

    fn supports_bounded_execution(&self) -> bool {
        false
    }
}

/// Which row of a frame is asked for, from 0.
fn nth(values: &[ArrayRef], row: usize) -> Result<Option<usize>> {
    let Some(numbers) = values.get(1) else { return internal_err!("a number is needed") };
    let number = arrow::compute::cast(&numbers.slice(row, 1), &DataType::Int64)?;
    let number = number.as_primitive::<Int64Type>();
    if number.is_null(0) {
        return Ok(None);
    }
    match usize::try_from(number.value(0)).ok().and_then(|number| number.checked_sub(1)) {
        Some(number) => Ok(Some(number)),
        None => {
            let message = "argument of nth_value must be greater than zero";
            Err(crate::fault::external(Error::new(ErrorCode::InvalidParameterValue, message)))
        }
    }
}

fn accumulator(
    inner: &AggregateUDF,
    exprs: &[Arc<dyn PhysicalExpr>],
    fields: &[FieldRef],
) -> Result<Box<dyn Accumulator>> {
    let schema = Schema::new(fields.to_vec());
    inner.accumulator(AccumulatorArgs {
        return_field: inner.return_field(fields)?,
        schema: &schema,
        ignore_nulls: false,
        order_bys: &[],
        is_reversed: false,
        name: inner.name(),
        is_distinct: false,
        exprs,
        expr_fields: fields,
    })
}
