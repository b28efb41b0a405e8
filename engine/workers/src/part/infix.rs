//! Operators between two operands, in a closed form.

use datafusion::logical_expr::Operator;
use serde::{Deserialize, Serialize};

/// What is made of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Infix {
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
    Plus,
    Minus,
    Multiply,
    Divide,
    Modulo,
    RegexMatch,
    RegexIMatch,
    RegexNotMatch,
    RegexNotIMatch,
    LikeMatch,
    ILikeMatch,
    NotLikeMatch,
    NotILikeMatch,
    BitwiseAnd,
    BitwiseOr,
    BitwiseXor,
    BitwiseShiftRight,
    BitwiseShiftLeft,
    StringConcat,
}

impl Infix {
    /// `None`: it has no form.
    pub(super) const fn of(op: Operator) -> Option<Self> {
        Some(match op {
            Operator::And => Self::And,
            Operator::Or => Self::Or,
            Operator::Eq => Self::Eq,
            Operator::NotEq => Self::NotEq,
            Operator::Lt => Self::Lt,
            Operator::LtEq => Self::LtEq,
            Operator::Gt => Self::Gt,
            Operator::GtEq => Self::GtEq,
            Operator::IsDistinctFrom => Self::IsDistinctFrom,
            Operator::IsNotDistinctFrom => Self::IsNotDistinctFrom,
            Operator::Plus => Self::Plus,
            Operator::Minus => Self::Minus,
            Operator::Multiply => Self::Multiply,
            Operator::Divide => Self::Divide,
            Operator::Modulo => Self::Modulo,
            Operator::RegexMatch => Self::RegexMatch,
            Operator::RegexIMatch => Self::RegexIMatch,
            Operator::RegexNotMatch => Self::RegexNotMatch,
            Operator::RegexNotIMatch => Self::RegexNotIMatch,
            Operator::LikeMatch => Self::LikeMatch,
            Operator::ILikeMatch => Self::ILikeMatch,
            Operator::NotLikeMatch => Self::NotLikeMatch,
            Operator::NotILikeMatch => Self::NotILikeMatch,
            Operator::BitwiseAnd => Self::BitwiseAnd,
            Operator::BitwiseOr => Self::BitwiseOr,
            Operator::BitwiseXor => Self::BitwiseXor,
            Operator::BitwiseShiftRight => Self::BitwiseShiftRight,
            Operator::BitwiseShiftLeft => Self::BitwiseShiftLeft,
            Operator::StringConcat => Self::StringConcat,
            Operator::AtArrow
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
            | Operator::Colon => return None,
        })
    }

    pub(super) const fn operator(self) -> Operator {
        match self {
            Self::And => Operator::And,
            Self::Or => Operator::Or,
            Self::Eq => Operator::Eq,
            Self::NotEq => Operator::NotEq,
            Self::Lt => Operator::Lt,
            Self::LtEq => Operator::LtEq,
            Self::Gt => Operator::Gt,
            Self::GtEq => Operator::GtEq,
            Self::IsDistinctFrom => Operator::IsDistinctFrom,
            Self::IsNotDistinctFrom => Operator::IsNotDistinctFrom,
            Self::Plus => Operator::Plus,
            Self::Minus => Operator::Minus,
            Self::Multiply => Operator::Multiply,
            Self::Divide => Operator::Divide,
            Self::Modulo => Operator::Modulo,
            Self::RegexMatch => Operator::RegexMatch,
            Self::RegexIMatch => Operator::RegexIMatch,
            Self::RegexNotMatch => Operator::RegexNotMatch,
            Self::RegexNotIMatch => Operator::RegexNotIMatch,
            Self::LikeMatch => Operator::LikeMatch,
            Self::ILikeMatch => Operator::ILikeMatch,
            Self::NotLikeMatch => Operator::NotLikeMatch,
            Self::NotILikeMatch => Operator::NotILikeMatch,
            Self::BitwiseAnd => Operator::BitwiseAnd,
            Self::BitwiseOr => Operator::BitwiseOr,
            Self::BitwiseXor => Operator::BitwiseXor,
            Self::BitwiseShiftRight => Operator::BitwiseShiftRight,
            Self::BitwiseShiftLeft => Operator::BitwiseShiftLeft,
            Self::StringConcat => Operator::StringConcat,
        }
    }
}
