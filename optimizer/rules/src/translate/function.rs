//! The functions that the vocabulary has words for, by DataFusion's names: one explicit table. Everything else is a refusal.

use super::Translator;
use super::scope::Scope;
use super::types::{reads_in_utc, value_type};
use crate::not_pushed::NotPushed;
use crate::nullable::value_of_nullable;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::ScalarFunction as Call;
use datafusion::logical_expr::{Expr, ExprSchemable};
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::function::{DatePart, DateUnit, ScalarFunction};
use querygate_driver_api::scalar::ScalarExpr;
use querygate_driver_api::value::ValueType;

/// The metadata in which a field has the name of its PostgreSQL type.
const PG_TYPE_KEY: &str = "pg_type";

/// What a function asks of its arguments.
#[derive(Clone, Copy)]
enum Shape {
    /// All text.
    Text,
    /// One text, then whole numbers.
    TextThenNumbers,
    /// All of the result's type.
    Same,
    /// One number of the result's type (scale aside).
    Number,
    /// One double.
    Double,
}

impl Translator<'_> {
    pub(super) fn function(&mut self, whole: &Expr, call: &Call, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        if let Some(value) = value_of_nullable(whole) {
            return self.scalar(value, scope);
        }
        if let ("jsonb_told", [value]) = (call.name(), call.args.as_slice()) {
            // It gives the value as it is.
            return self.scalar(value, scope);
        }
        let name = call.name();
        match name {
            "date_part" => return self.date_part(&call.args, scope),
            "date_trunc" => return self.date_trunc(&call.args, scope),
            _ if is_order_key(name) => return self.order_key(&call.args, scope),
            _ => {}
        }
        let Some((function, shape)) = word(name) else {
            return Err(NotPushed::new(RefusalReason::Function, format!("function {name}")));
        };
        let args = plain_arguments(function, &call.args)?;
        let value_type = value_type(&Self::data_type(whole, scope)?)?;
        let (least, most) = function.arity();
        if args.len() < least || args.len() > most {
            return Err(NotPushed::new(RefusalReason::Function, format!("{name} with {} arguments", args.len())));
        }
        let args = args.iter().map(|arg| self.scalar(arg, scope)).collect::<Result<Vec<_>, _>>()?;
        for (position, arg) in args.iter().enumerate() {
            if !fits(shape, position, self.type_of(arg)?, value_type) {
                return Err(NotPushed::kind(format!("{name} over {}", self.type_of(arg)?.name())));
            }
        }
        Ok(ScalarExpr::Function { function, args, value_type })
    }

    /// What a value is ordered by. Where a source has none, its capabilities say so.
    fn order_key(&mut self, args: &[Expr], scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let [value] = args else {
            return Err(NotPushed::new(RefusalReason::Function, "an order key of several values"));
        };
        let args = vec![self.scalar(given(value, scope), scope)?];
        Ok(ScalarExpr::Function { function: ScalarFunction::OrderKey, args, value_type: ValueType::Binary })
    }

    fn date_part(&mut self, args: &[Expr], scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let [part, from] = args else {
            return Err(NotPushed::new(RefusalReason::Function, "date_part with other arguments"));
        };
        let part = match keyword(part).as_deref() {
            Some("year" | "years") => DatePart::Year,
            Some("quarter") => DatePart::Quarter,
            Some("month" | "months") => DatePart::Month,
            Some("week") => DatePart::Week,
            Some("day" | "days") => DatePart::Day,
            Some("dow") => DatePart::DayOfWeek,
            Some("isodow") => DatePart::IsoDayOfWeek,
            Some("doy") => DatePart::DayOfYear,
            Some("hour" | "hours") => DatePart::Hour,
            Some("minute" | "minutes") => DatePart::Minute,
            Some("second" | "seconds") => DatePart::Second,
            _ => return Err(NotPushed::new(RefusalReason::Function, "this part of a date")),
        };
        let from = self.moment(from, scope)?;
        let is_clock = matches!(part, DatePart::Hour | DatePart::Minute | DatePart::Second);
        if is_clock && self.type_of(&from)? == ValueType::Date {
            return Err(NotPushed::kind("time of a date"));
        }
        let function = ScalarFunction::DatePart(part);
        Ok(ScalarExpr::Function { function, args: vec![from], value_type: ValueType::Int32 })
    }

    fn date_trunc(&mut self, args: &[Expr], scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let [unit, from] = args else {
            return Err(NotPushed::new(RefusalReason::Function, "date_trunc with other arguments"));
        };
        let unit = match keyword(unit).as_deref() {
            Some("year") => DateUnit::Year,
            Some("quarter") => DateUnit::Quarter,
            Some("month") => DateUnit::Month,
            Some("week") => DateUnit::Week,
            Some("day") => DateUnit::Day,
            Some("hour") => DateUnit::Hour,
            Some("minute") => DateUnit::Minute,
            Some("second") => DateUnit::Second,
            _ => return Err(NotPushed::new(RefusalReason::Function, "this unit of time")),
        };
        let from = self.moment(from, scope)?;
        let value_type = self.type_of(&from)?;
        if !matches!(value_type, ValueType::Timestamp { .. }) {
            return Err(NotPushed::kind(format!("date_trunc over {}", value_type.name())));
        }
        Ok(ScalarExpr::Function { function: ScalarFunction::DateTrunc(unit), args: vec![from], value_type })
    }

    /// A date or time stamp whose fields read the same everywhere.
    fn moment(&mut self, expr: &Expr, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        if !reads_in_utc(&Self::data_type(expr, scope)?) {
            return Err(NotPushed::kind("fields of an instant in another time zone"));
        }
        let moment = self.scalar(expr, scope)?;
        match self.type_of(&moment)? {
            ValueType::Date | ValueType::Timestamp { .. } => Ok(moment),
            other => Err(NotPushed::kind(format!("fields of {}", other.name()))),
        }
    }
}

/// Whether a function of the gate gives what jsonb or an array is ordered by.
pub(super) fn is_order_key(name: &str) -> bool {
    matches!(name, "jsonb_key" | "array_key")
}

/// A parameter that is read as jsonb, without what reads it: its key does so as well.
fn given<'a>(value: &'a Expr, scope: &Scope) -> &'a Expr {
    let Expr::ScalarFunction(call) = value else { return value };
    let [parameter @ Expr::Placeholder(_)] = call.args.as_slice() else { return value };
    let read = value.to_field(scope.schema.as_ref()).ok();
    let is_jsonb = read.is_some_and(|(_, field)| field.metadata().get(PG_TYPE_KEY).is_some_and(|name| name == "jsonb"));
    if call.name() == "convert" && is_jsonb { parameter } else { value }
}

fn word(name: &str) -> Option<(ScalarFunction, Shape)> {
    Some(match name {
        "character_length" => (ScalarFunction::CharLength, Shape::Text),
        "octet_length" => (ScalarFunction::OctetLength, Shape::Text),
        "upper" => (ScalarFunction::Upper, Shape::Text),
        "lower" => (ScalarFunction::Lower, Shape::Text),
        "substr" => (ScalarFunction::Substr, Shape::TextThenNumbers),
        "left" => (ScalarFunction::Left, Shape::TextThenNumbers),
        "right" => (ScalarFunction::Right, Shape::TextThenNumbers),
        "btrim" => (ScalarFunction::Trim, Shape::Text),
        "ltrim" => (ScalarFunction::LTrim, Shape::Text),
        "rtrim" => (ScalarFunction::RTrim, Shape::Text),
        "replace" => (ScalarFunction::Replace, Shape::Text),
        "strpos" => (ScalarFunction::StrPos, Shape::Text),
        "starts_with" => (ScalarFunction::StartsWith, Shape::Text),
        "ends_with" => (ScalarFunction::EndsWith, Shape::Text),
        "contains" => (ScalarFunction::Contains, Shape::Text),
        "concat" => (ScalarFunction::ConcatSkipNull, Shape::Text),
        "coalesce" => (ScalarFunction::Coalesce, Shape::Same),
        "nullif" => (ScalarFunction::NullIf, Shape::Same),
        "greatest" => (ScalarFunction::Greatest, Shape::Same),
        "least" => (ScalarFunction::Least, Shape::Same),
        "abs" => (ScalarFunction::Abs, Shape::Number),
        "floor" => (ScalarFunction::Floor, Shape::Number),
        "ceil" => (ScalarFunction::Ceil, Shape::Number),
        "trunc" => (ScalarFunction::Trunc, Shape::Number),
        "signum" => (ScalarFunction::Sign, Shape::Number),
        "sqrt" => (ScalarFunction::Sqrt, Shape::Double),
        _ => return None,
    })
}

/// Arguments that the vocabulary's word takes; forms that mean something else are refused.
fn plain_arguments(function: ScalarFunction, args: &[Expr]) -> Result<&[Expr], NotPushed> {
    match (function, args) {
        // To a whole number only.
        (ScalarFunction::Round | ScalarFunction::Trunc, [number, digits]) => match digits {
            Expr::Literal(scalar, _)
                if scalar.cast_to(&arrow::datatypes::DataType::Int64).ok() == Some(ScalarValue::Int64(Some(0))) =>
            {
                Ok(std::slice::from_ref(number))
            }
            _ => Err(NotPushed::new(RefusalReason::Function, "rounding to a number of digits")),
        },
        // An empty search text means one thing here and another there.
        (ScalarFunction::Replace, [_, from, _]) => match keyword_text(from) {
            Some(text) if !text.is_empty() => Ok(args),
            _ => Err(NotPushed::new(RefusalReason::Function, "replace of something that is not a plain constant")),
        },
        _ => Ok(args),
    }
}

fn fits(shape: Shape, position: usize, arg: ValueType, result: ValueType) -> bool {
    match shape {
        Shape::Text => arg == ValueType::Text,
        Shape::TextThenNumbers if position == 0 => arg == ValueType::Text,
        Shape::TextThenNumbers => arg == ValueType::Int64,
        Shape::Same => arg == result,
        Shape::Number => arg.is_numeric() && (arg == result || (arg.is_decimal() && result.is_decimal())),
        Shape::Double => arg == ValueType::Float64 && result == ValueType::Float64,
    }
}

/// A constant text.
fn keyword_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(scalar, _) => scalar.try_as_str().flatten(),
        _ => None,
    }
}

/// A constant word, in lower case.
fn keyword(expr: &Expr) -> Option<String> {
    keyword_text(expr).map(str::to_ascii_lowercase)
}
