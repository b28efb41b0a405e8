//! Pages for people: what the gate knows of its own work, drawn here as HTML and SVG without a script. Everything shown is read
//! with the viewer's own rights; knows no engine.

mod auth;
mod chart;
mod cookie;
mod docs;
mod format;
mod headers;
mod html;
mod layout;
mod login;
mod read;
mod site;
mod sql;
mod turns;
mod views;
mod wish;

pub(crate) use site::routes;

use querygate_query_api::service::{Authenticator, QueryService};
use std::sync::Arc;

/// What the pages below `/ui` read with.
#[derive(Clone)]
pub struct Pages {
    pub service: Arc<dyn QueryService>,
    /// The same users as the other doors'.
    pub authenticator: Arc<dyn Authenticator>,
    /// Name of the database, for the sessions' own record.
    pub database: String,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("database", &self.database).finish_non_exhaustive()
    }
}
