//! A statement's text and its values → documents for the client. Refuses a value that BSON cannot hold exactly, since it would compare another one.

use crate::documents::decimal;
use crate::documents::fetch::Stored;
use crate::tree::node::{Form, Node, never};
use crate::tree::parse::parse;
use crate::tree::pattern;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, Regex};
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::execution::{BindingForm, NativeStatement};
use querygate_driver_api::value::Value;

/// Bytes of all values of one statement: a command must stay below 16 MiB, and key lists come with their positions.
const VALUES_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of a pattern: the server takes twice as many.
const PATTERN_BYTES_MAX: usize = 16 * 1024;
pub(crate) const DAY_MILLIS: i64 = 86_400_000;

/// What the client is told to run.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) collection: String,
    /// Without the last one where stored documents are read.
    pub(crate) stages: Vec<Document>,
    pub(crate) stored: Option<Stored>,
    /// Whether the documents that it gives are locked.
    pub(crate) locks: bool,
}

/// What the text of a statement has behind its pipeline where the documents that it gives are locked.
pub(crate) const LOCKS: &str = "locks";

/// The command of a statement with these values.
///
/// # Errors
/// A value that has no exact counterpart in BSON, or that the statement's form is not exact for.
pub(crate) fn command(statement: &NativeStatement, values: &[Value]) -> Result<Command, Refusal> {
    let invalid = || Refusal::new(RefusalReason::Invalid, "statement is not one of this source");
    let binder = Binder { statement, values };
    binder.conditions()?;
    let Some(Node::Object(fields)) = parse(&statement.text) else { return Err(invalid()) };
    let mut fields = fields.into_iter();
    let (aggregate, pipeline, lock) = (fields.next(), fields.next(), fields.next());
    let locks = match lock {
        None => false,
        Some((name, Node::Bool(true))) if name == LOCKS => true,
        Some(_) => return Err(invalid()),
    };
    match (aggregate, pipeline, fields.next()) {
        (Some((aggregate, Node::Text(collection))), Some((pipeline, Node::Array(stages))), None)
            if aggregate == "aggregate" && pipeline == "pipeline" =>
        {
            let stored = Stored::of(&stages);
            let asked = stages.len() - usize::from(stored.is_some());
            let stages = stages.iter().take(asked).map(|stage| match binder.bson(stage)? {
                Some(Bson::Document(stage)) => Ok(stage),
                _ => Err(invalid()),
            });
            Ok(Command { collection, stages: stages.collect::<Result<_, Refusal>>()?, stored, locks })
        }
        _ => Err(invalid()),
    }
}

fn refuse<T>(text: &str) -> Result<T, Refusal> {
    Err(Refusal::new(RefusalReason::Value, text))
}

struct Binder<'a> {
    statement: &'a NativeStatement,
    values: &'a [Value],
}

impl Binder<'_> {
    fn value(&self, native: usize) -> Result<&Value, Refusal> {
        let binding = self.statement.bindings.get(native);
        binding
            .and_then(|binding| self.values.get(binding.parameter))
            .ok_or_else(|| Refusal::new(RefusalReason::Invalid, "statement parameter without a value"))
    }

    /// What the forms of the bindings ask of the values, and their size together.
    fn conditions(&self) -> Result<(), Refusal> {
        let mut bytes = 0_usize;
        for (native, binding) in self.statement.bindings.iter().enumerate() {
            let value = self.value(native)?;
            bytes = bytes.saturating_add(match value {
                Value::Text(text) => text.len(),
                Value::Binary(bytes) => bytes.len(),
                _ => 32,
            });
            if bytes > VALUES_BYTES_MAX {
                return Err(Refusal::new(RefusalReason::Size, "values are too large for one statement of the source"));
            }
            match binding.form {
                BindingForm::Value => {}
                BindingForm::AtLeastZero => at_least(value, 0)?,
                BindingForm::AtLeastOne => at_least(value, 1)?,
                BindingForm::NonEmpty => match value {
                    Value::Text(text) if text.is_empty() => {
                        return refuse("the source's function is not exact for an empty text");
                    }
                    _ => {}
                },
                BindingForm::Pattern
                | BindingForm::PatternPrefix
                | BindingForm::PatternPrefixEnd
                | BindingForm::List(_) => {
                    return Err(Refusal::new(RefusalReason::Invalid, "a form that this source never prints"));
                }
            }
        }
        Ok(())
    }

    /// None for a parameter that a list leaves out.
    fn bson(&self, node: &Node) -> Result<Option<Bson>, Refusal> {
        let all = |items: &[Node]| {
            let items = items.iter().filter_map(|item| self.bson(item).transpose());
            items.collect::<Result<Vec<_>, Refusal>>()
        };
        Ok(Some(match node {
            Node::Null => Bson::Null,
            Node::Bool(value) => Bson::Boolean(*value),
            Node::Int(value) => Bson::Int64(*value),
            Node::NotANumber => Bson::Double(f64::NAN),
            Node::Infinity => Bson::Double(f64::INFINITY),
            Node::Text(text) => Bson::String(text.clone()),
            Node::Array(items) => Bson::Array(all(items)?),
            Node::Object(fields) => {
                let mut document = Document::new();
                for (name, value) in fields {
                    match self.bson(value)? {
                        Some(value) => document.insert(name.clone(), value),
                        None => return refuse("value has no form that the source compares"),
                    };
                }
                Bson::Document(document)
            }
            Node::Parameter(native, form) => return formed(self.value(*native)?, *form),
            Node::Known(natives, inner) => {
                for native in natives {
                    if self.value(*native)?.is_null() {
                        return self.bson(&never());
                    }
                }
                return self.bson(inner);
            }
            Node::Present(items) => {
                let mut items = all(items)?;
                items.retain(|item| *item != Bson::Null);
                Bson::Array(items)
            }
        }))
    }
}

fn at_least(value: &Value, least: i64) -> Result<(), Refusal> {
    let number = match value {
        Value::Int16(number) => i64::from(*number),
        Value::Int32(number) => i64::from(*number),
        Value::Int64(number) => *number,
        _ => return refuse("the source's function is not exact for NULL"),
    };
    if number >= least { Ok(()) } else { refuse("the source's function is not exact for this position") }
}

fn formed(value: &Value, form: Form) -> Result<Option<Bson>, Refusal> {
    let regex = |pattern: fn(&str) -> Option<String>| {
        let Value::Text(text) = value else { return refuse("the source has no pattern for NULL") };
        let expression = pattern(text);
        if expression.as_ref().is_some_and(|expression| expression.len() > PATTERN_BYTES_MAX) {
            return refuse("the source has no patterns of such length");
        }
        let expression = expression.and_then(|expression| expression.try_into().ok());
        let Some(pattern) = expression else { return refuse("the source has no patterns with NUL") };
        let Ok(options) = String::new().try_into() else { return refuse("pattern options") };
        Ok(Some(Bson::RegularExpression(Regex { pattern, options })))
    };
    match form {
        Form::Value => exact(value).map(Some),
        Form::Floor | Form::Ceil => match value {
            Value::Timestamp { micros, .. } => {
                let up = i64::from(form == Form::Ceil && micros.rem_euclid(1_000) != 0);
                Ok(Some(Bson::DateTime(DateTime::from_millis(micros.div_euclid(1_000) + up))))
            }
            other => exact(other).map(Some),
        },
        Form::ObjectId => match value {
            Value::Null(_) => Ok(Some(Bson::Null)),
            Value::Text(text) if is_object_id(text) => match ObjectId::parse_str(text.as_ref()) {
                Ok(id) => Ok(Some(Bson::ObjectId(id))),
                Err(_) => Ok(None),
            },
            _ => Ok(None),
        },
        Form::Ordered => match value {
            Value::Float64(number) if number.is_nan() => refuse("the source puts NaN below all numbers"),
            Value::Float32(number) if number.is_nan() => refuse("the source puts NaN below all numbers"),
            other => exact(other).map(Some),
        },
        Form::Pattern => regex(pattern::regex),
        Form::Prefix => regex(|text| pattern::quoted(r"\A", text, "")),
        Form::Suffix => regex(|text| pattern::quoted("", text, r"\z")),
        Form::Part => regex(|text| pattern::quoted("", text, "")),
    }
}

/// The text that an ObjectId reads as: 24 digits in lower case.
fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A value as BSON compares it.
pub(crate) fn exact(value: &Value) -> Result<Bson, Refusal> {
    Ok(match value {
        Value::Null(_) => Bson::Null,
        Value::Boolean(value) => Bson::Boolean(*value),
        Value::Int16(value) => Bson::Int32(i32::from(*value)),
        Value::Int32(value) => Bson::Int32(*value),
        Value::Int64(value) => Bson::Int64(*value),
        Value::Float32(value) => Bson::Double(f64::from(*value)),
        Value::Float64(value) => Bson::Double(*value),
        Value::Decimal128 { value, scale, .. } => match decimal::of(*value, *scale) {
            Some(decimal) => Bson::Decimal128(decimal),
            None => return refuse("the source has decimals of 34 digits"),
        },
        Value::Text(text) => Bson::String(text.as_ref().to_owned()),
        Value::Binary(bytes) => Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }),
        Value::Date(days) => Bson::DateTime(DateTime::from_millis(i64::from(*days) * DAY_MILLIS)),
        Value::Timestamp { micros, .. } if micros.rem_euclid(1_000) == 0 => {
            Bson::DateTime(DateTime::from_millis(micros.div_euclid(1_000)))
        }
        Value::Timestamp { .. } => return refuse("the source has whole milliseconds only"),
        Value::Time(_) => return refuse("the source has no times of day"),
        Value::TextList(_) => return refuse("a list cannot be bound"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::value::ValueType;

    #[test]
    fn values_are_never_operators() {
        for (value, form, expected) in [
            (Value::text("{$ne: 1}"), Form::Value, Some(Bson::String("{$ne: 1}".to_owned()))),
            (Value::text("$secret"), Form::Value, Some(Bson::String("$secret".to_owned()))),
            (Value::Null(ValueType::Text), Form::Value, Some(Bson::Null)),
            (
                Value::text("65f000000000000000000001"),
                Form::ObjectId,
                ObjectId::parse_str("65f000000000000000000001").ok().map(Bson::ObjectId),
            ),
            (Value::text("65F000000000000000000001"), Form::ObjectId, None),
            (Value::text("twelve bytes"), Form::ObjectId, None),
            (Value::Timestamp { micros: -1, utc: true }, Form::Floor, Some(Bson::DateTime(DateTime::from_millis(-1)))),
            (Value::Timestamp { micros: -1, utc: true }, Form::Ceil, Some(Bson::DateTime(DateTime::from_millis(0)))),
            (Value::Timestamp { micros: 2_000, utc: true }, Form::Ceil, Some(Bson::DateTime(DateTime::from_millis(2)))),
        ] {
            assert_eq!(formed(&value, form), Ok(expected), "{value:?}");
        }
        for (value, form) in [
            (Value::Timestamp { micros: 1, utc: true }, Form::Value),
            (Value::Float64(f64::NAN), Form::Ordered),
            (Value::Time(0), Form::Value),
            (Value::text("a\0"), Form::Pattern),
            (Value::Null(ValueType::Text), Form::Pattern),
            (Value::Decimal128 { value: 10_i128.pow(38) - 1, precision: 38, scale: 0 }, Form::Value),
        ] {
            assert_eq!(formed(&value, form).unwrap_err().reason, RefusalReason::Value, "{value:?}");
        }
    }
}
