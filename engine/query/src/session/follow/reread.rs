//! Rows whose visibility other rows decide, asked for by key as their follower: what is published of them is what the follower reads now.

use super::super::gate_session::GateSession;
use super::super::hook_records::until_ended;
use super::super::seen_records::ReaderQuestions;
use super::super::service::opened;
use crate::engine::Engine;
use crate::events::{KeyText, RowEvent, RowVerdict};
use arrow::array::RecordBatch;
use futures::StreamExt;
use querygate_query_api::outcome::Outcome;
use querygate_query_api::requests::events::EventOperation;
use querygate_query_api::requests::question::{AnswerColumn, AnswerForm, ObjectDescription, Question};
use querygate_query_api::service::{ClientInfo, Delivery, Door, Session as _};
use querygate_types::principal::Principal;
use querygate_types::{Error, Result};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// Rows that are asked for at once.
const KEYS_MAX: usize = 500;

type Print = fn(&Arc<[AnswerColumn]>, &RecordBatch, &mut String) -> Result<()>;

/// Reads rows as a follower.
pub(super) struct Reader {
    principal: Arc<Principal>,
    by: By,
}

/// In which session it asks.
enum By {
    /// One of its own, as no statement with a turn waits for it.
    Own(Arc<Engine>, Door),
    /// A part of that of a statement.
    Statement(Arc<ReaderQuestions>),
}

/// A row that was found: its key and itself, printed.
type Found = HashMap<String, (KeyText, String)>;

impl Reader {
    pub(super) fn new(gate: Arc<Engine>, principal: Arc<Principal>, door: Door) -> Self {
        Self { principal, by: By::Own(gate, door) }
    }

    /// Within a statement.
    pub(super) fn within(asking: Arc<ReaderQuestions>) -> Self {
        Self { principal: Arc::clone(&asking.origin.principal), by: By::Statement(asking) }
    }

    /// What a follower is published of the rows of a change, by their numbers.
    ///
    /// # Errors
    /// A row cannot be asked for.
    pub(super) async fn settle(
        &self,
        description: &ObjectDescription,
        judged: &[RowVerdict],
        print: Print,
    ) -> Result<Vec<(usize, RowEvent)>> {
        let mut keys = Vec::new();
        for judgement in judged {
            match judgement {
                RowVerdict::Reread { key, .. } => keys.push(key.as_slice()),
                RowVerdict::Hidden | RowVerdict::Shown(_) => {}
            }
        }
        // Boxed: who waits for changes would else keep all the room that a question takes.
        let found =
            if keys.is_empty() { Found::new() } else { Box::pin(self.found(description, &keys, print)).await? };
        let mut told = Vec::new();
        for (row, judgement) in judged.iter().enumerate() {
            match judgement {
                RowVerdict::Hidden => {}
                RowVerdict::Shown(own) => told.push((row, own.clone())),
                RowVerdict::Reread { found: operation, missing, key } => {
                    told.extend(of_asked(&found, *operation, missing.as_ref(), key).map(|own| (row, own)));
                }
            }
        }
        Ok(told)
    }

    /// The rows with these keys that the follower sees now.
    async fn found(&self, description: &ObjectDescription, keys: &[&[(String, Value)]], print: Print) -> Result<Found> {
        let Some(name) = description.key.as_ref().filter(|_| keys.iter().all(|key| key.len() == 1)) else {
            return Ok(Found::new());
        };
        let name: &str = name;
        match &self.by {
            By::Own(gate, door) => {
                let client = ClientInfo { door: *door, database: String::new(), peer: None, settings: Vec::new() };
                let session = opened(gate, &self.principal, &client)?;
                let found = read_all(&session, description, (name, keys), print).await?;
                session.close().await;
                Ok(found)
            }
            By::Statement(asking) => {
                let session = asking.session();
                let reading = read_all(&session, description, (name, keys), print);
                let found = until_ended(&session, &asking.until, reading).await;
                session.drop_block().await;
                found
            }
        }
    }
}

async fn read_all(
    session: &GateSession,
    description: &ObjectDescription,
    (name, keys): (&str, &[&[(String, Value)]]),
    print: Print,
) -> Result<Found> {
    let mut found = Found::new();
    for some in keys.chunks(KEYS_MAX) {
        let texts = some.iter().filter_map(|key| text(key)).collect();
        let question = Question { object: description.name.clone(), keys: Some(texts), ..Question::default() };
        read(session, &question, name, print, &mut found).await?;
    }
    Ok(found)
}

async fn read(session: &GateSession, question: &Question, key: &str, print: Print, found: &mut Found) -> Result<()> {
    let asked = session.bind_asked(question, AnswerForm::Records).await?;
    let outcome = session.run(&asked.prepared, &asked.parameters, Delivery::Batches).await?;
    let Outcome::Rows(mut rows) = outcome else { return Err(Error::internal("a question gave no rows")) };
    let place = asked.columns.iter().position(|column| column.name == key);
    let place = place.ok_or_else(|| Error::internal("an answer lacks its key"))?;
    let of_key: Arc<[AnswerColumn]> = asked.columns.get(place).cloned().into_iter().collect();
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        let keys = batch.project(&[place]).map_err(Error::internal)?;
        for row in 0..batch.num_rows() {
            let (mut own, mut record) = (String::new(), String::new());
            print(&of_key, &keys.slice(row, 1), &mut own)?;
            print(&asked.columns, &batch.slice(row, 1), &mut record)?;
            let parsed: Map<String, Value> = querygate_types::json::value::object(&own).map_err(Error::internal)?;
            let Some(text) = parsed.get(key).and_then(plain) else { continue };
            found.insert(text, (own, record));
        }
    }
    Ok(())
}

fn of_asked(
    found: &Found,
    operation: EventOperation,
    missing: Option<&RowEvent>,
    key: &[(String, Value)],
) -> Option<RowEvent> {
    match text(key).and_then(|text| found.get(&text)) {
        Some((key, record)) => {
            Some(RowEvent { operation, key: key.clone(), changed: None, record: Some(record.clone()) })
        }
        None => missing.cloned(),
    }
}

/// A key of one field as a text.
fn text(key: &[(String, Value)]) -> Option<String> {
    match key {
        [(_, value)] => plain(value),
        _ => None,
    }
}

pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
