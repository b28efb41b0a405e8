//! For which types and arguments arithmetic and functions of the server are exact. Knows no operator of relations.

use crate::compile::capabilities::comparable;
use crate::compile::functions;
use querygate_driver_api::capability::{Refusal, RefusalReason, refuse};
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::scalar::{ArithmeticOp, ScalarExpr};
use querygate_driver_api::value::ValueType;
use querygate_sql::exact_if;

pub(crate) fn arithmetic(op: ArithmeticOp, left: ValueType, right: ValueType, to: ValueType) -> Result<(), Refusal> {
    match (op, to) {
        (ArithmeticOp::Divide | ArithmeticOp::Remainder, _) => {
            refuse(RefusalReason::Overflow, "the source gives NULL for division by zero")
        }
        (_, ValueType::Int64) | (ArithmeticOp::Add | ArithmeticOp::Subtract, ValueType::Float64) => Ok(()),
        (_, ValueType::Float64) => {
            refuse(RefusalReason::Overflow, "the source takes a product that is too small for zero")
        }
        (_, ValueType::Decimal128 { precision, scale }) => match (left, right) {
            (ValueType::Decimal128 { precision: p, scale: s }, ValueType::Decimal128 { precision: q, scale: t }) => {
                let (least, exact) = if op == ArithmeticOp::Multiply {
                    (i16::from(p) + i16::from(q), s + t)
                } else {
                    let exact = s.max(t);
                    let whole = (i16::from(p) - i16::from(s)).max(i16::from(q) - i16::from(t));
                    (whole + i16::from(exact) + 1, exact)
                };
                if exact == scale && i16::from(precision) >= least {
                    return Ok(());
                }
                refuse(RefusalReason::Overflow, "the source would not notice that this numeric overflows")
            }
            _ => refuse(RefusalReason::Type, "arithmetic on different types"),
        },
        (_, other) => refuse(RefusalReason::Overflow, format!("the source computes {} with 64 bits", other.name())),
    }
}

/// Whether the source's function is exact for these argument and result types.
pub(crate) fn function_types(function: ScalarFunction, args: &[ValueType], to: ValueType) -> Result<(), Refusal> {
    let first = args.first().copied().unwrap_or(to);
    let texts = || args.iter().all(|arg| *arg == ValueType::Text);
    let fits = match function {
        ScalarFunction::CharLength | ScalarFunction::OctetLength | ScalarFunction::StrPos => texts() && to.is_integer(),
        ScalarFunction::Substr | ScalarFunction::Left | ScalarFunction::Right => {
            first == ValueType::Text && args.iter().skip(1).all(|arg| arg.is_integer()) && to == ValueType::Text
        }
        ScalarFunction::Trim | ScalarFunction::LTrim | ScalarFunction::RTrim if args.len() > 1 => {
            return refuse(RefusalReason::Function, "the source trims a text, not a set of characters");
        }
        ScalarFunction::Trim
        | ScalarFunction::LTrim
        | ScalarFunction::RTrim
        | ScalarFunction::Replace
        | ScalarFunction::Concat
        | ScalarFunction::ConcatSkipNull => texts() && to == ValueType::Text,
        ScalarFunction::StartsWith | ScalarFunction::EndsWith | ScalarFunction::Contains => {
            texts() && to == ValueType::Boolean
        }
        ScalarFunction::Coalesce | ScalarFunction::NullIf => {
            comparable(first)?;
            args.iter().all(|arg| *arg == to)
        }
        ScalarFunction::Greatest | ScalarFunction::Least => {
            let ordered = to.is_integer() || matches!(to, ValueType::Float64 | ValueType::Text | ValueType::Date);
            ordered && args.iter().all(|arg| *arg == to)
        }
        ScalarFunction::Abs => first == to && matches!(to, ValueType::Int64 | ValueType::Float64),
        ScalarFunction::Sign => first == to && (to.is_integer() || to == ValueType::Float64),
        ScalarFunction::Round | ScalarFunction::Floor | ScalarFunction::Ceil | ScalarFunction::Trunc => {
            first == to && to == ValueType::Float64
        }
        ScalarFunction::DatePart(_) => to.is_integer(),
        ScalarFunction::DateTrunc(_) => first == to,
        ScalarFunction::BitAnd | ScalarFunction::BitOr | ScalarFunction::BitXor => {
            to.is_integer() && args.iter().all(|arg| *arg == to)
        }
        ScalarFunction::Upper | ScalarFunction::Lower => {
            return refuse(RefusalReason::Function, "the source changes case in another way");
        }
        ScalarFunction::OrderKey => {
            return refuse(RefusalReason::Function, "the source orders such values in another way");
        }
        ScalarFunction::Sqrt => {
            return refuse(RefusalReason::Function, "the source gives NULL for the root of a negative number");
        }
    };
    exact_if(fits, function.name(), first)?;
    if !matches!(function, ScalarFunction::DatePart(_) | ScalarFunction::DateTrunc(_)) {
        return Ok(());
    }
    match first {
        ValueType::Date | ValueType::Time | ValueType::Timestamp { .. } => functions::probe(function, first),
        other => refuse(RefusalReason::Type, format!("{} of {} is not exact", function.name(), other.name())),
    }
}

/// Functions that are exact only for some values of an argument need it as a parameter, to look at it when it is bound.
pub(crate) fn arguments(function: ScalarFunction, args: &[ScalarExpr]) -> Result<(), Refusal> {
    match function {
        ScalarFunction::Greatest | ScalarFunction::Least if args.len() > 2 => {
            return refuse(RefusalReason::Function, "the source skips NULLs only between two values");
        }
        ScalarFunction::Substr | ScalarFunction::Left | ScalarFunction::Right => {}
        ScalarFunction::CharLength
        | ScalarFunction::OctetLength
        | ScalarFunction::Upper
        | ScalarFunction::Lower
        | ScalarFunction::Trim
        | ScalarFunction::LTrim
        | ScalarFunction::RTrim
        | ScalarFunction::Replace
        | ScalarFunction::StrPos
        | ScalarFunction::StartsWith
        | ScalarFunction::EndsWith
        | ScalarFunction::Contains
        | ScalarFunction::Concat
        | ScalarFunction::ConcatSkipNull
        | ScalarFunction::Coalesce
        | ScalarFunction::NullIf
        | ScalarFunction::Greatest
        | ScalarFunction::Least
        | ScalarFunction::Abs
        | ScalarFunction::Floor
        | ScalarFunction::Ceil
        | ScalarFunction::Trunc
        | ScalarFunction::Round
        | ScalarFunction::Sign
        | ScalarFunction::Sqrt
        | ScalarFunction::DatePart(_)
        | ScalarFunction::DateTrunc(_)
        | ScalarFunction::BitAnd
        | ScalarFunction::BitOr
        | ScalarFunction::BitXor
        | ScalarFunction::OrderKey => return Ok(()),
    }
    if args.iter().skip(1).all(|arg| matches!(arg, ScalarExpr::Parameter(..))) {
        return Ok(());
    }
    let text = format!("{} with a computed argument is not exact in the source", function.name());
    refuse(RefusalReason::Function, text)
}
