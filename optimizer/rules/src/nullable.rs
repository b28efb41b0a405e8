//! A value that may be missing though it is never NULL where there is one: what a scalar subquery finds. The engine takes the
//! nullability of a subquery's column for that of its value; a column that is called so says what is true. It is no word for
//! users, no source is asked for it, and nothing folds it: the belief would come back.

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::{Arc, LazyLock};

const NAME: &str = "nullable";

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(Nullable { signature: Signature::any(1, Volatility::Volatile) }))
});

/// The same value, declared nullable.
#[must_use]
pub fn nullable(value: Expr) -> Expr {
    FUNCTION.call(vec![value])
}

/// The value that [`nullable`] was given.
#[must_use]
pub fn value_of_nullable(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.inner().downcast_ref::<Nullable>().is_some() => call.args.first(),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Nullable {
    signature: Signature,
}

impl ScalarUDFImpl for Nullable {
    fn name(&self) -> &'static str {
        NAME
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the argument decides")
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [value] => Ok(Arc::new(value.as_ref().clone().with_name(NAME).with_nullable(true))),
            _ => internal_err!("one value is nullable"),
        }
    }
    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match (args.args.pop(), args.args.is_empty()) {
            (Some(value), true) => Ok(value),
            _ => internal_err!("one value is nullable"),
        }
    }
}
