//! `querygate.events`: what was committed and is kept of it, as its reader may see it now: what a follower of these objects would have
//! heard until the statement began. Reads no log, judges nothing.

use crate::books::system::{Cell, Columns, Kind, Row, batch_of, schema_of, text};
use crate::errors::{Stage, translate};
use arrow::record_batch::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{once, try_unfold};
use querygate_catalog::live::{FoundRows, LiveTable, WantedTexts};
use querygate_driver_api::execution::BatchStream;
use querygate_pg_catalog::LeafToken;
use querygate_query_api::requests::events::{ChangeEvent, EventStream, Followed};
use querygate_types::{Error, Result};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// The table's name in schema `querygate`.
pub(crate) const NAME: &str = "events";
/// Rows of a batch, and bytes of what they print; one row is a batch in any case.
const ROWS_MAX: usize = 256;
const BYTES_MAX: usize = 256 << 10;
/// Bytes of a row beside its texts of any length.
const ROW_BYTES: usize = 256;

const OBJECT: &str = "object";
const COLUMNS: Columns = &[
    ("at", Kind::Time),
    ("sequence", Kind::Integer),
    (OBJECT, Kind::Text),
    ("record_id", Kind::Text),
    ("operation", Kind::Text),
    ("changed", Kind::Text),
    ("record", Kind::Text),
    ("actor", Kind::Text),
    ("door", Kind::Text),
    ("transaction_id", Kind::Text),
    ("id", Kind::Text),
    ("uncertain", Kind::Flag),
];

/// Gives one reader what is kept.
pub(crate) trait KeptEvents: Send + Sync {
    /// Events of these objects, or of all, as far as the reader sees them; the stream ends with what came last.
    ///
    /// # Errors
    /// They cannot be read.
    fn kept(self: Arc<Self>, objects: Option<Vec<String>>) -> BoxFuture<'static, Result<EventStream>>;
}

/// Who reads it in one run of a statement.
pub(crate) struct EventReader(pub(crate) Arc<dyn KeptEvents>);

/// The table for one reader.
pub(crate) fn table(token: &LeafToken) -> (&'static str, Arc<LiveTable>) {
    (NAME, Arc::new(LiveTable::found(token.clone(), NAME, schema_of(COLUMNS), &[OBJECT], Arc::new(Rows))))
}

struct Rows;

impl FoundRows for Rows {
    fn find(&self, wanted: &WantedTexts, context: &Arc<TaskContext>) -> Result<BatchStream> {
        let reader = context.session_config().get_extension::<EventReader>();
        let reader = reader.ok_or_else(|| Error::internal("events are read by nobody"))?;
        let objects = wanted.get(OBJECT).map(|names| names.iter().cloned().collect::<Vec<_>>());
        let memory = MemoryConsumer::new("rows of events").register(context.memory_pool());
        let opened = async move {
            let events = Arc::clone(&reader.0).kept(objects).await?;
            Ok::<_, Error>(try_unfold(Reading { events, next: None, memory }, Reading::next))
        };
        Ok(once(opened)
            .flat_map(|opened| match opened {
                Ok(batches) => batches.boxed(),
                Err(error) => once(async move { Err(error) }).boxed(),
            })
            .boxed())
    }
}

struct Reading {
    events: EventStream,
    /// What did not go into the last batch any more.
    next: Option<Box<ChangeEvent>>,
    /// What the last batch takes of the statement's memory.
    memory: MemoryReservation,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        let (mut rows, mut bytes) = (Vec::new(), 0_usize);
        self.memory.free();
        while rows.len() < ROWS_MAX {
            let Some(event) = self.event().await? else { break };
            let with_it = bytes.saturating_add(event_bytes(&event));
            if !rows.is_empty() && with_it > BYTES_MAX {
                self.next = Some(event);
                break;
            }
            // As rows, and as the batch that is made of them.
            let held = with_it.saturating_mul(2);
            self.memory.try_resize(held).map_err(|error| translate(&error, Stage::Execute))?;
            bytes = with_it;
            rows.push(row(*event)?);
        }
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some((batch_of(&schema_of(COLUMNS), COLUMNS, rows)?, self)))
    }

    async fn event(&mut self) -> Result<Option<Box<ChangeEvent>>> {
        if let Some(event) = self.next.take() {
            return Ok(Some(event));
        }
        while let Some(followed) = self.events.next().await {
            match followed? {
                Followed::Event(event) => return Ok(Some(event)),
                Followed::Reached(_) => {}
            }
        }
        Ok(None)
    }
}

fn event_bytes(event: &ChangeEvent) -> usize {
    let changed: usize = event.changed.iter().flatten().map(|name| name.len() + 3).sum();
    let record = event.record.as_ref().map_or(0, String::len);
    [ROW_BYTES, event.key.len(), changed, record].into_iter().fold(0, usize::saturating_add)
}

fn row(event: ChangeEvent) -> Result<Row> {
    let at = UNIX_EPOCH + Duration::from_micros(event.sequence.0);
    let changed = event.changed.as_ref().map(serde_json::to_string).transpose().map_err(Error::internal)?;
    Ok(vec![
        Cell::Time(at),
        Cell::Integer(i64::try_from(event.sequence.0).map_err(Error::internal)?),
        text(&event.object),
        Cell::Text(Some(record_id(event.key)?)),
        text(event.operation.name()),
        Cell::Text(changed),
        Cell::Text(event.record),
        Cell::Text(event.actor),
        text(&event.door),
        text(&event.transaction),
        text(&event.id),
        Cell::Flag(event.uncertain),
    ])
}

/// The value of a key of one field as a text; of several, the object of JSON.
fn record_id(key: String) -> Result<String> {
    let fields: Map<String, Value> = querygate_types::json::value::object(&key).map_err(Error::internal)?;
    let mut values = fields.into_values();
    Ok(match (values.next(), values.next()) {
        (Some(Value::String(value)), None) => value,
        (Some(Value::Number(value)), None) => value.to_string(),
        (Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None, None) | (_, Some(_)) => key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_one_field_is_its_value() {
        for (key, expected) in [
            (r#"{"id":"a\"b"}"#, "a\"b"),
            (r#"{"id":7}"#, "7"),
            (r#"{"a":"x","b":1}"#, r#"{"a":"x","b":1}"#),
            ("{}", "{}"),
        ] {
            assert_eq!(record_id(key.to_owned()).unwrap(), expected);
        }
    }
}
