//! ObjectStack's QueryAST of a hook as a question. Knows no field.

use querygate_query_api::requests::question::{AggregateFunction, Aggregation, Bucket, GroupKey, OrderKey, Question};
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, Value};

/// # Errors
/// It is no QueryAST, or asks for what is not served here.
pub(super) fn question(object: String, query: Value) -> Result<Question> {
    let mut question = Question { object, ..Question::default() };
    let query = match query {
        Value::Object(query) => query,
        Value::Null => return Ok(question),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(wrong("a query is an object"));
        }
    };
    for (key, value) in query {
        match key.as_str() {
            "object" | "context" => {}
            "fields" | "select" => question.fields = Some(texts(&value)?),
            "where" | "filter" | "filters" => question.filter = Some(filter(value)?),
            "having" => question.having = Some(filter(value)?),
            "orderBy" | "sort" => question.order = items(&value)?.iter().map(order).collect::<Result<_>>()?,
            "limit" | "top" => question.limit = rows(&value)?,
            "offset" | "skip" => question.offset = rows(&value)?,
            "groupBy" => question.group_by = items(&value)?.iter().map(group).collect::<Result<_>>()?,
            "aggregations" => question.aggregations = items(&value)?.iter().map(aggregation).collect::<Result<_>>()?,
            "search" => question.search = Some(text(&value)?).filter(|text| !text.trim().is_empty()),
            "searchFields" => question.search_fields = Some(texts(&value)?),
            "expand" => {
                return Err(Error::new(ErrorCode::FeatureNotSupported, "'expand' is not supported in hooks")
                    .with_hint("Ask for the related records by their keys.")
                    .with_vendor_code(VendorCode::NotImplemented));
            }
            _ => return Err(wrong("a query has no such key")),
        }
    }
    Ok(question)
}

fn filter(value: Value) -> Result<Value> {
    match value {
        Value::Object(_) => Ok(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(wrong("a filter is an object"))
        }
    }
}

fn items(value: &Value) -> Result<&[Value]> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| wrong("a list is expected"))
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| wrong("a text is expected"))
}

fn texts(value: &Value) -> Result<Vec<String>> {
    items(value)?.iter().map(text).collect()
}

/// A number of rows; a negative one is none.
fn rows(value: &Value) -> Result<Option<u64>> {
    let number = value.as_f64().filter(|number| number.is_finite()).ok_or_else(|| wrong("a number is expected"))?;
    #[expect(clippy::cast_sign_loss, reason = "only of what is not negative; `as` saturates")]
    let rows = (number >= 0.0).then_some(number as u64);
    Ok(rows)
}

fn order(item: &Value) -> Result<OrderKey> {
    let descending = match item.get("order").map(|order| order.as_str()) {
        None | Some(Some("asc")) => false,
        Some(Some("desc")) => true,
        Some(_) => return Err(wrong("an order is 'asc' or 'desc'")),
    };
    Ok(OrderKey { field: text(item.get("field").unwrap_or(item))?, descending })
}

fn group(item: &Value) -> Result<GroupKey> {
    let Value::Object(group) = item else { return Ok(GroupKey { field: text(item)?, bucket: None, alias: None }) };
    let bucket = match group.get("dateGranularity").map(Value::as_str) {
        None => None,
        Some(name) => {
            let bucket = name.and_then(Bucket::named);
            Some(bucket.ok_or_else(|| wrong("there is no such span of dates"))?)
        }
    };
    Ok(GroupKey { field: named(group, "field")?, bucket, alias: group.get("alias").map(text).transpose()? })
}

fn aggregation(item: &Value) -> Result<Aggregation> {
    let Value::Object(entry) = item else { return Err(wrong("an aggregation is an object")) };
    let function = AggregateFunction::named(&named(entry, "function")?);
    let function = function.ok_or_else(|| wrong("there is no such aggregation"))?;
    let field = entry.get("field").map(text).transpose()?;
    let field = field.filter(|field| function != AggregateFunction::Count || field != "*");
    let filter = entry.get("filter").cloned().map(filter).transpose()?;
    Ok(Aggregation { function, field, alias: named(entry, "alias")?, filter })
}

fn named(entry: &Map<String, Value>, key: &str) -> Result<String> {
    text(entry.get(key).unwrap_or(&Value::Null))
}

pub(super) fn wrong(what: &str) -> Error {
    Error::new(ErrorCode::InvalidParameterValue, format!("this call of ctx.api is not understood: {what}"))
        .with_vendor_code(VendorCode::InvalidQuery)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_query_is_read() {
        let read = question(
            "o".into(),
            json!({"where": {"a": 1}, "orderBy": [{"field": "b", "order": "desc"}], "limit": 2.9, "offset": -1,
                "groupBy": ["c", {"field": "d", "dateGranularity": "year", "alias": "y"}],
                "aggregations": [{"function": "count", "field": "*", "alias": "n"}]}),
        )
        .unwrap();
        assert_eq!((read.limit, read.offset, read.order.len(), read.group_by.len()), (Some(2), None, 1, 2));
        assert_eq!(read.aggregations.first().unwrap().field, None);
        for wrong in [json!([1]), json!({"where": [1]}), json!({"x": 1}), json!({"expand": {}}), json!({"limit": "1"})]
        {
            assert!(question("o".into(), wrong.clone()).is_err(), "{wrong}");
        }
    }
}
