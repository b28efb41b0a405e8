//! JSON schemas of validations: the keywords that look at a value alone. A keyword that is not known is refused, so that no
//! demand is left out silently.

use super::texts;
use crate::pattern::Pattern;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Schemas within schemas.
const DEPTH_MAX: usize = 32;

/// Keywords that say something to people only.
const ANNOTATIONS: [&str; 8] =
    ["$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"];

/// A compiled schema: all demands must hold.
#[derive(Debug, Clone)]
pub(in crate::rules) struct Schema {
    demands: Vec<Demand>,
}

#[derive(Debug, Clone)]
enum Demand {
    /// `true` or `false` in place of a schema.
    Constant(bool),
    Type(Vec<String>),
    Enum(Vec<Value>),
    Number(Bound, f64),
    MultipleOf(f64),
    Length(Bound, usize),
    Items(Bound, usize),
    Properties(Bound, usize),
    Pattern(Pattern),
    Each(Box<Schema>),
    Unique,
    Required(Vec<String>),
    /// Of named members, and of all others.
    Members {
        named: BTreeMap<String, Schema>,
        others: Option<Box<Schema>>,
    },
    All(Vec<Schema>),
    Any(Vec<Schema>),
    One(Vec<Schema>),
    Not(Box<Schema>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    AtLeast,
    AtMost,
    Above,
    Below,
}

impl Bound {
    fn holds<T: PartialOrd>(self, value: &T, limit: &T) -> bool {
        match self {
            Self::AtLeast => value >= limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::Below => value < limit,
        }
    }
}

impl Schema {
    pub(in crate::rules) fn compile(schema: &Value) -> Result<Self, String> {
        Self::compile_at(schema, 0)
    }

    fn compile_at(schema: &Value, depth: usize) -> Result<Self, String> {
        if depth > DEPTH_MAX {
            return Err("the schema is nested too deeply".to_owned());
        }
        let map = match schema {
            Value::Bool(constant) => return Ok(Self { demands: vec![Demand::Constant(*constant)] }),
            Value::Object(map) => map,
            _ => return Err("a schema is an object or a truth value".to_owned()),
        };
        let mut demands = Vec::new();
        for (keyword, value) in map {
            if !ANNOTATIONS.contains(&keyword.as_str())
                && !["properties", "additionalProperties"].contains(&keyword.as_str())
            {
                demands.push(demand(keyword, value, depth)?);
            }
        }
        demands.extend(members(map, depth)?);
        Ok(Self { demands })
    }

    pub(in crate::rules) fn holds(&self, value: &Value) -> bool {
        self.demands.iter().all(|demand| demand.holds(value))
    }
}

fn demand(keyword: &str, value: &Value, depth: usize) -> Result<Demand, String> {
    let wrong = || format!("'{keyword}' of the schema has a wrong value");
    let number = || value.as_f64().ok_or_else(wrong);
    let count = || value.as_u64().and_then(|count| usize::try_from(count).ok()).ok_or_else(wrong);
    let inner = || Schema::compile_at(value, depth + 1).map(Box::new);
    let schemas = || {
        let items = value.as_array().ok_or_else(wrong)?;
        items.iter().map(|item| Schema::compile_at(item, depth + 1)).collect::<Result<Vec<_>, _>>()
    };
    let texts = || {
        let items = value.as_array().ok_or_else(wrong)?;
        items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect::<Result<Vec<_>, _>>()
    };
    Ok(match keyword {
        "type" if value.is_string() => Demand::Type(types(value.as_str().into_iter().map(str::to_owned).collect())?),
        "type" => Demand::Type(types(texts()?)?),
        "enum" => Demand::Enum(value.as_array().ok_or_else(wrong)?.clone()),
        "const" => Demand::Enum(vec![value.clone()]),
        "minimum" => Demand::Number(Bound::AtLeast, number()?),
        "maximum" => Demand::Number(Bound::AtMost, number()?),
        "exclusiveMinimum" => Demand::Number(Bound::Above, number()?),
        "exclusiveMaximum" => Demand::Number(Bound::Below, number()?),
        "multipleOf" => Demand::MultipleOf(number()?),
        "minLength" => Demand::Length(Bound::AtLeast, count()?),
        "maxLength" => Demand::Length(Bound::AtMost, count()?),
        "minItems" => Demand::Items(Bound::AtLeast, count()?),
        "maxItems" => Demand::Items(Bound::AtMost, count()?),
        "minProperties" => Demand::Properties(Bound::AtLeast, count()?),
        "maxProperties" => Demand::Properties(Bound::AtMost, count()?),
        "pattern" => Demand::Pattern(Pattern::compile(value.as_str().ok_or_else(wrong)?)?),
        "items" => Demand::Each(inner()?),
        "uniqueItems" if value.as_bool().ok_or_else(wrong)? => Demand::Unique,
        "uniqueItems" => Demand::Constant(true),
        "required" => Demand::Required(texts()?),
        "allOf" => Demand::All(schemas()?),
        "anyOf" => Demand::Any(schemas()?),
        "oneOf" => Demand::One(schemas()?),
        "not" => Demand::Not(inner()?),
        other => return Err(format!("the schema has the keyword '{other}', which is not evaluated here")),
    })
}

fn types(names: Vec<String>) -> Result<Vec<String>, String> {
    const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
    match names.iter().find(|name| !TYPES.contains(&name.as_str())) {
        Some(unknown) => Err(format!("the schema has the type '{unknown}'")),
        None => Ok(names),
    }
}

fn members(map: &Map<String, Value>, depth: usize) -> Result<Option<Demand>, String> {
    let mut named = BTreeMap::new();
    match map.get("properties") {
        None => {}
        Some(Value::Object(properties)) => {
            for (name, schema) in properties {
                named.insert(name.clone(), Schema::compile_at(schema, depth + 1)?);
            }
        }
        Some(_) => return Err("'properties' of the schema has a wrong value".to_owned()),
    }
    let others = map.get("additionalProperties").map(|schema| Schema::compile_at(schema, depth + 1)).transpose()?;
    let is_empty = named.is_empty() && others.is_none();
    Ok((!is_empty).then(|| Demand::Members { named, others: others.map(Box::new) }))
}

impl Demand {
    /// A demand on values of another type holds.
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Constant(constant) => *constant,
            Self::Type(names) => names.iter().any(|name| is_type(value, name)),
            Self::Enum(values) => values.iter().any(|other| equal(other, value)),
            Self::Number(bound, limit) => value.as_f64().is_none_or(|number| bound.holds(&number, limit)),
            Self::MultipleOf(of) => value.as_f64().is_none_or(|number| *of != 0.0 && (number / of).fract() == 0.0),
            Self::Length(bound, limit) => value.as_str().is_none_or(|text| bound.holds(&text.chars().count(), limit)),
            Self::Items(bound, limit) => value.as_array().is_none_or(|items| bound.holds(&items.len(), limit)),
            Self::Properties(bound, limit) => value.as_object().is_none_or(|map| bound.holds(&map.len(), limit)),
            Self::Pattern(pattern) => value.as_str().is_none_or(|text| pattern.matches(text)),
            Self::Each(schema) => value.as_array().is_none_or(|items| items.iter().all(|item| schema.holds(item))),
            Self::Unique => value.as_array().is_none_or(|items| {
                items.iter().enumerate().all(|(at, item)| !items.iter().take(at).any(|other| equal(other, item)))
            }),
            Self::Required(names) => {
                value.as_object().is_none_or(|map| names.iter().all(|name| map.contains_key(name)))
            }
            Self::Members { named, others } => value.as_object().is_none_or(|map| {
                map.iter().all(|(name, member)| match (named.get(name), others) {
                    (Some(schema), _) => schema.holds(member),
                    (None, Some(schema)) => schema.holds(member),
                    (None, None) => true,
                })
            }),
            Self::All(schemas) => schemas.iter().all(|schema| schema.holds(value)),
            Self::Any(schemas) => schemas.iter().any(|schema| schema.holds(value)),
            Self::One(schemas) => schemas.iter().filter(|schema| schema.holds(value)).count() == 1,
            Self::Not(schema) => !schema.holds(value),
        }
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(number) => {
            name == "number"
                || (name == "integer" && number.as_f64().is_some_and(|float| texts::decimal_places(float) == 0))
        }
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    }
}

/// Equality of JSON, where 1 and 1.0 are one number.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| equal(value, other)))
        }
        (left, right) => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn demands() {
        let tiers = json!({"type": "object", "properties": {"tier": {"type": "string", "enum": ["a", "b"]},
            "seats": {"type": "integer", "minimum": 1}}, "required": ["tier"], "additionalProperties": false});
        for (schema, value, holds) in [
            (&tiers, json!({"tier": "a", "seats": 1.0}), true),
            (&tiers, json!({"tier": "c"}), false),
            (&tiers, json!({"tier": "a", "seats": 1.5}), false),
            (&tiers, json!({"tier": "a", "more": 1}), false),
            (&tiers, json!({"seats": 2}), false),
            (&tiers, json!("tier"), false),
            (
                &json!({"items": {"type": "number", "exclusiveMaximum": 3}, "uniqueItems": true, "maxItems": 2}),
                json!([1, 2]),
                true,
            ),
            (&json!({"items": {"type": "number", "exclusiveMaximum": 3}}), json!([1, 3]), false),
            (&json!({"uniqueItems": true}), json!([1, 1.0]), false),
            (&json!({"pattern": "^a", "minLength": 2}), json!("ab"), true),
            (&json!({"pattern": "^a", "minLength": 2}), json!("a"), false),
            (&json!({"anyOf": [{"type": "null"}, {"const": 3}]}), json!(3), true),
            (&json!({"oneOf": [{"type": "number"}, {"const": 3}]}), json!(3), false),
            (&json!({"not": {"multipleOf": 2}}), json!(4), false),
            (&json!({"allOf": [true, {"type": ["string", "null"]}]}), json!(null), true),
            (&json!({"properties": {"a": false}}), json!({"a": 1}), false),
        ] {
            assert_eq!(Schema::compile(schema).unwrap().holds(&value), holds, "{schema} {value}");
        }
        for (schema, reason) in [
            (json!({"$ref": "#/x"}), "the schema has the keyword '$ref', which is not evaluated here"),
            (json!({"type": "text"}), "the schema has the type 'text'"),
            (json!({"minimum": "1"}), "'minimum' of the schema has a wrong value"),
            (json!([]), "a schema is an object or a truth value"),
        ] {
            assert_eq!(Schema::compile(&schema).unwrap_err(), reason);
        }
    }
}
