//! Seals what a client carries for us and shows again: tokens and tickets. Knows nothing of what is inside.

use querygate_types::{Error, Result};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of the seal before the body: HMAC-SHA-256.
const SEAL_BYTES: usize = 32;

/// Sixteen random bytes that nobody guesses: names of sessions, statements, transactions, tickets.
pub(crate) type Id = [u8; 16];

/// What a sealed text is for. One cannot stand in for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Token,
    Ticket,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Token => b"querygate flight token\0",
            Self::Ticket => b"querygate flight ticket\0",
        }
    }
}

/// A key of this process: what it sealed is worth nothing after a restart.
pub(crate) struct Seal {
    key: hmac::Key,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    /// Fails when the system gives no random bytes.
    pub(crate) fn new() -> Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self { key: key.map_err(|_| Error::internal("the system gives no random bytes"))? })
    }

    /// The seal and the body behind it.
    pub(crate) fn close(&self, purpose: Purpose, body: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(SEAL_BYTES + body.len());
        sealed.extend_from_slice(self.tag(purpose, body).as_ref());
        sealed.extend_from_slice(body);
        debug_assert_eq!(sealed.len(), SEAL_BYTES + body.len(), "the seal has one length");
        sealed
    }

    /// The body, when the seal is ours and whole. Takes the same time for any wrong seal.
    pub(crate) fn open<'a>(&self, purpose: Purpose, sealed: &'a [u8]) -> Option<&'a [u8]> {
        let (seal, body) = sealed.split_at_checked(SEAL_BYTES)?;
        let mut context = purpose.label().to_vec();
        context.extend_from_slice(body);
        hmac::verify(&self.key, &context, seal).ok()?;
        Some(body)
    }

    fn tag(&self, purpose: Purpose, body: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(purpose.label());
        context.update(body);
        context.sign()
    }
}

/// A new name.
pub(crate) fn random_id() -> Result<Id> {
    let mut id = Id::default();
    SystemRandom::new().fill(&mut id).map_err(|_| Error::internal("the system gives no random bytes"))?;
    Ok(id)
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The moment this far from now, in milliseconds since 1970.
pub(crate) fn later_ms(by: Duration) -> u64 {
    now_ms().saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_its_purpose_its_key_and_its_bytes() {
        let (seal, other) = (Seal::new().unwrap(), Seal::new().unwrap());
        let sealed = seal.close(Purpose::Ticket, b"body");
        assert_eq!(seal.open(Purpose::Ticket, &sealed), Some(&b"body"[..]));
        assert_eq!(seal.open(Purpose::Token, &sealed), None);
        assert_eq!(other.open(Purpose::Ticket, &sealed), None);
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(seal.open(Purpose::Ticket, &altered), None, "{at}");
        }
        for length in 0..sealed.len() {
            assert_eq!(seal.open(Purpose::Ticket, &sealed[..length]), None, "{length}");
        }
    }
}
