//! Constants: folds expressions of literals, and makes every literal a parameter. No value reaches the fragment itself.

use super::Translator;
use super::function::is_order_key;
use super::types::value_type;
use crate::not_pushed::NotPushed;
use crate::translation::ParameterSource;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::scalar::{Constant, ScalarExpr};
use querygate_driver_api::value::Value;

impl Translator<'_> {
    /// Evaluates every part of an expression that reads nothing.
    pub(super) fn fold(&self, expr: &Expr) -> Result<Expr, NotPushed> {
        folded(expr, self.context)
    }

    /// A literal: TRUE, FALSE and NULL as such, everything else as a parameter.
    pub(super) fn literal(&mut self, scalar: &ScalarValue) -> Result<ScalarExpr, NotPushed> {
        let value_type = value_type(&scalar.data_type())?;
        match value_of(scalar)? {
            Value::Null(_) => Ok(ScalarExpr::Constant(Constant::Null(value_type))),
            Value::Boolean(true) => Ok(ScalarExpr::Constant(Constant::True)),
            Value::Boolean(false) => Ok(ScalarExpr::Constant(Constant::False)),
            value => {
                let index = self.parameter(ParameterSource::Literal(value), value_type)?;
                Ok(ScalarExpr::Parameter(index, value_type))
            }
        }
    }

    /// A parameter of the client's.
    pub(super) fn placeholder(&mut self, placeholder: &Placeholder) -> Result<ScalarExpr, NotPushed> {
        let index = placeholder.id.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
        let Some(index) = index.and_then(|number| number.checked_sub(1)) else {
            return Err(NotPushed::operator("parameter has a name instead of a number"));
        };
        let Some(field) = &placeholder.field else {
            return Err(NotPushed::kind("parameter has no known type"));
        };
        let value_type = value_type(field.data_type())?;
        if !value_type.is_bound() {
            return Err(NotPushed::kind("parameter of a type that no source is sent"));
        }
        let place = self.parameter(ParameterSource::Placeholder(index), value_type)?;
        Ok(ScalarExpr::Parameter(place, value_type))
    }

    /// The parameter that holds a pattern.
    pub(super) fn pattern(&mut self, expr: &Expr) -> Result<usize, NotPushed> {
        let pattern = match expr {
            Expr::Literal(scalar, _) => self.literal(scalar)?,
            Expr::Placeholder(placeholder) => self.placeholder(placeholder)?,
            _ => return Err(NotPushed::operator("pattern is not a constant")),
        };
        match pattern {
            ScalarExpr::Parameter(index, querygate_driver_api::value::ValueType::Text) => Ok(index),
            _ => Err(NotPushed::operator("pattern is not a text")),
        }
    }
}

/// The engine's own simplifier is used for constants only: its rewrites of conditions (bounds of time stamps among them) are not exact
/// enough.
fn folded(expr: &Expr, context: &SimplifyContext) -> Result<Expr, NotPushed> {
    let simplifier = ExprSimplifier::new(context.clone()).with_canonicalize(false);
    let is_utc = context.config_options().execution.time_zone.as_deref() == Some("UTC");
    let folded = expr.clone().transform_up(|node| {
        let by_session = !is_utc && changes_zone(&node);
        if by_session || !is_computed(&node) || !reads_only_short_literals(&node)? || has_own_semantics(&node)? {
            return Ok(Transformed::no(node));
        }
        // Some constants cannot be evaluated (they raise, or depend on the time): they stay as they are.
        match simplifier.simplify(node.clone()) {
            Ok(value @ Expr::Literal(..)) => Ok(Transformed::yes(value)),
            Ok(_) | Err(_) => Ok(Transformed::no(node)),
        }
    });
    folded.map(|folded| folded.data).map_err(|_| NotPushed::invalid("constants could not be folded"))
}

/// Whether a cast makes a moment of a constant that has no zone, or the other way round: it is by the session's zone, and the engine's is
/// by UTC.
fn changes_zone(expr: &Expr) -> bool {
    let (from, to) = match expr {
        Expr::Cast(cast) => (cast.expr.as_ref(), cast.field.data_type()),
        Expr::TryCast(cast) => (cast.expr.as_ref(), cast.field.data_type()),
        _ => return false,
    };
    let Expr::Literal(value, _) = from else { return false };
    let is_zoned = |of: &DataType| matches!(of, DataType::Timestamp(_, Some(_)));
    !value.is_null() && is_zoned(&value.data_type()) != is_zoned(to)
}

/// The typed value of a literal, exactly.
fn value_of(scalar: &ScalarValue) -> Result<Value, NotPushed> {
    let refused = || NotPushed::new(RefusalReason::Value, "constant cannot be bound exactly");
    let array = scalar.to_array().map_err(|_| refused())?;
    Value::from_array(array.as_ref(), 0).map_err(|_| refused())
}

/// Whether some part computes numbers by rules of the gate (overflow, rounding, text forms), which the engine's simplifier
/// does not know: such a constant is left for whoever executes the plan.
fn has_own_semantics(expr: &Expr) -> datafusion::common::Result<bool> {
    let schema = DFSchema::empty();
    expr.exists(|node| {
        let number = |e: &Expr| e.get_type(&schema).map(|t| t.is_numeric());
        Ok(match node {
            Expr::BinaryExpr(binary) if is_arithmetic(binary.op) => number(node)?,
            // A source has keys of its own.
            Expr::ScalarFunction(call) if is_order_key(call.name()) => true,
            Expr::Negative(_) | Expr::ScalarFunction(_) => number(node)?,
            Expr::Cast(cast) => {
                let (from, to) = (cast.expr.get_type(&schema)?, cast.field.data_type());
                let inexact = from.is_floating() || from.is_decimal();
                let text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
                (inexact && to.is_integer())
                    || (text(&from) && (to.is_numeric() || *to == DataType::Boolean))
                    || (text(to) && !text(&from) && !from.is_integer())
            }
            _ => false,
        })
    })
}

const fn is_arithmetic(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo)
}

/// A node that folding could replace.
#[expect(deprecated, reason = "the wildcard variant is still in the enum")]
const fn is_computed(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::ScalarFunction(_)
        | Expr::InList(_) => true,
        Expr::Alias(_)
        | Expr::Column(_)
        | Expr::ScalarVariable(..)
        | Expr::Literal(..)
        | Expr::AggregateFunction(_)
        | Expr::WindowFunction(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_)
        | Expr::ScalarSubquery(_)
        | Expr::Wildcard { .. }
        | Expr::GroupingSet(_)
        | Expr::Placeholder(_)
        | Expr::OuterReferenceColumn(..)
        | Expr::Unnest(_)
        | Expr::HigherOrderFunction(_)
        | Expr::Lambda(_)
        | Expr::LambdaVariable(_) => false,
    }
}

/// Bytes of a constant that is computed with here. What may be done with a longer one has bounds that only the plan's own expressions
/// hold.
const SHORT_BYTES: usize = 4 << 10;

/// Whether every operand is a literal (its own operands are folded before), and a short one.
fn reads_only_short_literals(expr: &Expr) -> datafusion::common::Result<bool> {
    let mut all = true;
    expr.apply_children(|child| {
        all &= matches!(child, Expr::Literal(value, _) if value.size() <= SHORT_BYTES);
        Ok(if all { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;
    use datafusion::common::config::ConfigOptions;
    use datafusion::logical_expr::{cast, lit};
    use std::sync::Arc;

    fn in_zone(expr: &Expr, zone: Option<&str>) -> Expr {
        let mut options = ConfigOptions::default();
        options.execution.time_zone = zone.map(str::to_owned);
        folded(expr, &SimplifyContext::builder().with_config_options(Arc::new(options)).build()).unwrap()
    }

    #[test]
    fn long_constants_are_left_to_the_plan() {
        for (length, is_folded) in [(100, true), (SHORT_BYTES + 1, false)] {
            let compared = lit("a".repeat(length)).eq(lit("a"));
            assert_eq!(matches!(in_zone(&compared, None), Expr::Literal(..)), is_folded);
        }
    }

    #[test]
    fn what_is_cast_by_the_sessions_zone_is_a_constant_in_utc_only() {
        let moments = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let locals = DataType::Timestamp(TimeUnit::Microsecond, None);
        let date = || lit(ScalarValue::Date32(Some(19_813)));
        let stamp = |zone: Option<&str>| lit(ScalarValue::TimestampMicrosecond(Some(0), zone.map(Into::into)));
        for expr in [
            cast(date(), moments.clone()),
            cast(stamp(None), moments.clone()),
            cast(lit("2024-03-31"), moments.clone()),
            cast(stamp(Some("UTC")), locals.clone()),
            cast(stamp(Some("UTC")), DataType::Date32),
        ] {
            assert!(matches!(in_zone(&expr, Some("UTC")), Expr::Literal(..)), "{expr}");
            for zone in [None, Some("America/New_York")] {
                assert_eq!(in_zone(&expr, zone), expr);
            }
        }
        let null = lit(ScalarValue::Date32(None));
        for expr in [cast(date(), locals), cast(stamp(Some("UTC")), moments.clone()), cast(null, moments)] {
            assert!(matches!(in_zone(&expr, Some("America/New_York")), Expr::Literal(..)), "{expr}");
        }
    }
}
