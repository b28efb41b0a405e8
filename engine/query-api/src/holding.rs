//! Memory that a door holds for a session: what it has encoded, prepared and bound. Knows no door.

use querygate_types::Result;
use std::fmt::Debug;

/// A charge to a session's user, given back when it is dropped.
pub trait Holding: Send + Sync + Debug {
    /// Sets the number of bytes that are held from now on.
    ///
    /// # Errors
    /// 53200: there is no room for them; as many are charged as before. Never where there are fewer than before.
    fn resize(&self, bytes: usize) -> Result<()>;
}

/// Of a session whose service does not count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Uncounted;

impl Holding for Uncounted {
    fn resize(&self, _bytes: usize) -> Result<()> {
        Ok(())
    }
}
