//! Who listens to `querygate_anomalies`: each incident that somebody is to be told of, at once. Forgets what nobody hears.

use super::incident::Incident;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use querygate_types::Principal;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Sender, channel};

/// The channel of LISTEN.
pub(super) const CHANNEL: &str = "querygate_anomalies";
/// Incidents that wait for a listener who is slow; the oldest go first.
const WAITING_MAX: usize = 256;
/// PostgreSQL's bound of a payload, exclusive.
const PAYLOAD_MAX: usize = 8_000;

/// An incident, and whose doing it is.
type News = (Option<String>, Arc<str>);

/// The listeners.
#[derive(Debug)]
pub(super) struct Heralds(Sender<News>);

impl Default for Heralds {
    fn default() -> Self {
        Self(channel(WAITING_MAX).0)
    }
}

impl Heralds {
    pub(super) fn tell(&self, incident: &Incident) {
        let whole = incident.body().to_string();
        // What does not fit is to be read in the table.
        let payload = if whole.len() < PAYLOAD_MAX { whole } else { format!("{{\"id\":{}}}", incident.id) };
        // Without listeners there is nobody to tell.
        let _ = self.0.send((incident.login.clone(), payload.into()));
    }

    /// The news from now on: everything for an operator, for anybody else the own doings, as in `querygate.anomalies`.
    pub(super) fn subscribe(&self, listener: &Principal) -> BoxStream<'static, String> {
        let (operator, login) = (listener.operator, listener.login.clone());
        let news = stream::unfold(self.0.subscribe(), |mut receiver| async move {
            loop {
                match receiver.recv().await {
                    Ok(news) => return Some((news, receiver)),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "a listener is too slow for its incidents")
                    }
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        let seen = move |(whose, payload): News| {
            let own = operator || whose.is_some_and(|whose| *whose == *login);
            std::future::ready(own.then(|| payload.to_string()))
        };
        news.filter_map(seen).boxed()
    }
}
