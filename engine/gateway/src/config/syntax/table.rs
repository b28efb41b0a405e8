//! Reads TOML tables key by key, keeping byte spans and collecting every mistake. Knows no key by name.

use super::diagnostic::{Diagnostic, nearest};
use super::units::{parse_bytes, parse_duration};
use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where mistakes gather.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    found: RefCell<Vec<Diagnostic>>,
}

impl Sink {
    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    /// Whether a finding says this already.
    fn has_help(&self, help: &str) -> bool {
        self.found.borrow().iter().any(|found| found.help.as_deref() == Some(help))
    }

    pub(crate) fn into_inner(self) -> Vec<Diagnostic> {
        self.found.into_inner()
    }
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// One table of the file, with the keys that were asked for.
pub(crate) struct Table<'a> {
    /// As a person would write it: `[server]`.
    pub(crate) title: &'static str,
    pub(crate) span: Range<usize>,
    entries: Vec<(&'a str, Range<usize>, &'a Spanned<DeValue<'a>>)>,
    asked: RefCell<Vec<&'static str>>,
    sink: &'a Sink,
}

impl<'a> Table<'a> {
    pub(crate) fn new(title: &'static str, span: Range<usize>, table: &'a DeTable<'a>, sink: &'a Sink) -> Self {
        let entries = table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
        Self { title, span, entries, asked: RefCell::default(), sink }
    }

    /// Reports keys that were not asked for; the ones that are known stand at the first of them that resembles none.
    pub(crate) fn finish(self) {
        let known = self.known();
        let help = format!("known keys: {}", known.join(", "));
        for found in self.unknown(&known) {
            let is_explained = found.label.is_some() || self.sink.has_help(&help);
            self.sink.push(if is_explained { found } else { found.help(help.as_str()) });
        }
    }

    /// Reports keys that were not asked for and resemble one that was. For a table after a mistake that leaves open which keys it may have.
    pub(crate) fn finish_slips(self) {
        for found in self.unknown(&self.known()) {
            if found.label.is_some() {
                self.sink.push(found);
            }
        }
    }

    /// The keys that were asked for, each once.
    fn known(&self) -> Vec<&'static str> {
        let mut known = Vec::new();
        for key in self.asked.borrow().iter().copied() {
            if !known.contains(&key) {
                known.push(key);
            }
        }
        known
    }

    /// A finding for each other key, in the order of the text.
    fn unknown(&self, known: &[&'static str]) -> Vec<Diagnostic> {
        let others = self.entries.iter().filter(|(key, _, _)| !known.contains(key));
        let mut others: Vec<(&str, &Range<usize>)> = others.map(|(key, span, _)| (*key, span)).collect();
        others.sort_by_key(|(_, span)| span.start);
        let finding = |(key, span): (&str, &Range<usize>)| {
            let found = Diagnostic::error(Some(span.clone()), format!("unknown key `{key}` in {}", self.title));
            match nearest(key, known.iter().copied()) {
                Some(near) => found.label(format!("did you mean `{near}`?")),
                None => found,
            }
        };
        others.into_iter().map(finding).collect()
    }

    pub(crate) fn error(&self, span: Range<usize>, message: impl Into<String>) {
        self.sink.push(Diagnostic::error(Some(span), message));
    }

    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        self.sink.push(diagnostic);
    }

    /// The keys that are there, with their places.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&'a str, Range<usize>)> {
        self.entries.iter().map(|(key, span, _)| (*key, span.clone()))
    }

    fn take(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.entries.iter().find(|(name, _, _)| *name == key).map(|(_, _, value)| *value)
    }

    fn mismatch(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let message = format!("`{key}` must be {wanted}, not {}", a_type(value.get_ref()));
        self.error(value.span(), message);
    }

    pub(crate) fn text(&self, key: &'static str) -> Option<At<String>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(At { value: text.clone().into_owned(), span: value.span() }),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                self.mismatch(key, value, "a string");
                None
            }
        }
    }

    /// As [`Self::text`], and missing or empty is a mistake.
    pub(crate) fn required(&self, key: &'static str) -> Option<At<String>> {
        if !self.entries.iter().any(|(name, _, _)| *name == key) {
            self.asked.borrow_mut().push(key);
            self.error(self.span.clone(), format!("`{key}` is missing in {}", self.title));
            return None;
        }
        let text = self.text(key)?;
        if text.value.trim().is_empty() {
            self.error(text.span, format!("`{key}` must not be empty"));
            return None;
        }
        Some(text)
    }

    pub(crate) fn boolean(&self, key: &'static str) -> Option<At<bool>> {
        let value = self.take(key)?;
        if let Some(b) = value.get_ref().as_bool() {
            return Some(At { value: b, span: value.span() });
        }
        self.mismatch(key, value, "true or false");
        None
    }

    /// A whole number inside `bounds`.
    pub(crate) fn number(&self, key: &'static str, bounds: std::ops::RangeInclusive<u64>) -> Option<At<u64>> {
        let value = self.take(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.mismatch(key, value, "a whole number");
            return None;
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(n) if bounds.contains(&n) => Some(At { value: n, span: value.span() }),
            _ => {
                let message = format!("`{key}` must be from {} to {}", bounds.start(), bounds.end());
                self.error(value.span(), message);
                None
            }
        }
    }

    /// Bytes: `"512MB"`, `"2GiB"` or a whole number.
    pub(crate) fn bytes(&self, key: &'static str) -> Option<At<u64>> {
        self.measure(key, "a size such as \"512MB\" or \"2GiB\"", parse_bytes)
    }

    /// Time: `"30s"`, `"500ms"`, `"5min"`; `"0"` and `"off"` are zero.
    pub(crate) fn duration(&self, key: &'static str) -> Option<At<Duration>> {
        self.measure(key, "a time such as \"30s\", \"500ms\" or \"5min\"", parse_duration)
    }

    fn measure<T>(&self, key: &'static str, wanted: &str, parse: fn(&str) -> Option<T>) -> Option<At<T>> {
        let value = self.take(key)?;
        let parsed = match value.get_ref() {
            DeValue::String(text) => parse(text),
            DeValue::Integer(n) if n.radix() == 10 => parse(n.as_str()),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        if let Some(parsed) = parsed {
            return Some(At { value: parsed, span: value.span() });
        }
        self.error(value.span(), format!("`{key}` must be {wanted}"));
        None
    }

    /// A number from 0 to 1, such as 0.01.
    pub(crate) fn share(&self, key: &'static str) -> Option<At<f64>> {
        let value = self.take(key)?;
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse::<f64>().ok(),
            DeValue::Integer(_)
            | DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        if let Some(number) = number.filter(|number| (0.0..=1.0).contains(number)) {
            return Some(At { value: number, span: value.span() });
        }
        self.error(value.span(), format!("`{key}` must be a number from 0 to 1, such as 0.01"));
        None
    }

    /// One of a closed list of words.
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, words: &[(&'static str, T)]) -> Option<At<T>> {
        let text = self.text(key)?;
        if let Some((_, chosen)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(At { value: *chosen, span: text.span });
        }
        let mut found = Diagnostic::error(Some(text.span), format!("`{}` is not a value of `{key}`", text.value))
            .help(format!("known values: {}", words.iter().map(|(w, _)| *w).collect::<Vec<_>>().join(", ")));
        if let Some(near) = nearest(&text.value, words.iter().map(|(w, _)| *w)) {
            found = found.label(format!("did you mean `{near}`?"));
        }
        self.sink.push(found);
        None
    }

    /// All entries, which are strings, whatever their keys.
    pub(crate) fn all_texts(self) -> Vec<(String, At<String>)> {
        let mut texts = Vec::with_capacity(self.entries.len());
        for (key, _, value) in &self.entries {
            match value.get_ref().as_str() {
                Some(text) => texts.push(((*key).to_owned(), At { value: text.to_owned(), span: value.span() })),
                None => self.mismatch(key, value, "a string"),
            }
        }
        texts
    }

    /// A list of strings; absent is empty.
    pub(crate) fn texts(&self, key: &'static str) -> Vec<At<String>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.mismatch(key, value, "a list of strings");
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(array.len());
        for item in array.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(At { value: text.to_owned(), span: item.span() }),
                None => self.mismatch(key, item, "a list of strings"),
            }
        }
        texts
    }

    /// A sub-table.
    pub(crate) fn table(&self, key: &'static str, title: &'static str) -> Option<Table<'a>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Table::new(title, self.key_span(key), table, self.sink)),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                self.mismatch(key, value, "a table");
                None
            }
        }
    }

    /// An array of tables, `[[sources]]`.
    pub(crate) fn tables(&self, key: &'static str, title: &'static str) -> Vec<Table<'a>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            self.error(value.span(), format!("`{key}` must be a list of tables, each headed {title}"));
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(array.len());
        for item in array.iter() {
            match item.get_ref() {
                DeValue::Table(table) => tables.push(Table::new(title, item.span(), table, self.sink)),
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_) => self.mismatch(key, item, "a list of tables"),
            }
        }
        tables
    }

    /// The values of a free table: its keys are data.
    pub(crate) fn free(&self, key: &'static str) -> Vec<(At<String>, &'a Spanned<DeValue<'a>>)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.mismatch(key, value, "a table");
            return Vec::new();
        };
        table.iter().map(|(k, v)| (At { value: k.get_ref().clone().into_owned(), span: k.span() }, v)).collect()
    }

    /// Where the value of a key of one of its tables stands, whether it is asked for or not.
    pub(crate) fn place(&self, table: &str, key: &str) -> Option<Range<usize>> {
        let (_, _, inner) = self.entries.iter().find(|(name, _, _)| *name == table)?;
        inner.get_ref().as_table()?.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value.span())
    }

    fn key_span(&self, key: &str) -> Range<usize> {
        self.entries.iter().find(|(name, _, _)| *name == key).map_or(self.span.clone(), |(_, span, _)| span.clone())
    }
}

/// A value's type, for people.
pub(crate) fn a_type(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
