//! Events beside the gate: their log, who prints rows for those who follow them, who is asked what became of a transaction, and webhooks.

use super::learning::Place;
use crate::config::Config;
use futures::{FutureExt, StreamExt};
use querygate_catalog::deployment::SourceStatus;
use querygate_events::{EVENTS_AT_ONCE, Events, FateOf, Objects, Parcel, Webhook, WebhookOptions, Webhooks};
use querygate_metadata::model::Snapshot;
use querygate_query::{Engine, EngineOptions, EventFeed};
use querygate_query_api::requests::events::{
    ChangeEvent, EventFilter, EventOperation, EventStream, Followed, Sequence,
};
use querygate_query_api::service::{Authenticator, ClientInfo, Door, QueryService, Session};
use querygate_query_api::tokens::{Admitted, LOOK_EVERY, Standing};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::Handle;

/// Opens the log, if the configuration names one.
///
/// # Errors
/// Its folder cannot be used; it is about an object that metadata does not have.
pub(super) fn open(config: &Config, snapshot: &Snapshot, runtime: &Handle) -> Result<Option<Arc<Events>>> {
    let Some(settings) = &config.events else { return Ok(None) };
    if let Objects::Named(names) = &settings.options.objects
        && let Some(unknown) = names.iter().find(|name| snapshot.object(name).is_none())
    {
        let text = format!("`objects` of [events] names `{unknown}`, which metadata does not have");
        return Err(Error::new(ErrorCode::ConfigInvalid, text));
    }
    let outboxes = config.sources.iter().filter_map(|source| Some((source.name.clone(), source.outbox.clone()?)));
    Events::open(settings.options.clone(), outboxes.collect(), runtime.clone()).map(Some)
}

/// Settles what the last process left, by what the sources of the gate say.
///
/// # Errors
/// The log cannot be read.
pub(super) fn begin(events: &Events, engine: &Engine, gate: &Place) -> Result<()> {
    let driver = |status: &SourceStatus| Some((status.name.clone(), status.driver.clone()?));
    let drivers: Vec<_> = engine.deployment().sources.iter().filter_map(driver).collect();
    events.begin(fate_of(gate), &drivers)
}

/// The gate's options, with where changes are kept.
pub(super) fn attach(mut options: EngineOptions, events: Option<&Arc<Events>>, shown: &Arc<Webhooks>) -> EngineOptions {
    let Some(events) = events else { return options };
    options.events = Some(EventFeed { log: Arc::clone(events), print: querygate_rest::print_rows });
    options.extensions.push(Arc::clone(events) as Arc<_>);
    options.extensions.push(Arc::clone(shown) as Arc<_>);
    options
}

/// What webhooks are served by.
pub(super) struct Served {
    pub(super) service: Arc<dyn QueryService>,
    pub(super) authenticator: Arc<dyn Authenticator>,
    pub(super) database: String,
}

/// A webhook with the user whose rights judge what it is sent.
#[derive(Debug, Clone)]
pub(super) struct UserWebhook {
    webhook: Arc<Webhook>,
    user: String,
    objects: Option<Vec<String>>,
    operations: Option<Vec<EventOperation>>,
}

/// What is known of webhooks, for who looks at them.
pub(super) fn shown(webhooks: &[UserWebhook]) -> Arc<Webhooks> {
    Arc::new(Webhooks::new(webhooks.iter().map(|own| Arc::clone(&own.webhook)).collect()))
}

/// # Errors
/// A webhook is for a user whom the configuration does not have.
pub(super) fn check_users(config: &Config) -> Result<()> {
    let own = config.events.iter().flat_map(|events| &events.webhooks);
    match own.into_iter().find(|own| config.user(&own.user).is_none()) {
        None => Ok(()),
        Some(own) => {
            let text = format!("webhook `{}` is for user `{}`, whom [[users]] does not have", own.name, own.user);
            Err(Error::new(ErrorCode::ConfigInvalid, text))
        }
    }
}

/// The webhooks of the configuration.
///
/// # Errors
/// One whose user the configuration does not have, or with a name that another one has.
pub(super) fn webhooks(config: &Config, events: Option<&Arc<Events>>) -> Result<Vec<UserWebhook>> {
    let (Some(settings), Some(events)) = (&config.events, events) else { return Ok(Vec::new()) };
    check_users(config)?;
    let mut names = BTreeSet::new();
    let mut made = Vec::new();
    for own in &settings.webhooks {
        let wrong = |what: String| Err(Error::new(ErrorCode::ConfigInvalid, format!("webhook `{}` {what}", own.name)));
        if !names.insert(&own.name) {
            return wrong("is there twice".to_owned());
        }
        let options = WebhookOptions {
            name: own.name.clone(),
            address: own.url.expose().to_owned(),
            secret: own.secret.expose().as_bytes().to_vec(),
            give_up: own.give_up,
            private_addresses: own.private_addresses,
        };
        let webhook = Webhook::new(options, &events.options().directory)?;
        made.push(UserWebhook { webhook, user: own.user.clone(), objects: own.objects.clone(), operations: None });
    }
    Ok(made)
}

/// Before what failed is tried again.
const PAUSE: Duration = Duration::from_secs(5);

impl UserWebhook {
    /// One of the metadata.
    pub(super) fn declared(
        webhook: Arc<Webhook>,
        user: String,
        object: Option<String>,
        operations: Vec<EventOperation>,
    ) -> Self {
        Self { webhook, user, objects: Some(object.into_iter().collect()), operations: Some(operations) }
    }

    /// Sends what its user sees, for as long as the gate serves.
    pub(super) async fn deliver(self, served: Served) {
        loop {
            match self.subscribe(&served).await {
                Ok((session, mut stream, standing)) => {
                    tokio::select! {
                        () = self.follow(&mut stream) => {}
                        () = querygate_web::over(|| standing.holds(), LOOK_EVERY) => {
                            self.webhook.stands("its user was changed");
                        }
                    }
                    session.close().await;
                }
                Err(error) if error.code() == ErrorCode::ObjectNotInPrerequisiteState => {
                    self.webhook.has_lost(error.message());
                    continue;
                }
                Err(error) => self.webhook.stands(error.message()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn subscribe(&self, served: &Served) -> Result<(Arc<dyn Session>, EventStream, Arc<dyn Standing>)> {
        let unknown = || Error::new(ErrorCode::InvalidAuthorization, "its user is not known any more");
        let admitted = served.authenticator.candidate(&self.user).admitted;
        let Admitted { principal, standing } = admitted.ok_or_else(unknown)?;
        let settings = vec![("application_name".to_owned(), "webhook".to_owned())];
        let client = ClientInfo { door: Door::Rest, database: served.database.clone(), peer: None, settings };
        let session = served.service.open(principal, client).await?;
        let from = self.webhook.sequence().map(Sequence);
        let filter = EventFilter { objects: self.objects.clone(), operations: self.operations.clone(), from };
        let stream = session.subscribe(filter).await?;
        Ok((session, stream, standing))
    }

    /// Sends what comes, as much at once as is there.
    async fn follow(&self, stream: &mut EventStream) {
        while let Some(first) = stream.next().await {
            let mut parcel = Parcel::default();
            let mut next = Some(first);
            while let Some(followed) = next {
                match followed {
                    Ok(Followed::Reached(Sequence(sequence))) if parcel.events.is_empty() => {
                        self.webhook.reached(sequence);
                    }
                    Ok(Followed::Reached(Sequence(sequence))) => parcel.last = sequence,
                    Ok(Followed::Event(event)) => add(&mut parcel, &event),
                    Err(error) => {
                        if !parcel.events.is_empty() {
                            self.webhook.deliver(parcel).await;
                        }
                        self.webhook.stands(error.message());
                        return;
                    }
                }
                let is_full = parcel.events.len() >= EVENTS_AT_ONCE;
                next = if is_full || parcel.events.is_empty() { None } else { stream.next().now_or_never().flatten() };
            }
            if !parcel.events.is_empty() {
                self.webhook.deliver(parcel).await;
            }
        }
    }
}

fn add(parcel: &mut Parcel, event: &ChangeEvent) {
    let Sequence(sequence) = event.sequence;
    if parcel.events.is_empty() {
        (parcel.id, parcel.first) = (event.id.clone(), sequence);
    }
    // Within a transaction, its beginning is where to go on: it is sent again as a whole.
    parcel.last = if event.is_last { sequence } else { sequence.saturating_sub(1) };
    parcel.events.push(event.to_json());
}

/// Asks the sources of the deployment that is served now.
fn fate_of(gate: &Place) -> FateOf {
    let gate = Arc::clone(gate);
    Arc::new(move |source, mark| {
        let engine = gate.get().and_then(Weak::upgrade);
        async move {
            let Some(engine) = engine else { return Ok(None) };
            let deployment = engine.deployment();
            let own = deployment.sources.iter().find(|status| *status.name == *source);
            match own.and_then(|status| status.driver.as_ref()).and_then(|driver| driver.writer()) {
                Some(writer) => writer.fate_of(&mark).await,
                None => Ok(None),
            }
        }
        .boxed()
    })
}
