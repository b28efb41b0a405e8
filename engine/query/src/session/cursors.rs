//! Cursors of a session: DECLARE keeps the stream of a query, FETCH takes rows from it, forward only.

use super::statement::{GateSession, PreparedStatement};
use super::transaction::outside;
use crate::classify::FetchCount;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use querygate_query_api::{BatchStream, Column, CommandTag, Outcome, Rows};
use querygate_types::{Error, ErrorCode, Result, limits};
use std::sync::Arc;

/// An open cursor.
pub(super) struct Cursor {
    columns: Arc<[Column]>,
    schema: SchemaRef,
    stream: BatchStream,
    /// Rows of a batch that a FETCH did not take.
    rest: Option<RecordBatch>,
    pub(super) hold: bool,
}

impl Cursor {
    async fn take(&mut self, count: FetchCount) -> Result<Vec<RecordBatch>> {
        let mut wanted = match count {
            FetchCount::Rows(rows) => rows,
            FetchCount::All => u64::MAX,
        };
        let mut taken = Vec::new();
        while wanted > 0 {
            let batch = match self.rest.take() {
                Some(batch) => batch,
                None => match self.stream.next().await {
                    Some(batch) => batch?,
                    None => break,
                },
            };
            let rows = usize::try_from(wanted).unwrap_or(usize::MAX).min(batch.num_rows());
            if rows < batch.num_rows() {
                self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
            }
            wanted -= rows as u64;
            taken.push(batch.slice(0, rows));
        }
        Ok(taken)
    }
}

impl GateSession {
    /// DECLARE: runs the query and keeps its stream. A holdable cursor outlives the transaction; as nothing is written,
    /// its rows are the same then.
    pub(super) async fn declare(
        &self,
        prepared: &PreparedStatement,
        name: &str,
        query: &datafusion::sql::sqlparser::ast::Query,
        hold: bool,
        scroll: bool,
    ) -> Result<Outcome> {
        if scroll {
            return Err(Error::new(ErrorCode::FeatureNotSupported, "scrollable cursors are not supported"));
        }
        {
            let inner = self.inner();
            if !hold && !inner.transaction.is_open() {
                return Err(outside("DECLARE CURSOR"));
            }
            if inner.cursors.contains_key(name) {
                return Err(Error::new(ErrorCode::DuplicateCursor, format!("cursor \"{name}\" already exists")));
            }
            if inner.cursors.len() >= limits::STATEMENTS_PER_CONNECTION_MAX {
                return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many open cursors"));
            }
        }
        let bound = self.bind_query(query, &[], None).await?;
        let rows = self.run_bound(prepared, &bound, &[]).await?;
        let cursor = Cursor { columns: rows.columns, schema: rows.schema, stream: rows.batches, rest: None, hold };
        self.inner().cursors.insert(name.to_owned(), cursor);
        Ok(Outcome::Command(CommandTag::Fixed("DECLARE CURSOR".to_owned())))
    }

    pub(super) async fn fetch(&self, name: &str, count: FetchCount) -> Result<Outcome> {
        // Taken out while rows are awaited: the lock is never held over an await.
        let mut cursor = self.inner().cursors.remove(name).ok_or_else(|| no_cursor(name))?;
        let cancel = self.new_cancel();
        let taken = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(crate::execute::canceled()),
            taken = cursor.take(count) => taken,
        };
        let (columns, schema) = (Arc::clone(&cursor.columns), Arc::clone(&cursor.schema));
        let batches = match taken {
            Ok(batches) => {
                self.inner().cursors.insert(name.to_owned(), cursor);
                batches
            }
            Err(error) => return Err(error),
        };
        let batches = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
        Ok(Outcome::Rows(Rows { columns, schema, batches, tag: CommandTag::Counted("FETCH") }))
    }

    pub(super) fn cursor_columns(&self, name: &str) -> Result<Arc<[Column]>> {
        self.inner().cursors.get(name).map(|c| Arc::clone(&c.columns)).ok_or_else(|| no_cursor(name))
    }

    pub(super) fn close_cursor(&self, name: Option<&str>) -> Result<Outcome> {
        let mut inner = self.inner();
        match name {
            None => inner.cursors.clear(),
            Some(name) => {
                inner.cursors.remove(name).ok_or_else(|| no_cursor(name))?;
            }
        }
        let tag = if name.is_some() { "CLOSE CURSOR" } else { "CLOSE CURSOR ALL" };
        Ok(Outcome::Command(CommandTag::Fixed(tag.to_owned())))
    }
}

fn no_cursor(name: &str) -> Error {
    Error::new(ErrorCode::InvalidCursorName, format!("cursor \"{name}\" does not exist"))
}
