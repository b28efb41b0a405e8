//! The life of each statement in a session: prepared, bound anew where it must be, started, looked up again, checked.

mod find_hooks;
mod ingest;
pub(super) mod locking;
pub(super) mod lookup;
mod lookup_cache;
mod parameter_numbers;
pub(super) mod parts;
pub(super) mod prepare;
pub(super) mod prepared;
pub(super) mod question;
pub(super) mod rebind;
mod record;
mod references;
pub(super) mod run;
pub(super) mod self_check;
mod sets;
pub(super) mod start;
pub(super) mod trial;
mod write;
pub(super) mod write_cache;
