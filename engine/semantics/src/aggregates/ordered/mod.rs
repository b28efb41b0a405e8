//! `array_agg` and `string_agg` with an order. Values and the keys of their order are kept as they come, in columns, and sorted once in
//! the end; DataFusion's make each of them a value of its own. Without an order, and of distinct values, they are DataFusion's, unless the
//! values are equal by their keys only; a frame that moves has one of its own.

mod kept;
mod places;
mod sliding;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::functions_aggregate::string_agg::string_agg_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature,
};
use datafusion::physical_expr::expressions::Literal;
use kept::{Collected, Kept};
use sliding::Sliding;
use std::sync::Arc;

/// The functions to register in place of DataFusion's.
pub(crate) fn functions() -> Vec<Arc<AggregateUDF>> {
    let ordered = |inner| Arc::new(AggregateUDF::new_from_impl(Ordered { inner, apart: false }));
    vec![ordered(array_agg_udaf()), ordered(string_agg_udaf())]
}

/// `array_agg` that shows the first of the values whose keys, by which it is to sort, are equal.
pub(crate) fn apart() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(Ordered { inner: array_agg_udaf(), apart: true }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ordered {
    inner: Arc<AggregateUDF>,
    /// Whether values with equal keys are one.
    apart: bool,
}

impl Ordered {
    fn is_ours(args: &AccumulatorArgs) -> bool {
        !args.order_bys.is_empty() && !args.is_distinct
    }

    fn kept(&self, args: &AccumulatorArgs) -> Result<Kept> {
        let (Some(value), Some(field)) = (args.exprs.first(), args.expr_fields.first()) else {
            return plan_err!("{} needs an argument", self.inner.name());
        };
        let keys = args.order_bys.iter().map(|key| Ok((key.expr.data_type(args.schema)?, key.options)));
        let by_itself = matches!(args.order_bys, [only] if only.expr.eq(value));
        let between = if args.exprs.len() > 1 { Some(separator(args)?) } else { None };
        let kept = Kept::new(field.data_type(), keys.collect::<Result<_>>()?, by_itself, between, args.ignore_nulls);
        Ok(if self.apart { kept.apart() } else { kept })
    }
}

/// What stands between the texts of `string_agg`.
fn separator(args: &AccumulatorArgs) -> Result<String> {
    let constant = args.exprs.get(1).and_then(|expr| expr.downcast_ref::<Literal>());
    match constant.map(|constant| (constant.value().is_null(), constant.value().try_as_str())) {
        Some((true, _)) => Ok(String::new()),
        Some((false, Some(text))) => Ok(text.unwrap_or_default().to_owned()),
        _ => Err(crate::fault::unsupported("the separator of string_agg must be a constant")),
    }
}

impl AggregateUDFImpl for Ordered {
    fn name(&self) -> &str {
        self.inner.name()
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

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if args.is_distinct || args.ordering_fields.is_empty() {
            return self.inner.state_fields(args);
        }
        let Some(value) = args.input_fields.first() else { return plan_err!("{} needs an argument", self.name()) };
        let list = |name: &str, item: &DataType| {
            Arc::new(Field::new_list(
                format_state_name(args.name, name),
                Field::new_list_field(item.clone(), true),
                true,
            ))
        };
        let keys = kept::records(args.ordering_fields.iter().map(|key| key.data_type()));
        Ok(vec![list("values", value.data_type()), list("keys", &DataType::Struct(keys))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if Self::is_ours(&args) {
            return Ok(Box::new(Collected::new(self.kept(&args)?)));
        }
        self.inner.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        // Of arrays the engine's is one that slides.
        if args.exprs.len() > 1 && args.order_bys.is_empty() && !args.is_distinct {
            return Ok(Box::new(Sliding::new(separator(&args)?)));
        }
        self.accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        Self::is_ours(&args) || self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        if Self::is_ours(&args) {
            return Ok(Box::new(self.kept(&args)?));
        }
        self.inner.create_groups_accumulator(args)
    }

    /// They sort for themselves: several in one statement may want several orders.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Beneficial
    }

    fn with_beneficial_ordering(self: Arc<Self>, _beneficial: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(Some(self))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::NotSupported
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }
}
