//! The written semantics of scalar functions, casts and LIKE, executed on values.

use crate::function::{DatePart, DateUnit, ScalarFunction};
use crate::scalar::ArithmeticOp;
use crate::testkit::reference::{Fault, order};
use crate::value::{Value, ValueType};
use arrow::array::AsArray;
use arrow::compute::kernels::temporal::{DatePart as ArrowPart, date_part};
use arrow::datatypes::Int32Type;

const DAY: i64 = 86_400_000_000;

pub(crate) fn as_integer(value: &Value) -> Result<i64, Fault> {
    match value {
        Value::Int16(value) => Ok(i64::from(*value)),
        Value::Int32(value) => Ok(i64::from(*value)),
        Value::Int64(value) => Ok(*value),
        other => Err(format!("not an integer: {other:?}")),
    }
}

pub(crate) fn as_double(value: &Value) -> Result<f64, Fault> {
    #[expect(clippy::cast_precision_loss, reason = "the cast under test loses precision too")]
    match value {
        Value::Float64(value) => Ok(*value),
        Value::Float32(value) => Ok(f64::from(*value)),
        other => Ok(as_integer(other)? as f64),
    }
}

fn integer(value: i64, to: ValueType) -> Result<Value, Fault> {
    match to {
        ValueType::Int16 => i16::try_from(value).map(Value::Int16).map_err(|_| "22003".to_owned()),
        ValueType::Int32 => i32::try_from(value).map(Value::Int32).map_err(|_| "22003".to_owned()),
        ValueType::Int64 => Ok(Value::Int64(value)),
        other => Err(format!("not an integer type: {}", other.name())),
    }
}

fn count(length: usize, to: ValueType) -> Result<Value, Fault> {
    integer(i64::try_from(length).map_err(|_| "22003".to_owned())?, to)
}

/// LIKE by backtracking over code points.
pub(crate) fn like(text: &str, pattern: &str) -> bool {
    fn matches(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|at| matches(text.get(at..).unwrap_or(&[]), rest)),
            ['_', rest @ ..] => text.split_first().is_some_and(|(_, text)| matches(text, rest)),
            ['\\', escaped, rest @ ..] => {
                text.split_first().is_some_and(|(first, text)| first == escaped && matches(text, rest))
            }
            [literal, rest @ ..] => {
                text.split_first().is_some_and(|(first, text)| first == literal && matches(text, rest))
            }
        }
    }
    matches(&text.chars().collect::<Vec<_>>(), &pattern.chars().collect::<Vec<_>>())
}

/// Arithmetic of doubles: what finite operands cannot give raises.
pub(crate) fn doubles(op: ArithmeticOp, a: f64, b: f64) -> Result<f64, Fault> {
    let result = match op {
        ArithmeticOp::Add => a + b,
        ArithmeticOp::Subtract => a - b,
        ArithmeticOp::Multiply => a * b,
        _ if b == 0.0 => return Err("22012".to_owned()),
        ArithmeticOp::Divide => a / b,
        ArithmeticOp::Remainder => a % b,
    };
    let scales = matches!(op, ArithmeticOp::Multiply | ArithmeticOp::Divide);
    let vanished = scales && result == 0.0 && a != 0.0 && b != 0.0;
    let lost = (result.is_infinite() || vanished) && a.is_finite() && b.is_finite();
    if lost { Err("22003".to_owned()) } else { Ok(result) }
}

pub(crate) fn cast(value: Value, to: ValueType) -> Result<Value, Fault> {
    if value.is_null() {
        return Ok(Value::Null(to));
    }
    match (&value, to) {
        (value_now, to) if value_now.value_type() == to => Ok(value),
        (Value::Boolean(flag), to) if to.is_integer() => integer(i64::from(*flag), to),
        (number, ValueType::Boolean) => Ok(Value::Boolean(as_integer(number)? != 0)),
        (number, ValueType::Float64) => Ok(Value::Float64(as_double(number)?)),
        (number, ValueType::Text) => Ok(Value::text(as_integer(number)?.to_string())),
        (Value::Timestamp { micros, .. }, ValueType::Date) => {
            i32::try_from(micros.div_euclid(DAY)).map(Value::Date).map_err(|_| "22008".to_owned())
        }
        (Value::Date(days), ValueType::Timestamp { utc }) => {
            Ok(Value::Timestamp { micros: i64::from(*days) * DAY, utc })
        }
        (number, to) if to.is_integer() => integer(as_integer(number)?, to),
        (other, to) => Err(format!("cast of {other:?} to {} is not interpreted", to.name())),
    }
}

pub(crate) fn function(function: ScalarFunction, args: &[Value], to: ValueType) -> Result<Value, Fault> {
    let present: Vec<&Value> = args.iter().filter(|arg| !arg.is_null()).collect();
    let null = Value::Null(to);
    match function {
        ScalarFunction::Coalesce => return Ok(present.first().map_or(null, |value| (*value).clone())),
        ScalarFunction::Greatest => {
            return Ok(present.into_iter().max_by(|a, b| order(a, b)).map_or(null, Value::clone));
        }
        ScalarFunction::Least => return Ok(present.into_iter().min_by(|a, b| order(a, b)).map_or(null, Value::clone)),
        ScalarFunction::ConcatSkipNull => {
            return Ok(Value::text(present.iter().map(|value| text(value)).collect::<Result<String, _>>()?));
        }
        ScalarFunction::NullIf => {
            let [a, b] = args else { return Err("arguments".to_owned()) };
            let equal = !a.is_null() && !b.is_null() && order(a, b).is_eq();
            return Ok(if equal { null } else { a.clone() });
        }
        _ if present.len() < args.len() => return Ok(null),
        _ => {}
    }
    match args {
        [Value::Text(a), rest @ ..] => text_function(function, a, rest, to),
        [a, b] => {
            let (a, b) = (as_integer(a)?, as_integer(b)?);
            match function {
                ScalarFunction::BitAnd => integer(a & b, to),
                ScalarFunction::BitOr => integer(a | b, to),
                ScalarFunction::BitXor => integer(a ^ b, to),
                other => Err(format!("{} is not interpreted", other.name())),
            }
        }
        [a] => number_or_date(function, a, to),
        _ => Err(format!("{} is not interpreted", function.name())),
    }
}

fn text(value: &Value) -> Result<&str, Fault> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("not a text: {other:?}")),
    }
}

fn text_function(function: ScalarFunction, a: &str, rest: &[Value], to: ValueType) -> Result<Value, Fault> {
    let characters: Vec<char> = a.chars().collect();
    let length = i64::try_from(characters.len()).unwrap_or(i64::MAX);
    let part = |from: i64, until: i64| {
        let at = |position: i64| usize::try_from(position.clamp(0, length)).unwrap_or(0);
        let slice = characters.get(at(from)..at(until).max(at(from))).unwrap_or(&[]);
        Value::text(slice.iter().collect::<String>())
    };
    let second = || rest.first().ok_or("argument".to_owned());
    let set = || Ok::<_, Fault>(rest.first().map(text).transpose()?.unwrap_or(" ").chars().collect::<Vec<char>>());
    Ok(match function {
        ScalarFunction::CharLength => count(characters.len(), to)?,
        ScalarFunction::OctetLength => count(a.len(), to)?,
        ScalarFunction::Substr => {
            let start = as_integer(second()?)? - 1;
            match rest.get(1) {
                None => part(start, length),
                Some(taken) => part(start, start.saturating_add(as_integer(taken)?)),
            }
        }
        ScalarFunction::Left => {
            let n = as_integer(second()?)?;
            part(0, if n < 0 { length + n } else { n })
        }
        ScalarFunction::Right => {
            let n = as_integer(second()?)?;
            part(if n < 0 { -n } else { length - n }, length)
        }
        ScalarFunction::Trim => Value::text(a.trim_matches(&set()?[..])),
        ScalarFunction::LTrim => Value::text(a.trim_start_matches(&set()?[..])),
        ScalarFunction::RTrim => Value::text(a.trim_end_matches(&set()?[..])),
        ScalarFunction::Replace => {
            let [from, to] = rest else { return Err("arguments".to_owned()) };
            let from = text(from)?;
            if from.is_empty() { Value::text(a) } else { Value::text(a.replace(from, text(to)?)) }
        }
        ScalarFunction::StrPos => match a.find(text(second()?)?) {
            Some(at) => count(a.get(..at).unwrap_or("").chars().count() + 1, to)?,
            None => integer(0, to)?,
        },
        ScalarFunction::StartsWith => Value::Boolean(a.starts_with(text(second()?)?)),
        ScalarFunction::EndsWith => Value::Boolean(a.ends_with(text(second()?)?)),
        ScalarFunction::Contains => Value::Boolean(a.contains(text(second()?)?)),
        ScalarFunction::Concat => {
            let others = rest.iter().map(text).collect::<Result<String, _>>()?;
            Value::text(format!("{a}{others}"))
        }
        ScalarFunction::Upper => Value::text(a.to_uppercase()),
        ScalarFunction::Lower => Value::text(a.to_lowercase()),
        other => return Err(format!("{} of text is not interpreted", other.name())),
    })
}

fn number_or_date(function: ScalarFunction, a: &Value, to: ValueType) -> Result<Value, Fault> {
    match (function, a) {
        (ScalarFunction::Abs, Value::Float64(value)) => Ok(Value::Float64(value.abs())),
        (ScalarFunction::Abs, value) => integer(as_integer(value)?.checked_abs().ok_or("22003")?, to),
        // Rust rounds half away from zero.
        (ScalarFunction::Round, Value::Float64(value)) => Ok(Value::Float64(value.round())),
        (ScalarFunction::Sign, Value::Float64(value)) => {
            Ok(Value::Float64(if *value == 0.0 { 0.0 } else { value.signum() }))
        }
        (ScalarFunction::Sign, value) => integer(as_integer(value)?.signum(), to),
        (ScalarFunction::DatePart(part), value) => extract(part, value).and_then(|part| integer(part, to)),
        (ScalarFunction::DateTrunc(unit), Value::Timestamp { micros, utc }) => {
            Ok(Value::Timestamp { micros: truncate(unit, *micros, a)?, utc: *utc })
        }
        _ => Err(format!("{} of {a:?} is not interpreted", function.name())),
    }
}

fn extract(part: DatePart, value: &Value) -> Result<i64, Fault> {
    let part = match part {
        DatePart::Year => ArrowPart::Year,
        DatePart::Quarter => ArrowPart::Quarter,
        DatePart::Month => ArrowPart::Month,
        DatePart::Week => ArrowPart::Week,
        DatePart::Day => ArrowPart::Day,
        DatePart::DayOfWeek => ArrowPart::DayOfWeekSunday0,
        DatePart::IsoDayOfWeek => ArrowPart::DayOfWeekMonday0,
        DatePart::DayOfYear => ArrowPart::DayOfYear,
        DatePart::Hour => ArrowPart::Hour,
        DatePart::Minute => ArrowPart::Minute,
        DatePart::Second => ArrowPart::Second,
    };
    let plain = match value {
        Value::Timestamp { micros, .. } => Value::Timestamp { micros: *micros, utc: false },
        other => other.clone(),
    };
    let array = plain.to_array().map_err(|error| error.to_string())?;
    let parts = date_part(&array, part).map_err(|error| error.to_string())?;
    let found = i64::from(parts.as_primitive::<Int32Type>().value(0));
    Ok(if part == ArrowPart::DayOfWeekMonday0 { found + 1 } else { found })
}

fn truncate(unit: DateUnit, micros: i64, value: &Value) -> Result<i64, Fault> {
    let floor = |unit: i64| micros - micros.rem_euclid(unit);
    Ok(match unit {
        DateUnit::Second => floor(1_000_000),
        DateUnit::Minute => floor(60_000_000),
        DateUnit::Hour => floor(3_600_000_000),
        DateUnit::Day => floor(DAY),
        DateUnit::Month => floor(DAY) - (extract(DatePart::Day, value)? - 1) * DAY,
        DateUnit::Year => floor(DAY) - (extract(DatePart::DayOfYear, value)? - 1) * DAY,
        DateUnit::Week => floor(DAY) - (extract(DatePart::IsoDayOfWeek, value)? - 1) * DAY,
        DateUnit::Quarter => {
            // Months before this one in its quarter, each ended by going to the day before its first.
            let mut first = floor(DAY) - (extract(DatePart::Day, value)? - 1) * DAY;
            for _ in 0..(extract(DatePart::Month, value)? - 1) % 3 {
                let last = Value::Timestamp { micros: first - DAY, utc: false };
                first -= extract(DatePart::Day, &last)? * DAY;
            }
            first
        }
    })
}
