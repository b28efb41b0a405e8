//! What a field demands of a given value, and the value as it is stored. One violation of each field at most, in the vendor's
//! order and words. Knows no other field.

use super::forms::texts::{self, has_email_form, has_phone_form, has_url_form, js_length};
use super::forms::{domains, shapes, temporal};
use super::violation::{Violation, ViolationCode};
use crate::query_filter::{Column, ColumnKind, holds_number};
use crate::value::{is_json_number, is_moment, truth};
use querygate_metadata::model::{Field, FieldType, Protocol, StrictRule, ValueType};
use querygate_types::{bytes, uuid};
use serde_json::{Number, Value, json};
use std::ops::RangeInclusive;

/// The value as it is stored, or what is wrong with it.
type Checked = Result<Value, Box<Violation>>;

fn refuse(field: &Field, code: ViolationCode, rest: &str) -> Box<Violation> {
    Box::new(Violation::of_field(field, code, format!("{} {rest}", field.label)))
}

fn refuse_with<const N: usize>(
    field: &Field,
    code: ViolationCode,
    rest: &str,
    constraint: [(&str, Value); N],
) -> Box<Violation> {
    Box::new(refuse(field, code, rest).with(constraint))
}

/// Nothing, a blank text, or an empty list where the value is a list.
pub(super) fn is_missing(field: &Field, value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(Value::Array(items)) => field.multiple && items.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
    }
}

pub(super) fn required(field: &Field, clears: bool) -> Violation {
    let rest = if clears { "is required and cannot be cleared" } else { "is required" };
    *refuse(field, ViolationCode::Required, rest)
}

/// A value of a secret: the vendor stores a reference into a store of secrets, and refuses where it has none. A reference that a caller
/// gives is refused as well: it may be that of another's secret.
pub(super) fn secret(field: &Field) -> Box<Violation> {
    refuse(field, ViolationCode::NotKept, "is a secret and takes no value: this gate has no store of secrets")
}

/// A value that finds no record.
pub(super) fn no_key(field: &Field, value: &Value) -> Box<Violation> {
    expected(field, "string", value)
}

/// Checks a value that is given and not missing.
pub(super) fn check(field: &Field, value: &Value, protocol: Protocol) -> Checked {
    if field.field_type == FieldType::Secret {
        return Err(secret(field));
    }
    if let Some(operator) = filter_operator(field, value) {
        let detail = format!(
            "{operator} is a filter operator, not a value — a filter belongs in the query 'where', not in the write payload"
        );
        return Err(invalid_type(field, &detail));
    }
    if let Some(checked) = check_declared(field, value, protocol) {
        return checked;
    }
    if field.multiple && !is_structured(field.field_type) {
        return list(field, value);
    }
    check_type(field, value, protocol)
}

/// A value of a column whose type metadata declares, where that says more than the field's type: it stays as exact as it was
/// given.
fn check_declared(field: &Field, value: &Value, protocol: Protocol) -> Option<Checked> {
    if field.column_type? == ValueType::Binary && !field.multiple {
        let is_bytes = value.as_str().is_some_and(|text| bytes::read(text).is_ok());
        let what = "must be bytes in hexadecimal digits, as \"\\x00ff\"";
        return Some(if is_bytes { Ok(value.clone()) } else { Err(refuse(field, ViolationCode::InvalidType, what)) });
    }
    let kept = |fits: bool, code: ViolationCode, what: &str| {
        if fits { Ok(value.clone()) } else { Err(refuse(field, code, &format!("must be {what}"))) }
    };
    match Column::from(field).kind() {
        // A truth value is no key, though numbers take it.
        ColumnKind::Number if field.field_type.is_reference() && value.is_boolean() => Some(reference(field, value)),
        ColumnKind::Number => Some(number(field, value, protocol)),
        ColumnKind::Boolean => Some(boolean(field, value)),
        ColumnKind::Date => {
            Some(kept(temporal::date(value).is_some(), ViolationCode::InvalidDate, "a valid date (ISO-8601)"))
        }
        ColumnKind::Timestamp => {
            let what = "a valid datetime (ISO-8601)";
            Some(kept(temporal::datetime(value).is_some(), ViolationCode::InvalidDate, what))
        }
        ColumnKind::Time => {
            let what = "a valid time (HH:MM or HH:MM:SS)";
            Some(kept(temporal::time(value).is_some(), ViolationCode::InvalidTime, what))
        }
        ColumnKind::Uuid => {
            let canonical = value.as_str().and_then(uuid::canonical).map(Value::String);
            Some(canonical.ok_or_else(|| refuse(field, ViolationCode::InvalidType, "must be a uuid")))
        }
        ColumnKind::Text | ColumnKind::List | ColumnKind::Json | ColumnKind::ReadFromText | ColumnKind::Computed => {
            None
        }
    }
}

fn check_type(field: &Field, value: &Value, protocol: Protocol) -> Checked {
    use FieldType as F;
    match field.field_type {
        F::Text | F::Textarea | F::Markdown | F::Html | F::Richtext | F::Code | F::Signature | F::Qrcode | F::Color => {
            text(field, value)
        }
        F::Email => form(field, value, has_email_form, ViolationCode::InvalidEmail, "must be a valid email address"),
        F::Url => form(field, value, has_url_form, ViolationCode::InvalidUrl, "must be a valid URL (scheme://...)"),
        F::Phone => form(field, value, has_phone_form, ViolationCode::InvalidPhone, "must be a valid phone number"),
        F::Password => match value {
            Value::String(_) => text(field, value),
            _ => Err(expected(field, "string", value)),
        },
        F::Secret => Err(secret(field)),
        F::Number | F::Currency | F::Percent | F::Rating | F::Slider | F::Progress | F::Summary => {
            number(field, value, protocol)
        }
        F::Boolean | F::Toggle => boolean(field, value),
        F::Date => temporal::date(value)
            .filter(|day| !protocol.has(StrictRule::YearRange) || !begins(day, "0000"))
            .ok_or_else(|| wrong_moment(field, ViolationCode::InvalidDate, "a valid date (ISO-8601)", "date")),
        F::Datetime => temporal::datetime(value)
            .filter(|_| {
                !protocol.has(StrictRule::YearRange) || value.as_str().is_some_and(|text| is_moment(text.trim()))
            })
            .ok_or_else(|| wrong_moment(field, ViolationCode::InvalidDate, "a valid datetime (ISO-8601)", "datetime")),
        F::Time => temporal::time(value)
            .ok_or_else(|| refuse(field, ViolationCode::InvalidTime, "must be a valid time (HH:MM or HH:MM:SS)")),
        F::Select | F::Radio => option(field, value),
        F::Lookup | F::MasterDetail | F::Tree | F::User => reference(field, value),
        F::Image | F::File | F::Avatar | F::Video | F::Audio => match value {
            Value::String(text) if texts::is_file_id(text) => Ok(value.clone()),
            Value::String(_) => Err(invalid_type(field, "Invalid input: expected a file id")),
            _ => Err(expected(field, "string", value)),
        },
        F::Location | F::Address | F::Json | F::Composite | F::Record | F::Repeater | F::Vector => {
            shapes::check(field.field_type, value)
                .map(|()| value.clone())
                .map_err(|detail| invalid_type(field, &detail))
        }
        F::Multiselect | F::Checkboxes | F::Tags => list(field, value),
        F::Formula | F::Autonumber => {
            Err(Box::new(Violation::of_field(field, ViolationCode::Computed, "takes no value".to_owned())))
        }
    }
}

/// What an empty text of a field that need not have a value is stored as.
pub(super) fn check_blank(field: &Field, value: &Value, protocol: Protocol) -> Checked {
    match field.field_type {
        FieldType::Boolean | FieldType::Toggle if !protocol.has(StrictRule::BlankBoolean) => Ok(Value::Bool(false)),
        FieldType::Password | FieldType::Secret => Err(refuse(field, ViolationCode::InvalidType, "must not be empty")),
        FieldType::Vector => Ok(Value::Null),
        _ => Ok(match Column::from(field).kind() {
            ColumnKind::Text | ColumnKind::Uuid | ColumnKind::Json | ColumnKind::ReadFromText => value.clone(),
            // A column of another kind holds no text: the value is none.
            ColumnKind::Number
            | ColumnKind::Boolean
            | ColumnKind::Date
            | ColumnKind::Timestamp
            | ColumnKind::Time
            | ColumnKind::List
            | ColumnKind::Computed => Value::Null,
        }),
    }
}

fn is_structured(kind: FieldType) -> bool {
    use FieldType as F;
    matches!(kind, F::Location | F::Address | F::Json | F::Composite | F::Record | F::Repeater | F::Vector)
}

/// The operator of a filter that stands where a single value belongs.
fn filter_operator<'v>(field: &Field, value: &'v Value) -> Option<&'v str> {
    if is_structured(field.field_type) {
        return None;
    }
    let operators = value.as_object()?;
    operators.keys().map(String::as_str).find(|key| texts::FILTER_OPERATORS.contains(key))
}

fn invalid_type(field: &Field, detail: &str) -> Box<Violation> {
    let kind = field.field_type.name();
    let rest = format!("has an invalid {kind} value: {detail}");
    refuse_with(field, ViolationCode::InvalidType, &rest, [("type", json!(kind)), ("detail", json!(detail))])
}

fn expected(field: &Field, kind: &str, found: &Value) -> Box<Violation> {
    invalid_type(field, &shapes::expected(kind, found))
}

fn wrong_moment(field: &Field, code: ViolationCode, what: &str, kind: &str) -> Box<Violation> {
    refuse_with(field, code, &format!("must be {what}"), [("type", json!(kind))])
}

/// A text; other values are stored as their text.
fn text(field: &Field, value: &Value) -> Checked {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => if *flag { "1" } else { "0" }.to_owned(),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let length = js_length(&text);
    if let Some(max) = field.max_length.filter(|max| length > *max as usize) {
        let rest = format!("must be ≤ {max} characters (got {length})");
        let constraint = [("maxLength", json!(max)), ("actual", json!(length))];
        return Err(refuse_with(field, ViolationCode::MaxLength, &rest, constraint));
    }
    if let Some(min) = field.min_length.filter(|min| length < *min as usize) {
        let rest = format!("must be ≥ {min} characters (got {length})");
        let constraint = [("minLength", json!(min)), ("actual", json!(length))];
        return Err(refuse_with(field, ViolationCode::MinLength, &rest, constraint));
    }
    if let Some(domain) = field.value_domain
        && !domains::holds(domain, &text)
    {
        let rest = format!("must be a valid {} (got \"{text}\")", domains::describe(domain));
        return Err(refuse(field, ViolationCode::ValueDomain, &rest));
    }
    Ok(Value::String(text))
}

fn form(field: &Field, value: &Value, has_form: fn(&str) -> bool, code: ViolationCode, rest: &str) -> Checked {
    let stored = text(field, value)?;
    if stored.as_str().is_some_and(has_form) { Ok(stored) } else { Err(refuse(field, code, rest)) }
}

fn number(field: &Field, value: &Value, protocol: Protocol) -> Checked {
    let whole = whole_numbers(field.value_type());
    let is_strict = protocol.has(StrictRule::NumberText);
    let number = match value {
        Value::Number(number) => Some(number.clone()),
        // Keys and references that are stored as numbers are texts to those who write.
        Value::String(text) if is_strict && holds_number(field.field_type) && !is_json_number(text) => None,
        Value::String(text) => texts::number(text),
        // The vendor's numbers took it; its columns are none of whole numbers.
        Value::Bool(flag) if whole.is_none() && !is_strict => Some(Number::from(u8::from(*flag))),
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let Some((number, float)) = number.and_then(|number| number.as_f64().map(|float| (number, float))) else {
        return Err(refuse(field, ViolationCode::InvalidNumber, "must be a number"));
    };
    if let Some(min) = field.min.filter(|min| float < *min) {
        let rest = format!("must be ≥ {}", texts::shown(min));
        return Err(refuse_with(field, ViolationCode::MinValue, &rest, [("min", texts::json_number(min))]));
    }
    if let Some(max) = field.max.filter(|max| float > *max) {
        let rest = format!("must be ≤ {}", texts::shown(max));
        return Err(refuse_with(field, ViolationCode::MaxValue, &rest, [("max", texts::json_number(max))]));
    }
    // More digits than a double has stay the text that they are, for a column that holds them.
    let exact = value.as_str().and_then(texts::long_decimal);
    let places = exact.map_or_else(|| texts::decimal_places(float), texts::text_places);
    if let Some(scale) = field.scale.filter(|scale| places > *scale as usize)
        && !matches!(field.field_type, FieldType::Progress | FieldType::Summary)
    {
        return Err(too_many_places(field, scale, places));
    }
    if let Some(precision) = field.precision.filter(|_| protocol.has(StrictRule::Precision))
        && !matches!(field.field_type, FieldType::Summary)
        && !is_within_precision(field, float, places)
    {
        let rest = format!("must have at most {precision} digits");
        return Err(refuse_with(field, ViolationCode::MaxPrecision, &rest, [("precision", json!(precision))]));
    }
    let Some(range) = whole else {
        let is_double = matches!(field.value_type(), ValueType::Float32 | ValueType::Float64);
        let exact = exact.filter(|_| !is_double);
        return Ok(exact.map_or(Value::Number(number), |text| Value::String(text.to_owned())));
    };
    // A roll-up is the platform's own: it is rounded, as SQL rounds what it assigns.
    let is_roll_up = field.field_type == FieldType::Summary;
    if places > 0 && !is_roll_up {
        return Err(too_many_places(field, 0, places));
    }
    let found = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    let found = found.or_else(|| exact.and_then(texts::whole)).or_else(|| texts::whole(&float.round().to_string()));
    let stored = found.and_then(|found| i64::try_from(found).ok()).filter(|found| range.contains(found));
    stored.map(Value::from).ok_or_else(|| {
        let (code, sign, name, bound) = match float < 0.0 {
            true => (ViolationCode::MinValue, '≥', "min", *range.start()),
            false => (ViolationCode::MaxValue, '≤', "max", *range.end()),
        };
        refuse_with(field, code, &format!("must be {sign} {bound}"), [(name, json!(bound))])
    })
}

/// Whether a number has no more digits than its field declares: from its first digit but zero to its last place, of which there are as many
/// as the field's scale says at least; two of a currency. Zero has no digit, so that it alone fits a precision of 0.
pub(super) fn is_within_precision(field: &Field, number: f64, places: usize) -> bool {
    let Some(precision) = field.precision.filter(|_| number != 0.0) else { return true };
    let declared = field.scale.or_else(|| (field.field_type == FieldType::Currency).then_some(2)).unwrap_or(0);
    let places = i64::try_from(places.max(declared as usize)).unwrap_or(i64::MAX);
    // The place of the first digit: 0 of 5, 3 of 1234.5, -2 of 0.05.
    let first: i64 = format!("{number:e}").split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    first.saturating_add(1).saturating_add(places) <= i64::from(precision)
}

fn begins(value: &Value, with: &str) -> bool {
    value.as_str().is_some_and(|text| text.starts_with(with))
}

fn too_many_places(field: &Field, scale: u32, places: usize) -> Box<Violation> {
    let rest = format!("must have at most {scale} decimal places (got {places})");
    refuse_with(field, ViolationCode::MaxScale, &rest, [("scale", json!(scale)), ("actual", json!(places))])
}

/// What a column of whole numbers holds; `None`: it is none.
pub(super) fn whole_numbers(own: ValueType) -> Option<RangeInclusive<i64>> {
    Some(match own {
        ValueType::Int16 => i64::from(i16::MIN)..=i64::from(i16::MAX),
        ValueType::Int32 => i64::from(i32::MIN)..=i64::from(i32::MAX),
        ValueType::Int64 => i64::MIN..=i64::MAX,
        ValueType::Text
        | ValueType::Uuid
        | ValueType::Coded(_)
        | ValueType::Network { .. }
        | ValueType::TextList
        | ValueType::List(_)
        | ValueType::Float64
        | ValueType::Float32
        // It has a scale, to which its values are rounded before.
        | ValueType::Decimal { .. }
        | ValueType::Numeric { .. }
        | ValueType::Boolean
        | ValueType::Date
        | ValueType::TimestampMillisUtc
        | ValueType::Timestamp { .. }
        | ValueType::Time
        | ValueType::TimeTz
        | ValueType::Interval
        | ValueType::Binary
        | ValueType::JsonText
        | ValueType::Json
        | ValueType::Float32Vector(_) => return None,
    })
}

fn boolean(field: &Field, value: &Value) -> Checked {
    let flag = match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => Some(false),
            Some(1.0) => Some(true),
            Some(_) | None => None,
        },
        Value::String(text) => truth(text),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    flag.map(Value::Bool).ok_or_else(|| refuse(field, ViolationCode::InvalidBoolean, "must be true or false"))
}

fn options(field: &Field) -> Value {
    field.options.iter().map(|option| Value::from(option.value.as_str())).collect()
}

fn allowed(field: &Field) -> String {
    field.options.iter().map(|option| option.value.as_str()).collect::<Vec<_>>().join(", ")
}

/// An option that is not there for this record.
pub(super) fn no_option(field: &Field, option: &str) -> Violation {
    let message = format!("{}: \"{option}\" is not available for this record", field.label);
    Violation::of_field(field, ViolationCode::InvalidOption, message).beside([("value", json!(option))])
}

fn option(field: &Field, value: &Value) -> Checked {
    if let Value::String(text) = value
        && (field.options.is_empty() || field.option(text).is_some())
    {
        return Ok(value.clone());
    }
    let allowed = allowed(field);
    let rest = format!("must be one of: {allowed}");
    let violation = refuse_with(field, ViolationCode::InvalidOption, &rest, [("allowed", json!(allowed))]);
    Err(Box::new(violation.beside([("options", options(field))])))
}

fn reference(field: &Field, value: &Value) -> Checked {
    match value {
        Value::String(_) => Ok(value.clone()),
        // A key of whole numbers is referred to by numbers.
        Value::Number(_) if Column::from(field).kind() == ColumnKind::Number => Ok(value.clone()),
        _ => Err(expected(field, "string", value)),
    }
}

/// A list of values; one that is none is a list of it.
fn list(field: &Field, value: &Value) -> Checked {
    let items = match value {
        Value::Array(items) => items.clone(),
        Value::Object(_) => return Err(refuse(field, ViolationCode::InvalidType, "must be an array of values")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![value.clone()],
    };
    let is_choice = matches!(
        field.field_type,
        FieldType::Select | FieldType::Multiselect | FieldType::Checkboxes | FieldType::Tags
    );
    for item in &items {
        let Value::String(text) = item else {
            return Err(expected(field, "string", item));
        };
        if is_choice && !field.options.is_empty() && field.option(text).is_none() {
            let allowed = allowed(field);
            let message = format!("{}: \"{text}\" is not one of: {allowed}", field.label);
            let violation = Violation::of_field(field, ViolationCode::InvalidOption, message);
            let beside = [("value", json!(text)), ("options", options(field))];
            return Err(Box::new(violation.with([("allowed", json!(allowed))]).beside(beside)));
        }
    }
    Ok(Value::Array(items))
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_metadata::load::{LoadOptions, load_text};

    #[test]
    fn digits_are_counted_from_the_first_one_that_is_not_zero() {
        let within = |declared: Value, number: f64| {
            let mut field = json!({"type": "number", "label": "N"});
            field.as_object_mut().unwrap().extend(declared.as_object().unwrap().clone());
            let stack = json!({
                "manifest": {"id": "com.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
                "objects": [{"name": "t_one", "label": "One", "fields": {"n": field}}],
            });
            let snapshot = load_text("s.json", &stack.to_string(), &LoadOptions::default()).unwrap();
            let object = snapshot.object("t_one").unwrap();
            is_within_precision(object.field("n").unwrap(), number, texts::decimal_places(number))
        };
        for (declared, fits, does_not) in [
            (json!({"precision": 0}), &[0.0][..], &[1.0, -1.0, 0.5][..]),
            (json!({"precision": 0, "scale": 2}), &[0.0], &[1.0, 0.1, 0.001]),
            (json!({"precision": 1, "scale": 2}), &[0.0, 0.05, -0.09], &[0.1, 1.0]),
            (json!({"precision": 2}), &[99.0, -99.0, 0.05, 1.5], &[100.0, 12.5, 0.125]),
            (json!({"precision": 5, "scale": 2}), &[999.99, 123.0], &[1234.5, 1000.0]),
            (json!({"precision": 3, "scale": u32::MAX}), &[0.0], &[1.0]),
            (json!({}), &[1e300, 0.1], &[]),
        ] {
            for (numbers, expected) in [(fits, true), (does_not, false)] {
                numbers.iter().for_each(|n| assert_eq!(within(declared.clone(), *n), expected, "{declared} {n}"));
            }
        }
    }
}
