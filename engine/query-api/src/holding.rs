//! What a door holds for a session: memory of what it has encoded, prepared and bound, and work beyond single statements. Knows no door.

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

/// What a session is kept for beyond single statements, as operators and its user see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupation {
    /// Rows of a table arrive from a client.
    Upload,
    /// Rows of a request are stored one by one.
    Import,
    /// A client is at a record.
    Presence,
    /// An answer is kept up to date.
    LiveAnswer,
    /// A client follows changes.
    Subscription,
}

impl Occupation {
    /// How it is shown.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Import => "import",
            Self::Presence => "presence",
            Self::LiveAnswer => "live answer",
            Self::Subscription => "subscription",
        }
    }
}

/// Bytes of a message that are not charged.
const MESSAGE_FREE: usize = 256 << 10;

/// The charge of a message that arrives, to the user who sends it: messages may be long, and connections and calls many.
#[derive(Debug, Default)]
pub struct MessageCharge {
    /// Made for the first long message.
    holding: Option<Box<dyn Holding>>,
    charged: usize,
}

impl MessageCharge {
    /// Charges for this number of bytes, and no longer for those before. `holding`: makes a charge to the user.
    ///
    /// # Errors
    /// 53200: the user's account is full.
    pub fn set(&mut self, bytes: usize, holding: impl FnOnce() -> Box<dyn Holding>) -> Result<()> {
        let bytes = if bytes <= MESSAGE_FREE { 0 } else { bytes };
        if bytes != self.charged {
            self.holding.get_or_insert_with(holding).resize(bytes)?;
            self.charged = bytes;
        }
        Ok(())
    }
}

/// Of a session whose service does not count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Uncounted;

impl Holding for Uncounted {
    fn resize(&self, _bytes: usize) -> Result<()> {
        Ok(())
    }
}
