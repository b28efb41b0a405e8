//! Conversions that Postgres makes otherwise than Arrow: texts read by its input functions and printed by its output
//! functions, rounding to whole numbers, instants on the session's clock, lengths of char and varchar. Knows no plan.

use super::bits::{self, is_bits};
use super::display::cast_text_of;
use super::networks;
use super::texts_read::{has_forms, read, read_named};
use crate::bounds::of_no_rows;
use crate::bounds::{ResultBytes, bytes_of};
use crate::fault::external;
use crate::numbers::rounding::{decimals_of_floats, divides_exactly, floats_of_decimals, narrowed, rounded};
use crate::numbers::wide;
use crate::times::moments;
use crate::times::zone::Zone;
use crate::times::zoned_times;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StringBuilder, StringViewArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    ArrowNativeType, DataType, Field, FieldRef, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
pub(crate) use querygate_query_api::column::TYPE_MODIFIER_KEY;
use querygate_query_api::column::{PG_TYPE_KEY, pg_type_of};
use querygate_query_api::values::network::NETWORK;
use querygate_query_api::values::timetz::TimeTz;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use querygate_resources::{Working, aside, proceed};
use querygate_types::{Error, ErrorCode, PgType};
use std::sync::Arc;

/// The Postgres type that a field names.
pub(crate) fn named(field: &Field) -> Option<&str> {
    field.metadata().get(PG_TYPE_KEY).map(String::as_str)
}

pub(crate) fn modifier(field: &Field) -> Option<&str> {
    field.metadata().get(TYPE_MODIFIER_KEY).map(String::as_str)
}

/// Types whose values are texts that their input functions check or write in one form.
pub fn is_checked_text(name: &str) -> bool {
    matches!(name, "uuid" | "json" | "jsonb" | "char" | "macaddr" | "macaddr8" | "bit" | "varbit")
}

pub(crate) const fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The function that converts as Postgres does; `None` where Arrow's cast does.
pub(crate) fn conversion(from: &Field, to: &Field, zone: Zone) -> Option<Arc<ScalarUDF>> {
    is_ours(from, to).then(|| {
        let to = Arc::new(to.clone().with_name("convert").with_nullable(true));
        Arc::new(conversion_to(to, zone))
    })
}

/// The function that converts to a field of its own name.
pub(crate) fn conversion_to(to: FieldRef, zone: Zone) -> ScalarUDF {
    ScalarUDF::new_from_impl(Convert { to, zone, signature: Signature::any(1, Volatility::Immutable) })
}

/// What such a function converts to.
pub(crate) fn target_of(function: &ScalarUDF) -> Option<(&FieldRef, Zone)> {
    let inner: &dyn std::any::Any = function.inner().as_ref();
    inner.downcast_ref::<Convert>().map(|convert| (&convert.to, convert.zone))
}

/// Whether a function is a conversion to texts, JSON among them, or to arrays, which may be much longer than what they are made of.
pub(crate) fn may_lengthen(function: &ScalarUDF) -> bool {
    target_of(function).is_some_and(|(to, _)| is_text(to.data_type()) || matches!(to.data_type(), DataType::List(_)))
}

/// Whether a bound plan holds the conversion as a function already: sources read and print these in ways of their own, and
/// the session's time zone is known only now.
pub(crate) fn is_settled_early(from: &Field, to: &Field) -> bool {
    let moment = |t: &DataType| matches!(t, DataType::Timestamp(..) | DataType::Date32 | DataType::Time64(_));
    let (source, target) = (from.data_type(), to.data_type());
    let special = |t: &DataType| {
        moment(t)
            || *t == TimeTz::ARROW
            || *t == NETWORK
            || matches!(t, DataType::Interval(_) | DataType::Binary | DataType::List(_) | DataType::Struct(_))
    };
    is_ours(from, to)
        && (wide::converts(source, to)
            || is_text(source) && special(target)
            || special(source) && is_text(target)
            || moment(source) && moment(target)
            || matches!((source, target), (DataType::Interval(_), DataType::Interval(_)))
            || *source == TimeTz::ARROW && (moment(target) || target == source)
            || moment(source) && *target == TimeTz::ARROW
            || *source == NETWORK && *target == NETWORK
            || is_text(target) && (is_text(source) || modifier(to).is_some())
            || matches!((source, target), (DataType::List(_), DataType::List(_))) && modifier(to).is_some()
            || source.is_floating() && target.is_decimal())
}

fn is_ours(from: &Field, to: &Field) -> bool {
    use DataType as T;
    let zoned = |t: &T| matches!(t, T::Timestamp(_, Some(_)));
    match (from.data_type(), to.data_type()) {
        (source, _) if wide::converts(source, to) => true,
        (T::List(item), T::List(wanted)) => {
            is_ours(item, &item_target(to, wanted)) || is_text(item.data_type()) && item_with_forms(from, to).is_some()
        }
        (T::Float32 | T::Float64 | T::Decimal128(..), to) if to.is_integer() => true,
        (T::Float32 | T::Float64, T::Decimal128(..)) | (T::Float64, T::Float32) => true,
        (T::Decimal128(precision, scale), T::Float32 | T::Float64) => !divides_exactly(*precision, *scale),
        (source, target) if is_text(source) && is_text(target) => {
            let (own, wanted) = (named(from), named(to));
            let length = matches!(wanted, Some("varchar" | "bpchar" | "bit" | "varbit")) && modifier(to).is_some();
            let checked = wanted.is_some_and(is_checked_text) && own != wanted;
            // jsonb as json is what it is.
            length || checked && !(own == Some("jsonb") && wanted == Some("json"))
        }
        (source, target) if is_text(source) => {
            target.is_integer()
                || matches!(
                    target,
                    T::Float32
                        | T::Float64
                        | T::Decimal128(_, 0..)
                        | T::Boolean
                        | T::Binary
                        | T::Date32
                        | T::Time64(_)
                        | T::Timestamp(..)
                        | T::Interval(_)
                        | T::List(_)
                )
                || *target == NETWORK
        }
        (source, target) if *source == NETWORK => {
            is_text(target) || *target == NETWORK && named(to) == Some("cidr") && named(from) != Some("cidr")
        }
        (T::Int32 | T::Int64, target) if is_text(target) => matches!(named(to), Some("bit")) || modifier(to).is_some(),
        (
            T::Float32
            | T::Float64
            | T::Timestamp(..)
            | T::Date32
            | T::Time64(_)
            | T::Interval(_)
            | T::Binary
            | T::List(_)
            | T::Struct(_),
            T::Utf8 | T::Utf8View,
        ) => true,
        (source, T::Utf8 | T::Utf8View) if modifier(to).is_some() => *source != T::Null,
        (T::Timestamp(..), T::Timestamp(..)) if modifier(to).is_some() => true,
        (source @ (T::Timestamp(..) | T::Date32), target @ (T::Timestamp(..) | T::Date32 | T::Time64(_))) => {
            zoned(source) != zoned(target)
        }
        (T::Interval(_), T::Time64(_)) | (T::Time64(_), T::Interval(_)) => true,
        (source, target) if *source == TimeTz::ARROW => {
            matches!(target, T::Utf8 | T::Utf8View | T::Time64(_)) || (source == target && modifier(to).is_some())
        }
        (T::Timestamp(_, Some(_)), target) if *target == TimeTz::ARROW => true,
        (T::Time64(_), T::Time64(_)) | (T::Interval(_), T::Interval(_)) => modifier(to).is_some(),
        _ => false,
    }
}

/// The type of the items of an array to which texts are converted that may be written in several ways.
fn item_with_forms(from: &Field, to: &Field) -> Option<PgType> {
    let array = PgType::from_name(named(to)?)?;
    array.element().filter(|item| has_forms(*item) && named(from) != named(to))
}

/// What the items of an array are converted to: `varchar(1)[]` says its items' length itself, since the field of the items has no metadata.
/// An array within is of the type that it is in.
pub(crate) fn item_target(to: &Field, wanted: &FieldRef) -> FieldRef {
    let Some(modifier) = modifier(to) else { return Arc::clone(wanted) };
    let array = named(to).and_then(PgType::from_name);
    let own = if matches!(wanted.data_type(), DataType::List(_)) { array } else { array.and_then(PgType::element) };
    let Some(own) = own else { return Arc::clone(wanted) };
    let pairs = [(PG_TYPE_KEY, own.name()), (TYPE_MODIFIER_KEY, modifier)];
    let metadata = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Arc::new(wanted.as_ref().clone().with_metadata(metadata))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Convert {
    to: FieldRef,
    zone: Zone,
    signature: Signature,
}

/// Converts one constant.
pub(crate) fn constant(value: &ScalarValue, from: &Field, to: &FieldRef, zone: Zone) -> Result<ScalarValue> {
    let array = converted(&value.to_array()?, from, to, zone)?;
    ScalarValue::try_from_array(&array, 0)
}

fn converted(values: &ArrayRef, from: &Field, to: &FieldRef, zone: Zone) -> Result<ArrayRef> {
    use DataType as T;
    if values.data_type() == &T::Null {
        return Ok(arrow::array::new_null_array(to.data_type(), values.len()));
    }
    match (values.data_type(), to.data_type()) {
        (T::List(item), T::List(wanted)) => {
            let lists = values.as_list::<i32>();
            let offsets = lists.offsets();
            let (first, last) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
            let own = item_with_forms(from, to).filter(|_| is_text(item.data_type()) && modifier(to).is_none());
            let items = lists.values().slice(first, last - first);
            let items = match own {
                Some(pg_type) => read_named(&items, Some(pg_type.name()), None)?,
                None => converted(&items, item, &item_target(to, wanted), zone)?,
            };
            let offsets = OffsetBuffer::from_lengths(offsets.lengths());
            Ok(Arc::new(ListArray::try_new(Arc::clone(wanted), offsets, items, lists.nulls().cloned())?))
        }
        (_, &WIDE_NUMERIC) => wide::from_values(values, to),
        (&WIDE_NUMERIC, target) if !is_text(target) => wide::to_values(values, target),
        (source, target) if is_text(source) && is_text(target) => read_named(values, named(to), modifier(to)),
        (source, target) if is_text(source) && target.is_integer() && is_bits(from) => bits::to_whole(values, target),
        (T::Int32, target) if is_text(target) && is_bits(to) => bits::of_whole(values, 32, modifier(to)),
        (T::Int64, target) if is_text(target) && is_bits(to) => bits::of_whole(values, 64, modifier(to)),
        (source, target) if *source == NETWORK && is_text(target) => {
            let texts = networks::to_texts(values)?;
            if modifier(to).is_some() { read_named(&texts, named(to), modifier(to)) } else { Ok(texts) }
        }
        (source, target) if *source == NETWORK && *target == NETWORK => networks::of_networks(values),
        // A number of jsonb rounds to a whole one, as numeric does.
        (source, target) if is_text(source) && named(from) == Some("jsonb") && is_scalar(target) => {
            refuse_other_kinds(values, to)?;
            let whole = if target.is_integer() { whole_numbers(values)? } else { Arc::clone(values) };
            read(&whole, to, target, zone)
        }
        (source, target) if is_text(source) => read(values, to, target, zone),
        (
            T::Timestamp(..) | T::Date32 | T::Time64(_) | T::Interval(_),
            T::Timestamp(..) | T::Date32 | T::Time64(_) | T::Interval(_),
        ) => moments::converted(values, to.data_type(), modifier(to), zone),
        (source, target) if *source == TimeTz::ARROW && !is_text(target) => zoned_times::of_times(values, to),
        (_, target) if *target == TimeTz::ARROW => zoned_times::of_instants(values, to, zone),
        (_, target @ (T::Utf8 | T::Utf8View)) => {
            let texts = written(values, from, target, zone)?;
            if modifier(to).is_some() { read_named(&texts, named(to), modifier(to)) } else { Ok(texts) }
        }
        (T::Float64, T::Float32) => narrowed(values),
        (T::Decimal128(..), target @ (T::Float32 | T::Float64)) => floats_of_decimals(values, target),
        (T::Float32 | T::Float64, T::Decimal128(precision, scale)) => decimals_of_floats(values, *precision, *scale),
        (_, T::Int8) => rounded::<Int8Type>(values, "smallint"),
        (_, T::Int16) => rounded::<Int16Type>(values, "smallint"),
        (_, T::Int32) => rounded::<Int32Type>(values, "integer"),
        (_, T::Int64) => rounded::<Int64Type>(values, "bigint"),
        (_, T::UInt8) => rounded::<UInt8Type>(values, "smallint"),
        (_, T::UInt16) => rounded::<UInt16Type>(values, "integer"),
        (_, T::UInt32) => rounded::<UInt32Type>(values, "oid"),
        (_, T::UInt64) => rounded::<UInt64Type>(values, "numeric"),
        (from, to) => exec_err!("a conversion of {from} to {to} was not planned"),
    }
}

fn is_scalar(target: &DataType) -> bool {
    target.is_numeric() || *target == DataType::Boolean
}

/// Only numbers of jsonb are numbers, and only its truth values are some.
fn refuse_other_kinds(values: &ArrayRef, to: &Field) -> Result<()> {
    for text in texts_of(values)?.iter().flatten() {
        let kind = match text.trim_start().chars().next() {
            Some('"') => "string",
            Some('[') => "array",
            Some('{') => "object",
            Some('n') => "null",
            Some('t' | 'f') => "boolean",
            _ => "numeric",
        };
        if kind != if *to.data_type() == DataType::Boolean { "boolean" } else { "numeric" } {
            let message = format!("cannot cast jsonb {kind} to type {}", pg_type_of(to).sql_name());
            return Err(external(Error::new(ErrorCode::InvalidParameterValue, message)));
        }
    }
    Ok(())
}

/// Rows between two questions whether the statement is over.
const ROWS_UNASKED: usize = 16;
/// Bytes of texts between two: long numbers take long to be written.
const BYTES_UNASKED: usize = 64 << 10;

fn written(values: &ArrayRef, from: &Field, to: &DataType, zone: Zone) -> Result<ArrayRef> {
    let mut texts = StringBuilder::with_capacity(values.len(), values.len() * 16);
    // Of what a text is made may be much shorter: a number of ten bytes has 131,072 digits.
    let (mut made, mut unasked) = (ResultBytes::default(), 0);
    for row in 0..values.len() {
        if row % ROWS_UNASKED == 0 || unasked > BYTES_UNASKED {
            proceed()?;
            unasked = 0;
        }
        let text = {
            let _work = Working::begin();
            cast_text_of(values.as_ref(), row, from, zone)?
        };
        if let Some(text) = &text {
            made.add(text.len())?;
            unasked += text.len();
        }
        texts.append_option(text);
    }
    let texts: ArrayRef = Arc::new(texts.finish());
    if *to == DataType::Utf8 { Ok(texts) } else { Ok(arrow::compute::cast(&texts, to)?) }
}

impl ScalarUDFImpl for Convert {
    fn name(&self) -> &'static str {
        "convert"
    }

    /// A cast keeps the name of what it casts.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [value] = args else { return plan_err!("one value is needed") };
        Ok(value.schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(self.to.data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
        Ok(Arc::new(self.to.as_ref().clone().with_nullable(nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        let Some(from) = args.arg_fields.first() else { return exec_err!("one value is needed") };
        let [value] = args.args.as_slice() else { return exec_err!("one value is needed") };
        proceed()?;
        aside(bytes_of(value, 1), || {
            Ok(match value {
                ColumnarValue::Array(values) => ColumnarValue::Array(converted(values, from, &self.to, self.zone)?),
                ColumnarValue::Scalar(value) => ColumnarValue::Scalar(constant(value, from, &self.to, self.zone)?),
            })
        })
    }
}

/// Texts of numbers without an exponent, rounded to whole ones, halves away from zero. Others stay what they are.
fn whole_numbers(values: &ArrayRef) -> Result<ArrayRef> {
    let rounded = |text: &str| {
        let Some((whole, fraction)) = text.split_once('.') else { return text.to_owned() };
        let negative = whole.starts_with('-');
        match whole.parse::<i128>() {
            Ok(value) if fraction.starts_with(|c: char| ('5'..='9').contains(&c)) => {
                let away = if negative { value.checked_sub(1) } else { value.checked_add(1) };
                away.map_or_else(|| text.to_owned(), |away| away.to_string())
            }
            Ok(value) => value.to_string(),
            Err(_) => text.to_owned(),
        }
    };
    let texts = texts_of(values)?;
    Ok(Arc::new(texts.iter().map(|text| text.map(rounded)).collect::<StringArray>()))
}

/// The texts of an array, whatever its layout.
pub(crate) fn texts_of(values: &ArrayRef) -> Result<StringViewArray> {
    let texts = arrow::compute::cast(values, &DataType::Utf8View)?;
    Ok(texts.as_string_view().clone())
}

/// The items of an array literal in their type.
pub(crate) fn items(parts: &ArrayRef, from: &Field, to: &FieldRef, zone: Zone) -> Result<ArrayRef> {
    if is_ours(from, to) {
        return converted(parts, from, to, zone);
    }
    if is_text(to.data_type()) { Ok(Arc::clone(parts)) } else { Ok(arrow::compute::cast(parts, to.data_type())?) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::TimestampMicrosecondArray;
    use datafusion::common::utils::SingleRowListArrayBuilder;

    fn array_type(name: &str, modifier: &str, item: DataType) -> FieldRef {
        let metadata = [(PG_TYPE_KEY, name), (TYPE_MODIFIER_KEY, modifier)];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Arc::new(Field::new_list("", Field::new("item", item, true), true).with_metadata(metadata))
    }

    fn array_of(items: ArrayRef) -> ArrayRef {
        Arc::new(SingleRowListArrayBuilder::new(items).build_list_array())
    }

    /// The items that an array has as another type.
    fn items_as(items: ArrayRef, to: &FieldRef) -> ArrayRef {
        let array = array_of(items);
        let from = Field::new("", array.data_type().clone(), true);
        assert!(is_ours(&from, to) && is_settled_early(&from, to));
        Arc::clone(converted(&array, &from, to, Zone::UTC).unwrap().as_list::<i32>().values())
    }

    #[test]
    fn items_are_as_long_as_the_type_of_their_array_says() {
        let texts = || -> ArrayRef { Arc::new(StringArray::from(vec![Some("101"), None, Some("1")])) };
        let expected = |texts: Vec<Option<&str>>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
        let cut = |name: &str, length: &str| items_as(texts(), &array_type(name, length, DataType::Utf8));
        assert_eq!(&cut("_varchar", "2"), &expected(vec![Some("10"), None, Some("1")]));
        assert_eq!(&cut("_bpchar", "1"), &expected(vec![Some("1"), None, Some("1")]));
        assert_eq!(&cut("_varbit", "2"), &expected(vec![Some("10"), None, Some("1")]));
        let stamps: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_700_000]));
        let seconds = array_type("_timestamp", "0", stamps.data_type().clone());
        let rounded: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![2_000_000]));
        assert_eq!(&items_as(stamps, &seconds), &rounded);
    }

    #[test]
    fn arrays_within_and_texts_of_arrays_are_cut_too() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["abc", "de"]));
        let inner = array_of(texts);
        let to = array_type("_varchar", "1", inner.data_type().clone());
        let cut: ArrayRef = Arc::new(StringArray::from(vec!["a", "d"]));
        assert_eq!(items_as(inner, &to).as_list::<i32>().values(), &cut);
        let written: ArrayRef = Arc::new(StringArray::from(vec!["{abc,de}"]));
        let to = array_type("_varchar", "1", DataType::Utf8);
        let read = converted(&written, &Field::new("", DataType::Utf8, true), &to, Zone::UTC).unwrap();
        assert_eq!(read.as_list::<i32>().values(), &cut);
    }
}
