//! Connections: how one is made and how many there are. Knows no fragment.

mod nodelay;
pub(crate) mod options;
pub(crate) mod pool;
pub(crate) mod session;
