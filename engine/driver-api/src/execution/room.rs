//! Who pays for memory. Knows no account.

use querygate_types::Result;
use std::fmt;

/// Memory that is charged to somebody, and given back when it is dropped.
pub trait Room: Send + Sync + fmt::Debug {
    /// # Errors
    /// 53200: there is none.
    fn grow(&self, bytes: usize) -> Result<()>;

    /// Gives some back.
    fn shrink(&self, bytes: usize);
}
