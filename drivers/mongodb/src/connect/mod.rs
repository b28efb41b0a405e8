//! Connections: how many there are, and what is sent over them. Knows no fragment.

pub(crate) mod options;
pub(crate) mod pool;
