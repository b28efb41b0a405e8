//! Cursors of a session: DECLARE keeps the stream of a query, FETCH takes rows from it, forward only.

use super::statement::{GateSession, Inner, PreparedStatement};
use super::transaction::outside;
use crate::classify::FetchCount;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use querygate_query_api::{BatchStream, Column, CommandTag, Outcome, Rows};
use querygate_types::{Error, ErrorCode, Result, limits};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

/// An open cursor.
pub(super) struct Cursor {
    columns: Arc<[Column]>,
    schema: SchemaRef,
    stream: BatchStream,
    /// Rows of a batch that a FETCH did not take.
    rest: Option<RecordBatch>,
    pub(super) hold: bool,
    pub(super) statement: Arc<str>,
    pub(super) since: SystemTime,
}

/// Rows that one FETCH takes, as they come. The cursor goes back to its session when the door has read them.
struct Fetch {
    cursor: Option<Cursor>,
    name: String,
    wanted: u64,
    home: Weak<Mutex<Inner>>,
    cancel: CancellationToken,
}

impl Fetch {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(cursor) = self.cursor.as_mut().filter(|_| self.wanted > 0) else { return Ok(None) };
        let batch = match cursor.rest.take() {
            Some(batch) => Some(batch),
            None => tokio::select! {
                biased;
                () = self.cancel.cancelled() => Some(Err(crate::execute::canceled())),
                batch = cursor.stream.next() => batch,
            }
            .transpose()
            .inspect_err(|_| self.cursor = None)?,
        };
        let (Some(batch), Some(cursor)) = (batch, self.cursor.as_mut()) else { return Ok(None) };
        let rows = usize::try_from(self.wanted).unwrap_or(usize::MAX).min(batch.num_rows());
        if rows < batch.num_rows() {
            cursor.rest = Some(batch.slice(rows, batch.num_rows() - rows));
        }
        self.wanted -= rows as u64;
        Ok(Some(batch.slice(0, rows)))
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let (Some(cursor), Some(home)) = (self.cursor.take(), self.home.upgrade()) else { return };
        let mut inner = home.lock().unwrap_or_else(PoisonError::into_inner);
        if cursor.hold || inner.transaction.is_open() {
            inner.cursors.insert(std::mem::take(&mut self.name), cursor);
        }
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
        let cursor = Cursor {
            columns: rows.columns,
            schema: rows.schema,
            stream: rows.batches,
            rest: None,
            hold,
            statement: Arc::clone(prepared.parsed.shared_text()),
            since: SystemTime::now(),
        };
        self.inner().cursors.insert(name.to_owned(), cursor);
        Ok(Outcome::Command(CommandTag::Fixed("DECLARE CURSOR".to_owned())))
    }

    pub(super) async fn fetch(&self, name: &str, count: FetchCount) -> Result<Outcome> {
        // Taken out while rows are awaited: the lock is never held over an await.
        let cursor = self.inner().cursors.remove(name).ok_or_else(|| no_cursor(name))?;
        let (columns, schema) = (Arc::clone(&cursor.columns), Arc::clone(&cursor.schema));
        let wanted = match count {
            FetchCount::Rows(rows) => rows,
            FetchCount::All => u64::MAX,
        };
        let home = Weak::clone(&self.writer.inner);
        let fetch = Fetch { cursor: Some(cursor), name: name.to_owned(), wanted, home, cancel: self.new_cancel() };
        let batches = futures::stream::try_unfold(fetch, |mut fetch| async {
            Ok(fetch.next().await?.map(|batch| (batch, fetch)))
        });
        Ok(Outcome::Rows(Rows { columns, schema, batches: batches.boxed(), tag: CommandTag::Counted("FETCH") }))
    }

    /// MOVE: as FETCH, and the rows are only counted.
    pub(super) async fn skip(&self, name: &str, count: FetchCount) -> Result<Outcome> {
        let Outcome::Rows(mut rows) = self.fetch(name, count).await? else {
            return Err(Error::internal("a cursor gave no rows"));
        };
        let mut skipped = 0;
        while let Some(batch) = rows.batches.next().await.transpose()? {
            skipped += batch.num_rows();
        }
        Ok(Outcome::Command(CommandTag::Fixed(format!("MOVE {skipped}"))))
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

#[cfg(test)]
mod tests {
    use crate::classify::{Classified, FetchCount};
    use crate::parse::parse;

    #[test]
    fn move_is_fetch_without_rows_and_abort_is_rollback() {
        let class = |sql: &str| parse(sql).unwrap().first().unwrap().class().clone();
        let moved = |sql: &str| match class(sql) {
            Classified::Move { name, count } => (name, count),
            other => panic!("{other:?}"),
        };
        assert_eq!(moved("MOVE 5 FROM c"), ("c".to_owned(), FetchCount::Rows(5)));
        assert_eq!(moved("move forward all in c"), ("c".to_owned(), FetchCount::All));
        assert!(matches!(class("FETCH 5 FROM move"), Classified::Fetch { .. }));
        assert!(matches!(class("ABORT"), Classified::Rollback));
        assert!(matches!(class("abort transaction"), Classified::Rollback));
        assert!(parse("MOVE BACKWARD 1 FROM c").is_err());
    }
}
