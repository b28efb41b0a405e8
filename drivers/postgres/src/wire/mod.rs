//! Types, values and messages in PostgreSQL's own forms. Knows no connection.

pub(crate) mod bind;
pub(crate) mod cells;
pub(crate) mod copied;
pub(crate) mod declared;
pub(crate) mod frames;
pub(crate) mod numeric;
