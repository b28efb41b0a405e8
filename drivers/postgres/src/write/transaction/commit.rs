//! The commit of a transaction, by itself or behind a last change in the same way to the server.

use super::PostgresTransaction;
use crate::error::is_lost;
use crate::write::encode::{Sent, arrays, forms};
use crate::write::error::from_change;
use crate::write::pipeline;
use crate::write::stop::Answer;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::{ChangeSet, CommitError, NativeChange, SourceTransaction, Violation};
use querygate_types::{Error, Result};
use std::sync::Arc;
use tokio_postgres::Statement;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

/// A COMMIT of what has failed would be answered like one that succeeded; the statement before it is not.
const COMMIT: &str = "SELECT 1; COMMIT";

impl PostgresTransaction {
    /// # Errors
    /// [`CommitError`].
    pub(super) async fn commit_alone(mut self: Box<Self>) -> Result<(), CommitError> {
        if self.begin.is_some() {
            self.lease.give_back();
            return Ok(());
        }
        self.running.is_running = false;
        let committed = self.lease.connection.client.batch_execute(COMMIT).await;
        self.ended(committed).await
    }

    /// Sends a change and the commit behind it, before the first is answered.
    ///
    /// # Errors
    /// [`CommitError`].
    pub(super) async fn commit_behind(
        mut self: Box<Self>,
        change: &NativeChange,
        rows: &ChangeSet,
    ) -> Result<(), CommitError> {
        let has_begun = self.begin.is_none();
        let ready = if has_begun && change.shape.returning.is_empty() {
            self.counted(change, rows).await.map(Some)
        } else {
            self.change_alone(change, rows).await.map(|()| None)
        };
        let (statement, sent) = match ready {
            Ok(Some(ready)) => ready,
            Ok(None) => return self.commit_alone().await,
            Err(error) => return self.undone(error).await,
        };
        let path = match self.path(&change.shape.table) {
            Ok(path) => path,
            Err(error) => return self.undone(error).await,
        };
        self.running.is_running = false;
        let connection = &self.lease.connection;
        let (changed, committed) =
            pipeline::change_and_commit(connection, path.as_deref(), &statement, sent, COMMIT).await;
        match (changed, committed) {
            (Ok(()), Some(committed)) => {
                self.entered(&change.shape.table);
                self.ended(committed).await
            }
            // Nothing is committed behind what the server refuses; and what was not sent has no commit behind it.
            (Err(error), Some(Err(_))) if error.as_db_error().is_some() && !is_lost(&error) => {
                let refusal = self.refused(&error);
                self.undone(refusal).await
            }
            (Err(error), None) => {
                let refusal = self.refused(&error);
                self.undone(refusal).await
            }
            (Err(error), Some(_)) => Err(CommitError::unknown(&from_change(self.source(), &error), self.mark.clone())),
            (Ok(()), None) => self.undone(Error::internal("a transaction was not committed")).await,
        }
    }

    async fn change_alone(&mut self, change: &NativeChange, rows: &ChangeSet) -> Result<()> {
        let (applied, _) = self.change(change, rows, None, &ExecuteContext::default()).await?;
        if u64::try_from(rows.len()).ok() == Some(applied.count) {
            Ok(())
        } else {
            Err(Violation::Serialization.error())
        }
    }

    /// The change as a statement that fails unless it meets as many rows of the table as it is for: its answer comes after the commit was
    /// sent.
    async fn counted(&mut self, change: &NativeChange, rows: &ChangeSet) -> Result<(Statement, Vec<Sent>)> {
        let forms = forms(&change.shape)?;
        let mut types: Vec<Type> = forms.iter().map(|form| form.array()).collect();
        let mut sent = arrays(&forms, rows.rows())?;
        types.push(Type::INT8);
        sent.push(Sent::count(rows.len())?);
        let text = format!(
            "WITH changed AS ({} RETURNING 1) SELECT 1 / (count(*) = ${})::int FROM changed",
            change.statement.text,
            types.len()
        );
        let prepared = self.lease.connection.prepared_change(&Arc::from(text), &types).await;
        Ok((prepared.map_err(|error| self.failed(&error))?, sent))
    }

    fn refused(&mut self, error: &tokio_postgres::Error) -> Error {
        if error.code() == Some(&SqlState::DIVISION_BY_ZERO) {
            return Violation::Serialization.error().with_cause("a last change met other rows");
        }
        self.failed(error)
    }

    async fn undone(self: Box<Self>, error: Error) -> Result<(), CommitError> {
        self.rollback().await;
        Err(CommitError::RolledBack(error))
    }

    /// What became of it by the answer to its commit.
    async fn ended(mut self: Box<Self>, committed: Answer<()>) -> Result<(), CommitError> {
        let Err(error) = committed else {
            self.lease.connection.search_path = self.schema;
            self.lease.give_back();
            return Ok(());
        };
        let refusal = from_change(self.source(), &error);
        // What the server refuses in words of its own was not stored.
        if error.as_db_error().is_some() && !is_lost(&error) {
            return self.undone(refusal).await;
        }
        Err(CommitError::unknown(&refusal, self.mark.clone()))
    }
}
