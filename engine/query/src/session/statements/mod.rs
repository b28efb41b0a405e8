//! The life of each statement in a session: prepared, bound anew where it must be, started, looked up again, checked.

pub(in crate::session) mod changes;
mod find_hooks;
pub(super) mod locking;
pub(super) mod lookup;
mod lookup_cache;
pub(super) mod parts;
pub(super) mod prepare;
pub(super) mod prepared;
pub(super) mod question;
pub(super) mod rebind;
pub(super) mod run;
pub(super) mod self_check;
pub(super) mod start;
pub(super) mod trial;
