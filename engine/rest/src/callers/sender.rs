//! Who sent a request, as its route finds it. Looks at no header.

use super::SignedIn;
use querygate_query_api::tokens::{LOOK_EVERY, Standing, TokenRefusal};
use querygate_types::principal::Principal;
use std::sync::Arc;

/// Who sent a request.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) principal: Arc<Principal>,
    /// Of what the request shows.
    pub(crate) standing: Arc<dyn Standing>,
    /// `None` of a key or an issuer's token: it has no session.
    pub(crate) session: Option<SignedIn>,
    /// Names the key or token.
    pub(crate) credential: Option<Arc<str>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("login", &self.principal.login).finish_non_exhaustive()
    }
}

/// Ends when what a request shows no longer holds.
pub(crate) async fn over(standing: &dyn Standing) {
    querygate_web::over(|| standing.holds(), LOOK_EVERY).await;
}

/// What is known of who sent a request.
#[derive(Debug, Clone)]
pub(crate) enum Sender {
    Unknown,
    Known(Identity),
    /// What was shown could not be looked at.
    Refused(TokenRefusal),
}

impl Sender {
    /// Who it is, for routes that are open to all.
    pub(crate) fn known(&self) -> Option<Identity> {
        match self {
            Self::Known(identity) => Some(identity.clone()),
            Self::Unknown | Self::Refused(_) => None,
        }
    }
}
