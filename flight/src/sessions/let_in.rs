//! The session that a call was let in with, from the entrance to the call.

use super::session::FlightSession;
use querygate_types::{Error, Result};
use std::sync::Arc;
use tonic::Request;

/// What the entrance leaves with a call that it lets in.
#[derive(Clone)]
pub(crate) struct LetIn(pub(crate) Arc<FlightSession>);

/// The session of a call that was let in.
///
/// # Errors
/// Internal: the call did not pass the entrance.
pub(crate) fn session<T>(request: &Request<T>) -> Result<Arc<FlightSession>> {
    let let_in = request.extensions().get::<LetIn>().map(|LetIn(session)| Arc::clone(session));
    let_in.ok_or_else(|| Error::internal("a call has no session"))
}
