//! Aggregate and window functions, each with its written semantics.
//!
//! Unless a function says otherwise, NULL arguments are ignored and no row (or only NULLs) gives NULL.

use crate::relation::SortKey;
use crate::scalar::ScalarExpr;
use crate::value::ValueType;

/// An aggregate call.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateExpr {
    /// What is computed.
    pub function: AggregateFunction,
    /// None for `CountStar`, one for the others.
    pub args: Vec<ScalarExpr>,
    /// Over the distinct values only (text by code point).
    pub distinct: bool,
    /// Only rows for which it is TRUE.
    pub filter: Option<ScalarExpr>,
    /// Type of the result.
    pub value_type: ValueType,
}

/// An aggregate function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// Number of rows, 0 for none: bigint.
    CountStar,
    /// Number of values that are not NULL, 0 for none: bigint.
    Count,
    /// Integers give bigint and raise 22003 beyond it; decimals keep their scale; floats are approximate, since the
    /// order of addition is free.
    Sum,
    /// Text by code point; NaN is the largest float.
    Min,
    /// Text by code point; NaN is the largest float.
    Max,
    /// Integers and floats give double precision (approximate, as sum). Decimals: the exact sum divided by the count, cut
    /// towards zero to the result's scale.
    Avg,
    /// TRUE if all are.
    BoolAnd,
    /// TRUE if any is.
    BoolOr,
    /// Sample standard deviation, double precision, approximate; NULL for one value.
    StddevSamp,
    /// Population standard deviation.
    StddevPop,
    /// Sample variance.
    VarSamp,
    /// Population variance.
    VarPop,
}

/// A window call.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowExpr {
    /// What is computed.
    pub function: WindowFunction,
    /// As many as the function takes.
    pub args: Vec<ScalarExpr>,
    /// Rows equal in these are one partition; none: all rows are.
    pub partition_by: Vec<ScalarExpr>,
    /// Order within a partition; rows equal in it are peers.
    pub order_by: Vec<SortKey>,
    /// Rows of the partition that a function of a frame sees.
    pub frame: WindowFrame,
    /// Type of the result.
    pub value_type: ValueType,
}

/// A window function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the functions of SQL, whose arguments they take")]
pub enum WindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    /// One argument: the number of buckets.
    Ntile,
    /// Value, or value and offset (no default).
    Lag,
    Lead,
    FirstValue,
    LastValue,
    NthValue,
    Aggregate(AggregateFunction),
}

/// The rows a window function sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowFrame {
    /// What its bounds count.
    pub units: FrameUnits,
    /// The first row.
    pub start: FrameBound,
    /// The last row, included.
    pub end: FrameBound,
}

/// What frame bounds count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameUnits {
    /// Rows.
    Rows,
    /// Peers; only with unbounded and current-row bounds.
    Range,
}

/// A frame bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the bounds of SQL")]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(u32),
    CurrentRow,
    Following(u32),
    UnboundedFollowing,
}

impl AggregateExpr {
    /// Arguments and filter.
    pub fn scalars(&self) -> impl Iterator<Item = &ScalarExpr> {
        self.args.iter().chain(&self.filter)
    }

    /// Whether the aggregate itself can raise (its arguments are asked separately).
    #[must_use]
    pub fn can_fail(&self) -> bool {
        self.function.can_fail()
    }
}

impl AggregateFunction {
    /// Name in refusals and receipts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CountStar | Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::BoolAnd => "bool_and",
            Self::BoolOr => "bool_or",
            Self::StddevSamp => "stddev_samp",
            Self::StddevPop => "stddev_pop",
            Self::VarSamp => "var_samp",
            Self::VarPop => "var_pop",
        }
    }

    const fn can_fail(self) -> bool {
        match self {
            Self::Sum | Self::Avg => true,
            Self::CountStar
            | Self::Count
            | Self::Min
            | Self::Max
            | Self::BoolAnd
            | Self::BoolOr
            | Self::StddevSamp
            | Self::StddevPop
            | Self::VarSamp
            | Self::VarPop => false,
        }
    }
}

impl WindowExpr {
    /// Arguments, partition and order.
    pub fn scalars(&self) -> impl Iterator<Item = &ScalarExpr> {
        self.args.iter().chain(&self.partition_by).chain(self.order_by.iter().map(|key| &key.expr))
    }

    /// Whether the function itself can raise.
    #[must_use]
    pub fn can_fail(&self) -> bool {
        match self.function {
            WindowFunction::Aggregate(function) => function.can_fail(),
            WindowFunction::Ntile | WindowFunction::NthValue => true,
            WindowFunction::RowNumber
            | WindowFunction::Rank
            | WindowFunction::DenseRank
            | WindowFunction::PercentRank
            | WindowFunction::CumeDist
            | WindowFunction::Lag
            | WindowFunction::Lead
            | WindowFunction::FirstValue
            | WindowFunction::LastValue => false,
        }
    }
}
