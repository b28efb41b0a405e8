//! Runs of statements about temporary tables: what they make, drop and change.

use super::{TemporaryTask, TemporaryWork};
use crate::bind::statement::Bound;
use crate::errors::{Stage, translate};
use crate::session::gate_session::GateSession;
use crate::session::statements::prepared::PreparedStatement;
use crate::temporary::change::{TemporaryAction, TemporaryChange};
use crate::temporary::changed_table::{ChangedTable, CollectedRows, TableChange, stored};
use crate::temporary::definition::Definition;
use crate::temporary::tables::TemporaryKind;
use crate::temporary_rows::{Chunks, RowsReader, count};
use crate::write::intent::words;
use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectType, Statement as Ast};
use futures::StreamExt;
use querygate_query_api::outcome::{BatchStream, CommandTag, Effect, Notice, Outcome};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

impl GateSession {
    /// Runs what was prepared, anew if the session's relations or its rights are others by now.
    pub(in crate::session) async fn run_temporary(
        &self,
        prepared: &PreparedStatement,
        work: &Arc<TemporaryWork>,
        ast: &Ast,
        parameters: &[ArrayRef],
    ) -> Result<Outcome> {
        if !matches!(work.task, TemporaryTask::Change(_)) {
            self.inner().transaction.refuse_if_read_only(made_or_dropped(ast))?;
        }
        let _turn = self.turn().await?;
        let work = self.fitting_work(prepared, work, ast, parameters).await?;
        let before = self.temporary.now();
        let outcome = self.run_work(prepared, &work, parameters).await;
        if outcome.is_err() {
            // What RETURNING says of changed rows may fail.
            self.temporary.back_to(before);
        }
        if !self.holds_together() {
            self.temporary.end(outcome.is_ok());
        }
        outcome
    }

    /// Waits, as long as the statement may, until no other one of the session changes its tables.
    pub(super) async fn turn(&self) -> Result<OwnedMutexGuard<()>> {
        let interrupt = self.runs.interrupt(self.timeout());
        interrupt.within(async { Ok(self.temporary.turn().await) }).await
    }

    pub(super) fn holds_together(&self) -> bool {
        self.inner().transaction.holds_together()
    }

    async fn fitting_work(
        &self,
        prepared: &PreparedStatement,
        work: &Arc<TemporaryWork>,
        ast: &Ast,
        parameters: &[ArrayRef],
    ) -> Result<Arc<TemporaryWork>> {
        let workspace = self.workspace().await?;
        let is_current = |bound: &&Arc<Bound>| Arc::ptr_eq(bound.workspace(), &workspace);
        let stays = work.generation == self.temporary.now().generation()
            && work.bound.iter().chain(&work.returned).all(|bound| is_current(&bound));
        let fitting = work.bound.as_ref().and_then(|bound| bound.declared_for(&prepared.declared, parameters));
        if stays && fitting.is_none() {
            return Ok(Arc::clone(work));
        }
        let declared = fitting.unwrap_or_else(|| prepared.declared.clone());
        let made = match &work.task {
            TemporaryTask::Change(_) => self.work_of_change(ast, &declared).await?.ok_or_else(|| {
                Error::new(ErrorCode::UndefinedTable, "the temporary table that the statement changes was dropped")
            })?,
            TemporaryTask::MakeTable { .. } | TemporaryTask::MakeView { .. } | TemporaryTask::Drop { .. } => {
                self.work_of(ast, &declared).await?
            }
        };
        Ok(Arc::new(made))
    }

    async fn run_work(
        &self,
        prepared: &PreparedStatement,
        work: &TemporaryWork,
        parameters: &[ArrayRef],
    ) -> Result<Outcome> {
        match &work.task {
            TemporaryTask::MakeTable { name, if_not_exists, definition, fills } => {
                if self.temporary.now().named(name).is_some() && *if_not_exists {
                    self.notice("42P07", &format!("relation \"{name}\" already exists, skipping"));
                    return Ok(tagged(if *fills { "CREATE TABLE AS" } else { "CREATE TABLE" }));
                }
                if let Some(error) = self.temporary.refusal(name) {
                    return Err(error);
                }
                let rows = match &work.bound {
                    None => Chunks::default(),
                    Some(bound) => self.new_rows(prepared, bound, parameters, definition, name).await?,
                };
                let made = count(&rows);
                let kind = TemporaryKind::Table { definition: Arc::clone(definition), rows };
                self.temporary.add(name, kind, self.holds_together())?;
                Ok(if *fills { tagged(&format!("SELECT {made}")) } else { tagged("CREATE TABLE") })
            }
            TemporaryTask::MakeView { name, replaces, view } => {
                let holds = self.holds_together();
                if !(*replaces && self.temporary.replace_view(name, view, holds)) {
                    self.temporary.add(name, view.clone(), holds)?;
                }
                Ok(tagged("CREATE VIEW"))
            }
            TemporaryTask::Drop { object, names, if_exists, cascades } => {
                let ids = self.named_to_drop(*object, names, *if_exists)?;
                self.drop_temporary(*object, ids, *cascades)
            }
            TemporaryTask::Change(change) => self.run_change(prepared, work, change, parameters).await,
        }
    }

    fn named_to_drop(&self, object: ObjectType, names: &[ObjectName], if_exists: bool) -> Result<Vec<u64>> {
        let (is_view, kind) = if object == ObjectType::View { (true, "view") } else { (false, "table") };
        let mut ids = Vec::new();
        for name in names {
            match self.temporary_named(name)? {
                Some(relation) if matches!(relation.kind, TemporaryKind::View { .. }) == is_view => {
                    ids.push(relation.id);
                }
                Some(relation) => {
                    let text = format!("\"{}\" is not a {kind}", relation.name);
                    return Err(Error::new(ErrorCode::WrongObjectType, text));
                }
                None if if_exists => {
                    self.notice("00000", &format!("{kind} \"{}\" does not exist, skipping", words(name)?.join(".")));
                }
                None => {
                    let text = format!("{kind} \"{}\" does not exist", words(name)?.join("."));
                    return Err(Error::new(ErrorCode::UndefinedTable, text));
                }
            }
        }
        Ok(ids)
    }

    /// With the views that read them, where CASCADE asks for it.
    fn drop_temporary(&self, object: ObjectType, ids: Vec<u64>, cascades: bool) -> Result<Outcome> {
        let now = self.temporary.now();
        let all = now.with_readers(ids.clone());
        if let Some(reader) = now.iter().find(|relation| all.contains(&relation.id) && !ids.contains(&relation.id))
            && !cascades
        {
            let name = now.iter().find(|relation| ids.contains(&relation.id)).map_or("", |own| own.name.as_str());
            let kind = if object == ObjectType::View { "view" } else { "table" };
            let text = format!("cannot drop {kind} {name} because other objects depend on it");
            return Err(Error::new(ErrorCode::DependentObjects, text)
                .with_detail(format!("view {} depends on {kind} {name}", reader.name))
                .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        self.temporary.remove(|relation| all.contains(&relation.id), self.holds_together());
        Ok(tagged(if object == ObjectType::View { "DROP VIEW" } else { "DROP TABLE" }))
    }

    async fn run_change(
        &self,
        prepared: &PreparedStatement,
        work: &TemporaryWork,
        change: &TemporaryChange,
        parameters: &[ArrayRef],
    ) -> Result<Outcome> {
        let before = self.temporary.rows(change.id)?;
        let of = TableChange {
            before: Arc::clone(&before),
            definition: Arc::clone(&change.definition),
            table: change.table.as_str().into(),
            tables: Arc::clone(&self.temporary),
        };
        let put = match (&change.action, &work.bound) {
            (TemporaryAction::Truncate, _) | (_, None) => ChangedTable::cleared(),
            (TemporaryAction::Insert(_), Some(bound)) => {
                let new = self.new_rows(prepared, bound, parameters, &change.definition, &change.table).await?;
                self.apart(async move { of.added(new).await }).await?
            }
            (TemporaryAction::Update(assigned), Some(bound)) => {
                let (found, assigned) = (self.collected(prepared, bound, parameters).await?, assigned.clone());
                self.apart(async move { of.updated(&found, &assigned).await }).await?
            }
            (TemporaryAction::Delete, Some(bound)) => {
                let found = self.collected(prepared, bound, parameters).await?;
                self.apart(async move { of.deleted(&found).await }).await?
            }
        };
        let changed = count(&put.changed);
        self.temporary.put(change.id, (&before, put.rows), put.changed, self.holds_together())?;
        let (verb, tag) = match change.action {
            TemporaryAction::Insert(_) => ("INSERT 0", format!("INSERT 0 {changed}")),
            TemporaryAction::Update(_) => ("UPDATE", format!("UPDATE {changed}")),
            TemporaryAction::Delete => ("DELETE", format!("DELETE {changed}")),
            TemporaryAction::Truncate => ("TRUNCATE TABLE", "TRUNCATE TABLE".to_owned()),
        };
        let Some(returned) = &work.returned else { return Ok(tagged(&tag)) };
        let parameters = parameters.get(..returned.parameter_types().len()).unwrap_or(parameters);
        let mut rows = self.run_found(prepared, returned, parameters).await?;
        rows.tag = CommandTag::Counted(verb);
        // All of them before the block may end, which forgets them.
        let batches: Vec<RecordBatch> = self.gathered(rows.batches).await?.batches;
        rows.batches = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
        Ok(Outcome::Rows(rows))
    }

    /// Runs work on rows of a change where queries run, once its query has ended; it may take the statement's time again.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let interrupt = self.runs.interrupt(self.timeout());
        interrupt.within(self.on_workers(work)).await
    }

    /// The rows of a query as those of a table, in whose store they are.
    async fn new_rows(
        &self,
        prepared: &PreparedStatement,
        bound: &Arc<Bound>,
        parameters: &[ArrayRef],
        definition: &Definition,
        table: &str,
    ) -> Result<Chunks> {
        let mut rows = self.run_found(prepared, bound, parameters).await?;
        let mut chunks = Vec::new();
        while let Some(batch) = rows.batches.next().await {
            let batch = batch?;
            if batch.num_rows() > 0 {
                let batch = stored(&batch, definition, table)?;
                let tables = Arc::clone(&self.temporary);
                // The query's own interrupt goes on: a cancel is for it.
                chunks.push(self.on_workers(async move { tables.store().keep(batch) }).await?);
            }
        }
        Ok(chunks.into())
    }

    async fn collected(
        &self,
        prepared: &PreparedStatement,
        bound: &Arc<Bound>,
        parameters: &[ArrayRef],
    ) -> Result<CollectedRows> {
        let rows = self.run_found(prepared, bound, parameters).await?;
        self.gathered(rows.batches).await
    }

    /// All rows of a stream, charged to the statement.
    async fn gathered(&self, mut rows: BatchStream) -> Result<CollectedRows> {
        let charge = MemoryConsumer::new("rows of a change").register(&self.runs.statement_account());
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let grown = charge.try_grow(batch.get_array_memory_size());
            grown.map_err(|error| translate(&error, Stage::Execute))?;
            batches.push(batch);
        }
        Ok(CollectedRows { batches, _charge: charge })
    }

    fn notice(&self, sqlstate: &str, text: &str) {
        let notice = Notice { severity: "NOTICE", sqlstate: sqlstate.to_owned(), message: text.to_owned(), hint: None };
        self.inner().effects.push(Effect::Notice(notice));
    }
}

/// What a read-only transaction calls the statement.
fn made_or_dropped(ast: &Ast) -> &'static str {
    match ast {
        Ast::CreateTable(create) if create.query.is_some() => "CREATE TABLE AS",
        Ast::CreateTable(_) => "CREATE TABLE",
        Ast::CreateView(_) => "CREATE VIEW",
        Ast::Drop { object_type: ObjectType::View, .. } => "DROP VIEW",
        _ => "DROP TABLE",
    }
}

fn tagged(tag: &str) -> Outcome {
    Outcome::Command(CommandTag::Fixed(tag.to_owned()))
}
