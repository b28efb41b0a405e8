//! The table: finds entries by object and record, page by page, asks which of their records the reader reads, and leaves out the rest.

use super::rows::{self, Print};
use crate::bind::workspace::Workspace;
use crate::books::system::{Columns, Kind, Row, batch_of, schema_of};
use crate::errors::{Stage, translate};
use crate::question::object::describe;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::try_unfold;
use querygate_catalog::VisibleObject;
use querygate_catalog::live::{FoundRows, LiveTable, WantedTexts};
use querygate_driver_api::execution::BatchStream;
use querygate_events::{HISTORY_KEYS_MAX, History, HistoryEntry, HistoryPage};
use querygate_pg_catalog::LeafToken;
use querygate_query_api::requests::question::ObjectDescription;
use querygate_types::{Error, Result};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// The table's name in schema `querygate`.
pub(crate) const NAME: &str = "history";
/// Entries that are judged at once.
const PAGE: usize = 64;

const OBJECT: &str = "object";
const RECORD: &str = "record_id";
const COLUMNS: Columns = &[
    ("at", Kind::Time),
    (OBJECT, Kind::Text),
    (RECORD, Kind::Text),
    ("field", Kind::Text),
    ("operation", Kind::Text),
    ("old_value", Kind::Text),
    ("new_value", Kind::Text),
    ("actor", Kind::Text),
    ("door", Kind::Text),
    ("transaction_id", Kind::Text),
    ("uncertain", Kind::Flag),
];

/// Says which records a reader reads now.
pub(crate) trait SeenRecords: Send + Sync {
    /// Those of an object with these values of its key, which the reader sees.
    ///
    /// # Errors
    /// They cannot be asked for.
    fn seen<'a>(
        &'a self,
        object: &'a str,
        key: &'a str,
        keys: BTreeSet<String>,
    ) -> BoxFuture<'a, Result<BTreeSet<String>>>;
}

/// Who reads it in one run of a statement.
#[derive(Clone)]
pub(crate) struct HistoryReader {
    /// Of the deployment of now.
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) records: Arc<dyn SeenRecords>,
}

/// The table for one reader.
pub(crate) fn table(history: &Arc<History>, print: Print, token: &LeafToken) -> (&'static str, Arc<LiveTable>) {
    let rows = Arc::new(Rows { history: Arc::clone(history), print });
    (NAME, Arc::new(LiveTable::found(token.clone(), NAME, schema_of(COLUMNS), &[OBJECT, RECORD], rows)))
}

struct Rows {
    history: Arc<History>,
    print: Print,
}

impl FoundRows for Rows {
    fn find(&self, wanted: &WantedTexts, context: &Arc<TaskContext>) -> Result<BatchStream> {
        let reader = context.session_config().get_extension::<HistoryReader>();
        let reader = reader.ok_or_else(|| Error::internal("field history is read by nobody"))?;
        let objects = reader.workspace.catalog.objects().iter();
        let is_wanted = |visible: &&VisibleObject| {
            wanted.get(OBJECT).is_none_or(|names| names.contains(&visible.object.name)) && is_open(visible)
        };
        let objects: VecDeque<String> = objects.filter(is_wanted).map(|visible| visible.object.name.clone()).collect();
        let keys = wanted.get(RECORD).map(|keys| keys.iter().cloned().collect::<Vec<_>>());
        let reading = Reading {
            history: Arc::clone(&self.history),
            print: self.print,
            reader: reader.as_ref().clone(),
            // Of more, all are looked at.
            keys: keys.filter(|keys| keys.len() <= HISTORY_KEYS_MAX),
            memory: MemoryConsumer::new("field history").register(context.memory_pool()),
            objects,
            behind: None,
            begun: false,
        };
        Ok(try_unfold(reading, Reading::next).boxed())
    }
}

/// Whether history of an object is anything to its reader: its records have a key that the reader sees as it is.
fn is_open(visible: &VisibleObject) -> bool {
    let decision = &visible.decision;
    decision.is_allowed() && decision.unusable_rule().is_none() && open_key(visible).is_some()
}

fn open_key(visible: &VisibleObject) -> Option<&str> {
    let name = visible.object.history_key()?.name.as_str();
    let is_seen = visible.fields().any(|field| field.name == name);
    (is_seen && !visible.decision.masks().contains_key(name)).then_some(name)
}

struct Reading {
    history: Arc<History>,
    print: Print,
    reader: HistoryReader,
    keys: Option<Vec<String>>,
    /// What the last page takes of the statement's memory.
    memory: MemoryReservation,
    /// Those that are not read to their end.
    objects: VecDeque<String>,
    /// How far the first of them is read.
    behind: Option<(String, i64)>,
    begun: bool,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(arrow::record_batch::RecordBatch, Self)>> {
        if !self.begun {
            self.begun = true;
            self.history.catch_up().await;
        }
        loop {
            let Some(object) = self.objects.front().cloned() else { return Ok(None) };
            let behind = self.behind.as_ref().map(|(key, number)| (key.as_str(), *number));
            self.memory.free();
            let memory = &self.memory;
            let room = |bytes: usize| memory.try_grow(bytes).map_err(|error| translate(&error, Stage::Execute));
            let page = self.history.page(&object, self.keys.as_deref(), behind, PAGE, &room).await?;
            let HistoryPage { entries, behind } = page;
            if behind.is_none() {
                self.objects.pop_front();
            }
            self.behind = behind;
            let rows = self.judged(&object, entries).await?;
            if !rows.is_empty() {
                return Ok(Some((batch_of(&schema_of(COLUMNS), COLUMNS, rows)?, self)));
            }
        }
    }

    /// What the reader is shown of a page.
    async fn judged(&self, object: &str, mut entries: Vec<HistoryEntry>) -> Result<Vec<Row>> {
        let catalog = &self.reader.workspace.catalog;
        let visible = catalog.objects().iter().find(|visible| visible.object.name == object);
        let Some((visible, key)) = visible.and_then(|visible| Some((visible, open_key(visible)?))) else {
            return Ok(Vec::new());
        };
        let keys: BTreeSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let seen = self.reader.records.seen(object, key, keys).await?;
        entries.retain(|entry| seen.contains(&entry.key));
        let Some(table) = catalog.deployment().tables.get(object) else { return Ok(Vec::new()) };
        let description: ObjectDescription = describe(visible, false);
        let shown = rows::Shown {
            visible,
            description: &description,
            raw: &table.provider.schema(),
            principal: catalog.principal(),
            print: self.print,
        };
        shown.rows(&entries)
    }
}
