//! What is done when a source's table is not what it was: `schema_change` and `schema_change_of`. Knows no source.

use crate::config::syntax::diagnostic::{Diagnostic, nearest};
use crate::config::syntax::table::Table;
use std::collections::BTreeMap;

/// What becomes of a column that is gone, or no longer holds what its field declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OnChange {
    /// It stays, and what reads it fails.
    #[default]
    Refuse,
    /// It is served in a wider type, where there is one; else as by `Refuse`.
    Widen,
    /// It is not there any more.
    Hide,
}

/// The choices for one source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SchemaChange {
    default: OnChange,
    objects: BTreeMap<String, OnChange>,
}

const WORDS: &[(&str, OnChange)] =
    &[("refuse", OnChange::Refuse), ("widen", OnChange::Widen), ("hide", OnChange::Hide)];

impl SchemaChange {
    pub(crate) fn of(&self, object: &str) -> OnChange {
        self.objects.get(object).copied().unwrap_or(self.default)
    }

    /// Reads both keys. `known`: whether the kind of source has tables with a schema of their own.
    pub(super) fn resolve(table: &Table<'_>, known: bool) -> Self {
        let default = table.choice("schema_change", WORDS);
        let given = table.free("schema_change_of");
        let first = default.as_ref().map(|at| at.span.clone()).or_else(|| given.first().map(|(at, _)| at.span.clone()));
        if let Some(span) = first.filter(|_| !known) {
            table.error(span, "`schema_change` is for sources that are databases only");
        }
        let mut objects = BTreeMap::new();
        for (object, value) in given {
            let word = value.get_ref().as_str().unwrap_or_default();
            match WORDS.iter().find(|(known, _)| *known == word) {
                Some((_, chosen)) => {
                    objects.insert(object.value, *chosen);
                }
                None => {
                    let words = WORDS.iter().map(|(word, _)| *word);
                    let mut found = Diagnostic::error(
                        Some(value.span()),
                        format!("`{}` must be one of {}", object.value, words.clone().collect::<Vec<_>>().join(", ")),
                    );
                    if let Some(near) = nearest(word, words) {
                        found = found.label(format!("did you mean `{near}`?"));
                    }
                    table.push(found);
                }
            }
        }
        Self { default: default.map_or(OnChange::default(), |at| at.value), objects }
    }
}
