//! How users prove themselves: SCRAM-SHA-256 verifiers (RFC 5802, RFC 5803). Keeps no password.

use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

/// PostgreSQL's bound on passwords, in bytes.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// A SCRAM-SHA-256 verifier (RFC 5803).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    /// Rounds of PBKDF2; with 0 no password fits.
    pub iterations: u32,
    /// As the client gets it, without base64.
    pub salt: Vec<u8>,
    /// `H(ClientKey)`: proofs of a client are checked by it.
    pub stored_key: [u8; 32],
    /// `HMAC(SaltedPassword, "Server Key")`: the server signs by it.
    pub server_key: [u8; 32],
}

impl std::fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScramVerifier(…)")
    }
}

impl ScramVerifier {
    /// Whether a password that came in clear is the one behind the verifier. Takes as long as the verifier's iterations,
    /// whatever the password is: what an unknown user gets is made up with iterations too. Blocks for that time.
    #[must_use]
    pub fn proves(&self, password: &str) -> bool {
        let Some(iterations) = NonZeroU32::new(self.iterations) else { return false };
        let bytes = password.as_bytes();
        let bounded = bytes.get(..PASSWORD_BYTES_MAX).unwrap_or(bytes);
        let mut salted = [0_u8; digest::SHA256_OUTPUT_LEN];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &self.salt, bounded, &mut salted);
        let client_key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), b"Client Key");
        let stored = digest::digest(&digest::SHA256, client_key.as_ref());
        let differ = stored.as_ref().iter().zip(&self.stored_key).fold(0_u8, |differ, (a, b)| differ | (a ^ b));
        differ == 0 && bytes.len() <= PASSWORD_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;

    /// RFC 7677's example: user `user`, password `pencil`.
    #[test]
    fn the_rfc_7677_password_proves_its_verifier() {
        let key = |text| BASE64.decode(text).unwrap().try_into().unwrap();
        let verifier = ScramVerifier {
            iterations: 4_096,
            salt: BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(),
            stored_key: key("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="),
            server_key: key("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="),
        };
        assert!(verifier.proves("pencil"));
        for wrong in ["", "Pencil", "pencil ", &"pencil".repeat(1_000)] {
            assert!(!verifier.proves(wrong), "{wrong}");
        }
        // A password beyond the bound is refused even where its first bytes are the right ones.
        let long = "x".repeat(PASSWORD_BYTES_MAX);
        let mut salted = [0_u8; 32];
        let rounds = NonZeroU32::new(verifier.iterations).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &verifier.salt, long.as_bytes(), &mut salted);
        let client_key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref()).as_ref().try_into().unwrap();
        let verifier = ScramVerifier { stored_key, ..verifier };
        assert!(verifier.proves(&long));
        assert!(!verifier.proves(&format!("{long}x")));
    }

    #[test]
    fn no_iteration_is_no_verifier_and_none_is_printed() {
        let verifier = ScramVerifier { iterations: 0, salt: vec![1], stored_key: [2; 32], server_key: [3; 32] };
        assert!(!verifier.proves(""));
        assert_eq!(format!("{verifier:?}"), "ScramVerifier(…)");
    }
}
