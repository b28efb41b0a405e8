//! Relations of a fragment: the closed algebra that every driver compiles. Knows neither SQL nor DataFusion.

use crate::aggregate::{AggregateExpr, WindowExpr};
use crate::identifier::{ColumnId, Identifier, TableRef};
use crate::scalar::{Held, ScalarExpr};
use crate::value::ValueType;
use std::sync::Arc;

/// A relational operator. Rows are a bag; an order exists only where `Sort` is reached from the root of the fragment,
/// or from a `Limit`, through `Limit` and `Project` alone.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "inputs, expressions and columns are of the types that they say")]
pub enum Relation {
    /// Columns of a remote table.
    Scan { table: TableRef, columns: Vec<ScanColumn> },
    /// Rows for which the predicate is TRUE.
    Filter { input: Box<Relation>, predicate: ScalarExpr },
    /// Exactly these columns. `(id, Column(id))` hands a column on under its own id; every other id is new.
    Project { input: Box<Relation>, exprs: Vec<(ColumnId, ScalarExpr)> },
    /// Output: left columns, then right ones (semi and anti: left only). A cross join is Inner on TRUE.
    Join { kind: JoinKind, left: Box<Relation>, right: Box<Relation>, on: ScalarExpr },
    /// Output: groups, then aggregates. NULLs are one group. Without groups: one row, also over nothing.
    Aggregate { input: Box<Relation>, group: Vec<(ColumnId, ScalarExpr)>, aggregates: Vec<(ColumnId, AggregateExpr)> },
    /// One of each group of rows that are equal in all columns (NULL equals NULL).
    Distinct { input: Box<Relation> },
    /// The rows in an order; those that are equal in all keys in any.
    Sort { input: Box<Relation>, keys: Vec<SortKey> },
    /// Skips rows, then lets at most `fetch` through.
    Limit { input: Box<Relation>, skip: u64, fetch: Option<u64> },
    /// Both inputs have as many columns as `columns`, of equal types, matched by position. NULL equals NULL.
    SetOperation { op: SetOp, all: bool, columns: Vec<ColumnId>, left: Box<Relation>, right: Box<Relation> },
    /// Input columns, then one more for each expression.
    Window { input: Box<Relation>, exprs: Vec<(ColumnId, WindowExpr)> },
    /// A fence: the rows of its input. Nothing above is evaluated before every row decision below is made.
    Fence { input: Box<Relation> },
    /// Rows of parameters and constants, at least one.
    Values { columns: Vec<(ColumnId, ValueType)>, rows: Vec<Vec<ScalarExpr>> },
    /// One row without columns.
    EmptyRow,
}

/// A column that a scan reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanColumn {
    /// What the rest of the fragment names it by.
    pub id: ColumnId,
    /// Its name in the source.
    pub name: Identifier,
    /// Type of the values that it delivers.
    pub value_type: ValueType,
    /// NULL may be among them.
    pub nullable: bool,
    /// How the source compares it.
    pub collation: Collation,
    /// How the source stores it.
    pub encoding: Encoding,
}

/// How the source itself would compare a text column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Collation {
    /// By code point, as we do. Also for every column that is not text.
    Binary,
    /// Some other way, by the source's own name for it; the driver must override it or refuse.
    Named(Arc<str>),
}

/// How a column's values are stored, where that is not the driver's own form of the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The driver's one canonical form for the value type: every supported operator is exact on it.
    Canonical,
    /// Text, parsed on reading: digits of a decimal, ISO 8601 in any of its forms.
    Text,
    /// A double, rounded half away from zero to the declared scale on reading.
    Double,
    /// Whole seconds since 1970-01-01T00:00:00Z.
    EpochSeconds,
    /// Whole milliseconds since 1970-01-01T00:00:00Z.
    EpochMillis,
    /// A JSON array of texts.
    Json,
    /// The canonical form; the source itself is asked for NULL where a value is none of the type.
    CanonicalOrNull,
    /// The other form; what is no value of the type is NULL once it is read, and is something else to the source.
    OrNull(&'static Encoding),
}

impl Encoding {
    /// Whether expressions over the column may be pushed. Other columns can only be handed on, counted and tested for
    /// NULL.
    #[must_use]
    pub const fn is_exact(self) -> bool {
        matches!(self, Self::Canonical | Self::CanonicalOrNull)
    }

    /// Whether the source finds NULL exactly where reading does.
    #[must_use]
    pub const fn is_null_exact(self) -> bool {
        !matches!(self, Self::OrNull(_))
    }

    /// Whether reading gives NULL for values that are there.
    #[must_use]
    pub const fn makes_null(self) -> bool {
        matches!(self, Self::CanonicalOrNull | Self::OrNull(_))
    }

    /// The form of the values that are there, whatever is read in place of others.
    #[must_use]
    pub const fn stored(self) -> Self {
        match self {
            Self::CanonicalOrNull => Self::Canonical,
            Self::OrNull(form) => *form,
            own => own,
        }
    }

    /// This form, with NULL in place of what is no value of the type once it is read.
    #[must_use]
    pub const fn or_null(self) -> Self {
        match self {
            Self::Canonical | Self::CanonicalOrNull => Self::OrNull(&Self::Canonical),
            Self::Text => Self::OrNull(&Self::Text),
            Self::Double => Self::OrNull(&Self::Double),
            Self::EpochSeconds => Self::OrNull(&Self::EpochSeconds),
            Self::EpochMillis => Self::OrNull(&Self::EpochMillis),
            Self::Json => Self::OrNull(&Self::Json),
            Self::OrNull(_) => self,
        }
    }
}

/// A join. `on` decides a match when it is TRUE; semi and anti are EXISTS and NOT EXISTS (`NOT IN` is
/// [`ScalarExpr::InSubquery`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the joins of SQL")]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    LeftSemi,
    LeftAnti,
}

/// A set operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the operations of SQL")]
pub enum SetOp {
    Union,
    Intersect,
    Except,
}

/// One key of an order. Text by code point; NaN is the largest float.
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    /// What is compared.
    pub expr: ScalarExpr,
    /// Least first.
    pub ascending: bool,
    /// Where NULLs stand, whatever the direction.
    pub nulls_first: bool,
}

impl Relation {
    /// Direct inputs, left to right.
    #[must_use]
    pub fn inputs(&self) -> Vec<&Self> {
        match self {
            Self::Scan { .. } | Self::Values { .. } | Self::EmptyRow => Vec::new(),
            Self::Filter { input, .. }
            | Self::Project { input, .. }
            | Self::Aggregate { input, .. }
            | Self::Distinct { input }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. }
            | Self::Window { input, .. }
            | Self::Fence { input } => vec![input],
            Self::Join { left, right, .. } | Self::SetOperation { left, right, .. } => vec![left, right],
        }
    }

    /// Scalar expressions of this operator itself, aggregate and window arguments included.
    #[must_use]
    pub fn scalars(&self) -> Vec<&ScalarExpr> {
        match self {
            Self::Scan { .. }
            | Self::Distinct { .. }
            | Self::Limit { .. }
            | Self::SetOperation { .. }
            | Self::Fence { .. }
            | Self::EmptyRow => Vec::new(),
            Self::Filter { predicate, .. } => vec![predicate],
            Self::Project { exprs, .. } => exprs.iter().map(|(_, expr)| expr).collect(),
            Self::Join { on, .. } => vec![on],
            Self::Aggregate { group, aggregates, .. } => {
                let arguments = aggregates.iter().flat_map(|(_, aggregate)| aggregate.scalars());
                group.iter().map(|(_, expr)| expr).chain(arguments).collect()
            }
            Self::Sort { keys, .. } => keys.iter().map(|key| &key.expr).collect(),
            Self::Window { exprs, .. } => exprs.iter().flat_map(|(_, window)| window.scalars()).collect(),
            Self::Values { rows, .. } => rows.iter().flatten().collect(),
        }
    }

    /// Columns that the operator delivers, in order.
    #[must_use]
    pub fn output(&self) -> Vec<ColumnId> {
        match self {
            Self::Scan { columns, .. } => columns.iter().map(|column| column.id).collect(),
            Self::Filter { input, .. }
            | Self::Distinct { input }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. }
            | Self::Fence { input } => input.output(),
            Self::Project { exprs, .. } => exprs.iter().map(|(id, _)| *id).collect(),
            Self::Join { kind, left, right, .. } => match kind {
                JoinKind::LeftSemi | JoinKind::LeftAnti => left.output(),
                JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full => {
                    left.output().into_iter().chain(right.output()).collect()
                }
            },
            Self::Aggregate { group, aggregates, .. } => {
                group.iter().map(|(id, _)| *id).chain(aggregates.iter().map(|(id, _)| *id)).collect()
            }
            Self::SetOperation { columns, .. } => columns.clone(),
            Self::Window { input, exprs } => {
                input.output().into_iter().chain(exprs.iter().map(|(id, _)| *id)).collect()
            }
            Self::Values { columns, .. } => columns.iter().map(|(id, _)| *id).collect(),
            Self::EmptyRow => Vec::new(),
        }
    }

    /// Columns that this operator defines itself, as opposed to those it hands on.
    #[must_use]
    pub fn defined(&self) -> Vec<ColumnId> {
        let computed = |exprs: &[(ColumnId, ScalarExpr)]| {
            let new = exprs.iter().filter(|(id, expr)| *expr != ScalarExpr::Column(*id));
            new.map(|(id, _)| *id).collect::<Vec<_>>()
        };
        match self {
            Self::Scan { columns, .. } => columns.iter().map(|column| column.id).collect(),
            Self::Project { exprs, .. } => computed(exprs),
            Self::Aggregate { group, aggregates, .. } => {
                computed(group).into_iter().chain(aggregates.iter().map(|(id, _)| *id)).collect()
            }
            Self::SetOperation { columns, .. } => columns.clone(),
            Self::Window { exprs, .. } => exprs.iter().map(|(id, _)| *id).collect(),
            Self::Values { columns, .. } => columns.iter().map(|(id, _)| *id).collect(),
            Self::Filter { .. }
            | Self::Join { .. }
            | Self::Distinct { .. }
            | Self::Sort { .. }
            | Self::Limit { .. }
            | Self::Fence { .. }
            | Self::EmptyRow => Vec::new(),
        }
    }

    /// Whether some expression in it, at any depth, can raise, where each column holds values of its type only.
    #[must_use]
    pub fn can_fail(&self) -> bool {
        self.can_fail_over(Held::OfType)
    }

    /// Whether some expression in it, at any depth, can raise over a source whose columns hold this.
    #[must_use]
    pub fn can_fail_over(&self, held: Held) -> bool {
        let aggregates = match self {
            Self::Aggregate { aggregates, .. } => aggregates.iter().any(|(_, aggregate)| aggregate.can_fail()),
            Self::Window { exprs, .. } => exprs.iter().any(|(_, window)| window.can_fail()),
            _ => false,
        };
        aggregates
            || self.scalars().into_iter().any(|expr| expr.can_fail_over(held))
            || self.inputs().into_iter().any(|input| input.can_fail_over(held))
    }
}
