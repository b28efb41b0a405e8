//! An XA transaction, which the server can keep, whatever becomes of its connection, until its fate is decided.

use super::MysqlTransaction;
use crate::error::error_number;
use crate::write::error::from_change;
use crate::write::xa::{RBROLLBACK, UNKNOWN, literal, settling};
use querygate_driver_api::write::{CommitError, Fate, GlobalId, PrepareError};
use querygate_types::{Error, ErrorCode};
use sqlx::{AssertSqlSafe, Executor};

/// What a transaction is that began under an id.
#[derive(Debug)]
pub(super) struct XaBranch {
    id: GlobalId,
    is_prepared: bool,
}

impl XaBranch {
    pub(super) const fn begun(id: GlobalId) -> Self {
        Self { id, is_prepared: false }
    }

    pub(super) fn literal(&self) -> String {
        literal(&self.id)
    }

    /// Stores it at once, without others.
    pub(super) fn commit(&self) -> String {
        let id = self.literal();
        format!("XA END {id}; XA COMMIT {id} ONE PHASE")
    }
}

impl MysqlTransaction {
    async fn send(&mut self, text: String) -> Result<(), sqlx::Error> {
        self.lease.session.connection.execute(sqlx::raw_sql(AssertSqlSafe(text))).await.map(drop)
    }

    /// Undoes a transaction that is not prepared. Gives whether nothing of it is left on the connection.
    pub(super) async fn undo_xa(&mut self) -> bool {
        let Some(xa) = &self.xa else { return false };
        let id = xa.literal();
        // It may have ended its work before, or been rolled back in part by the server: both refuse this, and take what follows.
        let ended = self.send(format!("XA END {id}")).await;
        if ended.is_err_and(|error| error_number(&error).is_none()) {
            return false;
        }
        match self.send(format!("XA ROLLBACK {id}")).await {
            Ok(()) => true,
            Err(error) => error_number(&error) == Some(UNKNOWN),
        }
    }

    /// # Errors
    /// [`PrepareError`].
    pub(super) async fn keep(&mut self, id: &GlobalId) -> Result<(), PrepareError> {
        self.verify_open().await.map_err(PrepareError::Refused)?;
        let text = match &self.xa {
            Some(xa) if xa.id == *id => format!("XA END {0}; XA PREPARE {0}", xa.literal()),
            Some(_) => return Err(PrepareError::Refused(Error::internal("the transaction began under another id"))),
            None => return Err(PrepareError::Refused(self.not_xa())),
        };
        self.running.is_running = true;
        let kept = self.send(text).await;
        let Err(error) = kept else {
            self.running.is_running = false;
            if let Some(xa) = &mut self.xa {
                xa.is_prepared = true;
            }
            return Ok(());
        };
        self.running.keeps_savepoints = false;
        let refusal = from_change(&error);
        if error_number(&error).is_some() && refusal.code() != ErrorCode::SourceLost {
            self.running.is_running = false;
            return Err(PrepareError::Refused(refusal));
        }
        Err(PrepareError::Unknown(refusal))
    }

    /// Why it did not begin under its id.
    fn not_xa(&self) -> Error {
        if self.lease.session.keeps_prepared {
            return querygate_driver_api::write::distributed::unsupported();
        }
        let text = "the source is older than MySQL 8.0.30, and keeps no prepared transactions";
        Error::new(ErrorCode::FeatureNotSupported, text)
    }

    /// # Errors
    /// [`CommitError`].
    pub(super) async fn end_kept(mut self, fate: Fate) -> Result<(), CommitError> {
        let id = match &self.xa {
            Some(xa) if xa.is_prepared => xa.id,
            _ => return Err(CommitError::RolledBack(Error::internal("the transaction is not prepared"))),
        };
        let Err(error) = self.send(settling(&id, fate)).await else {
            self.lease.release(true);
            return Ok(());
        };
        let refusal = from_change(&error);
        if fate == Fate::Committed && error_number(&error).is_some_and(|number| RBROLLBACK.contains(&number)) {
            return Err(CommitError::RolledBack(refusal));
        }
        Err(CommitError::unknown(&refusal, None))
    }
}
