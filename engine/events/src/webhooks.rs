//! Webhooks: events of one user's view sent to an address, in their order, until its receiver has them or they are given up. Where it is,
//! and what was given up, is kept beside the log.

use querygate_outbound::{HttpClient, signature};
use querygate_telemetry_api::system::{Cell, CellColumns, CellKind, SystemExtension, SystemRelation};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What was given up and is still shown.
const DEAD_MAX: usize = 100;
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// Events of one request.
pub const EVENTS_AT_ONCE: usize = 100;

/// Where events go.
#[derive(Clone)]
pub struct WebhookOptions {
    /// Names it where it is shown.
    pub name: String,
    /// Its address, which may be a secret.
    pub address: String,
    /// Key of the signature.
    pub secret: Vec<u8>,
    /// How long a request is tried before it is given up.
    pub give_up: Duration,
    /// Whether it may be at an address of this machine or of a private network.
    pub private_addresses: bool,
}

impl std::fmt::Debug for WebhookOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookOptions").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One request that was given up.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Dead {
    first: u64,
    last: u64,
    events: usize,
    tries: u32,
    error: String,
    at: i64,
}

/// What is kept of a webhook.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    /// All up to this sequence was sent, or given up.
    sequence: Option<u64>,
    delivered: u64,
    dead: VecDeque<Dead>,
    #[serde(skip)]
    tries: u32,
    #[serde(skip)]
    error: Option<String>,
}

/// One webhook.
#[derive(Debug)]
pub struct Webhook {
    options: WebhookOptions,
    client: HttpClient,
    address: hyper::Uri,
    file: PathBuf,
    state: Mutex<State>,
}

/// Events on their way: the text of each, and the last sequence of which all are among them.
#[derive(Debug, Default)]
pub struct Parcel {
    /// Each event as an object of JSON.
    pub events: Vec<String>,
    /// Id of the first.
    pub id: String,
    /// Sequence of the first.
    pub first: u64,
    /// Where to go on behind them.
    pub last: u64,
}

impl Webhook {
    /// # Errors
    /// An address that is none, or a file that cannot be read.
    pub fn new(options: WebhookOptions, directory: &std::path::Path) -> Result<Arc<Self>> {
        let refused = |what: &str| Error::new(ErrorCode::ConfigInvalid, format!("webhook `{}`: {what}", options.name));
        let address: hyper::Uri = options.address.parse().map_err(|_| refused("its address is none"))?;
        let client = if options.private_addresses { HttpClient::new() } else { HttpClient::to_public_addresses() };
        let client = client.map_err(Error::internal)?;
        let folder = directory.join("webhooks");
        std::fs::create_dir_all(&folder).map_err(|error| refused(&format!("its folder cannot be made: {error}")))?;
        let file = folder.join(format!("{}.json", options.name));
        let state = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| refused("what is kept of it cannot be read"))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(refused(&format!("what is kept of it cannot be read: {error}"))),
        };
        Ok(Arc::new(Self { options, client, address, file, state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it goes on; `None`: it begins.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.state().sequence
    }

    /// Notes where it is, where nothing was to be sent.
    pub fn reached(&self, sequence: u64) {
        self.state().sequence = Some(sequence);
        self.keep();
    }

    /// Notes that it cannot go on, and why; nothing was sent.
    pub fn stands(&self, why: &str) {
        self.state().error = Some(why.to_owned());
    }

    /// Sends events until their receiver has them, or they are given up.
    pub async fn deliver(&self, parcel: Parcel) {
        let began = std::time::Instant::now();
        let body = format!("{{\"webhook\":\"{}\",\"events\":[{}]}}", self.options.name, parcel.events.join(","));
        let mut tries = 0;
        loop {
            let seconds = seconds();
            let body = body.clone().into_bytes();
            let headers = [
                ("x-querygate-delivery", parcel.id.clone()),
                ("x-querygate-timestamp", seconds.to_string()),
                ("x-querygate-signature", signature(&self.options.secret, seconds, &body)),
            ];
            tries += 1;
            let sent = self.client.post(&self.address, &headers, body).await;
            let Err(why) = sent else {
                let mut state = self.state();
                state.delivered += parcel.events.len() as u64;
                (state.sequence, state.tries, state.error) = (Some(parcel.last), 0, None);
                break;
            };
            let pause = pause(tries);
            if began.elapsed() + pause > self.options.give_up {
                tracing::error!(
                    webhook = self.options.name,
                    why,
                    tries,
                    "events could not be delivered and are given up"
                );
                metrics::counter!("querygate_event_deliveries_dead_total").increment(1);
                self.bury(&parcel, tries, why);
                break;
            }
            tracing::warn!(webhook = self.options.name, why, tries, "events were not delivered; it is tried again");
            {
                let mut state = self.state();
                (state.tries, state.error) = (tries, Some(why));
            }
            tokio::time::sleep(pause).await;
        }
        self.keep();
    }

    /// Notes that what came after its sequence is no longer kept, and that it begins anew.
    pub fn has_lost(&self, why: &str) {
        let first = self.state().sequence.unwrap_or_default();
        self.bury(&Parcel { first, last: first, ..Parcel::default() }, 0, why.to_owned());
        self.state().sequence = None;
        self.keep();
    }

    fn bury(&self, parcel: &Parcel, tries: u32, error: String) {
        let mut state = self.state();
        let dead =
            Dead { first: parcel.first, last: parcel.last, events: parcel.events.len(), tries, error, at: seconds() };
        state.dead.push_back(dead);
        if state.dead.len() > DEAD_MAX {
            state.dead.pop_front();
        }
        (state.sequence, state.tries, state.error) = (Some(parcel.last), 0, None);
    }

    /// Puts what is known of it on disk. Where that fails, events may be sent twice.
    fn keep(&self) {
        let written = serde_json::to_vec(&*self.state()).map_err(std::io::Error::other).and_then(|bytes| {
            let new = self.file.with_extension("new");
            std::fs::write(&new, bytes)?;
            std::fs::File::open(&new)?.sync_all()?;
            std::fs::rename(&new, &self.file)
        });
        if let Err(error) = written {
            tracing::error!(webhook = self.options.name, %error, "what is known of a webhook cannot be written");
        }
    }
}

/// 1, 2, 4 … seconds, an hour at most.
fn pause(tries: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(tries.saturating_sub(1).min(12)).unwrap_or(u64::MAX)).min(PAUSE_MAX)
}

fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// `querygate.event_deliveries`: how each webhook stands, and what was given up.
#[derive(Debug, Default)]
pub struct Webhooks(Mutex<Vec<Arc<Webhook>>>);

impl Webhooks {
    /// These to begin with.
    #[must_use]
    pub fn new(webhooks: Vec<Arc<Webhook>>) -> Self {
        Self(Mutex::new(webhooks))
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Webhook>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more.
    pub fn add(&self, webhook: Arc<Webhook>) {
        self.all().push(webhook);
    }

    /// The one with this name is sent no more.
    pub fn remove(&self, name: &str) {
        self.all().retain(|webhook| webhook.options.name != name);
    }
}

const COLUMNS: CellColumns = &[
    ("webhook", CellKind::Text),
    ("status", CellKind::Text),
    ("sequence", CellKind::Integer),
    ("events", CellKind::Integer),
    ("tries", CellKind::Integer),
    ("error", CellKind::Text),
    ("at", CellKind::Time),
];
const RELATION: SystemRelation = SystemRelation { name: "event_deliveries", columns: COLUMNS };

#[async_trait::async_trait]
impl SystemExtension for Webhooks {
    fn relations(&self) -> Vec<SystemRelation> {
        vec![RELATION]
    }

    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        RELATION.rows_for_operators(relation, reader, || self.deliveries())
    }
}

impl Webhooks {
    /// The rows of `querygate.event_deliveries`.
    fn deliveries(&self) -> Vec<Vec<Cell>> {
        let mut rows = Vec::new();
        for webhook in self.all().iter() {
            let state = webhook.state();
            let name = Cell::text(&webhook.options.name);
            let status = if state.error.is_some() { "waiting" } else { "delivered" };
            rows.push(vec![
                name.clone(),
                Cell::text(status),
                Cell::optional(state.sequence, Cell::count),
                Cell::count(state.delivered),
                Cell::count(u64::from(state.tries)),
                Cell::optional(state.error.as_deref(), Cell::text),
                Cell::Null,
            ]);
            for dead in &state.dead {
                rows.push(vec![
                    name.clone(),
                    Cell::text("dead"),
                    Cell::count(dead.first),
                    Cell::count(dead.events as u64),
                    Cell::count(u64::from(dead.tries)),
                    Cell::text(&dead.error),
                    Cell::Time(UNIX_EPOCH + Duration::from_secs(u64::try_from(dead.at).unwrap_or_default())),
                ]);
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(directory: &std::path::Path, address: String, private_addresses: bool) -> Arc<Webhook> {
        let options = WebhookOptions {
            name: "hook".to_owned(),
            address,
            secret: b"0123456789abcdef".to_vec(),
            give_up: Duration::from_millis(1_500),
            private_addresses,
        };
        Webhook::new(options, directory).unwrap()
    }

    fn parcel() -> Parcel {
        Parcel { events: vec!["{}".to_owned()], id: "e1".to_owned(), first: 5, last: 7 }
    }

    fn rows(webhook: &Arc<Webhook>) -> Vec<Vec<Cell>> {
        let root = Principal::builder("root").operator(true).build();
        Webhooks::new(vec![Arc::clone(webhook)]).rows(RELATION.name, &root).unwrap()
    }

    #[tokio::test]
    async fn what_is_not_taken_is_given_up_and_shown() {
        let folder = tempfile::tempdir().unwrap();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let hook = webhook(folder.path(), format!("http://{closed}/"), true);
        hook.deliver(parcel()).await;
        let shown = rows(&hook);
        assert_eq!((shown.len(), &shown[1][1], &shown[1][4]), (2, &Cell::text("dead"), &Cell::Integer(2)));
        // It goes on behind it, also in another process.
        drop(hook);
        let hook = webhook(folder.path(), format!("http://{closed}/"), true);
        assert_eq!((hook.sequence(), rows(&hook).len()), (Some(7), 2));
        let other = Principal::builder("eve").build();
        assert!(Webhooks::new(vec![hook]).rows(RELATION.name, &other).unwrap().is_empty());
    }

    #[tokio::test]
    async fn private_addresses_are_refused_whatever_they_are_called() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
            let folder = tempfile::tempdir().unwrap();
            let hook = webhook(folder.path(), format!("http://{host}:{port}/"), false);
            hook.deliver(parcel()).await;
            let shown = rows(&hook);
            let Cell::Text(error) = &shown[1][5] else { panic!("{shown:?}") };
            assert!(error.contains("private network"), "{host}: {error}");
        }
    }
}
