//! What rules compare columns with, said for administrators: the types on either side. Decides nothing.

use super::template::{Template, Term, list, scalar};
use crate::value::{ColumnKind, Scalar, coerce};
use querygate_types::principal::Principal;

/// A column that a rule names, and a value that it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparand<'t> {
    pub(crate) column: &'t str,
    kind: ColumnKind,
    value: Scalar,
    /// Of a value that the user has: its key.
    key: Option<&'t str>,
}

impl Comparand<'_> {
    /// Whether a value of the column's type may equal it. Otherwise the rule is not enforced.
    pub(crate) fn fits(&self) -> bool {
        coerce(&self.value, self.kind).is_some()
    }

    /// Whether a column of texts is compared with a number, which then counts as the text that it is written as.
    pub(crate) fn is_number_beside_texts(&self) -> bool {
        self.kind == ColumnKind::Text && matches!(self.value, Scalar::Integer(_) | Scalar::Float(_))
    }

    /// What the column holds.
    pub(crate) const fn column_type(&self) -> &'static str {
        match self.kind {
            ColumnKind::Text => "text",
            ColumnKind::Uuid => "uuid",
            ColumnKind::Number => "number",
            ColumnKind::Boolean => "boolean",
            ColumnKind::Date => "date",
            ColumnKind::Timestamp => "datetime",
            ColumnKind::Time => "time",
            ColumnKind::List => "list",
            ColumnKind::Json => "json",
            ColumnKind::ReadFromText => "value that is read from a text",
            ColumnKind::Computed => "formula",
        }
    }

    /// What the value is.
    pub(crate) const fn value_type(&self) -> &'static str {
        match self.value {
            Scalar::Text(_) => "text",
            Scalar::Integer(_) | Scalar::Float(_) => "number",
            Scalar::Boolean(_) => "boolean",
        }
    }

    /// As the rule writes it.
    pub(crate) fn written(&self) -> String {
        match (self.key, &self.value) {
            (Some(key), _) => format!("current_user.{key}"),
            (None, Scalar::Text(text)) => format!("'{text}'"),
            (None, Scalar::Integer(number)) => number.to_string(),
            (None, Scalar::Float(number)) => number.to_string(),
            (None, Scalar::Boolean(truth)) => truth.to_string(),
        }
    }
}

impl Template {
    /// The values that it writes down itself; for a user, those that it asks of the user and that the user has.
    pub(crate) fn comparands<'t>(&'t self, user: Option<&Principal>, found: &mut Vec<Comparand<'t>>) {
        match self {
            Self::All | Self::CompareColumns { .. } | Self::IsNull { .. } | Self::Text { .. } => {}
            Self::And(members) | Self::Or(members) => members.iter().for_each(|member| member.comparands(user, found)),
            Self::Not(inner) => inner.comparands(user, found),
            Self::Compare { column, kind, term, .. } => {
                let (value, key) = match (term, user) {
                    (Term::Literal(value), None) => (Some(value.clone()), None),
                    (Term::Variable(key), Some(user)) => (scalar(key, user).ok(), Some(key.as_str())),
                    (Term::Literal(_), Some(_)) | (Term::Variable(_), None) => (None, None),
                };
                found.extend(value.map(|value| Comparand { column, kind: *kind, value, key }));
            }
            Self::InLiterals { column, kind, values } if user.is_none() => {
                let own = values.iter().cloned();
                found.extend(own.map(|value| Comparand { column, kind: *kind, value, key: None }));
            }
            Self::InVariable { column, kind, key } => {
                let own = user.and_then(|user| list(key, user).ok()).into_iter().flatten();
                found.extend(own.map(|value| Comparand { column, kind: *kind, value, key: Some(key) }));
            }
            Self::InLiterals { .. } => {}
        }
    }
}
