//! The webhooks that metadata declares: which of them are sent, as whom, and what stands against one. They are refused where no user is named
//! whose rights judge what they are sent: nothing of metadata decides that, and none is left out without a word.

use super::events::{Served, UserWebhook};
use crate::config::{Config, MetadataWebhooks, SentWebhooks};
use querygate_events::{Events, Objects, Webhook, WebhookOptions, Webhooks};
use querygate_metadata::model::{Snapshot, Webhook as Declared, WebhookTrigger};
use querygate_metadata::{Diagnostic, Severity};
use querygate_query_api::requests::events::EventOperation;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// What stands against the webhooks that are active.
pub(crate) fn findings(config: &Config, snapshot: &Snapshot) -> Vec<Diagnostic> {
    let active = snapshot.webhooks.values().filter(|webhook| webhook.is_active);
    active.filter_map(|webhook| finding(config, webhook)).collect()
}

fn finding(config: &Config, webhook: &Declared) -> Option<Diagnostic> {
    let refused = |message: String, hint: &str| {
        let found = Diagnostic::at(Severity::Error, &webhook.location, &message);
        Some(Diagnostic { hint: Some(hint.to_owned()), ..found })
    };
    let name = &webhook.name;
    let sent = match &config.metadata_webhooks {
        MetadataWebhooks::Declined => return None,
        MetadataWebhooks::Unsaid => {
            return refused(
                format!("webhook '{name}' is active, and nothing says whose rights judge what it is sent"),
                "Name a user and a secret in [events.metadata_webhooks], or set `enabled = false` there.",
            );
        }
        MetadataWebhooks::Sent(sent) => sent,
    };
    let Some(events) = &config.events else {
        return refused(format!("webhook '{name}' is active, and no events are kept"), "Write [events] with a `path`.");
    };
    if config.user(&sent.user).is_none() {
        let message = format!("webhook '{name}' is sent as user '{}', whom [[users]] does not have", sent.user);
        return refused(message, "Name a user of [[users]] in [events.metadata_webhooks].");
    }
    if let Some(obstacle) = &webhook.obstacle {
        return refused(
            format!("webhook '{name}' is not sent by this gate: {obstacle}"),
            "Set `isActive: false`, or leave it out and write [[events.webhooks]].",
        );
    }
    if events.webhooks.iter().any(|own| own.name == *name) {
        return refused(format!("webhook '{name}' is in [[events.webhooks]], too"), "Give one of them another name.");
    }
    match (&webhook.object, &events.options.objects) {
        (Some(object), Objects::Named(names)) if !names.contains(object) => {
            let message = format!("webhook '{name}' is about {object}, of which no events are kept");
            refused(message, "Add the object to `objects` of [events].")
        }
        (_, _) => None,
    }
}

/// The webhooks of the metadata that is served.
pub(super) struct Declarations {
    sent: Option<SentWebhooks>,
    events: Option<Arc<Events>>,
    shown: Arc<Webhooks>,
    runtime: Handle,
    running: Mutex<BTreeMap<String, (Declared, AbortHandle)>>,
    served: OnceLock<Serving>,
}

/// What a webhook is served by.
type Serving = Box<dyn Fn() -> Served + Send + Sync>;

impl Declarations {
    pub(super) fn new(config: &Config, events: Option<&Arc<Events>>, shown: Arc<Webhooks>, runtime: Handle) -> Self {
        let sent = match &config.metadata_webhooks {
            MetadataWebhooks::Sent(sent) => Some(sent.clone()),
            MetadataWebhooks::Unsaid | MetadataWebhooks::Declined => None,
        };
        Self { sent, events: events.cloned(), shown, runtime, running: Mutex::default(), served: OnceLock::new() }
    }

    /// The gate serves: sends those of its metadata.
    ///
    /// # Errors
    /// As of [`replace`](Self::replace).
    pub(super) fn begin(&self, snapshot: &Snapshot, served: Serving) -> Result<()> {
        let _ = self.served.set(served);
        self.replace(snapshot)
    }

    /// Sends those of this metadata from now on, and no others, if the gate serves. One that is as it was goes on.
    ///
    /// # Errors
    /// An address that is none, or a file of it that cannot be read: those before it are sent.
    pub(super) fn replace(&self, snapshot: &Snapshot) -> Result<()> {
        let (Some(sent), Some(events), Some(served)) = (&self.sent, &self.events, self.served.get()) else {
            return Ok(());
        };
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let stays = |name: &String, declared: &Declared| {
            let now = snapshot.webhooks.get(name).filter(|webhook| webhook.is_active);
            now.is_some_and(|now| {
                (&now.url, &now.object, &now.triggers) == (&declared.url, &declared.object, &declared.triggers)
            })
        };
        running.retain(|name, (declared, task)| {
            let stays = stays(name, declared);
            if !stays {
                task.abort();
                self.shown.remove(name);
            }
            stays
        });
        for declared in snapshot.webhooks.values().filter(|webhook| webhook.is_active) {
            if running.contains_key(&declared.name) {
                continue;
            }
            let options = WebhookOptions {
                name: declared.name.clone(),
                address: declared.url.clone(),
                secret: sent.secret.expose().as_bytes().to_vec(),
                give_up: sent.give_up,
                private_addresses: sent.private_addresses,
            };
            let webhook = Webhook::new(options, &events.options().directory)?;
            self.shown.add(Arc::clone(&webhook));
            let operations = declared.triggers.iter().map(|trigger| operation(*trigger)).collect();
            let own = UserWebhook::declared(webhook, sent.user.clone(), declared.object.clone(), operations);
            let task = self.runtime.spawn(own.deliver(served()));
            running.insert(declared.name.clone(), (declared.clone(), task.abort_handle()));
        }
        Ok(())
    }
}

/// # Errors
/// One that is active cannot be sent.
pub(super) fn check(config: &Config, snapshot: &Snapshot) -> Result<()> {
    match findings(config, snapshot).into_iter().next() {
        None => Ok(()),
        Some(found) => {
            let error = Error::new(ErrorCode::ConfigInvalid, format!("{}: {}", found.location, found.message));
            Err(match found.hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            })
        }
    }
}

const fn operation(trigger: WebhookTrigger) -> EventOperation {
    match trigger {
        WebhookTrigger::Create => EventOperation::Insert,
        WebhookTrigger::Update => EventOperation::Update,
        WebhookTrigger::Delete => EventOperation::Delete,
    }
}
