//! LISTEN and UNLISTEN: changes of objects, and channels that extensions of schema `querygate` supply, until the session ends. Takes effect at once, in a
//! transaction too, and is not undone by its end.

use crate::session::gate_session::GateSession;
use futures::StreamExt;
use futures::stream::BoxStream;
use querygate_query_api::outcome::Notification;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

/// What a session listens to.
#[derive(Default)]
pub(in crate::session) struct Listening {
    /// By channel. None of them ends.
    channels: Mutex<BTreeMap<String, BoxStream<'static, String>>>,
}

impl Listening {
    fn channels(&self) -> MutexGuard<'_, BTreeMap<String, BoxStream<'static, String>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::session) fn is_empty(&self) -> bool {
        self.channels().is_empty()
    }

    /// Ends one channel, or all of them.
    pub(in crate::session) fn end(&self, channel: Option<&str>) {
        match channel {
            Some(channel) => drop(self.channels().remove(channel)),
            None => self.channels().clear(),
        }
    }

    pub(in crate::session) async fn next(&self) -> Notification {
        poll_fn(|context| {
            for (channel, stream) in self.channels().iter_mut() {
                if let Poll::Ready(Some(payload)) = stream.poll_next_unpin(context) {
                    return Poll::Ready(Notification { channel: channel.clone(), payload });
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl GateSession {
    /// Listening twice is once.
    pub(in crate::session) async fn listen(&self, channel: &str) -> Result<()> {
        if self.listening.channels().contains_key(channel) {
            return Ok(());
        }
        if let Some(changes) = self.listen_to_changes(channel).await? {
            let endless = changes.chain(futures::stream::pending()).boxed();
            self.listening.channels().entry(channel.to_owned()).or_insert(endless);
            return Ok(());
        }
        let extensions = &self.gate.options().extensions;
        let known = || extensions.iter().flat_map(|extension| extension.channels());
        let name = known().find(|name| **name == channel);
        let stream = extensions.iter().find_map(|extension| extension.subscribe(channel, &self.principal));
        let (Some(name), Some(stream)) = (name, stream) else {
            let error = Error::new(ErrorCode::FeatureNotSupported, "LISTEN is not supported");
            let names: Vec<&str> = known().copied().collect();
            return Err(error.with_hint(if names.is_empty() {
                "Channels are there where the gate's configuration has [learning] or [events].".to_owned()
            } else {
                format!("There is the channel {}.", names.join(", "))
            }));
        };
        let endless = stream.chain(futures::stream::pending()).boxed();
        self.listening.channels().entry((*name).to_owned()).or_insert(endless);
        Ok(())
    }
}
