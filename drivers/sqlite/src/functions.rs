//! Scalar functions and casts in SQLite's words. Each text was compared with the written semantics; the rest is refused.

use querygate_driver_api::capability::{Refusal, unsupported};
use querygate_driver_api::execution::BindingForm;
use querygate_driver_api::function::{DatePart, DateUnit, ScalarFunction};
use querygate_driver_api::value::ValueType;
use querygate_sql::{Argument, RenderedArgs};

/// The text of a call.
pub(crate) fn function(function: ScalarFunction, mut call: RenderedArgs<'_>, to: ValueType) -> Result<String, Refusal> {
    let argument_type = call.args.first().map_or(to, |argument| argument.value_type);
    Ok(match function {
        ScalarFunction::CharLength => format!("length({})", call.text(0)),
        ScalarFunction::OctetLength => format!("length(CAST({} AS BLOB))", call.text(0)),
        ScalarFunction::Substr => {
            let start = call.conditioned(1, BindingForm::AtLeastOne)?;
            let text = call.text(0);
            if call.args.len() == 2 {
                format!("substr({text}, {start})")
            } else {
                let count = call.conditioned(2, BindingForm::AtLeastZero)?;
                format!("substr({text}, {start}, {count})")
            }
        }
        ScalarFunction::Left => {
            let count = call.conditioned(1, BindingForm::AtLeastZero)?;
            format!("substr({}, 1, {count})", call.text(0))
        }
        ScalarFunction::Right => {
            let count = call.conditioned(1, BindingForm::AtLeastOne)?;
            format!("substr({}, -{count})", call.text(0))
        }
        ScalarFunction::Trim => simple("trim", &mut call),
        ScalarFunction::LTrim => simple("ltrim", &mut call),
        ScalarFunction::RTrim => simple("rtrim", &mut call),
        ScalarFunction::Replace => simple("replace", &mut call),
        ScalarFunction::StrPos => simple("instr", &mut call),
        ScalarFunction::Contains => format!("(instr({}, {}) > 0)", call.text(0), call.text(1)),
        ScalarFunction::StartsWith => {
            let (text, prefix) = (call.text(0), call.text(1));
            // The first condition bounds an index; the second is exact.
            format!("({text} >= {prefix} AND instr({text}, {prefix}) = 1)")
        }
        ScalarFunction::EndsWith => {
            let suffix = call.conditioned(1, BindingForm::NonEmpty)?;
            format!("(substr({}, -length({suffix})) = {suffix})", call.text(0))
        }
        ScalarFunction::Concat => {
            let parts: Vec<String> = (0..call.args.len()).map(|index| call.text(index)).collect();
            format!("({})", parts.join(" || "))
        }
        ScalarFunction::ConcatSkipNull => {
            let parts: Vec<String> =
                (0..call.args.len()).map(|index| format!("coalesce({}, '')", call.text(index))).collect();
            format!("({})", parts.join(" || "))
        }
        ScalarFunction::Coalesce if call.args.len() == 1 => call.text(0),
        ScalarFunction::Coalesce => simple("coalesce", &mut call),
        ScalarFunction::NullIf => simple("nullif", &mut call),
        ScalarFunction::Greatest => extreme("max", &mut call)?,
        ScalarFunction::Least => extreme("min", &mut call)?,
        ScalarFunction::Abs => simple("abs", &mut call),
        ScalarFunction::Sign => simple("sign", &mut call),
        ScalarFunction::Round => simple("round", &mut call),
        ScalarFunction::DatePart(part) => date_part(part, argument_type, &call.text(0))?,
        ScalarFunction::DateTrunc(unit) => date_trunc(unit, argument_type, &call.text(0))?,
        ScalarFunction::BitAnd => format!("({} & {})", call.text(0), call.text(1)),
        ScalarFunction::BitOr => format!("({} | {})", call.text(0), call.text(1)),
        ScalarFunction::Upper | ScalarFunction::Lower => return unsupported("the source changes case only in ASCII"),
        ScalarFunction::Floor
        | ScalarFunction::Ceil
        | ScalarFunction::Trunc
        | ScalarFunction::Sqrt
        | ScalarFunction::BitXor
        | ScalarFunction::OrderKey => return unsupported("the source has no such function"),
    })
}

fn simple(name: &str, call: &mut RenderedArgs<'_>) -> String {
    let parts: Vec<String> = (0..call.args.len()).map(|index| call.text(index)).collect();
    format!("{name}({})", parts.join(", "))
}

/// SQLite's scalar `max` and `min` give NULL if any argument is.
fn extreme(name: &str, call: &mut RenderedArgs<'_>) -> Result<String, Refusal> {
    match call.args.len() {
        1 => Ok(call.text(0)),
        2 => {
            let (a, b) = (call.text(0), call.text(1));
            Ok(format!("coalesce({name}({a}, {b}), {a}, {b})"))
        }
        _ => unsupported("the source skips NULLs only between two values"),
    }
}

/// Fields of the fixed text forms.
fn date_part(part: DatePart, value_type: ValueType, text: &str) -> Result<String, Refusal> {
    let cut = |start: u32, count: u32| format!("CAST(substr({text}, {start}, {count}) AS INTEGER)");
    // strftime rounds to milliseconds, so it sees only the day.
    let day = |format: &str| format!("CAST(strftime('{format}', substr({text}, 1, 10)) AS INTEGER)");
    let is_time = value_type == ValueType::Time;
    let has_time = matches!(value_type, ValueType::Time | ValueType::Timestamp { .. });
    let clock = |offset: u32| {
        if has_time {
            Ok(cut(if is_time { offset } else { 11 + offset }, 2))
        } else {
            unsupported("a date has no time of day")
        }
    };
    match part {
        DatePart::Hour => clock(1),
        DatePart::Minute => clock(4),
        DatePart::Second => clock(7),
        _ if is_time => unsupported("a time of day has no date"),
        DatePart::Year => Ok(cut(1, 4)),
        DatePart::Month => Ok(cut(6, 2)),
        DatePart::Day => Ok(cut(9, 2)),
        DatePart::Quarter => Ok(format!("(({} + 2) / 3)", cut(6, 2))),
        DatePart::Week => Ok(day("%V")),
        DatePart::DayOfWeek => Ok(day("%w")),
        DatePart::IsoDayOfWeek => Ok(day("%u")),
        DatePart::DayOfYear => Ok(day("%j")),
    }
}

fn date_trunc(unit: DateUnit, value_type: ValueType, text: &str) -> Result<String, Refusal> {
    let ValueType::Timestamp { utc } = value_type else {
        return unsupported("only time stamps are truncated in the source");
    };
    let (kept, rest) = match unit {
        DateUnit::Year => (4, "-01-01T00:00:00.000"),
        DateUnit::Month => (7, "-01T00:00:00.000"),
        DateUnit::Day => (10, "T00:00:00.000"),
        DateUnit::Hour => (13, ":00:00.000"),
        DateUnit::Minute => (16, ":00.000"),
        DateUnit::Second => (19, ".000"),
        DateUnit::Quarter | DateUnit::Week => return unsupported("the source cannot truncate to a week or quarter"),
    };
    Ok(format!("(substr({text}, 1, {kept}) || '{rest}{}')", if utc { "Z" } else { "" }))
}

/// The text of a cast that is exact.
pub(crate) fn cast(argument: &Argument, to: ValueType) -> Result<String, Refusal> {
    use ValueType::{Boolean, Date, Float64, Int16, Int32, Int64, Text, Timestamp};
    let text = &argument.text;
    match (argument.value_type, to) {
        (from, to) if from == to => Ok(text.clone()),
        (Int16, Int32 | Int64) | (Int32, Int64) => Ok(text.clone()),
        (Boolean, Int16 | Int32 | Int64) => Ok(text.clone()),
        (Int16 | Int32 | Int64, Boolean) => Ok(format!("({text} <> 0)")),
        (Int16 | Int32 | Int64, Float64) => Ok(format!("CAST({text} AS REAL)")),
        (Int16 | Int32 | Int64, Text) => Ok(format!("CAST({text} AS TEXT)")),
        (Timestamp { .. }, Date) => Ok(format!("substr({text}, 1, 10)")),
        (Date, Timestamp { utc }) => Ok(format!("({text} || 'T00:00:00.000{}')", if utc { "Z" } else { "" })),
        _ => unsupported("the source converts between these types in another way"),
    }
}

/// Whether a date function has a form for this type.
pub(crate) fn probe(function: ScalarFunction, value_type: ValueType) -> Result<(), Refusal> {
    match function {
        ScalarFunction::DatePart(part) => date_part(part, value_type, "").map(drop),
        ScalarFunction::DateTrunc(unit) => date_trunc(unit, value_type, "").map(drop),
        _ => Ok(()),
    }
}
