//! Requests in one go whose rows the session looks up: read where they lie and answered without a portal. What is not such a request,
//! or not now, is taken apart message by message.

use crate::cancel::{CancelSlot, Known};
use crate::connection::halt::{Closing, Halt};
use crate::connection::stream::CHUNK_BYTES;
use crate::connection::wire_rows::TAG_NAME;
use crate::connection::{Connection, killed};
use crate::decode::given;
use crate::door_state::DoorState;
use crate::observe::Kind;
use crate::report::Report;
use crate::transport::Transport;
use crate::wire::{Asked, Format, VALUES_MAX, Writer};
use bytes::Buf;
use querygate_query_api::service::{LookUp, LookUpOutcome, Prepared, Session};
use querygate_types::wire_rows::{Given, WireForm, WireRows};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// A request that is answered once its rows are here.
struct AtOnce {
    prepared: Arc<dyn Prepared>,
    form: WireForm,
    described: bool,
    bytes: usize,
}

impl Connection {
    /// Answers the request that lies at the front of what came. `false`: nothing was done, and it is to be taken apart.
    pub(crate) async fn answered_at_once(&mut self) -> Result<bool, Closing> {
        let request;
        let step = {
            let Some(asked) = Asked::first(&self.input) else { return Ok(false) };
            let Some(found) = self.at_once(&asked) else { return Ok(false) };
            request = found;
            let Some(step) = begun(&self.session, &request, &asked) else { return Ok(false) };
            step
        };
        let found = attended(step, &self.shared, &self.slot, &mut self.waker, &self.transport, &self.session).await;
        let outcome = match found {
            Ok(LookUpOutcome::Rows(written)) => Ok(written),
            Ok(LookUpOutcome::Declined(_)) => return Ok(false),
            Err(Halt::Statement(report)) => Err(report),
            Err(Halt::Connection(closing)) => return Err(closing),
        };
        self.input.advance(request.bytes);
        let Some(report) = self.answer(&request, outcome) else { return Ok(true) };
        // Sync is read already.
        self.fail(report)?;
        self.ready();
        Ok(true)
    }

    /// The request, if it may be one of a look-up.
    fn at_once(&self, asked: &Asked<'_>) -> Option<AtOnce> {
        if !self.answers_at_once() || self.out.len() >= CHUNK_BYTES {
            return None;
        }
        let prepared = self.extended.prepared(asked.statement, asked.bytes)?;
        let form = self.form_of(prepared, asked.form, asked.forms)?;
        Some(AtOnce { prepared: Arc::clone(prepared), form, described: asked.described, bytes: asked.bytes })
    }

    /// Says what the messages of the request would have been answered, up to an error, which is given back.
    fn answer(&mut self, request: &AtOnce, outcome: Result<WireRows, Report>) -> Option<Report> {
        let counts = &self.shared.counts;
        counts.at_once();
        [Kind::Bind, Kind::Execute, Kind::Sync].into_iter().for_each(|kind| counts.message(kind));
        if request.described {
            counts.message(Kind::DescribePortal);
        }
        self.reserve_out();
        self.out.empty(b'2');
        if request.described {
            let form = match request.form {
                WireForm::Text => Format::Text,
                WireForm::Binary => Format::Binary,
            };
            self.out.row_description(request.prepared.columns().unwrap_or_default(), |_| form);
        }
        let written = match outcome {
            Ok(written) => written,
            Err(report) => return Some(report),
        };
        self.out.extend_from_slice(&written.messages);
        self.shared.counts.rows(written.rows);
        self.shared.counts.copied(written.rows);
        self.out.command_counted(TAG_NAME, written.rows);
        self.out.ready(b'I');
        self.uncork();
        None
    }
}

/// Has the session begin. `None`: it is to be run as any statement.
fn begun<'a>(session: &'a Arc<dyn Session>, request: &'a AtOnce, asked: &Asked<'_>) -> Option<LookUp<'a>> {
    let types = request.prepared.parameter_types();
    if types.len() != asked.values().len() {
        return None;
    }
    let mut values = [Given::Boolean(false); VALUES_MAX];
    for ((place, pg_type), (format, bytes)) in values.iter_mut().zip(types).zip(asked.values()) {
        *place = given(*pg_type, *format, bytes)?;
    }
    session.look_up(&request.prepared, values.get(..types.len())?, request.form).ok()
}

/// Waits for a look-up, unless it is not wanted any more: the server ends, or the client left. Requests to cancel go to the session.
async fn attended(
    mut step: LookUp<'_>,
    shared: &DoorState,
    slot: &CancelSlot,
    waker: &mut Known,
    transport: &Transport,
    session: &Arc<dyn Session>,
) -> Result<LookUpOutcome, Halt> {
    let mut peeked = false;
    let _looks_up = slot.looks_up();
    poll_fn(|context| {
        slot.waits(waker, context.waker());
        if let Poll::Ready(done) = step.as_mut().poll(context) {
            return Poll::Ready(done.map_err(Halt::from));
        }
        if shared.ending.is_kill() || slot.is_over() {
            session.cancel();
            return Poll::Ready(Err(killed(shared, slot).into()));
        }
        if transport.poll_abandoned(context, &mut peeked).is_ready() {
            session.cancel();
            return Poll::Ready(Err(Closing::Silently.into()));
        }
        Poll::Pending
    })
    .await
}
