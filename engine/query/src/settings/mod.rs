//! The closed list of a session's settings, those that clients make up beside it, and how their values are read and shown. Knows no session.

mod custom;
pub(crate) mod durations;
pub(crate) mod list;
mod mode;
pub(crate) mod zone;
