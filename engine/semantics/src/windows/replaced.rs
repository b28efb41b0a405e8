//! Window functions of DataFusion whose results are not PostgreSQL's: what numbers rows is unsigned there and signed here, and what
//! repeats a long value for each row is charged to the statement's memory. What they compute stays theirs.

use super::framed::Uncharged;
use super::{exclusions, shifts};
use arrow::array::ArrayRef;
use arrow::compute::SortOptions;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_window::nth_value::{first_value_udwf, last_value_udwf, nth_value_udwf};
use datafusion::functions_window::ntile::ntile_udwf;
use datafusion::functions_window::rank::{dense_rank_udwf, rank_udwf};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::function::{ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::window_state::WindowAggState;
use datafusion::logical_expr::{LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF, WindowUDFImpl};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_plan::windows::WindowUDFExpr;
use std::ops::Range;
use std::sync::Arc;

/// All of them, under the names of those that they stand for.
pub(crate) fn functions() -> Vec<Arc<WindowUDF>> {
    let numbers = [
        (row_number_udwf(), DataType::Int64),
        (rank_udwf(), DataType::Int64),
        (dense_rank_udwf(), DataType::Int64),
        (ntile_udwf(), DataType::Int32),
    ];
    let numbers = numbers.map(|(inner, to)| ours(inner, Kind::Numbers(to)));
    let repeats = [first_value_udwf(), last_value_udwf(), nth_value_udwf()].map(|inner| ours(inner, Kind::Repeats));
    numbers.into_iter().chain(repeats).collect()
}

/// Whether a window expression is one that charges.
pub(crate) fn charges(window: &Arc<dyn WindowExpr>) -> bool {
    let standard = window.as_any().downcast_ref::<StandardWindowExpr>();
    let called = standard.and_then(|own| own.get_standard_func_expr().as_any().downcast_ref::<WindowUDFExpr>());
    let Some(called) = called else { return false };
    let ours = called.fun().inner().downcast_ref::<Ours>();
    ours.is_some_and(|ours| ours.kind == Kind::Repeats)
        || exclusions::is_one(called.fun())
        || shifts::is_one(called.fun())
}

fn ours(inner: Arc<WindowUDF>, kind: Kind) -> Arc<WindowUDF> {
    Arc::new(WindowUDF::new_from_impl(Ours { inner, kind }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ours {
    inner: Arc<WindowUDF>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    /// Counts rows: the type to count them in.
    Numbers(DataType),
    /// Gives many rows one value.
    Repeats,
}

impl WindowUDFImpl for Ours {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn expressions(&self, args: ExpressionArgs) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.expressions(args)
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        let inner = self.inner.partition_evaluator_factory(args)?;
        Ok(Box::new(Evaluator { inner, kind: self.kind.clone(), uncharged: Uncharged::default() }))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let field = self.inner.field(args)?;
        Ok(match &self.kind {
            Kind::Numbers(to) => Arc::new(field.as_ref().clone().with_data_type(to.clone())),
            Kind::Repeats => field,
        })
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.inner.sort_options()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        match self.inner.reverse_expr() {
            ReversedUDWF::Identical => ReversedUDWF::Identical,
            ReversedUDWF::NotSupported => ReversedUDWF::NotSupported,
            ReversedUDWF::Reversed(inner) => ReversedUDWF::Reversed(ours(inner, self.kind.clone())),
        }
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.inner.inner().limit_effect(args)
    }
}

#[derive(Debug)]
struct Evaluator {
    inner: Box<dyn PartitionEvaluator>,
    kind: Kind,
    uncharged: Uncharged,
}

impl Evaluator {
    fn column(&self, values: ArrayRef) -> Result<ArrayRef> {
        match &self.kind {
            Kind::Numbers(to) => {
                let checked = CastOptions { safe: false, ..CastOptions::default() };
                Ok(cast_with_options(&values, to, &checked)?)
            }
            Kind::Repeats => Ok(values),
        }
    }
}

impl PartitionEvaluator for Evaluator {
    fn memoize(&mut self, state: &mut WindowAggState) -> Result<()> {
        self.inner.memoize(state)
    }

    fn get_range(&self, row: usize, rows: usize) -> Result<Range<usize>> {
        self.inner.get_range(row, rows)
    }

    fn is_causal(&self) -> bool {
        self.inner.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let column = self.inner.evaluate_all(values, rows)?;
        self.column(column)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        let value = self.inner.evaluate(values, range)?;
        match &self.kind {
            Kind::Numbers(to) => number(&value, to),
            Kind::Repeats => {
                self.uncharged.add(&value, 1)?;
                Ok(value)
            }
        }
    }

    fn evaluate_all_with_rank(&self, rows: usize, ranks: &[Range<usize>]) -> Result<ArrayRef> {
        self.column(self.inner.evaluate_all_with_rank(rows, ranks)?)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.inner.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.inner.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.inner.include_rank()
    }
}

fn number(value: &ScalarValue, to: &DataType) -> Result<ScalarValue> {
    // Once for each row; the general way makes arrays of one value.
    if let (ScalarValue::UInt64(Some(number)), DataType::Int64) = (value, to)
        && let Ok(number) = i64::try_from(*number)
    {
        return Ok(ScalarValue::Int64(Some(number)));
    }
    value.cast_to(to)
}
