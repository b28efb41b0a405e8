//! Functions of arrays that DataFusion lacks or means otherwise.

use super::call::form::{Form, P, R, form};
use super::{Def, Row, Value, item_keys, lenient, strict};
use crate::fault::external;
use crate::numbers::wide;
use crate::times::interval_length::{self, INTERVAL};
use crate::typing::has_keys;
use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::SortOptions;
use arrow::compute::kernels::cmp::not_distinct;
use arrow::datatypes::{ArrowNativeType as _, DataType, Field, FieldRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::utils::{SingleRowListArrayBuilder, normalize_float_zero};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use querygate_resources::bytes::own_bytes;
use querygate_resources::{charge, proceed, work};
use querygate_types::{Error, ErrorCode};
use std::collections::HashSet;
use std::sync::Arc;

/// Elements between two questions whether the statement is over.
const ELEMENTS_UNASKED: usize = 1 << 14;
/// Bytes that an element takes beside its value while it is looked up.
const KEPT_BYTES: usize = 48;
/// Bytes that an element takes beside its value in a row.
const ELEMENT_BYTES: usize = 12;

const ITEM: &[P] = &[P::AnyArray, P::Any];
/// An operator, a value and an array.
const COMPARED: &[P] = &[P::Text, P::Any, P::AnyArray];

pub(super) const DEFS: &[Def] = &[
    strict(
        "array_dims",
        &[form(&[P::AnyArray], R::Text, |r| {
            let (mut items, mut text) = (r.list(0), String::new());
            while !items.is_empty() {
                text.push_str(&format!("[1:{}]", items.len()));
                let Some(inner) = items.as_list_opt::<i32>().map(|l| l.value(0)) else { break };
                items = inner;
            }
            Ok(if text.is_empty() { Value::Null } else { Value::Text(text) })
        })],
    ),
    strict(
        "array_ndims",
        &[form(&[P::AnyArray], R::Int4, |r| {
            let (mut items, mut dimensions) = (r.list(0), 0);
            while !items.is_empty() {
                dimensions += 1;
                let Some(inner) = items.as_list_opt::<i32>().map(|l| l.value(0)) else { break };
                items = inner;
            }
            Ok(if dimensions == 0 { Value::Null } else { Value::Int(dimensions) })
        })],
    ),
    // The bytes by which arrays are ordered.
    strict("array_key", &[form(&[P::AnyArray], R::Bytea, order_key)]),
    lenient(
        "array_remove",
        &[form(ITEM, R::By(like_first), |r| {
            if r.is_null(0) {
                return Ok(Value::Null);
            }
            let (items, same) = matching(r)?;
            kept(&items, same.iter().map(|s| !s))
        })],
    ),
    lenient(
        "array_positions",
        &[form(ITEM, R::Int4Array, |r| {
            if r.is_null(0) {
                return Ok(Value::Null);
            }
            let (_, same) = matching(r)?;
            let places = same.iter().zip(1..).filter(|(s, _)| **s).map(|(_, place)| Some(place));
            Ok(Value::Ints(places.collect()))
        })],
    ),
    lenient(
        "array_replace",
        &[form(&[P::AnyArray, P::Any, P::Any], R::By(like_first), |r| {
            if r.is_null(0) {
                return Ok(Value::Null);
            }
            let (items, same) = matching(r)?;
            let (new, at) = r.array(2);
            let new = arrow::compute::cast(&new.slice(at, 1), items.data_type())?;
            let places = same.iter().filter(|same| **same).count();
            charge(own_bytes(&new).saturating_mul(places).saturating_add(own_bytes(&items)))?;
            let picks = same.iter().enumerate().map(|(at, s)| if *s { (1, 0) } else { (0, at) }).collect::<Vec<_>>();
            let all = arrow::compute::interleave(&[items.as_ref(), new.as_ref()], &picks)?;
            one_list(&all)
        })],
    ),
    strict(
        "trim_array",
        &[form(&[P::AnyArray, P::Int], R::By(like_first), |r| {
            let items = r.list(0);
            let cut = usize::try_from(r.int(1)).ok().filter(|cut| *cut <= items.len());
            let Some(cut) = cut else {
                return Err(external(Error::new(
                    ErrorCode::ArraySubscriptError,
                    "number of elements to trim is out of range",
                )));
            };
            one_list(&items.slice(0, items.len() - cut))
        })],
    ),
    lenient("compare_any", &[form(COMPARED, R::Bool, |r| compared(r, true))]),
    lenient("compare_all", &[form(COMPARED, R::Bool, |r| compared(r, false))]),
    strict("array_overlap", HOLD_ANY),
    // DataFusion's compare each element with each.
    strict("array_has_any", HOLD_ANY),
    strict("list_has_any", HOLD_ANY),
    strict("arrays_overlap", HOLD_ANY),
    strict("array_has_all", HOLD_ALL),
    // DataFusion's hears nothing while it looks at millions of elements.
    strict("array_distinct", DISTINCT),
    strict("list_distinct", DISTINCT),
    strict("list_has_all", HOLD_ALL),
    lenient(
        "array_fill",
        &[form(&[P::Any, P::AnyArray], R::By(|args, _| filled(args)), |r| {
            if r.is_null(1) {
                return Err(external(Error::new(
                    ErrorCode::NullValueNotAllowed,
                    "dimension array or low bound array cannot be null",
                )));
            }
            let counts = arrow::compute::cast(&r.list(1), &DataType::Int64)?;
            let counts = counts.as_primitive::<arrow::datatypes::Int64Type>();
            if counts.null_count() > 0 {
                return Err(external(Error::new(ErrorCode::NullValueNotAllowed, "dimension values cannot be null")));
            }
            let [count] = counts.values().as_ref() else {
                let message = "array_fill with other than one dimension is not supported";
                return Err(external(Error::new(ErrorCode::FeatureNotSupported, message)));
            };
            let count = usize::try_from(*count).ok().filter(|count| *count <= 1_000_000);
            let Some(count) = count else {
                return Err(external(Error::new(
                    ErrorCode::ProgramLimitExceeded,
                    "array size exceeds the maximum allowed",
                )));
            };
            let (value, at) = r.array(0);
            let value = value.slice(at, 1);
            charge(own_bytes(&value).saturating_mul(count))?;
            let places = UInt64Array::from(vec![0; count]);
            one_list(&arrow::compute::take(&value, &places, None)?)
        })],
    ),
    strict(
        "mode_of",
        &[form(&[P::AnyArray], R::By(|args, _| Ok(item_of_first(args))), |r| {
            let items = present(&r.list(0))?;
            if items.is_empty() {
                return Ok(Value::Null);
            }
            // Of the most frequent ones, the first.
            let keys = item_keys::of(&items, item_keys::is_jsonb(r, 0))?;
            let runs = arrow::compute::partition(&[keys])?.ranges();
            let longest = runs.into_iter().rev().max_by_key(|run| run.len()).map_or(0, |run| run.start);
            Ok(Value::Any(ScalarValue::try_from_array(&items, longest)?))
        })],
    ),
];

const HOLD_ANY: &[Form] = &[form(&[P::AnyArray, P::AnyArray], R::Bool, |r| holds(r, false))];
const HOLD_ALL: &[Form] = &[form(&[P::AnyArray, P::AnyArray], R::Bool, |r| holds(r, true))];

/// Whether any (or each) of the second array's elements is one of the first's. NULL is like nothing, not even NULL.
fn holds(row: &Row<'_>, all: bool) -> Result<Value> {
    let whole = row.list(0);
    let part = arrow::compute::cast(&row.list(1), whole.data_type())?;
    if all && part.null_count() > 0 {
        return Ok(Value::Bool(false));
    }
    let is_jsonb = item_keys::is_jsonb(row, 0) || item_keys::is_jsonb(row, 1);
    let keys = |items: &ArrayRef| item_keys::of(&present(items)?, is_jsonb);
    let (whole, part) = (keys(&whole)?, keys(&part)?);
    // The shorter one is kept, where it is the same.
    let (kept, asked) = if !all && part.len() < whole.len() { (part, whole) } else { (whole, part) };
    charge(kept.len().saturating_mul(KEPT_BYTES).saturating_add(kept.get_array_memory_size()))?;
    let keys = RowConverter::new(vec![SortField::new(kept.data_type().clone())])?;
    let rows = keys.convert_columns(&[kept])?;
    let mut known = HashSet::with_capacity(rows.num_rows());
    for (at, key) in rows.iter().enumerate() {
        if at % ELEMENTS_UNASKED == 0 {
            proceed()?;
        }
        known.insert(key);
    }
    // A part at a time, since often the first ones decide.
    for from in (0..asked.len()).step_by(ELEMENTS_UNASKED) {
        proceed()?;
        let some = asked.slice(from, ELEMENTS_UNASKED.min(asked.len() - from));
        let some = keys.convert_columns(&[some])?;
        if some.iter().any(|key| known.contains(&key) != all) {
            return Ok(Value::Bool(!all));
        }
    }
    Ok(Value::Bool(all))
}

const DISTINCT: &[Form] = &[form(&[P::AnyArray], R::By(like_first), distinct)];

/// An item that is NULL is behind all others, and an array behind those that it begins with. A zero has no sign, an interval
/// is its length, and a jsonb what it is ordered by.
fn order_key(row: &Row<'_>) -> Result<Value> {
    let (arrays, at) = row.array(0);
    let is_jsonb = item_keys::is_jsonb(row, 0);
    let array: ArrayRef = if is_jsonb || has_keys(arrays.data_type()) {
        Arc::new(SingleRowListArrayBuilder::new(item_keys::of_any(&row.list(0), is_jsonb)?).build_list_array())
    } else {
        arrays.slice(at, 1)
    };
    work(row_bytes(&array))?;
    let last = SortOptions { descending: false, nulls_first: false };
    let keys = RowConverter::new(vec![SortField::new_with_options(array.data_type().clone(), last)])?;
    let rows = keys.convert_columns(&[array])?;
    Ok(Value::Bytes(rows.row(0).as_ref().to_vec()))
}

/// Bytes of the rows that are made of arrays: those of their elements, with the place of each, those of the arrays within one another, in
/// blocks, and the key.
fn row_bytes(arrays: &ArrayRef) -> usize {
    let (mut items, mut times) = (Arc::clone(arrays), 1_usize);
    while let Some(lists) = items.as_list_opt::<i32>() {
        let ends = lists.offsets().first().zip(lists.offsets().last());
        let (from, to) = ends.map_or((0, 0), |(from, to)| (from.as_usize(), to.as_usize()));
        (items, times) = (lists.values().slice(from, to - from), times + 1);
    }
    own_bytes(arrays).saturating_add(items.len().saturating_mul(ELEMENT_BYTES)).saturating_mul(times)
}

/// Each element where it stands first. NULL is one of them.
fn distinct(row: &Row<'_>) -> Result<Value> {
    let items = normalize_float_zero(&row.list(0));
    charge(items.len().saturating_mul(KEPT_BYTES).saturating_add(items.get_array_memory_size()))?;
    let keys = RowConverter::new(vec![SortField::new(items.data_type().clone())])?;
    let mut rows = keys.empty_rows(items.len(), 0);
    for from in (0..items.len()).step_by(ELEMENTS_UNASKED) {
        proceed()?;
        keys.append(&mut rows, &[items.slice(from, ELEMENTS_UNASKED.min(items.len() - from))])?;
    }
    let (mut known, mut first) = (HashSet::new(), Vec::new());
    for (key, at) in rows.iter().zip(0_u64..) {
        if at % ELEMENTS_UNASKED as u64 == 0 {
            proceed()?;
        }
        if known.insert(key) {
            first.push(at);
        }
    }
    one_list(&arrow::compute::take(&items, &UInt64Array::from(first), None)?)
}

pub(super) fn like_first(args: &[FieldRef], _: &[Option<&ScalarValue>]) -> Result<Field> {
    Ok(args
        .first()
        .map_or_else(|| Field::new("array", DataType::Null, true), |f| f.as_ref().clone().with_nullable(true)))
}

pub(super) fn item_of_first(args: &[FieldRef]) -> Field {
    match args.first().map(|f| f.data_type()) {
        Some(DataType::List(item)) => item.as_ref().clone().with_nullable(true),
        _ => Field::new("item", DataType::Null, true),
    }
}

fn list_of_first(args: &[FieldRef]) -> Field {
    let item = args.first().map_or(DataType::Null, |f| f.data_type().clone());
    Field::new("array", super::call::form::list(item), true)
}

/// The array that a value fills.
fn filled(args: &[FieldRef]) -> Result<Field> {
    if args.first().is_some_and(|value| value.data_type() == &DataType::Null) {
        let message = "could not determine polymorphic type because input has type unknown";
        return Err(external(Error::new(ErrorCode::DatatypeMismatch, message)));
    }
    Ok(list_of_first(args))
}

/// Which items equal the single value.
fn equal_to(items: &ArrayRef, one: &ArrayRef) -> Result<Vec<bool>> {
    let scalar = arrow::array::Scalar::new(Arc::clone(one));
    Ok(not_distinct(items, &scalar)?.iter().map(|same| same == Some(true)).collect())
}

/// The first argument's items and which of them equal the second.
fn matching(row: &Row<'_>) -> Result<(ArrayRef, Vec<bool>)> {
    let items = row.list(0);
    let (value, at) = row.array(1);
    let value = arrow::compute::cast(&value.slice(at, 1), items.data_type())?;
    let is_jsonb = item_keys::is_jsonb(row, 0) || item_keys::is_jsonb(row, 1);
    let same = equal_to(&item_keys::of(&items, is_jsonb)?, &item_keys::of(&value, is_jsonb)?)?;
    Ok((items, same))
}

fn kept(items: &ArrayRef, keep: impl Iterator<Item = bool>) -> Result<Value> {
    let keep: arrow::array::BooleanArray = keep.map(Some).collect();
    one_list(&arrow::compute::filter(items, &keep)?)
}

pub(super) fn one_list(items: &ArrayRef) -> Result<Value> {
    let list = SingleRowListArrayBuilder::new(Arc::clone(items)).build_list_array();
    Ok(Value::Any(ScalarValue::List(Arc::new(list))))
}

/// Items that are not NULL.
pub(super) fn present(items: &ArrayRef) -> Result<ArrayRef> {
    if items.null_count() == 0 {
        return Ok(Arc::clone(items));
    }
    Ok(arrow::compute::filter(items, &arrow::compute::is_not_null(items)?)?)
}

/// Two columns in a type whose values compare as PostgreSQL's do.
fn side_by_side(one: &ArrayRef, other: &ArrayRef) -> Result<(ArrayRef, ArrayRef)> {
    let (left, right) = (one.data_type(), other.data_type());
    if *left == WIDE_NUMERIC || *right == WIDE_NUMERIC {
        let to = Field::new("", WIDE_NUMERIC, true);
        let key = |of: &ArrayRef| wide::from_values(of, &to).map(|cells| wide::keys(&cells));
        return Ok((key(one)?, key(other)?));
    }
    if *left == INTERVAL && *right == INTERVAL {
        return Ok((interval_length::lengths(one), interval_length::lengths(other)));
    }
    let single = |of: &DataType| *of == DataType::Float32;
    let common = if single(left) != single(right) && left.is_numeric() && right.is_numeric() {
        // A single beside another number is a double, as whole numbers have more digits than a single.
        Some(DataType::Float64)
    } else if matches!(
        (left, right),
        (DataType::Date32, DataType::Timestamp(..)) | (DataType::Timestamp(..), DataType::Date32)
    ) {
        Some(if *left == DataType::Date32 { right.clone() } else { left.clone() })
    } else {
        comparison_coercion(left, right)
    };
    let exact = arrow::compute::CastOptions { safe: false, ..Default::default() };
    let cast = |of: &ArrayRef, to: &DataType| {
        arrow::compute::cast_with_options(of, to, &exact).map(|of| normalize_float_zero(&of))
    };
    match common {
        Some(common) => Ok((cast(one, &common)?, cast(other, &common)?)),
        None => Err(crate::fault::unsupported("the value and the items of the array do not compare")),
    }
}

/// `value op ANY (array)` and `… ALL …`, with SQL's unknown.
fn compared(row: &Row<'_>, any: bool) -> Result<Value> {
    use arrow::compute::kernels::cmp;
    if row.is_null(2) {
        return Ok(Value::Null);
    }
    let items = row.list(2);
    if items.is_empty() {
        return Ok(Value::Bool(!any));
    }
    if row.is_null(1) {
        return Ok(Value::Null);
    }
    let (value, at) = row.array(1);
    let value = value.slice(at, 1);
    let (value, items) = if item_keys::is_jsonb(row, 1) || item_keys::is_jsonb(row, 2) {
        let text = |of: &ArrayRef| arrow::compute::cast(of, &DataType::Utf8);
        (item_keys::of(&text(&value)?, true)?, item_keys::of(&text(&items)?, true)?)
    } else {
        side_by_side(&value, &items)?
    };
    let value = arrow::array::Scalar::new(value);
    let results = match row.text(0) {
        "=" => cmp::eq(&value, &items)?,
        "<>" | "!=" => cmp::neq(&value, &items)?,
        "<" => cmp::lt(&value, &items)?,
        "<=" => cmp::lt_eq(&value, &items)?,
        ">" => cmp::gt(&value, &items)?,
        ">=" => cmp::gt_eq(&value, &items)?,
        _ => return Err(crate::fault::unsupported("this operator with ANY or ALL is not supported")),
    };
    let decided = results.iter().any(|result| result == Some(any));
    Ok(if decided {
        Value::Bool(any)
    } else if results.null_count() > 0 {
        Value::Null
    } else {
        Value::Bool(!any)
    })
}
