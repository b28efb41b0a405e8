//! One client's session: its engine sessions, prepared statements and transactions. Knows no message.
//!
//! A session has one engine session, in which its settings live; a transaction takes it, and only a second transaction at
//! the same time opens another. So a client that always is in a transaction, as ADBC's default connection, keeps its
//! settings and costs one engine session.

use crate::command::unsupported;
use crate::messages::encode::Compression;
use crate::sessions::bind::Bindings;
use crate::sessions::statement::{Described, command};
use crate::tickets::seal::{Id, now_ms, random_id};
use querygate_query_api::holding::Holding;
use querygate_query_api::service::{ClientInfo, QueryService, Session, TransactionStatus};
use querygate_query_api::tokens::{Admitted, Standing, no_longer_holds};
use querygate_query_api::trace::TraceContext;
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A prepared statement of a session.
pub(crate) struct PreparedStatement {
    pub(crate) engine: Arc<dyn Session>,
    pub(crate) sql: Box<str>,
    pub(crate) described: Described,
    bound: Mutex<Option<Bound>>,
}

/// A statement with values for its next executions, and as it is described for them.
#[derive(Clone)]
pub(crate) struct Bound {
    pub(crate) described: Described,
    pub(crate) bindings: Arc<Bindings>,
}

impl PreparedStatement {
    /// What its next execution runs; none bound is one execution without values.
    pub(crate) fn next(&self) -> Bound {
        let unbound = || Bound { described: self.described.clone(), bindings: Arc::new(Bindings::none()) };
        self.bound().clone().unwrap_or_else(unbound)
    }

    fn bound(&self) -> MutexGuard<'_, Option<Bound>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it counts towards the session's bound.
    fn held_bytes(&self) -> usize {
        let values = self.bound().as_ref().map_or(0, |bound| bound.bindings.bytes());
        self.sql.len() + STATEMENT_BYTES + values
    }
}

/// What a prepared statement holds beside its text and its values.
const STATEMENT_BYTES: usize = 1_024;

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Commit,
    Rollback,
}

#[derive(Default)]
struct State {
    statements: HashMap<Id, Arc<PreparedStatement>>,
    transactions: HashMap<Id, Arc<dyn Session>>,
    /// The transaction that has the main engine session.
    main_taken: Option<Id>,
    /// Options set so far, for engine sessions opened later.
    options: Vec<(String, String)>,
    compression: Compression,
    /// Endpoints that results are to have; `None`: the door chooses.
    endpoints: Option<usize>,
}

/// Bounds of one session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionLimits {
    pub(crate) statements: usize,
    /// Bytes of prepared texts and bound values.
    pub(crate) statement_bytes: usize,
    pub(crate) transactions: usize,
}

/// A client's session.
pub(crate) struct FlightSession {
    pub(crate) id: Id,
    pub(crate) principal: Arc<Principal>,
    /// Ends with the session, and with it every stream.
    pub(crate) cancel: CancellationToken,
    main: Arc<dyn Session>,
    /// The charge of its prepared statements and bound values.
    holding: Box<dyn Holding>,
    client: ClientInfo,
    limits: SessionLimits,
    used_ms: AtomicU64,
    state: Mutex<State>,
    /// Of what opened it, with which it ends.
    standing: Arc<dyn Standing>,
}

impl FlightSession {
    pub(crate) fn new(
        id: Id,
        Admitted { principal, standing }: Admitted,
        client: ClientInfo,
        main: Arc<dyn Session>,
        limits: SessionLimits,
        cancel: CancellationToken,
    ) -> Self {
        let (used_ms, state) = (AtomicU64::new(now_ms()), Mutex::default());
        let holding = main.holding();
        Self { id, principal, cancel, main, holding, client, limits, used_ms, state, standing }
    }

    /// Whether what opened it still holds, and no operator ended it or one of its transactions.
    pub(crate) fn holds(&self) -> bool {
        self.standing.holds() && !self.is_ended()
    }

    fn is_ended(&self) -> bool {
        self.main.is_ended() || self.state().transactions.values().any(|transaction| transaction.is_ended())
    }

    /// Does what a call asks for, as long as what opened the session holds.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = self.cancel.cancelled() => {}
        }
        // The call may be the one that ends the session.
        if self.holds() { work.await } else { Err(self.ended()) }
    }

    /// Why a call or a stream of the session ended with it.
    pub(crate) fn ended(&self) -> Error {
        if self.holds() {
            return Error::new(ErrorCode::QueryCanceled, "canceling statement due to user request");
        }
        if self.is_ended() {
            let text = "terminating connection due to administrator command";
            return Error::new(ErrorCode::AdminShutdown, text);
        }
        no_longer_holds()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine session outside transactions.
    pub(crate) fn main(&self) -> &Arc<dyn Session> {
        &self.main
    }

    /// Statements of this call belong to the client's span. Calls of one session at the same time are told apart by their spans only
    /// where they begin their statements one after the other.
    pub(crate) fn follow_trace(&self, parent: Option<TraceContext>) {
        self.main.follow_trace(parent);
        self.state().transactions.values().for_each(|engine| engine.follow_trace(parent));
    }

    pub(crate) fn touch(&self) {
        self.used_ms.store(now_ms(), Ordering::Relaxed);
    }

    pub(crate) fn idle_ms(&self) -> u64 {
        now_ms().saturating_sub(self.used_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn compression(&self) -> Compression {
        self.state().compression
    }

    pub(crate) fn set_compression(&self, compression: Compression) {
        self.state().compression = compression;
    }

    pub(crate) fn endpoints(&self) -> Option<usize> {
        self.state().endpoints
    }

    pub(crate) fn set_endpoints(&self, endpoints: Option<usize>) {
        self.state().endpoints = endpoints;
    }

    /// Remembers an option for engine sessions opened later. The session's own has it already.
    pub(crate) fn remember_option(&self, name: &str, value: &str) {
        let state = &mut *self.state();
        state.options.retain(|(known, _)| known != name);
        state.options.push((name.to_owned(), value.to_owned()));
    }

    /// The engine session of a transaction, or the main one without a transaction.
    pub(crate) fn engine(&self, transaction: Option<&[u8]>) -> Result<Arc<dyn Session>> {
        match transaction {
            None | Some([]) => Ok(Arc::clone(&self.main)),
            Some(id) => {
                let found = Id::try_from(id).ok().and_then(|id| self.state().transactions.get(&id).cloned());
                found.ok_or_else(no_transaction)
            }
        }
    }

    /// BEGIN; gives the transaction's name. When the caller is gone by then nobody knows the name, and it is rolled back.
    pub(crate) async fn begin(self: &Arc<Self>, service: &Arc<dyn QueryService>) -> Result<Id> {
        let (session, service) = (Arc::clone(self), Arc::clone(service));
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let begun = session.begin_to_its_end(service.as_ref()).await;
            if let Err(Ok(id)) = tell.send(begun)
                && let Err(error) = session.end_to_its_end(id, Ending::Rollback).await
            {
                tracing::debug!(%error, "a transaction that nobody knows was not rolled back");
            }
        });
        told.await.map_err(Error::internal)?
    }

    async fn begin_to_its_end(&self, service: &dyn QueryService) -> Result<Id> {
        let id = random_id()?;
        let takes_main = {
            let state = &mut *self.state();
            if state.transactions.len() >= self.limits.transactions {
                return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many transactions at once")
                    .with_hint("End a transaction of this session first."));
            }
            let free = state.main_taken.is_none();
            if free {
                state.main_taken = Some(id);
            }
            free
        };
        match self.begun(service, takes_main).await {
            Ok(engine) => {
                self.state().transactions.insert(id, engine);
                Ok(id)
            }
            Err(error) => {
                if takes_main {
                    self.state().main_taken = None;
                }
                Err(error)
            }
        }
    }

    async fn begun(&self, service: &dyn QueryService, takes_main: bool) -> Result<Arc<dyn Session>> {
        let engine = if takes_main {
            Arc::clone(&self.main)
        } else {
            let opened = service.open(Arc::clone(&self.principal), self.client.clone()).await?;
            let options = self.state().options.clone();
            for (name, value) in options {
                crate::sessions::own_queries::set_config(&opened, &name, &value).await?;
            }
            opened
        };
        if engine.transaction_status() == TransactionStatus::Idle {
            command(&engine, "BEGIN").await?;
        }
        Ok(engine)
    }

    /// COMMIT or ROLLBACK, to its end though the caller may be gone by then.
    pub(crate) async fn end(self: &Arc<Self>, transaction: &[u8], ending: Ending) -> Result<()> {
        let id = Id::try_from(transaction).map_err(|_| no_transaction())?;
        let session = Arc::clone(self);
        tokio::spawn(async move { session.end_to_its_end(id, ending).await }).await.map_err(Error::internal)?
    }

    async fn end_to_its_end(&self, id: Id, ending: Ending) -> Result<()> {
        let (engine, is_main) = {
            let state = &mut *self.state();
            let engine = state.transactions.remove(&id).ok_or_else(no_transaction)?;
            (engine, state.main_taken == Some(id))
        };
        let statement = match ending {
            Ending::Commit => "COMMIT",
            Ending::Rollback => "ROLLBACK",
        };
        let ended = command(&engine, statement).await;
        if is_main {
            self.state().main_taken = None;
        } else {
            self.state().statements.retain(|_, statement| !Arc::ptr_eq(&statement.engine, &engine));
            engine.close().await;
        }
        ended.map(drop)
    }

    /// Keeps a prepared statement; gives its handle.
    pub(crate) fn prepared(&self, engine: Arc<dyn Session>, described: Described, sql: &str) -> Result<Id> {
        let id = random_id()?;
        let state = &mut *self.state();
        let bytes = sql.len() + STATEMENT_BYTES;
        if state.statements.len() >= self.limits.statements || self.held(state) + bytes > self.limits.statement_bytes {
            return Err(too_many_statements());
        }
        self.holding.resize(self.held(state) + bytes)?;
        let statement = PreparedStatement { engine, sql: sql.into(), described, bound: Mutex::default() };
        state.statements.insert(id, Arc::new(statement));
        Ok(id)
    }

    fn held(&self, state: &State) -> usize {
        state.statements.values().map(|statement| statement.held_bytes()).sum()
    }

    /// Keeps values for a statement's next executions; `None` forgets those it had.
    pub(crate) fn bind(&self, statement: &PreparedStatement, bound: Option<Bound>) -> Result<()> {
        *statement.bound() = None;
        let state = &*self.state();
        let Some(bound) = bound else { return self.holding.resize(self.held(state)) };
        let held = self.held(state).saturating_add(bound.bindings.bytes());
        if held > self.limits.statement_bytes {
            return Err(too_many_statements());
        }
        if let Err(full) = self.holding.resize(held) {
            self.holding.resize(self.held(state))?;
            return Err(full);
        }
        *statement.bound() = Some(bound);
        Ok(())
    }

    pub(crate) fn statement(&self, handle: &[u8]) -> Result<Arc<PreparedStatement>> {
        let found = Id::try_from(handle).ok().and_then(|id| self.state().statements.get(&id).cloned());
        found.ok_or_else(|| Error::new(ErrorCode::InvalidStatementName, "the prepared statement does not exist"))
    }

    /// Forgets a prepared statement; one that is not there is no error.
    pub(crate) fn close_statement(&self, handle: &[u8]) {
        let Ok(id) = Id::try_from(handle) else { return };
        let state = &mut *self.state();
        state.statements.remove(&id);
        // Less than before is never refused.
        let _less = self.holding.resize(self.held(state));
    }

    /// Ends streams, transactions and engine sessions.
    pub(crate) async fn close(&self) {
        self.cancel.cancel();
        let engines: Vec<Arc<dyn Session>> = {
            let state = &mut *self.state();
            state.statements.clear();
            let _none = self.holding.resize(0);
            state.transactions.drain().map(|(_, engine)| engine).collect()
        };
        for engine in engines.iter().filter(|engine| !Arc::ptr_eq(engine, &self.main)) {
            engine.close().await;
        }
        self.main.close().await;
    }
}

fn too_many_statements() -> Error {
    Error::new(ErrorCode::ProgramLimitExceeded, "too many prepared statements or bound values")
        .with_hint("Close statements that are not needed any more.")
}

fn no_transaction() -> Error {
    Error::new(ErrorCode::NoActiveTransaction, "the transaction does not exist")
        .with_hint("It ended, or another session began it.")
}

/// Reads the end that a client wants for its transaction.
pub(crate) fn ending(action: i32) -> Result<Ending> {
    match action {
        1 => Ok(Ending::Commit),
        2 => Ok(Ending::Rollback),
        0 => Err(Error::new(ErrorCode::ProtocolViolation, "the transaction's end is not specified")),
        _ => Err(unsupported("this end of a transaction")),
    }
}

#[cfg(test)]
mod tests;
