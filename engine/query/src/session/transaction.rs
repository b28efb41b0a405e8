//! Transactions of a session: one pinned version of the metadata, and the settings to go back to. What they change at a source is
//! held by their [`TransactionBlock`](querygate_resources::TransactionBlock).

use super::gate_session::{GateSession, Inner};
use crate::settings::list::Settings;
use crate::sql::classify::Classified;
use datafusion::sql::sqlparser::ast::Query;
use querygate_catalog::deployment::Deployment;
use querygate_query_api::outcome::{CommandTag, Outcome};
use querygate_query_api::service::TransactionStatus;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::SystemTime;

/// Transaction state of a session.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    open: Option<Open>,
    /// Statements that hold together though no BEGIN was sent.
    implicit: Option<Implicit>,
}

/// A block without a BEGIN: a door's, of a text of several statements or a pipeline of messages, or that of one change.
#[derive(Debug, Default)]
struct Implicit {
    failed: bool,
    /// What it changes may be of several sources.
    spans: bool,
}

#[derive(Debug)]
struct Open {
    failed: bool,
    /// Begun READ ONLY in words: then procedures are refused, too.
    read_only: bool,
    /// Pinned by the first statement that needs it.
    pinned: Option<Arc<Deployment>>,
    /// Version of the gate's state under which the pinned one's rights were found to hold still.
    rights_hold: u64,
    /// Settings when it began: ROLLBACK restores them.
    before: Settings,
    since: SystemTime,
    /// Settings to keep after COMMIT: changes by SET, without those by SET LOCAL.
    kept: Settings,
    savepoints: Vec<Savepoint>,
    next_savepoint: u32,
}

#[derive(Debug)]
struct Savepoint {
    /// Never used again in its transaction, as its name may be.
    id: u32,
    name: String,
    settings: Settings,
    kept: Settings,
}

impl Transaction {
    /// When it was begun.
    pub(super) fn since(&self) -> Option<SystemTime> {
        self.open.as_ref().map(|open| open.since)
    }

    pub(super) fn status(&self) -> TransactionStatus {
        match &self.open {
            None => TransactionStatus::Idle,
            Some(Open { failed: false, .. }) => TransactionStatus::InTransaction,
            Some(Open { failed: true, .. }) => TransactionStatus::Failed,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A statement failed. Whether that fails a block that was begun in words, and had not failed before.
    pub(super) fn fail(&mut self) -> bool {
        if let Some(open) = &mut self.open {
            return !std::mem::replace(&mut open.failed, true);
        }
        if let Some(implicit) = &mut self.implicit {
            implicit.failed = true;
        }
        false
    }

    /// Whether changes wait for an end to come: a COMMIT, or that of the door's block.
    pub(super) fn holds_together(&self) -> bool {
        self.open.is_some() || self.implicit.is_some()
    }

    /// `spans`: what is changed may be of several sources.
    pub(super) fn begin_implicit(&mut self, spans: bool) {
        self.implicit.get_or_insert_default().spans |= spans;
    }

    /// Whether what is changed may be of several sources: a block that was begun in words, or a door's.
    pub(super) fn may_span(&self) -> bool {
        self.open.is_some() || self.implicit.as_ref().is_some_and(|implicit| implicit.spans)
    }

    /// Ends the door's block. Whether its changes are to be stored; `None`: its statements are those of a transaction, which goes
    /// on, or there is none.
    pub(super) fn end_implicit(&mut self) -> Option<bool> {
        let implicit = self.implicit.take()?;
        if self.open.is_some() { None } else { Some(!implicit.failed) }
    }

    /// Ids of the savepoints, in their order.
    pub(super) fn savepoint_ids(&self) -> Vec<u32> {
        let savepoints = self.open.iter().flat_map(|open| &open.savepoints);
        savepoints.map(|savepoint| savepoint.id).collect()
    }

    /// The id of a savepoint.
    pub(super) fn savepoint_id(&self, name: &str, statement: &str) -> Result<u32> {
        let open = self.open.as_ref().ok_or_else(|| outside(statement))?;
        let found = open.savepoints.iter().rev().find(|savepoint| savepoint.name == name);
        found.map(|savepoint| savepoint.id).ok_or_else(|| missing(name))
    }

    /// Whether it was begun READ ONLY.
    pub(super) fn is_read_only(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.read_only)
    }

    pub(super) fn pin(&mut self, current: impl FnOnce() -> Arc<Deployment>) -> Arc<Deployment> {
        match &mut self.open {
            None => current(),
            Some(open) => Arc::clone(open.pinned.get_or_insert_with(current)),
        }
    }

    /// The pinned version, unless its rights are known to hold under `current`.
    pub(super) fn pinned_with_unchecked_rights(&self, current: u64) -> Option<Arc<Deployment>> {
        let open = self.open.as_ref().filter(|open| open.rights_hold != current)?;
        open.pinned.as_ref().filter(|pinned| pinned.version != current).map(Arc::clone)
    }

    pub(super) fn rights_hold(&mut self, current: u64) {
        if let Some(open) = &mut self.open {
            open.rights_hold = current;
        }
    }

    /// BEGIN. `false`: one was open already.
    pub(super) fn begin(&mut self, settings: &Settings) -> bool {
        if self.open.is_some() {
            return false;
        }
        self.open = Some(Open {
            failed: false,
            read_only: false,
            pinned: None,
            rights_hold: 0,
            before: settings.clone(),
            since: SystemTime::now(),
            kept: settings.clone(),
            savepoints: Vec::new(),
            next_savepoint: 0,
        });
        true
    }

    /// READ ONLY was asked for.
    pub(super) fn set_read_only(&mut self) {
        if let Some(open) = &mut self.open {
            open.read_only = true;
        }
    }

    /// Refuses what READ ONLY was asked to leave out.
    ///
    /// # Errors
    /// 25006.
    pub(super) fn refuse_if_read_only(&self, what: &str) -> Result<()> {
        if !self.is_read_only() {
            return Ok(());
        }
        let text = format!("cannot execute {what} in a read-only transaction");
        Err(Error::new(ErrorCode::ReadOnlyTransaction, text))
    }

    /// A level is chosen before anything is read, and not below a savepoint.
    fn admits_level(&self) -> Result<()> {
        let refused = |text| Err(Error::new(ErrorCode::ActiveTransaction, text));
        match &self.open {
            Some(open) if open.pinned.is_some() => {
                refused("SET TRANSACTION ISOLATION LEVEL must be called before any query")
            }
            Some(open) if !open.savepoints.is_empty() => {
                refused("SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction")
            }
            Some(_) | None => Ok(()),
        }
    }

    /// COMMIT. The settings that hold from now on and whether it committed; `None`: no transaction was open.
    pub(super) fn commit(&mut self) -> Option<(Settings, bool)> {
        let open = self.open.take()?;
        Some(if open.failed { (open.before, false) } else { (open.kept, true) })
    }

    /// ROLLBACK. The settings that hold from now on; `None`: no transaction was open.
    pub(super) fn rollback(&mut self) -> Option<Settings> {
        self.open.take().map(|open| open.before)
    }

    /// Remembers a SET that outlives the transaction.
    pub(super) fn keep(&mut self, change: impl FnOnce(&mut Settings)) {
        if let Some(open) = &mut self.open {
            change(&mut open.kept);
        }
    }

    /// How many savepoints the open transaction has set so far, those that are gone among them; `None`: no transaction is open.
    pub(super) fn savepoints_set(&self) -> Option<u32> {
        let implicit = self.implicit.as_ref().map(|_| 0);
        self.open.as_ref().map(|open| open.next_savepoint).or(implicit)
    }

    /// The id of the savepoint that is set next.
    pub(super) fn next_savepoint(&self) -> Result<u32> {
        let open = self.open.as_ref().ok_or_else(|| outside("SAVEPOINT"))?;
        if open.savepoints.len() >= SAVEPOINTS_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many savepoints"));
        }
        Ok(open.next_savepoint)
    }

    pub(super) fn savepoint(&mut self, name: &str, settings: &Settings) -> Result<()> {
        let id = self.next_savepoint()?;
        let open = self.open.as_mut().ok_or_else(|| outside("SAVEPOINT"))?;
        let savepoint = Savepoint { id, name: name.to_owned(), settings: settings.clone(), kept: open.kept.clone() };
        open.savepoints.push(savepoint);
        open.next_savepoint = id.checked_add(1).ok_or_else(|| Error::internal("no ids are left for savepoints"))?;
        Ok(())
    }

    /// ROLLBACK TO: the savepoint stays, later ones go.
    pub(super) fn rollback_to(&mut self, name: &str) -> Result<Settings> {
        let open = self.open.as_mut().ok_or_else(|| outside("ROLLBACK TO SAVEPOINT"))?;
        let at = open.savepoints.iter().rposition(|s| s.name == name).ok_or_else(|| missing(name))?;
        open.savepoints.truncate(at + 1);
        open.failed = false;
        let Some(savepoint) = open.savepoints.get(at) else { return Err(missing(name)) };
        open.kept = savepoint.kept.clone();
        Ok(savepoint.settings.clone())
    }

    pub(super) fn release(&mut self, name: &str) -> Result<()> {
        let open = self.open.as_mut().ok_or_else(|| outside("RELEASE SAVEPOINT"))?;
        let at = open.savepoints.iter().rposition(|s| s.name == name).ok_or_else(|| missing(name))?;
        open.savepoints.truncate(at);
        Ok(())
    }
}

const SAVEPOINTS_MAX: usize = 1_000;

pub(super) fn outside(what: &str) -> Error {
    Error::new(ErrorCode::NoActiveTransaction, format!("{what} can only be used in transaction blocks"))
}

fn missing(name: &str) -> Error {
    Error::new(ErrorCode::UndefinedSavepoint, format!("savepoint \"{name}\" does not exist"))
}

impl Inner {
    /// Whether a setting may get this value now (`None`: the one that the session began with): the level of a transaction
    /// that has read something stays.
    pub(super) fn admits_setting(&self, name: &str, value: Option<&str>) -> Result<()> {
        if !name.eq_ignore_ascii_case("transaction_isolation") {
            return Ok(());
        }
        let level = match value {
            Some(level) => level.trim().to_lowercase(),
            None => self.settings.get("default_transaction_isolation")?,
        };
        if self.settings.get("transaction_isolation")? == level { Ok(()) } else { self.transaction.admits_level() }
    }
}

impl GateSession {
    /// Whether a transaction may be begun in this mode: READ WRITE where changes are enabled.
    pub(in crate::session) fn admits_mode(&self, read_only: Option<bool>) -> Result<()> {
        if read_only != Some(false) || self.gate.options().writes {
            return Ok(());
        }
        Err(Error::new(ErrorCode::FeatureNotSupported, "cannot set transaction read-write mode")
            .with_hint("This gate reads; every transaction is read-only."))
    }

    /// Nothing that a transaction read goes away under it: all there is to do is to find the tables.
    pub(super) async fn lock(&self, tables: &[Box<Query>]) -> Result<Outcome> {
        if !self.inner().transaction.is_open() {
            return Err(outside("LOCK TABLE"));
        }
        for table in tables {
            self.bind_query(table, &[], None).await?;
        }
        Ok(Outcome::Command(CommandTag::Fixed("LOCK TABLE".to_owned())))
    }

    /// A failed transaction admits only what ends it, and so does one whose rights were taken away.
    pub(super) fn admits(&self, class: &Classified) -> Result<()> {
        if self.inner().transaction.status() != TransactionStatus::Failed {
            return self.rights_hold(class);
        }
        match class {
            Classified::Commit | Classified::Rollback | Classified::RollbackTo(_) => Ok(()),
            Classified::Query(_)
            | Classified::Question(_)
            | Classified::RecordChange
            | Classified::Write(_)
            | Classified::Temporary(_)
            | Classified::Locking { .. }
            | Classified::Explain { .. }
            | Classified::CopyIn(_)
            | Classified::CopyOut { .. }
            | Classified::Set { .. }
            | Classified::Reset(_)
            | Classified::Show(_)
            | Classified::Begin { .. }
            | Classified::SetTransaction { .. }
            | Classified::Savepoint(_)
            | Classified::Release(_)
            | Classified::Declare { .. }
            | Classified::Fetch { .. }
            | Classified::Move { .. }
            | Classified::Close(_)
            | Classified::Prepare { .. }
            | Classified::Execute { .. }
            | Classified::Deallocate(_)
            | Classified::Discard(_)
            | Classified::Call { .. }
            | Classified::Listen(_)
            | Classified::Unlisten(_)
            | Classified::Lock(_) => Err(Error::new(
                ErrorCode::InFailedTransaction,
                "current transaction is aborted, commands ignored until end of transaction block",
            )),
        }
    }
}

#[cfg(test)]
mod tests;
