//! The keys of one mapping.

use super::At;
use crate::model::Expression;
use crate::syntax::Entry;

pub(crate) struct Map<'a> {
    at: At<'a>,
    entries: &'a [Entry],
}

impl<'a> Map<'a> {
    pub(super) fn new(at: At<'a>, entries: &'a [Entry]) -> Self {
        Self { at, entries }
    }

    pub(crate) fn at(&self) -> &At<'a> {
        &self.at
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, At<'a>)> + '_ {
        self.entries.iter().map(|entry| (entry.key.as_str(), self.at.child_key(entry)))
    }

    pub(crate) fn get(&self, key: &str) -> Option<At<'a>> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| self.at.child_key(entry))
    }

    pub(crate) fn required(&self, key: &str) -> Option<At<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.at.key_error(format!("key '{key}' is missing"), None);
        }
        found
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.text()
    }

    pub(crate) fn flag(&self, key: &str, default: bool) -> bool {
        self.get(key).and_then(|at| at.boolean()).unwrap_or(default)
    }

    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        self.get(key)?.number()
    }

    pub(crate) fn integer(&self, key: &str, min: u64, max: u64) -> Option<u64> {
        self.get(key)?.integer(min, max)
    }

    pub(crate) fn small(&self, key: &str, min: u32, max: u32) -> Option<u32> {
        self.integer(key, u64::from(min), u64::from(max)).and_then(|number| u32::try_from(number).ok())
    }

    pub(crate) fn choice<T: Copy>(&self, key: &str, what: &str, choices: &[(&'static str, T)]) -> Option<T> {
        self.get(key)?.choice(what, choices)
    }

    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        self.get(key).map(|at| at.texts()).unwrap_or_default()
    }

    pub(crate) fn list(&self, key: &str) -> Vec<At<'a>> {
        self.get(key).map(|at| at.list()).unwrap_or_default()
    }

    pub(crate) fn cel(&self, key: &str) -> Option<Expression> {
        self.get(key)?.cel()
    }
}
