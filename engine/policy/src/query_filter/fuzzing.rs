//! What the fuzz target and the replay of its corpus call: filters over an object with a field of each kind, with the properties that must
//! hold of what is compiled.

use super::{Column, Compiler, FilterContext, FilterError, compile_filter};
use crate::filter::{RowFilter, RowLookup};
use querygate_metadata::model::Protocol;
use querygate_metadata::model::{FieldType, FormulaReturn, ValueType};
use querygate_types::{Error, Result as TypesResult};
use serde_json::{Map, Value, json};

/// 2026-07-28T12:00:00Z.
const NOW_MS: i64 = 1_785_240_000_000;

/// The fields that filters are about; two of a kind may be compared with each other.
fn column(name: &str) -> Option<Column> {
    let field = |field_type| Column { field_type, multiple: false, formula_return: None, column_type: None };
    Some(match name {
        "name" | "other" => field(FieldType::Text),
        "code" => Column { column_type: Some(ValueType::Uuid), ..field(FieldType::Text) },
        "amount" | "paid" => field(FieldType::Number),
        "done" => field(FieldType::Boolean),
        "due" | "start" => field(FieldType::Date),
        "at" => field(FieldType::Datetime),
        "hour" => field(FieldType::Time),
        "tags" => field(FieldType::Tags),
        "data" => field(FieldType::Json),
        "span" => Column { column_type: Some(ValueType::Interval), ..field(FieldType::Text) },
        "sum" => Column { formula_return: Some(FormulaReturn::Number), ..field(FieldType::Formula) },
        _ => return None,
    })
}

/// Rows with values, with others, and with none.
fn rows() -> [Map<String, Value>; 4] {
    let rows = [
        json!({"name": "a b", "other": "a b", "code": "6f1b6c1e-5d1c-4b1a-9a53-0c2f4a7d9e10", "amount": 1, "paid": 1.5, "done": true,
            "due": "2026-07-28", "start": "2026-07-27", "at": "2026-07-28T12:00:00.000Z", "hour": "14:30:00", "tags": ["a", "b"],
            "data": {"a": [1]}, "span": "1 day"}),
        json!({"name": "A%_\\", "other": "é", "amount": -9_007_199_254_740_992_i64, "paid": 0.1, "done": false, "due": "1970-01-01",
            "start": "9999-12-31", "at": "1969-12-31T23:59:59.999Z", "hour": "00:00:00", "tags": []}),
        json!({"name": "", "other": "{today}", "amount": 0, "paid": 0, "tags": [""]}),
        json!({}),
    ];
    rows.map(|row| row.as_object().cloned().unwrap_or_default())
}

/// No filter of a client reads another object.
struct Nowhere;

impl RowLookup for Nowhere {
    fn rows_where(&self, object: &str, _: &str, _: &str) -> TypesResult<Vec<Map<String, Value>>> {
        Err(Error::internal(format!("a filter reads {object}")))
    }
}

/// Reads a filter. Gives whether it is one.
///
/// # Errors
/// What is wrong with the reader: a refusal without words, a filter over what it did not name, or one that is simplified to another, that
/// a strict door takes for another, or that is not two-valued.
pub fn filter(bytes: &[u8]) -> Result<bool, String> {
    let Ok(filter) = serde_json::from_slice::<Value>(bytes) else { return Ok(false) };
    let context =
        |protocol| FilterContext { now_ms: NOW_MS, user_id: Some("u1".to_owned()), organization_id: None, protocol };
    let compiled = compile_filter(&filter, &column, &context(Protocol::V17_4));
    let strict = compile_filter(&filter, &column, &context(Protocol::default()));
    let compiled = match (compiled, strict) {
        (Err(error), Err(_)) => return refused(&error),
        (Err(error), Ok(_)) => return Err(format!("{filter}: a strict door takes what is refused with {error}")),
        (Ok(compiled), Ok(strict)) if strict != compiled => {
            return Err(format!("{filter}: another one at a strict door"));
        }
        (Ok(compiled), _) => compiled,
    };
    if let Some(unknown) = compiled.columns().into_iter().find(|name| column(name).is_none()) {
        return Err(format!("{filter} reads {unknown}"));
    }
    let context = context(Protocol::V17_4);
    let plain = Compiler::new(&column, &context).filter(&filter, 0).map_err(|error| error.to_string())?;
    // One level more may be one too many.
    let complement = compile_filter(&json!({ "$not": &filter }), &column, &context).ok();
    let complement = complement.filter(|_| !takes_list_for_text(&filter));
    for row in rows() {
        let passes = |filter: &RowFilter| filter.evaluate(&row, &Nowhere).map_err(|error| error.to_string());
        let is_in = passes(&compiled)?;
        if passes(&plain)? != is_in {
            return Err(format!("{filter} is simplified to another filter: {compiled:?}"));
        }
        if let Some(complement) = &complement
            && passes(complement)? == is_in
        {
            return Err(format!("{filter} and its complement agree on {row:?}"));
        }
    }
    Ok(true)
}

/// Whether a filter may ask a list what only a text is asked, which finds nothing, as its complement does.
fn takes_list_for_text(filter: &Value) -> bool {
    const OF_TEXTS: [&str; 5] = ["$startsWith", "$endsWith", "$icontains", "$like", "$ilike"];
    match filter {
        Value::Object(members) => members.iter().any(|(name, value)| {
            let operators = value.as_object().filter(|_| name == "tags");
            operators.is_some_and(|operators| OF_TEXTS.iter().any(|name| operators.contains_key(*name)))
                || takes_list_for_text(value)
        }),
        Value::Array(items) => items.iter().any(takes_list_for_text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn refused(error: &FilterError) -> Result<bool, String> {
    if error.message.is_empty() { Err("refused without a word".to_owned()) } else { Ok(false) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What inputs are damaged with.
    const PIECES: [&str; 14] = [
        "\"",
        "{",
        "[",
        "}",
        "]",
        ",",
        "null",
        "-1e999",
        "\"$not\":",
        "{\"$and\":[",
        "{\"$field\":\"paid\"}",
        "\"{today}\"",
        "\"name\":",
        "\"\\ud800\"",
    ];

    fn corpus() -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/filter");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect();
        files.sort();
        files
    }

    #[test]
    fn filters_are_read_or_refused() {
        let (mut read, mut refused) = (0, 0);
        for (name, bytes) in corpus() {
            match filter(&bytes).unwrap_or_else(|broken| panic!("{name}: {broken}")) {
                true => read += 1,
                false => refused += 1,
            }
        }
        assert!(read >= 30 && refused >= 20, "{read} read, {refused} refused");
    }

    /// Each with a piece left out, doubled, or of another one put in. `QUERYGATE_FUZZ_QUESTIONS=1000000` tries more.
    #[test]
    fn damaged_filters_are_read_or_refused() {
        let rounds = std::env::var("QUERYGATE_FUZZ_QUESTIONS").map_or(4_000, |text| text.parse().unwrap());
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |end: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % u64::try_from(end.max(1)).unwrap()).unwrap()
        };
        let mut inputs: Vec<Vec<u8>> = corpus().into_iter().map(|(_, bytes)| bytes).collect();
        let (mut read, mut refused) = (0, 0);
        for _ in 0..rounds {
            let at = below(inputs.len());
            let (input, other) = (&inputs[at], &inputs[below(inputs.len())]);
            let (from, to) = (below(input.len() + 1), below(input.len() + 1));
            let (from, to) = (from.min(to), from.max(to));
            let piece: &[u8] = match below(4) {
                0 => &[],
                1 => &input[from..to],
                2 => &other[below(other.len() + 1)..],
                _ => PIECES[below(PIECES.len())].as_bytes(),
            };
            let rest = if below(2) == 0 { to } else { from };
            let damaged = [&input[..to], piece, &input[rest..]].concat();
            let shown = || String::from_utf8_lossy(&damaged).into_owned();
            let is_read = filter(&damaged).unwrap_or_else(|broken| panic!("{}: {broken}", shown()));
            (read, refused) = (read + usize::from(is_read), refused + usize::from(!is_read));
            // What is read still may be damaged further.
            if is_read && below(8) == 0 && damaged.len() < 2_000 {
                inputs[at] = damaged;
            }
        }
        assert!(read > rounds / 50 && refused > rounds / 50, "{read} read, {refused} refused");
    }
}
