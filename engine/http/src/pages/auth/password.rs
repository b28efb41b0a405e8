//! Whether a password proves a SCRAM verifier (RFC 5802). Keeps no password.

use querygate_query_api::ScramVerifier;
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

/// PostgreSQL's bound on passwords, in bytes.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// Takes as long as the verifier's iterations, whatever the password is: what an unknown user gets is made up with
/// iterations too.
pub(crate) fn proves(verifier: &ScramVerifier, password: &str) -> bool {
    let Some(iterations) = NonZeroU32::new(verifier.iterations) else { return false };
    let bytes = password.as_bytes();
    let bounded = bytes.get(..PASSWORD_BYTES_MAX).unwrap_or(bytes);
    let mut salted = [0_u8; digest::SHA256_OUTPUT_LEN];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &verifier.salt, bounded, &mut salted);
    let client_key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), b"Client Key");
    let stored = digest::digest(&digest::SHA256, client_key.as_ref());
    let differ = stored.as_ref().iter().zip(&verifier.stored_key).fold(0_u8, |differ, (a, b)| differ | (a ^ b));
    differ == 0 && bytes.len() <= PASSWORD_BYTES_MAX
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
        assert!(proves(&verifier, "pencil"));
        for wrong in ["", "Pencil", "pencil ", &"pencil".repeat(1_000)] {
            assert!(!proves(&verifier, wrong), "{wrong}");
        }
    }
}
