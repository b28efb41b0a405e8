//! Public keys, and whether a signature is by one. Knows no document and no token.

use crate::algorithm::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self as known, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::{Map, Value};

/// Bits of a modulus. Below, it can be taken apart; above, each signature costs much.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// What a public key consists of.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point, as are the next.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Material {
    /// Reads the members of a key that its type has.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    pub(crate) fn read(jwk: &Map<String, Value>) -> Result<Self, &'static str> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if text("kty") != Some("oct") && jwk.contains_key("d") {
            return Err("its private part is published with it: everybody can sign by it");
        }
        match (text("kty"), text("crv")) {
            (Some("RSA"), _) => rsa(jwk),
            (Some("EC"), Some("P-256")) => point(jwk, 32).map(Self::P256),
            (Some("EC"), Some("P-384")) => point(jwk, 48).map(Self::P384),
            (Some("OKP"), Some("Ed25519")) => member(jwk, "x", 32).map(Self::Ed25519),
            (Some("EC" | "OKP"), _) => Err("its curve is none of P-256, P-384 and Ed25519"),
            (Some("oct"), _) => Err("it is a secret, and this is a list of public keys"),
            (Some(_), _) => Err("its type is not known here"),
            (None, _) => Err("it has no type"),
        }
    }

    /// Whether keys of this type sign by an algorithm.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => matches!(self, Self::Rsa { .. }),
            Algorithm::Es256 => matches!(self, Self::P256(_)),
            Algorithm::Es384 => matches!(self, Self::P384(_)),
            Algorithm::Ed25519 => matches!(self, Self::Ed25519(_)),
        }
    }

    /// Whether the signature of a message is by this key and algorithm.
    pub(crate) fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let by_point = |algorithm: &'static dyn VerificationAlgorithm, key: &Vec<u8>| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature)
        };
        let checked = match (self, algorithm) {
            (Self::Rsa { modulus, exponent }, algorithm) => match rsa_parameters(algorithm) {
                Some(parameters) => {
                    RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signature)
                }
                None => return false,
            },
            (Self::P256(key), Algorithm::Es256) => by_point(&known::ECDSA_P256_SHA256_FIXED, key),
            (Self::P384(key), Algorithm::Es384) => by_point(&known::ECDSA_P384_SHA384_FIXED, key),
            (Self::Ed25519(key), Algorithm::Ed25519) => by_point(&known::ED25519, key),
            (Self::P256(_) | Self::P384(_) | Self::Ed25519(_), _) => return false,
        };
        checked.is_ok()
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&known::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&known::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&known::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&known::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&known::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&known::RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::Ed25519 => None,
    }
}

fn decoded(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = jwk.get(name).and_then(Value::as_str).ok_or("it lacks a member of its type")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a member of it is not in base64url")
}

fn member(jwk: &Map<String, Value>, name: &str, bytes: usize) -> Result<Vec<u8>, &'static str> {
    let decoded = decoded(jwk, name)?;
    if decoded.len() == bytes { Ok(decoded) } else { Err("a member of it has not the length that its curve asks for") }
}

fn point(jwk: &Map<String, Value>, bytes: usize) -> Result<Vec<u8>, &'static str> {
    Ok([[4].as_slice(), &member(jwk, "x", bytes)?, &member(jwk, "y", bytes)?].concat())
}

fn rsa(jwk: &Map<String, Value>) -> Result<Material, &'static str> {
    let (modulus, exponent) = (number(jwk, "n")?, number(jwk, "e")?);
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    if !MODULUS_BITS.contains(&bits) {
        return Err("its modulus has less than 2,048 or more than 8,192 bits");
    }
    // From 3 to 33 bits, and odd: others are not checked by.
    let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if !is_odd || exponent == [1] || exponent.len() > 5 {
        return Err("its exponent is none that signatures are checked by");
    }
    Ok(Material::Rsa { modulus, exponent })
}

/// Some libraries write a zero before the first byte, which RFC 7518 asks to leave out.
fn number(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let decoded = decoded(jwk, name)?;
    let zeros = decoded.iter().take_while(|byte| **byte == 0).count();
    Ok(decoded.into_iter().skip(zeros).collect())
}
