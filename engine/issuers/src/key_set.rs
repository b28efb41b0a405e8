//! The public keys of an issuer, out of its document. Fetches nothing.

mod material;
pub(crate) mod tenure;

use crate::algorithm::Algorithm;
use crate::key_set::material::Material;
use crate::key_set::tenure::KeyTenure;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Keys of one set; more are not looked at.
const KEYS_MAX: usize = 100;

/// A key that signatures are checked by.
pub(crate) struct Key {
    made: Made,
    pub(crate) tenure: KeyTenure,
}

/// What of a key makes it another one.
#[derive(PartialEq, Eq)]
struct Made {
    kid: Option<String>,
    /// The one algorithm that it is for, where its issuer says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

/// A key that no signature is checked by, and why.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    kid: Option<String>,
    why: &'static str,
}

/// The keys of an issuer at one time.
pub(crate) struct KeySet {
    keys: Vec<Key>,
    left_out: Vec<LeftOut>,
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
        let (mut keys, mut left_out) = (Vec::<Key>::new(), Vec::new());
        for (place, value) in document.keys.iter().enumerate() {
            let kid = value.get("kid").and_then(Value::as_str).map(str::to_owned);
            let read = if place < KEYS_MAX { Made::read(value) } else { Err("too many keys are before it") };
            match read {
                // Some issuers list a key once for each of its uses.
                Ok(Some(made)) if keys.iter().any(|key| key.made == made) => {}
                Ok(Some(made)) => keys.push(Key { made, tenure: KeyTenure::default() }),
                Ok(None) => {}
                Err(why) => left_out.push(LeftOut { kid, why }),
            }
        }
        Ok(Self { keys, left_out })
    }

    /// How many keys check signatures. By none, no token holds.
    pub(crate) fn count(&self) -> usize {
        self.keys.len()
    }

    /// Takes the place of an earlier set: keys that are in both go on, others of the earlier one end. Counts those.
    pub(crate) fn replace(&mut self, earlier: &Self) -> usize {
        let mut ended = 0;
        for old in &earlier.keys {
            match self.keys.iter_mut().find(|new| new.made == old.made) {
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
        self.left_out == other.left_out
            && self.keys.len() == other.keys.len()
            && self.keys.iter().zip(&other.keys).all(|(one, another)| one.made == another.made)
    }

    /// Tells the log which keys are left out: tokens by them are refused.
    pub(crate) fn tell_left_out(&self, issuer: &str) {
        for LeftOut { kid, why } in self.left_out.iter().take(KEYS_MAX) {
            tracing::warn!(issuer, kid, why, "a key of an issuer is left out: tokens by it are refused");
        }
    }

    /// The keys that a token may be signed by: those that it names, or the only one that it may mean. RFC 7517 lets a set have keys of one
    /// name.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Vec<&Key>, NoKey> {
        let is_meant = |key: &&Key| kid.is_none() || key.made.kid.as_deref() == kid;
        let fitting: Vec<&Key> = self.keys.iter().filter(|key| key.made.fits(algorithm)).filter(is_meant).collect();
        match (fitting.len(), kid) {
            (0, _) => Err(NoKey::Unknown),
            (1, _) | (_, Some(_)) => Ok(fitting),
            (_, None) => Err(NoKey::Ambiguous),
        }
    }
}

impl Key {
    /// Whether the signature of a message is by this key and algorithm.
    pub(crate) fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.made.fits(algorithm) && self.made.material.has_signed(algorithm, message, signature)
    }
}

impl Made {
    /// Reads a key. `None`: it is for something else than signatures.
    fn read(value: &Value) -> Result<Option<Self>, &'static str> {
        let jwk = value.as_object().ok_or("it is no object")?;
        let (used, named) = (text(jwk, "use")?, text(jwk, "alg")?);
        if used.is_some_and(|used| used != "sig") || !verifies(jwk)? {
            return Ok(None);
        }
        let kid = text(jwk, "kid")?.map(str::to_owned);
        let material = Material::read(jwk)?;
        let algorithm = match named {
            None => None,
            Some(named) => Some(Algorithm::named(named).ok_or("it is for an algorithm that is not allowed here")?),
        };
        if algorithm.is_some_and(|algorithm| !material.fits(algorithm)) {
            return Err("it is for an algorithm that keys of its type do not have");
        }
        Ok(Some(Self { kid, algorithm, material }))
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        self.material.fits(algorithm) && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

/// Members without a value are not there: some libraries write all that they know.
fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, &'static str> {
    match jwk.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or("its name, use or algorithm is no text"),
    }
}

/// Whether `key_ops`, where it is there, lists checking signatures.
fn verifies(jwk: &Map<String, Value>) -> Result<bool, &'static str> {
    match jwk.get("key_ops") {
        None | Some(Value::Null) => Ok(true),
        Some(Value::Array(all)) => Ok(all.iter().any(|one| one.as_str() == Some("verify"))),
        Some(_) => Err("its `key_ops` is no list"),
    }
}
