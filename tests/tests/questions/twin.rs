//! The same question in SQL, written by hand for the operators whose meaning is plain: an oracle beside the published verdicts.

use serde_json::Value;

/// A condition that is true or false on every row; `None`: an operator or a comparand whose SQL is not plain.
pub(crate) fn condition(filter: &Value) -> Option<String> {
    let mut parts = Vec::new();
    for (key, value) in filter.as_object()? {
        parts.push(match key.as_str() {
            "$and" => joined(value, " AND ", "true")?,
            "$or" => joined(value, " OR ", "false")?,
            "$not" => format!("NOT ({})", condition(value)?),
            field => on_field(field, value)?,
        });
    }
    Some(if parts.is_empty() { "true".to_owned() } else { format!("({})", parts.join(" AND ")) })
}

fn joined(branches: &Value, word: &str, empty: &str) -> Option<String> {
    let parts = branches.as_array()?.iter().map(condition).collect::<Option<Vec<_>>>()?;
    Some(if parts.is_empty() { empty.to_owned() } else { format!("({})", parts.join(word)) })
}

fn on_field(field: &str, value: &Value) -> Option<String> {
    let Value::Object(operators) = value else { return test(field, "$eq", value) };
    let parts = operators.iter().map(|(operator, value)| test(field, operator, value)).collect::<Option<Vec<_>>>()?;
    (!parts.is_empty()).then(|| format!("({})", parts.join(" AND ")))
}

fn test(field: &str, operator: &str, value: &Value) -> Option<String> {
    let field = format!("\"{field}\"");
    let compared = |sign: &str| Some(format!("coalesce({field} {sign} {}, false)", literal(value)?));
    match operator {
        "$eq" if value.is_null() => Some(format!("{field} IS NULL")),
        "$ne" if value.is_null() => Some(format!("{field} IS NOT NULL")),
        "$eq" => compared("="),
        "$ne" => Some(format!("coalesce({field} <> {}, true)", literal(value)?)),
        "$gt" => compared(">"),
        "$gte" => compared(">="),
        "$lt" => compared("<"),
        // A day that ends a span of instants is a whole day.
        "$lte" if value.as_str().is_some_and(|text| text.len() == 10) => None,
        "$lte" => compared("<="),
        "$null" => Some(format!("{field} IS {}NULL", if value.as_bool()? { "" } else { "NOT " })),
        "$exists" => Some(format!("{field} IS {}NULL", if value.as_bool()? { "NOT " } else { "" })),
        "$in" | "$nin" => {
            let members = value.as_array()?.iter().map(literal).collect::<Option<Vec<_>>>()?;
            let is_member = match members.is_empty() {
                true => "false".to_owned(),
                false => format!("coalesce({field} IN ({}), false)", members.join(", ")),
            };
            Some(if operator == "$nin" { format!("NOT {is_member}") } else { is_member })
        }
        "$contains" => Some(format!("coalesce(strpos({field}, {}) > 0, false)", text(value)?)),
        "$notContains" => Some(format!("coalesce(strpos({field}, {}) = 0, true)", text(value)?)),
        "$startsWith" => Some(format!("coalesce(starts_with({field}, {}), false)", text(value)?)),
        _ => None,
    }
}

fn literal(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::String(_) => text(value),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    (!text.starts_with('{')).then(|| format!("'{}'", text.replace('\'', "''")))
}
