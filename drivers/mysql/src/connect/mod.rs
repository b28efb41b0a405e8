//! Connections: how one is made and how many there are. Knows no fragment.

pub(crate) mod options;
pub(crate) mod pool;
pub(crate) mod session;
