//! Cursors of a session: DECLARE keeps the stream of a query, FETCH takes rows from it. What a SCROLL cursor has read stays in
//! memory, within a bound.

use super::cursor_rows::{Reading, Stretch};
use crate::bind::statement::Bound;
use crate::run::interrupt::Interrupt;
use crate::session::gate_session::{GateSession, Inner};
use crate::session::statements::prepared::PreparedStatement;
use crate::session::transaction::outside;
use crate::sql::classify::Walk;
use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use querygate_query_api::column::Column;
use querygate_query_api::outcome::{CommandTag, Outcome, Rows};
use querygate_types::{Error, ErrorCode, Result, limits};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

/// An open cursor.
pub(in crate::session) struct Cursor {
    columns: Arc<[Column]>,
    schema: SchemaRef,
    reading: Reading,
    pub(in crate::session) hold: bool,
    /// Savepoints that its transaction had set when it was declared; `None`: that transaction was committed, or there was none.
    uncommitted_since: Option<u32>,
    pub(in crate::session) statement: Arc<str>,
    pub(in crate::session) since: SystemTime,
}

/// How many transactions of the session ended, and how often one went back to a savepoint.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) struct Ends {
    commits: u64,
    rollbacks: u64,
}

impl Cursor {
    /// Whether it is still open after it was away since `before`, and now belongs to no transaction where that was committed.
    fn comes_back(&mut self, before: Ends, now: Ends) -> bool {
        if self.uncommitted_since.is_none() {
            return true;
        }
        if before.commits != now.commits {
            self.uncommitted_since = None;
        }
        before.rollbacks == now.rollbacks && (before.commits == now.commits || self.hold)
    }

    pub(in crate::session) const fn scrolls(&self) -> bool {
        self.reading.scrolls()
    }
}

/// Rows that one FETCH takes, as they come. The cursor goes back to its session when the door has read them.
struct Fetch {
    cursor: Option<Cursor>,
    name: String,
    walk: Walk,
    /// `None`: the cursor has not set out yet.
    left: Option<Stretch>,
    home: Weak<Mutex<Inner>>,
    /// When it took the cursor.
    ends: Ends,
    interrupt: Interrupt,
}

impl Fetch {
    /// The next rows. A cursor whose rows failed is gone.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(cursor) = self.cursor.as_mut() else { return Ok(None) };
        let batch = step(&mut cursor.reading, self.walk, &mut self.left, &self.interrupt).await;
        batch.inspect_err(|_| self.cursor = None)
    }
}

async fn step(
    reading: &mut Reading,
    walk: Walk,
    left: &mut Option<Stretch>,
    interrupt: &Interrupt,
) -> Result<Option<RecordBatch>> {
    let stretch = match *left {
        Some(stretch) => stretch,
        None => reading.set_out(walk, interrupt).await?,
    };
    let Stretch { back, rows } = stretch;
    let batch = if back { reading.backward(rows)? } else { reading.forward(rows, interrupt).await? };
    let read = batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
    *left = Some(Stretch { back, rows: rows - read });
    Ok(batch)
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let (Some(mut cursor), Some(home)) = (self.cursor.take(), self.home.upgrade()) else { return };
        let mut inner = home.lock().unwrap_or_else(PoisonError::into_inner);
        if cursor.comes_back(self.ends, inner.ends) {
            inner.cursors.insert(std::mem::take(&mut self.name), cursor);
        }
    }
}

impl GateSession {
    /// DECLARE: runs the query and keeps its stream. A holdable cursor outlives a transaction that is committed.
    pub(in crate::session) async fn declare(
        &self,
        (prepared, bound, parameters): (&PreparedStatement, &Arc<Bound>, &[ArrayRef]),
        name: &str,
        hold: bool,
        scroll: bool,
    ) -> Result<Outcome> {
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
        let rows = self.run_bound(prepared, bound, parameters).await?;
        let mut reading = if scroll {
            Reading::scrolling(rows.batches, &self.kept_rows)
        } else {
            Reading::forward_only(rows.batches)
        };
        if self.runs.block().is_open() {
            // What the transaction changes after this is not in the cursor's rows.
            let interrupt = self.runs.interrupt(self.inner().settings.timeout());
            reading.begin(&interrupt).await?;
        }
        let cursor = Cursor {
            columns: rows.columns,
            schema: rows.schema,
            reading,
            hold,
            uncommitted_since: self.inner().transaction.savepoints_set(),
            statement: Arc::clone(prepared.parsed.shared_text()),
            since: SystemTime::now(),
        };
        self.inner().cursors.insert(name.to_owned(), cursor);
        Ok(Outcome::Command(CommandTag::Fixed("DECLARE CURSOR".to_owned())))
    }

    pub(in crate::session) async fn fetch(&self, name: &str, walk: Walk) -> Result<Outcome> {
        // Taken out while rows are awaited: the lock is never held over an await.
        let (cursor, ends) = {
            let inner = &mut *self.inner();
            inner.cursors.get(name).ok_or_else(|| no_cursor(name))?.reading.admits(walk)?;
            (inner.cursors.remove(name).ok_or_else(|| no_cursor(name))?, inner.ends)
        };
        let (columns, schema) = (Arc::clone(&cursor.columns), Arc::clone(&cursor.schema));
        let home = Weak::clone(&self.writer.inner);
        let interrupt = self.runs.interrupt(self.inner().settings.timeout());
        let fetch = Fetch { cursor: Some(cursor), name: name.to_owned(), walk, left: None, home, ends, interrupt };
        let batches = futures::stream::try_unfold(fetch, |mut fetch| async {
            Ok(fetch.next().await?.map(|batch| (batch, fetch)))
        });
        Ok(Outcome::Rows(Rows { columns, schema, batches: batches.boxed(), tag: CommandTag::Counted("FETCH") }))
    }

    /// MOVE: as FETCH, and the rows are only counted.
    pub(in crate::session) async fn skip(&self, name: &str, walk: Walk) -> Result<Outcome> {
        let Outcome::Rows(mut rows) = self.fetch(name, walk).await? else {
            return Err(Error::internal("a cursor gave no rows"));
        };
        let mut skipped = 0;
        while let Some(batch) = rows.batches.next().await.transpose()? {
            skipped += batch.num_rows();
        }
        Ok(Outcome::Command(CommandTag::Fixed(format!("MOVE {skipped}"))))
    }

    pub(in crate::session) fn cursor_columns(&self, name: &str) -> Result<Arc<[Column]>> {
        self.inner().cursors.get(name).map(|c| Arc::clone(&c.columns)).ok_or_else(|| no_cursor(name))
    }

    pub(in crate::session) fn close_cursor(&self, name: Option<&str>) -> Result<Outcome> {
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

    /// Reads what the transaction's holdable cursors have not read: its source gives no rows after its end.
    ///
    /// # Errors
    /// 53200: they are more than the session's cursors may keep. Those of reading.
    pub(in crate::session) async fn keep_cursors(&self) -> Result<()> {
        let is_kept = |(_, cursor): &(&String, &mut Cursor)| cursor.hold && cursor.uncommitted_since.is_some();
        let names: Vec<String> =
            self.inner().cursors.iter_mut().filter(is_kept).map(|(name, _)| name.clone()).collect();
        for name in names {
            // Taken out while rows are awaited, as by FETCH.
            let Some(mut cursor) = self.inner().cursors.remove(&name) else { continue };
            let interrupt = self.runs.interrupt(self.inner().settings.timeout());
            cursor.reading.read_ahead(&self.kept_rows, &interrupt).await?;
            self.inner().cursors.insert(name, cursor);
        }
        Ok(())
    }
}

impl Inner {
    /// Ends the cursors of a transaction: all where it was rolled back, but the holdable ones where it was committed.
    pub(in crate::session) fn end_cursors(&mut self, committed: bool) {
        if committed {
            self.ends.commits += 1;
            self.cursors.retain(|_, cursor| cursor.hold);
            self.cursors.values_mut().for_each(|cursor| cursor.uncommitted_since = None);
        } else {
            self.ends.rollbacks += 1;
            self.cursors.retain(|_, cursor| cursor.uncommitted_since.is_none());
        }
    }

    /// Ends the cursors that were declared after a savepoint.
    pub(in crate::session) fn roll_back_cursors_to(&mut self, savepoint: u32) {
        self.ends.rollbacks += 1;
        self.cursors.retain(|_, cursor| cursor.uncommitted_since.is_none_or(|set| set <= savepoint));
    }
}

fn no_cursor(name: &str) -> Error {
    Error::new(ErrorCode::InvalidCursorName, format!("cursor \"{name}\" does not exist"))
}

#[cfg(test)]
mod tests {
    use crate::sql::classify::{Classified, Walk};
    use crate::sql::parse::parse;

    #[test]
    fn move_is_fetch_without_rows_and_abort_is_rollback() {
        let class = |sql: &str| parse(sql).unwrap().first().unwrap().class().clone();
        let moved = |sql: &str| match class(sql) {
            Classified::Move { name, walk } => (name, walk),
            other => panic!("{other:?}"),
        };
        assert_eq!(moved("MOVE 5 FROM c"), ("c".to_owned(), Walk::Forward(Some(5))));
        assert_eq!(moved("move forward all in c"), ("c".to_owned(), Walk::Forward(None)));
        assert_eq!(moved("MOVE BACKWARD 1 FROM c"), ("c".to_owned(), Walk::Backward(Some(1))));
        assert!(matches!(class("FETCH 5 FROM move"), Classified::Fetch { .. }));
        assert!(matches!(class("ABORT"), Classified::Rollback));
        assert!(matches!(class("abort transaction"), Classified::Rollback));
    }

    #[test]
    fn every_direction_of_fetch_is_known() {
        let walk = |sql: &str| match parse(sql).unwrap().first().unwrap().class().clone() {
            Classified::Fetch { name, walk } if name == "c" => walk,
            other => panic!("{sql}: {other:?}"),
        };
        for (sql, expected) in [
            ("FETCH c", Walk::Forward(Some(1))),
            ("FETCH NEXT FROM c", Walk::Forward(Some(1))),
            ("FETCH PRIOR c", Walk::Backward(Some(1))),
            ("FETCH FIRST IN c", Walk::Absolute(1)),
            ("FETCH LAST FROM c", Walk::Absolute(-1)),
            ("FETCH ABSOLUTE 7 FROM c", Walk::Absolute(7)),
            ("FETCH ABSOLUTE -7 FROM c", Walk::Absolute(-7)),
            ("FETCH RELATIVE - 2 c", Walk::Relative(-2)),
            ("FETCH RELATIVE +2 c", Walk::Relative(2)),
            ("FETCH 0 c", Walk::Forward(Some(0))),
            ("FETCH -3 FROM c", Walk::Backward(Some(3))),
            ("FETCH ALL c", Walk::Forward(None)),
            ("FETCH FORWARD c", Walk::Forward(Some(1))),
            ("FETCH FORWARD FROM c", Walk::Forward(Some(1))),
            ("FETCH FORWARD -4 c", Walk::Backward(Some(4))),
            ("FETCH FORWARD ALL FROM c", Walk::Forward(None)),
            ("FETCH BACKWARD c", Walk::Backward(Some(1))),
            ("FETCH BACKWARD 4 IN c", Walk::Backward(Some(4))),
            ("FETCH BACKWARD -4 IN c", Walk::Forward(Some(4))),
            ("FETCH BACKWARD ALL c", Walk::Backward(None)),
        ] {
            assert_eq!(walk(sql), expected, "{sql}");
        }
        for wrong in ["FETCH $1 FROM c", "FETCH 1.5 FROM c", "FETCH ABSOLUTE FROM c", "FETCH 99999999999999999999 c"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
