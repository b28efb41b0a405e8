//! Casts of decimals to fewer places that stand beside constants stay as they are written. DataFusion's simplification takes the cast to the
//! constant instead, `x = 5.40` for `x::numeric(3, 1) = 5.4`, which leaves 5.44 out.
//! Needed with DataFusion 55.2.0.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use querygate_driver_api::lossless::drops_places;
use std::any::Any;
use std::sync::Arc;

/// Whether it may be such a cast, whatever it casts.
pub(super) fn is_cast_to_decimal(expr: &Expr) -> bool {
    matches!(expr, Expr::Cast(cast) if cast.field.data_type().is_decimal())
}

/// Whether it is such a cast of something that is no constant, which is computed.
pub(super) fn is_narrowing(expr: &Expr, schema: &DFSchema) -> bool {
    let Expr::Cast(cast) = expr else { return false };
    let to = cast.field.data_type();
    to.is_decimal() && !is_constant(&cast.expr) && cast.expr.get_type(schema).is_ok_and(|from| drops_places(&from, to))
}

/// Whether it is made of constants alone: neither of what is read, nor of what a run gives.
pub(super) fn is_constant(expr: &Expr) -> bool {
    let reads = |part: &Expr| {
        matches!(
            part,
            Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_) | Expr::Placeholder(_)
        )
    };
    // A walk that only reads cannot fail.
    !expr.exists(|part| Ok(reads(part))).unwrap_or(true)
}

/// Such a cast as a call that DataFusion knows nothing of.
pub(super) fn hidden(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is_narrowing = is_narrowing(&expr, schema);
    match expr {
        Expr::Cast(Cast { expr, field }) if is_narrowing => {
            let function = NarrowingCast { to: field, signature: Signature::any(1, Volatility::Immutable) };
            let function = Arc::new(ScalarUDF::new_from_impl(function));
            Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![*expr])))
        }
        other => Transformed::no(other),
    }
}

/// What was hidden as it was written.
pub(super) fn shown(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::ScalarFunction(mut call) => {
            let inner: &dyn Any = call.func.inner().as_ref();
            let field = inner.downcast_ref::<NarrowingCast>().map(|cast| Arc::clone(&cast.to));
            match (field, call.args.pop()) {
                (Some(field), Some(value)) => Transformed::yes(Expr::Cast(Cast { expr: Box::new(value), field })),
                (_, value) => {
                    call.args.extend(value);
                    Transformed::no(Expr::ScalarFunction(call))
                }
            }
        }
        other => Transformed::no(other),
    }
}

/// Stands for such a cast while an expression is simplified.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NarrowingCast {
    to: FieldRef,
    signature: Signature,
}

impl ScalarUDFImpl for NarrowingCast {
    fn name(&self) -> &'static str {
        "narrowing_cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.to.data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(self.to.as_ref().clone().with_nullable(nullable)))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("a cast was not put back")
    }
}
