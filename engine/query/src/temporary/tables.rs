//! The temporary tables and views of one session, with what its transaction and its savepoints go back to.

use super::change::{CHANGED, NUMBERED};
use super::definition::{Definition, OnCommit};
use crate::bind::workspace::OwnRelations;
use crate::temporary_rows::{ChunkStore, Chunks, RowsReader, TemporaryTable, Wanted, count};
use datafusion::catalog::TableProvider;
use querygate_catalog::deployment::ViewDefinition;
use querygate_catalog::image::TemporarySchema;
use querygate_pg_catalog::LeafToken;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Tables and views that one session may have.
const RELATIONS_MAX: usize = 200;

/// A temporary table or view.
#[derive(Debug, Clone)]
pub(crate) struct TemporaryRelation {
    /// Never used again in its session, as its name may be.
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) kind: TemporaryKind,
}

#[derive(Debug, Clone)]
pub(crate) enum TemporaryKind {
    Table {
        definition: Arc<Definition>,
        rows: Chunks,
    },
    /// `reads`: the temporary relations that it was written over.
    View {
        sql: String,
        reads: Vec<u64>,
    },
}

/// All of them at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct TemporaryRelations {
    relations: Arc<Vec<TemporaryRelation>>,
    /// Unlike that of any other list of relations in the session, whatever rows they have.
    generation: u64,
}

impl TemporaryRelations {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, TemporaryRelation> {
        self.relations.iter()
    }

    /// 0: there have been none yet.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn named(&self, name: &str) -> Option<&TemporaryRelation> {
        self.relations.iter().find(|relation| relation.name == name)
    }

    /// Relations with the views that read them, directly or through others.
    pub(crate) fn with_readers(&self, mut ids: Vec<u64>) -> Vec<u64> {
        // A view is behind what it reads.
        for relation in self.iter() {
            if let TemporaryKind::View { reads, .. } = &relation.kind
                && !ids.contains(&relation.id)
                && reads.iter().any(|read| ids.contains(read))
            {
                ids.push(relation.id);
            }
        }
        ids
    }

    fn rows(&self, id: u64) -> Option<&Chunks> {
        self.relations.iter().find(|relation| relation.id == id).and_then(|relation| match &relation.kind {
            TemporaryKind::Table { rows, .. } => Some(rows),
            TemporaryKind::View { .. } => None,
        })
    }
}

#[derive(Debug, Default)]
struct State {
    now: TemporaryRelations,
    /// What ROLLBACK goes back to; `None`: the block has changed nothing.
    before: Option<TemporaryRelations>,
    /// By the number of a savepoint.
    savepoints: Vec<(u32, TemporaryRelations)>,
    /// The rows that the last change of a table has touched, for its RETURNING.
    changed: Option<(u64, Chunks)>,
    last: u64,
}

/// Those of one session.
#[derive(Debug)]
pub(crate) struct TemporaryTables {
    state: Mutex<State>,
    store: ChunkStore,
    /// Held while a statement makes or changes something: a door may run several statements of one session.
    turn: Arc<Turn<()>>,
}

impl TemporaryTables {
    pub(crate) fn new(store: ChunkStore) -> Self {
        Self { state: Mutex::default(), store, turn: Arc::default() }
    }

    /// Waits until no other statement of the session changes anything.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self) -> &ChunkStore {
        &self.store
    }

    pub(crate) fn now(&self) -> TemporaryRelations {
        self.state().now.clone()
    }

    /// Why no relation of this name may be added: there is one, or there are too many.
    pub(crate) fn refusal(&self, name: &str) -> Option<Error> {
        refusal(&self.state().now, name)
    }

    /// Adds a relation. `holds`: a block is open, which may take it back.
    ///
    /// # Errors
    /// 42P07: there is one of this name. 54000: there are too many.
    pub(crate) fn add(&self, name: &str, kind: TemporaryKind, holds: bool) -> Result<()> {
        let state = &mut *self.state();
        if let Some(error) = refusal(&state.now, name) {
            return Err(error);
        }
        state.save(holds);
        let id = state.next();
        let mut relations = state.now.relations.as_ref().clone();
        relations.push(TemporaryRelation { id, name: name.to_owned(), kind });
        state.now = TemporaryRelations { relations: Arc::new(relations), generation: id };
        Ok(())
    }

    /// Gives a view another query, in its place before what reads it; `false`: there is no view of this name.
    pub(crate) fn replace_view(&self, name: &str, view: &TemporaryKind, holds: bool) -> bool {
        let state = &mut *self.state();
        let is_it = |own: &TemporaryRelation| own.name == name && matches!(own.kind, TemporaryKind::View { .. });
        if !state.now.iter().any(is_it) {
            return false;
        }
        state.save(holds);
        let replaced = state.now.iter().map(|own| match is_it(own) {
            true => TemporaryRelation { kind: view.clone(), ..own.clone() },
            false => own.clone(),
        });
        state.now = TemporaryRelations { relations: Arc::new(replaced.collect()), generation: state.next() };
        true
    }

    /// Takes relations away. `holds` as of [`add`](Self::add).
    pub(crate) fn remove(&self, gone: impl Fn(&TemporaryRelation) -> bool, holds: bool) {
        let state = &mut *self.state();
        if !state.now.iter().any(&gone) {
            return;
        }
        state.save(holds);
        let kept = state.now.iter().filter(|relation| !gone(relation)).cloned().collect();
        state.now = TemporaryRelations { relations: Arc::new(kept), generation: state.next() };
    }

    /// Gives a table these rows, if it still has those that the change was computed of; `changed` are those that it touched.
    ///
    /// # Errors
    /// 42P01: it was dropped. 40001: it was changed meanwhile, by a cursor's statement.
    pub(crate) fn put(&self, id: u64, (before, after): (&Chunks, Chunks), changed: Chunks, holds: bool) -> Result<()> {
        let state = &mut *self.state();
        let now = state.now.rows(id).ok_or_else(gone)?;
        if !Arc::ptr_eq(now, before) {
            let text = "a temporary table was changed by another statement of its session";
            return Err(Error::new(ErrorCode::SerializationFailure, text));
        }
        state.save(holds);
        state.changed = Some((id, changed));
        state.now.relations = Arc::new(state.now.iter().map(|relation| with_rows(relation, id, &after)).collect());
        Ok(())
    }

    /// Undoes a statement that failed: these are those that there were before it.
    pub(crate) fn back_to(&self, before: TemporaryRelations) {
        self.state().now = before;
    }

    pub(crate) fn savepoint(&self, id: u32) {
        let state = &mut *self.state();
        if state.now.generation > 0 || state.before.is_some() {
            state.save(true);
        }
        let now = state.now.clone();
        state.savepoints.push((id, now));
    }

    /// Forgets a savepoint, and those that were set behind it.
    pub(crate) fn release(&self, id: u32) {
        let state = &mut *self.state();
        if let Some(at) = state.savepoints.iter().position(|(own, _)| *own == id) {
            state.savepoints.truncate(at);
        }
    }

    pub(crate) fn roll_back_to(&self, id: u32) {
        let state = &mut *self.state();
        if let Some(at) = state.savepoints.iter().position(|(own, _)| *own == id) {
            state.savepoints.truncate(at + 1);
            if let Some((_, relations)) = state.savepoints.get(at) {
                state.now = relations.clone();
            }
        }
    }

    /// Ends the block, or a statement that is part of none.
    pub(crate) fn end(&self, committed: bool) {
        let state = &mut *self.state();
        state.savepoints.clear();
        state.changed = None;
        match state.before.take() {
            Some(before) if !committed => {
                state.now = before;
                return;
            }
            Some(_) | None => {}
        }
        let ends = |relation| has_end(relation, OnCommit::Drop) || has_end(relation, OnCommit::Empty);
        if !committed || !state.now.iter().any(ends) {
            return;
        }
        let ended = state.now.iter().filter(|relation| has_end(relation, OnCommit::Drop));
        let gone = state.now.with_readers(ended.map(|relation| relation.id).collect());
        let stays = |relation: &&TemporaryRelation| !gone.contains(&relation.id);
        let kept = state.now.iter().filter(stays).map(|relation| match has_end(relation, OnCommit::Empty) {
            true => with_rows(relation, relation.id, &Chunks::default()),
            false => relation.clone(),
        });
        let kept: Vec<TemporaryRelation> = kept.collect();
        let generation = if kept.len() == state.now.relations.len() { state.now.generation } else { state.next() };
        state.now = TemporaryRelations { relations: Arc::new(kept), generation };
    }

    /// What its session binds statements on. `schema`: the session's own name of the schema.
    pub(crate) fn own_relations(
        self: &Arc<Self>,
        relations: &TemporaryRelations,
        schema: String,
        token: &LeafToken,
    ) -> Result<OwnRelations> {
        let (mut tables, mut providers, mut views) = (Vec::new(), Vec::new(), Vec::new());
        for relation in relations.iter() {
            let name = &relation.name;
            match &relation.kind {
                TemporaryKind::View { sql, .. } => views.push(ViewDefinition {
                    schema: schema.clone(),
                    name: name.clone(),
                    sql: sql.clone(),
                    comment: None,
                }),
                TemporaryKind::Table { definition, .. } => {
                    tables.push(definition.relation(name));
                    let own =
                        [(schema.as_str(), Wanted::All), (NUMBERED, Wanted::Numbered), (CHANGED, Wanted::Changed)];
                    for (place, wanted) in own {
                        let of = (name.as_str(), relation.id);
                        let reader = Arc::downgrade(self);
                        let table = TemporaryTable::new(token.clone(), of, definition.schema(), wanted, reader);
                        let table = table.with_named_plan()?;
                        providers.push((place.to_owned(), name.clone(), table as Arc<dyn TableProvider>));
                    }
                }
            }
        }
        Ok(OwnRelations { schema: Some(TemporarySchema { name: schema, tables, providers }), views, charge: None })
    }

    /// Drops all of them.
    pub(crate) fn clear(&self) {
        let state = &mut *self.state();
        let last = state.next();
        *state = State {
            now: TemporaryRelations { generation: last, ..TemporaryRelations::default() },
            last,
            ..State::default()
        };
    }
}

impl RowsReader for TemporaryTables {
    fn rows(&self, id: u64) -> Result<Chunks> {
        self.state().now.rows(id).map(Arc::clone).ok_or_else(gone)
    }

    fn changed(&self, id: u64) -> Result<Chunks> {
        match &self.state().changed {
            Some((of, rows)) if *of == id => Ok(Arc::clone(rows)),
            Some(_) | None => Err(Error::internal("rows of a change of another table were asked for")),
        }
    }

    fn count(&self, id: u64) -> usize {
        self.state().now.rows(id).map_or(0, count)
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn save(&mut self, holds: bool) {
        if holds && self.before.is_none() {
            self.before = Some(self.now.clone());
        }
    }
}

fn has_end(relation: &TemporaryRelation, end: OnCommit) -> bool {
    match &relation.kind {
        TemporaryKind::Table { definition, .. } => definition.on_commit() == end,
        TemporaryKind::View { .. } => false,
    }
}

fn with_rows(relation: &TemporaryRelation, id: u64, rows: &Chunks) -> TemporaryRelation {
    let kind = match &relation.kind {
        TemporaryKind::Table { definition, .. } if relation.id == id => {
            TemporaryKind::Table { definition: Arc::clone(definition), rows: Arc::clone(rows) }
        }
        kind => kind.clone(),
    };
    TemporaryRelation { id: relation.id, name: relation.name.clone(), kind }
}

fn refusal(relations: &TemporaryRelations, name: &str) -> Option<Error> {
    if relations.named(name).is_some() {
        return Some(Error::new(ErrorCode::DuplicateTable, format!("relation \"{name}\" already exists")));
    }
    (relations.relations.len() >= RELATIONS_MAX).then(|| {
        Error::new(ErrorCode::ProgramLimitExceeded, "too many temporary tables")
            .with_detail(format!("A session may have {RELATIONS_MAX}."))
    })
}

fn gone() -> Error {
    Error::new(ErrorCode::UndefinedTable, "the temporary table was dropped")
}
