//! A table of a source in which transactions leave what they changed: stored with them or not at all. It is the operator's; rows are put
//! there in the transaction itself, and taken away once they are in the log.

use crate::log::Id;
use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Relation, ScanColumn, SortKey};
use querygate_driver_api::remote::{RemoteColumn, RemoteTable};
use querygate_driver_api::scalar::ScalarExpr;
use querygate_driver_api::value::ValueType;
use querygate_driver_api::write::{
    Begin, ChangeOp, ChangeSet, ChangeShape, NativeChange, TargetColumn, Transaction, Writer,
};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Characters of one row: what a transaction leaves is divided.
const PART: usize = 128 << 10;
/// Rows that one look at an outbox reads, and bytes of them: what is behind waits for the next look. One message is read in any case.
const ROWS_MAX: u64 = 1_000;
const BYTES_MAX: usize = 4 << 20;
/// Rows that are written, and given by the source, at once.
const ROWS_AT_ONCE: usize = 32;
/// Rows that are taken away at once: of these, the keys alone are sent.
const KEYS_AT_ONCE: usize = 1_000;
/// The column of the parts of what a transaction leaves. The other one is the key of the table, a text.
const PAYLOAD: &str = "payload";
/// The names that a key may have: documents have no other than the second.
const KEYS: [&str; 2] = ["id", "_id"];

/// The outbox of one source.
#[derive(Debug)]
pub(crate) struct Outbox {
    driver: Arc<dyn Driver>,
    insert: Arc<NativeChange>,
    delete: Arc<NativeChange>,
    read: Arc<NativeStatement>,
}

/// What a transaction has left.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: Id,
    pub(crate) body: Vec<u8>,
    pub(crate) keys: Vec<String>,
}

impl Outbox {
    /// The table of this name.
    ///
    /// # Errors
    /// 55000: there is none, or it has other columns. The source's.
    pub(crate) async fn of(driver: &Arc<dyn Driver>, name: &str) -> Result<Self> {
        let tables = driver.tables().await?;
        let table =
            tables.iter().find(|table| table.name() == name).ok_or_else(|| unusable("there is no such table"))?;
        let described = driver.describe(table).await?;
        let id = key(&described)?;
        let payload = described.columns.iter().find(|column| column.name.as_str() == PAYLOAD);
        let payload = payload.ok_or_else(|| unusable("it lacks a column payload"))?;
        let writer = driver.writer().ok_or_else(|| unusable("its source is only read"))?;
        let (id_target, payload_target) = (target(writer, id)?, target(writer, payload)?);
        let shape = |op, assigned: Vec<TargetColumn>| ChangeShape {
            table: described.table.clone(),
            op,
            key: vec![id_target.clone()],
            assigned,
            returning: Vec::new(),
        };
        let render = |shape: &ChangeShape| {
            shape.check()?;
            writer.render_change(shape).map_err(|_| unusable("its source does not take its rows"))
        };
        Ok(Self {
            insert: render(&shape(ChangeOp::Insert, vec![payload_target.clone()]))?,
            delete: render(&shape(ChangeOp::Delete, Vec::new()))?,
            read: read(driver.as_ref(), &described, [id, payload])?,
            driver: Arc::clone(driver),
        })
    }

    /// Leaves what a transaction changed in it. The last rows go with its commit, so that they take no answer of their own.
    ///
    /// # Errors
    /// The source's.
    pub(crate) async fn put(&self, transaction: &mut Transaction, id: Id, body: &[u8]) -> Result<Vec<String>> {
        let text = STANDARD.encode(body);
        let parts: Vec<&str> = text.as_bytes().chunks(PART).filter_map(|part| std::str::from_utf8(part).ok()).collect();
        let keys: Vec<String> = (0..parts.len()).map(|part| format!("{id}.{part:05}.{:05}", parts.len())).collect();
        let context = ExecuteContext::default();
        let mut sets = keys.chunks(ROWS_AT_ONCE).zip(parts.chunks(ROWS_AT_ONCE)).peekable();
        while let Some((keys, parts)) = sets.next() {
            let rows = batch(&[("id", keys.iter().map(String::as_str).collect()), ("payload", parts.to_vec())])?;
            let rows = ChangeSet::new(&self.insert.shape, rows)?;
            if sets.peek().is_some() {
                transaction.apply(&self.insert, &rows, &context).await?;
            } else {
                transaction.change_last(Arc::clone(&self.insert), rows)?;
            }
        }
        Ok(keys)
    }

    /// What transactions have left that were committed, oldest first, and whether that is all: of much, the oldest is read.
    ///
    /// # Errors
    /// The source's.
    pub(crate) async fn messages(&self) -> Result<(Vec<Message>, bool)> {
        let context = ExecuteContext { batch_rows: ROWS_AT_ONCE, ..ExecuteContext::default() };
        let answer = self.driver.run(&self.read, &[], Ask::Batches(context)).await?;
        let mut batches = answer.batches()?;
        let mut look = Look::default();
        while let Some(batch) = batches.try_next().await? {
            look.add(&batch)?;
            if look.is_full() {
                break;
            }
        }
        let is_all = !look.is_full();
        Ok((look.messages(), is_all))
    }

    /// Takes rows away.
    ///
    /// # Errors
    /// The source's.
    pub(crate) async fn remove(&self, keys: &[String]) -> Result<()> {
        let writer = self.driver.writer().ok_or_else(|| unusable("its source is only read"))?;
        let context = ExecuteContext::default();
        let mut transaction = writer.begin(Begin::default(), &context).await?;
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let rows = batch(&[("id", keys.iter().map(String::as_str).collect())])?;
            let set = ChangeSet::new(&self.delete.shape, rows)?;
            if let Err(error) = transaction.apply(&self.delete, &set, &context).await {
                transaction.rollback().await;
                return Err(error);
            }
        }
        transaction.commit().await.map_err(|error| error.error().clone())
    }
}

/// What one look at an outbox has read.
#[derive(Debug, Default)]
struct Look {
    /// Parts of messages by their keys.
    found: BTreeMap<Id, BTreeMap<String, String>>,
    rows: u64,
    bytes: usize,
    /// Whether some message has all of its parts.
    has_message: bool,
}

impl Look {
    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows = self.rows.saturating_add(u64::try_from(batch.num_rows()).map_err(Error::internal)?);
        let texts = |place: usize| {
            let values = batch.columns().get(place).ok_or_else(|| Error::internal("an outbox has no such column"))?;
            cast(values, &DataType::Utf8).map_err(Error::internal)
        };
        let (keys, parts) = (texts(0)?, texts(1)?);
        let (Some(keys), Some(parts)) = (keys.as_string_opt::<i32>(), parts.as_string_opt::<i32>()) else {
            return Err(Error::internal("an outbox has other columns than texts"));
        };
        for row in (0..keys.len()).filter(|row| keys.is_valid(*row) && parts.is_valid(*row)) {
            let (key, part) = (keys.value(row), parts.value(row));
            self.bytes = self.bytes.saturating_add(key.len()).saturating_add(part.len());
            let Some(id) = Id::parse(key.split('.').next().unwrap_or_default()) else { continue };
            let own = self.found.entry(id).or_default();
            own.insert(key.to_owned(), part.to_owned());
            self.has_message |= parts_of(key) == Some(own.len());
        }
        Ok(())
    }

    /// Whether what is behind waits for the next look.
    const fn is_full(&self) -> bool {
        self.rows >= ROWS_MAX || self.has_message && self.bytes >= BYTES_MAX
    }

    fn messages(self) -> Vec<Message> {
        self.found.into_iter().filter_map(|(id, parts)| message(id, parts)).collect()
    }
}

/// Of how many parts a message is, by the key of one.
fn parts_of(key: &str) -> Option<usize> {
    key.rsplit('.').next()?.parse().ok()
}

/// A message, if all of its parts are there.
fn message(id: Id, parts: BTreeMap<String, String>) -> Option<Message> {
    if parts_of(parts.keys().next()?)? != parts.len() {
        return None;
    }
    let (keys, texts): (Vec<String>, Vec<String>) = parts.into_iter().unzip();
    let body = STANDARD.decode(texts.concat()).ok()?;
    Some(Message { id, body, keys })
}

fn unusable(why: &str) -> Error {
    Error::new(ErrorCode::ObjectNotInPrerequisiteState, "the outbox of the source cannot be used")
        .with_detail(format!("The reason: {why}."))
        .with_hint(
            "An operator makes a table with the text columns id, its primary key, and payload, or a collection with a first document that \
             has texts as its _id and as its payload, and stays there.",
        )
}

/// The key of the table.
fn key(table: &RemoteTable) -> Result<&RemoteColumn> {
    let [key] = table.primary_key.as_slice() else { return Err(unusable("its primary key must be the column id")) };
    let is_key = |column: &&RemoteColumn| column.name == *key && KEYS.contains(&key.as_str());
    table.columns.iter().find(is_key).ok_or_else(|| unusable("its primary key must be the column id"))
}

fn target(writer: &dyn Writer, column: &RemoteColumn) -> Result<TargetColumn> {
    let encoding = writer.writable_as(column, ValueType::Text).map_err(|_| unusable("its columns are no texts"))?;
    Ok(TargetColumn::new(column, ValueType::Text, encoding))
}

fn read(driver: &dyn Driver, table: &RemoteTable, columns: [&RemoteColumn; 2]) -> Result<Arc<NativeStatement>> {
    let (mut scanned, mut output) = (Vec::new(), Vec::new());
    for (number, column) in (0_u32..).zip(columns) {
        let encoding = driver.read_as(column, ValueType::Text).map_err(|_| unusable("its columns are no texts"))?;
        let id = ColumnId(number);
        scanned.push(ScanColumn {
            id,
            name: column.name.clone(),
            value_type: ValueType::Text,
            nullable: column.nullable,
            collation: column.collation.clone(),
            encoding,
        });
        let name = column.name.as_str().to_owned();
        output.push(OutputColumn { id, name, value_type: ValueType::Text, nullable: true });
    }
    let scan = Relation::Scan { table: table.table.clone(), columns: scanned };
    let first = |input| Relation::Limit { input: Box::new(input), skip: 0, fetch: Some(ROWS_MAX) };
    let key = SortKey { expr: ScalarExpr::Column(ColumnId(0)), ascending: true, nulls_first: false };
    let sorted = Relation::Sort { input: Box::new(scan.clone()), keys: vec![key] };
    let fragment = |relation| Fragment { relation, output: output.clone(), parameters: Vec::new() };
    // Keys begin with the time. A source that cannot sort texts so gives any rows: then the order is that of what is there at once.
    let rendered = driver.render(&fragment(first(sorted))).or_else(|_| driver.render(&fragment(first(scan))));
    rendered.map_err(|_| unusable("its source does not give its rows"))
}

fn batch(columns: &[(&str, Vec<&str>)]) -> Result<RecordBatch> {
    let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
    let arrays = columns.iter().map(|(_, values)| Arc::new(StringArray::from(values.clone())) as _).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a message of this many parts.
    fn rows(id: Id, parts: usize, part: &str) -> Vec<(String, String)> {
        (0..parts).map(|number| (format!("{id}.{number:05}.{parts:05}"), part.to_owned())).collect()
    }

    fn look_at(look: &mut Look, rows: &[(String, String)]) {
        let (keys, parts): (Vec<&str>, Vec<&str>) =
            rows.iter().map(|(key, part)| (key.as_str(), part.as_str())).unzip();
        look.add(&batch(&[("id", keys), ("payload", parts)]).unwrap()).unwrap();
    }

    fn id(number: u64) -> Id {
        Id::new(number, [0; 8])
    }

    #[test]
    fn a_look_ends_at_its_bytes_and_gives_the_messages_that_are_whole() {
        let part = STANDARD.encode(vec![7_u8; PART / 4 * 3]);
        let mut look = Look::default();
        let most = u64::try_from(BYTES_MAX / part.len()).unwrap();
        for number in 0..100 {
            assert!(!look.is_full());
            look_at(&mut look, &rows(id(number), 3, &part));
            if look.is_full() {
                break;
            }
        }
        // The next one is cut, as a batch may end within a message.
        look_at(&mut look, &rows(id(1_000), 3, &part)[..2]);
        assert!((most..most + 6).contains(&look.rows), "{}", look.rows);
        let messages = look.messages();
        assert!(messages.len() > 1 && messages.iter().all(|message| message.id < id(100) && message.keys.len() == 3));
        assert!(messages.iter().all(|message| message.body.len() == PART / 4 * 9));
    }

    #[test]
    fn a_message_beyond_the_bytes_is_read_whole() {
        let part = STANDARD.encode(vec![7_u8; PART / 4 * 3]);
        let mut look = Look::default();
        let large = rows(id(1), 2 * BYTES_MAX / PART, &part);
        let (first, last) = large.split_at(large.len() - 1);
        look_at(&mut look, first);
        assert!(look.bytes > BYTES_MAX && !look.is_full(), "no message is whole");
        look_at(&mut look, last);
        assert!(look.is_full());
        let messages = look.messages();
        assert_eq!(messages.iter().map(|message| message.keys.len()).collect::<Vec<_>>(), [large.len()]);
    }

    #[test]
    fn rows_are_bounded_whatever_they_hold() {
        let mut look = Look::default();
        let others: Vec<_> = (0..ROWS_MAX).map(|number| (format!("note {number}"), String::new())).collect();
        look_at(&mut look, &others[1..]);
        assert!(!look.is_full());
        look_at(&mut look, &others[..1]);
        assert!(look.is_full() && look.messages().is_empty());
    }
}
