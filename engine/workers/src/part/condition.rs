//! Conditions of a leaf in a closed form: what policies are lowered to, and what readers may put beside them. An expression of any
//! other form is not sent.

use datafusion::common::{Column, ScalarValue};
use datafusion::functions::expr_fn::{contains, ends_with, starts_with, translate};
use datafusion::functions::string;
use datafusion::functions::unicode;
use datafusion::functions_nested::array_has::array_has_udf;
use datafusion::functions_nested::expr_fn::array_has;
use datafusion::logical_expr::expr::{Between, InList, Like};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, ScalarUDF, binary_expr};
use querygate_types::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How deep a condition may nest.
const DEPTH_MAX: usize = 128;

/// One condition or operand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Condition {
    Column(String),
    /// A value by its number.
    Value(u32),
    Test(Test, Box<Condition>),
    Pair(Box<Condition>, Pair, Box<Condition>),
    Between {
        of: Box<Condition>,
        low: Box<Condition>,
        high: Box<Condition>,
        negated: bool,
    },
    In {
        of: Box<Condition>,
        list: Vec<Condition>,
        negated: bool,
    },
    Like {
        of: Box<Condition>,
        pattern: Box<Condition>,
        negated: bool,
    },
    Call(Call, Vec<Condition>),
}

/// What is asked of one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Test {
    Not,
    IsNull,
    IsNotNull,
    IsTrue,
    IsNotTrue,
    IsFalse,
    IsNotFalse,
    IsUnknown,
    IsNotUnknown,
}

/// What is made of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Pair {
    And,
    Or,
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    IsDistinctFrom,
    IsNotDistinctFrom,
    /// Days after a date.
    Plus,
}

/// Functions that policies are lowered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Call {
    Contains,
    StartsWith,
    EndsWith,
    Translate,
    ArrayHas,
}

/// Why a leaf stays in the gate.
const OTHER: &str = "one of its conditions has no form that workers are sent";

type Sent<T> = std::result::Result<T, &'static str>;

/// Expressions in their closed form, their values put aside.
#[derive(Debug, Default)]
pub(super) struct Closing {
    pub(super) values: Vec<ScalarValue>,
}

impl Closing {
    pub(super) fn closed(&mut self, expr: &Expr) -> Sent<Condition> {
        self.at(expr, 0)
    }

    #[expect(deprecated, reason = "the wildcard variant is still in the enum")]
    fn at(&mut self, expr: &Expr, depth: usize) -> Sent<Condition> {
        if depth > DEPTH_MAX {
            return Err("one of its conditions nests too deep");
        }
        let depth = depth + 1;
        Ok(match expr {
            Expr::Column(column) => Condition::Column(column.name.clone()),
            Expr::Literal(value, _) => {
                let number = u32::try_from(self.values.len()).map_err(|_| OTHER)?;
                self.values.push(value.clone());
                Condition::Value(number)
            }
            Expr::Alias(alias) => self.at(&alias.expr, depth)?,
            Expr::Not(of) => self.test(Test::Not, of, depth)?,
            Expr::IsNull(of) => self.test(Test::IsNull, of, depth)?,
            Expr::IsNotNull(of) => self.test(Test::IsNotNull, of, depth)?,
            Expr::IsTrue(of) => self.test(Test::IsTrue, of, depth)?,
            Expr::IsNotTrue(of) => self.test(Test::IsNotTrue, of, depth)?,
            Expr::IsFalse(of) => self.test(Test::IsFalse, of, depth)?,
            Expr::IsNotFalse(of) => self.test(Test::IsNotFalse, of, depth)?,
            Expr::IsUnknown(of) => self.test(Test::IsUnknown, of, depth)?,
            Expr::IsNotUnknown(of) => self.test(Test::IsNotUnknown, of, depth)?,
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (left, right) = (self.at(left, depth)?, self.at(right, depth)?);
                Condition::Pair(Box::new(left), pair(*op)?, Box::new(right))
            }
            Expr::Between(Between { expr, negated, low, high }) => Condition::Between {
                of: Box::new(self.at(expr, depth)?),
                low: Box::new(self.at(low, depth)?),
                high: Box::new(self.at(high, depth)?),
                negated: *negated,
            },
            Expr::InList(InList { expr, list, negated }) => Condition::In {
                of: Box::new(self.at(expr, depth)?),
                list: list.iter().map(|item| self.at(item, depth)).collect::<Sent<_>>()?,
                negated: *negated,
            },
            Expr::Like(Like { negated, expr, pattern, escape_char: None, case_insensitive: false }) => {
                Condition::Like {
                    of: Box::new(self.at(expr, depth)?),
                    pattern: Box::new(self.at(pattern, depth)?),
                    negated: *negated,
                }
            }
            Expr::ScalarFunction(call) => {
                let args = call.args.iter().map(|arg| self.at(arg, depth)).collect::<Sent<_>>()?;
                Condition::Call(named(&call.func)?, args)
            }
            Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::Cast(_)
            | Expr::TryCast(_)
            | Expr::Negative(_)
            | Expr::Case(_)
            | Expr::HigherOrderFunction(_)
            | Expr::Placeholder(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::SetComparison(_)
            | Expr::ScalarSubquery(_)
            | Expr::ScalarVariable(..)
            | Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::Wildcard { .. }
            | Expr::GroupingSet(_)
            | Expr::Unnest(_)
            | Expr::Lambda(_)
            | Expr::LambdaVariable(_) => return Err(OTHER),
        })
    }

    fn test(&mut self, test: Test, of: &Expr, depth: usize) -> Sent<Condition> {
        Ok(Condition::Test(test, Box::new(self.at(of, depth)?)))
    }
}

fn pair(op: Operator) -> Sent<Pair> {
    Ok(match op {
        Operator::And => Pair::And,
        Operator::Or => Pair::Or,
        Operator::Eq => Pair::Eq,
        Operator::NotEq => Pair::NotEq,
        Operator::Lt => Pair::Lt,
        Operator::LtEq => Pair::LtEq,
        Operator::Gt => Pair::Gt,
        Operator::GtEq => Pair::GtEq,
        Operator::IsDistinctFrom => Pair::IsDistinctFrom,
        Operator::IsNotDistinctFrom => Pair::IsNotDistinctFrom,
        Operator::Plus => Pair::Plus,
        Operator::RegexMatch
        | Operator::RegexIMatch
        | Operator::RegexNotMatch
        | Operator::RegexNotIMatch
        | Operator::LikeMatch
        | Operator::ILikeMatch
        | Operator::NotLikeMatch
        | Operator::NotILikeMatch
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
        | Operator::Colon => return Err(OTHER),
    })
}

const fn operator(pair: Pair) -> Operator {
    match pair {
        Pair::And => Operator::And,
        Pair::Or => Operator::Or,
        Pair::Eq => Operator::Eq,
        Pair::NotEq => Operator::NotEq,
        Pair::Lt => Operator::Lt,
        Pair::LtEq => Operator::LtEq,
        Pair::Gt => Operator::Gt,
        Pair::GtEq => Operator::GtEq,
        Pair::IsDistinctFrom => Operator::IsDistinctFrom,
        Pair::IsNotDistinctFrom => Operator::IsNotDistinctFrom,
        Pair::Plus => Operator::Plus,
    }
}

/// The function itself, not one of its name.
fn named(function: &Arc<ScalarUDF>) -> Sent<Call> {
    let known = [
        (string::contains(), Call::Contains),
        (string::starts_with(), Call::StartsWith),
        (string::ends_with(), Call::EndsWith),
        (unicode::translate(), Call::Translate),
        (array_has_udf(), Call::ArrayHas),
    ];
    known.into_iter().find(|(own, _)| own == function).map(|(_, call)| call).ok_or(OTHER)
}

/// The expression of a condition.
pub(super) fn opened(condition: &Condition, values: &[ScalarValue]) -> Result<Expr> {
    let open = |condition: &Condition| opened(condition, values);
    let boxed = |condition: &Condition| open(condition).map(Box::new);
    Ok(match condition {
        Condition::Column(name) => Expr::Column(Column::new_unqualified(name)),
        Condition::Value(number) => {
            let value = usize::try_from(*number).ok().and_then(|number| values.get(number));
            Expr::Literal(value.cloned().ok_or_else(|| Error::internal("a part lacks a value"))?, None)
        }
        Condition::Test(test, of) => {
            let of = boxed(of)?;
            match test {
                Test::Not => Expr::Not(of),
                Test::IsNull => Expr::IsNull(of),
                Test::IsNotNull => Expr::IsNotNull(of),
                Test::IsTrue => Expr::IsTrue(of),
                Test::IsNotTrue => Expr::IsNotTrue(of),
                Test::IsFalse => Expr::IsFalse(of),
                Test::IsNotFalse => Expr::IsNotFalse(of),
                Test::IsUnknown => Expr::IsUnknown(of),
                Test::IsNotUnknown => Expr::IsNotUnknown(of),
            }
        }
        Condition::Pair(left, pair, right) => binary_expr(open(left)?, operator(*pair), open(right)?),
        Condition::Between { of, low, high, negated } => {
            Expr::Between(Between::new(boxed(of)?, *negated, boxed(low)?, boxed(high)?))
        }
        Condition::In { of, list, negated } => {
            let list = list.iter().map(open).collect::<Result<_>>()?;
            Expr::InList(InList::new(boxed(of)?, list, *negated))
        }
        Condition::Like { of, pattern, negated } => {
            Expr::Like(Like::new(*negated, boxed(of)?, boxed(pattern)?, None, false))
        }
        Condition::Call(call, args) => {
            let args = args.iter().map(open).collect::<Result<Vec<_>>>()?;
            called(*call, args)?
        }
    })
}

fn called(call: Call, args: Vec<Expr>) -> Result<Expr> {
    let wrong = |_| Error::internal("a function of a part has another number of arguments");
    Ok(match call {
        Call::Contains => <[Expr; 2]>::try_from(args).map(|[text, part]| contains(text, part)).map_err(wrong)?,
        Call::StartsWith => <[Expr; 2]>::try_from(args).map(|[text, part]| starts_with(text, part)).map_err(wrong)?,
        Call::EndsWith => <[Expr; 2]>::try_from(args).map(|[text, part]| ends_with(text, part)).map_err(wrong)?,
        Call::Translate => {
            <[Expr; 3]>::try_from(args).map(|[text, from, to]| translate(text, from, to)).map_err(wrong)?
        }
        Call::ArrayHas => <[Expr; 2]>::try_from(args).map(|[list, item]| array_has(list, item)).map_err(wrong)?,
    })
}
