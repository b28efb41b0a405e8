//! Postgres' functions that DataFusion lacks or gives another meaning: tables of names, argument types and one row's result.
//! Immutable all of them: a session's time zone is put into a function when a statement is bound.

mod arrays;
mod bits;
mod bytes;
mod call;
mod clocks;
mod degrees;
mod expressions;
mod instants;
mod item_keys;
mod joined;
mod json;
mod networks;
pub(super) mod null_arrays;
mod numbers;
mod patterns;
mod percentiles;
mod regexes;
mod series;
mod texts;
mod wide_numbers;

pub(super) use bytes::read as read_bytes;
use call::form::Form;
use call::invoke::Builtin;
pub(super) use call::row::{Row, Value, of_arrow, to_arrow};
pub use clocks::cut_interval;
pub(super) use clocks::scaled;
pub use item_keys::equality_keys;
pub use regexes::invalid_pattern;
pub(super) use regexes::{PathExpression, is_own as is_own_expression, linear_spelling};
pub(super) use wide_numbers::key as numeric_key;

use super::analyze::stepwise::is_stepwise;
use super::times::zone::Zone;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_plan::PhysicalExpr;
use std::any::Any;
use std::sync::Arc;

/// A function: its name and its forms, of which the nearest to the arguments is called.
#[derive(Debug)]
pub(super) struct Def {
    pub(super) name: &'static str,
    pub(super) forms: &'static [Form],
    /// NULL for a NULL argument.
    pub(super) strict: bool,
}

/// NULL for a NULL argument.
pub(super) const fn strict(name: &'static str, forms: &'static [Form]) -> Def {
    Def { name, forms, strict: true }
}

/// Sees NULL arguments.
pub(super) const fn lenient(name: &'static str, forms: &'static [Form]) -> Def {
    Def { name, forms, strict: false }
}

fn tables() -> impl Iterator<Item = &'static Def> {
    [
        arrays::DEFS,
        bits::DEFS,
        bytes::DEFS,
        clocks::DEFS,
        degrees::DEFS,
        expressions::DEFS,
        instants::DEFS,
        joined::DEFS,
        json::PATHS,
        json::DEFS,
        networks::DEFS,
        numbers::DEFS,
        patterns::DEFS,
        percentiles::DEFS,
        series::DEFS,
        texts::DEFS,
        wide_numbers::DEFS,
    ]
    .into_iter()
    .flatten()
}

/// All of them, in UTC.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    tables().map(|def| Builtin::udf(def, Zone::UTC)).collect()
}

/// The function of a name that is ours, in a time zone.
pub(super) fn in_zone(name: &str, zone: Zone) -> Option<Arc<ScalarUDF>> {
    tables().find(|def| def.name == name).map(|def| Builtin::udf(def, zone))
}

/// The name and the time zone of a function that is ours.
pub(super) fn name_and_zone(function: &ScalarUDF) -> Option<(&'static str, Zone)> {
    let inner: &dyn Any = function.inner().as_ref();
    inner.downcast_ref::<Builtin>().map(Builtin::name_and_zone)
}

fn is_ours(function: &ScalarUDF) -> bool {
    let inner: &dyn Any = function.inner().as_ref();
    inner.is::<Builtin>()
}

/// Whether a physical expression calls what may compute long and asks meanwhile whether the statement is over.
pub fn lasts(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let called = expr.downcast_ref::<ScalarFunctionExpr>();
    let own = called.is_some_and(|call| is_ours(call.fun()) || is_stepwise(call.fun()));
    own || expr.children().into_iter().any(lasts)
}

/// Ours in place of DataFusion's of the same name, as which operators of arrays are planned.
pub(super) fn in_place_of(function: &ScalarUDF) -> Option<Arc<ScalarUDF>> {
    let known = matches!(function.name(), "array_has_any" | "array_has_all") && !is_ours(function);
    if known { in_zone(function.name(), Zone::UTC) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::casts::conversions::conversion_to;
    use arrow::datatypes::{DataType, Field};
    use datafusion::common::ScalarValue;
    use datafusion::config::ConfigOptions;
    use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

    #[test]
    fn constants_are_not_computed_with_for_no_rows() {
        let field = Arc::new(Field::new("n", DataType::Int64, true));
        let called = |number_rows| {
            conversion_to(Arc::clone(&field), Zone::UTC).invoke_with_args(ScalarFunctionArgs {
                args: vec![ColumnarValue::Scalar(ScalarValue::from("x"))],
                arg_fields: vec![Arc::new(Field::new("x", DataType::Utf8, true))],
                number_rows,
                return_field: Arc::clone(&field),
                config_options: Arc::new(ConfigOptions::new()),
            })
        };
        assert!(called(1).is_err());
        let ColumnarValue::Array(nothing) = called(0).unwrap() else { panic!("a constant") };
        assert!(nothing.is_empty() && nothing.data_type() == &DataType::Int64);
    }
}
