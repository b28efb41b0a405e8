//! What clients call, a file each: logging in, sessions' options and actions, what a result will be, its rows, values and rows to store.
//! Holds nothing beyond a call.

pub(crate) mod actions;
pub(crate) mod get;
pub(crate) mod handshake;
pub(crate) mod info;
pub(crate) mod ingest;
pub(crate) mod options;
pub(crate) mod puts;
pub(crate) mod stream;
pub(crate) mod upload;
