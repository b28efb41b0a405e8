//! The driver over tables in memory that can be changed: what it tells of them, and how their rows are read and written.

use super::capabilities::MemoryCapabilities;
use super::cells::{Cells, stored};
use super::language::{LockWord, statement};
use super::prepared_transactions::settle;
use super::reading::Reading;
use super::store::{Column, State, Table, View};
use super::transaction::MemoryTransaction;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use querygate_driver_api::capability::{Capabilities, Refusal, RefusalReason, refuse};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{
    Answer, Ask, BatchStream, DeclineReason, Delivery, ExecuteContext, NativeStatement, delivery,
};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::planning::check_setting;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::remote::{RemoteColumn, RemoteTable, TableStatistics};
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::lock::lockable;
use querygate_driver_api::write::{
    Begin, ChangeShape, Fate, GateId, GlobalId, Isolation, Lock, Locking, NativeChange, Prepare, Settled, Transaction,
    TxMark, WriteCapabilities, Writer,
};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

const CAPABILITIES: WriteCapabilities = WriteCapabilities {
    isolation: &[Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable],
    locking: Locking::Conflicts,
    savepoints: true,
    tells_fate: false,
    prepare: Prepare::Prepared,
};

/// Tables in memory that can be changed. Their rows last as long as this.
#[derive(Debug)]
pub struct ChangingMemory {
    shared: Arc<Shared>,
    capabilities: MemoryCapabilities,
}

/// A table as it is made.
#[derive(Debug, Clone)]
pub struct MemoryTableSpec {
    /// Its name.
    pub name: String,
    /// In their order.
    pub columns: Vec<MemoryColumn>,
    /// The columns that find one row; empty for none.
    pub primary_key: Vec<String>,
    /// Other sets of columns that no two rows have alike.
    pub unique: Vec<Vec<String>>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryColumn {
    /// Its name.
    pub name: String,
    /// What it holds; no list but of texts.
    pub value_type: ValueType,
}

/// What transactions and reads share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes waiting transactions when another one ends or gives rows up.
    pub(super) ended: Notify,
    pub(super) bytes_max: usize,
}

impl Shared {
    /// Held for one step, and never while anybody is waited for.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChangingMemory {
    /// No tables; all of them together may hold about `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let shared = Shared { state: Mutex::default(), ended: Notify::new(), bytes_max };
        Self { shared: Arc::new(shared), capabilities: MemoryCapabilities }
    }

    /// Whether there is a table of this name.
    #[must_use]
    pub fn has(&self, table: &str) -> bool {
        self.shared.state().tables.contains_key(table)
    }

    /// Makes a table of these rows, whose columns are in the order of the table's. One that is there keeps its own, in the columns that it has then: `rows` are not asked for. Keys
    /// that two of the rows have alike, or that one lacks, are no keys of the table.
    ///
    /// # Errors
    /// 0A000: a column of a type that is not held; 54000: too many bytes; the rows' own.
    pub fn put(&self, spec: &MemoryTableSpec, rows: impl FnOnce() -> Result<Vec<RecordBatch>>) -> Result<()> {
        let columns: Arc<[Column]> = spec
            .columns
            .iter()
            .map(|column| Column { name: column.name.as_str().into(), value_type: column.value_type })
            .collect();
        if columns.iter().any(|column| !column.value_type.is_bound()) {
            return Err(Error::new(ErrorCode::FeatureNotSupported, "a column of lists is not held in changing tables"));
        }
        let sets = std::iter::once(&spec.primary_key).chain(&spec.unique).filter(|set| !set.is_empty());
        let place = |name: &String| columns.iter().position(|column| *column.name == **name);
        let keys: Vec<Vec<usize>> = sets.filter_map(|set| set.iter().map(place).collect()).collect();
        let has_primary = !spec.primary_key.is_empty() && spec.primary_key.iter().all(|name| place(name).is_some());
        let mut state = self.shared.state();
        if let Some(table) = state.tables.get(spec.name.as_str()) {
            if table.columns != columns || table.keys != keys {
                let (keys, has_primary) = kept(&table_rows(table, &columns), keys, has_primary);
                state.reshape(&spec.name, Table::new(columns, keys, has_primary));
            }
            return Ok(());
        }
        drop(state);
        let rows = decoded(&columns, &rows()?)?;
        let (keys, has_primary) = kept(&rows, keys, has_primary);
        let mut state = self.shared.state();
        if state.tables.contains_key(spec.name.as_str()) {
            return Ok(());
        }
        if !state.has_room(&rows, self.shared.bytes_max) {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "tables in memory exceed their size limit"));
        }
        state.tables.insert(spec.name.as_str().into(), Table::new(columns, keys, has_primary));
        state.seed(&spec.name, rows);
        Ok(())
    }

    fn batches(&self, statement: &NativeStatement, values: &[Value], context: ExecuteContext) -> Result<BatchStream> {
        check_setting(self, context.setting)?;
        let reading = Reading::of(&self.shared.state(), View::Committed, statement, values)?;
        let (delivery, batches) = delivery();
        tokio::spawn(async move {
            // Only an end that was sent is one: a task that panics leaves an error behind.
            match deliver(&reading, &context, &delivery).await {
                Ok(true) => delivery.end(Ok(())).await,
                Ok(false) => {}
                Err(error) => delivery.end(Err(error)).await,
            }
        });
        Ok(batches)
    }
}

/// The committed rows of a table in other columns.
fn table_rows(table: &Table, columns: &[Column]) -> Vec<Cells> {
    let from: Vec<Option<usize>> =
        columns.iter().map(|column| table.columns.iter().position(|had| had == column)).collect();
    let rows = table.rows.values().filter_map(|row| row.seen(View::Committed));
    let value = |cells: &Cells, (column, from): (&Column, &Option<usize>)| {
        from.and_then(|place| cells.get(place)).cloned().unwrap_or(Value::Null(column.value_type))
    };
    rows.map(|cells| columns.iter().zip(&from).map(|pair| value(cells, pair)).collect()).collect()
}

/// The keys that rows keep to.
fn kept(rows: &[Cells], keys: Vec<Vec<usize>>, has_primary: bool) -> (Vec<Vec<usize>>, bool) {
    let is_kept = |(number, places): (usize, &Vec<usize>)| {
        let mut seen = std::collections::HashSet::new();
        rows.iter().all(|cells| match super::cells::key(super::store::at(cells, places)) {
            Some(key) => seen.insert(key),
            None => !(has_primary && number == 0),
        })
    };
    let verdicts: Vec<bool> = keys.iter().enumerate().map(is_kept).collect();
    let has_primary = has_primary && verdicts.first() == Some(&true);
    let keys = keys.into_iter().zip(verdicts).filter_map(|(key, is_kept)| is_kept.then_some(key)).collect();
    (keys, has_primary)
}

fn decoded(columns: &[Column], batches: &[RecordBatch]) -> Result<Vec<Cells>> {
    let mut rows = Vec::new();
    for batch in batches {
        if batch.num_columns() != columns.len() {
            return Err(Error::internal("rows have other columns than their table"));
        }
        let array = |(column, array): (&Column, &ArrayRef)| -> Result<ArrayRef> {
            cast(array, &column.value_type.to_arrow()).map_err(Error::internal)
        };
        let arrays = columns.iter().zip(batch.columns()).map(array).collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let cell = |(array, column): (&ArrayRef, &Column)| {
                stored(Value::from_array(array.as_ref(), row)?, column.value_type)
            };
            rows.push(arrays.iter().zip(columns).map(cell).collect::<Result<Cells>>()?);
        }
    }
    Ok(rows)
}

/// `false`: their reader is gone.
async fn deliver(reading: &Reading, context: &ExecuteContext, delivery: &Delivery) -> Result<bool> {
    for rows in reading.rows.chunks(context.batch_rows.max(1)) {
        let batch = reading.batch(rows)?;
        let wanted = async {
            match batch {
                Some(batch) => delivery.batch(batch).await,
                None => {
                    tokio::task::yield_now().await;
                    true
                }
            }
        };
        tokio::select! {
            biased;
            error = context.over() => return Err(error),
            is_wanted = wanted => if !is_wanted {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn undefined() -> Error {
    Error::new(ErrorCode::UndefinedTable, "table does not exist in the source")
}

#[async_trait]
impl Driver for ChangingMemory {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> &dyn Capabilities {
        &self.capabilities
    }

    async fn tables(&self) -> Result<Vec<TableRef>> {
        let names: Vec<Arc<str>> = self.shared.state().tables.keys().cloned().collect();
        names.into_iter().map(|name| TableRef::new([name])).collect()
    }

    async fn describe(&self, table: &TableRef) -> Result<RemoteTable> {
        let state = self.shared.state();
        let found = state.tables.get(table.name()).ok_or_else(undefined)?;
        let named = |places: &Vec<usize>| {
            let names = places.iter().filter_map(|place| found.columns.get(*place));
            names.map(|column| Identifier::new(Arc::clone(&column.name))).collect::<Result<Vec<_>>>()
        };
        let primary = found.keys.first().filter(|_| found.has_primary);
        let is_key = |place: usize| primary.is_some_and(|places| places.contains(&place));
        let column = |(place, column): (usize, &Column)| {
            let (name, value_type) = (Identifier::new(Arc::clone(&column.name))?, column.value_type);
            Ok(RemoteColumn {
                nullable: !is_key(place),
                ..RemoteColumn::new(name, value_type.name(), Some(value_type))
            })
        };
        let columns = found.columns.iter().enumerate().map(column).collect::<Result<_>>()?;
        Ok(RemoteTable {
            primary_key: primary.map(named).transpose()?.unwrap_or_default(),
            unique: found.keys.iter().skip(usize::from(found.has_primary)).map(named).collect::<Result<_>>()?,
            row_estimate: u64::try_from(found.rows.len()).ok(),
            ..RemoteTable::new(table.clone(), columns)
        })
    }

    fn read_as(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        match column.value_type == Some(wanted) {
            true => Ok(Encoding::Canonical),
            false => refuse(RefusalReason::Type, "the column has another type"),
        }
    }

    fn reads_surely(&self, _: ValueType) -> bool {
        true
    }

    async fn statistics(&self, table: &TableRef) -> Result<TableStatistics> {
        let state = self.shared.state();
        let found = state.tables.get(table.name()).ok_or_else(undefined)?;
        Ok(TableStatistics { rows: u64::try_from(found.rows.len()).ok(), ..TableStatistics::default() })
    }

    fn render(&self, fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        self.capabilities.supports_fragment(fragment)?;
        statement(fragment, None).map(Arc::new)
    }

    fn accepts(&self, _: &NativeStatement, _: &[Value]) -> Result<(), Refusal> {
        Ok(())
    }

    fn run<'a>(
        &'a self,
        statement: &'a Arc<NativeStatement>,
        values: &'a [Value],
        ask: Ask<'a>,
    ) -> BoxFuture<'a, Result<Answer>> {
        let answer = match ask {
            Ask::Batches(context) => self.batches(statement, values, context).map(Answer::Batches),
            Ask::LookUp | Ask::WireRows(_) => Ok(Answer::Declined(DeclineReason::Unsupported)),
        };
        async { answer }.boxed()
    }

    async fn health(&self) -> Result<()> {
        Ok(())
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

#[async_trait]
impl Writer for ChangingMemory {
    fn capabilities(&self) -> &WriteCapabilities {
        &CAPABILITIES
    }

    fn writable_as(&self, column: &RemoteColumn, value_type: ValueType) -> Result<Encoding, Refusal> {
        self.read_as(column, value_type)
    }

    fn render_change(&self, shape: &ChangeShape) -> Result<Arc<NativeChange>, Refusal> {
        shape.check().map_err(|error| Refusal::invalid(&error))?;
        let names: Vec<&str> = shape.columns().map(|column| column.name.as_str()).collect();
        let text = serde_json::json!({
            format!("{:?}", shape.op).to_lowercase(): shape.table.name(),
            "key": names.iter().take(shape.key.len()).collect::<Vec<_>>(),
            "set": names.iter().skip(shape.key.len()).collect::<Vec<_>>(),
        });
        Ok(Arc::new(shape.printed(text.to_string())))
    }

    fn render_locked(&self, fragment: &Fragment, lock: Lock) -> Result<Arc<NativeStatement>, Refusal> {
        lockable(fragment)?;
        self.capabilities.supports_fragment(fragment)?;
        statement(fragment, Some(LockWord::from(lock.wait))).map(Arc::new)
    }

    async fn begin(&self, begin: Begin, context: &ExecuteContext) -> Result<Transaction> {
        CAPABILITIES.admit(begin)?;
        if context.cancel.is_cancelled() {
            return Err(context.over().await);
        }
        let transaction = MemoryTransaction::begin(Arc::clone(&self.shared), begin.isolation);
        Ok(Transaction::new(Box::new(transaction)))
    }

    async fn fate_of(&self, _: &TxMark) -> Result<Option<Fate>> {
        Ok(None)
    }

    async fn prepared(&self, gate: GateId, _: &ExecuteContext) -> Result<Vec<GlobalId>> {
        Ok(self.shared.state().prepared.of(gate))
    }

    async fn settle(&self, id: &GlobalId, fate: Fate, _: &ExecuteContext) -> Result<Settled> {
        let settled = settle(&mut self.shared.state(), id, fate);
        self.shared.ended.notify_waiters();
        Ok(settled)
    }
}
