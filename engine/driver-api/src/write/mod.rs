//! Changes to a source's tables: what is changed, in which transaction, and what came of it. Knows no policy and no expression of a user.
//!
//! - [`change`]: the columns of a change and its rows;
//! - [`lock`]: reads that keep others from changing what they read;
//! - [`row_update`]: a row that is locked and changed at once;
//! - [`transaction`]: what happens between begin and commit, and what is known after it; [`savepoints`]: where it may go back to;
//! - [`statement_guard`]: how a statement is stopped at its server;
//! - [`distributed`]: ids and outcomes of transactions that change several sources;
//! - [`writer`]: who begins transactions and prints changes;
//! - [`violation`]: how refusals of a source are told.

pub mod change;
pub mod distributed;
pub mod lock;
pub mod row_update;
pub mod savepoints;
pub mod statement_guard;
pub mod transaction;
pub mod violation;
pub mod writer;

pub use change::{Applied, ChangeOp, ChangeSet, ChangeShape, NativeChange, TargetColumn};
pub use distributed::{GateId, GlobalId, Prepare, PrepareError, Settled};
pub use lock::{Lock, LockStrength, LockWait};
pub use row_update::{RenderedUpdate, RowUpdate};
pub use savepoints::Savepoints;
pub use statement_guard::{ServerStop, StatementGuard};
pub use transaction::{
    Alterations, Begin, Capture, ChangeJournal, CommitError, Fate, Intended, Intention, Isolation, ReadAfter, Rows,
    RowsChanged, RowsWritten, SourceTransaction, Transaction, TxMark,
};
pub use violation::Violation;
pub use writer::{Locking, WriteCapabilities, Writer};
