//! The closed list of a session's settings, and how their values are read and shown. Knows no session.

pub(crate) mod durations;
pub(crate) mod list;
mod mode;
pub(crate) mod zone;
