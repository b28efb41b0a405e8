//! Records of ObjectStack's own objects, as users and keys, which no metadata describes: read as far as the gate keeps them. They are few,
//! and are held as JSON.

use super::question::Ask;
use crate::answer::ok;
use crate::call::Call;
use crate::data::read::not_found;
use crate::refusal::Refusal;
use crate::site::Site;
use crate::work::Work;
use axum::response::Response;
use querygate_query_api::requests::platform::{OwnObject, OwnRecords};
use querygate_query_api::requests::question::{OrderKey, Question};
use querygate_types::principal::Principal;
use querygate_types::vendor::VendorCode;
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

type Record = Map<String, Value>;

/// The key of each.
const KEY: &str = "id";
/// The only field of them that is a truth value.
pub(super) const TRUTH: &str = "revoked";

fn denied() -> Refusal {
    let message = "You do not have permission to perform this action. Contact your administrator if you need access.";
    Refusal::new(VendorCode::PermissionDenied, message)
}

impl Site {
    /// Whether an object is one of ObjectStack's own, whose records the gate keeps and the caller reads.
    ///
    /// # Errors
    /// It is one that the caller may not read, or the gate keeps none of them.
    pub(super) fn keeps_own(&self, call: &Call, object: &str) -> Result<bool, Refusal> {
        let identity = self.identify(call)?;
        match self.platform.own_object(&identity.principal, object) {
            None => Ok(false),
            Some(OwnObject::Denied) => Err(denied()),
            Some(OwnObject::Unkept) => Err(Refusal::not_implemented(&format!("records of '{object}'"))),
            Some(OwnObject::Kept) => Ok(true),
        }
    }

    /// Passes where an object is none of ObjectStack's own.
    ///
    /// # Errors
    /// It is one: the operator's files say what is in it.
    pub(super) fn refuse_own_change(&self, call: &Call, object: &str) -> Result<(), Refusal> {
        let identity = self.identify_here(call)?;
        self.refuse_own_change_by(&identity.principal, object)
    }

    /// Refuses it as [`refuse_own_change`](Self::refuse_own_change) does, for a principal that is known already.
    pub(super) fn refuse_own_change_by(&self, principal: &Arc<Principal>, object: &str) -> Result<(), Refusal> {
        match self.platform.own_object(principal, object) {
            None => Ok(()),
            Some(OwnObject::Denied) => Err(denied()),
            Some(OwnObject::Unkept | OwnObject::Kept) => {
                Err(Refusal::not_implemented(&format!("way to change records of '{object}': they are the operator's")))
            }
        }
    }
}

/// # Errors
/// It is no field that the caller sees.
fn check_field(found: &OwnRecords, object: &str, name: &str) -> Result<(), Refusal> {
    if found.fields.contains(&name) {
        return Ok(());
    }
    let message = format!("There is no field '{name}' on '{object}'.");
    Err(Refusal::new(VendorCode::InvalidField, message).with("field", name))
}

/// Whether a value is the wanted one. A truth value may be spelt as parameters spell it.
fn is_equal(value: Option<&Value>, wanted: &Value) -> bool {
    let truth = match wanted {
        Value::String(text) => match text.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        Value::Number(number) => [Some(0), Some(1)].iter().position(|bit| *bit == number.as_u64()).map(|bit| bit == 1),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match (value, truth) {
        (Some(Value::Bool(own)), Some(truth)) => *own == truth,
        (value, _) => value == Some(wanted),
    }
}

/// A page of them.
///
/// # Errors
/// What is asked is more than a page by equal values.
pub(super) fn page(work: &Work, ask: &Ask, rows_max: u64) -> Result<Response, Refusal> {
    let (found, _held) = work.own_records(&ask.question.object, None)?;
    let Question { object, fields, filter, order, limit, offset, search, having, group_by, aggregations, .. } =
        &ask.question;
    let asks_more = search.is_some() || having.is_some() || !group_by.is_empty() || !aggregations.is_empty();
    if asks_more || !ask.expand.is_empty() {
        return Err(Refusal::not_implemented(&format!("searches, groups and references of '{object}'")));
    }
    let wanted = equalities(filter.as_ref(), object)?;
    let ordered = order.iter().map(|key| key.field.as_str());
    let named = wanted.iter().map(|(name, _)| *name).chain(ordered).chain(fields.iter().flatten().map(String::as_str));
    for name in named {
        check_field(&found, object, name)?;
    }
    let is_wanted = |record: &Record| wanted.iter().all(|(name, value)| is_equal(record.get(*name), value));
    let mut records: Vec<Record> = found.records.into_iter().filter(is_wanted).collect();
    records.sort_by(|one, other| by_keys(one, other, order));
    let total = records.len();
    let size = |number: &Option<u64>| number.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let (first, most) = (size(offset).unwrap_or(0), size(limit).unwrap_or(usize::MAX));
    if most == 0 {
        return Ok(ok(&json!({"object": object, "records": [], "total": 0, "hasMore": false})));
    }
    let rows = total.saturating_sub(first).min(most) as u64;
    work.session().record_platform_read(object, rows.min(rows_max.saturating_add(1)))?;
    let shown: Vec<Value> = records
        .into_iter()
        .skip(first)
        .take(most)
        .map(|record| Value::Object(part(record, fields.as_deref())))
        .collect();
    let has_more = limit.is_some() && first.saturating_add(shown.len()) < total;
    let mut body = json!({"object": object, "records": shown, "total": total, "hasMore": has_more});
    if let (false, Some(body)) = (ask.counts, body.as_object_mut()) {
        body.shift_remove("total");
    }
    Ok(ok(&body))
}

/// One of them.
///
/// # Errors
/// The caller sees none with this key.
pub(super) fn one(work: &Work, object: &str, id: &str, fields: Option<&[String]>) -> Result<Response, Refusal> {
    let (found, _held) = work.own_records(object, Some(&BTreeSet::from([id])))?;
    for name in fields.into_iter().flatten() {
        check_field(&found, object, name)?;
    }
    work.session().record_platform_read(object, found.records.len() as u64)?;
    let record = found.records.into_iter().next().ok_or_else(|| not_found(object, id))?;
    Ok(ok(&json!({"object": object, "id": id, "record": part(record, fields)})))
}

/// A record's fields by their names.
pub(super) fn part(mut record: Record, fields: Option<&[String]>) -> Record {
    if let Some(fields) = fields {
        record.retain(|name, _| fields.contains(name));
    }
    record
}

/// Values that fields must have.
fn equalities<'a>(filter: Option<&'a Value>, object: &str) -> Result<Vec<(&'a str, &'a Value)>, Refusal> {
    let members = filter.and_then(Value::as_object).into_iter().flatten();
    let equality = |(name, value): (&'a String, &'a Value)| match value {
        Value::Object(_) | Value::Array(_) => None,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some((name.as_str(), value)),
    };
    let read = members.map(|member| {
        let more = || Refusal::not_implemented(&format!("filters of '{object}' but for equal values"));
        equality(member).ok_or_else(more)
    });
    read.collect()
}

/// In the order that is asked for, then by key.
fn by_keys(one: &Record, other: &Record, order: &[OrderKey]) -> Ordering {
    let by = |field: &str| {
        let (one, other) = (one.get(field).and_then(Value::as_str), other.get(field).and_then(Value::as_str));
        one.cmp(&other)
    };
    let directed = |key: &OrderKey| if key.descending { by(&key.field).reverse() } else { by(&key.field) };
    order.iter().map(directed).find(|order| order.is_ne()).unwrap_or_else(|| by(KEY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let one = |id: &str, name: &str| json!({"id": id, "name": name}).as_object().cloned().unwrap_or_default();
        vec![one("b", "Bo"), one("a", "Al"), one("c", "Al")]
    }

    #[test]
    fn records_are_in_order_and_ties_by_key() {
        let ids = |order: &[OrderKey]| {
            let mut records = records();
            records.sort_by(|one, other| by_keys(one, other, order));
            records.iter().map(|record| record[KEY].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let key = |field: &str, descending| OrderKey { field: field.to_owned(), descending };
        assert_eq!(ids(&[]), ["a", "b", "c"]);
        assert_eq!(ids(&[key("name", true)]), ["b", "a", "c"]);
        assert_eq!(ids(&[key("name", false), key("id", true)]), ["c", "a", "b"]);
    }

    #[test]
    fn a_filter_that_is_more_than_equal_values_is_refused() {
        let plain = json!({"name": "Al", "manager": null});
        assert_eq!(equalities(Some(&plain), "sys_user").unwrap().len(), 2);
        for more in [json!({"name": {"$contains": "A"}}), json!({"$or": [{"name": "Al"}]})] {
            assert!(equalities(Some(&more), "sys_user").is_err(), "{more}");
        }
    }
}
