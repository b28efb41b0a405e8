//! What Postgres decides when it binds: constants are read by its input functions, conversions that the session's time zone
//! is part of get it, casts it does not have are refused, quotients of numerics are as long as its own. Knows no row.

use super::moments::{common_zone, day_counts, words, zone_changes};
use super::{by_argument, key_arguments, told_jsonb};
use crate::casts::conversions::{
    TYPE_MODIFIER_KEY, constant, conversion, is_checked_text, is_settled_early, is_text, modifier, named,
};
use crate::fault::{Fault, REPEATED_MAX, external, with_text};
use crate::functions;
use crate::numbers::numeric::{parse, precision};
use crate::numbers::wide;
use crate::times::datetime::parse::timetz;
use crate::times::local_moments;
use crate::times::zone::Zone;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions::datetime;
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::{
    BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, lit,
};
use querygate_query_api::column::pg_type_of;
use querygate_query_api::values::timetz::TimeTz;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use querygate_rules::nullable;
use querygate_types::numeric::Numeric;
use querygate_types::{Error, ErrorCode, PgType, TypeCategory};
use std::sync::Arc;

/// Functions of constants that are computed at once, so that sources and files see a constant.
const FOLDED: &[&str] = &["moved", "moved_back", "interval_cut", "interval_times", "interval_over"];

/// Parts of a date or time stamp that DataFusion and sources take as Postgres does.
const PLAIN_PARTS: &[&str] = &["year", "quarter", "month", "week", "day", "dow", "doy", "hour", "minute"];

/// Settles one expression whose children are settled.
pub(crate) fn settle(expr: Expr, schema: &DFSchema, zone: Zone) -> Result<Transformed<Expr>> {
    common_zone::settled(expr, schema, zone)?.transform_data(|expr| {
        let wide = wide::settled(expr, schema)?;
        if wide.transformed {
            return Ok(wide);
        }
        settle_plain(wide.data, schema, zone)?.transform_data(|expr| told_jsonb::told(expr, schema))
    })
}

/// As [`settle`], where no numeric of any width is.
fn settle_plain(expr: Expr, schema: &DFSchema, zone: Zone) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Literal(ScalarValue::Decimal128(Some(digits), _, scale), metadata) if scale < 0 => {
            let whole = crate::numbers::numeric::rescaled(digits, scale, 0)
                .ok_or_else(|| Fault::OutOfRange("numeric").error())?;
            let value = ScalarValue::Decimal128(Some(whole), precision(whole, 0), 0);
            Ok(Transformed::yes(Expr::Literal(value, metadata)))
        }
        Expr::Cast(cast) => settle_cast(cast, schema, zone),
        Expr::ScalarFunction(call) => settle_call(call, schema, zone),
        Expr::BinaryExpr(binary) => settle_operator(binary, schema),
        other => Ok(Transformed::no(other)),
    }
}

pub(super) fn settle_cast(cast: Cast, schema: &DFSchema, zone: Zone) -> Result<Transformed<Expr>> {
    let written = match cast.expr.as_ref() {
        // The cast takes it; a long one is not copied for an error that would not repeat it.
        Expr::Literal(value, _) => value.try_as_str().flatten().filter(|text| text.len() <= REPEATED_MAX),
        _ => None,
    };
    let written = written.filter(|_| !matches!(cast.field.data_type(), DataType::List(_))).map(str::to_owned);
    settled_cast(cast, schema, zone).map_err(|error| match written {
        Some(text) => with_text(error, &text),
        None => error,
    })
}

fn settled_cast(cast: Cast, schema: &DFSchema, zone: Zone) -> Result<Transformed<Expr>> {
    // A parameter without a type is of the one that it is cast to. A text is checked by its cast.
    if let Expr::Placeholder(Placeholder { id, field: None }) = cast.expr.as_ref() {
        let checked = modifier(&cast.field).is_some()
            || named(&cast.field).is_some_and(|name| name != "char" && is_checked_text(name));
        let field = if checked && is_text(cast.field.data_type()) {
            Arc::new(Field::new(id.clone(), DataType::Utf8, true))
        } else {
            Arc::new(cast.field.as_ref().clone().with_name(id.clone()))
        };
        let typed = Expr::Placeholder(Placeholder { id: id.clone(), field: Some(field) });
        return Ok(Transformed::yes(if checked {
            Expr::Cast(Cast { expr: Box::new(typed), field: cast.field })
        } else {
            typed
        }));
    }
    let Ok((_, from)) = cast.expr.to_field(schema) else { return Ok(Transformed::no(Expr::Cast(cast))) };
    if local_moments::is_one(&from) {
        let expr = Box::new(local_moments::moment(*cast.expr, schema, zone)?);
        return settle_cast(Cast { expr, field: cast.field }, schema, zone)
            .map(|settled| Transformed::yes(settled.data));
    }
    let given = Arc::clone(&cast.field);
    let cast = if modifier(&cast.field).is_some_and(|digits| digits.contains(',')) {
        let field = Arc::new(cast.field.as_ref().clone().with_data_type(WIDE_NUMERIC));
        Cast { field, expr: cast.expr }
    } else {
        cast
    };
    let cast = Cast { field: of_dimensions(from.data_type(), cast.field), expr: cast.expr };
    let null = matches!(cast.expr.as_ref(), Expr::Literal(value, _) if value.is_null());
    if !null {
        castable(&from, &cast.field)?;
    }
    if let Some(moment) = words::moment(&cast, zone) {
        return Ok(Transformed::yes(moment));
    }
    let to = Arc::clone(&cast.field);
    if modifier(&to) == Some("any") {
        return numeric_of_any_places(cast, &from, zone);
    }
    if let Expr::Literal(value, _) = cast.expr.as_ref() {
        if to.data_type().is_floating() && from.data_type().is_decimal() && !null {
            let (Expr::Literal(value, _), true) = as_double(*cast.expr, true) else {
                return datafusion::common::internal_err!("a decimal constant is a double");
            };
            let value = value.cast_to(to.data_type())?;
            if matches!(&value, ScalarValue::Float32(Some(v)) if v.is_infinite()) {
                return Err(Fault::OutOfRange("real").error());
            }
            return Ok(Transformed::yes(Expr::Literal(value, Some(FieldMetadata::from(to.metadata().clone())))));
        }
        if let (DataType::Decimal128(precision, scale), Some(Some(text))) = (to.data_type(), value.try_as_str())
            && let Ok(special @ (Numeric::Nan | Numeric::Infinite { .. })) = text.parse::<Numeric>()
        {
            let value = special.in_type(u32::from(*precision), i64::from(*scale)).map_err(external)?;
            return Ok(Transformed::yes(Expr::Literal(wide::literal(&value), None)));
        }
        let reads = is_text(from.data_type()) || is_settled_early(&from, &to);
        if reads && conversion(&from, &to, zone).is_some() && !matches!(to.data_type(), DataType::List(_)) {
            let value = constant(value, &from, &to, zone)?;
            return Ok(Transformed::yes(Expr::Literal(value, Some(FieldMetadata::from(to.metadata().clone())))));
        }
    }
    if to.data_type() == &TimeTz::ARROW
        && (is_text(from.data_type()) || matches!(from.data_type(), DataType::Time64(_)))
    {
        return timetz_of(*cast.expr, &to, zone);
    }
    if is_settled_early(&from, &to)
        && let Some(function) = conversion(&from, &to, zone)
    {
        return Ok(Transformed::yes(function.call(vec![*cast.expr])));
    }
    let changed = cast.field != given;
    Ok(Transformed::new_transformed(Expr::Cast(cast), changed))
}

/// A text or a time of day as a time with a zone. A zone's distance from Greenwich is that of the statement's time, unless the text
/// says it.
fn timetz_of(of: Expr, to: &FieldRef, zone: Zone) -> Result<Transformed<Expr>> {
    if let Expr::Literal(value, _) = &of
        && let Some(text) = value.try_as_str().flatten()
        && let Some(time) = timetz(text, zone, None).map_err(|wrong| wrong.error("time with time zone"))?
    {
        let value = ScalarValue::FixedSizeBinary(12, Some(time.key().to_vec()));
        let field = Field::new("", TimeTz::ARROW, true);
        let value = constant(&value, &field, to, zone)?;
        return Ok(Transformed::yes(Expr::Literal(value, Some(FieldMetadata::from(to.metadata().clone())))));
    }
    let Some(function) = functions::in_zone("timetz_of", zone) else {
        return datafusion::common::internal_err!("the reader of times with zones is a function");
    };
    let call = function.call(vec![of, statement_time()]);
    let field = Field::new("", TimeTz::ARROW, true);
    Ok(Transformed::yes(match conversion(&field, to, zone).filter(|_| modifier(to).is_some()) {
        Some(rounded) => rounded.call(vec![call]),
        None => call,
    }))
}

/// When the statement began.
pub(super) fn statement_time() -> Expr {
    crate::times::clock::functions()
        .first()
        .map_or_else(|| Expr::Literal(ScalarValue::Null, None), |now| now.call(Vec::new()))
}

/// An array's type with as many dimensions as the array has: `int[]` says none.
fn of_dimensions(from: &DataType, to: FieldRef) -> FieldRef {
    fn nested<'a>(data_type: &'a DataType) -> impl Iterator<Item = &'a FieldRef> {
        let item = |data_type: &'a DataType| match data_type {
            DataType::List(item) => Some(item),
            _ => None,
        };
        std::iter::successors(item(data_type), move |of| item(of.data_type()))
    }
    let lacking = nested(from).count().saturating_sub(nested(to.data_type()).count());
    if lacking == 0 || !matches!(to.data_type(), DataType::List(_)) {
        return to;
    }
    let deep =
        (0..lacking).fold(to.data_type().clone(), |inner, _| DataType::List(Arc::new(Field::new("item", inner, true))));
    Arc::new(to.as_ref().clone().with_data_type(deep))
}

/// `x::numeric`: as many places as the value has, where that is known.
fn numeric_of_any_places(cast: Cast, from: &Field, zone: Zone) -> Result<Transformed<Expr>> {
    // A parameter has its value's places already.
    if matches!((cast.expr.as_ref(), from.data_type()), (Expr::Placeholder(_), DataType::Decimal128(..))) {
        return Ok(Transformed::yes(*cast.expr));
    }
    let to = Arc::clone(&cast.field);
    let plain = |precision, scale| {
        let metadata = to.metadata().iter().filter(|(key, _)| *key != TYPE_MODIFIER_KEY);
        let metadata = metadata.map(|(k, v)| (k.clone(), v.clone())).collect();
        Arc::new(Field::new("", DataType::Decimal128(precision, scale), true).with_metadata(metadata))
    };
    if let Expr::Literal(value, _) = cast.expr.as_ref() {
        let exact = match value {
            ScalarValue::Utf8(Some(text)) => match parse(text) {
                Some(exact) => Some(exact),
                None => return Ok(Transformed::yes(Expr::Literal(wide::literal(&wide::read(text)?), None))),
            },
            ScalarValue::Float64(Some(value)) if !value.is_finite() => {
                return Ok(Transformed::yes(Expr::Literal(wide::literal(&Numeric::from_double(*value, 15)), None)));
            }
            ScalarValue::Float32(Some(value)) if !value.is_finite() => {
                let value = Numeric::from_double(f64::from(*value), 6);
                return Ok(Transformed::yes(Expr::Literal(wide::literal(&value), None)));
            }
            ScalarValue::Int32(Some(value)) => Some((i128::from(*value), 0)),
            ScalarValue::Int64(Some(value)) => Some((i128::from(*value), 0)),
            ScalarValue::Int16(Some(value)) => Some((i128::from(*value), 0)),
            ScalarValue::Decimal128(Some(digits), _, scale) => Some((*digits, *scale)),
            ScalarValue::Float64(Some(value)) => crate::numbers::rounding::significant(*value, 15),
            ScalarValue::Float32(Some(value)) => crate::numbers::rounding::significant(f64::from(*value), 6),
            _ => None,
        };
        if let Some((digits, scale)) = exact {
            let value = ScalarValue::Decimal128(Some(digits), precision(digits, scale), scale);
            return Ok(Transformed::yes(Expr::Literal(value, None)));
        }
    }
    let to = match from.data_type() {
        DataType::Int16 => plain(5, 0),
        DataType::Int32 => plain(10, 0),
        DataType::Int64 => plain(19, 0),
        DataType::UInt64 => plain(20, 0),
        DataType::Decimal128(precision, scale) => plain(*precision, *scale),
        DataType::LargeBinary => return Ok(Transformed::yes(*cast.expr)),
        // Only the value knows its places.
        _ => Arc::new(Field::new("", WIDE_NUMERIC, true)),
    };
    if is_settled_early(from, &to)
        && let Some(function) = conversion(from, &to, zone)
    {
        return Ok(Transformed::yes(function.call(vec![*cast.expr])));
    }
    Ok(Transformed::yes(Expr::Cast(Cast { expr: cast.expr, field: to })))
}

/// Types to which no number is cast.
const NO_NUMBER: &[PgType] = &[PgType::Varbit, PgType::Inet, PgType::Cidr, PgType::Macaddr, PgType::Macaddr8];

/// Refuses casts that Postgres does not have.
fn castable(from: &Field, to: &Field) -> Result<()> {
    let (source, target) = (pg_type_of(from), pg_type_of(to));
    let is = |t: PgType, category: TypeCategory| t.category() == category;
    let number = |t: PgType| is(t, TypeCategory::Numeric) && !t.name().starts_with("reg") && t != PgType::Oid;
    let time = |t: PgType| is(t, TypeCategory::DateTime) || is(t, TypeCategory::Timespan);
    let absent = match (source, target) {
        (PgType::Bool, t) => (number(t) && t != PgType::Int4) || time(t) || t == PgType::Uuid || t == PgType::Bytea,
        (s, PgType::Bool) => (number(s) && s != PgType::Int4) || time(s),
        (s, PgType::Bit) if number(s) => !matches!(s, PgType::Int4 | PgType::Int8),
        (s, t) if number(s) && NO_NUMBER.contains(&t) => true,
        (s, t) if number(s) => time(t) || matches!(t, PgType::Uuid | PgType::Bytea | PgType::Json | PgType::Jsonb),
        (PgType::Timetz, t) if time(t) => !matches!(t, PgType::Time | PgType::Timetz),
        (s, PgType::Timetz) if time(s) => !matches!(s, PgType::Time | PgType::Timestamptz),
        (s, t) if time(s) => number(t) || matches!(t, PgType::Uuid | PgType::Bytea | PgType::Json | PgType::Jsonb),
        (PgType::Uuid, t) => number(t) || time(t),
        (PgType::Bit, PgType::Int4 | PgType::Int8 | PgType::Varbit)
        | (PgType::Varbit, PgType::Bit)
        | (PgType::Inet, PgType::Cidr)
        | (PgType::Cidr, PgType::Inet)
        | (PgType::Macaddr, PgType::Macaddr8) => false,
        // Of others, their own type and texts alone.
        (s, t) if NO_NUMBER.contains(&s) || s == PgType::Bit => {
            s != t && !is(t, TypeCategory::String) && !is(t, TypeCategory::Array)
        }
        _ => false,
    };
    let lists = (matches!(from.data_type(), DataType::List(_)), matches!(to.data_type(), DataType::List(_)));
    let scalar = |t: &DataType| !is_text(t) && *t != DataType::Null;
    let absent = absent
        || (lists == (true, false) && scalar(to.data_type()))
        || (lists == (false, true) && scalar(from.data_type()));
    if !absent || from.data_type() == &DataType::Null {
        return Ok(());
    }
    let message = format!("cannot cast type {} to {}", source.sql_name(), target.sql_name());
    Err(external(Error::new(ErrorCode::CannotCoerce, message)))
}

fn settle_call(mut call: ScalarFunction, schema: &DFSchema, zone: Zone) -> Result<Transformed<Expr>> {
    if local_moments::called(&mut call, schema, zone)? || zone_changes::prepared(&mut call, schema, zone)? {
        return settle_call(call, schema, zone).map(|settled| Transformed::yes(settled.data));
    }
    let mut call = match by_argument::called(call, schema)? {
        Ok(other) => return Ok(Transformed::yes(other)),
        Err(same) => same,
    };
    let name = call.func.name();
    if matches!(name, "concat" | "concat_ws") {
        let mut changed = false;
        for arg in &mut call.args {
            let Ok(data_type) = arg.get_type(schema) else { continue };
            if !is_text(&data_type) && data_type != DataType::Null {
                changed = true;
                // Truth is printed as a letter here, unlike by a cast.
                let printed = functions::in_zone("display", zone);
                let value = std::mem::take(arg);
                *arg = match printed {
                    Some(printed) => printed.call(vec![value]),
                    None => value,
                };
            }
        }
        return Ok(Transformed::new_transformed(Expr::ScalarFunction(call), changed));
    }
    if let Some((to, texts)) = key_arguments::texts_to_read(&call, schema)? {
        for place in texts {
            let Some(arg) = call.args.get_mut(place) else { continue };
            let cast = Cast { expr: Box::new(std::mem::take(arg)), field: Arc::clone(&to) };
            *arg = settle_cast(cast, schema, zone)?.data;
        }
        return Ok(Transformed::yes(Expr::ScalarFunction(call)));
    }
    if name == "date_trunc" && zone != Zone::UTC && call.args.len() == 2 {
        let zoned = call.args.get(1).and_then(|of| of.get_type(schema).ok());
        let zoned = zoned.is_some_and(|t| matches!(t, DataType::Timestamp(_, Some(_))));
        if zoned {
            call.args.push(lit(zone.name()));
        }
        return Ok(Transformed::new_transformed(Expr::ScalarFunction(call), zoned));
    }
    if name == "extract"
        && let Some(part) = plain_part(&call, schema)
    {
        return Ok(Transformed::yes(part));
    }
    let zoned = if zone == Zone::UTC { None } else { functions::in_zone(name, zone) };
    let in_place = zoned.is_some();
    let function = zoned.unwrap_or_else(|| Arc::clone(&call.func));
    if FOLDED.contains(&name)
        && let Some(value) = folded(&function, &call.args)?
    {
        return Ok(Transformed::yes(Expr::Literal(value, None)));
    }
    if in_place {
        return Ok(Transformed::yes(function.call(call.args)));
    }
    Ok(Transformed::no(Expr::ScalarFunction(call)))
}

/// `extract` of a part that DataFusion takes alike, as its function: sources know that one.
fn plain_part(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let [Expr::Literal(part, _), of] = call.args.as_slice() else { return None };
    // No source is asked for a part of a constant, whose years before Christ and whose infinity are taken rightly here.
    if matches!(of, Expr::Literal(..)) {
        return None;
    }
    let part = part.try_as_str().flatten()?.to_ascii_lowercase();
    let of_date = match of.get_type(schema).ok()? {
        DataType::Date32 => true,
        DataType::Timestamp(_, None) => false,
        _ => return None,
    };
    if !PLAIN_PARTS.contains(&part.as_str()) || (of_date && matches!(part.as_str(), "hour" | "minute")) {
        return None;
    }
    let taken = datetime::date_part().call(vec![lit(part), of.clone()]);
    // Infinity has no parts, which the engine does not say of moments that are never NULL.
    let taken = if of.nullable(schema).ok()? { taken } else { nullable(taken) };
    let field = Arc::new(Field::new("", DataType::Decimal128(10, 0), true));
    Some(Expr::Cast(Cast { expr: Box::new(taken), field }))
}

/// The value of a function of constants.
fn folded(function: &Arc<ScalarUDF>, args: &[Expr]) -> Result<Option<ScalarValue>> {
    let mut values = Vec::with_capacity(args.len());
    for arg in args {
        match arg {
            Expr::Literal(value, _) if !value.is_null() => values.push(value.clone()),
            _ => return Ok(None),
        }
    }
    let given: Vec<DataType> = values.iter().map(ScalarValue::data_type).collect();
    let types = function.coerce_types(&given)?;
    // A text would have to be read first.
    if given.iter().zip(&types).any(|(from, to)| is_text(from) && !is_text(to)) {
        return Ok(None);
    }
    let values = values.iter().zip(&types).map(|(v, t)| v.cast_to(t)).collect::<Result<Vec<_>>>()?;
    let fields: Vec<FieldRef> = types.iter().map(|t| Arc::new(Field::new("", t.clone(), true))).collect();
    let constants: Vec<Option<&ScalarValue>> = values.iter().map(Some).collect();
    let returns =
        function.return_field_from_args(ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &constants })?;
    let result = function.invoke_with_args(ScalarFunctionArgs {
        args: values.iter().cloned().map(ColumnarValue::Scalar).collect(),
        arg_fields: fields,
        number_rows: 1,
        return_field: returns,
        config_options: Arc::new(ConfigOptions::default()),
    })?;
    match result {
        ColumnarValue::Scalar(value) => Ok(Some(value)),
        ColumnarValue::Array(_) => Ok(None),
    }
}

fn settle_operator(binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let BinaryExpr { left, op, right } = binary;
    let whole = |left, right| Expr::BinaryExpr(BinaryExpr { left, op, right });
    let arithmetic =
        matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo);
    if !arithmetic {
        return Ok(Transformed::no(whole(left, right)));
    }
    day_counts::refuse_numbers(&left, op, &right, schema)?;
    // Asking a long chain for its type at each of its operators takes time that grows with the square of its length.
    if op != Operator::Divide && digits_of(&left).is_none() && digits_of(&right).is_none_or(|(_, scale)| scale == 0) {
        return Ok(Transformed::no(whole(left, right)));
    }
    let (Ok(l), Ok(r)) = (left.get_type(schema), right.get_type(schema)) else {
        return Ok(Transformed::no(whole(left, right)));
    };
    // A constant with a point beside a double is one.
    if l.is_floating() != r.is_floating() {
        let (left, a) = as_double(*left, r.is_floating());
        let (right, b) = as_double(*right, l.is_floating());
        return Ok(Transformed::new_transformed(whole(Box::new(left), Box::new(right)), a || b));
    }
    let exact = |t: &DataType| t.is_integer() || t.is_decimal();
    if op != Operator::Divide || !(exact(&l) && exact(&r) && (l.is_decimal() || r.is_decimal())) {
        return Ok(Transformed::no(whole(left, right)));
    }
    if let (Some(a), Some(b)) = (digits_of(&left), digits_of(&right)) {
        let [a, b] = [a, b].map(|(digits, scale)| Numeric::from_digits(digits, scale));
        let quotient = a.over(&b).map_err(external)?;
        return Ok(Transformed::yes(Expr::Literal(wide::literal(&quotient), None)));
    }
    match functions::in_zone("numeric_divide", Zone::UTC) {
        Some(function) => Ok(Transformed::yes(function.call(vec![*left, *right]))),
        None => Ok(Transformed::no(whole(left, right))),
    }
}

/// Digits and scale of an exact constant.
fn digits_of(expr: &Expr) -> Option<(i128, i8)> {
    match expr {
        Expr::Literal(ScalarValue::Decimal128(Some(digits), _, scale), _) => Some((*digits, *scale)),
        Expr::Literal(ScalarValue::Int32(Some(value)), _) => Some((i128::from(*value), 0)),
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => Some((i128::from(*value), 0)),
        Expr::Negative(inner) => digits_of(inner).map(|(digits, scale)| (-digits, scale)),
        _ => None,
    }
}

/// A decimal constant as the double that was written.
pub(crate) fn as_double(expr: Expr, wanted: bool) -> (Expr, bool) {
    match expr {
        Expr::Literal(ScalarValue::Decimal128(Some(digits), _, scale), None) if wanted => {
            let value = crate::casts::display::decimal(digits, scale).parse().unwrap_or(f64::NAN);
            (Expr::Literal(ScalarValue::Float64(Some(value)), None), true)
        }
        Expr::Negative(inner) if wanted => {
            let (inner, changed) = as_double(*inner, true);
            (Expr::Negative(Box::new(inner)), changed)
        }
        other => (other, false),
    }
}

/// Whether a field is jsonb.
pub fn is_jsonb(field: &Field) -> bool {
    named(field) == Some("jsonb")
}
