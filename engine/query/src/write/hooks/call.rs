//! Reads what a script asks by `ctx.api`: data that is not trusted, in the forms that ObjectStack's hooks use.

use super::query::{question, wrong};
use super::records::RecordCall;
use querygate_metadata::model::HookCapability;
use querygate_query_api::requests::question::Question;
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, Value};

/// Bytes of one call.
const CALL_BYTES_MAX: usize = 1 << 20;
/// Records that one call changes.
const RECORDS_MAX: usize = 1_000;

/// The call, and the capability that it takes.
///
/// # Errors
/// It is none.
pub(super) fn read(text: &str) -> Result<(HookCapability, RecordCall)> {
    if text.len() > CALL_BYTES_MAX {
        return Err(Error::new(ErrorCode::ProgramLimitExceeded, "a call of ctx.api is too long"));
    }
    let Ok(Value::Object(mut call)) = querygate_types::json::value::value(text) else {
        return Err(wrong("it is no call"));
    };
    let method = match call.shift_remove("method") {
        Some(Value::String(method)) => method,
        Some(_) | None => return Err(wrong("it has no method")),
    };
    let given = match call.shift_remove("given") {
        Some(Value::Array(given)) => given,
        Some(_) | None => Vec::new(),
    };
    let mut given = given.into_iter();
    let (first, second) = (given.next().unwrap_or_default(), given.next().unwrap_or_default());
    let transaction = match method.as_str() {
        "begin" => Some(RecordCall::Begin),
        "commit" => Some(RecordCall::Commit(number(&first)?)),
        "rollback" => Some(RecordCall::RollBack(number(&first)?)),
        _ => None,
    };
    if let Some(call) = transaction {
        return Ok((HookCapability::ApiTransaction, call));
    }
    let Some(Value::String(object)) = call.shift_remove("object") else {
        return Err(wrong("the name of an object is a text"));
    };
    let reads = |call| Ok((HookCapability::ApiRead, call));
    let writes = |call| Ok((HookCapability::ApiWrite, call));
    match method.as_str() {
        "find" | "aggregate" => reads(RecordCall::Find(question(object, first)?)),
        "findOne" => reads(RecordCall::FindOne(question(object, first)?)),
        "count" => reads(RecordCall::Count(question(object, first)?)),
        "insert" => writes(insert(object, first)?),
        "update" => writes(update(object, first, second)?),
        "upsert" => {
            let values = record(first)?;
            writes(RecordCall::Upsert { object, values })
        }
        "delete" => writes(delete(object, first)?),
        "updateMany" => {
            // The filter first and the values behind it, or the values with their options behind them.
            let is_filter_last = second.get("where").is_some() && first.get("where").is_none();
            let (filter, values) = if is_filter_last { (second, first) } else { (first, second) };
            writes(RecordCall::UpdateMany { question: filtered(object, filter)?, values: record(values)? })
        }
        "deleteMany" => writes(RecordCall::DeleteMany { question: filtered(object, first)? }),
        _ => Err(wrong("there is no such method")),
    }
}

fn insert(object: String, given: Value) -> Result<RecordCall> {
    match given {
        Value::Array(items) if items.len() > RECORDS_MAX => {
            let text = format!("a call of ctx.api changes {RECORDS_MAX} records at most");
            Err(Error::new(ErrorCode::ProgramLimitExceeded, text).with_vendor_code(VendorCode::BatchTooLarge))
        }
        Value::Array(items) => {
            let records = items.into_iter().map(record).collect::<Result<_>>()?;
            Ok(RecordCall::Insert { object, records, is_list: true })
        }
        other => Ok(RecordCall::Insert { object, records: vec![record(other)?], is_list: false }),
    }
}

/// `update({id, …})`, `update(id, {…})`, `update({…}, {where: {id}})`, `update({…}, {where, multi: true})`.
fn update(object: String, first: Value, second: Value) -> Result<RecordCall> {
    if let Some(id) = key(&first) {
        return Ok(RecordCall::Update { object, id, values: record(second)? });
    }
    let mut values = record(first)?;
    if second.get("multi") == Some(&Value::Bool(true)) {
        return Ok(RecordCall::UpdateMany { question: filtered(object, second)?, values });
    }
    let id = values.shift_remove("id").as_ref().and_then(key);
    let id = id.or_else(|| second.get("where").and_then(|filter| filter.get("id")).and_then(key));
    let id = id.ok_or_else(|| wrong("an update names the id of its record"))?;
    Ok(RecordCall::Update { object, id, values })
}

/// `delete(id)`, `delete({id})`, `delete({where: {id}})`, `delete({where, multi: true})`.
fn delete(object: String, given: Value) -> Result<RecordCall> {
    if given.get("multi") == Some(&Value::Bool(true)) {
        return Ok(RecordCall::DeleteMany { question: filtered(object, given)? });
    }
    let id = key(&given).or_else(|| given.get("id").and_then(key));
    let id = id.or_else(|| given.get("where").and_then(|filter| filter.get("id")).and_then(key));
    let id = id.ok_or_else(|| wrong("a delete names the id of its record"))?;
    Ok(RecordCall::Delete { object, id })
}

/// Which records a change of several is for: a filter, alone or as `where`. All records are not meant by saying nothing.
fn filtered(object: String, given: Value) -> Result<Question> {
    let filter = match given {
        Value::Object(mut options) => match options.shift_remove("where") {
            Some(filter) => filter,
            None => Value::Object(options),
        },
        other => other,
    };
    match filter {
        Value::Object(filter) if !filter.is_empty() => {
            question(object, Value::Object(Map::from_iter([("where".to_owned(), Value::Object(filter))])))
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(wrong("a change of several records has a filter"))
        }
    }
}

fn record(value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Object(record) => Ok(record),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(wrong("a record is an object"))
        }
    }
}

fn key(value: &Value) -> Option<String> {
    match value {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(id) if id.is_i64() || id.is_u64() => Some(id.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number(value: &Value) -> Result<u32> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| wrong("there is no such transaction"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(method: &str, given: Value) -> Result<(HookCapability, RecordCall)> {
        read(&json!({"method": method, "object": "o", "given": given}).to_string())
    }

    #[test]
    fn changes_are_named_in_several_forms() {
        let values = json!({"a": 1}).as_object().unwrap().clone();
        let update = RecordCall::Update { object: "o".into(), id: "x".into(), values: values.clone() };
        for given in [json!([{"id": "x", "a": 1}]), json!(["x", {"a": 1}]), json!([{"a": 1}, {"where": {"id": "x"}}])] {
            assert_eq!(of("update", given.clone()).unwrap(), (HookCapability::ApiWrite, update.clone()), "{given}");
        }
        let delete = RecordCall::Delete { object: "o".into(), id: "7".into() };
        for given in [json!(["7"]), json!([7]), json!([{"id": "7"}]), json!([{"where": {"id": "7"}}])] {
            assert_eq!(of("delete", given).unwrap().1, delete);
        }
        let many = |given| match of("updateMany", given).unwrap().1 {
            RecordCall::UpdateMany { question, values } => (question.filter.unwrap(), values),
            other => panic!("{other:?}"),
        };
        for given in [
            json!([{"b": 2}, {"a": 1}]),
            json!([{"where": {"b": 2}}, {"a": 1}]),
            json!([{"a": 1}, {"where": {"b": 2}}]),
        ] {
            assert_eq!(many(given), (json!({"b": 2}), values.clone()));
        }
        assert_eq!(of("commit", json!([3])).unwrap(), (HookCapability::ApiTransaction, RecordCall::Commit(3)));
    }

    #[test]
    fn what_is_no_call_is_refused() {
        let long = "x".repeat(CALL_BYTES_MAX);
        for (method, given) in [
            ("drop", json!([])),
            ("update", json!([{"a": 1}])),
            ("update", json!([{"id": {"$ne": 1}, "a": 1}])),
            ("delete", json!([{"where": {"id": {"$in": ["a"]}}}])),
            ("updateMany", json!([{}, {"a": 1}])),
            ("deleteMany", json!([])),
            ("deleteMany", json!([{"where": {}}])),
            ("insert", json!([7])),
            ("insert", json!([long])),
            ("find", json!([{"cursor": 1}])),
            ("commit", json!(["1"])),
        ] {
            assert!(of(method, given.clone()).is_err(), "{method} {given}");
        }
        assert!(read("[]").is_err() && read("{").is_err() && read("{\"method\":\"find\",\"object\":7}").is_err());
    }
}
