//! The closed, two-valued boolean algebra of row filters over the columns of one object. Knows no SQL and no engine.

mod evaluate;
mod reference;
mod shape;
#[cfg(test)]
mod tests;
mod text;

pub use evaluate::RowLookup;
pub use reference::{reference_text, refers_to};
pub(crate) use shape::Fingerprint;

pub use crate::value::{CompareOp, FilterValue};
use std::collections::BTreeSet;

/// A value and where it came from: what comes from the principal (or from its shares) becomes a bound parameter,
/// so that one plan serves all principals with the same policy shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Literal(FilterValue),
    Principal {
        /// `current_user.<key>`; `$shares` for an id that was shared with the principal.
        key: String,
        value: FilterValue,
    },
}

impl Operand {
    /// The value, wherever it came from.
    #[must_use]
    pub fn value(&self) -> &FilterValue {
        match self {
            Self::Literal(value) | Self::Principal { value, .. } => value,
        }
    }
}

/// Text operator. Text compares by code point; wildcards exist only in the two `Like` kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextKind {
    /// The pattern is a substring, `%` and `_` literal, case-sensitive.
    Contains,
    /// The pattern is a prefix, case-sensitive.
    StartsWith,
    /// The pattern is a suffix, case-sensitive.
    EndsWith,
    /// The pattern is a whole-string pattern: `%` any run, `_` one code point, `\` escapes; case-sensitive.
    Like,
    /// `Like` after folding ASCII letters only (É is not é).
    ILike,
    /// `Contains` after folding ASCII letters only.
    IContains,
}

/// A test of one row. Always true or false: null never means unknown (ObjectStack reference 5.1).
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// A null column is false for every operator except `Ne`, where it is **true**.
    Compare { column: String, op: CompareOp, value: Operand },
    /// `left op (right + add_days)`. A null on either side is false for every operator except `Ne`, where it is
    /// **true**. `add_days` shifts a date by days and a timestamp by 24 hours each; 0 for every other type.
    CompareColumns { left: String, op: CompareOp, right: String, add_days: i32 },
    /// Membership; an empty list has no members. A null column is false, and **true** when negated.
    In { column: String, values: Vec<Operand>, negated: bool },
    /// Whether the column is null (or is not, when negated).
    IsNull { column: String, negated: bool },
    /// A null column is false, and **true** when negated.
    Text { column: String, kind: TextKind, pattern: Operand, negated: bool },
    /// Whether a multi-value column has the element. Null is false (as is the empty list).
    ListContains { column: String, value: Operand },
    /// Whether a multi-value column has any element. Null and the empty list have none.
    HasElements { column: String },
    /// Whether a row of `object` that passes `filter` has `column` as its `select`: `column IN (SELECT select FROM
    /// object WHERE filter)`. A null column is false.
    InRelated { column: String, object: String, filter: Box<RowFilter>, select: String },
}

impl Test {
    /// Longer lists, and more rows of the related object.
    fn covers(&self, narrower: &Self) -> bool {
        match (self, narrower) {
            (
                Self::In { column, values, negated: false },
                Self::In { column: other, values: fewer, negated: false },
            ) => column == other && fewer.iter().all(|value| values.contains(value)),
            (
                Self::InRelated { column, object, filter, select },
                Self::InRelated { column: other, object: of, filter: narrower, select: key },
            ) => (column, object, select) == (other, of, key) && filter.covers(narrower),
            (
                Self::Compare { .. }
                | Self::CompareColumns { .. }
                | Self::In { .. }
                | Self::IsNull { .. }
                | Self::Text { .. }
                | Self::ListContains { .. }
                | Self::HasElements { .. }
                | Self::InRelated { .. },
                _,
            ) => self == narrower,
        }
    }
}

/// A row filter: what a policy leaves to be tested per row.
#[derive(Debug, Clone, PartialEq)]
pub enum RowFilter {
    /// Every row.
    All,
    /// No row.
    Nothing,
    /// All members; `And([])` is every row.
    And(Vec<RowFilter>),
    /// Any member; `Or([])` is no row.
    Or(Vec<RowFilter>),
    /// The complement. As every test is two-valued, rows with nulls that a test rejects are **included**.
    Not(Box<RowFilter>),
    Test(Test),
}

impl RowFilter {
    /// Whether the filter is `All` (after [`RowFilter::simplify`]: whether it passes every row by construction).
    #[must_use]
    pub fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// Flattens nested conjunctions and disjunctions and removes constants. Keeps the meaning and the order.
    #[must_use]
    pub fn simplify(self) -> Self {
        match self {
            Self::And(members) => Self::simplify_members(members, true),
            Self::Or(members) => Self::simplify_members(members, false),
            Self::Not(inner) => match inner.simplify() {
                Self::All => Self::Nothing,
                Self::Nothing => Self::All,
                Self::Not(inner) => *inner,
                other => Self::Not(Box::new(other)),
            },
            Self::Test(Test::In { values, negated, .. }) if values.is_empty() => {
                if negated {
                    Self::All
                } else {
                    Self::Nothing
                }
            }
            Self::Test(Test::InRelated { column, object, filter, select }) => match filter.simplify() {
                Self::Nothing => Self::Nothing,
                filter => Self::Test(Test::InRelated { column, object, filter: Box::new(filter), select }),
            },
            other => other,
        }
    }

    fn simplify_members(members: Vec<Self>, conjunction: bool) -> Self {
        let (identity, absorber) = if conjunction { (Self::All, Self::Nothing) } else { (Self::Nothing, Self::All) };
        let mut kept: Vec<Self> = Vec::with_capacity(members.len());
        for member in members {
            match member.simplify() {
                member if member == identity => {}
                member if member == absorber => return absorber,
                Self::And(inner) if conjunction => kept.extend(inner),
                Self::Or(inner) if !conjunction => kept.extend(inner),
                member => {
                    if !kept.contains(&member) {
                        kept.push(member);
                    }
                }
            }
        }
        match kept.len() {
            0 => identity,
            1 => kept.swap_remove(0),
            _ if conjunction => Self::And(kept),
            _ => Self::Or(kept),
        }
    }

    /// Whether every row that passes `narrower` plainly passes this filter too. `false` where that takes more than a look at
    /// how the two are made.
    #[must_use]
    pub fn covers(&self, narrower: &Self) -> bool {
        if self == narrower {
            return true;
        }
        match (self, narrower) {
            (Self::All, _) | (_, Self::Nothing) => true,
            (_, Self::Or(members)) => members.iter().all(|member| self.covers(member)),
            (Self::And(members), _) => members.iter().all(|member| member.covers(narrower)),
            (Self::Or(members), Self::And(parts)) => {
                members.iter().any(|member| member.covers(narrower)) || parts.iter().any(|part| self.covers(part))
            }
            (Self::Or(members), _) => members.iter().any(|member| member.covers(narrower)),
            (_, Self::And(parts)) => parts.iter().any(|part| self.covers(part)),
            (Self::Not(inner), Self::Not(wider)) => wider.covers(inner),
            (Self::Test(test), Self::Test(narrower)) => test.covers(narrower),
            (Self::Nothing | Self::Not(_) | Self::Test(_), Self::All | Self::Not(_) | Self::Test(_)) => false,
        }
    }

    /// The columns of the filtered object that the filter reads (not those of related objects).
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut columns = BTreeSet::new();
        self.collect_columns(&mut columns);
        columns
    }

    /// The filters under which this filter reads `select` of the rows of `object`, at any depth; none: it does not.
    #[must_use]
    pub fn keys_of(&self, object: &str, select: &str) -> Vec<&Self> {
        let mut found = Vec::new();
        self.collect_keys(object, select, &mut found);
        found
    }

    fn collect_keys<'a>(&'a self, object: &str, select: &str, found: &mut Vec<&'a Self>) {
        match self {
            Self::All | Self::Nothing => {}
            Self::And(members) | Self::Or(members) => {
                members.iter().for_each(|member| member.collect_keys(object, select, found));
            }
            Self::Not(inner) => inner.collect_keys(object, select, found),
            Self::Test(test) => match test {
                Test::InRelated { object: read, filter, select: key, .. } => {
                    if read == object && key == select {
                        found.push(filter);
                    }
                    filter.collect_keys(object, select, found);
                }
                Test::Compare { .. }
                | Test::CompareColumns { .. }
                | Test::In { .. }
                | Test::IsNull { .. }
                | Test::Text { .. }
                | Test::ListContains { .. }
                | Test::HasElements { .. } => {}
            },
        }
    }

    fn collect_columns<'a>(&'a self, columns: &mut BTreeSet<&'a str>) {
        match self {
            Self::All | Self::Nothing => {}
            Self::And(members) | Self::Or(members) => members.iter().for_each(|m| m.collect_columns(columns)),
            Self::Not(inner) => inner.collect_columns(columns),
            Self::Test(test) => match test {
                Test::CompareColumns { left, right, .. } => columns.extend([left.as_str(), right.as_str()]),
                Test::Compare { column, .. }
                | Test::In { column, .. }
                | Test::IsNull { column, .. }
                | Test::Text { column, .. }
                | Test::ListContains { column, .. }
                | Test::HasElements { column }
                | Test::InRelated { column, .. } => {
                    columns.insert(column);
                }
            },
        }
    }

    /// The values of the principal's operands, in the order of a depth-first walk: the parameters of a plan that was
    /// made for this shape. Filters with equal fingerprints have equally many, of equal types.
    #[must_use]
    pub fn parameters(&self) -> Vec<&FilterValue> {
        let mut values = Vec::new();
        self.visit_operands(&mut |operand| {
            if let Operand::Principal { value, .. } = operand {
                values.push(value);
            }
        });
        values
    }

    fn visit_operands<'a>(&'a self, visit: &mut impl FnMut(&'a Operand)) {
        match self {
            Self::All | Self::Nothing => {}
            Self::And(members) | Self::Or(members) => members.iter().for_each(|m| m.visit_operands(visit)),
            Self::Not(inner) => inner.visit_operands(visit),
            Self::Test(test) => match test {
                Test::Compare { value, .. } | Test::ListContains { value, .. } => visit(value),
                Test::Text { pattern, .. } => visit(pattern),
                Test::In { values, .. } => values.iter().for_each(visit),
                Test::CompareColumns { .. } | Test::IsNull { .. } | Test::HasElements { .. } => {}
                Test::InRelated { filter, .. } => filter.visit_operands(visit),
            },
        }
    }
}
