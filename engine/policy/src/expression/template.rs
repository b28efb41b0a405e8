//! Templates: row filters with variables of the principal still open, and the typed constructors of tests.

use super::DropReason;
use crate::filter::{CompareOp, FilterValue, Operand, RowFilter, Test, TextKind};
use crate::value::{ColumnKind, Scalar, coerce, whole_day};
use querygate_types::principal::{AttributeValue, Principal};

/// A comparand before binding.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Term {
    Literal(Scalar),
    /// `current_user.<key>`.
    Variable(String),
}

/// A compiled policy expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Template {
    All,
    And(Vec<Template>),
    Or(Vec<Template>),
    Not(Box<Template>),
    Compare { column: String, kind: ColumnKind, op: CompareOp, term: Term },
    CompareColumns { left: String, op: CompareOp, right: String },
    InLiterals { column: String, kind: ColumnKind, values: Vec<Scalar> },
    InVariable { column: String, kind: ColumnKind, key: String },
    IsNull { column: String, negated: bool },
    Text { column: String, kind: ColumnKind, text: TextKind, term: Term },
}

impl Template {
    /// The filter for a principal, or why the expression drops out: a variable is missing, null or an empty list.
    pub(crate) fn bind(&self, principal: &Principal) -> Result<RowFilter, DropReason> {
        let members =
            |members: &[Self]| members.iter().map(|m| m.bind(principal)).collect::<Result<Vec<_>, DropReason>>();
        Ok(match self {
            Self::All => RowFilter::All,
            Self::And(templates) => RowFilter::And(members(templates)?),
            Self::Or(templates) => RowFilter::Or(members(templates)?),
            Self::Not(template) => RowFilter::Not(Box::new(template.bind(principal)?)),
            Self::Compare { column, kind, op, term } => {
                let (scalar, from) = resolve(term, principal)?;
                fit(column, *kind, std::slice::from_ref(&scalar))?;
                compare(column, *kind, *op, &scalar, &from)
            }
            Self::CompareColumns { left, op, right } => {
                RowFilter::Test(Test::CompareColumns { left: left.clone(), op: *op, right: right.clone(), add_days: 0 })
            }
            Self::InLiterals { column, kind, values } => member(column, *kind, values, &Provenance::Literal, false),
            Self::InVariable { column, kind, key } => {
                let values = list(key, principal)?;
                fit(column, *kind, &values)?;
                member(column, *kind, &values, &Provenance::Principal(key.clone()), false)
            }
            Self::IsNull { column, negated } => {
                RowFilter::Test(Test::IsNull { column: column.clone(), negated: *negated })
            }
            Self::Text { column, kind, text, term } => {
                let (scalar, from) = resolve(term, principal)?;
                match scalar {
                    Scalar::Text(pattern) => text_test(column, *kind, *text, &pattern, &from, false),
                    _ => return Err(DropReason::new("the argument of a text operator is no text")),
                }
            }
        })
    }

    /// Keys of `current_user` that it needs.
    pub(crate) fn variables<'a>(&'a self, keys: &mut Vec<&'a str>) {
        match self {
            Self::All | Self::CompareColumns { .. } | Self::InLiterals { .. } | Self::IsNull { .. } => {}
            Self::And(members) | Self::Or(members) => members.iter().for_each(|m| m.variables(keys)),
            Self::Not(inner) => inner.variables(keys),
            Self::Compare { term, .. } | Self::Text { term, .. } => match term {
                Term::Variable(key) => keys.push(key),
                Term::Literal(_) => {}
            },
            Self::InVariable { key, .. } => keys.push(key),
        }
    }

    /// Columns the expression names.
    pub(crate) fn columns<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::All => {}
            Self::And(members) | Self::Or(members) => members.iter().for_each(|m| m.columns(names)),
            Self::Not(inner) => inner.columns(names),
            Self::CompareColumns { left, right, .. } => names.extend([left.as_str(), right.as_str()]),
            Self::Compare { column, .. }
            | Self::InLiterals { column, .. }
            | Self::InVariable { column, .. }
            | Self::IsNull { column, .. }
            | Self::Text { column, .. } => names.push(column),
        }
    }
}

/// Where a comparand came from.
#[derive(Debug, Clone)]
pub(crate) enum Provenance {
    Literal,
    Principal(String),
}

impl Provenance {
    fn operand(&self, value: FilterValue) -> Operand {
        match self {
            Self::Literal => Operand::Literal(value),
            Self::Principal(key) => Operand::Principal { key: key.clone(), value },
        }
    }
}

fn resolve(term: &Term, principal: &Principal) -> Result<(Scalar, Provenance), DropReason> {
    match term {
        Term::Literal(scalar) => Ok((scalar.clone(), Provenance::Literal)),
        Term::Variable(key) => Ok((scalar(key, principal)?, Provenance::Principal(key.clone()))),
    }
}

/// A value of a user.
pub(super) fn scalar(key: &str, principal: &Principal) -> Result<Scalar, DropReason> {
    let absent = || DropReason::new(format!("current_user.{key} has no value"));
    match key {
        "id" => Ok(Scalar::Text(principal.user_id.clone())),
        "email" => principal.email.clone().map(Scalar::Text).ok_or_else(absent),
        "organization_id" => principal.organization_id.clone().map(Scalar::Text).ok_or_else(absent),
        "positions" | "org_user_ids" => Err(DropReason::new(format!("current_user.{key} is a list"))),
        key => match principal.attributes.get(key).ok_or_else(absent)? {
            AttributeValue::Text(text) => Ok(Scalar::Text(text.clone())),
            AttributeValue::Integer(n) => Ok(Scalar::Integer(*n)),
            AttributeValue::Boolean(b) => Ok(Scalar::Boolean(*b)),
            AttributeValue::List(_) => Err(DropReason::new(format!("current_user.{key} is a list"))),
        },
    }
}

/// The members of a list of a user.
pub(super) fn list(key: &str, principal: &Principal) -> Result<Vec<Scalar>, DropReason> {
    let texts: Vec<Scalar> = match key {
        "positions" => principal.positions.iter().cloned().map(Scalar::Text).collect(),
        "org_user_ids" => principal.org_user_ids.iter().cloned().map(Scalar::Text).collect(),
        "id" | "email" | "organization_id" => return Err(DropReason::new(format!("current_user.{key} is no list"))),
        key => match principal.attributes.get(key) {
            Some(AttributeValue::List(members)) => members.iter().cloned().map(Scalar::Text).collect(),
            Some(AttributeValue::Text(_) | AttributeValue::Integer(_) | AttributeValue::Boolean(_)) => {
                return Err(DropReason::new(format!("current_user.{key} is no list")));
            }
            None => Vec::new(),
        },
    };
    if texts.is_empty() {
        return Err(DropReason::new(format!("current_user.{key} has no members")));
    }
    Ok(texts)
}

/// A rule compares with values of the column's type only: of any other it would hold for no row or, negated, for all.
///
/// # Errors
/// A value that no value of the column's type equals.
pub(super) fn fit(column: &str, kind: ColumnKind, scalars: &[Scalar]) -> Result<(), DropReason> {
    if scalars.iter().all(|scalar| coerce(scalar, kind).is_some()) {
        return Ok(());
    }
    Err(DropReason::new(format!("column '{column}' is compared with a value that is not of its type")))
}

/// A typed comparison. A comparand that no value of the column's type equals makes the test constant: false, and
/// true for `Ne`.
pub(crate) fn compare(column: &str, kind: ColumnKind, op: CompareOp, scalar: &Scalar, from: &Provenance) -> RowFilter {
    let typed = whole_day(op, scalar, kind).or_else(|| coerce(scalar, kind).map(|value| (op, value)));
    match (typed, op) {
        (Some((op, value)), _) => {
            RowFilter::Test(Test::Compare { column: column.to_owned(), op, value: from.operand(value) })
        }
        (None, CompareOp::Ne) => RowFilter::All,
        (None, CompareOp::Eq | CompareOp::Lt | CompareOp::Le | CompareOp::Gt | CompareOp::Ge) => RowFilter::Nothing,
    }
}

/// A typed membership test; members that no value of the column's type equals are left out.
pub(crate) fn member(
    column: &str,
    kind: ColumnKind,
    scalars: &[Scalar],
    from: &Provenance,
    negated: bool,
) -> RowFilter {
    let values = scalars.iter().filter_map(|s| coerce(s, kind)).map(|value| from.operand(value)).collect();
    RowFilter::Test(Test::In { column: column.to_owned(), values, negated })
}

/// Membership of one element in a multi-value column.
fn list_contains(column: &str, element: FilterValue, from: &Provenance, negated: bool) -> RowFilter {
    let test = RowFilter::Test(Test::ListContains { column: column.to_owned(), value: from.operand(element) });
    if negated { RowFilter::Not(Box::new(test)) } else { test }
}

/// A text test by the column's kind: on a multi-value column `Contains` is membership; a stored value that is no text
/// never matches, so that the test is constant there.
pub(crate) fn text_test(
    column: &str,
    kind: ColumnKind,
    text: TextKind,
    pattern: &str,
    from: &Provenance,
    negated: bool,
) -> RowFilter {
    let value = FilterValue::Text(pattern.to_owned());
    match kind {
        ColumnKind::Text | ColumnKind::Uuid => {
            RowFilter::Test(Test::Text { column: column.to_owned(), kind: text, pattern: from.operand(value), negated })
        }
        // Both readers of rules refuse it before.
        ColumnKind::ReadFromText => RowFilter::Nothing,
        ColumnKind::List if text == TextKind::Contains => list_contains(column, value, from, negated),
        ColumnKind::List
        | ColumnKind::Json
        | ColumnKind::Number
        | ColumnKind::Boolean
        | ColumnKind::Date
        | ColumnKind::Timestamp
        | ColumnKind::Time
        | ColumnKind::Computed => {
            if negated {
                RowFilter::All
            } else {
                RowFilter::Nothing
            }
        }
    }
}
