//! One transaction, as the gate drives it: rows of one table, which wait beside it for their commit.

use super::fit::Template;
use super::pending::{Mark, Pending, Unstored};
use super::target::AppendTarget;
use super::unique::{Seen, alone, check};
use super::{blocking, unsupported};
use arrow::array::RecordBatch;
use arrow::compute::cast;
use async_trait::async_trait;
use querygate_driver_api::execution::{BatchStream, ExecuteContext, NativeStatement};
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{
    Alterations, Applied, ChangeOp, ChangeSet, CommitError, NativeChange, Rows, Savepoints, SourceTransaction, TxMark,
};
use querygate_types::{Error, Result};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// A transaction, whose files are removed where it is dropped.
#[derive(Debug)]
pub(super) struct AppendTransaction {
    target: AppendTarget,
    pending: Arc<Pending>,
    /// Where the table's files are, once rows were stored.
    folder: Option<PathBuf>,
    template: Option<Arc<Template>>,
    savepoints: Savepoints<Mark>,
    /// Of each set of unique columns.
    seen: Vec<Seen>,
    /// Held while rows are added to a table some of whose values are unique.
    alone: Option<File>,
    has_ended: bool,
}

impl Drop for AppendTransaction {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        // A step whose caller has gone may still be writing.
        let pending = Arc::clone(&self.pending);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || pending.end())),
            Err(_) => pending.end(),
        }
    }
}

impl AppendTransaction {
    pub(super) fn begin(target: AppendTarget, context: &ExecuteContext) -> Self {
        let pending = Arc::new(Pending::new(target.table()));
        if let Some(uncommitted) = &context.uncommitted {
            uncommitted.show(&Arc::new(pending.own_files()));
        }
        Self {
            seen: target.unique().iter().map(|_| Seen::default()).collect(),
            target,
            pending,
            folder: None,
            template: None,
            savepoints: Savepoints::default(),
            alone: None,
            has_ended: false,
        }
    }

    fn is_of(&self, table: &TableRef) -> Result<()> {
        if table == self.target.name() {
            return Ok(());
        }
        Err(unsupported("a transaction that adds rows to several tables of files is not supported")
            .with_hint("Commit the rows of one table before others are added."))
    }

    async fn template(&mut self) -> Result<Arc<Template>> {
        if let Some(template) = &self.template {
            return Ok(Arc::clone(template));
        }
        self.folder = Some(self.target.admits().await?);
        let template = Arc::new(Template::of(self.target.table()).await?);
        Ok(Arc::clone(self.template.insert(template)))
    }

    async fn add(&mut self, change: &NativeChange, rows: &RecordBatch, context: &ExecuteContext) -> Result<Applied> {
        self.is_of(&change.shape.table)?;
        if change.shape.op != ChangeOp::Insert {
            return Err(unsupported("the source takes new rows only"));
        }
        let is_late = context.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if context.cancel.is_cancelled() || is_late {
            return Err(context.over().await);
        }
        let template = self.template().await?;
        let columns: Vec<_> = change.shape.columns().cloned().collect();
        let fitted = template.fit(rows, &columns, &self.target.table().names)?;
        for (set, seen) in self.target.unique().iter().zip(&mut self.seen) {
            if self.alone.is_none() {
                self.alone = Some(alone(self.target.table(), context).await?);
            }
            check(self.target.table(), (&self.pending, seen), set, (rows, &columns), context).await?;
        }
        let pending = Arc::clone(&self.pending);
        blocking(move || pending.write(&template, &fitted)).await?;
        let count = u64::try_from(rows.num_rows()).map_err(Error::internal)?;
        let mut applied = Applied { count, stored: Vec::new() };
        if !change.shape.returning.is_empty() {
            applied.keep(given(change, rows)?)?;
        }
        Ok(applied)
    }
}

/// The rows as they are read then: as they were given, which the files hold exactly.
fn given(change: &NativeChange, rows: &RecordBatch) -> Result<RecordBatch> {
    let mut arrays = Vec::with_capacity(change.shape.returning.len());
    for wanted in &change.shape.returning {
        let own = wanted.value_type.to_arrow();
        let at = change.shape.columns().position(|column| column.name == wanted.name);
        arrays.push(match at.and_then(|at| rows.columns().get(at)) {
            Some(values) => cast(values, &own).map_err(Error::internal)?,
            None => arrow::array::new_null_array(&own, rows.num_rows()),
        });
    }
    RecordBatch::try_new(Arc::clone(&change.statement.schema), arrays).map_err(Error::internal)
}

#[async_trait]
impl SourceTransaction for AppendTransaction {
    async fn query<'a>(&'a mut self, _: &Arc<NativeStatement>, _: &[Value], _: ExecuteContext) -> Result<Rows<'a>> {
        Err(unsupported("the source takes new rows only"))
    }

    async fn apply(&mut self, change: &NativeChange, rows: &ChangeSet, context: &ExecuteContext) -> Result<Applied> {
        self.add(change, rows.rows(), context).await
    }

    async fn load(&mut self, change: &NativeChange, mut rows: BatchStream, context: &ExecuteContext) -> Result<u64> {
        let mut count = 0;
        while let Some(batch) = context.next_of(&mut rows).await? {
            count += self.add(change, &batch, context).await?.count;
        }
        Ok(count)
    }

    /// Rows are stored as they are given, or refused.
    async fn alterations(&mut self, table: &TableRef) -> Result<Option<Alterations>> {
        self.is_of(table)?;
        Ok(Some(Alterations::default()))
    }

    async fn savepoint(&mut self, id: u32) -> Result<()> {
        self.savepoints.set(id, self.pending.mark());
        Ok(())
    }

    async fn rollback_to(&mut self, id: u32) -> Result<()> {
        let mark = self.savepoints.back_to(id)?;
        let (pending, template) = (Arc::clone(&self.pending), self.template.clone());
        blocking(move || pending.back_to(mark, template.as_deref())).await
    }

    async fn release(&mut self, id: u32) -> Result<()> {
        self.savepoints.release(id)
    }

    fn keeps_savepoints(&self) -> bool {
        true
    }

    fn mark(&self) -> Option<TxMark> {
        None
    }

    async fn commit(mut self: Box<Self>) -> Result<(), CommitError> {
        let Some(folder) = self.folder.take() else { return Ok(()) };
        self.has_ended = true;
        let shared = Arc::clone(&self.target.table().shared);
        // Files are not written anew meanwhile, which would put another folder in the place of the table's.
        let stays = shared.replacing.read().await;
        let (pending, template) = (Arc::clone(&self.pending), self.template.clone());
        let stored = tokio::task::spawn_blocking(move || pending.store(template.as_deref(), &folder)).await;
        drop(stays);
        shared.relist();
        match stored {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Unstored::Nothing(error))) => Err(CommitError::RolledBack(error)),
            Ok(Err(Unstored::Unsynced(error))) => Err(CommitError::unknown(&error, None)),
            Err(join) => Err(CommitError::unknown(&Error::internal(join), None)),
        }
    }

    async fn rollback(mut self: Box<Self>) {
        self.has_ended = true;
        let pending = Arc::clone(&self.pending);
        drop(tokio::task::spawn_blocking(move || pending.end()).await);
    }
}
