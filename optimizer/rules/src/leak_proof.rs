//! Which conditions may stand beside a policy: a closed list that can neither raise nor be observed. Knows no plan.

use crate::date_bounds::in_days;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchemaRef, ScalarValue};
use datafusion::logical_expr::expr::{Between, InList, Like};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use querygate_driver_api::lossless::drops_places;
use std::sync::Arc;

/// What a condition is to a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConjunctClass {
    /// May be evaluated on hidden rows: it neither raises nor can be observed.
    LeakProof,
    /// Stays above: it reads a column that a mask replaces.
    MaskedColumn,
    /// Stays above: a cast can raise, and its text quotes the value.
    Cast,
    /// Stays above: a function or an arithmetic operator.
    Computation,
    /// Stays above: a pattern that is not a plain constant.
    Pattern,
    /// Stays above: a subquery.
    Subquery,
    /// Stays above: anything else.
    Other,
}

impl ConjunctClass {
    /// For receipts: lower case, no value.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::LeakProof => "leak-proof",
            Self::MaskedColumn => "it reads a masked column",
            Self::Cast => "it casts a value",
            Self::Computation => "it computes",
            Self::Pattern => "its pattern is not a plain constant",
            Self::Subquery => "it holds a subquery",
            Self::Other => "it is not on the list of leak-proof conditions",
        }
    }
}

/// Whether a typed (coerced and simplified) condition may be evaluated beside the policy. Judge the coerced form: in a
/// bound plan `note = 22` hides a cast of the column.
pub fn is_leak_proof(expr: &Expr, unmasked: impl Fn(&Column) -> bool) -> bool {
    classify_conjunct(expr, unmasked) == ConjunctClass::LeakProof
}

/// Classifies a typed (coerced and simplified) condition. `unmasked` says whether a column is the source's own.
pub fn classify_conjunct(expr: &Expr, unmasked: impl Fn(&Column) -> bool) -> ConjunctClass {
    match condition(expr, &unmasked) {
        Ok(()) => ConjunctClass::LeakProof,
        Err(class) => class,
    }
}

/// As [`is_leak_proof`] of a coerced condition that is not simplified yet, where no column is masked: `CAST(a AS
/// bigint) = 5` over an integer column is `a = 5`.
pub(crate) fn becomes_leak_proof(expr: &Expr, schema: &DFSchemaRef) -> bool {
    // Such a cast stays as it is written, and may fail.
    if expr.exists(|part| Ok(is_narrowing(part, schema))).unwrap_or(true) {
        return false;
    }
    let context = SimplifyContext::builder().with_schema(Arc::clone(schema)).build();
    let simplified = ExprSimplifier::new(context).simplify(expr.clone());
    let compared = simplified.and_then(|expr| in_days(expr, schema));
    compared.is_ok_and(|expr| is_leak_proof(&expr.data, |_| true))
}

/// Whether it casts a decimal to fewer places.
fn is_narrowing(expr: &Expr, schema: &DFSchemaRef) -> bool {
    let Expr::Cast(cast) = expr else { return false };
    let to = cast.field.data_type();
    to.is_decimal() && cast.expr.get_type(schema).is_ok_and(|from| drops_places(&from, to))
}

type Verdict = Result<(), ConjunctClass>;

/// A boolean expression of the list.
#[expect(deprecated, reason = "the wildcard variant is still in the enum")]
fn condition(expr: &Expr, unmasked: &dyn Fn(&Column) -> bool) -> Verdict {
    match expr {
        Expr::Alias(alias) => condition(&alias.expr, unmasked),
        Expr::Column(_) | Expr::Literal(..) | Expr::Placeholder(_) | Expr::OuterReferenceColumn(..) => {
            operand(expr, unmasked)
        }
        Expr::Not(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsNotUnknown(inner) => condition(inner, unmasked),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => condition(inner, unmasked),
        Expr::BinaryExpr(binary) => connective(binary, unmasked),
        Expr::Between(Between { expr, low, high, negated: _ }) => {
            operand(expr, unmasked)?;
            operand(low, unmasked)?;
            operand(high, unmasked)
        }
        Expr::InList(InList { expr, list, negated: _ }) => {
            operand(expr, unmasked)?;
            list.iter().try_for_each(|item| operand(item, unmasked))
        }
        Expr::Like(like) => pattern(like, unmasked),
        Expr::SimilarTo(_) => Err(ConjunctClass::Pattern),
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::ScalarSubquery(_) => {
            Err(ConjunctClass::Subquery)
        }
        Expr::Cast(_) | Expr::TryCast(_) => Err(ConjunctClass::Cast),
        Expr::Negative(_) | Expr::Case(_) | Expr::ScalarFunction(_) | Expr::HigherOrderFunction(_) => {
            Err(ConjunctClass::Computation)
        }
        Expr::ScalarVariable(..)
        | Expr::AggregateFunction(_)
        | Expr::WindowFunction(_)
        | Expr::Wildcard { .. }
        | Expr::GroupingSet(_)
        | Expr::Unnest(_)
        | Expr::Lambda(_)
        | Expr::LambdaVariable(_) => Err(ConjunctClass::Other),
    }
}

/// AND, OR, and the comparisons. AND and OR chains are walked without recursion on their left spine.
fn connective(binary: &BinaryExpr, unmasked: &dyn Fn(&Column) -> bool) -> Verdict {
    match binary.op {
        Operator::And | Operator::Or => {
            let mut left = binary;
            loop {
                condition(&left.right, unmasked)?;
                match left.left.as_ref() {
                    Expr::BinaryExpr(next) if matches!(next.op, Operator::And | Operator::Or) => left = next,
                    first => return condition(first, unmasked),
                }
            }
        }
        Operator::Eq
        | Operator::NotEq
        | Operator::Lt
        | Operator::LtEq
        | Operator::Gt
        | Operator::GtEq
        | Operator::IsDistinctFrom
        | Operator::IsNotDistinctFrom => {
            operand(&binary.left, unmasked)?;
            operand(&binary.right, unmasked)
        }
        Operator::RegexMatch
        | Operator::RegexIMatch
        | Operator::RegexNotMatch
        | Operator::RegexNotIMatch
        | Operator::LikeMatch
        | Operator::ILikeMatch
        | Operator::NotLikeMatch
        | Operator::NotILikeMatch => Err(ConjunctClass::Pattern),
        Operator::Plus
        | Operator::Minus
        | Operator::Multiply
        | Operator::Divide
        | Operator::Modulo
        | Operator::BitwiseAnd
        | Operator::BitwiseOr
        | Operator::BitwiseXor
        | Operator::BitwiseShiftRight
        | Operator::BitwiseShiftLeft
        | Operator::StringConcat
        | Operator::AtArrow
        | Operator::ArrowAt
        | Operator::Arrow
        | Operator::LongArrow
        | Operator::HashArrow
        | Operator::HashLongArrow
        | Operator::AtAt
        | Operator::IntegerDivide
        | Operator::HashMinus
        | Operator::AtQuestion
        | Operator::Question
        | Operator::QuestionAnd
        | Operator::QuestionPipe
        | Operator::Colon => Err(ConjunctClass::Computation),
    }
}

/// A bare value: a column, a constant, a parameter, a column of an outer query (a value here).
fn operand(expr: &Expr, unmasked: &dyn Fn(&Column) -> bool) -> Verdict {
    match expr {
        Expr::Alias(alias) => operand(&alias.expr, unmasked),
        Expr::Column(column) if unmasked(column) => Ok(()),
        Expr::Column(_) => Err(ConjunctClass::MaskedColumn),
        Expr::Literal(..) | Expr::Placeholder(_) | Expr::OuterReferenceColumn(..) => Ok(()),
        Expr::Cast(_) | Expr::TryCast(_) => Err(ConjunctClass::Cast),
        Expr::ScalarSubquery(_) => Err(ConjunctClass::Subquery),
        _ => Err(ConjunctClass::Computation),
    }
}

/// A longer pattern may become a regular expression that is too large to compile: an error, and only where a row is met.
const PATTERN_BYTES_MAX: usize = 1_000;

/// Case-sensitive, without ESCAPE, a constant pattern that does not end with a backslash (some sources raise there).
fn pattern(like: &Like, unmasked: &dyn Fn(&Column) -> bool) -> Verdict {
    operand(&like.expr, unmasked)?;
    let Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text), _) =
        like.pattern.as_ref()
    else {
        return Err(ConjunctClass::Pattern);
    };
    let plain = text.as_ref().is_none_or(|text| !text.ends_with('\\') && text.len() <= PATTERN_BYTES_MAX);
    if plain && like.escape_char.is_none() && !like.case_insensitive { Ok(()) } else { Err(ConjunctClass::Pattern) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::DataType;
    use datafusion::logical_expr::{cast, col, lit, placeholder};

    fn class(expr: &Expr) -> ConjunctClass {
        classify_conjunct(expr, |column| column.name != "masked")
    }

    #[test]
    fn the_list_is_leak_proof() {
        let like = |pattern: &str| col("a").like(lit(pattern));
        for expr in [
            col("a").eq(lit(1)),
            col("a").not_eq(col("b")),
            col("a").lt(placeholder("$1")).or(col("b").gt_eq(lit(2)).and(col("c"))),
            datafusion::logical_expr::not(col("a").lt_eq(lit(2))),
            col("a").is_null(),
            col("a").is_not_null(),
            col("a").eq(lit(1)).is_true(),
            col("a").is_not_unknown(),
            col("a").between(lit(1), lit(2)),
            col("a").in_list(vec![lit(1), lit(2)], true),
            like("x%\\_"),
            like(&"x".repeat(PATTERN_BYTES_MAX)),
        ] {
            assert_eq!(class(&expr), ConjunctClass::LeakProof, "{expr}");
        }
    }

    #[test]
    fn everything_else_stays_above() {
        let ilike = col("a").ilike(lit("x%"));
        for (expr, expected) in [
            (col("masked").eq(lit(1)), ConjunctClass::MaskedColumn),
            (col("a").eq(lit(1)).and(col("masked").is_null()), ConjunctClass::MaskedColumn),
            (cast(col("a"), DataType::Int64).eq(lit(1_i64)), ConjunctClass::Cast),
            ((col("a") / lit(2)).eq(lit(1)), ConjunctClass::Computation),
            (col("a").eq(-col("b")), ConjunctClass::Computation),
            (col("a").like(col("b")), ConjunctClass::Pattern),
            (col("a").like(lit("x\\")), ConjunctClass::Pattern),
            (col("a").like(lit("x".repeat(PATTERN_BYTES_MAX + 1))), ConjunctClass::Pattern),
            (ilike, ConjunctClass::Pattern),
            (col("a").like(placeholder("$1")), ConjunctClass::Pattern),
        ] {
            assert_eq!(class(&expr), expected, "{expr}");
        }
    }

    #[test]
    fn long_chains_do_not_recurse() {
        let mut chain = col("a").eq(lit(0));
        for i in 1..2_000 {
            chain = chain.or(col("a").eq(lit(i)));
        }
        assert_eq!(class(&chain), ConjunctClass::LeakProof);
    }
}
