//! A webhook as its declaration says it, in closed words. Sends nothing.

use super::Location;
use serde::{Deserialize, Serialize};

/// What a webhook is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the triggers are")]
pub enum WebhookTrigger {
    Create,
    Update,
    Delete,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    pub name: String,
    /// The object whose records it is about.
    pub object: Option<String>,
    /// What it is called for.
    pub triggers: Vec<WebhookTrigger>,
    /// Where it sends.
    pub url: String,
    /// Whether it sends at all.
    pub is_active: bool,
    /// What it asks that this gate does not do, where there is something.
    pub obstacle: Option<String>,
    pub package: String,
    #[serde(skip)]
    pub location: Location,
}
