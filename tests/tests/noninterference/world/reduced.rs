//! What a principal may see, made physical: hidden rows and columns are gone, masks are values.

use super::{Mask, ObjectDef};
use arrow::datatypes::{DataType, Field, Schema};
use querygate_tests::harness::Table;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Removes hidden columns, writes masks into the rows.
pub(super) fn reduce(object: &ObjectDef, table: &Table) -> Table {
    let masks: BTreeMap<&str, Mask> = object
        .fields
        .iter()
        .filter(|f| !f.lifted && !f.hidden)
        .filter_map(|f| f.mask.map(|mask| (f.name.as_str(), mask)))
        .collect();
    let hidden = |name: &str| object.fields.iter().any(|f| f.hidden && f.name == name);
    let fields =
        table.schema.fields().iter().filter(|f| !hidden(f.name())).map(|f| match masks.get(f.name().as_str()) {
            Some(_) if !matches!(f.data_type(), DataType::List(_)) => Field::new(f.name(), DataType::Utf8, true),
            _ => f.as_ref().clone(),
        });
    let rows = table.rows.iter().map(|row| {
        let cells = row.iter().filter(|(name, _)| !hidden(name)).map(|(name, value)| {
            let value = masks.get(name.as_str()).map_or_else(|| value.clone(), |mask| masked(*mask, value));
            (name.clone(), value)
        });
        cells.collect()
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    Table::new(&table.object, Arc::new(schema), rows.collect())
}

/// Masks one value by the reference's section 6.9.
pub(super) fn masked(mask: Mask, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) => Value::from(masked_text(mask, text)),
        Value::Number(number) => Value::from(masked_text(mask, &number.to_string())),
        Value::Array(elements) => Value::from(elements.iter().map(|e| masked(mask, e)).collect::<Vec<_>>()),
        other => panic!("no mask for {other}"),
    }
}

/// Another value that looks the same behind the mask.
pub(super) fn alike(mask: Mask, value: &Value) -> Value {
    match (mask, value) {
        (Mask::Keep(0, 1), Value::Number(number)) if number.is_i64() => {
            let digits = number.to_string();
            let (head, tail) = digits.split_at(digits.len() - 1);
            let tail = if head.is_empty() { "1" } else { tail };
            Value::from(format!("{}{tail}", "1".repeat(head.len())).parse::<i64>().unwrap())
        }
        (_, Value::Number(_)) => value.clone(),
        // A star stands for a star.
        _ => masked(mask, value),
    }
}

pub(super) fn masked_text(mask: Mask, text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let (head, tail, domain) = match (mask, letters.iter().position(|c| *c == '@')) {
        (Mask::Keep(head, tail), _) => (head, tail, letters.len()),
        (Mask::Email, None | Some(0)) => (1, 0, letters.len()),
        (Mask::Email, Some(at)) => (1, 0, at),
    };
    let (local, rest) = letters.split_at(domain);
    let short = local.len() <= head + tail;
    let stars = local.iter().enumerate().map(|(i, c)| {
        let kept = !short && (i < head || i + tail >= local.len());
        if kept { *c } else { '*' }
    });
    stars.chain(rest.iter().copied()).collect()
}
