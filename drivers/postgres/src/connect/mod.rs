//! Connections: how one is made, how many there are, which statements they keep prepared, and look-ups over the shared ones.

pub(crate) mod connection;
pub(crate) mod loan;
pub(crate) mod options;
pub(crate) mod passthrough;
pub(crate) mod pipeline;
pub(crate) mod pool;
pub(crate) mod shared_connection;
pub(crate) mod shared_pool;
pub(crate) mod socket;
pub(crate) mod statements;
pub(crate) mod tls;
