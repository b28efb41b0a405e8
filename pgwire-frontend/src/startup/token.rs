//! A token or API key in place of a password. It goes over the wire as it is, so that it is asked for over TLS only.

use super::{Admission, Ended, Handshake};
use crate::observe;
use crate::report::Report;
use crate::wire::{Reader, Writer};
use querygate_query_api::tokens::{TOKEN_USER, Tokens};
use querygate_types::{Error, ErrorCode};
use std::net::SocketAddr;

const AUTHENTICATION_CLEARTEXT_PASSWORD: i32 = 3;

impl Handshake<'_> {
    /// Asks for a token, and takes who it says the client is.
    pub(super) async fn token(mut self, tokens: &dyn Tokens, peer: SocketAddr) -> Result<Admission, Ended> {
        if !self.transport.is_tls() {
            observe::refused("token_without_tls");
            let error = Error::new(
                ErrorCode::InvalidAuthorization,
                format!("user \"{TOKEN_USER}\" logs in by an API key or token, which is taken over TLS only"),
            );
            return Err(Report::from(error.with_hint("Connect with sslmode=verify-full.")).into_fatal().into());
        }
        self.out.authentication(AUTHENTICATION_CLEARTEXT_PASSWORD, &[]);
        let body = self.response().await?;
        let mut reader = Reader::new(&body);
        let token = reader.cstr().ok().filter(|_| reader.remaining() == 0);
        let Some(token) = token.and_then(|token| std::str::from_utf8(token).ok()) else {
            return Err(Report::fatal(ErrorCode::ProtocolViolation, "invalid password packet size").into());
        };
        let proven = tokens.prove(token, Some(peer)).await.map_err(|refusal| {
            observe::refused("token");
            Ended::from(Report::from(Error::from(refusal)).into_fatal())
        })?;
        Ok(Admission { out: self.out, admitted: proven.into() })
    }
}
