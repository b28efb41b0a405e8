//! JSON text of nested values, as PostgreSQL's `to_json` and `to_jsonb` print them. Knows no frame.

use super::Style;
use super::column::{Column, JsonKind, Tree, Values};
use super::datetime::{self, Layout};
use super::physical::Spans;
use super::text;
use querygate_query_api::values::wide_numeric::numeric_cell;
use querygate_types::Result;
use std::io::Write as _;

/// Appends a value that is not NULL.
pub(super) fn write(column: &Column<'_>, row: usize, style: &Style, out: &mut Vec<u8>) -> Result<()> {
    match &column.values {
        Values::JsonTree(tree, kind) => write_tree(tree, *kind, row, style, out),
        _ => text::write(column, row, style, out),
    }
}

fn write_tree(tree: &Tree<'_>, kind: JsonKind, row: usize, style: &Style, out: &mut Vec<u8>) -> Result<()> {
    let separators = Separators::of(kind);
    match tree {
        Tree::Object(members) => {
            out.push(b'{');
            for (position, (name, member)) in members.iter().enumerate() {
                separators.between(position, out);
                string(name, out);
                out.extend_from_slice(separators.colon);
                value(member, row, kind, style, out)?;
            }
            out.push(b'}');
        }
        Tree::Map(spans, keys, values) => {
            out.push(b'{');
            for (position, entry) in spans.at(row).enumerate() {
                separators.between(position, out);
                let start = out.len();
                text::write(keys, entry, style, out)?;
                let key = String::from_utf8_lossy(&out.split_off(start)).into_owned();
                string(&key, out);
                out.extend_from_slice(separators.colon);
                value(values, entry, kind, style, out)?;
            }
            out.push(b'}');
        }
        Tree::List(spans, items) => list(spans, items, row, kind, style, out)?,
        Tree::Variant(union, children) => {
            let id = union.type_id(row);
            match children.iter().find(|(child, _)| *child == id) {
                Some((_, child)) => value(child, union.value_offset(row), kind, style, out)?,
                None => out.extend_from_slice(b"null"),
            }
        }
    }
    Ok(())
}

fn list(
    spans: &Spans<'_>,
    items: &Column<'_>,
    row: usize,
    kind: JsonKind,
    style: &Style,
    out: &mut Vec<u8>,
) -> Result<()> {
    let separators = Separators::of(kind);
    out.push(b'[');
    for (position, item) in spans.at(row).enumerate() {
        separators.between(position, out);
        value(items, item, kind, style, out)?;
    }
    out.push(b']');
    Ok(())
}

/// jsonb is printed with blanks, json made by `to_json` without.
struct Separators {
    comma: &'static [u8],
    colon: &'static [u8],
}

impl Separators {
    const fn of(kind: JsonKind) -> Self {
        match kind {
            JsonKind::Json => Self { comma: b",", colon: b":" },
            JsonKind::Jsonb => Self { comma: b", ", colon: b": " },
        }
    }

    fn between(&self, position: usize, out: &mut Vec<u8>) {
        if position > 0 {
            out.extend_from_slice(self.comma);
        }
    }
}

fn value(column: &Column<'_>, row: usize, kind: JsonKind, style: &Style, out: &mut Vec<u8>) -> Result<()> {
    if column.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match &column.values {
        Values::Null => out.extend_from_slice(b"null"),
        Values::Bool(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
        Values::Int(..) | Values::Decimal(..) | Values::WholeNumeric(_) | Values::Json(..) => {
            text::write(column, row, style, out)?;
        }
        Values::WideNumeric(cells) => {
            number_or_name(column, numeric_cell(cells, row)?.is_finite(), row, style, out)?;
        }
        Values::Float4(floats) => number_or_name(column, floats.double(row).is_finite(), row, style, out)?,
        Values::Float8(floats) => number_or_name(column, floats.double(row).is_finite(), row, style, out)?,
        Values::JsonTree(tree, _) => write_tree(tree, kind, row, style, out)?,
        Values::Array(spans, items) | Values::Vector(spans, items) => list(spans, items, row, kind, style, out)?,
        Values::Timestamp(counts, unit) => {
            out.push(b'"');
            datetime::timestamp(out, text::stamp(counts[row], *unit)?, None, Layout::Json)?;
            out.push(b'"');
        }
        Values::Timestamptz(counts, unit) => {
            out.push(b'"');
            datetime::timestamp(out, text::stamp(counts[row], *unit)?, Some(style.zone), Layout::Json)?;
            out.push(b'"');
        }
        Values::Text(texts) => string(texts.at(row), out),
        Values::CharText(_)
        | Values::CharByte(_)
        | Values::Bytea(_)
        | Values::UuidText(_)
        | Values::MacaddrText(_)
        | Values::BitText(_)
        | Values::Network(..)
        | Values::UuidBytes(_)
        | Values::Date(_)
        | Values::Time(..)
        | Values::Interval(_)
        | Values::Timetz(_)
        | Values::Record(_)
        | Values::RegName(_)
        | Values::Void(_) => quoted(column, row, style, out)?,
        Values::Indirect(index, values) => value(values, text::behind(index, row)?, kind, style, out)?,
    }
    Ok(())
}

/// JSON has no NaN and no infinity: PostgreSQL writes their names as strings.
fn number_or_name(column: &Column<'_>, is_number: bool, row: usize, style: &Style, out: &mut Vec<u8>) -> Result<()> {
    if is_number { text::write(column, row, style, out) } else { quoted(column, row, style, out) }
}

fn quoted(column: &Column<'_>, row: usize, style: &Style, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    text::write(column, row, style, out)?;
    let bare = out.split_off(start);
    string(&String::from_utf8_lossy(&bare), out);
    Ok(())
}

/// `escape_json`.
fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x00..=0x1f => {
                // Writing to a Vec cannot fail.
                let _infallible = write!(out, "\\u{byte:04x}");
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
