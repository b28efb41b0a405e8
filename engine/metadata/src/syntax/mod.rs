//! Text to a tree with positions, for JSON and YAML alike. Knows no ObjectStack.

mod json;
mod yaml;

use serde_json::Number;

/// Nesting accepted in metadata files and rows.
pub(crate) const DEPTH_MAX: usize = 128;
/// Nodes of one file, aliases counted as often as they are used.
pub(crate) const NODES_MAX: usize = 4_000_000;

/// A place in the text. Line and column from 1, in characters; length in characters on that line, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) length: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

/// The text cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SyntaxError {
    pub(crate) span: Span,
    pub(crate) message: String,
}

/// A key that stands twice in one mapping. The first value is kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Duplicate {
    pub(crate) key: String,
    pub(crate) first: Span,
    pub(crate) second: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) root: Node,
    pub(crate) duplicates: Vec<Duplicate>,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
}

impl Format {
    /// By extension, without the dot.
    pub(crate) fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }
}

pub(crate) fn parse(text: &str, format: Format) -> Result<Parsed, SyntaxError> {
    match format {
        Format::Json => json::parse(text),
        Format::Yaml => yaml::parse(text),
    }
}

impl Node {
    /// A node without a place, for data that came as a value.
    pub(crate) fn from_json(value: &serde_json::Value) -> Self {
        let value = match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(flag) => Value::Boolean(*flag),
            serde_json::Value::Number(number) => Value::Number(number.clone()),
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(items) => Value::List(items.iter().map(Self::from_json).collect()),
            serde_json::Value::Object(map) => Value::Map(
                map.iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        key_span: Span::default(),
                        node: Self::from_json(value),
                    })
                    .collect(),
            ),
        };
        Self { span: Span::default(), value }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Boolean(flag) => serde_json::Value::Bool(*flag),
            Value::Number(number) => serde_json::Value::Number(number.clone()),
            Value::Text(text) => serde_json::Value::String(text.clone()),
            Value::List(items) => serde_json::Value::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect(),
            ),
        }
    }

    /// What it is, in words for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Boolean(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// Adds entries to one mapping and notes keys that stand twice.
#[derive(Default)]
struct MapBuilder {
    entries: Vec<Entry>,
    /// Only filled for wide mappings, where a scan per key would be quadratic.
    index: std::collections::HashMap<String, usize>,
}

impl MapBuilder {
    const SCAN_MAX: usize = 16;

    fn find(&mut self, key: &str) -> Option<usize> {
        if self.entries.len() <= Self::SCAN_MAX {
            return self.entries.iter().position(|entry| entry.key == key);
        }
        if self.index.len() != self.entries.len() {
            self.index = self.entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
        }
        self.index.get(key).copied()
    }

    fn add(&mut self, entry: Entry, duplicates: &mut Vec<Duplicate>) {
        if let Some(at) = self.find(&entry.key) {
            let first = self.entries.get(at).map_or(entry.key_span, |first| first.key_span);
            duplicates.push(Duplicate { key: entry.key, first, second: entry.key_span });
            return;
        }
        if self.entries.len() > Self::SCAN_MAX {
            self.index.insert(entry.key.clone(), self.entries.len());
        }
        self.entries.push(entry);
    }
}
