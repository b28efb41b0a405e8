//! A part of a session, in which statements of a hook run.

use super::HookOrigin;
use crate::books::learning_feed::LearningFeed;
use crate::books::within::Within;
use crate::run::memory::Account;
use crate::session::commands::cursors::Ends;
use crate::session::commands::listen::Listening;
use crate::session::gate_session::{GateSession, Inner, temporary_tables};
use crate::session::transaction::Transaction;
use crate::session::workspace::Writer;
use datafusion::execution::memory_pool::MemoryConsumer;
use querygate_resources::memory::Owner;
use querygate_types::limits;
use querygate_types::principal::Principal;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

impl GateSession {
    /// A part of another session, in which statements of a hook run: one transaction on a version of the metadata, or on that of its
    /// first statement.
    pub(in crate::session) fn of_hook(origin: &HookOrigin, within: Within, principal: Arc<Principal>) -> Self {
        let runs = origin.runs.of_hook(within);
        let settings = origin.settings.clone();
        let mut transaction = Transaction::default();
        transaction.begin(&settings);
        if let Some(deployment) = &origin.deployment {
            transaction.pin(|| Arc::clone(deployment));
        }
        let account = Arc::clone(runs.account());
        let held = Account::new(Owner::Session, Arc::clone(&account), origin.gate.options().memory_per_query);
        let inner = Arc::new(Mutex::new(Inner {
            settings,
            transaction,
            cursors: HashMap::new(),
            ends: Ends::default(),
            prepared: HashMap::new(),
            deallocated: Vec::new(),
            effects: Vec::new(),
            current: None,
            temporary: None,
        }));
        Self {
            prepared_memory: MemoryConsumer::new("statements of a hook").register(&held),
            kept_rows: Account::new(Owner::Cursors, account, limits::CURSOR_BYTES_MAX),
            temporary: temporary_tables(&origin.gate, runs.account()),
            runs,
            activity: Arc::clone(&origin.activity),
            gate: Arc::clone(&origin.gate),
            login: Arc::clone(&origin.login),
            principal,
            id: origin.session,
            door: origin.door,
            peer: None,
            since: SystemTime::now(),
            locks: Arc::clone(&origin.locks),
            writer: Arc::new(Writer {
                inner: Arc::downgrade(&inner),
                sessions: Arc::clone(origin.gate.sessions()),
                ends: Some(Arc::clone(&origin.login)),
            }),
            listening: Listening::default(),
            learning_feed: Arc::new(LearningFeed::new(origin.gate.observer().traces())),
            inner,
            place: None,
        }
    }
}
