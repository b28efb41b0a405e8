//! Numerics of any width: what has NaN, an infinity, more than 38 digits, or a number of places that only the value knows. In plans
//! they are cells of [`WIDE_NUMERIC`]; plain numerics stay decimals of the engine. Operators and functions on them are ours, and what
//! compares, sorts or groups takes their keys.

mod aggregates;
mod averages;
mod distinct;
mod expressions;
mod keyed;
mod meeting;
mod operators;

pub(crate) use aggregates::of_own_name;
pub(crate) use averages::{is_nearest_double, nearest_double};
pub(crate) use expressions::settled;
pub(crate) use keyed::{keyed, member};
pub(crate) use meeting::{UNSETTLED, aligned, keep_places, node, reads_tables, recomputed};

use crate::casts::conversions::modifier;
use crate::fault::{Fault, external};
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, LargeBinaryArray, LargeBinaryBuilder, ListArray, PrimitiveArray,
};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, exec_err};
use datafusion::logical_expr::{Expr, ExprSchemable};
use querygate_query_api::values::wide_numeric::{WIDE_NUMERIC, wide_numeric};
use querygate_resources::proceed;
use querygate_types::numeric::{NotNumeric, Numeric, ordered_key};
use std::sync::Arc;

/// Functions of ours whose result is one; asking a nested call for its type takes as long as it is deep.
const NAMES: &[&str] = &[
    "numeric_plus",
    "numeric_minus",
    "numeric_times",
    "numeric_over",
    "numeric_average",
    "numeric_modulo",
    "numeric_power",
    "numeric_negated",
];

/// Whether an expression is one.
pub(crate) fn is_wide(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::ScalarFunction(call) if NAMES.contains(&call.name()) => true,
        Expr::Alias(alias) => is_wide(&alias.expr, schema),
        // Arithmetic on them is a call.
        Expr::BinaryExpr(_) => false,
        _ => expr.get_type(schema).is_ok_and(|data_type| data_type == WIDE_NUMERIC),
    }
}

/// Whether a type is theirs, or holds them.
fn holds_wide(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => holds_wide(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_wide(field.data_type())),
        other => *other == WIDE_NUMERIC,
    }
}

/// A text as numeric.
pub(crate) fn read(text: &str) -> Result<Numeric> {
    text.parse().map_err(|wrong| match wrong {
        NotNumeric::Spelling => Fault::Syntax("numeric").error(),
        NotNumeric::Width(error) => external(error),
    })
}

/// A row of exact numbers, or of texts that are read as such.
pub(crate) fn at(values: &ArrayRef, row: usize) -> Result<Numeric> {
    Ok(match values.data_type() {
        DataType::LargeBinary => wide_numeric(values.as_binary(), row).map_err(external)?,
        DataType::Decimal128(_, scale) => {
            Numeric::from_digits(values.as_primitive::<Decimal128Type>().value(row), *scale)
        }
        DataType::Int8 => whole::<Int8Type>(values, row),
        DataType::Int16 => whole::<Int16Type>(values, row),
        DataType::Int32 => whole::<Int32Type>(values, row),
        DataType::Int64 => whole::<Int64Type>(values, row),
        DataType::UInt8 => whole::<UInt8Type>(values, row),
        DataType::UInt16 => whole::<UInt16Type>(values, row),
        DataType::UInt32 => whole::<UInt32Type>(values, row),
        DataType::UInt64 => Numeric::from_digits(i128::from(values.as_primitive::<UInt64Type>().value(row)), 0),
        DataType::Float32 => Numeric::from_double(f64::from(values.as_primitive::<Float32Type>().value(row)), 6),
        DataType::Float64 => Numeric::from_double(values.as_primitive::<Float64Type>().value(row), 15),
        DataType::Utf8 => read(values.as_string::<i32>().value(row))?,
        DataType::Utf8View => read(values.as_string_view().value(row))?,
        other => return exec_err!("a numeric of {other} was not planned"),
    })
}

fn whole<T: ArrowPrimitiveType>(values: &ArrayRef, row: usize) -> Numeric
where
    T::Native: Into<i64>,
{
    Numeric::from(values.as_primitive::<T>().value(row).into())
}

/// Whether the conversion between two types is ours because one of them is wide.
pub(crate) fn converts(from: &DataType, to: &Field) -> bool {
    match (from, to.data_type()) {
        (&WIDE_NUMERIC, &WIDE_NUMERIC) => modifier(to).is_some_and(|modifier| modifier != "any"),
        (from, to) => (*from == WIDE_NUMERIC || *to == WIDE_NUMERIC) && *from != DataType::Null,
    }
}

/// Rows between two questions whether the statement is over: a row may be a text of 131,072 digits.
const ROWS_UNASKED: usize = 16;

/// Values as numerics, in the type's digits if it has some.
pub(crate) fn from_values(values: &ArrayRef, to: &Field) -> Result<ArrayRef> {
    let digits = modifier(to).and_then(|digits| digits.split_once(','));
    let digits = digits.and_then(|(precision, scale)| Some((precision.parse().ok()?, scale.parse().ok()?)));
    let mut cells = LargeBinaryBuilder::with_capacity(values.len(), values.len() * 16);
    let mut cell = Vec::new();
    for row in 0..values.len() {
        if row.is_multiple_of(ROWS_UNASKED) {
            proceed()?;
        }
        if values.is_null(row) {
            cells.append_null();
            continue;
        }
        let value = at(values, row)?;
        let value = match digits {
            Some((precision, scale)) => value.in_type(precision, scale).map_err(external)?,
            None => value,
        };
        cell.clear();
        value.write_cell(&mut cell);
        cells.append_value(&cell);
    }
    Ok(Arc::new(cells.finish()))
}

/// Exact numbers, texts of such, or arrays of them, as a column's own, where one of the two is a numeric of any width. `None`: neither is.
///
/// # Errors
/// 22003, 22P02: a value that the column does not hold.
pub fn in_column(values: &ArrayRef, column: &Field) -> Result<Option<ArrayRef>> {
    Ok(match (values.data_type(), column.data_type()) {
        (DataType::List(from), DataType::List(to)) if holds_wide(from.data_type()) != holds_wide(to.data_type()) => {
            let lists = values.as_list::<i32>();
            let inner = match in_column(lists.values(), to)? {
                Some(inner) => inner,
                None => return Ok(None),
            };
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            Some(Arc::new(ListArray::try_new(Arc::clone(to), offsets, inner, nulls)?))
        }
        (from, to) if *from == WIDE_NUMERIC && *to == WIDE_NUMERIC => None,
        (DataType::Null, _) => None,
        (_, to) if *to == WIDE_NUMERIC => Some(from_values(values, column)?),
        (from, to) if *from == WIDE_NUMERIC => Some(to_values(values, to)?),
        _ => None,
    })
}

/// What values are compared by: of numerics of any width their keys, of others themselves.
pub(crate) fn keys(values: &ArrayRef) -> ArrayRef {
    if values.data_type() != &WIDE_NUMERIC {
        return Arc::clone(values);
    }
    let keys = values.as_binary::<i64>().iter().map(|cell| cell.map(ordered_key));
    Arc::new(keys.collect::<LargeBinaryArray>())
}

/// Numerics as another number; their texts are made where all texts are.
pub(crate) fn to_values(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let cells = values.as_binary::<i64>();
    let each = |row: usize| -> Result<Option<Numeric>> {
        if row.is_multiple_of(ROWS_UNASKED) {
            proceed()?;
        }
        if cells.is_null(row) { Ok(None) } else { wide_numeric(cells, row).map(Some).map_err(external) }
    };
    let rows = 0..cells.len();
    match to {
        DataType::Float64 => {
            let doubles = rows.map(|row| each(row)?.map(|value| double(&value)).transpose());
            Ok(Arc::new(doubles.collect::<Result<PrimitiveArray<Float64Type>>>()?))
        }
        DataType::Float32 => {
            #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
            let reals = rows.map(|row| {
                let real = each(row)?.map(|value| double(&value).map(|double| (double as f32, double.is_finite())));
                match real.transpose()? {
                    Some((real, true)) if real.is_infinite() => Err(Fault::OutOfRange("real").error()),
                    real => Ok(real.map(|(real, _)| real)),
                }
            });
            Ok(Arc::new(reals.collect::<Result<PrimitiveArray<Float32Type>>>()?))
        }
        DataType::Decimal128(precision, scale) => {
            let digits = rows.map(|row| each(row)?.map(|value| in_decimal(&value, *precision, *scale)).transpose());
            let digits = digits.collect::<Result<PrimitiveArray<Decimal128Type>>>()?;
            Ok(Arc::new(digits.with_precision_and_scale(*precision, *scale)?))
        }
        whole if whole.is_integer() => {
            let name = whole_number(whole);
            let values = rows.map(|row| {
                let Some(value) = each(row)? else { return Ok(None) };
                value.to_whole(name).map_err(external)?.map(Some).ok_or_else(|| Fault::OutOfRange(name).error())
            });
            let values = values.collect::<Result<PrimitiveArray<Decimal128Type>>>()?;
            let values: ArrayRef = Arc::new(values.with_precision_and_scale(38, 0)?);
            let exact = arrow::compute::CastOptions { safe: false, ..Default::default() };
            arrow::compute::cast_with_options(&values, whole, &exact).map_err(|_| Fault::OutOfRange(name).error())
        }
        other => exec_err!("a numeric as {other} was not planned"),
    }
}

/// PostgreSQL's name of a whole number's type.
const fn whole_number(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int64 => "bigint",
        DataType::UInt32 => "oid",
        _ => "integer",
    }
}

fn double(value: &Numeric) -> Result<f64> {
    let double = value.to_double();
    if (double.is_infinite() && value.places().is_some()) || (double == 0.0 && value.signum() != 0) {
        return Err(Fault::OutOfRange("double precision").error());
    }
    Ok(double)
}

fn in_decimal(value: &Numeric, precision: u8, scale: i8) -> Result<i128> {
    let rounded = value.in_type(u32::from(precision), i64::from(scale)).map_err(external)?;
    let unfit = || -> DataFusionError { Fault::OutOfRange("numeric").error() };
    let (digits, places) = rounded.to_digits().ok_or_else(unfit)?;
    super::numeric::rescaled(digits, places, scale).ok_or_else(unfit)
}

/// A value as a literal: a decimal where it is one.
pub(crate) fn literal(value: &Numeric) -> ScalarValue {
    match value.to_digits() {
        Some((digits, scale)) => ScalarValue::Decimal128(Some(digits), super::numeric::precision(digits, scale), scale),
        None => ScalarValue::LargeBinary(Some(value.to_cell())),
    }
}

/// An expression as a numeric of any width.
pub(crate) fn widened(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    if is_wide(&expr, schema) {
        return Ok(expr);
    }
    if let Expr::Literal(value, _) = &expr
        && value.is_null()
    {
        return Ok(Expr::Literal(ScalarValue::LargeBinary(None), None));
    }
    let to = Arc::new(Field::new("", WIDE_NUMERIC, true));
    let (_, from) = expr.to_field(schema)?;
    match crate::casts::conversions::conversion(&from, &to, crate::times::zone::Zone::UTC) {
        Some(function) => Ok(function.call(vec![expr])),
        None => Ok(expr),
    }
}
