//! The life of one session: waits for messages, hands each to the simple or extended protocol, and ends it in order.
//! Knows no SQL.

mod copy_in;
mod copy_out;
mod extended;
mod guard;
mod halt;
mod idle;
mod pipelined_lookup;
mod simple;
mod stream;
mod width;
mod wire_rows;

use crate::cancel::{CancelSlot, Known, Registration};
use crate::connection::extended::Extended;
use crate::connection::guard::Guard;
use crate::connection::halt::{Closing, Halt};
use crate::connection::idle::Idle;
use crate::door_state::DoorState;
use crate::observe::{self, Kind};
use crate::report::{Report, write_notice};
use crate::transport::Transport;
use crate::wire::{FrameLimits, Message, Phase, Recoverable, Refusal, Target, Writer, frame_end, next_message};
use bytes::BytesMut;
use futures::FutureExt as _;
use querygate_query_api::holding::MessageCharge;
use querygate_query_api::outcome::Effect;
use querygate_query_api::service::{Session, TransactionStatus};
use querygate_query_api::tokens::no_longer_holds;
use querygate_types::{Error, ErrorCode};
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Room for the answer to a small statement, made at its first message.
const OUT_BYTES: usize = 256;
/// Time for a client to take the last frames before the socket is dropped.
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);

/// One session's connection.
pub(crate) struct Connection {
    pub(crate) shared: Arc<DoorState>,
    pub(crate) transport: Transport,
    pub(crate) session: Arc<dyn Session>,
    pub(crate) slot: Arc<CancelSlot>,
    /// Frames not yet sent; corked until Sync, Flush or an error.
    pub(crate) out: Vec<u8>,
    pub(crate) extended: Extended,
    pub(crate) input: BytesMut,
    input_charge: MessageCharge,
    /// Whether what lies at its front is taken apart, as it was not to be answered at once.
    apart: bool,
    pub(crate) waker: Known,
    /// Where no timeout bounds a wait, as far as is known.
    idle: Idle,
    uncorked: bool,
    /// After an error in the extended protocol everything up to Sync is skipped.
    skipping: bool,
    /// Statements since the last ReadyForQuery hold together.
    in_block: bool,
    /// Reported settings that changed; sent before ReadyForQuery, as PostgreSQL does.
    changed_settings: Vec<(String, String)>,
    registration: Registration,
}

enum Input {
    /// What may be a request in one go.
    Request,
    Message(Message),
    Refused(Recoverable),
}

impl Connection {
    pub(crate) fn new(
        shared: Arc<DoorState>,
        transport: Transport,
        session: Arc<dyn Session>,
        registration: Registration,
    ) -> Self {
        Self {
            extended: Extended::new(&shared.config, session.holding()),
            shared,
            transport,
            session,
            slot: Arc::clone(&registration.slot),
            out: Vec::new(),
            input: BytesMut::new(),
            input_charge: MessageCharge::default(),
            apart: false,
            waker: Known::default(),
            idle: Idle::default(),
            uncorked: false,
            skipping: false,
            in_block: false,
            changed_settings: Vec::new(),
            registration,
        }
    }

    /// Serves until either side ends it.
    pub(crate) async fn run(mut self) {
        let closing = loop {
            let input = match self.next_input().await {
                Ok(input) => input,
                Err(closing) => break closing,
            };
            if !self.slot.holds() {
                break over(&self.slot);
            }
            match AssertUnwindSafe(self.handle(input)).catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(closing)) => break closing,
                Err(_panic) => {
                    let whole = frame_end(&self.out, self.out.len());
                    self.out.truncate(whole);
                    break Closing::Saying(Report::panicked());
                }
            }
        };
        // The session is freed in any case, whatever the client does with its last frames.
        Box::pin(self.finish(closing)).await;
    }

    /// What is said when the session is to end at once.
    pub(crate) fn killed(&self) -> Closing {
        killed(&self.shared, &self.slot)
    }

    async fn finish(mut self, closing: Closing) {
        self.extended.clear();
        self.slot.end();
        self.session.close().await;
        if let Closing::Saying(report) = closing {
            observe::error(report.sqlstate());
            report.into_fatal().write(&mut self.out);
            let said = self.transport.write_all(&self.out, CLOSE_PATIENCE.min(self.shared.config.write_timeout)).await;
            if said.is_ok() {
                self.transport.close(CLOSE_PATIENCE).await;
            }
        }
        tracing::info!("session closed");
    }

    /// The next message. Sends what is uncorked before it waits, and holds no buffer while it waits idle.
    async fn next_input(&mut self) -> Result<Input, Closing> {
        let limits = FrameLimits::new(self.shared.config.frame_bytes_max);
        loop {
            if self.input.first() == Some(&b'B') && !std::mem::take(&mut self.apart) {
                return Ok(Input::Request);
            }
            match next_message(&mut self.input, Phase::Session, limits) {
                Ok(Some(Ok(message))) => return Ok(Input::Message(message)),
                Ok(Some(Err(refused))) => return Ok(Input::Refused(refused)),
                Ok(None) => {}
                Err(error) => return Err(Closing::Saying(error.into())),
            }
            if std::mem::take(&mut self.uncorked) {
                self.send().await.map_err(|()| Closing::Silently)?;
            }
            let between_messages = self.input.is_empty();
            if between_messages {
                self.input = BytesMut::new();
            }
            self.charge_input()?;
            self.wait(between_messages).await?;
        }
    }

    /// Charges the user for what came of a message. One who has no memory left for it is not waited for.
    pub(crate) fn charge_input(&mut self) -> Result<(), Closing> {
        let charged = self.input_charge.set(self.input.capacity(), || self.session.holding());
        charged.map_err(|error| Closing::Saying(error.into()))
    }

    async fn wait(&mut self, between_messages: bool) -> Result<(), Closing> {
        let resting = self.session.resting();
        let idle = between_messages && self.out.is_empty();
        let timeout = if idle { self.idle.timeout(&*self.session, &resting) } else { None };
        let may_end = idle && resting.status == TransactionStatus::Idle;
        // Not within a transaction: there, clients expect none.
        let listens = may_end && resting.listens;
        if timeout.is_none() && !listens && !self.transport.is_tls() {
            return self.wait_for_input(may_end).await;
        }
        let expired = async {
            match timeout {
                Some((timeout, report)) => {
                    tokio::time::sleep(timeout).await;
                    report
                }
                None => std::future::pending().await,
            }
        };
        let session = Arc::clone(&self.session);
        let notified = async move {
            match listens {
                true => session.notification().await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.slot.kill.cancelled() => Err(self.killed()),
            () = self.shared.shutdown.cancelled(), if may_end => Err(Closing::Saying(Report::shutdown())),
            notification = notified => {
                // A client that only listens sends no message before which it would be asked.
                if !self.slot.holds() {
                    return Err(over(&self.slot));
                }
                self.out.notification(self.registration.process_id, &notification.channel, &notification.payload);
                self.uncorked = true;
                Ok(())
            }
            read = self.transport.read(&mut self.input) => match read {
                Ok(0) | Err(_) => Err(Closing::Silently),
                Ok(bytes) => {
                    self.shared.counts.received(bytes);
                    Ok(())
                }
            },
            report = expired => Err(Closing::Saying(report)),
        }
    }

    /// The usual wait, with nothing to hear of but the client and the door's end.
    async fn wait_for_input(&mut self, may_end: bool) -> Result<(), Closing> {
        let (shared, slot, waker) = (&self.shared, &self.slot, &mut self.waker);
        let (transport, input) = (&mut self.transport, &mut self.input);
        let read = poll_fn(|context| {
            slot.waits(waker, context.waker());
            if may_end && shared.ending.is_shutdown() {
                return Poll::Ready(Err(Closing::Saying(Report::shutdown())));
            }
            if shared.ending.is_kill() || slot.is_over() {
                return Poll::Ready(Err(killed(shared, slot)));
            }
            match transport.poll_read(context, input) {
                Some(read) => read.map(|read| read.map_err(|_| Closing::Silently)),
                None => Poll::Ready(Err(Closing::Saying(Error::internal("a stream cannot be polled").into()))),
            }
        });
        match read.await? {
            0 => Err(Closing::Silently),
            bytes => {
                self.shared.counts.received(bytes);
                Ok(())
            }
        }
    }

    /// Whether nothing of earlier messages is left to be done.
    pub(crate) fn answers_at_once(&self) -> bool {
        !self.skipping && !self.in_block && self.changed_settings.is_empty()
    }

    /// Room for the answer to a small statement.
    pub(crate) fn reserve_out(&mut self) {
        if self.out.capacity() == 0 {
            self.out.reserve(OUT_BYTES);
        }
    }

    pub(crate) fn uncork(&mut self) {
        self.uncorked = true;
    }

    async fn handle(&mut self, input: Input) -> Result<(), Closing> {
        let message = match input {
            Input::Request => {
                self.apart = !self.answered_at_once().await?;
                return Ok(());
            }
            Input::Message(message) => message,
            Input::Refused(_) if self.skipping => return Ok(()),
            Input::Refused(Recoverable { extended, refusal }) => {
                self.fail(refusal_report(refusal))?;
                if extended {
                    self.skipping = true;
                } else {
                    self.ready();
                }
                return Ok(());
            }
        };
        self.shared.counts.message(kind(&message));
        self.reserve_out();
        if self.skipping && !matches!(message, Message::Sync | Message::Terminate) {
            return Ok(());
        }
        let step = match message {
            Message::Sync => {
                self.skipping = false;
                self.end_block().await?;
                self.ready();
                Ok(())
            }
            Message::Bind(bind) => self.bind(bind),
            Message::Describe(target) => self.describe(&target),
            Message::Execute { portal, rows_max } => Box::pin(self.execute(&portal, rows_max)).await,
            // Boxed, so that an idle session does not hold room for the largest statement's state.
            message => Box::pin(self.handle_long(message)).await,
        };
        match step {
            Ok(()) => Ok(()),
            Err(Halt::Statement(report)) => {
                self.fail(report)?;
                self.skipping = true;
                Ok(())
            }
            Err(Halt::Connection(closing)) => Err(closing),
        }
    }

    /// What may wait for the engine, and what is rare.
    async fn handle_long(&mut self, message: Message) -> Result<(), Halt> {
        match message {
            Message::Query(sql) => Ok(self.simple_query(sql).await?),
            Message::Flush => {
                self.uncorked = true;
                Ok(())
            }
            Message::Terminate => Err(Closing::Silently.into()),
            // A client that still sends after a failed COPY does no harm (protocol, "COPY operations").
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Ok(()),
            Message::FunctionCall => {
                self.fail(Report::error(
                    ErrorCode::FeatureNotSupported,
                    "function calls by the fastpath protocol are not supported",
                ))?;
                self.ready();
                Ok(())
            }
            Message::Authentication(_) => {
                Err(Closing::Saying(Report::protocol("invalid frontend message type 112")).into())
            }
            Message::Parse(parse) => self.parse(parse).await,
            Message::Bind(_) | Message::Describe(_) | Message::Execute { .. } | Message::Sync => {
                Err(Error::internal("a message of another place").into())
            }
            Message::Close(target) => {
                if let Target::Statement(name) = &target {
                    self.session.statement_named(name, None);
                }
                self.extended.close(&target);
                self.out.empty(b'3');
                Ok(())
            }
        }
    }

    /// Reports a failed statement. Where the session had to end, its statement was cancelled for that: the client hears why, and of no
    /// request to cancel.
    pub(crate) fn fail(&mut self, report: Report) -> Result<(), Closing> {
        if self.shared.ending.is_kill() || self.slot.is_over() {
            return Err(self.killed());
        }
        observe::error(report.sqlstate());
        self.session.fail_transaction();
        self.take_effects();
        report.write(&mut self.out);
        self.uncorked = true;
        Ok(())
    }

    /// What is changed from now on is stored when the client has sent all that belongs together.
    pub(crate) fn begin_block(&mut self) {
        if !std::mem::replace(&mut self.in_block, true) {
            self.session.begin_block();
        }
    }

    /// Ends what [`begin_block`](Self::begin_block) began. That nothing was stored is said before ReadyForQuery.
    pub(crate) async fn end_block(&mut self) -> Result<(), Closing> {
        if !std::mem::take(&mut self.in_block) {
            return Ok(());
        }
        let token = self.slot.begin();
        let ended = self.guard().run(&token, self.session.end_block()).await;
        self.slot.end();
        match ended {
            Ok(()) => Ok(()),
            Err(Halt::Statement(report)) => self.fail(report),
            Err(Halt::Connection(closing)) => Err(closing),
        }
    }

    /// Says ReadyForQuery.
    pub(crate) fn ready(&mut self) {
        self.take_effects();
        for (name, value) in std::mem::take(&mut self.changed_settings) {
            self.out.parameter_status(&name, &value);
        }
        let status = match self.session.transaction_status() {
            TransactionStatus::Idle => b'I',
            TransactionStatus::InTransaction => b'T',
            TransactionStatus::Failed => b'E',
        };
        if status == b'I' {
            self.extended.end_transaction();
        }
        self.out.ready(status);
        self.uncorked = true;
    }

    /// Writes notices at once, keeps changed settings for ReadyForQuery, forgets statements that SQL dropped.
    pub(crate) fn take_effects(&mut self) {
        self.extended.forget(&self.session.take_deallocated());
        for effect in self.session.take_effects() {
            match effect {
                Effect::Notice(notice) => write_notice(&notice, &mut self.out),
                Effect::ParameterStatus { name, value } => {
                    self.changed_settings.retain(|(known, _)| *known != name);
                    self.changed_settings.push((name, value));
                }
            }
        }
    }

    /// Sends all pending frames. `Err`: the client cannot be reached.
    pub(crate) async fn send(&mut self) -> Result<(), ()> {
        let sent = tokio::select! {
            biased;
            sent = self.transport.write_all(&self.out, self.shared.config.write_timeout) => sent,
            // Who reads nothing hears nothing.
            () = self.slot.kill.cancelled() => return Err(()),
        };
        self.shared.counts.sent(self.out.len());
        // Freed rather than kept: most connections are idle most of the time.
        self.out = Vec::new();
        sent.map_err(|error| tracing::info!(%error, "client cannot be written to"))
    }

    pub(crate) fn guard(&self) -> Guard<'_> {
        Guard::new(self)
    }
}

/// What is said to a client whose session is to end at once.
pub(crate) fn killed(shared: &DoorState, slot: &CancelSlot) -> Closing {
    // The door's end is the one of them that says when to come again.
    if shared.ending.is_kill() || !slot.is_over() { Closing::Saying(Report::shutdown()) } else { over(slot) }
}

/// What is said to a client whose session an operator ended, or that was opened with what no longer holds.
fn over(slot: &CancelSlot) -> Closing {
    Closing::Saying(if slot.is_ended() { Report::shutdown() } else { no_longer_holds().into() })
}

fn refusal_report(refusal: Refusal) -> Report {
    match refusal {
        Refusal::InvalidUtf8(bytes) => Report::error(
            ErrorCode::CharacterNotInRepertoire,
            format!("invalid byte sequence for encoding \"UTF8\": {bytes}"),
        ),
        Refusal::FormatCode(code) => {
            Report::error(ErrorCode::InvalidParameterValue, format!("unsupported format code: {code}"))
        }
    }
}

pub(crate) const fn kind(message: &Message) -> Kind {
    match message {
        Message::Query(_) => Kind::Query,
        Message::Parse(_) => Kind::Parse,
        Message::Bind(_) => Kind::Bind,
        Message::Describe(Target::Statement(_)) => Kind::DescribeStatement,
        Message::Describe(Target::Portal(_)) => Kind::DescribePortal,
        Message::Execute { .. } => Kind::Execute,
        Message::Close(_) => Kind::Close,
        Message::Flush => Kind::Flush,
        Message::Sync => Kind::Sync,
        Message::Terminate => Kind::Terminate,
        Message::FunctionCall => Kind::FunctionCall,
        Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Kind::Copy,
        Message::Authentication(_) => Kind::Authentication,
    }
}
