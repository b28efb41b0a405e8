//! Arithmetic, casts and scalar functions in PostgreSQL's words. Each text was compared with the written semantics; the rest
//! is refused.

use crate::compile::dialect::{PostgresDialect, type_name, widened};
use crate::compile::order_keys;
use querygate_driver_api::capability::{Refusal, unsupported};
use querygate_driver_api::execution::BindingForm;
use querygate_driver_api::function::{DatePart, DateUnit, ScalarFunction};
use querygate_driver_api::scalar::ArithmeticOp;
use querygate_driver_api::value::ValueType;
use querygate_sql::{Argument, Dialect, RenderedArgs};

/// The text of an operation, or why it has none.
pub(crate) fn arithmetic(
    op: ArithmeticOp,
    left: &Argument,
    right: &Argument,
    to: ValueType,
) -> Result<String, Refusal> {
    let operator = match op {
        ArithmeticOp::Add => "+",
        ArithmeticOp::Subtract => "-",
        ArithmeticOp::Multiply => "*",
        ArithmeticOp::Divide => "/",
        ArithmeticOp::Remainder => "%",
    };
    let (a, b) = (widened(left), widened(right));
    let plain = format!("({a} {operator} {b})");
    match (to, left.value_type, right.value_type) {
        (
            ValueType::Decimal128 { scale, .. },
            ValueType::Decimal128 { scale: s, .. },
            ValueType::Decimal128 { scale: t, .. },
        ) => {
            let exact = match op {
                ArithmeticOp::Add | ArithmeticOp::Subtract | ArithmeticOp::Remainder => scale == s.max(t),
                ArithmeticOp::Multiply => i16::from(scale) == i16::from(s) + i16::from(t),
                ArithmeticOp::Divide => return quotient(&a, &b, to, scale),
            };
            // The cast raises where the result is wider than its type; it has nothing to round, and is work for each row.
            if !exact {
                return unsupported("the result would be rounded");
            }
            let fits = holds_each(op, left.value_type, right.value_type, to);
            Ok(if fits { plain } else { format!("{plain}::{}", type_name(to)) })
        }
        (ValueType::Float32 | ValueType::Float64, ..) if op == ArithmeticOp::Remainder => {
            unsupported("the source has no remainder of floats")
        }
        (to, a, b) if to == a && to == b && (to.is_integer() || to.is_float()) => Ok(plain),
        _ => unsupported("arithmetic on these types is not exact in the source"),
    }
}

/// Whether no operands of these types have a result that is wider than its type. A column that holds more than its type says is refused
/// where it is read.
fn holds_each(op: ArithmeticOp, left: ValueType, right: ValueType, to: ValueType) -> bool {
    let digits = |of: ValueType| match of {
        ValueType::Decimal128 { precision, scale } => Some((i16::from(precision), i16::from(scale))),
        _ => None,
    };
    let (Some((p, s)), Some((q, t)), Some((precision, scale))) = (digits(left), digits(right), digits(to)) else {
        return false;
    };
    match op {
        ArithmeticOp::Add | ArithmeticOp::Subtract => (p - s).max(q - t) + 1 + scale <= precision,
        ArithmeticOp::Multiply => p + q <= precision,
        ArithmeticOp::Divide | ArithmeticOp::Remainder => false,
    }
}

/// Whether a number of one type is of the other as it is, so that a cast has nothing to round and nothing to raise.
fn widens(from: ValueType, to: ValueType) -> bool {
    let ValueType::Decimal128 { precision, scale } = to else { return false };
    let (whole, places) = match from {
        ValueType::Int16 => (5, 0),
        ValueType::Int32 => (10, 0),
        ValueType::Int64 => (19, 0),
        ValueType::Decimal128 { precision, scale } => (i16::from(precision) - i16::from(scale), scale),
        _ => return false,
    };
    places <= scale && whole <= i16::from(precision) - i16::from(scale)
}

/// Cut after the last digit of the result's scale: the server's own division rounds.
fn quotient(a: &str, b: &str, to: ValueType, scale: i8) -> Result<String, Refusal> {
    let digits = usize::try_from(scale).unwrap_or(0);
    let (power, unit) = match digits {
        0 => ("1".to_owned(), "1".to_owned()),
        _ => (format!("1{}", "0".repeat(digits)), format!("0.{}1", "0".repeat(digits - 1))),
    };
    Ok(format!("(div({a} * {power}, {b}) * {unit})::{}", type_name(to)))
}

/// The text of a cast that is exact.
pub(crate) fn cast(argument: &Argument, to: ValueType) -> Result<String, Refusal> {
    use ValueType::{Boolean, Date, Decimal128, Float32, Float64, Int16, Int32, Int64, Text, Timestamp};
    let text = &argument.text;
    let target = type_name(to);
    match (argument.value_type, to) {
        (from, to) if from == to => Ok(text.clone()),
        // A numeric of any width, which compares, groups and is read by its value.
        (from, to) if widens(from, to) => Ok(format!("{text}::numeric")),
        (Int16 | Int32 | Int64, Int16 | Int32 | Int64 | Float32 | Float64 | Decimal128 { .. } | Text) => {
            Ok(format!("{text}::{target}"))
        }
        (Boolean, Int16 | Int32 | Int64) => Ok(format!("{text}::int4::{target}")),
        (Int16 | Int32 | Int64, Boolean) => Ok(format!("({text} <> 0)")),
        (Float32, Float64) | (Float32 | Float64, Int16 | Int32 | Int64) => Ok(format!("{text}::{target}")),
        (Decimal128 { .. }, Int16 | Int32 | Int64 | Float64 | Decimal128 { .. }) => {
            Ok(format!("{text}::numeric::{target}"))
        }
        // Sessions are in UTC.
        (Timestamp { .. }, Date) | (Date, Timestamp { .. }) => Ok(format!("{text}::{target}")),
        _ => unsupported("the source converts between these types in another way"),
    }
}

/// The text of a call.
pub(crate) fn function(
    dialect: &PostgresDialect,
    function: ScalarFunction,
    mut call: RenderedArgs<'_>,
    to: ValueType,
) -> Result<String, Refusal> {
    let argument_type = call.args.first().map_or(to, |argument| argument.value_type);
    Ok(match function {
        ScalarFunction::CharLength => simple("char_length", &mut call),
        ScalarFunction::OctetLength => simple("octet_length", &mut call),
        ScalarFunction::Substr => {
            let (text, start) = (call.text(0), position(&mut call, 1)?);
            if call.args.len() == 2 {
                format!("substr({text}, {start})")
            } else {
                let count = position(&mut call, 2)?;
                format!("substr({text}, {start}, {count})")
            }
        }
        ScalarFunction::Left => format!("left({}, {})", call.text(0), position(&mut call, 1)?),
        ScalarFunction::Right => format!("right({}, {})", call.text(0), position(&mut call, 1)?),
        ScalarFunction::Trim => simple("btrim", &mut call),
        ScalarFunction::LTrim => simple("ltrim", &mut call),
        ScalarFunction::RTrim => simple("rtrim", &mut call),
        ScalarFunction::Replace => simple("replace", &mut call),
        ScalarFunction::StrPos => simple("strpos", &mut call),
        ScalarFunction::StartsWith => simple("starts_with", &mut call),
        ScalarFunction::EndsWith => {
            let (text, suffix) = (call.text(0), call.text(1));
            format!("(right({text}, char_length({suffix})) = {suffix})")
        }
        ScalarFunction::Contains => format!("(strpos({}, {}) > 0)", call.text(0), call.text(1)),
        ScalarFunction::Concat => {
            let parts: Vec<String> = (0..call.args.len()).map(|index| call.text(index)).collect();
            format!("({})", parts.join(" || "))
        }
        ScalarFunction::ConcatSkipNull => simple("concat", &mut call),
        ScalarFunction::Coalesce => simple("coalesce", &mut call),
        ScalarFunction::NullIf => simple("nullif", &mut call),
        ScalarFunction::Greatest => extreme(dialect, "greatest", &mut call),
        ScalarFunction::Least => extreme(dialect, "least", &mut call),
        ScalarFunction::Abs => format!("abs({})", operand(&mut call, 0)),
        ScalarFunction::Floor => format!("floor({})", operand(&mut call, 0)),
        ScalarFunction::Ceil => format!("ceil({})", operand(&mut call, 0)),
        ScalarFunction::Trunc => format!("trunc({})", operand(&mut call, 0)),
        ScalarFunction::Round => format!("round({})", operand(&mut call, 0)),
        ScalarFunction::Sign if to.is_integer() => format!("sign({})::{}", operand(&mut call, 0), type_name(to)),
        ScalarFunction::Sign => format!("sign({})", operand(&mut call, 0)),
        ScalarFunction::Sqrt => format!("sqrt({})", operand(&mut call, 0)),
        ScalarFunction::DatePart(part) => date_part(part, argument_type, &call.text(0), to),
        ScalarFunction::DateTrunc(unit) => {
            format!("date_trunc('{}', {})", unit_name(unit), operand(&mut call, 0))
        }
        ScalarFunction::BitAnd => format!("({} & {})", operand(&mut call, 0), operand(&mut call, 1)),
        ScalarFunction::BitOr => format!("({} | {})", operand(&mut call, 0), operand(&mut call, 1)),
        ScalarFunction::BitXor => format!("({} # {})", operand(&mut call, 0), operand(&mut call, 1)),
        ScalarFunction::OrderKey => order_keys::print(&mut call),
        ScalarFunction::Upper | ScalarFunction::Lower => return unsupported("the source changes case by its locale"),
    })
}

fn simple(name: &str, call: &mut RenderedArgs<'_>) -> String {
    let parts: Vec<String> = (0..call.args.len()).map(|index| call.text(index)).collect();
    format!("{name}({})", parts.join(", "))
}

/// An argument in its declared type.
fn operand(call: &mut RenderedArgs<'_>, index: usize) -> String {
    let text = call.text(index);
    call.args.get(index).map_or(String::new(), |argument| widened(&Argument { text, ..argument.clone() }))
}

/// Positions are 32-bit there: a parameter is looked at when it is bound, a computed one must be as narrow.
fn position(call: &mut RenderedArgs<'_>, index: usize) -> Result<String, Refusal> {
    match call.args.get(index) {
        Some(argument) if argument.parameter.is_none() && argument.value_type != ValueType::Int64 => {
            Ok(format!("{}::int4", argument.text))
        }
        _ => call.conditioned(index, BindingForm::AtLeastZero),
    }
}

fn extreme(dialect: &PostgresDialect, name: &str, call: &mut RenderedArgs<'_>) -> String {
    let mut parts = Vec::with_capacity(call.args.len());
    for index in 0..call.args.len() {
        let text = call.text(index);
        let first = call.args.get(index).filter(|_| index == 0);
        parts.push(first.map_or(text.clone(), |argument| dialect.ordered(&Argument { text, ..argument.clone() })));
    }
    format!("{name}({})", parts.join(", "))
}

fn date_part(part: DatePart, value_type: ValueType, text: &str, to: ValueType) -> String {
    let (field, whole) = match part {
        DatePart::Year => ("year", false),
        DatePart::Quarter => ("quarter", false),
        DatePart::Month => ("month", false),
        DatePart::Week => ("week", false),
        DatePart::Day => ("day", false),
        DatePart::DayOfWeek => ("dow", false),
        DatePart::IsoDayOfWeek => ("isodow", false),
        DatePart::DayOfYear => ("doy", false),
        DatePart::Hour => ("hour", false),
        DatePart::Minute => ("minute", false),
        DatePart::Second => ("second", true),
    };
    // A year without end is no integer: a hidden row must not raise.
    let extracted = format!("extract({field} FROM {text}::{})", type_name(value_type));
    let extracted = if whole { format!("floor({extracted})") } else { extracted };
    let finite = format!("nullif(nullif({extracted}, 'infinity'::numeric), '-infinity'::numeric)");
    format!("{finite}::{}", type_name(to))
}

const fn unit_name(unit: DateUnit) -> &'static str {
    match unit {
        DateUnit::Year => "year",
        DateUnit::Quarter => "quarter",
        DateUnit::Month => "month",
        DateUnit::Week => "week",
        DateUnit::Day => "day",
        DateUnit::Hour => "hour",
        DateUnit::Minute => "minute",
        DateUnit::Second => "second",
    }
}
