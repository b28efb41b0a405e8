//! JSON functions and operators. The operators' functions have names that no user would guess and mean no harm.

pub(super) use keys::order_key;
pub(super) use paths::DEFS as PATHS;
mod keys;
mod paths;
mod values;

use crate::fault::{external, refused};
use crate::functions::call::form::{Form, P, R, form, list, variadic};
use crate::functions::{Def, Row, Value, lenient, strict};
use crate::json::edit::{Change, concat, put, stripped, without_element, without_key, without_path};
use crate::json::of_value::{item_of, write};
use crate::json::print::{normal, normal_text, pretty, quoted, text};
use crate::json::tree::{Json, Node, parse, weight};
use crate::json::{invalid, path};
use arrow::array::Array;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue};
use keys::shortest;
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_resources::{proceed, work};
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;
use values::{array, json_of, object, on_lines};

const ONE: &[P] = &[P::Text];
const KEY: &[P] = &[P::Text, P::Text];
const PLACE: &[P] = &[P::Text, P::Int];
const PATH: &[P] = &[P::Text, P::TextArray];

pub(super) const DEFS: &[Def] = &[
    strict("json_get", &[form(KEY, R::By(like_first), get), form(PLACE, R::By(like_first), get_place)]),
    strict("json_get_text", &[form(KEY, R::Text, get), form(PLACE, R::Text, get_place)]),
    strict("json_follow", &[form(PATH, R::By(like_first), follow)]),
    strict("json_follow_text", &[form(PATH, R::Text, follow)]),
    strict(
        "jsonb_contains",
        &[form(KEY, R::Bool, |r| Ok(Value::Bool(path::contains(&node(r, 0)?, &node(r, 1)?, true)?)))],
    ),
    strict(
        "jsonb_contained",
        &[form(KEY, R::Bool, |r| Ok(Value::Bool(path::contains(&node(r, 1)?, &node(r, 0)?, true)?)))],
    ),
    strict(
        "jsonb_equal",
        &[form(KEY, R::Bool, |r| Ok(Value::Bool(path::equal(&normal(node(r, 0)?), &normal(node(r, 1)?)))))],
    ),
    // The bytes by which values are ordered; equal ones have equal bytes.
    strict("jsonb_key", &[form(ONE, R::Bytea, |r| order_key(r.text(0)).map(Value::Bytes))]),
    // The value itself, where the engine does not know that it is jsonb.
    strict("jsonb_told", &[form(ONE, R::Jsonb, |r| Ok(Value::Text(r.text(0).to_owned())))]),
    strict("jsonb_shortest", &[form(ONE, R::Jsonb, |r| shortest(r.text(0)).map(Value::Text))]),
    strict("jsonb_exists", &[form(KEY, R::Bool, |r| Ok(Value::Bool(path::has(&node(r, 0)?, r.text(1)))))]),
    strict("jsonb_exists_any", &[form(PATH, R::Bool, |r| exists(r, false))]),
    strict("jsonb_exists_all", &[form(PATH, R::Bool, |r| exists(r, true))]),
    strict("jsonb_concat", &[form(KEY, R::Jsonb, |r| printed(concat(node(r, 0)?, node(r, 1)?)))]),
    strict(
        "jsonb_delete",
        &[
            form(KEY, R::Jsonb, |r| printed(without_key(node(r, 0)?, r.text(1))?)),
            form(PLACE, R::Jsonb, |r| printed(without_element(node(r, 0)?, r.int(1))?)),
            form(PATH, R::Jsonb, |r| {
                let keys = r.texts(1);
                let without = |node: Node, key: &String| -> Result<Node> {
                    proceed()?;
                    without_key(node, key)
                };
                printed(keys.iter().flatten().try_fold(node(r, 0)?, without)?)
            }),
        ],
    ),
    strict("jsonb_delete_path", &[form(PATH, R::Jsonb, |r| printed(without_path(node(r, 0)?, &r.texts(1))?))]),
    strict("json_typeof", TYPE_OF),
    strict("jsonb_typeof", TYPE_OF),
    strict("json_array_length", LENGTH),
    strict("jsonb_array_length", LENGTH),
    strict("json_strip_nulls", &[form(ONE, R::Json, |r| Ok(Value::Text(compact(&stripped(node(r, 0)?)))))]),
    strict("jsonb_strip_nulls", &[form(ONE, R::Jsonb, |r| printed(stripped(node(r, 0)?)))]),
    strict("jsonb_pretty", &[form(ONE, R::Text, |r| Ok(Value::Text(pretty(&normal(node(r, 0)?)))))]),
    strict(
        "jsonb_set",
        &[
            form(&[P::Text, P::TextArray, P::Text], R::Jsonb, |r| changed(r, Change::Set { create: true })),
            form(&[P::Text, P::TextArray, P::Text, P::Bool], R::Jsonb, |r| {
                changed(r, Change::Set { create: r.bool(3) })
            }),
        ],
    ),
    strict(
        "jsonb_insert",
        &[
            form(&[P::Text, P::TextArray, P::Text], R::Jsonb, |r| changed(r, Change::Insert { after: false })),
            form(&[P::Text, P::TextArray, P::Text, P::Bool], R::Jsonb, |r| {
                changed(r, Change::Insert { after: r.bool(3) })
            }),
        ],
    ),
    lenient("jsonb_set_lax", SET_LAX),
    strict("json_extract_path", &[variadic(ONE, P::Text, R::Json, extract)]),
    strict("jsonb_extract_path", &[variadic(ONE, P::Text, R::Jsonb, extract)]),
    strict("json_extract_path_text", &[variadic(ONE, P::Text, R::Text, extract)]),
    strict("jsonb_extract_path_text", &[variadic(ONE, P::Text, R::Text, extract)]),
    strict("to_json", &[form(&[P::Any], R::Json, |r| Ok(Value::Text(json_of(r, 0)?)))]),
    strict(
        "to_jsonb",
        &[form(&[P::Any], R::Jsonb, |r| {
            let text = json_of(r, 0)?;
            // A text in quotes is as jsonb has it.
            let plain = matches!(r.field(0).data_type(), DataType::Utf8 | DataType::Boolean)
                && !crate::json::of_value::is_json(r.field(0));
            if plain { Ok(Value::Text(text)) } else { printed(read(&text)?) }
        })],
    ),
    strict(
        "array_to_json",
        &[
            form(&[P::AnyArray], R::Json, |r| Ok(Value::Text(json_of(r, 0)?))),
            form(&[P::AnyArray, P::Bool], R::Json, on_lines),
        ],
    ),
    strict(
        "row_to_json",
        &[form(&[P::Any], R::Json, |r| Ok(Value::Text(json_of(r, 0)?))), form(&[P::Any, P::Bool], R::Json, on_lines)],
    ),
    lenient("json_build_object", &[variadic(&[], P::Any, R::Json, |r| Ok(Value::Text(object(r)?)))]),
    lenient("jsonb_build_object", &[variadic(&[], P::Any, R::Jsonb, |r| printed(read(&object(r)?)?))]),
    lenient("json_build_array", &[variadic(&[], P::Any, R::Json, |r| Ok(Value::Text(array(r)?)))]),
    lenient("jsonb_build_array", &[variadic(&[], P::Any, R::Jsonb, |r| printed(read(&array(r)?)?))]),
    strict("json_object", OBJECT_OF_TEXTS),
    strict("jsonb_object", OBJECT_OF_TEXTS_B),
    strict("json_of_rows", &[form(&[P::AnyArray], R::Json, |r| Ok(Value::Text(rows(r)?)))]),
    strict("jsonb_of_rows", &[form(&[P::AnyArray], R::Jsonb, |r| printed(read(&rows(r)?)?))]),
    strict("json_element", &[form(&[P::Any], R::Json, |r| Ok(Value::Text(element(r)?)))]),
    strict("json_of_elements", &[form(&[P::TextArray], R::Json, |r| Ok(Value::Text(joined(r))))]),
    strict("jsonb_of_elements", &[form(&[P::TextArray], R::Jsonb, |r| printed(read(&joined(r))?))]),
    strict("json_of_pairs", &[form(&[P::AnyArray, P::AnyArray], R::Json, |r| Ok(Value::Text(pairs(r)?)))]),
    strict("jsonb_of_pairs", &[form(&[P::AnyArray, P::AnyArray], R::Jsonb, |r| printed(read(&pairs(r)?)?))]),
    strict(
        "json_as_array_text",
        &[form(ONE, R::Text, |r| Ok(array_text(&node(r, 0)?).map_or(Value::Null, Value::Text)))],
    ),
    strict("json_elements", &[form(ONE, R::TextArray, |r| elements(r, false))]),
    strict("json_elements_text", &[form(ONE, R::TextArray, |r| elements(r, true))]),
    strict("json_keys", &[form(ONE, R::TextArray, keys)]),
    strict("json_members", &[form(ONE, R::By(|_, _| Ok(member_list())), |r| members(r, false))]),
    strict("json_members_text", &[form(ONE, R::By(|_, _| Ok(member_list())), |r| members(r, true))]),
];

const LAX: &[P] = &[P::Text, P::TextArray, P::Text, P::Bool, P::Text];
const SET_LAX: &[Form] = &[
    form(&[P::Text, P::TextArray, P::Text], R::Jsonb, set_lax),
    form(&[P::Text, P::TextArray, P::Text, P::Bool], R::Jsonb, set_lax),
    form(LAX, R::Jsonb, set_lax),
];
const TYPE_OF: &[Form] = &[form(ONE, R::Text, |r| Ok(Value::Text(node(r, 0)?.value.type_name().to_owned())))];
const LENGTH: &[Form] = &[form(ONE, R::Int4, |r| match node(r, 0)?.value {
    Json::Array(items) => Ok(Value::Int(i64::try_from(items.len()).unwrap_or(i64::MAX))),
    Json::Object(_) => Err(refused("cannot get array length of a non-array")),
    _ => Err(refused("cannot get array length of a scalar")),
})];
const OBJECT_OF_TEXTS: &[Form] = &[
    form(&[P::TextArray], R::Json, |r| Ok(Value::Text(object_of_texts(r)?))),
    form(&[P::TextArray, P::TextArray], R::Json, |r| Ok(Value::Text(object_of_texts(r)?))),
    form(&[P::TextTable], R::Json, |r| Ok(Value::Text(object_of_texts(r)?))),
    form(&[P::TextTable, P::TextTable], R::Json, |_| Err(subscripts("wrong number of array subscripts"))),
];
const OBJECT_OF_TEXTS_B: &[Form] = &[
    form(&[P::TextArray], R::Jsonb, |r| printed(read(&object_of_texts(r)?)?)),
    form(&[P::TextArray, P::TextArray], R::Jsonb, |r| printed(read(&object_of_texts(r)?)?)),
    form(&[P::TextTable], R::Jsonb, |r| printed(read(&object_of_texts(r)?)?)),
    form(&[P::TextTable, P::TextTable], R::Jsonb, |_| Err(subscripts("wrong number of array subscripts"))),
];

fn subscripts(message: &'static str) -> datafusion::common::DataFusionError {
    external(Error::new(ErrorCode::ArraySubscriptError, message))
}

pub(super) fn read(text: &str) -> Result<Node> {
    work(weight(text))?;
    parse(text).ok_or_else(invalid)
}

fn node(row: &Row<'_>, arg: usize) -> Result<Node> {
    read(row.text(arg))
}

fn printed(node: Node) -> Result<Value> {
    Ok(Value::Text(normal_text(node)))
}

/// The name of the first argument's JSON type: jsonb where nothing is said.
fn pg_name(args: &[FieldRef]) -> &'static str {
    let named = args.first().and_then(|f| f.metadata().get(PG_TYPE_KEY)).is_some_and(|name| name == "json");
    if named { "json" } else { "jsonb" }
}

fn json_field(name: &str, pg_type: &str) -> Field {
    Field::new(name, DataType::Utf8, true).with_metadata([(PG_TYPE_KEY.to_owned(), pg_type.to_owned())].into())
}

fn like_first(args: &[FieldRef], _: &[Option<&ScalarValue>]) -> Result<Field> {
    Ok(json_field("json", pg_name(args)))
}

/// Pairs of texts. That values are JSON is said outside: a type inside of a list carries no name here.
fn member_list() -> Field {
    let fields = Fields::from(vec![Field::new("key", DataType::Utf8, true), Field::new("value", DataType::Utf8, true)]);
    let item = Field::new("item", DataType::Struct(fields), true);
    Field::new("item", DataType::List(Arc::new(item)), true)
}

/// The text whose spelling is kept: json's, not jsonb's.
fn source<'a>(row: &'a Row<'_>) -> Option<&'a str> {
    (row.pg_type(0) == Some("json")).then(|| row.text(0))
}

/// What was found as the result's type wants it.
fn found(row: &Row<'_>, node: Option<&Node>) -> Value {
    let is_json = row.returns.metadata().contains_key(PG_TYPE_KEY);
    match node {
        None => Value::Null,
        Some(node) if is_json => Value::Text(path::spelled(node, source(row))),
        Some(node) => path::as_text(node, source(row)).map_or(Value::Null, Value::Text),
    }
}

fn get(row: &Row<'_>) -> Result<Value> {
    Ok(found(row, path::member(&node(row, 0)?, row.text(1))))
}

fn get_place(row: &Row<'_>) -> Result<Value> {
    let whole = node(row, 0)?;
    // To jsonb, a scalar is an array of one.
    if source(row).is_none() && !matches!(whole.value, Json::Array(_) | Json::Object(_)) {
        return Ok(found(row, matches!(row.int(1), 0 | -1).then_some(&whole)));
    }
    Ok(found(row, path::element(&whole, row.int(1))))
}

fn follow(row: &Row<'_>) -> Result<Value> {
    Ok(found(row, path::follow(&node(row, 0)?, &row.texts(1))))
}

fn extract(row: &Row<'_>) -> Result<Value> {
    let steps: Vec<Option<String>> = (1..row.len()).map(|arg| Some(row.text(arg).to_owned())).collect();
    Ok(found(row, path::follow(&node(row, 0)?, &steps)))
}

fn exists(row: &Row<'_>, all: bool) -> Result<Value> {
    let (whole, keys) = (node(row, 0)?, row.texts(1));
    for key in keys.iter().flatten() {
        proceed()?;
        if path::has(&whole, key) != all {
            return Ok(Value::Bool(!all));
        }
    }
    Ok(Value::Bool(all))
}

/// `jsonb_set` that says what a NULL for the new value means.
fn set_lax(row: &Row<'_>) -> Result<Value> {
    if row.is_null(0) || row.is_null(1) || (row.len() > 3 && row.is_null(3)) {
        return Ok(Value::Null);
    }
    let change = Change::Set { create: row.len() < 4 || row.bool(3) };
    if !row.is_null(2) {
        return changed(row, change);
    }
    let treatment = if row.len() < 5 { Some("use_json_null") } else { (!row.is_null(4)).then(|| row.text(4)) };
    match treatment {
        Some("use_json_null") => printed(put(normal(node(row, 0)?), &path_of(row)?, &Json::Null.node(), change)?),
        Some("delete_key") => printed(without_path(node(row, 0)?, &row.texts(1))?),
        Some("return_target") => printed(node(row, 0)?),
        Some("raise_exception") => {
            Err(external(Error::new(ErrorCode::NullValueNotAllowed, "JSON value must not be null")))
        }
        _ => Err(refused(
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
        )),
    }
}

/// A path to change: none of its steps is NULL.
fn path_of(row: &Row<'_>) -> Result<Vec<Option<String>>> {
    let path = row.texts(1);
    match path.iter().position(Option::is_none) {
        None => Ok(path),
        Some(at) => {
            let message = format!("path element at position {} is null", at + 1);
            Err(external(Error::new(ErrorCode::NullValueNotAllowed, message)))
        }
    }
}

fn changed(row: &Row<'_>, change: Change) -> Result<Value> {
    printed(put(normal(node(row, 0)?), &path_of(row)?, &normal(node(row, 2)?), change)?)
}

/// The result of `json_agg`: elements of an array, rows of their own on lines of their own.
fn rows(row: &Row<'_>) -> Result<String> {
    let items = row.list(0);
    let DataType::List(item) = row.field(0).data_type() else { return Ok("[]".to_owned()) };
    let item = &item_of(row.field(0), item);
    let between = if matches!(item.data_type(), DataType::Struct(_) | DataType::List(_)) { ", \n " } else { ", " };
    let mut out = String::from("[");
    for at in 0..items.len() {
        out.push_str(if at > 0 { between } else { "" });
        write(items.as_ref(), at, item, row.zone, &mut out)?;
    }
    out.push(']');
    Ok(out)
}

/// An element of `json_agg`; rows and arrays begin a line of their own.
fn element(row: &Row<'_>) -> Result<String> {
    let mut out = String::new();
    let (array, at) = row.array(0);
    if matches!(array.data_type(), DataType::Struct(_) | DataType::List(_)) {
        out.push_str("\n ");
    }
    write(array.as_ref(), at, row.field(0), row.zone, &mut out)?;
    Ok(out)
}

/// Elements that are JSON already.
fn joined(row: &Row<'_>) -> String {
    let items = row.list(0);
    let items = arrow::array::AsArray::as_string::<i32>(items.as_ref());
    let mut out = String::from("[");
    for (at, item) in items.iter().enumerate() {
        let item = item.unwrap_or("null");
        out.push_str(if at > 0 { ", " } else { "" });
        out.push_str(if at > 0 { item } else { item.trim_start() });
    }
    out.push(']');
    out
}

/// The result of `json_object_agg`.
fn pairs(row: &Row<'_>) -> Result<String> {
    let (keys, values) = (row.list(0), row.list(1));
    let (DataType::List(key), DataType::List(value)) = (row.field(0).data_type(), row.field(1).data_type()) else {
        return Ok("{}".to_owned());
    };
    let mut out = String::from("{ ");
    for at in 0..keys.len().min(values.len()) {
        let name = crate::casts::display::cast_text_of(keys.as_ref(), at, key, row.zone)?;
        let Some(name) = name else { return Err(refused("field name must not be null")) };
        out.push_str(if at > 0 { ", " } else { "" });
        quoted(&name, &mut out);
        out.push_str(" : ");
        match crate::casts::display::text_of(values.as_ref(), at, value, row.zone)? {
            Some(json) => out.push_str(&json),
            None => out.push_str("null"),
        }
    }
    out.push_str(" }");
    Ok(out)
}

/// The two texts of each row of an array of arrays.
fn rows_of_two(table: &dyn Array) -> Result<Vec<Option<String>>> {
    let mut texts = Vec::new();
    let rows = arrow::array::AsArray::as_list::<i32>(table);
    for row in rows.iter().flatten() {
        proceed()?;
        let Some(row) = arrow::array::AsArray::as_string_opt::<i32>(row.as_ref()) else {
            return Err(subscripts("wrong number of array subscripts"));
        };
        if row.len() != 2 {
            return Err(subscripts("array must have two columns"));
        }
        texts.extend(row.iter().map(|text| text.map(str::to_owned)));
    }
    Ok(texts)
}

fn object_of_texts(row: &Row<'_>) -> Result<String> {
    let nested = matches!(row.list(0).data_type(), DataType::List(_));
    let first = if nested { rows_of_two(row.list(0).as_ref())? } else { row.texts(0) };
    let pairs: Vec<(Option<String>, Option<String>)> = if row.len() == 2 {
        let second = row.texts(1);
        if first.len() != second.len() {
            return Err(subscripts("mismatched array dimensions"));
        }
        first.into_iter().zip(second).collect()
    } else {
        if first.len() % 2 == 1 {
            return Err(subscripts("array must have even number of elements"));
        }
        first.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    };
    let mut out = String::from("{");
    for (at, (key, value)) in pairs.iter().enumerate() {
        let Some(key) = key else {
            return Err(external(Error::new(ErrorCode::NullValueNotAllowed, "null value not allowed for object key")));
        };
        out.push_str(if at > 0 { ", " } else { "" });
        quoted(key, &mut out);
        out.push_str(" : ");
        match value {
            Some(value) => quoted(value, &mut out),
            None => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(out)
}

/// An array of JSON as PostgreSQL's array text; another value as it is.
fn array_text(node: &Node) -> Option<String> {
    match &node.value {
        Json::Array(items) => {
            let items = items.iter().map(|item| match (&item.value, array_text(item)) {
                (Json::Array(_), Some(text)) => text,
                (_, Some(text)) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
                (_, None) => "NULL".to_owned(),
            });
            Some(format!("{{{}}}", items.collect::<Vec<_>>().join(",")))
        }
        _ => path::as_text(node, None),
    }
}

fn elements(row: &Row<'_>, as_text: bool) -> Result<Value> {
    let whole = node(row, 0)?;
    let source = source(row);
    let Json::Array(items) = &whole.value else {
        return Err(refused(match whole.value {
            Json::Object(_) => "cannot extract elements from an object",
            _ => "cannot extract elements from a scalar",
        }));
    };
    let texts: Vec<Option<String>> = items
        .iter()
        .map(|item| if as_text { path::as_text(item, source) } else { Some(path::spelled(item, source)) })
        .collect();
    Ok(Value::Texts(texts))
}

fn own_members(row: &Row<'_>) -> Result<Vec<(String, Node)>> {
    let whole = node(row, 0)?;
    let whole = if source(row).is_some() { whole } else { normal(whole) };
    match whole.value {
        Json::Object(members) => Ok(members),
        Json::Array(_) => Err(refused("cannot call this function on an array")),
        _ => Err(refused("cannot call this function on a scalar")),
    }
}

fn keys(row: &Row<'_>) -> Result<Value> {
    Ok(Value::Texts(own_members(row)?.into_iter().map(|(key, _)| Some(key)).collect()))
}

fn members(row: &Row<'_>, as_text: bool) -> Result<Value> {
    let source = source(row);
    let members = own_members(row)?;
    let DataType::List(item) = row.returns.data_type() else { return Ok(Value::Null) };
    let DataType::Struct(fields) = item.data_type() else { return Ok(Value::Null) };
    let keys: arrow::array::StringArray = members.iter().map(|(key, _)| Some(key.as_str())).collect();
    let texts = members
        .iter()
        .map(|(_, value)| if as_text { path::as_text(value, source) } else { Some(path::spelled(value, source)) });
    let values: arrow::array::StringArray = texts.collect();
    let rows =
        arrow::array::StructArray::try_new(fields.clone(), vec![Arc::new(keys) as _, Arc::new(values) as _], None)?;
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([rows.len()]);
    let rows = arrow::array::ListArray::try_new(Arc::clone(item), offsets, Arc::new(rows), None)?;
    Ok(Value::Any(ScalarValue::List(Arc::new(rows))))
}

/// A text without blanks, as `json_strip_nulls` prints it.
fn compact(node: &Node) -> String {
    match &node.value {
        Json::Array(items) => format!("[{}]", items.iter().map(compact).collect::<Vec<_>>().join(",")),
        Json::Object(members) => {
            let member = |(key, value): &(String, Node)| {
                let mut out = String::new();
                quoted(key, &mut out);
                out + ":" + &compact(value)
            };
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
        _ => text(node),
    }
}

/// A list of texts.
pub(super) fn texts() -> DataType {
    list(DataType::Utf8)
}
