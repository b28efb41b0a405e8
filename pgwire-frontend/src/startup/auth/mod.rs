//! Proof of identity: SCRAM-SHA-256 with and without channel binding. Knows no socket and no principal.

mod channel_binding;
mod scram;

pub(crate) use channel_binding::tls_server_end_point;
pub(crate) use scram::{Exchange, Refused, SCRAM_SHA_256, SCRAM_SHA_256_PLUS};
