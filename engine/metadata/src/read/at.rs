//! A value in a document with its key path: typed accessors that report what they refuse.

use super::shape::slip_of;
use super::{Document, Findings, Map, Shape, nearest};
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::{Dialect, Expression, Location};
use crate::syntax::{Node, Span, Value};
use std::rc::Rc;

/// Key path, linked to its parent.
#[derive(Debug)]
enum Path {
    Root,
    Key(Rc<Path>, String),
    Index(Rc<Path>, usize),
}

impl Path {
    fn render(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(parent, key) => {
                let parent = parent.render();
                if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") }
            }
            Self::Index(parent, index) => format!("{}[{index}]", parent.render()),
        }
    }
}

/// A value, where it stands, and where to report.
#[derive(Clone)]
pub(crate) struct At<'a> {
    document: &'a Document,
    findings: &'a Findings,
    pub(crate) node: &'a Node,
    path: Rc<Path>,
    /// Place of the key that holds it, for errors about the key.
    key_span: Option<Span>,
}

impl<'a> At<'a> {
    pub(crate) fn root(document: &'a Document, findings: &'a Findings) -> Self {
        Self { document, findings, node: &document.root, path: Rc::new(Path::Root), key_span: None }
    }

    pub(super) fn child_key(&self, entry: &'a crate::syntax::Entry) -> Self {
        let path = Rc::new(Path::Key(Rc::clone(&self.path), entry.key.clone()));
        Self { node: &entry.node, path, key_span: Some(entry.key_span), ..self.clone() }
    }

    fn child_index(&self, index: usize, node: &'a Node) -> Self {
        Self { node, path: Rc::new(Path::Index(Rc::clone(&self.path), index)), key_span: None, ..self.clone() }
    }

    pub(crate) fn location(&self) -> Location {
        self.document.location(self.node.span)
    }

    /// Place of the key when there is one: where a named item begins.
    pub(crate) fn key_location(&self) -> Location {
        self.document.location(self.key_span.unwrap_or(self.node.span))
    }

    fn report(&self, severity: Severity, span: Span, message: String, hint: Option<String>) {
        self.findings.add(self.diagnostic(severity, span, message, hint));
    }

    fn diagnostic(&self, severity: Severity, span: Span, message: String, hint: Option<String>) -> Diagnostic {
        let diagnostic = Diagnostic {
            severity,
            location: self.document.location(span),
            path: self.path.render(),
            message,
            hint,
            source_line: None,
            source_column: 1,
            length: 1,
        };
        diagnostic.with_source(&self.document.text, span.length)
    }

    pub(crate) fn error(&self, message: impl Into<String>) {
        self.report(Severity::Error, self.node.span, message.into(), None);
    }

    pub(crate) fn error_with(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.report(Severity::Error, self.node.span, message.into(), Some(hint.into()));
    }

    /// Reports at the key instead of the value.
    pub(crate) fn key_error(&self, message: impl Into<String>, hint: Option<String>) {
        self.report(Severity::Error, self.key_span.unwrap_or(self.node.span), message.into(), hint);
    }

    /// Reports that nothing has the name here. Where a file cannot be read it may be there, and the error is counted alone.
    pub(crate) fn unresolved(&self, message: impl Into<String>, hint: Option<String>) {
        self.findings.add_unresolved(self.diagnostic(Severity::Error, self.name_span(), message.into(), hint));
    }

    /// Warns at a name.
    pub(crate) fn name_warning(&self, message: impl Into<String>, hint: Option<String>) {
        self.report(Severity::Warning, self.name_span(), message.into(), hint);
    }

    /// The value when it is the name, else the key.
    fn name_span(&self) -> Span {
        match (&self.node.value, self.key_span) {
            (Value::Text(_), _) | (_, None) => self.node.span,
            (_, Some(key)) => key,
        }
    }

    pub(crate) fn warn(&self, message: impl Into<String>, hint: Option<String>) {
        self.report(Severity::Warning, self.key_span.unwrap_or(self.node.span), message.into(), hint);
    }

    /// Says what should stand here.
    pub(crate) fn expected(&self, what: &str) {
        self.error(format!("expected {what}, found {}", self.node.kind()));
    }

    /// A mapping with a closed shape; unknown keys are reported.
    pub(crate) fn map(&self, shape: &'static Shape) -> Option<Map<'a>> {
        let map = self.open()?;
        for (key, at) in map.entries() {
            if shape.knows(key) {
                continue;
            }
            if let Some(instead) = shape.removed(key) {
                at.key_error(format!("key '{key}' of {} does not exist in 17.4", shape.what), Some(instead.to_owned()));
                continue;
            }
            let hint = nearest(key, shape.keys()).map(|near| format!("Did you mean '{near}'?"));
            at.key_error(format!("unknown key '{key}' in {}", shape.what), hint);
        }
        Some(map)
    }

    /// A mapping of which the gate reads a part, and which other releases may extend: other keys are accepted. One that is a slip of a key
    /// that is read, and missing, is warned of.
    pub(crate) fn part(&self, shape: &'static Shape) -> Option<Map<'a>> {
        let map = self.open()?;
        for (key, at) in map.entries().filter(|(key, _)| !shape.knows(key)) {
            let missing = shape.read.iter().copied().filter(|known| map.get(known).is_none());
            if let Some(near) = slip_of(key, missing) {
                at.warn(format!("key '{key}' of {} is not read", shape.what), Some(format!("Did you mean '{near}'?")));
            }
        }
        Some(map)
    }

    /// A mapping whose keys are names.
    pub(crate) fn open(&self) -> Option<Map<'a>> {
        let Value::Map(entries) = &self.node.value else {
            self.expected("a mapping");
            return None;
        };
        Some(Map::new(self.clone(), entries))
    }

    pub(crate) fn list(&self) -> Vec<Self> {
        let Value::List(items) = &self.node.value else {
            self.expected("a list");
            return Vec::new();
        };
        items.iter().enumerate().map(|(index, node)| self.child_index(index, node)).collect()
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self.node.value, Value::Text(_))
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    pub(crate) fn text(&self) -> Option<String> {
        let Value::Text(text) = &self.node.value else {
            self.expected("a string");
            return None;
        };
        Some(text.clone())
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        let Value::Boolean(flag) = &self.node.value else {
            self.expected("true or false");
            return None;
        };
        Some(*flag)
    }

    pub(crate) fn number(&self) -> Option<f64> {
        let Value::Number(number) = &self.node.value else {
            self.expected("a number");
            return None;
        };
        number.as_f64()
    }

    /// A whole number within bounds, both inclusive.
    pub(crate) fn integer(&self, min: u64, max: u64) -> Option<u64> {
        let Value::Number(number) = &self.node.value else {
            self.expected("a whole number");
            return None;
        };
        match number.as_u64().filter(|number| (min..=max).contains(number)) {
            Some(number) => Some(number),
            None => {
                self.error(format!("expected a whole number from {min} to {max}, found {number}"));
                None
            }
        }
    }

    /// One of a closed list of words.
    pub(crate) fn choice<T: Copy>(&self, what: &str, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let hint = match nearest(&text, names.iter().copied()) {
            Some(near) => format!("Did you mean '{near}'?"),
            None => format!("It is one of: {}.", names.join(", ")),
        };
        self.error_with(format!("unknown {what} '{text}'"), hint);
        None
    }

    /// A list of strings.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.list().iter().filter_map(Self::text).collect()
    }

    /// A bare string or `{dialect, source}`.
    pub(crate) fn expression(&self) -> Option<Expression> {
        const SHAPE: Shape =
            Shape { what: "an expression", read: &["dialect", "source"], ignored: &["ast", "meta"], removed: &[] };
        const DIALECTS: &[(&str, Dialect)] =
            &[("cel", Dialect::Cel), ("cron", Dialect::Cron), ("template", Dialect::Template)];
        let (dialect, source, location) = if self.is_map() {
            let map = self.map(&SHAPE)?;
            let dialect = map.required("dialect")?.choice("dialect", DIALECTS)?;
            let source = map.required("source")?;
            (dialect, source.text()?, source.location())
        } else {
            (Dialect::Cel, self.text()?, self.location())
        };
        if source.trim().is_empty() {
            self.error("the expression is empty");
            return None;
        }
        Some(Expression { dialect, source, location })
    }

    /// An expression that must be CEL.
    pub(crate) fn cel(&self) -> Option<Expression> {
        let expression = self.expression()?;
        if expression.dialect != Dialect::Cel {
            self.error("only a cel expression is possible here");
            return None;
        }
        Some(expression)
    }

    /// A name of metadata, or one of somebody else's table.
    pub(crate) fn foreign_name(&self) -> Option<String> {
        self.text().filter(|text| is_foreign_name(text)).or_else(|| self.name())
    }

    /// A name of metadata: `^[a-z_][a-z0-9_]*$`.
    pub(crate) fn name(&self) -> Option<String> {
        let text = self.text()?;
        if is_name(&text) {
            return Some(text);
        }
        self.error_with(format!("'{text}' is not a name"), "A name has lower case letters, digits and underscores.");
        None
    }
}

/// A name of a table or column of somebody else, which may have letters beyond ASCII: those that the source gave it.
pub(crate) fn is_foreign_name(text: &str) -> bool {
    let is_letter = |c: char| matches!(c, 'a'..='z' | '_') || !c.is_ascii() && c.is_alphabetic();
    text.starts_with(is_letter)
        && text.chars().all(|c| is_letter(c) || c.is_ascii_digit() || !c.is_ascii() && c.is_alphanumeric())
        && text.len() <= 120
}

pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    matches!(bytes.next(), Some(b'a'..=b'z' | b'_'))
        && bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && text.len() <= 120
}
