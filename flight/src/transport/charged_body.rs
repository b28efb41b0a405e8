//! Messages of a user's call while they arrive, charged to the user: each takes its whole length from its head on, and calls are many.
//! Knows no message's content.

use crate::status::status;
use futures::StreamExt as _;
use http_body_util::{BodyStream, StreamBody};
use querygate_query_api::holding::MessageCharge;
use querygate_query_api::service::Session;
use querygate_types::Result;
use std::sync::Arc;
use tonic::body::Body;

/// Bytes of the head of a message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// The messages of a call.
struct CallMessages {
    session: Arc<dyn Session>,
    /// Longer ones are refused by their head.
    most: usize,
    charge: MessageCharge,
    /// The length of the message that is arriving.
    length: usize,
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
    let mut messages =
        CallMessages { session, most, charge: MessageCharge::default(), length: 0, head: 0, came: 0, left: 0 };
    Body::new(StreamBody::new(BodyStream::new(body).map(move |frame| {
        let frame = frame?;
        if let Some(data) = frame.data_ref() {
            messages.take(data).map_err(|error| status(&error))?;
        }
        Ok::<_, tonic::Status>(frame)
    })))
}

impl CallMessages {
    /// Charges for the message that these bytes end in, and no longer for those before.
    ///
    /// # Errors
    /// 53200: its user's account is full.
    fn take(&mut self, mut data: &[u8]) -> Result<()> {
        while let Some((byte, rest)) = data.split_first() {
            if self.left > 0 {
                let body = data.len().min(self.left);
                (self.left, data) = (self.left - body, data.get(body..).unwrap_or_default());
                continue;
            }
            (self.head, self.came, data) = (self.head << 8 | u64::from(*byte), self.came + 1, rest);
            if self.came == HEAD {
                self.length = (self.head & u64::from(u32::MAX)) as usize;
                (self.head, self.came, self.left) = (0, 0, self.length);
            }
        }
        let counts = self.left > 0 && self.length <= self.most;
        self.charge.set(if counts { self.length } else { 0 }, || self.session.holding())
    }
}
