//! Policy expressions: CEL source to a template once per snapshot, a template to a row filter per principal.

mod comparands;
mod compile;
mod spelling;
mod template;
#[cfg(test)]
mod tests;

pub(crate) use comparands::Comparand;
pub(crate) use compile::{compile, parse};
pub(crate) use template::{Provenance, Template, compare, member, text_test};

/// What the compiler asks of the filtered object: the kind of a column, `None` when there is no such column.
pub(crate) type Columns<'a> = &'a dyn Fn(&str) -> Option<crate::value::ColumnKind>;

const INVALID: &str = "expression is not valid CEL";

/// Why an expression takes no part in a decision. For explain; it may name policy text, so it never reaches a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DropReason {
    pub(crate) text: String,
    /// The column that the object does not have, where that is the reason.
    pub(crate) missing: Option<String>,
    /// The text is no expression.
    is_invalid: bool,
}

impl DropReason {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { text: reason.into(), missing: None, is_invalid: false }
    }

    /// The text is no expression. Says how CEL writes what of other languages is in it.
    fn invalid(source: &str) -> Self {
        let text = match spelling::foreign(source) {
            Some((foreign, own)) => format!("{INVALID}: write {own} for {foreign}"),
            None => INVALID.to_owned(),
        };
        Self { is_invalid: true, ..Self::new(text) }
    }

    /// Whether nobody could evaluate the expression: it is none, or names a column that is not there.
    pub(crate) fn is_mistake(&self) -> bool {
        self.missing.is_some() || self.is_invalid
    }

    pub(crate) fn no_column(name: &str) -> Self {
        Self { missing: Some(name.to_owned()), ..Self::new(format!("there is no column '{name}'")) }
    }
}
