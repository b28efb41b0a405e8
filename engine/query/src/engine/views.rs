//! Views that no reader has, which only the log says: each reader just lacks them. Reads no row.

use super::Engine;
use crate::bind::reader_rights::ReaderRights;
use querygate_types::principal::Principal;
use std::sync::Arc;

impl Engine {
    /// Warns, beside all else, of views of the current version that cannot be made even for the platform, which sees all objects and fields.
    pub fn warn_of_views(self: &Arc<Self>) {
        if !self.deployment().views.is_empty() {
            let engine = Arc::clone(self);
            self.runtime().spawn(async move { engine.look_at_views().await });
        }
    }

    /// Binds the views once with all rights. What they are bound on is dropped, so that no statement is ever run on it.
    async fn look_at_views(&self) {
        let deployment = self.deployment();
        let platform = Arc::new(Principal::builder("views").build().as_system());
        let rights = Arc::new(ReaderRights::evaluate(&deployment, &platform, self.caches.next_number()));
        match Box::pin(self.make_workspace(&deployment, &platform, rights, None)).await {
            Ok(made) => {
                for (view, error) in &made.missing_views {
                    tracing::warn!(view, %error, "nobody has a view: it cannot be made even for who sees everything");
                }
            }
            Err(error) => tracing::warn!(%error, cause = error.cause(), "views could not be looked at"),
        }
    }
}
