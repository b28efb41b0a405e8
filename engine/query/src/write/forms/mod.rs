//! Changes that take the steps in a way of their own: ON CONFLICT, MERGE, one row by its key, one record, sets of values, rows
//! that come while they are stored, and locks alone.

pub(crate) mod at_once;
pub(crate) mod by_key;
pub(crate) mod conflict;
pub(crate) mod ingest;
pub(crate) mod locking;
pub(crate) mod merge;
pub(crate) mod record;
pub(crate) mod sets;
