//! Cancel keys and the statement each of them would stop. Knows no frame and no socket.

use crate::random;
use querygate_query_api::Session;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// A session's entry among the keys, for as long as it lives.
pub(crate) struct Registration {
    keys: Arc<CancelKeys>,
    pub(crate) process_id: u32,
    /// What BackendKeyData tells the client beside the process id.
    pub(crate) secret: Vec<u8>,
    pub(crate) slot: Arc<CancelSlot>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.keys.slots).remove(&self.process_id);
    }
}

/// The statement that runs on one connection, if any.
pub(crate) struct CancelSlot {
    session: Arc<dyn Session>,
    running: Mutex<Option<CancellationToken>>,
}

impl CancelSlot {
    /// A statement begins: the token fires when it is cancelled. A cancel that came before does not count.
    pub(crate) fn begin(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *lock(&self.running) = Some(token.clone());
        token
    }

    pub(crate) fn end(&self) {
        *lock(&self.running) = None;
    }

    fn cancel(&self) {
        let running = lock(&self.running);
        if let Some(token) = running.as_ref() {
            // Under the lock, so that the next statement cannot begin in between and be hit.
            self.session.cancel();
            token.cancel();
        }
    }
}

/// A secret and what it cancels.
type Entry = (Vec<u8>, Arc<CancelSlot>);

/// All connections of a door by their process id.
#[derive(Default)]
pub(crate) struct CancelKeys {
    slots: Mutex<HashMap<u32, Entry>>,
}

impl CancelKeys {
    /// Registers a session. `None` when there is no randomness for a secret.
    pub(crate) fn register(
        self: &Arc<Self>,
        session: Arc<dyn Session>,
        secret_bytes: SecretBytes,
    ) -> Option<Registration> {
        let secret = match secret_bytes {
            SecretBytes::Four => random::bytes::<4>()?.to_vec(),
            SecretBytes::ThirtyTwo => random::bytes::<32>()?.to_vec(),
        };
        let slot = Arc::new(CancelSlot { session, running: Mutex::new(None) });
        let mut slots = lock(&self.slots);
        loop {
            // Positive, as process ids are.
            let process_id = u32::from_be_bytes(random::bytes::<4>()?) >> 1;
            if process_id == 0 || slots.contains_key(&process_id) {
                continue;
            }
            slots.insert(process_id, (secret.clone(), Arc::clone(&slot)));
            return Some(Registration { keys: Arc::clone(self), process_id, secret, slot });
        }
    }

    /// Answers nothing, as the protocol wants: whether a key is right cannot be learned here.
    pub(crate) fn cancel(&self, process_id: u32, secret: &[u8]) {
        let slot = lock(&self.slots)
            .get(&process_id)
            .filter(|(right, _)| random::equal(right, secret))
            .map(|(_, slot)| Arc::clone(slot));
        if let Some(slot) = slot {
            slot.cancel();
        }
    }
}

/// Length of a cancel secret: 4 up to protocol 3.1, longer from 3.2 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretBytes {
    Four,
    ThirtyTwo,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
