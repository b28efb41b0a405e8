//! What a message takes while it arrives, charged to the user who sends it: messages may be long, and connections many.

use querygate_query_api::holding::Holding;
use querygate_query_api::service::Session;
use querygate_types::Result;

/// Bytes of a buffer that no connection is charged for.
const FREE: usize = 256 << 10;

/// The charge of a connection for its buffer of input.
#[derive(Debug, Default)]
pub(crate) struct InputCharge {
    /// Made for the first long message.
    holding: Option<Box<dyn Holding>>,
    charged: usize,
}

impl InputCharge {
    /// Charges for a buffer of this size, and no longer for what was there before.
    ///
    /// # Errors
    /// 53200: its user's account is full.
    pub(crate) fn settle(&mut self, buffer: usize, session: &dyn Session) -> Result<()> {
        let bytes = if buffer <= FREE { 0 } else { buffer };
        if bytes == self.charged {
            return Ok(());
        }
        self.holding.get_or_insert_with(|| session.holding()).resize(bytes)?;
        self.charged = bytes;
        Ok(())
    }
}
