//! SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677) in PostgreSQL's own textual form. Keeps no password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use querygate_query_api::scram::ScramVerifier;
use querygate_types::{Error, Result};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

/// PostgreSQL's default (`scram_iterations`).
pub(crate) const ITERATIONS_DEFAULT: NonZeroU32 = match NonZeroU32::new(4_096) {
    Some(n) => n,
    None => NonZeroU32::MIN,
};
/// Bounds on what a login may cost the server's peer; RFC 7677 asks for at least 4096.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=10_000_000;
/// PostgreSQL's own length.
pub(crate) const SALT_BYTES: usize = 16;
const SALT_BYTES_MAX: usize = 1_024;
/// PostgreSQL's bound on passwords.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// Makes a verifier with a random salt.
pub(crate) fn create(password: &str) -> Result<ScramVerifier> {
    let mut salt = vec![0_u8; SALT_BYTES];
    SystemRandom::new().fill(&mut salt).map_err(|_| Error::internal("the system gives no random bytes"))?;
    Ok(derive(password, &salt, ITERATIONS_DEFAULT))
}

/// Why a password cannot be used.
pub(crate) fn check_password(password: &str) -> std::result::Result<(), &'static str> {
    if password.is_empty() {
        return Err("the password is empty");
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err("the password is longer than 1024 bytes");
    }
    // SASLprep (RFC 4013) maps some characters before hashing; clients do it, so a password that it would change
    // can only be used where both sides agree. Printable ASCII is never changed.
    if !password.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Err("the password has characters outside printable ASCII, which clients may normalize differently");
    }
    Ok(())
}

/// The verifier of a password under a given salt.
pub(crate) fn derive(password: &str, salt: &[u8], iterations: NonZeroU32) -> ScramVerifier {
    let mut salted = [0_u8; digest::SHA256_OUTPUT_LEN];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let server_key = hmac::sign(&key, b"Server Key");
    ScramVerifier {
        iterations: iterations.get(),
        salt: salt.to_vec(),
        stored_key: bytes_32(digest::digest(&digest::SHA256, client_key.as_ref()).as_ref()),
        server_key: bytes_32(server_key.as_ref()),
    }
}

fn bytes_32(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    for (to, from) in array.iter_mut().zip(bytes) {
        *to = *from;
    }
    array
}

/// `SCRAM-SHA-256$iterations:salt$stored:server`, base64 with padding.
pub(crate) fn print(verifier: &ScramVerifier) -> String {
    format!(
        "SCRAM-SHA-256${}:{}${}:{}",
        verifier.iterations,
        BASE64.encode(&verifier.salt),
        BASE64.encode(verifier.stored_key),
        BASE64.encode(verifier.server_key)
    )
}

/// Reads what [`print`] and PostgreSQL's `pg_authid.rolpassword` hold. The error never quotes the text.
pub(crate) fn parse(text: &str) -> std::result::Result<ScramVerifier, &'static str> {
    let rest = text.strip_prefix("SCRAM-SHA-256$").ok_or("it must start with SCRAM-SHA-256$")?;
    let (head, keys) = rest.split_once('$').ok_or("the keys are missing")?;
    let (iterations, salt) = head.split_once(':').ok_or("the salt is missing")?;
    let (stored, server) = keys.split_once(':').ok_or("the server key is missing")?;
    let iterations = iterations.parse().map_err(|_| "the iteration count is not a number")?;
    if !ITERATIONS.contains(&iterations) {
        return Err("the iteration count must be from 4096 to 10000000");
    }
    let salt = BASE64.decode(salt).map_err(|_| "the salt is not base64")?;
    if salt.is_empty() || salt.len() > SALT_BYTES_MAX {
        return Err("the salt must have 1 to 1024 bytes");
    }
    Ok(ScramVerifier { iterations, salt, stored_key: key(stored)?, server_key: key(server)? })
}

fn key(text: &str) -> std::result::Result<[u8; 32], &'static str> {
    let bytes = BASE64.decode(text).map_err(|_| "a key is not base64")?;
    bytes.try_into().map_err(|_| "a key must have 32 bytes")
}

const PASSWORD_ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";

/// A password to hand out: 20 characters of 5 bits each.
pub(crate) fn generate_password() -> Result<String> {
    let mut bytes = [0_u8; 20];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::internal("the system gives no random bytes"))?;
    Ok(bytes.iter().map(|b| char::from(PASSWORD_ALPHABET[usize::from(*b) % PASSWORD_ALPHABET.len()])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a PostgreSQL 15 server: `CREATE USER … PASSWORD 'pencil'` with the salt of RFC 7677's example.
    #[test]
    fn the_rfc_7677_example_holds() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = derive("pencil", &salt, ITERATIONS_DEFAULT);
        assert_eq!(
            print(&verifier),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn print_and_parse_are_inverse_and_salts_differ() {
        let one = create("x").unwrap();
        assert_eq!(parse(&print(&one)).unwrap(), one);
        assert_ne!(one, create("x").unwrap());
    }

    #[test]
    fn what_is_not_a_verifier_is_refused_without_quoting_it() {
        for text in [
            "",
            "hunter2",
            "md5abc",
            "SCRAM-SHA-256$4096:AA==",
            "SCRAM-SHA-256$10:AA==$AA==:AA==",
            "SCRAM-SHA-256$4096:$AA==:AA==",
            "SCRAM-SHA-256$4096:AA==$AA==:AA==",
            "SCRAM-SHA-256$x:AA==$AA==:AA==",
        ] {
            let error = parse(text).unwrap_err();
            assert!(text.is_empty() || !error.contains(text), "{text}");
        }
    }

    #[test]
    fn generated_passwords_are_acceptable() {
        assert_eq!(check_password(&generate_password().unwrap()), Ok(()));
        assert!(check_password("").is_err());
        assert!(check_password("pässword").is_err());
    }
}
