//! YAML events to the same tree as JSON. YAML 1.2 core schema; one document; no tags but the core ones; no merge keys.

use super::{DEPTH_MAX, Duplicate, Entry, MapBuilder, NODES_MAX, Node, Parsed, Span, SyntaxError, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, Span as YamlSpan, Tag};
use std::collections::HashMap;

pub(super) fn parse(text: &str) -> Result<Parsed, SyntaxError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker();
            SyntaxError { span: span_of(at.line(), at.col(), 1), message: error.info().to_lowercase() }
        })?;
        builder.event(event, span)?;
    }
    let root = builder
        .root
        .ok_or_else(|| SyntaxError { span: span_of(1, 0, 1), message: "the file holds no document".to_owned() })?;
    Ok(Parsed { root, duplicates: builder.duplicates })
}

fn span_of(line: usize, column: usize, length: usize) -> Span {
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Span { line: narrow(line), column: narrow(column + 1), length: narrow(length.max(1)) }
}

fn convert(span: YamlSpan) -> Span {
    let (start, end) = (span.start, span.end);
    let length = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
    span_of(start.line(), start.col(), length)
}

enum Frame {
    List { span: Span, anchor: usize, items: Vec<Node> },
    Map { span: Span, anchor: usize, map: MapBuilder, key: Option<(String, Span)> },
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    root: Option<Node>,
    /// Value, number of nodes, and height of each anchored value.
    anchors: HashMap<usize, (Node, usize, usize)>,
    nodes: usize,
    documents: usize,
    duplicates: Vec<Duplicate>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: YamlSpan) -> Result<(), SyntaxError> {
        let span = convert(span);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 { Err(error(span, "one document per file")) } else { Ok(()) }
            }
            Event::Scalar(text, style, anchor, tag) => {
                if self.wants_key() {
                    return self.key(text.into_owned(), style, span);
                }
                let value = scalar(&text, style, tag.as_deref(), span)?;
                self.finish(Node { span, value }, anchor, 1)
            }
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).ok_or_else(|| error(span, "alias to an unfinished value"))?;
                let (size, height) = (known.1, known.2);
                if self.stack.len() + height > DEPTH_MAX {
                    return Err(error(span, "nested too deeply"));
                }
                if self.nodes + size > NODES_MAX {
                    return Err(error(span, "too many values in one file"));
                }
                let mut node = known.0.clone();
                node.span = span;
                self.finish(node, 0, size)
            }
            Event::SequenceStart(anchor, tag) => {
                untagged(tag.as_deref(), span)?;
                self.open(Frame::List { span, anchor, items: vec![] }, span)
            }
            Event::MappingStart(anchor, tag) => {
                untagged(tag.as_deref(), span)?;
                self.open(Frame::Map { span, anchor, map: MapBuilder::default(), key: None }, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame::Map { key: None, .. }))
    }

    fn key(&mut self, text: String, style: ScalarStyle, span: Span) -> Result<(), SyntaxError> {
        if style == ScalarStyle::Plain && text == "<<" {
            return Err(error(span, "merge keys are not supported"));
        }
        if let Some(Frame::Map { key, .. }) = self.stack.last_mut() {
            *key = Some((text, span));
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame, span: Span) -> Result<(), SyntaxError> {
        if self.wants_key() {
            return Err(error(span, "a key must be a plain word or a string"));
        }
        if self.stack.len() > DEPTH_MAX {
            return Err(error(span, "nested too deeply"));
        }
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), SyntaxError> {
        match self.stack.pop() {
            Some(Frame::List { span, anchor, items }) => {
                self.finish(Node { span, value: Value::List(items) }, anchor, 1)
            }
            Some(Frame::Map { span, anchor, map, .. }) => {
                self.finish(Node { span, value: Value::Map(map.entries) }, anchor, 1)
            }
            None => Err(error(span, "unbalanced document")),
        }
    }

    fn finish(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), SyntaxError> {
        self.nodes += size;
        if self.nodes > NODES_MAX {
            return Err(error(node.span, "too many values in one file"));
        }
        if anchor > 0 {
            let (size, height) = measure(&node);
            self.anchors.insert(anchor, (node.clone(), size, height));
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { map, key, .. }) => match key.take() {
                Some((key, key_span)) => map.add(Entry { key, key_span, node }, &mut self.duplicates),
                None => return Err(error(node.span, "a key must be a plain word or a string")),
            },
        }
        Ok(())
    }
}

/// Number of nodes and height.
fn measure(node: &Node) -> (usize, usize) {
    let children: Vec<(usize, usize)> = match &node.value {
        Value::List(items) => items.iter().map(measure).collect(),
        Value::Map(entries) => entries.iter().map(|entry| measure(&entry.node)).collect(),
        Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Text(_) => Vec::new(),
    };
    let size = children.iter().map(|(size, _)| size).sum::<usize>();
    let height = children.iter().map(|(_, height)| *height).max().unwrap_or(0);
    (size + 1, height + 1)
}

fn error(span: Span, message: &str) -> SyntaxError {
    SyntaxError { span, message: message.to_owned() }
}

fn untagged(tag: Option<&Tag>, span: Span) -> Result<(), SyntaxError> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && matches!(tag.suffix.as_str(), "map" | "seq") => Ok(()),
        Some(_) => Err(error(span, "tags are not supported")),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Value, SyntaxError> {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => return Ok(Value::Text(text.to_owned())),
        Some(_) => return Err(error(span, "tags are not supported")),
        None => {}
    }
    if style != ScalarStyle::Plain {
        return Ok(Value::Text(text.to_owned()));
    }
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Boolean(true),
        "false" | "False" | "FALSE" => Value::Boolean(false),
        ".inf" | "-.inf" | "+.inf" | ".Inf" | "-.Inf" | ".INF" | "-.INF" | ".nan" | ".NaN" | ".NAN" => {
            return Err(error(span, "a number must be finite"));
        }
        other => number(other).map_or_else(|| Value::Text(other.to_owned()), Value::Number),
    };
    Ok(value)
}

/// Core schema: decimal, `0o` and `0x` integers, and floats. Everything else is text, `00123` and dates included.
fn number(text: &str) -> Option<serde_json::Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(Into::into);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().map(Into::into);
    }
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !body.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if body.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    // A leading zero marks a code such as "00123": keep it as text, as the stored-JSON rules demand.
    if body.len() > 1 && body.starts_with('0') && body.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let plain = text.strip_prefix('+').unwrap_or(text);
    if let Ok(integer) = plain.parse::<i64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = plain.parse::<u64>() {
        return Some(integer.into());
    }
    plain.parse::<f64>().ok().and_then(serde_json::Number::from_f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn core_schema_values() {
        let check = |text: &str, expected: serde_json::Value| {
            assert_eq!(parse(text).unwrap().root.to_json(), expected, "{text}");
        };
        check(
            "a: 1\nb: -2.5\nc: yes\nd: 'true'\ne: true\nf: ~\ng:",
            json!({"a":1,"b":-2.5,"c":"yes","d":"true","e":true,"f":null,"g":null}),
        );
        check(
            "[00123, 2026-01-01, 1e3, 0x1F, .5, 1.2.3, x-, '']",
            json!(["00123", "2026-01-01", 1000.0, 31, 0.5, "1.2.3", "x-", ""]),
        );
        check("x: &a {k: [1]}\ny: *a", json!({"x":{"k":[1]},"y":{"k":[1]}}));
        check("t: |\n  one\n  two\n", json!({"t":"one\ntwo\n"}));
        check("{\"a\": [1, 2]}", json!({"a":[1,2]}));
        check("!!str 12", json!("12"));
    }

    #[test]
    fn positions_point_at_keys_and_values() {
        let parsed = parse("objects:\n  - name: é\n    label: x\n").unwrap();
        let Value::Map(top) = &parsed.root.value else { panic!() };
        let Value::List(objects) = &top[0].node.value else { panic!() };
        let Value::Map(object) = &objects[0].value else { panic!() };
        assert_eq!(object[1].key_span, Span { line: 3, column: 5, length: 5 });
        assert_eq!(object[1].node.span, Span { line: 3, column: 12, length: 1 });
    }

    #[test]
    fn what_is_not_metadata_is_refused() {
        let check = |text: &str, message: &str| assert_eq!(parse(text).unwrap_err().message, message, "{text}");
        check("a: 1\n---\nb: 2\n", "one document per file");
        check("a: !secret x", "tags are not supported");
        check("<<: {a: 1}", "merge keys are not supported");
        check("? [a]\n: 1", "a key must be a plain word or a string");
        check("a: .inf", "a number must be finite");
        check("", "the file holds no document");
        check(&"- ".repeat(400), "nested too deeply");
    }

    #[test]
    fn alias_bombs_run_out_of_nodes() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![alias; 10].join(", ")));
        }
        assert_eq!(parse(&text).unwrap_err().message, "too many values in one file");
    }

    #[test]
    fn aliases_do_not_nest_past_the_bound() {
        let mut text = format!("a0: &a0 {}x{}\n", "[".repeat(60), "]".repeat(60));
        for level in 1..200 {
            text.push_str(&format!("a{level}: &a{level} {}*a{} {}\n", "[".repeat(60), level - 1, "]".repeat(60)));
        }
        assert_eq!(parse(&text).unwrap_err().message, "nested too deeply");
    }

    #[test]
    fn duplicate_keys_are_noted() {
        let parsed = parse("a: 1\nb: 2\na: 3\n").unwrap();
        assert_eq!(parsed.duplicates[0].key, "a");
        assert_eq!((parsed.duplicates[0].first.line, parsed.duplicates[0].second.line), (1, 3));
    }
}
