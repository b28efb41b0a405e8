//! Filters in the array form, `[field, operator, value]` and `["and" | "or", …]`, as filters in the object form. Knows no field.

use super::body::kind;
use crate::refusal::Refusal;
use querygate_types::vendor::VendorCode;
use serde_json::{Map, Value, json};

/// How deep lists of conditions nest.
const DEPTH_MAX: usize = 32;

/// A filter of the query's parameters, in either form.
///
/// # Errors
/// It is neither.
pub(crate) fn filter_of(value: Value, parameter: &str) -> Result<Value, Refusal> {
    match &value {
        Value::Object(_) => Ok(value),
        Value::Array(items) => conditions(items, parameter, 0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let message = format!(
                "Query parameter '{parameter}' must be a filter object or condition array, received {}. It was not \
                 applied, and an unapplied filter would have returned the unfiltered result set.",
                kind(&value)
            );
            Err(Refusal::new(VendorCode::InvalidFilter, message))
        }
    }
}

fn malformed(parameter: &str, why: &str) -> Refusal {
    let message = format!(
        "Malformed {parameter}: {why}. A filter array is a comparison [field, operator, value], a logical node \
         [\"and\"|\"or\", …conditions], or a list of conditions."
    );
    Refusal::new(VendorCode::InvalidFilter, message)
}

fn conditions(items: &[Value], parameter: &str, depth: usize) -> Result<Value, Refusal> {
    if depth > DEPTH_MAX {
        return Err(malformed(parameter, "it nests too deep"));
    }
    let inner = |item: &Value| match item {
        Value::Array(items) => conditions(items, parameter, depth + 1),
        Value::Object(_) => Ok(item.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(malformed(parameter, "an element is no condition"))
        }
    };
    let all = |items: &[Value]| items.iter().map(inner).collect::<Result<Vec<_>, _>>();
    match items {
        [] => Ok(json!({})),
        [Value::String(word), rest @ ..] if word.eq_ignore_ascii_case("and") => Ok(json!({"$and": all(rest)?})),
        [Value::String(word), rest @ ..] if word.eq_ignore_ascii_case("or") => Ok(json!({"$or": all(rest)?})),
        [Value::String(field), Value::String(operator)] => comparison(field, operator, None, parameter),
        [Value::String(field), Value::String(operator), value] => comparison(field, operator, Some(value), parameter),
        [Value::Array(_) | Value::Object(_), ..] => Ok(json!({"$and": all(items)?})),
        [_, ..] => Err(malformed(parameter, "it is not a recognised filter shape")),
    }
}

fn comparison(field: &str, operator: &str, value: Option<&Value>, parameter: &str) -> Result<Value, Refusal> {
    let null_test = match operator.to_ascii_lowercase().as_str() {
        "is_null" | "isnull" | "null" => Some(("$null", true)),
        "is_not_null" | "isnotnull" | "not_null" => Some(("$null", false)),
        "is_empty" | "isempty" => Some(("$empty", true)),
        "is_not_empty" | "isnotempty" => Some(("$empty", false)),
        _ => None,
    };
    let test = match (null_test, value) {
        // `["f", "is_null", false]` asks for the opposite.
        (Some((operator, is)), value) => json!({operator: is == (value != Some(&Value::Bool(false)))}),
        (None, None) => return Err(malformed(parameter, "a comparison has a value")),
        (None, Some(value)) => {
            let Some(name) = operator_of(operator) else {
                return Err(malformed(parameter, &format!("unrecognised operator \"{operator}\"")));
            };
            json!({name: value})
        }
    };
    let mut condition = Map::new();
    condition.insert(field.to_owned(), test);
    Ok(Value::Object(condition))
}

/// The operator of the object form, by any of its spellings.
fn operator_of(spelling: &str) -> Option<&'static str> {
    let name = match spelling.to_ascii_lowercase().as_str() {
        "=" | "==" | "eq" | "equals" | "equal" | "is" => "$eq",
        "!=" | "<>" | "ne" | "neq" | "not_equals" | "not_equal" | "notequals" | "is_not" => "$ne",
        ">" | "gt" | "greater_than" | "greaterthan" | "after" => "$gt",
        ">=" | "gte" | "ge" | "greater_than_or_equal" | "greater_or_equal" | "on_or_after" => "$gte",
        "<" | "lt" | "less_than" | "lessthan" | "before" => "$lt",
        "<=" | "lte" | "le" | "less_than_or_equal" | "less_or_equal" | "on_or_before" => "$lte",
        "in" => "$in",
        "nin" | "not_in" | "notin" | "not in" => "$nin",
        "between" => "$between",
        "contains" => "$contains",
        "not_contains" | "notcontains" | "not contains" => "$notContains",
        "icontains" => "$icontains",
        "like" => "$like",
        "ilike" => "$ilike",
        "starts_with" | "startswith" | "starts with" => "$startsWith",
        "ends_with" | "endswith" | "ends with" => "$endsWith",
        "exists" => "$exists",
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_become_objects() {
        let check = |array: Value, object: Value| assert_eq!(filter_of(array, "filter").unwrap(), object);
        check(json!(["status", "=", "done"]), json!({"status": {"$eq": "done"}}));
        check(json!(["notes", "is_null"]), json!({"notes": {"$null": true}}));
        check(json!(["notes", "is_not_null", true]), json!({"notes": {"$null": false}}));
        check(json!(["or", ["a", ">", 1], {"b": 2}]), json!({"$or": [{"a": {"$gt": 1}}, {"b": 2}]}));
        check(
            json!([["a", "in", [1]], ["b", "like", "x%"]]),
            json!({"$and": [{"a": {"$in": [1]}}, {"b": {"$like": "x%"}}]}),
        );
        check(json!([]), json!({}));
    }

    #[test]
    fn other_shapes_are_refused() {
        for wrong in [
            json!([1]),
            json!(["status"]),
            json!(["status", "bogus", 1]),
            json!([["a", "=", 1], "or", ["b", "=", 2]]),
            json!(["not", ["a", "=", 1]]),
            json!(1),
            json!("x"),
        ] {
            assert!(filter_of(wrong.clone(), "filter").is_err(), "{wrong}");
        }
        let deep = (0..100).fold(json!(["a", "=", 1]), |inner, _| json!(["and", inner]));
        assert!(filter_of(deep, "filter").is_err());
    }
}
