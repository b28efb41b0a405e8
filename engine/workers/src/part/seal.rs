//! Seals of parts: Ed25519 over the part's bytes. Only the gate can make one; a worker holds the public half. A seal is good for one
//! process of a worker, one run and half a minute.

use super::{Part, RELEASE};
use querygate_types::{Error, ErrorCode, Result};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Bytes of a sealed part.
pub const SEALED_BYTES_MAX: usize = 8 << 20;

/// Bytes of a signature, which stands before the part.
const SIGNATURE_BYTES: usize = 64;

/// What else this key signs must never pass for a part.
const DOMAIN: &[u8] = b"querygate part 1\0";

/// How far the clocks of gate and worker may be apart, in milliseconds.
const SKEW_MS: i64 = 10_000;

/// Parts that a worker remembers to have run; more at once are refused.
const NONCES_MAX: usize = 100_000;

/// What a SubjectPublicKeyInfo of Ed25519 begins with: the algorithm and the length of the key.
const PUBLIC_KEY_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The gate's half of the key.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// Reads a key in PKCS #8, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|error| bad_key(error.to_string()))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        pair.map(Self).map_err(|error| bad_key(error.to_string()))
    }

    /// The half that workers verify with.
    #[must_use]
    pub fn verifying(&self) -> VerifyingKey {
        VerifyingKey(self.0.public_key().as_ref().to_vec())
    }

    /// Seals a part.
    ///
    /// # Errors
    /// 54000: it is larger than a part may be.
    pub fn seal(&self, part: &Part) -> Result<Vec<u8>> {
        let mut signed = DOMAIN.to_vec();
        signed = postcard::to_extend(part, signed).map_err(Error::internal)?;
        let signature = self.0.sign(&signed);
        let mut sealed = signature.as_ref().to_vec();
        sealed.extend_from_slice(signed.get(DOMAIN.len()..).unwrap_or_default());
        if sealed.len() > SEALED_BYTES_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "a part for a worker is too large"));
        }
        Ok(sealed)
    }
}

/// A worker's half of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey(Vec<u8>);

impl VerifyingKey {
    /// Reads a public key, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// It is none, or not one of Ed25519.
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|error| bad_key(error.to_string()))?;
        match der.as_ref().strip_prefix(&PUBLIC_KEY_PREFIX) {
            Some(key) if key.len() == 32 => Ok(Self(key.to_vec())),
            Some(_) | None => Err(bad_key("it is no public key of Ed25519".to_owned())),
        }
    }
}

fn bad_key(why: String) -> Error {
    Error::new(ErrorCode::ConfigInvalid, "a key for sealed parts cannot be used").with_detail(why)
}

/// Why a part is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not signed with the gate's key, or altered since.
    Unsigned,
    /// Signed, and no part of this release.
    Malformed,
    OtherRelease,
    OtherWorker,
    /// For a process that was at this address before.
    OtherStart,
    Expired,
    /// From a clock that is ahead.
    NotYet,
    Replayed,
    /// Too many parts in too short a time to remember them.
    Crowded,
}

impl Refusal {
    /// For logs and the gate.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unsigned => "the part is not signed by the gate",
            Self::Malformed => "the part cannot be read",
            Self::OtherRelease => "the part is of another release",
            Self::OtherWorker => "the part is for another worker",
            Self::OtherStart => "the part is for a worker of before a restart",
            Self::Expired => "the part has expired",
            Self::NotYet => "the part is of a time to come: the clocks differ",
            Self::Replayed => "the part was run before",
            Self::Crowded => "too many parts at once",
        }
    }
}

/// A part whose seal was verified. Only [`VerifyingKey::open`] makes one.
#[derive(Debug)]
pub struct Verified(Part);

impl Verified {
    /// The part.
    #[must_use]
    pub fn part(&self) -> &Part {
        &self.0
    }
}

impl VerifyingKey {
    /// Verifies a seal, before anything else is read, and takes the part's one run.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn open(
        &self,
        sealed: &[u8],
        worker: &str,
        now_ms: i64,
        nonces: &Nonces,
    ) -> std::result::Result<Verified, Refusal> {
        let Some((signature, bytes)) = sealed.split_at_checked(SIGNATURE_BYTES) else { return Err(Refusal::Unsigned) };
        if sealed.len() > SEALED_BYTES_MAX {
            return Err(Refusal::Unsigned);
        }
        let signed = [DOMAIN, bytes].concat();
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(&signed, signature).map_err(|_| Refusal::Unsigned)?;
        let (part, rest) = postcard::take_from_bytes::<Part>(bytes).map_err(|_| Refusal::Malformed)?;
        if !rest.is_empty() {
            return Err(Refusal::Malformed);
        }
        if part.release != RELEASE {
            return Err(Refusal::OtherRelease);
        }
        if part.worker != worker {
            return Err(Refusal::OtherWorker);
        }
        if part.start != nonces.start {
            return Err(Refusal::OtherStart);
        }
        if part.issued_ms.saturating_sub(SKEW_MS) > now_ms {
            return Err(Refusal::NotYet);
        }
        if part.expires_ms.saturating_add(SKEW_MS) < now_ms {
            return Err(Refusal::Expired);
        }
        nonces.take(part.nonce, part.expires_ms.saturating_add(SKEW_MS), now_ms)?;
        Ok(Verified(part))
    }
}

/// Parts that were run by this process and have not expired.
#[derive(Debug)]
pub struct Nonces {
    start: [u8; 16],
    known: Mutex<HashMap<[u8; 16], i64>>,
}

impl Nonces {
    /// None yet, of a process that has just started.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn begin() -> Result<Self> {
        let mut start = [0; 16];
        SystemRandom::new().fill(&mut start).map_err(Error::internal)?;
        Ok(Self { start, known: Mutex::default() })
    }

    /// What gates are told to seal parts for.
    #[must_use]
    pub fn start(&self) -> [u8; 16] {
        self.start
    }

    fn take(&self, nonce: [u8; 16], until_ms: i64, now_ms: i64) -> std::result::Result<(), Refusal> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains_key(&nonce) {
            return Err(Refusal::Replayed);
        }
        if known.len() >= NONCES_MAX / 2 {
            known.retain(|_, until| *until >= now_ms);
        }
        if known.len() >= NONCES_MAX {
            return Err(Refusal::Crowded);
        }
        known.insert(nonce, until_ms);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
