//! Messages of a user's call while they arrive, charged to the user: each takes its whole length from its head on, and calls are many.
//! Knows no message's content.

use crate::status::status;
use futures::StreamExt as _;
use http_body_util::{BodyStream, StreamBody};
use querygate_query_api::holding::Holding;
use querygate_query_api::service::Session;
use querygate_types::Result;
use std::sync::Arc;
use tonic::body::Body;

/// Bytes of a message that no call is charged for.
const FREE: usize = 256 << 10;
/// Bytes of the head of a message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// The messages of a call.
struct MessageCharge {
    session: Arc<dyn Session>,
    /// Longer ones are refused by their head.
    most: usize,
    /// Made for the first long message.
    holding: Option<Box<dyn Holding>>,
    charged: usize,
    /// What came of the head.
    head: u64,
    /// Bytes of it that came.
    came: usize,
    /// Bytes of the message that are still to come.
    left: usize,
}

/// The body of a call of this session, whose messages have no more than `most` bytes. Ends with 53200 where its user has no room for a message.
pub(crate) fn charged(body: Body, session: &Arc<dyn Session>, most: usize) -> Body {
    let session = Arc::clone(session);
    let mut charge = MessageCharge { session, most, holding: None, charged: 0, head: 0, came: 0, left: 0 };
    Body::new(StreamBody::new(BodyStream::new(body).map(move |frame| {
        let frame = frame?;
        if let Some(data) = frame.data_ref() {
            charge.take(data).map_err(|error| status(&error))?;
        }
        Ok::<_, tonic::Status>(frame)
    })))
}

impl MessageCharge {
    /// Charges for the message that these bytes end in, and no longer for those before.
    ///
    /// # Errors
    /// 53200: its user's account is full.
    fn take(&mut self, mut data: &[u8]) -> Result<()> {
        let mut length = self.charged;
        while let Some((byte, rest)) = data.split_first() {
            if self.left > 0 {
                let body = data.len().min(self.left);
                (self.left, data) = (self.left - body, data.get(body..).unwrap_or_default());
                continue;
            }
            (self.head, self.came, data, length) = (self.head << 8 | u64::from(*byte), self.came + 1, rest, 0);
            if self.came == HEAD {
                length = (self.head & u64::from(u32::MAX)) as usize;
                (self.head, self.came, self.left) = (0, 0, length);
            }
        }
        let counts = self.left > 0 && (FREE..=self.most).contains(&length);
        self.set(if counts { length } else { 0 })
    }

    fn set(&mut self, bytes: usize) -> Result<()> {
        if bytes != self.charged {
            self.holding.get_or_insert_with(|| self.session.holding()).resize(bytes)?;
            self.charged = bytes;
        }
        Ok(())
    }
}
