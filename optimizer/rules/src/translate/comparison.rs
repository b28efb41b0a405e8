//! Comparisons: a constant is cast to the column's type where that is exact, never the column to the constant's. Knows no operator around them.

use super::Translator;
use super::scope::Scope;
use crate::not_pushed::NotPushed;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use querygate_driver_api::lossless::widens;
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};

impl Translator<'_> {
    /// `left op right`, each side in its own scope (they differ in join conditions only).
    pub(super) fn compare(
        &mut self,
        op: ComparisonOp,
        left: (&Expr, &Scope),
        right: (&Expr, &Scope),
    ) -> Result<ScalarExpr, NotPushed> {
        if is_literal(left.0) && !is_literal(right.0) {
            return self.compare(op.mirrored(), right, left);
        }
        let (op, moved) = match right.0 {
            Expr::Literal(scalar, _) => match whole_micros(op, scalar) {
                Some((op, scalar)) => (op, Some(Expr::Literal(scalar, None))),
                None => (op, None),
            },
            _ => (op, None),
        };
        let bound = moved.as_ref().unwrap_or(right.0);
        if let Some((inner, literals)) = narrowed(left.0, &[bound], left.1)? {
            let left = self.scalar(inner, left.1)?;
            let right = self.literals(&literals)?.pop();
            return self.comparison(op, left, right.ok_or_else(|| NotPushed::invalid("comparison lost a side"))?);
        }
        let (left_expr, right_expr) = (bare_decimal(left.0, left.1)?, bare_decimal(bound, right.1)?);
        let (left, right) = (self.scalar(left_expr, left.1)?, self.scalar(right_expr, right.1)?);
        self.comparison(op, left, right)
    }

    fn comparison(&self, op: ComparisonOp, left: ScalarExpr, right: ScalarExpr) -> Result<ScalarExpr, NotPushed> {
        let decimals = self.type_of(&left)?.is_decimal() && self.type_of(&right)?.is_decimal();
        if !decimals {
            self.comparable(&left, &right)?;
        }
        Ok(ScalarExpr::compare(op, left, right))
    }

    fn comparable(&self, left: &ScalarExpr, right: &ScalarExpr) -> Result<(), NotPushed> {
        let (a, b) = (self.type_of(left)?, self.type_of(right)?);
        if a.comparable_with(b) {
            return Ok(());
        }
        Err(NotPushed::kind(format!("comparison of {} with {}", a.name(), b.name())))
    }

    /// An expression and what it is compared with (bounds, list items).
    pub(super) fn unwrapped(
        &mut self,
        expr: &Expr,
        others: &[&Expr],
        scope: &Scope,
    ) -> Result<(ScalarExpr, Vec<ScalarExpr>), NotPushed> {
        let (expr, others) = match narrowed(expr, others, scope)? {
            Some((inner, literals)) => (self.scalar(inner, scope)?, self.literals(&literals)?),
            None => {
                let expr = self.scalar(expr, scope)?;
                let others = others.iter().map(|other| self.scalar(other, scope)).collect::<Result<_, _>>()?;
                (expr, others)
            }
        };
        others.iter().try_for_each(|other| self.comparable(&expr, other))?;
        Ok((expr, others))
    }

    fn literals(&mut self, literals: &[ScalarValue]) -> Result<Vec<ScalarExpr>, NotPushed> {
        literals.iter().map(|literal| self.literal(literal)).collect()
    }
}

/// What was cast to 256 bits only so that the gate can compare it with a decimal of other places: a comparison of the
/// vocabulary is by value.
fn bare_decimal<'a>(expr: &'a Expr, scope: &Scope) -> Result<&'a Expr, NotPushed> {
    let Expr::Cast(cast) = expr else { return Ok(expr) };
    let from = Translator::data_type(&cast.expr, scope)?;
    let to = cast.field.data_type();
    let bare = matches!((&from, to), (DataType::Decimal128(..), DataType::Decimal256(..))) && widens(&from, to);
    Ok(if bare { &cast.expr } else { expr })
}

const fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(..))
}

/// A bound finer than a microsecond, moved to the one below it: no value of a column lies between.
fn whole_micros(op: ComparisonOp, scalar: &ScalarValue) -> Option<(ComparisonOp, ScalarValue)> {
    let ScalarValue::TimestampNanosecond(Some(nanos), zone) = scalar else { return None };
    if nanos % 1_000 == 0 {
        return None;
    }
    let op = match op {
        ComparisonOp::Lt | ComparisonOp::LtEq => ComparisonOp::LtEq,
        ComparisonOp::Gt | ComparisonOp::GtEq => ComparisonOp::Gt,
        ComparisonOp::Eq | ComparisonOp::NotEq | ComparisonOp::IsDistinctFrom | ComparisonOp::IsNotDistinctFrom => {
            return None;
        }
    };
    Some((op, ScalarValue::TimestampMicrosecond(Some(nanos.div_euclid(1_000)), zone.clone())))
}

/// `CAST(inner AS wider)` compared with constants that `inner`'s type holds exactly: the inner expression and the
/// constants in its type.
fn narrowed<'a>(
    expr: &'a Expr,
    others: &[&Expr],
    scope: &Scope,
) -> Result<Option<(&'a Expr, Vec<ScalarValue>)>, NotPushed> {
    let Expr::Cast(cast) = expr else { return Ok(None) };
    if is_literal(&cast.expr) || others.is_empty() {
        return Ok(None);
    }
    let from = Translator::data_type(&cast.expr, scope)?;
    if !widens(&from, cast.field.data_type()) {
        return Ok(None);
    }
    let mut literals = Vec::with_capacity(others.len());
    for other in others {
        let Expr::Literal(scalar, _) = other else { return Ok(None) };
        match held_by(scalar, &from) {
            Some(scalar) => literals.push(scalar),
            None => return Ok(None),
        }
    }
    Ok(Some((&cast.expr, literals)))
}

/// The constant in another type, if nothing is lost.
fn held_by(scalar: &ScalarValue, data_type: &DataType) -> Option<ScalarValue> {
    let narrow = scalar.cast_to(data_type).ok()?;
    if narrow.is_null() {
        return scalar.is_null().then_some(narrow);
    }
    (narrow.cast_to(&scalar.data_type()).ok()? == *scalar).then_some(narrow)
}
