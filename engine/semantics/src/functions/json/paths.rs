//! Functions and operators of SQL/JSON paths.

use super::read;
use crate::fault::external;
use crate::functions::call::form::{Form, P, R, form};
use crate::functions::{Def, Row, Value, strict};
use crate::json::jsonpath::{Found, Item, Path, find, matches, parse};
use crate::json::print::normal_text;
use crate::json::tree::{Json, Node};
use datafusion::common::Result;
use querygate_types::{Error, ErrorCode};

const TWO: &[P] = &[P::Text, P::Text];
const VARIABLES: &[P] = &[P::Text, P::Text, P::Text];
const SILENT: &[P] = &[P::Text, P::Text, P::Text, P::Bool];

pub(in crate::functions) const DEFS: &[Def] = &[
    strict("jsonb_path_exists", EXISTS),
    strict("jsonb_path_match", MATCH),
    strict("jsonb_path_query_array", QUERY_ARRAY),
    strict("jsonb_path_query_first", QUERY_FIRST),
    // `jsonb_path_query`, as a list.
    strict("jsonb_path_items", ITEMS),
    // The operators, which say nothing of errors.
    strict("jsonb_path_exists_opr", &[form(TWO, R::Bool, |r| exists(r, true))]),
    strict("jsonb_path_match_opr", &[form(TWO, R::Bool, |r| matched(r, true))]),
];

const EXISTS: &[Form] = &[
    form(TWO, R::Bool, |r| exists(r, false)),
    form(VARIABLES, R::Bool, |r| exists(r, false)),
    form(SILENT, R::Bool, |r| exists(r, r.bool(3))),
];
const MATCH: &[Form] = &[
    form(TWO, R::Bool, |r| matched(r, false)),
    form(VARIABLES, R::Bool, |r| matched(r, false)),
    form(SILENT, R::Bool, |r| matched(r, r.bool(3))),
];
const QUERY_ARRAY: &[Form] = &[
    form(TWO, R::Jsonb, |r| array(r, false)),
    form(VARIABLES, R::Jsonb, |r| array(r, false)),
    form(SILENT, R::Jsonb, |r| array(r, r.bool(3))),
];
const QUERY_FIRST: &[Form] = &[
    form(TWO, R::Jsonb, |r| first(r, false)),
    form(VARIABLES, R::Jsonb, |r| first(r, false)),
    form(SILENT, R::Jsonb, |r| first(r, r.bool(3))),
];
const ITEMS: &[Form] = &[
    form(TWO, R::TextArray, |r| listed(r, false)),
    form(VARIABLES, R::TextArray, |r| listed(r, false)),
    form(SILENT, R::TextArray, |r| listed(r, r.bool(3))),
];

/// Evaluates the path and ends with what it gives; `None`: it failed, in silence.
fn found<T>(
    row: &Row<'_>,
    silent: bool,
    evaluate: impl FnOnce(&Path, &Node, &Node) -> Result<Found<T>>,
) -> Result<Option<T>> {
    let Some(path) = parse(row.text(1)) else {
        let message = "syntax error in a jsonpath, or a part that is not supported";
        return Err(external(Error::new(ErrorCode::SyntaxError, message)));
    };
    let variables = if row.len() > 2 { read(row.text(2))? } else { Json::Object(Vec::new()).node() };
    match evaluate(&path, &read(row.text(0))?, &variables)? {
        Ok(value) => Ok(Some(value)),
        Err(wrong) if silent && wrong.is_of_path() => Ok(None),
        Err(wrong) => Err(wrong.error()),
    }
}

fn exists(row: &Row<'_>, silent: bool) -> Result<Value> {
    let any = found(row, silent, |path, of, variables| Ok(find(path, of, variables).map(|items| !items.is_empty())))?;
    Ok(any.map_or(Value::Null, Value::Bool))
}

fn matched(row: &Row<'_>, silent: bool) -> Result<Value> {
    let answer = found(row, silent, |path, of, variables| Ok(matches(path, of, variables)))?;
    Ok(answer.flatten().map_or(Value::Null, Value::Bool))
}

fn array(row: &Row<'_>, silent: bool) -> Result<Value> {
    Ok(Value::Text(format!("[{}]", texts(row, silent)?.join(", "))))
}

fn first(row: &Row<'_>, silent: bool) -> Result<Value> {
    let first = found(row, silent, |path, of, variables| {
        let items = find(path, of, variables);
        Ok(items.map(|items| items.into_iter().next().map(|item| normal_text(item.into_owned()))))
    })?;
    Ok(first.flatten().map_or(Value::Null, Value::Text))
}

fn listed(row: &Row<'_>, silent: bool) -> Result<Value> {
    Ok(Value::Texts(texts(row, silent)?.into_iter().map(Some).collect()))
}

/// The texts of all items, bounded together: items may lie in one another.
fn texts(row: &Row<'_>, silent: bool) -> Result<Vec<String>> {
    let written = |items: Vec<Item<'_>>| -> Result<Vec<String>> {
        let mut length = 0_usize;
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            let text = normal_text(item.into_owned());
            length = length.saturating_add(text.len());
            crate::functions::texts::bounded(Some(length))?;
            texts.push(text);
        }
        Ok(texts)
    };
    let texts = found(row, silent, |path, of, variables| {
        Ok(match find(path, of, variables) {
            Ok(items) => Ok(written(items)?),
            Err(wrong) => Err(wrong),
        })
    })?;
    Ok(texts.unwrap_or_default())
}
