//! `GET /data/:object/:id/history`: old and new values of a record's tracked fields, the latest first.

use super::list::{about, described};
use super::record::{not_found, refuse_unknown};
use crate::answer::ok;
use crate::call::{Call, Named};
use crate::refusal::Refusal;
use crate::site::Shared;
use crate::work::{Held, Work};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use axum::extract::State;
use axum::response::Response;
use futures::StreamExt;
use querygate_query_api::outcome::Outcome;
use querygate_query_api::requests::question::Question;
use querygate_query_api::service::Delivery;
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode, PgType};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Entries of one answer, where nothing is said, and at most.
const LIMIT: i64 = 50;
const LIMIT_MAX: i64 = 200;

const SQL: &str = "SELECT at, field, operation, old_value, new_value, actor, door, transaction_id, uncertain \
    FROM querygate.history WHERE object = $1 AND record_id = $2 \
    ORDER BY at DESC, transaction_id DESC, field LIMIT $3 OFFSET $4";

pub(crate) async fn history(State(site): Shared, Named((object, id)): Named<(String, String)>, call: Call) -> Response {
    let answer = async {
        let work = site.work(&call).await?;
        let described = described(&work, &object, "get").await?;
        let parameters = call.parameters()?;
        refuse_unknown(&parameters, &["limit", "offset"])?;
        let number = |name: &str, otherwise: i64, most: i64| match parameters.all(name).next() {
            None => Ok(otherwise),
            Some(text) => text.parse::<i64>().ok().filter(|number| (0..=most).contains(number)).ok_or_else(|| {
                let message = format!("'{name}' must be a whole number from 0 to {most}");
                Refusal::new(VendorCode::ValidationError, message)
            }),
        };
        let (limit, offset) = (number("limit", LIMIT, LIMIT_MAX)?, number("offset", 0, i64::from(u32::MAX))?);
        if !described.has_path() {
            return Err(not_found(&object, &id));
        }
        let keys = Some(vec![id.clone()]);
        let question = Question { object: described.name.clone(), keys, limit: Some(1), ..Question::default() };
        let mut found = work.find(&question).await?;
        found.next().await?.ok_or_else(|| not_found(&object, &id))?;
        let (entries, _held) = entries(&work, [&described.name, &id], limit, offset).await?;
        Ok(ok(&json!({"object": object, "id": id, "history": entries})))
    };
    about(&object, answer.await)
}

/// A page of entries, and what it takes.
async fn entries(work: &Work, [object, id]: [&str; 2], limit: i64, offset: i64) -> Result<(Vec<Value>, Held), Refusal> {
    let session = work.session();
    let statements = session.split(SQL)?;
    let statement = statements.first().ok_or_else(|| Error::internal("a statement without a text"))?;
    let types = [PgType::Text, PgType::Text, PgType::Int8, PgType::Int8].map(Some);
    let prepared = session.prepare(statement, &types).await.map_err(|error| match error.code() {
        ErrorCode::UndefinedTable => Refusal::not_implemented("history of fields"),
        _ => error.into(),
    })?;
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let number = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    let values = [text(object), text(id), number(limit), number(offset)];
    let Outcome::Rows(mut rows) = session.run(&prepared, &values, Delivery::Batches).await? else {
        return Err(Error::internal("a query gave no rows").into());
    };
    let (mut held, mut entries) = (work.held(), Vec::new());
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        held.grow(batch.get_array_memory_size())?;
        for row in 0..batch.num_rows() {
            entries.push(entry(&batch, row)?);
        }
    }
    Ok((entries, held))
}

const TEXTS: [(usize, &str); 7] =
    [(1, "field"), (2, "operation"), (3, "oldValue"), (4, "newValue"), (5, "actor"), (6, "door"), (7, "transaction")];

fn entry(batch: &RecordBatch, row: usize) -> Result<Value, Error> {
    let wrong = || Error::internal("history has another form");
    let column = |place: usize| batch.columns().get(place).ok_or_else(wrong);
    let at = column(0)?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(wrong)?;
    let at = chrono::DateTime::from_timestamp_micros(at.value(row)).ok_or_else(wrong)?;
    let mut entry = Map::new();
    entry.insert("at".to_owned(), at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true).into());
    for (place, name) in TEXTS {
        let texts = column(place)?.as_string_opt::<i32>().ok_or_else(wrong)?;
        entry.insert(name.to_owned(), texts.is_valid(row).then(|| texts.value(row)).into());
    }
    let uncertain = column(8)?.as_boolean_opt().ok_or_else(wrong)?;
    if uncertain.value(row) {
        entry.insert("uncertain".to_owned(), true.into());
    }
    Ok(entry.into())
}
