//! What the answer of an expression's own function depends on beside its arguments.

use datafusion::logical_expr::expr::{AggregateFunction, WindowFunctionDefinition};
use datafusion::logical_expr::{Expr, Volatility};
use querygate_pg_catalog as pg_catalog;
use querygate_rules::value_of_nullable;

/// What makes rows of its arguments alone.
const SERIES: &str = "generate_series";

/// Of the expression's own function, if it calls one.
#[expect(deprecated, reason = "each kind of expression is named")]
pub(crate) fn volatility(expr: &Expr) -> Volatility {
    match expr {
        // It hands its value on.
        nullable if value_of_nullable(nullable).is_some() => Volatility::Immutable,
        Expr::ScalarFunction(call) => call.func.signature().volatility,
        Expr::AggregateFunction(AggregateFunction { func, .. }) => func.signature().volatility,
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(func) => func.signature().volatility,
            WindowFunctionDefinition::WindowUDF(func) => func.signature().volatility,
        },
        Expr::HigherOrderFunction(call) => call.func.signature().volatility,
        // Variables are the session's, and no bound plan has a wildcard.
        Expr::ScalarVariable(..) | Expr::Wildcard { .. } => Volatility::Volatile,
        // Casts of a text to a timestamp with zone, and comparisons, depend on settings that the plan's key holds. What a subquery
        // asks is found in its own plan.
        Expr::Alias(_)
        | Expr::Column(_)
        | Expr::OuterReferenceColumn(..)
        | Expr::Literal(..)
        | Expr::Placeholder(_)
        | Expr::BinaryExpr(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::InList(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_)
        | Expr::ScalarSubquery(_)
        | Expr::GroupingSet(_)
        | Expr::Unnest(_)
        | Expr::Lambda(_)
        | Expr::LambdaVariable(_) => Volatility::Immutable,
    }
}

/// Whether the answer of its own function follows from its arguments and the catalog. A series is called volatile to keep its members out
/// of a plan's constants, and functions of the catalog are called stable.
pub(crate) fn follows_from_catalog(expr: &Expr) -> bool {
    let answers_from_catalog = |expr: &Expr| matches!(expr, Expr::ScalarFunction(call) if pg_catalog::is_of_catalog(&call.func) || call.func.name() == SERIES);
    volatility(expr) == Volatility::Immutable || answers_from_catalog(expr)
}
