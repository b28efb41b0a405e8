//! A sealed part: everything that a worker needs to give the rows of some files of one governed leaf, signed by the gate. Closed: what
//! has no place in it stays in the gate.

mod condition;
mod expression;
mod infix;
mod joining;
mod leaf;
mod seal;
mod steps;
mod tables;

pub(crate) use joining::{SIDES_BYTES_MAX, SideWriter, is_sent};
pub use leaf::Leaf;
pub use seal::{Nonces, Refusal, SEALED_BYTES_MAX, SigningKey, Verified, VerifyingKey};
pub(crate) use steps::Link;
pub use steps::Steps;

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How long a part may wait for its run, in milliseconds.
pub const LIFETIME_MS: i64 = 30_000;

/// What the gate asks one worker for, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Version of the software: what conditions mean is agreed on by being the same.
    pub release: String,
    /// Which gate, since its start.
    pub gate: [u8; 16],
    /// Of this part alone.
    pub nonce: [u8; 16],
    /// Address of the worker, as the gate calls it.
    pub worker: String,
    /// Of the worker's process, as it said to the gate: another process at this address knows nothing of the parts that were run.
    pub start: [u8; 16],
    /// Version of the gate's deployment that the leaf was planned on.
    pub deployment: u64,
    /// Milliseconds since 1970.
    pub issued_ms: i64,
    pub expires_ms: i64,
    pub leaf: Arc<Leaf>,
    /// What is done with the rows that the leaf gives. `None`: nothing.
    pub steps: Option<Arc<Steps>>,
    /// Rows that the steps join with: what the gate made of other tables for the same reader.
    pub sides: Arc<[Arc<Vec<u8>>]>,
    /// What is read, in this order: never another file, and no other version of one.
    pub files: Arc<[FileVersion]>,
}

/// One file as the gate listed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    /// Relative to the source.
    pub path: String,
    pub bytes: u64,
    /// Nanoseconds since 1970.
    pub modified_ns: i64,
    /// From which byte to which; `None`: the whole file.
    pub range: Option<(i64, i64)>,
}

/// The release that seals and takes parts here.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");
