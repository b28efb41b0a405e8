//! Cancel keys, the statement each of them would stop, and what ends a session. Knows no frame and no socket.

use crate::random;
use querygate_query_api::service::Session;
use querygate_query_api::tokens::Standing;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
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

/// The statement that runs on one connection, if any, and who serves the connection.
pub(crate) struct CancelSlot {
    session: Arc<dyn Session>,
    /// Of what opened the session, which ends with it.
    standing: Arc<dyn Standing>,
    /// It no longer holds; for those who look often.
    over: AtomicBool,
    /// Ends the session, as the end of the door does.
    pub(crate) kill: CancellationToken,
    running: Mutex<Option<CancellationToken>>,
    /// A look-up runs, which is polled after each wake-up.
    looks_up: AtomicBool,
    /// Of the connection's task.
    waker: Mutex<Option<Waker>>,
}

/// The waker that a connection's task is known by; it hardly ever has another one.
#[derive(Debug, Default)]
pub(crate) struct Known(Option<Waker>);

impl CancelSlot {
    /// A statement begins: the token fires when it is cancelled. A cancel that came before does not count.
    pub(crate) fn begin(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *lock(&self.running) = Some(token.clone());
        token
    }

    /// A look-up runs until this is dropped.
    pub(crate) fn looks_up(&self) -> LookUpMark<'_> {
        self.looks_up.store(true, Ordering::Release);
        LookUpMark(self)
    }

    pub(crate) fn end(&self) {
        *lock(&self.running) = None;
    }

    /// Whether what opened the session still holds, and no operator ended it.
    pub(crate) fn holds(&self) -> bool {
        self.standing.holds() && !self.is_ended()
    }

    /// Whether an operator ended the session.
    pub(crate) fn is_ended(&self) -> bool {
        self.session.is_ended()
    }

    /// Whether the session ends since what let its user in no longer holds.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Ends the session where what opened it no longer holds, whatever it does at the moment.
    fn look(&self) {
        if self.holds() || self.over.swap(true, Ordering::AcqRel) {
            return;
        }
        // Before its statement ends, so that its client hears why.
        self.kill.cancel();
        self.session.cancel();
        self.wake();
    }

    /// The connection's task waits, and wants to hear of the door's end and of a look-up's.
    pub(crate) fn waits(&self, known: &mut Known, waker: &Waker) {
        if !known.0.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *lock(&self.waker) = Some(waker.clone());
            known.0 = Some(waker.clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = lock(&self.waker).as_ref() {
            waker.wake_by_ref();
        }
    }

    fn cancel(&self) {
        let running = lock(&self.running);
        // Under the lock, so that the next statement cannot begin in between and be hit.
        match &*running {
            Some(token) => {
                self.session.cancel();
                token.cancel();
            }
            None if self.looks_up.load(Ordering::Acquire) => {
                self.session.cancel();
                self.wake();
            }
            None => {}
        }
    }
}

/// Marks a slot as that of a look-up that runs.
pub(crate) struct LookUpMark<'a>(&'a CancelSlot);

impl Drop for LookUpMark<'_> {
    fn drop(&mut self) {
        self.0.looks_up.store(false, Ordering::Release);
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
        (standing, kill): (Arc<dyn Standing>, CancellationToken),
        secret_bytes: SecretBytes,
    ) -> Option<Registration> {
        let secret = match secret_bytes {
            SecretBytes::Four => random::bytes::<4>()?.to_vec(),
            SecretBytes::ThirtyTwo => random::bytes::<32>()?.to_vec(),
        };
        let slot = Arc::new(CancelSlot {
            session,
            standing,
            over: AtomicBool::new(false),
            kill,
            running: Mutex::default(),
            looks_up: AtomicBool::new(false),
            waker: Mutex::default(),
        });
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

    /// Has every connection look at what became of the door.
    pub(crate) fn wake(&self) {
        lock(&self.slots).values().for_each(|(_, slot)| slot.wake());
    }

    /// Ends the sessions of which what opened them no longer holds.
    pub(crate) fn look(&self) {
        let slots: Vec<_> = lock(&self.slots).values().map(|(_, slot)| Arc::clone(slot)).collect();
        slots.iter().for_each(|slot| slot.look());
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
