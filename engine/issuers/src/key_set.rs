//! The public keys of an issuer, out of its document. Fetches nothing.

use crate::tenure::KeyTenure;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use std::str::FromStr;

/// Keys of one set; more are not looked at.
const KEYS_MAX: usize = 100;

/// A key that signatures are checked by.
pub(crate) struct Key {
    kid: Option<String>,
    /// The one algorithm that it is for, where its issuer says so.
    algorithm: Option<Algorithm>,
    kind: Kind,
    pub(crate) decoding: DecodingKey,
    /// As its issuer wrote it.
    written: Value,
    pub(crate) tenure: KeyTenure,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// The keys of an issuer at one time.
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

/// Why no key is the one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// There is none; there may be one by now.
    Unknown,
    /// There are several, and the token does not say which.
    Ambiguous,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a document. A key that is not for checking signatures, or that is not understood, is left out. A set without any other
    /// is one too: its issuer signs by nothing now.
    pub(crate) fn read(document: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(document).map_err(|_| "it is not a set of keys".to_owned())?;
        if document.keys.len() > KEYS_MAX {
            let keys = document.keys.len();
            tracing::error!(keys, most = KEYS_MAX, "keys of an issuer are left out: tokens by them are refused");
        }
        let keys: Vec<Key> = document.keys.into_iter().take(KEYS_MAX).filter_map(Key::read).collect();
        Ok(Self { keys })
    }

    /// Whether no token can be checked by it.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Takes the place of an earlier set: keys that are in both go on, others of the earlier one end. Counts those.
    pub(crate) fn replace(&mut self, earlier: &Self) -> usize {
        let mut ended = 0;
        for old in &earlier.keys {
            match self.keys.iter_mut().find(|new| new.written == old.written) {
                Some(new) => new.tenure = old.tenure.clone(),
                None => {
                    old.tenure.end();
                    ended += 1;
                }
            }
        }
        ended
    }

    /// Ends all keys.
    pub(crate) fn end(&self) {
        self.keys.iter().for_each(|key| key.tenure.end());
    }

    /// Whether this set says the same as another.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let written = |set: &Self| set.keys.iter().map(|key| key.written.clone()).collect::<Vec<_>>();
        written(self) == written(other)
    }

    /// The key that a token names, or the only one that it may mean.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&Key, NoKey> {
        let mut fitting =
            self.keys.iter().filter(|key| key.fits(algorithm) && (kid.is_none() || key.kid.as_deref() == kid));
        match (fitting.next(), fitting.next()) {
            (None, _) => Err(NoKey::Unknown),
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(NoKey::Ambiguous),
        }
    }
}

impl Key {
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        let common = &jwk.common;
        let signs = match &common.public_key_use {
            None | Some(PublicKeyUse::Signature) => true,
            Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)) => false,
        };
        let operates = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        let kind = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Kind::Rsa,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Kind::P256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => Kind::P384,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Kind::Ed25519,
            // Curves that are not known, and secrets, which have no place among public keys.
            _ => return None,
        };
        let algorithm = match &common.key_algorithm {
            None => None,
            Some(named) => Some(signing(named)?),
        };
        if !signs || !operates {
            return None;
        }
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { kid: jwk.common.key_id, algorithm, kind, decoding, written: value, tenure: KeyTenure::default() })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let by_kind = match algorithm {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => self.kind == Kind::Rsa,
            Algorithm::ES256 => self.kind == Kind::P256,
            Algorithm::ES384 => self.kind == Kind::P384,
            Algorithm::EdDSA => self.kind == Kind::Ed25519,
            // Those with a secret.
            _ => false,
        };
        by_kind && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

/// `None`: a key for something else than signatures.
fn signing(named: &KeyAlgorithm) -> Option<Algorithm> {
    Algorithm::from_str(&named.to_string()).ok()
}
