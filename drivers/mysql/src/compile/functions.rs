//! Scalar functions, casts and aggregates in MariaDB's words. Each text was compared with the written semantics.

use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::capability::{Refusal, unsupported};
use querygate_driver_api::execution::BindingForm;
use querygate_driver_api::function::{DatePart, DateUnit, ScalarFunction};
use querygate_driver_api::value::ValueType;
use querygate_sql::{Argument, RenderedArgs};

/// A placeholder as an operand: the protocol has no decimals and no microseconds of its own, so they are sent as text.
pub(crate) fn typed(placeholder: String, value_type: ValueType) -> String {
    match value_type {
        ValueType::Decimal128 { precision, scale } => format!("CAST({placeholder} AS DECIMAL({precision},{scale}))"),
        ValueType::Date => format!("CAST({placeholder} AS DATE)"),
        ValueType::Time => format!("CAST({placeholder} AS TIME(6))"),
        ValueType::Timestamp { .. } => format!("CAST({placeholder} AS DATETIME(6))"),
        ValueType::Boolean
        | ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Float32
        | ValueType::Float64
        | ValueType::Text
        | ValueType::Binary
        | ValueType::TextList
        | ValueType::List(_) => placeholder,
    }
}

/// The text of an argument; a parameter of it is told its type.
fn operand(call: &mut RenderedArgs<'_>, index: usize) -> String {
    let text = call.text(index);
    match call.args.get(index) {
        Some(Argument { parameter: Some(_), value_type, .. }) => typed(text, *value_type),
        _ => text,
    }
}

/// The text of a call.
pub(crate) fn function(function: ScalarFunction, mut call: RenderedArgs<'_>, to: ValueType) -> Result<String, Refusal> {
    let argument_type = call.args.first().map_or(to, |argument| argument.value_type);
    Ok(match function {
        ScalarFunction::CharLength => simple("CHAR_LENGTH", &mut call),
        ScalarFunction::OctetLength => simple("LENGTH", &mut call),
        ScalarFunction::Substr => {
            let start = call.conditioned(1, BindingForm::AtLeastOne)?;
            let text = operand(&mut call, 0);
            if call.args.len() == 2 {
                format!("SUBSTRING({text}, {start})")
            } else {
                let count = call.conditioned(2, BindingForm::AtLeastZero)?;
                format!("SUBSTRING({text}, {start}, {count})")
            }
        }
        ScalarFunction::Left | ScalarFunction::Right => {
            let count = call.conditioned(1, BindingForm::AtLeastZero)?;
            let name = if function == ScalarFunction::Left { "LEFT" } else { "RIGHT" };
            format!("{name}({}, {count})", operand(&mut call, 0))
        }
        ScalarFunction::Trim | ScalarFunction::LTrim | ScalarFunction::RTrim if call.args.len() > 1 => {
            return unsupported("the source trims a text, not a set of characters");
        }
        ScalarFunction::Trim => simple("TRIM", &mut call),
        ScalarFunction::LTrim => simple("LTRIM", &mut call),
        ScalarFunction::RTrim => simple("RTRIM", &mut call),
        ScalarFunction::Replace => simple("REPLACE", &mut call),
        ScalarFunction::StrPos => located(&mut call),
        ScalarFunction::Contains => format!("({} > 0)", located(&mut call)),
        ScalarFunction::StartsWith => format!("({} = 1)", located(&mut call)),
        ScalarFunction::EndsWith => {
            let (text, suffix) = (operand(&mut call, 0), operand(&mut call, 1));
            format!("(RIGHT({text}, CHAR_LENGTH({suffix})) = {suffix})")
        }
        ScalarFunction::Concat => simple("CONCAT", &mut call),
        ScalarFunction::ConcatSkipNull => {
            let parts: Vec<String> =
                (0..call.args.len()).map(|index| format!("COALESCE({}, '')", operand(&mut call, index))).collect();
            format!("CONCAT({})", parts.join(", "))
        }
        ScalarFunction::Coalesce => simple("COALESCE", &mut call),
        ScalarFunction::NullIf => simple("NULLIF", &mut call),
        ScalarFunction::Greatest => extreme("GREATEST", &mut call)?,
        ScalarFunction::Least => extreme("LEAST", &mut call)?,
        ScalarFunction::Abs => simple("ABS", &mut call),
        ScalarFunction::Floor => simple("FLOOR", &mut call),
        ScalarFunction::Ceil => simple("CEILING", &mut call),
        ScalarFunction::Trunc => format!("TRUNCATE({}, 0)", operand(&mut call, 0)),
        ScalarFunction::Sign if to == ValueType::Float64 => format!("CAST({} AS DOUBLE)", simple("SIGN", &mut call)),
        ScalarFunction::Sign => simple("SIGN", &mut call),
        ScalarFunction::Round => {
            // The source's own rounds half to even.
            let x = operand(&mut call, 0);
            let whole = format!("TRUNCATE({x}, 0)");
            format!("({whole} + (CASE WHEN ABS({x} - {whole}) >= 0.5e0 THEN SIGN({x}) ELSE 0 END))")
        }
        ScalarFunction::DatePart(part) => date_part(part, argument_type, &operand(&mut call, 0))?,
        ScalarFunction::DateTrunc(unit) => date_trunc(unit, argument_type, &operand(&mut call, 0))?,
        ScalarFunction::BitAnd => bitwise("&", &mut call),
        ScalarFunction::BitOr => bitwise("|", &mut call),
        ScalarFunction::BitXor => bitwise("^", &mut call),
        ScalarFunction::Upper | ScalarFunction::Lower => return unsupported("the source changes case in another way"),
        ScalarFunction::OrderKey => return unsupported("the source orders such values in another way"),
        ScalarFunction::Sqrt => return unsupported("the source gives NULL for the root of a negative number"),
    })
}

fn simple(name: &str, call: &mut RenderedArgs<'_>) -> String {
    let parts: Vec<String> = (0..call.args.len()).map(|index| operand(call, index)).collect();
    format!("{name}({})", parts.join(", "))
}

fn located(call: &mut RenderedArgs<'_>) -> String {
    let (text, part) = (operand(call, 0), operand(call, 1));
    format!("LOCATE({part}, {text})")
}

/// The source counts bits in unsigned numbers.
fn bitwise(operator: &str, call: &mut RenderedArgs<'_>) -> String {
    format!("CAST(({} {operator} {}) AS SIGNED)", operand(call, 0), operand(call, 1))
}

/// The source gives NULL if any argument is.
fn extreme(name: &str, call: &mut RenderedArgs<'_>) -> Result<String, Refusal> {
    match call.args.len() {
        1 => Ok(operand(call, 0)),
        2 => {
            let (a, b) = (operand(call, 0), operand(call, 1));
            Ok(format!("COALESCE({name}({a}, {b}), {a}, {b})"))
        }
        _ => unsupported("the source skips NULLs only between two values"),
    }
}

fn date_part(part: DatePart, value_type: ValueType, text: &str) -> Result<String, Refusal> {
    let is_time = value_type == ValueType::Time;
    let clock = |name: &str| {
        if value_type == ValueType::Date {
            return unsupported("a date has no time of day");
        }
        Ok(format!("{name}({text})"))
    };
    match part {
        DatePart::Hour => clock("HOUR"),
        DatePart::Minute => clock("MINUTE"),
        DatePart::Second => clock("SECOND"),
        _ if is_time => unsupported("a time of day has no date"),
        DatePart::Year => Ok(format!("YEAR({text})")),
        DatePart::Quarter => Ok(format!("QUARTER({text})")),
        DatePart::Month => Ok(format!("MONTH({text})")),
        DatePart::Week => Ok(format!("WEEK({text}, 3)")),
        DatePart::Day => Ok(format!("DAYOFMONTH({text})")),
        DatePart::DayOfWeek => Ok(format!("(DAYOFWEEK({text}) - 1)")),
        DatePart::IsoDayOfWeek => Ok(format!("(WEEKDAY({text}) + 1)")),
        DatePart::DayOfYear => Ok(format!("DAYOFYEAR({text})")),
    }
}

fn date_trunc(unit: DateUnit, value_type: ValueType, text: &str) -> Result<String, Refusal> {
    if !matches!(value_type, ValueType::Timestamp { .. }) {
        return unsupported("only time stamps are truncated in the source");
    }
    let formatted = |format: &str| format!("CAST(DATE_FORMAT({text}, '{format}') AS DATETIME(6))");
    Ok(match unit {
        DateUnit::Year => formatted("%Y-01-01 00:00:00"),
        DateUnit::Quarter => {
            format!(
                "CAST(CONCAT(DATE_FORMAT({text}, '%Y-'), LPAD(QUARTER({text}) * 3 - 2, 2, '0'), '-01') AS DATETIME(6))"
            )
        }
        DateUnit::Month => formatted("%Y-%m-01 00:00:00"),
        DateUnit::Week => format!("CAST(DATE({text}) - INTERVAL WEEKDAY({text}) DAY AS DATETIME(6))"),
        DateUnit::Day => format!("CAST(DATE({text}) AS DATETIME(6))"),
        DateUnit::Hour => formatted("%Y-%m-%d %H:00:00"),
        DateUnit::Minute => formatted("%Y-%m-%d %H:%i:00"),
        DateUnit::Second => formatted("%Y-%m-%d %H:%i:%s"),
    })
}

/// Whether a date function has a form for this type.
pub(crate) fn probe(function: ScalarFunction, value_type: ValueType) -> Result<(), Refusal> {
    match function {
        ScalarFunction::DatePart(part) => date_part(part, value_type, "").map(drop),
        ScalarFunction::DateTrunc(unit) => date_trunc(unit, value_type, "").map(drop),
        _ => Ok(()),
    }
}

/// Decimal digits that hold every value of an integer type.
const fn digits(value_type: ValueType) -> i16 {
    match value_type {
        ValueType::Int16 => 5,
        ValueType::Int32 => 10,
        _ => 19,
    }
}

/// The text of a cast that is exact and cannot fail.
pub(crate) fn cast(argument: &Argument, to: ValueType) -> Result<String, Refusal> {
    use ValueType::{Boolean, Date, Decimal128, Float32, Float64, Int16, Int32, Int64, Text, Timestamp};
    let text = &argument.text;
    match (argument.value_type, to) {
        (from, to) if from == to => Ok(text.clone()),
        (Int16, Int32 | Int64) | (Int32, Int64) => Ok(text.clone()),
        (Boolean, Int16 | Int32 | Int64) => Ok(text.clone()),
        (Int16 | Int32 | Int64, Boolean) => Ok(format!("({text} <> 0)")),
        (Int16 | Int32 | Int64 | Decimal128 { .. } | Float32, Float64) => Ok(format!("CAST({text} AS DOUBLE)")),
        (Int16 | Int32 | Int64, Text) => Ok(format!("CAST({text} AS CHAR)")),
        (from @ (Int16 | Int32 | Int64), Decimal128 { precision, scale })
            if i16::from(precision) - i16::from(scale) >= digits(from) =>
        {
            Ok(format!("CAST({text} AS DECIMAL({precision},{scale}))"))
        }
        (Decimal128 { precision: p, scale: s }, Decimal128 { precision, scale })
            if scale >= s && i16::from(precision) - i16::from(scale) >= i16::from(p) - i16::from(s) =>
        {
            Ok(format!("CAST({text} AS DECIMAL({precision},{scale}))"))
        }
        (Timestamp { .. }, Date) => Ok(format!("DATE({text})")),
        (Date, Timestamp { .. }) => Ok(format!("CAST({text} AS DATETIME(6))")),
        _ => unsupported("the source converts between these types in another way"),
    }
}

/// An aggregate over `text`, which is its argument, or its argument where a condition holds.
pub(crate) fn aggregate(aggregate: &AggregateExpr, argument: Option<&Argument>, text: &str) -> Result<String, Refusal> {
    let distinct = if aggregate.distinct { "DISTINCT " } else { "" };
    let double = argument.is_some_and(|argument| argument.value_type != ValueType::Float64);
    let approximate = |name: &str| {
        let text = if double { format!("CAST({text} AS DOUBLE)") } else { text.to_owned() };
        format!("{name}({distinct}{text})")
    };
    Ok(match aggregate.function {
        AggregateFunction::CountStar => "COUNT(*)".to_owned(),
        AggregateFunction::Count => format!("COUNT({distinct}{text})"),
        AggregateFunction::Sum => format!("SUM({distinct}{text})"),
        AggregateFunction::Min | AggregateFunction::BoolAnd => format!("MIN({text})"),
        AggregateFunction::Max | AggregateFunction::BoolOr => format!("MAX({text})"),
        // Plain AVG of integers has four digits.
        AggregateFunction::Avg => approximate("AVG"),
        AggregateFunction::StddevSamp => approximate("STDDEV_SAMP"),
        AggregateFunction::StddevPop => approximate("STDDEV_POP"),
        AggregateFunction::VarSamp => approximate("VAR_SAMP"),
        AggregateFunction::VarPop => approximate("VAR_POP"),
    })
}
