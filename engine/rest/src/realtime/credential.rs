//! Whether what a client showed when it began still stands for the same user, with the same rights.

use crate::auth::copied_credential;
use crate::callers::{Identity, Sender, over};
use crate::site::Site;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use querygate_query_api::tokens::Standing;
use querygate_types::principal::Principal;
use querygate_web::Peer;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How old the knowledge of who follows may be when something is sent.
const KNOWN_FOR: Duration = Duration::from_secs(2);

/// What a client showed.
pub(super) struct Credential {
    site: Arc<Site>,
    /// The header that it stands in.
    shown: Option<(HeaderName, HeaderValue)>,
    peer: Option<Peer>,
    pub(super) principal: Arc<Principal>,
    /// Of what it showed.
    standing: Arc<dyn Standing>,
    known: Instant,
}

impl Credential {
    /// One that was looked at just now, of the request with these headers.
    pub(super) fn new(site: Arc<Site>, headers: &HeaderMap, peer: Option<Peer>, identity: &Identity) -> Self {
        let shown = copied_credential(headers);
        let (principal, standing) = (Arc::clone(&identity.principal), Arc::clone(&identity.standing));
        Self { site, shown, peer, principal, standing, known: Instant::now() }
    }

    /// Ends when what was shown no longer holds, for a client that nothing is sent to.
    pub(super) async fn over(&self) {
        over(&*self.standing).await;
    }

    /// Whether it still holds; looked at anew where that is some time ago.
    pub(super) async fn holds(&mut self) -> bool {
        if !self.standing.holds() {
            return false;
        }
        if self.known.elapsed() < KNOWN_FOR {
            return true;
        }
        // In a box of its own: what it takes to look is not kept by everyone who waits.
        let headers: HeaderMap = self.shown.clone().into_iter().collect();
        let holds = match Box::pin(self.site.sender(&headers, self.peer)).await {
            Sender::Known(identity) => {
                self.standing = identity.standing;
                identity.principal == self.principal
            }
            Sender::Unknown | Sender::Refused(_) => false,
        };
        self.known = Instant::now();
        holds
    }
}
