//! What hooks ask of other records (`ctx.api`), and who answers. Knows no session: that is behind [`Records`].

use super::time_bound::TimeBound;
use futures::future::BoxFuture;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::write::Transaction;
use querygate_metadata::model::RunAs;
use querygate_query_api::requests::question::Question;
use querygate_types::Result;
use serde_json::{Map, Value};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Hooks whose changes run further hooks, in one chain, at most.
pub(crate) const DEPTH_MAX: u32 = 10;

/// A call of `ctx.api`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RecordCall {
    Find(Question),
    FindOne(Question),
    Count(Question),
    Insert {
        object: String,
        records: Vec<Map<String, Value>>,
        is_list: bool,
    },
    Update {
        object: String,
        id: String,
        values: Map<String, Value>,
    },
    Upsert {
        object: String,
        values: Map<String, Value>,
    },
    Delete {
        object: String,
        id: String,
    },
    UpdateMany {
        question: Question,
        values: Map<String, Value>,
    },
    DeleteMany {
        question: Question,
    },
    Begin,
    /// The number that its beginning gave.
    Commit(u32),
    RollBack(u32),
}

/// For whom a hook asks.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) hook: Arc<str>,
    /// With whose rights: those of the change, of its user, or of the platform within the user's tenant wall.
    pub(crate) rights: RunAs,
    /// Whether a statement waits for the hook. Otherwise what it changes is a transaction of its own.
    pub(crate) is_waited_for: bool,
    /// Whether what it changes is undone if it fails and its statement goes on.
    pub(crate) may_fail: bool,
}

/// Where what hooks ask for is answered, for the statements of one session.
#[derive(Debug, Clone)]
pub(crate) struct HookRecords(pub(crate) Arc<dyn OpensRecords>);

impl HookRecords {
    /// As it is kept with a transaction.
    pub(crate) fn companion(records: Option<&Arc<Self>>) -> Option<Arc<dyn Any + Send + Sync>> {
        let kept: Arc<dyn Any + Send + Sync> = Arc::clone(records?) as Arc<dyn Any + Send + Sync>;
        Some(kept)
    }
}

/// Opens what one run of a hook asks by.
pub(crate) trait OpensRecords: Send + Sync + fmt::Debug {
    /// Whether runs that have ended changed something.
    fn has_changed(&self) -> bool;

    /// # Errors
    /// 0A000, 53200: it cannot be asked now.
    fn open(&self, asker: Asker) -> Result<Box<dyn Records>>;
}

/// A transaction that a statement lends to what its hooks ask for.
pub(crate) struct Lender<'t> {
    pub(crate) source: &'t Arc<str>,
    pub(crate) driver: &'t Arc<dyn Driver>,
    pub(crate) transaction: &'t mut Transaction,
}

/// Answers the calls of one run of a hook, one after the other.
pub(crate) trait Records: Send {
    /// Whether a change failed whose source cannot undo it alone: then the statement cannot go on.
    fn is_broken(&self) -> bool;

    /// # Errors
    /// What the asker may hear of it. Where the lent transaction has failed for good, it says so ([`Transaction::has_failed`]).
    fn answer<'a>(
        &'a mut self,
        call: RecordCall,
        lender: Option<Lender<'a>>,
        until: &'a TimeBound,
    ) -> BoxFuture<'a, Result<Value>>;

    /// Ends the run. `keeps`: what it changed stays, as far as its transactions ended.
    ///
    /// # Errors
    /// The source's.
    fn close<'a>(&'a mut self, keeps: bool, lender: Option<Lender<'a>>) -> BoxFuture<'a, Result<()>>;
}
