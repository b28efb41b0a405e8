//! What is chosen for a source and, by a second key, for single objects of it: `schema_change`, `bad_values`. Knows no source.

use crate::config::syntax::diagnostic::{Diagnostic, nearest};
use crate::config::syntax::table::Table;
use std::collections::BTreeMap;

/// A choice that each object may have otherwise.
pub(crate) trait Choice: Copy + Default + PartialEq + 'static {
    /// The key for all of a source, and the one for single objects of it.
    const KEYS: [&'static str; 2];
    const WORDS: &'static [(&'static str, Self)];
}

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

impl Choice for OnChange {
    const KEYS: [&'static str; 2] = ["schema_change", "schema_change_of"];
    const WORDS: &'static [(&'static str, Self)] =
        &[("refuse", Self::Refuse), ("widen", Self::Widen), ("hide", Self::Hide)];
}

/// What is read where a source holds a value that its column's type does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum BadValues {
    /// An error that names table and column.
    #[default]
    Error,
    Null,
    /// Columns of dates, times and lists are texts, as the source prints them.
    Text,
}

impl Choice for BadValues {
    const KEYS: [&'static str; 2] = ["bad_values", "bad_values_of"];
    const WORDS: &'static [(&'static str, Self)] =
        &[("error", Self::Error), ("null", Self::Null), ("text", Self::Text)];
}

/// The choices for one source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PerObject<T> {
    default: T,
    objects: BTreeMap<String, T>,
}

impl<T: Choice> PerObject<T> {
    pub(crate) fn of(&self, object: &str) -> T {
        self.objects.get(object).copied().unwrap_or(self.default)
    }

    /// Reads both keys. `known`: whether the kind of source has tables with a schema of their own.
    pub(super) fn resolve(table: &Table<'_>, known: bool) -> Self {
        let [key, of_objects] = T::KEYS;
        let default = table.choice(key, T::WORDS);
        let given = table.free(of_objects);
        let first = default.as_ref().map(|at| at.span.clone()).or_else(|| given.first().map(|(at, _)| at.span.clone()));
        if let Some(span) = first.filter(|_| !known) {
            table.error(span, format!("`{key}` is for sources that are databases only"));
        }
        let mut objects = BTreeMap::new();
        for (object, value) in given {
            let word = value.get_ref().as_str().unwrap_or_default();
            match T::WORDS.iter().find(|(known, _)| *known == word) {
                Some((_, chosen)) => {
                    objects.insert(object.value, *chosen);
                }
                None => {
                    let words = T::WORDS.iter().map(|(word, _)| *word);
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
        Self { default: default.map_or_else(T::default, |at| at.value), objects }
    }
}
