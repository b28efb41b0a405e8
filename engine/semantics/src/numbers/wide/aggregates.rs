//! `sum`, `avg`, `stddev` and `variance` of numerics of any width, exact, with PostgreSQL's places.

use super::averages::{is_nearest_double, is_whole, nearest_double};
use super::distinct::Distinct;
use super::is_wide;
use super::keyed::within;
use super::meeting::narrowed;
use crate::fault::{external, unsupported};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ExprSchemable, Signature, Volatility,
};
use querygate_query_api::values::wide_numeric::{WIDE_NUMERIC, wide_numeric};
use querygate_resources::proceed;
use querygate_types::numeric::{Cell, Numeric};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows between two questions whether the statement is over.
const ROWS_UNASKED: usize = 64;

/// Aggregates that take wide values as they come.
const PLAIN: &[&str] = &["count", "min", "max", "first_value", "last_value", "array_agg"];

/// Aggregates that PostgreSQL has of doubles only.
const OF_DOUBLES: &[&str] = &[
    "corr",
    "covar",
    "covar_pop",
    "covar_samp",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
];

/// An aggregate of wide numerics as one of ours. Whether it was changed.
pub(super) fn aggregated(call: &mut AggregateFunction, schema: &DFSchema) -> Result<bool> {
    let changed = within(call, schema)?;
    if !call.params.args.iter().any(|arg| is_wide(arg, schema)) {
        return Ok(changed);
    }
    if OF_DOUBLES.contains(&call.func.name()) {
        for arg in call.params.args.iter_mut().filter(|arg| is_wide(arg, schema)) {
            *arg = narrowed(std::mem::take(arg), schema)?;
        }
        return Ok(true);
    }
    if let Some(function) = function(call.func.name()) {
        call.func = function;
        return Ok(true);
    }
    let name = call.func.name();
    if matches!(name, "corr" | "covar_pop" | "covar_samp") || name.starts_with("regr_") {
        for arg in call.params.args.iter_mut().filter(|arg| is_wide(arg, schema)) {
            *arg = narrowed(std::mem::take(arg), schema)?;
        }
        return Ok(true);
    }
    // Distinct values in an array that are left here have another order than their own.
    let plain = PLAIN.contains(&name) && !(call.params.distinct && name == "array_agg");
    if plain || Statistic::of(name).is_some() || name.starts_with("json") {
        return Ok(changed);
    }
    Err(unsupported("this aggregate of numerics of any width is not supported"))
}

/// The aggregate of a name in a window over values, where its result is a numeric of any width: of such values, and statistics of whole
/// numbers and decimals, which no source computes for a window.
pub(super) fn in_window(name: &str, args: &[Expr], schema: &DFSchema) -> Result<Option<Arc<AggregateUDF>>> {
    let [arg] = args else { return Ok(None) };
    let exact = is_wide(arg, schema)
        || match Statistic::of_numbers(name) {
            None | Some(Statistic::Sum) => false,
            Some(Statistic::Average) => is_whole(&arg.get_type(schema)?),
            Some(Statistic::Variance { .. } | Statistic::Deviation { .. }) => {
                let of = arg.get_type(schema)?;
                is_whole(&of) || matches!(of, DataType::Decimal128(..))
            }
        };
    Ok(if exact { function(name) } else { None })
}

/// The aggregate of a name, for wide numerics.
fn function(name: &str) -> Option<Arc<AggregateUDF>> {
    let statistic = Statistic::of_numbers(name)?;
    let signature = Signature::any(1, Volatility::Immutable);
    Some(Arc::new(AggregateUDF::new_from_impl(WideAggregate { statistic, signature })))
}

/// The aggregate of wide numerics that has this name itself.
pub(crate) fn of_own_name(name: &str) -> Option<Arc<AggregateUDF>> {
    let signature = Signature::any(1, Volatility::Immutable);
    let aggregate = |statistic| Arc::new(AggregateUDF::new_from_impl(WideAggregate { statistic, signature }));
    Statistic::of(name).map(aggregate)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Statistic {
    Sum,
    Average,
    Variance { sample: bool },
    Deviation { sample: bool },
}

impl Statistic {
    fn of_numbers(name: &str) -> Option<Self> {
        Some(match name {
            "sum" => Self::Sum,
            "avg" | "mean" => Self::Average,
            "var" | "var_samp" | "var_sample" | "variance" => Self::Variance { sample: true },
            "var_pop" | "var_population" => Self::Variance { sample: false },
            "stddev" | "stddev_samp" => Self::Deviation { sample: true },
            "stddev_pop" => Self::Deviation { sample: false },
            _ => return None,
        })
    }

    /// Of the name that the function has once it is ours.
    fn of(name: &str) -> Option<Self> {
        [
            Self::Sum,
            Self::Average,
            Self::Variance { sample: true },
            Self::Variance { sample: false },
            Self::Deviation { sample: true },
            Self::Deviation { sample: false },
        ]
        .into_iter()
        .find(|statistic| statistic.name() == name)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Sum => "numeric_sum",
            Self::Average => "numeric_avg",
            Self::Variance { sample: true } => "numeric_var_samp",
            Self::Variance { sample: false } => "numeric_var_pop",
            Self::Deviation { sample: true } => "numeric_stddev_samp",
            Self::Deviation { sample: false } => "numeric_stddev_pop",
        }
    }

    const fn needs_squares(self) -> bool {
        match self {
            Self::Sum | Self::Average => false,
            Self::Variance { .. } | Self::Deviation { .. } => true,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WideAggregate {
    statistic: Statistic,
    signature: Signature,
}

impl AggregateUDFImpl for WideAggregate {
    fn name(&self) -> &'static str {
        self.statistic.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(WIDE_NUMERIC)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        let plain = fields.iter().all(|field| *field.data_type() != WIDE_NUMERIC);
        let field = if plain || is_nearest_double(fields) {
            nearest_double(self.name())
        } else {
            Field::new(self.name(), WIDE_NUMERIC, true)
        };
        Ok(Arc::new(field))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field =
            |name: &str, data_type: DataType| Arc::new(Field::new(format_state_name(args.name, name), data_type, true));
        if args.is_distinct {
            let values = DataType::List(Arc::new(Field::new_list_field(WIDE_NUMERIC, true)));
            return Ok(vec![field("values", values)]);
        }
        Ok(vec![
            field("sum", WIDE_NUMERIC),
            field("squares", WIDE_NUMERIC),
            field("count", DataType::Int64),
            field("nan", DataType::Int64),
            field("infinite", DataType::Int64),
            field("negative", DataType::Int64),
        ])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return Ok(Box::new(Distinct::new(Moments::new(self.statistic))));
        }
        Ok(Box::new(Moments::new(self.statistic)))
    }
}

/// What is kept of the values: exact sums, and how many of each kind there were.
#[derive(Debug)]
pub(super) struct Moments {
    statistic: Statistic,
    sum: Numeric,
    /// What is not in `sum` yet, of values with that many places.
    ahead: (i128, u32),
    squares: Numeric,
    /// Finite values by their places: the result has the most that a value in it has.
    places: BTreeMap<u32, i64>,
    nan: i64,
    infinite: i64,
    negative: i64,
}

impl Moments {
    fn new(statistic: Statistic) -> Self {
        let (sum, squares) = (Numeric::from(0), Numeric::from(0));
        Self { statistic, sum, ahead: (0, 0), squares, places: BTreeMap::new(), nan: 0, infinite: 0, negative: 0 }
    }

    fn finite(&self) -> i64 {
        self.places.values().sum()
    }

    /// Adds a value, or takes one away.
    pub(super) fn take(&mut self, value: &Numeric, by: i64) -> Result<()> {
        match value {
            Numeric::Nan => self.nan += by,
            Numeric::Infinite { negative: false } => self.infinite += by,
            Numeric::Infinite { negative: true } => self.negative += by,
            Numeric::Finite(_) => {
                let add = |to: &Numeric, of: &Numeric| if by > 0 { to.plus(of) } else { to.minus(of) };
                self.sum = add(&self.sum, value).map_err(external)?;
                if self.statistic.needs_squares() {
                    let square = value.times(value).map_err(external)?;
                    self.squares = add(&self.squares, &square).map_err(external)?;
                }
                self.count(value.places().unwrap_or(0), by);
            }
        }
        Ok(())
    }

    fn take_all(&mut self, values: &[ArrayRef], by: i64) -> Result<()> {
        let [values] = values else { return exec_err!("one argument was expected") };
        let cells = values.as_binary_opt::<i64>().filter(|_| !self.statistic.needs_squares());
        for row in (0..values.len()).filter(|row| !values.is_null(*row)) {
            let small = cells.and_then(|cells| Cell::read(cells.value(row))?.small());
            match small {
                Some((digits, places)) if self.take_small(digits, places, by) => {}
                Some(_) | None => {
                    // A short value may have 131,072 digits.
                    if row % ROWS_UNASKED == 0 {
                        proceed()?;
                    }
                    self.take(&super::at(values, row)?, by)?;
                }
            }
        }
        self.settle()
    }

    /// Adds a number without making one of any width of it. `false`: it is to be taken as such.
    fn take_small(&mut self, digits: i128, places: u32, by: i64) -> bool {
        let (ahead, of) = self.ahead;
        if ahead != 0 && of != places {
            return false;
        }
        let Some(ahead) = digits.checked_mul(i128::from(by)).and_then(|digits| ahead.checked_add(digits)) else {
            return false;
        };
        self.ahead = (ahead, places);
        self.count(places, by);
        true
    }

    /// Counts a finite value, or one less.
    fn count(&mut self, places: u32, by: i64) {
        let counted = self.places.entry(places).or_insert(0);
        *counted += by;
        if *counted == 0 {
            self.places.remove(&places);
        }
    }

    /// Puts what was added ahead into the sum.
    fn settle(&mut self) -> Result<()> {
        let (digits, places) = std::mem::take(&mut self.ahead);
        if digits == 0 {
            return Ok(());
        }
        let ahead = Numeric::of_digits(digits, places);
        self.sum = self.sum.plus(&ahead).map_err(external)?;
        Ok(())
    }

    fn value(&self) -> querygate_types::Result<Option<Numeric>> {
        let count = self.finite() + self.nan + self.infinite + self.negative;
        let sample =
            matches!(self.statistic, Statistic::Variance { sample: true } | Statistic::Deviation { sample: true });
        if count == 0 || (sample && count == 1) {
            return Ok(None);
        }
        let spread = self.statistic.needs_squares();
        let no_number =
            self.nan > 0 || (self.infinite > 0 && self.negative > 0) || (spread && self.infinite + self.negative > 0);
        if no_number {
            return Ok(Some(Numeric::Nan));
        }
        if self.infinite + self.negative > 0 {
            return Ok(Some(Numeric::Infinite { negative: self.negative > 0 }));
        }
        let most = self.places.keys().next_back().copied().unwrap_or(0);
        let sum = self.sum.round(i64::from(most))?;
        Ok(Some(match self.statistic {
            Statistic::Sum => sum,
            Statistic::Average => sum.over(&Numeric::from(count))?,
            Statistic::Variance { .. } | Statistic::Deviation { .. } => {
                let squares = self.squares.round(i64::from(most) * 2)?;
                let spread = Numeric::from(count).times(&squares)?.minus(&sum.times(&sum)?)?;
                if spread.signum() <= 0 {
                    return Ok(Some(Numeric::from(0)));
                }
                let others = if sample { count - 1 } else { count };
                let variance = spread.over(&Numeric::from(count).times(&Numeric::from(others))?)?;
                match self.statistic {
                    Statistic::Deviation { .. } => variance.root(variance.places().unwrap_or(0))?,
                    Statistic::Variance { .. } | Statistic::Sum | Statistic::Average => variance,
                }
            }
        }))
    }
}

impl Accumulator for Moments {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.take_all(values, 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.take_all(values, -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.value().map_err(external)?;
        Ok(ScalarValue::LargeBinary(value.map(|value| value.to_cell())))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sum.size() + self.squares.size() + self.places.len() * 16
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let most = self.places.keys().next_back().copied().unwrap_or(0);
        let sum = self.sum.round(i64::from(most)).map_err(external)?;
        let cell = |value: &Numeric| ScalarValue::LargeBinary(Some(value.to_cell()));
        let count = |count: i64| ScalarValue::Int64(Some(count));
        Ok(vec![
            cell(&sum),
            cell(&self.squares),
            count(self.finite()),
            count(self.nan),
            count(self.infinite),
            count(self.negative),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [sums, squares, counts, nan, infinite, negative] = states else {
            return exec_err!("six states were expected");
        };
        let cells = |of: &ArrayRef, row: usize| wide_numeric(of.as_binary(), row).map_err(external);
        let count = |of: &ArrayRef, row: usize| of.as_primitive::<Int64Type>().value(row);
        for row in (0..sums.len()).filter(|row| !sums.is_null(*row)) {
            let sum = cells(sums, row)?;
            self.sum = self.sum.plus(&sum).map_err(external)?;
            self.squares = self.squares.plus(&cells(squares, row)?).map_err(external)?;
            if count(counts, row) > 0 {
                *self.places.entry(sum.places().unwrap_or(0)).or_insert(0) += count(counts, row);
            }
            self.nan += count(nan, row);
            self.infinite += count(infinite, row);
            self.negative += count(negative, row);
        }
        Ok(())
    }
}
