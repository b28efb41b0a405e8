//! Who listens to `querygate_anomalies`: operators to each incident that somebody is to be told of, anybody else to all of the own
//! doings, at once. Forgets what nobody hears.

use super::incident::Incident;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use querygate_types::principal::Principal;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Sender, channel};

/// The channel of LISTEN.
pub(in crate::anomaly) const CHANNEL: &str = "querygate_anomalies";
/// Incidents that wait for a listener who is slow; the oldest go first.
const WAITING_MAX: usize = 256;
/// PostgreSQL's bound of a payload, exclusive.
const PAYLOAD_MAX: usize = 8_000;

/// An incident.
#[derive(Debug, Clone)]
struct Announcement {
    /// Whose doing it is.
    login: Option<String>,
    /// Whether operators hear of it.
    told: bool,
    payload: Arc<str>,
}

/// The listeners.
#[derive(Debug)]
pub(in crate::anomaly) struct Listeners(Sender<Announcement>);

impl Default for Listeners {
    fn default() -> Self {
        Self(channel(WAITING_MAX).0)
    }
}

impl Listeners {
    /// `told`: operators hear of it too.
    pub(in crate::anomaly) fn tell(&self, incident: &Incident, told: bool) {
        let whole = incident.body().to_string();
        // What does not fit is to be read in the table.
        let payload = if whole.len() < PAYLOAD_MAX { whole } else { format!("{{\"id\":{}}}", incident.id) };
        // Without listeners there is nobody to tell.
        let _ = self.0.send(Announcement { login: incident.login.clone(), told, payload: payload.into() });
    }

    /// The news from now on: for an operator what somebody is to be told of, for anybody else the own doings, as in
    /// `querygate.anomalies`, whether operators hear of them or not.
    pub(in crate::anomaly) fn subscribe(&self, listener: &Principal) -> BoxStream<'static, String> {
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
        let seen = move |news: Announcement| {
            let hears = if operator { news.told } else { news.login.is_some_and(|whose| *whose == *login) };
            std::future::ready(hears.then(|| news.payload.to_string()))
        };
        news.filter_map(seen).boxed()
    }
}
