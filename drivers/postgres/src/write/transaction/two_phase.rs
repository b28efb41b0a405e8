//! A transaction that the server keeps, whatever becomes of its connection, until its fate is decided.

use super::PostgresTransaction;
use crate::error::is_lost;
use crate::write::error::from_change;
use crate::write::prepared_transactions::{not_kept, settling};
use querygate_driver_api::write::{Fate, GlobalId, PrepareError};
use querygate_types::{Error, Result};

impl PostgresTransaction {
    /// # Errors
    /// [`PrepareError`].
    pub(super) async fn prepare_transaction(&mut self, id: &GlobalId) -> Result<(), PrepareError> {
        if !self.can_prepare {
            return Err(PrepareError::unsupported());
        }
        // Nothing was sent: there is nothing to keep.
        if self.begin.is_some() {
            return Ok(());
        }
        self.running.is_running = true;
        // What has failed would be rolled back without a word; the statement before it is refused.
        let text = format!("SELECT 1; PREPARE TRANSACTION '{id}'");
        let Err(error) = self.lease.connection.client.batch_execute(&text).await else {
            self.running.is_running = false;
            self.prepared = Some(*id);
            return Ok(());
        };
        self.running.keeps_savepoints = false;
        if error.as_db_error().is_some() && !is_lost(&error) {
            self.running.is_running = false;
            return Err(PrepareError::Refused(not_kept(self.source(), &error)));
        }
        Err(PrepareError::Unknown(from_change(self.source(), &error)))
    }

    /// # Errors
    /// It is not known whether it has ended.
    pub(super) async fn end_prepared(self, fate: Fate) -> Result<()> {
        if let Some(id) = self.prepared {
            let ended = self.lease.connection.client.batch_execute(&settling(&id, fate)).await;
            ended.map_err(|error| from_change(self.source(), &error))?;
        } else if self.begin.is_none() {
            return Err(Error::internal("the transaction is not prepared"));
        }
        let Self { mut lease, schema, .. } = self;
        // Settings outlast what is prepared, as they do a commit.
        lease.connection.search_path = schema;
        lease.give_back();
        Ok(())
    }
}
