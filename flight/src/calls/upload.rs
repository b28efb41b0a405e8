//! The messages that a client sends in one call.

use arrow_flight::FlightData;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tonic::Streaming;

/// Bytes, and time, for which the messages of a refused call are still read.
const DRAINED_BYTES_MAX: usize = 64 << 20;
const DRAINED_FOR: Duration = Duration::from_secs(2);

/// What a client sends in one call. Outlives the call's handling, so that the rest can be read when that is over.
pub(crate) type Messages = Arc<Mutex<Streaming<FlightData>>>;

/// The next message; `None` at the end.
pub(crate) async fn next(messages: &Messages) -> Result<Option<FlightData>> {
    messages.lock().await.message().await.map_err(|status| {
        let code = match status.code() {
            tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => ErrorCode::ProgramLimitExceeded,
            _ => ErrorCode::ProtocolViolation,
        };
        Error::new(code, "the client's stream broke off or a message is too large").with_cause(status)
    })
}

/// Reads what a client still sends. Clients that find the call closed while they write, the Go library's among them, report that
/// the stream ended and never read why.
pub(crate) async fn drain(messages: &Messages) {
    let rest = async {
        let mut bytes = 0_usize;
        while bytes < DRAINED_BYTES_MAX
            && let Ok(Some(message)) = messages.lock().await.message().await
        {
            bytes = bytes.saturating_add(size(&message));
        }
    };
    // A client that neither writes nor ends its stream waits for the answer.
    let _ended = tokio::time::timeout(DRAINED_FOR, rest).await;
}

/// Bytes of a message.
pub(crate) fn size(message: &FlightData) -> usize {
    message.data_header.len() + message.data_body.len()
}
