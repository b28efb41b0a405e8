//! Array functions that DataFusion lacks or answers otherwise, and JSON builders over plain values.

use super::{Call, Definition, lenient, strict};
use crate::cell::Cell;
use querygate_types::{Error, ErrorCode, Result};

pub(super) const FUNCTIONS: &[Definition] = &[
    strict("array_upper", 2, 2, "int4", |c, args| Ok(bound(c, args, true))),
    strict("array_lower", 2, 2, "int4", |c, args| Ok(bound(c, args, false))),
    lenient("json_build_object", 0, 1000, "json", |_, args| build_object(args)),
    lenient("jsonb_build_object", 0, 1000, "jsonb", |_, args| build_object(args)),
    lenient("json_build_array", 0, 1000, "json", |_, args| Ok(json(&Cell::List(args.to_vec())).into())),
    lenient("jsonb_build_array", 0, 1000, "jsonb", |_, args| Ok(json(&Cell::List(args.to_vec())).into())),
];

/// Upper or lower bound of the first dimension; NULL for an empty array and for other dimensions.
fn bound(call: &Call<'_>, args: &[Cell], upper: bool) -> Cell {
    let first = call.first_index();
    match (args.first(), args.get(1)) {
        (Some(Cell::List(values)), Some(Cell::Int(1))) if !values.is_empty() => {
            Cell::Int(if upper { i64::try_from(values.len()).unwrap_or(i64::MAX) + first - 1 } else { first })
        }
        _ => Cell::Null,
    }
}

fn build_object(args: &[Cell]) -> Result<Cell> {
    if args.len() % 2 == 1 {
        return Err(Error::new(ErrorCode::InvalidParameterValue, "argument list must have even number of elements"));
    }
    let mut parts = Vec::with_capacity(args.len() / 2);
    for pair in args.chunks_exact(2) {
        let [key, value] = pair else { continue };
        let key = match key {
            Cell::Null => {
                return Err(Error::new(ErrorCode::InvalidParameterValue, "null value not allowed for object key"));
            }
            Cell::Text(text) => text.clone(),
            other => json(other),
        };
        parts.push(format!("{} : {}", json_text(&key), json(value)));
    }
    Ok(format!("{{{}}}", parts.join(", ")).into())
}

fn json(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".to_owned(),
        Cell::Bool(v) => v.to_string(),
        Cell::Int(v) | Cell::Micros(v) => v.to_string(),
        Cell::Float(v) => v.to_string(),
        Cell::Text(text) => json_text(text),
        Cell::List(values) => format!("[{}]", values.iter().map(json).collect::<Vec<_>>().join(", ")),
    }
}

fn json_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_objects_print_as_postgres_prints_them() {
        let args = [Cell::from("a"), Cell::Int(1), Cell::from("b\""), Cell::List(vec![Cell::Null, true.into()])];
        assert_eq!(build_object(&args).unwrap(), Cell::from(r#"{"a" : 1, "b\"" : [null, true]}"#));
        assert!(build_object(&args[..1]).is_err());
    }
}
