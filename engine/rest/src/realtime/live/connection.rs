//! A WebSocket whose client asks for answers and gives them up. One loop sends: it takes the next message when the last one is taken, so that
//! a client that does not read holds nothing but what it was about to be sent, and is cut off after a while.

use super::super::credential::Credential;
use super::super::following::BEAT;
use super::super::frames::{CLOSE, PING, PONG, TEXT, Why, end, frame, send, why_of};
use super::attendance::Attendance;
use super::message::{Message, error_message, read};
use super::subscription::Live;
use crate::call::Call;
use crate::callers::Identity;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::site::Site;
use futures::StreamExt;
use futures::stream::{AbortHandle, BoxStream, SelectAll, abortable};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, MissedTickBehavior};

/// Answers that one connection keeps up to date.
const ANSWERS_MAX: usize = 32;
/// Bytes of a client's message.
const MESSAGE_MAX: u64 = 64 << 10;
/// Messages of a client that wait.
const WAITING_MAX: usize = 4;
/// Silence, without an answer to a ping, after which a client is taken for gone.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// What an answer sends: its name, and a message or why there is none any more.
type Told = (String, Result<String, Refusal>);

/// A client that asks for answers.
pub(in crate::realtime) struct Connection {
    site: Arc<Site>,
    call: Call,
    identity: Identity,
    credential: Credential,
    streams: SelectAll<BoxStream<'static, Told>>,
    open: HashMap<String, AbortHandle>,
}

impl Connection {
    pub(in crate::realtime) fn new(site: Arc<Site>, call: Call, identity: Identity) -> Self {
        let credential = Credential::new(Arc::clone(&site), &call.headers, call.peer, &identity);
        Self { site, call, identity, credential, streams: SelectAll::new(), open: HashMap::new() }
    }

    /// Serves the client until it leaves, or must.
    pub(in crate::realtime) async fn run(self, io: impl AsyncRead + AsyncWrite + Send) {
        let (reader, writer) = split(io);
        let writer = Mutex::new(writer);
        let (sender, messages) = mpsc::channel(WAITING_MAX);
        // Whichever ends first ends both, and all that was asked for with them.
        let why = tokio::select! {
            why = listen(reader, &writer, sender) => why,
            why = self.tell(messages, &writer) => Some(why),
        };
        end(&writer, why).await;
    }

    async fn tell(mut self, mut messages: mpsc::Receiver<Vec<u8>>, writer: &Mutex<impl AsyncWrite + Unpin>) -> Why {
        let mut beat = tokio::time::interval_at(Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let told = tokio::select! {
                // What is said then, and that there is no more, stands below.
                () = self.credential.over() => None,
                Some(message) = messages.recv() => self.hear(&message).await,
                Some((id, told)) = self.streams.next() => Some(match told {
                    Ok(message) => message,
                    Err(refusal) => {
                        self.open.remove(&id);
                        error_message(Some(&id), &refusal)
                    }
                }),
                _ = beat.tick() => None,
            };
            if !self.credential.holds().await {
                let refusal = Refusal::unauthenticated();
                send(writer, TEXT, error_message(None, &refusal).as_bytes()).await;
                return why_of(&refusal);
            }
            let sent = match told {
                Some(message) => send(writer, TEXT, message.as_bytes()).await,
                None => send(writer, PING, b"").await,
            };
            if !sent {
                return Why::TryAgain;
            }
        }
    }

    /// Does what a client says, and what it hears at once.
    async fn hear(&mut self, message: &[u8]) -> Option<String> {
        let (login, key) = (&self.identity.principal.login, self.identity.credential.as_deref());
        if self.site.rates.wait_of_user(login, key).is_some() {
            let refusal = Refusal::new(Code::TooManyRequests, "Too many requests. Try again later.");
            return Some(error_message(None, &refusal));
        }
        let message = match read(message) {
            Ok(message) => message,
            Err((id, refusal)) => return Some(error_message(id.as_deref(), &refusal)),
        };
        match message {
            Message::Subscribe(wish) => {
                let id = wish.id.clone();
                let begun = async {
                    self.admit(&id)?;
                    let live = Live::begin(&self.site, &self.identity.principal, &self.call, wish).await?;
                    self.add(id.clone(), live.messages());
                    Ok::<_, Refusal>(())
                };
                begun.await.err().map(|refusal| error_message(Some(&id), &refusal))
            }
            Message::Attend(attend) => {
                let id = attend.id.clone();
                let begun = async {
                    self.admit(&id)?;
                    let own = Attendance::begin(&self.site, &self.identity.principal, &self.call, attend).await?;
                    self.add(id.clone(), own.messages());
                    Ok::<_, Refusal>(())
                };
                begun.await.err().map(|refusal| error_message(Some(&id), &refusal))
            }
            Message::Unsubscribe { id } => match self.open.remove(&id) {
                Some(handle) => {
                    handle.abort();
                    Some(serde_json::json!({"type": "end", "id": id}).to_string())
                }
                None => {
                    let refusal = Refusal::new(Code::NotFound, "Nothing of this 'id' is kept up to date.");
                    Some(error_message(Some(&id), &refusal))
                }
            },
        }
    }

    /// # Errors
    /// The name is in use, or there are too many.
    fn admit(&self, id: &str) -> Result<(), Refusal> {
        if self.open.contains_key(id) {
            return Err(Refusal::new(Code::InvalidRequest, "The 'id' is in use."));
        }
        if self.open.len() >= ANSWERS_MAX {
            let message = format!("One connection is told of at most {ANSWERS_MAX} things.");
            return Err(Refusal::new(Code::InvalidRequest, message));
        }
        Ok(())
    }

    fn add(&mut self, id: String, messages: BoxStream<'static, Result<String, Refusal>>) {
        let name = id.clone();
        let (told, handle) = abortable(messages.map(move |message| (name.clone(), message)));
        self.streams.push(told.boxed());
        self.open.insert(id, handle);
    }
}

/// Passes on what a client says, and answers its pings. `None`: it is gone.
async fn listen(
    mut reader: impl AsyncRead + Unpin,
    writer: &Mutex<impl AsyncWrite + Unpin>,
    messages: mpsc::Sender<Vec<u8>>,
) -> Option<Why> {
    loop {
        let (kind, payload) = match tokio::time::timeout(SILENCE_MAX, frame(&mut reader, MESSAGE_MAX)).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(why)) => return why,
            Err(_) => return Some(Why::GoingAway),
        };
        match kind {
            TEXT => messages.send(payload).await.ok()?,
            CLOSE => return Some(Why::GoingAway),
            PING => {
                if !send(writer, PONG, &payload).await {
                    return None;
                }
            }
            PONG => {}
            0 | 2 => return Some(Why::Unsupported),
            _ => return Some(Why::Wrong),
        }
    }
}
