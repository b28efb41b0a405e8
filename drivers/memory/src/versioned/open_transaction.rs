//! What one transaction does to rows: it holds them, changes them, undoes that, and commits. Each step is whole, and none waits.

use super::cells::{Cells, bytes, key};
use super::store::{Column, Row, State, Table, Version, View, at};
use querygate_driver_api::value::Value;
use querygate_driver_api::write::Violation;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A transaction's own part of the state.
#[derive(Debug)]
pub(super) struct OpenTransaction {
    pub(super) id: u64,
    pub(super) snapshot: u64,
    /// What was done, in its order.
    log: Vec<Done>,
    /// Tables that were read.
    pub(super) read: BTreeSet<Arc<str>>,
    /// Bytes of `log`, which are among those of the state.
    log_bytes: usize,
    /// A row could not go back to what it was, because its table has other columns since: all that is left is a rollback.
    is_lost: bool,
}

/// About what a step of the log takes beside the row that it goes back to.
const STEP_BYTES: usize = size_of::<Done>();

#[derive(Debug)]
struct Done {
    table: Arc<str>,
    row: u64,
    before: Option<Option<Cells>>,
    /// Columns of `before`, in their order.
    columns: Arc<[Column]>,
    /// Whether the row was held before.
    was_held: bool,
}

impl Done {
    fn bytes(&self) -> usize {
        STEP_BYTES + self.before.iter().flatten().map(bytes).sum::<usize>()
    }
}

/// Why a step was not done.
#[derive(Debug)]
pub(super) enum StepError {
    /// Another open transaction holds the row: it may be free soon.
    Held,
    Refused(Error),
}

impl From<Violation> for StepError {
    fn from(violation: Violation) -> Self {
        Self::Refused(violation.error())
    }
}

fn gone() -> StepError {
    StepError::Refused(Error::new(ErrorCode::SourceSchemaChanged, "the table is not in the source any more"))
}

/// Whether rows of a table are rows of these columns.
pub(super) fn has_columns(table: &Table, columns: &Arc<[Column]>) -> bool {
    Arc::ptr_eq(&table.columns, columns) || table.columns == *columns
}

impl OpenTransaction {
    pub(super) fn begin(state: &mut State) -> Self {
        let (id, snapshot) = (state.next_transaction, state.version);
        state.next_transaction += 1;
        *state.snapshots.entry(snapshot).or_default() += 1;
        Self { id, snapshot, log: Vec::new(), read: BTreeSet::new(), log_bytes: 0, is_lost: false }
    }

    pub(super) const fn view(&self) -> View {
        View::Of { transaction: self.id, snapshot: self.snapshot }
    }

    /// How much was done, for a savepoint.
    pub(super) const fn done(&self) -> usize {
        self.log.len()
    }

    /// Keeps others from changing a row. One that has changed or held it since this one began was first.
    pub(super) fn hold(&mut self, state: &mut State, table: &Arc<str>, row: u64) -> Result<(), StepError> {
        let found = state.tables.get_mut(table).ok_or(StepError::from(Violation::Serialization))?;
        let columns = Arc::clone(&found.columns);
        let chain = found.rows.get_mut(&row).ok_or(StepError::from(Violation::Serialization))?;
        match chain.holder {
            Some(holder) if holder == self.id => return Ok(()),
            Some(_) => return Err(StepError::Held),
            None => {}
        }
        if chain.touched > self.snapshot || chain.versions.last().is_some_and(|last| last.since > self.snapshot) {
            return Err(Violation::Serialization.into());
        }
        chain.holder = Some(self.id);
        self.note(state, Done { table: Arc::clone(table), row, before: None, columns, was_held: false });
        Ok(())
    }

    /// Remembers a step. What it goes back to is kept as long as the transaction is open, and is held as rows are.
    fn note(&mut self, state: &mut State, done: Done) {
        let bytes = done.bytes();
        (self.log_bytes, state.bytes) = (self.log_bytes + bytes, state.bytes + bytes);
        self.log.push(done);
    }

    /// Forgets a step.
    fn forget(&mut self, state: &mut State, done: &Done) {
        let bytes = done.bytes().min(self.log_bytes);
        self.log_bytes -= bytes;
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// The row that this transaction sees under its primary key.
    pub(super) fn find(&self, state: &State, table: &Arc<str>, values: &[Value]) -> Result<Option<u64>, StepError> {
        let table = state.tables.get(table).ok_or_else(gone)?;
        let (Some(places), Some(wanted)) = (table.keys.first(), key(values)) else { return Ok(None) };
        let has = |row: &u64| {
            let seen = table.rows.get(row).and_then(|row| row.seen(self.view()));
            seen.is_some_and(|cells| key(at(cells, places)).as_ref() == Some(&wanted))
        };
        Ok(table.having(0, &wanted).into_iter().find(has))
    }

    /// Stores a new row.
    pub(super) fn insert(&mut self, state: &mut State, table: &Arc<str>, cells: Cells) -> Result<(), StepError> {
        let row = state.next_row;
        self.admit(state, table, row, &cells)?;
        state.next_row += 1;
        let found = state.tables.get_mut(table).ok_or_else(gone)?;
        let columns = Arc::clone(&found.columns);
        found.rows.insert(row, Row { holder: Some(self.id), ..Row::default() });
        self.note(state, Done { table: Arc::clone(table), row, before: None, columns, was_held: false });
        self.set(state, table, row, Some(cells));
        Ok(())
    }

    /// Makes something else of a row, or nothing.
    pub(super) fn change(
        &mut self,
        state: &mut State,
        table: &Arc<str>,
        row: u64,
        cells: Option<Cells>,
    ) -> Result<(), StepError> {
        self.hold(state, table, row)?;
        if let Some(cells) = &cells {
            self.admit(state, table, row, cells)?;
        }
        let found = state.tables.get(table).ok_or_else(gone)?;
        let before = found.rows.get(&row).ok_or_else(gone)?.pending.clone();
        let columns = Arc::clone(&found.columns);
        self.note(state, Done { table: Arc::clone(table), row, before, columns, was_held: true });
        self.set(state, table, row, cells);
        Ok(())
    }

    fn set(&self, state: &mut State, name: &Arc<str>, row: u64, cells: Option<Cells>) {
        let Some(table) = state.tables.get_mut(name) else { return };
        if let Some(cells) = &cells {
            state.bytes += bytes(cells);
            table.enter(row, cells);
        }
        let before = table.rows.get_mut(&row).and_then(|chain| chain.pending.replace(cells));
        if let Some(before) = before.flatten() {
            state.bytes = state.bytes.saturating_sub(bytes(&before));
            table.leave(row, &before);
        }
    }

    /// Whether no other row has the keys of this one.
    fn admit(&self, state: &State, name: &Arc<str>, row: u64, cells: &Cells) -> Result<(), StepError> {
        let table = state.tables.get(name).ok_or_else(gone)?;
        for (number, places) in table.keys.iter().enumerate() {
            let Some(wanted) = key(at(cells, places)) else {
                if number == 0 && table.has_primary {
                    return Err(Violation::NotNull.into());
                }
                continue;
            };
            let has =
                |cells: Option<&Cells>| cells.is_some_and(|cells| key(at(cells, places)).as_ref() == Some(&wanted));
            for other in table.having(number, &wanted).into_iter().filter(|other| *other != row) {
                let Some(chain) = table.rows.get(&other) else { continue };
                let is_mine = chain.holder == Some(self.id);
                if has(chain.seen(if is_mine { self.view() } else { View::Committed })) {
                    // Its holder may be about to free the key.
                    let is_freed = !is_mine && matches!(&chain.pending, Some(next) if !has(next.as_ref()));
                    return Err(if is_freed { StepError::Held } else { Violation::Unique.into() });
                }
                if !is_mine && chain.pending.iter().any(|next| has(next.as_ref())) {
                    return Err(StepError::Held);
                }
                // It was freed after this transaction began, which would see two rows of one key.
                if !is_mine && has(chain.seen(self.view())) {
                    return Err(Violation::Serialization.into());
                }
            }
        }
        Ok(())
    }

    /// Undoes what was done after that much.
    pub(super) fn undo(&mut self, state: &mut State, done: usize) {
        while self.log.len() > done {
            let Some(done) = self.log.pop() else { return };
            self.forget(state, &done);
            let Done { table: name, row, mut before, columns, was_held } = done;
            let Some(table) = state.tables.get_mut(&name) else { continue };
            if before.as_ref().is_some_and(Option::is_some) && !has_columns(table, &columns) {
                // Its values would be those of other columns.
                (before, self.is_lost) = (None, true);
            }
            let Some(chain) = table.rows.get_mut(&row) else { continue };
            let undone = std::mem::replace(&mut chain.pending, before.clone());
            if !was_held {
                chain.holder = None;
            }
            let is_nothing = chain.versions.is_empty() && chain.holder.is_none();
            if is_nothing {
                table.rows.remove(&row);
            }
            if let Some(undone) = undone.flatten() {
                state.bytes = state.bytes.saturating_sub(bytes(&undone));
                table.leave(row, &undone);
            }
            if let Some(before) = before.flatten() {
                state.bytes += bytes(&before);
                table.enter(row, &before);
            }
        }
    }

    /// Ends it without a trace.
    pub(super) fn rollback(&mut self, state: &mut State) {
        self.undo(state, 0);
        self.close(state);
    }

    /// # Errors
    /// 40001: it is lost.
    pub(super) fn stands(&self) -> Result<()> {
        if self.is_lost { Err(Violation::Serialization.error()) } else { Ok(()) }
    }

    /// Whether it may commit. `alone`: nothing that it read may have changed since it began, or be about to.
    pub(super) fn verify(&self, state: &State, alone: bool) -> Result<()> {
        self.stands()?;
        let changed = |name: &Arc<str>| state.tables.get(name).is_none_or(|table| table.changed > self.snapshot);
        let about_to = |name: &Arc<str>| state.prepared.writes(name);
        if alone && !self.log.is_empty() && self.read.iter().any(|name| changed(name) || about_to(name)) {
            return Err(Violation::Serialization.error());
        }
        Ok(())
    }

    /// Tables in which it holds or has changed rows.
    pub(super) fn written(&self) -> BTreeSet<Arc<str>> {
        self.log.iter().map(|done| Arc::clone(&done.table)).collect()
    }

    /// Makes everything seen by others, or rolls back what may not be.
    pub(super) fn commit(&mut self, state: &mut State, alone: bool) -> Result<()> {
        if let Err(error) = self.verify(state, alone) {
            self.rollback(state);
            return Err(error);
        }
        self.store(state);
        Ok(())
    }

    /// Makes everything seen by others.
    pub(super) fn store(&mut self, state: &mut State) {
        let version = state.version + 1;
        let log = std::mem::take(&mut self.log);
        state.version = if log.is_empty() { state.version } else { version };
        for Done { table: name, row, .. } in log {
            let Some(table) = state.tables.get_mut(&name) else { continue };
            let Some(chain) = table.rows.get_mut(&row) else { continue };
            if chain.holder.take().is_none() {
                continue;
            }
            chain.touched = version;
            if let Some(cells) = chain.pending.take() {
                chain.versions.push(Version { since: version, cells });
                table.changed = version;
                state.stale.insert((name, row));
            }
        }
        self.close(state);
    }

    fn close(&mut self, state: &mut State) {
        state.bytes = state.bytes.saturating_sub(std::mem::take(&mut self.log_bytes));
        if let Some(count) = state.snapshots.get_mut(&self.snapshot) {
            *count -= 1;
            if *count == 0 {
                state.snapshots.remove(&self.snapshot);
            }
        }
        state.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::value::ValueType;

    const LONG: usize = 10_000;

    fn columns(names: &[&str]) -> Arc<[Column]> {
        names.iter().map(|name| Column { name: (*name).into(), value_type: ValueType::Text }).collect()
    }

    fn state() -> (State, Arc<str>) {
        let (mut state, name) = (State::default(), Arc::<str>::from("t"));
        state.tables.insert(Arc::clone(&name), Table::new(columns(&["id", "secret", "title"]), vec![vec![0]], true));
        (state, name)
    }

    fn row(title: &str) -> Cells {
        ["a", "hush", title].map(|text| Value::Text(text.into())).into()
    }

    /// One that has changed a new row a hundred times.
    fn long(state: &mut State, table: &Arc<str>) -> OpenTransaction {
        let (mut open, number) = (OpenTransaction::begin(state), state.next_row);
        open.insert(state, table, row("")).unwrap();
        for _ in 0..100 {
            open.change(state, table, number, Some(row(&"x".repeat(LONG)))).unwrap();
        }
        open
    }

    #[test]
    fn what_a_transaction_may_go_back_to_is_held_as_long_as_it_is_open() {
        let (mut state, table) = state();
        let mut open = long(&mut state, &table);
        assert!(state.bytes > 100 * LONG, "{}", state.bytes);
        open.undo(&mut state, 50);
        assert!((49 * LONG..52 * LONG).contains(&state.bytes), "{}", state.bytes);
        open.rollback(&mut state);
        assert_eq!(state.bytes, 0);
        let mut open = long(&mut state, &table);
        open.commit(&mut state, false).unwrap();
        let held = state.tables[&table].rows.values().filter_map(|row| row.seen(View::Committed)).map(bytes);
        assert_eq!(state.bytes, held.sum::<usize>());
    }

    #[test]
    fn a_row_does_not_go_back_to_values_of_other_columns() {
        let (mut state, table) = state();
        let mut open = OpenTransaction::begin(&mut state);
        open.insert(&mut state, &table, row("one")).unwrap();
        let savepoint = open.done();
        open.change(&mut state, &table, 0, Some(row("two"))).unwrap();
        state.reshape("t", Table::new(columns(&["id", "title"]), vec![vec![0]], true));
        open.undo(&mut state, savepoint);
        let hush = Value::Text("hush".into());
        let kept = state.tables[&table].rows.values().filter_map(|row| row.pending.as_ref()?.as_ref());
        assert!(kept.flat_map(|cells| cells.iter()).all(|value| *value != hush));
        assert_eq!(open.commit(&mut state, false).unwrap_err().code(), ErrorCode::SerializationFailure);
        assert!(state.tables[&table].rows.is_empty() && state.bytes == 0, "{state:?}");
    }
}
