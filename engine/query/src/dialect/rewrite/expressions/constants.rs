//! Constants and parameters whose type their place decides: recursive queries, intervals with fields, arguments of functions.

use crate::dialect::ast::{cast, literal_text, text};
use crate::dialect::parameters::Declared;
use crate::dialect::rewrite::from::value_lists::type_columns;
use crate::sql::walk::{ON, Reader, Step, Writer, look, write};
use datafusion::sql::sqlparser::ast::{
    DataType, DateTimeField, ExactNumberInfo, Expr, FunctionArg, FunctionArgExpr, Ident, Interval, IntervalFields,
    ObjectName, Query, SelectItem, SetExpr, UnaryOperator, Value,
};
use querygate_types::{Error, ErrorCode, Result};

/// The table of a recursive query takes its types from the first term: whole numbers there become integers at once, and
/// what the first term casts, the second casts alike, unless it is a number.
///
/// # Errors
/// 42804: both cast to numerics of other digits.
pub(in crate::dialect) fn type_recursion(query: &mut Query, declared: &[Option<Declared>]) -> Result<()> {
    let Some(with) = query.with.as_mut().filter(|with| with.recursive) else { return Ok(()) };
    for table in &mut with.cte_tables {
        let SetExpr::SetOperation { left, right, .. } = table.query.body.as_mut() else { continue };
        let types: Vec<Option<DataType>> = match left.as_mut() {
            SetExpr::Select(select) => {
                // It never refuses.
                let _ = write(&mut select.projection, &mut Integers);
                select.projection.iter().map(|item| expression(item).and_then(cast_type)).collect()
            }
            SetExpr::Values(values) => {
                type_columns(values, declared);
                values.rows.first().map_or_else(Vec::new, |row| row.content.iter().map(cast_type).collect())
            }
            _ => continue,
        };
        let SetExpr::Select(select) = right.as_mut() else { continue };
        if select.projection.len() != types.len() || select.projection.iter().any(|item| expression(item).is_none()) {
            continue;
        }
        for (place, (item, data_type)) in select.projection.iter_mut().zip(types).enumerate() {
            let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }, Some(data_type)) =
                (item, data_type)
            else {
                continue;
            };
            if let Some(own) = cast_type(expr).filter(|own| *own != data_type)
                && is_numeric(&own)
                && is_numeric(&data_type)
            {
                let name = crate::dialect::ast::folded(&table.alias.name);
                return Err(mismatch(&name, place, &data_type));
            }
            // What numbers become in the second term is decided where their types are known.
            if is_exact(&data_type) && !holds_parameter(expr) {
                continue;
            }
            let old = std::mem::replace(expr, Expr::Value(Value::Null.with_empty_span()));
            *expr = cast(old, data_type);
        }
    }
    Ok(())
}

fn mismatch(query: &str, place: usize, first: &DataType) -> Error {
    let message = format!(
        "recursive query \"{query}\" column {} has type {} in non-recursive term but type numeric overall",
        place + 1,
        first.to_string().to_lowercase(),
    );
    Error::new(ErrorCode::DatatypeMismatch, message)
        .with_hint("Cast the output of the non-recursive term to the correct type.")
}

const fn is_numeric(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_))
}

const fn is_exact(data_type: &DataType) -> bool {
    is_numeric(data_type)
        || matches!(
            data_type,
            DataType::SmallInt(_)
                | DataType::Int2(_)
                | DataType::Int(_)
                | DataType::Integer(_)
                | DataType::Int4(_)
                | DataType::BigInt(_)
                | DataType::Int8(_)
        )
}

fn holds_parameter(expr: &Expr) -> bool {
    struct Parameters(bool);
    impl Reader for Parameters {
        fn expr(&mut self, expr: &Expr) -> Step {
            self.0 |= matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)));
            ON
        }
    }
    let mut parameters = Parameters(false);
    look(expr, &mut parameters);
    parameters.0
}

fn expression(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

fn cast_type(expr: &Expr) -> Option<DataType> {
    match expr {
        Expr::Cast { data_type, .. } => Some(data_type.clone()),
        Expr::Nested(inner) => cast_type(inner),
        _ => None,
    }
}

struct Integers;

impl Writer for Integers {
    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        let literal = matches!(&*expr, Expr::Value(_));
        if literal && whole(expr).is_some_and(|number| i32::try_from(number).is_ok()) {
            let number = std::mem::replace(expr, Expr::Value(Value::Null.with_empty_span()));
            *expr = cast(number, DataType::Int(None));
        }
        ON
    }
}

/// A whole number, maybe with a sign.
pub(in crate::dialect) fn whole(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => whole(expr).and_then(i64::checked_neg),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } | Expr::Nested(expr) => whole(expr),
        _ => None,
    }
}

/// `U&'…'` and `N'…'` are texts like others once they are read.
pub(in crate::dialect) fn plain_text(expr: &mut Expr) {
    if let Expr::Value(value) = expr
        && let Value::UnicodeStringLiteral(read) | Value::NationalStringLiteral(read) = &value.value
    {
        value.value = Value::SingleQuotedString(read.clone());
    }
}

/// `B'101'` and `X'A5'` are strings of as many bits.
pub(in crate::dialect) fn bit_string(expr: &mut Expr) {
    let literal = match &*expr {
        // Here the type says no length.
        Expr::TypedString(typed) if matches!(typed.data_type, DataType::Bit(None)) => {
            let Value::SingleQuotedString(digits) = &typed.value.value else { return };
            *expr = cast(text(digits), DataType::Custom(ObjectName::from(vec![Ident::new("bit")]), Vec::new()));
            return;
        }
        Expr::Value(value) => value,
        _ => return,
    };
    let written = match &literal.value {
        Value::SingleQuotedByteStringLiteral(digits) => format!("b{digits}"),
        Value::HexStringLiteral(digits) => format!("x{digits}"),
        _ => return,
    };
    *expr = cast(text(&written), DataType::Custom(ObjectName::from(vec![Ident::new("bit")]), Vec::new()));
}

/// A number beyond every decimal here is a numeric of any width.
pub(in crate::dialect) fn large_number(expr: &mut Expr) {
    let Expr::Value(value) = &*expr else { return };
    let Value::Number(digits, _) = &value.value else { return };
    if is_large(digits) {
        *expr = cast(text(digits), DataType::Numeric(ExactNumberInfo::None));
    }
}

/// Whether a number is beyond every decimal here; or beyond bigint, where the engine would take it for an unsigned one.
pub(in crate::dialect) fn is_large(digits: &str) -> bool {
    is_wide(digits) || digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<i64>().is_err()
}

/// Whether a number is beyond every decimal here.
fn is_wide(digits: &str) -> bool {
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let length = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let exponent: i64 = exponent.trim_start_matches('+').parse().unwrap_or(i64::MAX / 2);
    let scale = i64::try_from(fraction).unwrap_or(i64::MAX / 4) - exponent;
    let whole = i64::try_from(length).unwrap_or(i64::MAX / 4) - scale;
    whole.max(0) + scale.max(0) > 38
}

/// `INTERVAL '1' DAY`, `INTERVAL '1-2' YEAR TO MONTH` and casts to the same as a cast of a text that says it all, without what is finer
/// than its fields.
pub(in crate::dialect) fn interval(expr: &mut Expr) {
    match expr {
        Expr::Interval(Interval {
            value,
            leading_field,
            last_field,
            leading_precision,
            fractional_seconds_precision,
        }) => {
            let Some(literal) = literal_text(value) else { return };
            let last = last_field.as_ref().or(leading_field.as_ref());
            let seconds = matches!(last, Some(DateTimeField::Second)) && last_field.is_none();
            let precision = fractional_seconds_precision.or(leading_precision.filter(|_| seconds));
            *expr = with_fields(literal, leading_field.as_ref(), last, precision);
        }
        Expr::Cast { expr: inner, data_type: DataType::Interval { fields: Some(fields), precision }, .. } => {
            let (first, last) = first_and_last(fields);
            *expr = match literal_text(inner) {
                Some(literal) => with_fields(literal, Some(&first), Some(&last), *precision),
                None => {
                    let value = std::mem::replace(inner.as_mut(), Expr::Value(Value::Null.into()));
                    cut(cast(value, DataType::Interval { fields: None, precision: *precision }), Some(&last))
                }
            };
        }
        _ => {}
    }
}

fn first_and_last(fields: &IntervalFields) -> (DateTimeField, DateTimeField) {
    use DateTimeField::{Day, Hour, Minute, Month, Second, Year};
    match fields {
        IntervalFields::Year => (Year, Year),
        IntervalFields::Month => (Month, Month),
        IntervalFields::Day => (Day, Day),
        IntervalFields::Hour => (Hour, Hour),
        IntervalFields::Minute => (Minute, Minute),
        IntervalFields::Second => (Second, Second),
        IntervalFields::YearToMonth => (Year, Month),
        IntervalFields::DayToHour => (Day, Hour),
        IntervalFields::DayToMinute => (Day, Minute),
        IntervalFields::DayToSecond => (Day, Second),
        IntervalFields::HourToMinute => (Hour, Minute),
        IntervalFields::HourToSecond => (Hour, Second),
        IntervalFields::MinuteToSecond => (Minute, Second),
    }
}

fn with_fields(
    literal: &str,
    first: Option<&DateTimeField>,
    last: Option<&DateTimeField>,
    precision: Option<u64>,
) -> Expr {
    let plain = literal.trim();
    let bare = !plain.is_empty()
        && plain.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'))
        && !plain.get(1..).unwrap_or_default().contains('-');
    let whole = match (first, last) {
        (_, Some(field)) if bare => format!("{plain} {}", unit(field)),
        // `'1 2' DAY TO HOUR`: days, then hours.
        (Some(DateTimeField::Day), Some(DateTimeField::Hour)) => match plain.split_once(' ') {
            Some((days, hours)) if !hours.contains(':') => format!("{days} day {} hour", hours.trim()),
            _ => literal.to_owned(),
        },
        (Some(DateTimeField::Minute), Some(DateTimeField::Second)) => {
            plain.split_whitespace().map(minutes).collect::<Vec<_>>().join(" ")
        }
        _ => literal.to_owned(),
    };
    cut(cast(text(&whole), DataType::Interval { fields: None, precision }), last)
}

/// An interval without what is finer than a field.
fn cut(interval: Expr, field: Option<&DateTimeField>) -> Expr {
    let finest = match field {
        Some(DateTimeField::Year | DateTimeField::Month | DateTimeField::Day) => field.map(unit),
        Some(DateTimeField::Hour | DateTimeField::Minute) => field.map(unit),
        _ => None,
    };
    match finest {
        Some(finest) => crate::dialect::ast::call("interval_cut", vec![interval, text(&finest)]),
        None => interval,
    }
}

/// `2:03` where minutes and seconds are meant.
fn minutes(piece: &str) -> String {
    if piece.matches(':').count() != 1 {
        return piece.to_owned();
    }
    match piece.strip_prefix(['-', '+']) {
        Some(rest) => format!("{}00:{rest}", &piece[..1]),
        None => format!("00:{piece}"),
    }
}

fn unit(field: &DateTimeField) -> String {
    field.to_string().to_lowercase()
}

/// The seven arguments of `make_interval`, of which any may be named or left out.
pub(in crate::dialect) fn interval_fields(arguments: &[FunctionArg]) -> Option<Vec<Expr>> {
    const NAMES: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];
    let fields: Vec<Option<Expr>> = NAMES.iter().map(|_| Some(crate::dialect::ast::number(0))).collect();
    placed(arguments, &NAMES, fields)
}

/// The arguments of a function that changes JSON, of which the last ones may be named or left out. `None`: none is named.
pub(in crate::dialect) fn json_change(function: &str, arguments: &[FunctionArg]) -> Option<Vec<Expr>> {
    const NAMES: [&str; 5] = ["jsonb_in", "path", "replacement", "create_if_missing", "null_value_treatment"];
    if arguments.iter().all(|argument| matches!(argument, FunctionArg::Unnamed(_))) {
        return None;
    }
    let truth = |value| Some(Expr::Value(Value::Boolean(value).with_empty_span()));
    let (names, last) = match function {
        "jsonb_insert" => (["jsonb_in", "path", "replacement", "insert_after", ""], vec![truth(false)]),
        "jsonb_set" => (NAMES, vec![truth(true)]),
        _ => (NAMES, vec![truth(true), Some(crate::dialect::ast::text("use_json_null"))]),
    };
    let fields: Vec<Option<Expr>> = [None, None, None].into_iter().chain(last).collect();
    placed(arguments, names.get(..fields.len())?, fields)
}

/// Arguments at the places of their names. `None`: a place is left without one, or is not known.
fn placed(arguments: &[FunctionArg], names: &[&str], mut fields: Vec<Option<Expr>>) -> Option<Vec<Expr>> {
    let of = |name: &Ident| names.iter().position(|known| name.value.eq_ignore_ascii_case(known));
    for (place, argument) in arguments.iter().enumerate() {
        let (place, value) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (place, value),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => (of(name)?, value),
            FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(value), .. } => {
                (of(name)?, value)
            }
            _ => return None,
        };
        *fields.get_mut(place)? = Some(value.clone());
    }
    fields.into_iter().collect()
}
