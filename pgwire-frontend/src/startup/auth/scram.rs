//! The server's side of SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677) as a pure exchange of texts. Knows no socket.

use crate::random;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use querygate_query_api::scram::ScramVerifier;
use ring::{digest, hmac};

pub(crate) const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
pub(crate) const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Why an exchange ends without a proved identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The message breaks the protocol; the text says how, as PostgreSQL's detail does.
    Malformed(&'static str),
    /// The proof does not fit the verifier.
    WrongProof,
    /// The binding is that of another channel: somebody sits in between.
    ChannelBinding,
    /// The client believes the server has no channel binding, which a man in the middle could have made it believe.
    Downgrade,
    /// An authorization identity, which PostgreSQL does not take either.
    AuthorizationIdentity,
}

/// One exchange; made per connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    verifier: ScramVerifier,
    /// Binding data when TLS is on and offers it.
    channel: Option<Vec<u8>>,
    /// Whether the client picked the -PLUS mechanism.
    plus: bool,
}

/// The exchange after the client's first message.
#[derive(Debug)]
pub(crate) struct Challenged {
    verifier: ScramVerifier,
    nonce: String,
    /// `client-first-message-bare "," server-first-message`.
    transcript: String,
    /// What the client must repeat in `c=`: GS2 header and binding data.
    binding: Vec<u8>,
    plus: bool,
}

impl Exchange {
    pub(crate) fn new(verifier: ScramVerifier, channel: Option<Vec<u8>>, plus: bool) -> Self {
        Self { verifier, channel, plus }
    }

    /// Reads client-first-message; gives server-first-message. `server_nonce` is printable and without commas.
    pub(crate) fn challenge(self, client_first: &str, server_nonce: &str) -> Result<(Challenged, String), Refused> {
        let (flag, rest) = client_first.split_once(',').ok_or(Refused::Malformed("The GS2 header is not complete."))?;
        let (identity, bare) = rest.split_once(',').ok_or(Refused::Malformed("The GS2 header is not complete."))?;
        let bound = match flag {
            "n" if self.plus => return Err(Refused::Malformed("The client selected channel binding but sent none.")),
            "y" if self.plus => return Err(Refused::Malformed("The client selected channel binding but sent none.")),
            "n" => false,
            "y" if self.channel.is_some() => return Err(Refused::Downgrade),
            "y" => false,
            "p=tls-server-end-point" if self.plus => true,
            "p=tls-server-end-point" => {
                return Err(Refused::Malformed("The client selected no channel binding but sent one."));
            }
            _ => return Err(Refused::Malformed("The channel-binding flag is not supported.")),
        };
        match identity {
            "" => {}
            named if named.starts_with("a=") => return Err(Refused::AuthorizationIdentity),
            _ => return Err(Refused::Malformed("The GS2 header is not valid.")),
        }
        let mut attributes = bare.split(',');
        // The user name here is ignored in favour of the startup packet's, as in PostgreSQL.
        attribute(attributes.next(), "n=")?;
        let client_nonce = attribute(attributes.next(), "r=")?;
        if client_nonce.is_empty() || !client_nonce.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            return Err(Refused::Malformed("The nonce holds characters that are not printable."));
        }
        let nonce = format!("{client_nonce}{server_nonce}");
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&self.verifier.salt), self.verifier.iterations);
        let mut binding = format!("{flag},{identity},").into_bytes();
        if bound {
            binding.extend_from_slice(
                self.channel.as_deref().ok_or(Refused::Malformed("There is no channel to bind to."))?,
            );
        }
        let challenged = Challenged {
            verifier: self.verifier,
            nonce,
            transcript: format!("{bare},{server_first}"),
            binding,
            plus: self.plus,
        };
        Ok((challenged, server_first))
    }
}

impl Challenged {
    /// Reads client-final-message; gives server-final-message when the proof fits.
    pub(crate) fn finish(self, client_final: &str) -> Result<String, Refused> {
        let (without_proof, proof) =
            client_final.rsplit_once(",p=").ok_or(Refused::Malformed("The proof is missing."))?;
        let mut attributes = without_proof.split(',');
        let binding = decode(attribute(attributes.next(), "c=")?)?;
        let nonce = attribute(attributes.next(), "r=")?;
        let proof = decode(proof)?;
        if !random::equal(nonce.as_bytes(), self.nonce.as_bytes()) {
            return Err(Refused::Malformed("The nonce does not match."));
        }
        if !random::equal(&binding, &self.binding) {
            return Err(if self.plus {
                Refused::ChannelBinding
            } else {
                Refused::Malformed("The GS2 header changed.")
            });
        }
        let transcript = format!("{},{without_proof}", self.transcript);
        let signature = sign(&self.verifier.stored_key, &transcript);
        if proof.len() != signature.len() {
            return Err(Refused::Malformed("The proof has a wrong length."));
        }
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(p, s)| p ^ s).collect();
        let stored = digest::digest(&digest::SHA256, &client_key);
        if !random::equal(stored.as_ref(), &self.verifier.stored_key) {
            return Err(Refused::WrongProof);
        }
        Ok(format!("v={}", BASE64.encode(sign(&self.verifier.server_key, &transcript))))
    }
}

fn sign(key: &[u8; 32], message: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes()).as_ref().to_vec()
}

fn attribute<'a>(part: Option<&'a str>, name: &'static str) -> Result<&'a str, Refused> {
    part.and_then(|part| part.strip_prefix(name)).ok_or(Refused::Malformed("An expected attribute is missing."))
}

fn decode(text: &str) -> Result<Vec<u8>, Refused> {
    BASE64.decode(text).map_err(|_| Refused::Malformed("An attribute is not valid base64."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::pbkdf2;
    use std::num::NonZeroU32;

    /// RFC 7677, section 3: user "user", password "pencil".
    fn rfc7677() -> ScramVerifier {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::new(4096).unwrap(), &salt, b"pencil", &mut salted);
        let client_key = sign(&salted, "Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key).as_ref().try_into().unwrap();
        let server_key = sign(&salted, "Server Key").try_into().unwrap();
        ScramVerifier { iterations: 4096, salt, stored_key, server_key }
    }

    const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const CLIENT_FINAL: &str =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    #[test]
    fn the_exchange_of_rfc_7677_is_reproduced() {
        let (challenged, first) = Exchange::new(rfc7677(), None, false).challenge(CLIENT_FIRST, SERVER_NONCE).unwrap();
        assert_eq!(first, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert_eq!(challenged.finish(CLIENT_FINAL).unwrap(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn a_wrong_proof_nonce_or_binding_is_refused() {
        let finish = |message: &str| {
            let (challenged, _) = Exchange::new(rfc7677(), None, false).challenge(CLIENT_FIRST, SERVER_NONCE).unwrap();
            challenged.finish(message).unwrap_err()
        };
        assert_eq!(finish(&CLIENT_FINAL.replace("p=dHz", "p=eHz")), Refused::WrongProof);
        assert!(matches!(finish(&CLIENT_FINAL.replace("r=rOpr", "r=rOpq")), Refused::Malformed(_)));
        assert!(matches!(finish(&CLIENT_FINAL.replace("c=biws", "c=eSws")), Refused::Malformed(_)));
        assert!(matches!(finish("c=biws"), Refused::Malformed(_)));
        assert!(matches!(finish(&format!("{CLIENT_FINAL}!")), Refused::Malformed(_)));
    }

    #[test]
    fn headers_that_downgrade_or_lie_are_refused() {
        let check = |header: &str, channel: bool, plus: bool, expected: Refused| {
            let exchange = Exchange::new(rfc7677(), channel.then(|| vec![1; 32]), plus);
            let refused = exchange.challenge(&format!("{header}n=,r=abc"), SERVER_NONCE).unwrap_err();
            assert_eq!(std::mem::discriminant(&refused), std::mem::discriminant(&expected), "{header}");
        };
        check("y,,", true, false, Refused::Downgrade);
        check("n,a=other,", false, false, Refused::AuthorizationIdentity);
        check("n,,", true, true, Refused::Malformed(""));
        check("p=tls-server-end-point,,", true, false, Refused::Malformed(""));
        check("p=tls-unique,,", true, true, Refused::Malformed(""));
        check("z,,", false, false, Refused::Malformed(""));
    }

    #[test]
    fn another_channel_is_noticed() {
        let exchange = Exchange::new(rfc7677(), Some(vec![7; 32]), true);
        let (challenged, _) = exchange.challenge("p=tls-server-end-point,,n=,r=abc", "def").unwrap();
        let mut bound = b"p=tls-server-end-point,,".to_vec();
        bound.extend([8; 32]);
        let message = format!("c={},r=abcdef,p={}", BASE64.encode(bound), BASE64.encode([0; 32]));
        assert_eq!(challenged.finish(&message).unwrap_err(), Refused::ChannelBinding);
    }
}
