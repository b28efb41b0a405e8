//! Connections to the server of a source that are kept: `pool_size`, `acquire_timeout` and `connect_timeout`. Knows no kind of server.

use crate::config::syntax::table::Table;
use std::time::Duration;

/// How many connections there are, and how long is waited for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolBounds {
    pub(crate) size: u32,
    /// For one that is free.
    pub(crate) acquire_timeout: Duration,
    /// For one that is made.
    pub(crate) connect_timeout: Duration,
}

impl Default for PoolBounds {
    fn default() -> Self {
        let timeout = Duration::from_secs(10);
        Self { size: 8, acquire_timeout: timeout, connect_timeout: timeout }
    }
}

/// Reads the keys. `None` after a mistake, which has been reported.
pub(super) fn resolve(table: &Table<'_>) -> Option<PoolBounds> {
    let default = PoolBounds::default();
    let size = table.number("pool_size", 1..=256).map_or(Some(default.size), |size| u32::try_from(size.value).ok());
    let timeout = |key, default| table.duration(key).map_or(default, |time| time.value);
    Some(PoolBounds {
        acquire_timeout: timeout("acquire_timeout", default.acquire_timeout),
        connect_timeout: timeout("connect_timeout", default.connect_timeout),
        size: size?,
    })
}
