//! Subscriptions: what was committed, judged for one follower by the deployment of now, piece by piece. A follower takes what comes at a
//! pace of its own: what waits in memory for it is charged to it.

mod dependencies;
mod pieces;
mod reread;
mod tracking;

use super::gate_session::GateSession;
use super::seen_records::ReaderQuestions;
use crate::bind::reader_rights::ReaderRights;
use crate::engine::judged::PieceKey;
use crate::engine::{Engine, EventFeed};
use crate::errors::{Stage, translate};
use crate::events::{RawRows, RowEvent, RowVerdict, row_verdicts, seen_rows};
use crate::question::object::visible;
use crate::session::statements::question::described;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use futures::stream::try_unfold;
use futures::{StreamExt, TryStreamExt};
use pieces::{Piece, Pieces};
use querygate_catalog::VisibleObject;
use querygate_events::{Committed, Cursor, Subscriber, Subscription};
use querygate_query_api::requests::events::{ChangeEvent, EventFilter, EventStream, Followed, Sequence};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use reread::Reader;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Objects that one subscription may name.
const OBJECTS_MAX: usize = 256;
/// How often a follower to whom nothing came hears how far it has come.
const REACHED_EVERY: Duration = Duration::from_secs(15);
/// How soon a follower who is up to date reads the log again: what comes meanwhile wakes it once, and not each time.
const PAUSE: Duration = Duration::from_millis(20);
/// Transactions given at once from which on a follower is behind, and reads on without a pause.
const BEHIND_MIN: usize = 32;

/// One who follows.
struct Follower {
    gate: Arc<Engine>,
    feed: EventFeed,
    principal: Arc<Principal>,
    filter: EventFilter,
    cursor: Cursor,
    /// What was read from the log and not judged yet.
    came: VecDeque<Arc<Committed>>,
    /// The transaction that is being judged.
    judging: Option<Pieces>,
    /// What it may read, as long as others keep that, too: who waits keeps no version of metadata in memory.
    rights: Weak<ReaderRights>,
    /// What it holds of the log, charged to it.
    room: MemoryReservation,
    /// `None`: it reads what is kept, and waits for nothing.
    subscription: Option<Arc<Subscription>>,
    /// The last sequence that it wants; `None`: what comes, too.
    until: Option<u64>,
    ready: VecDeque<Followed>,
    reader: Reader,
    /// When it hears how far it has come.
    due: Instant,
    /// When it reads the log again, at the soonest.
    not_before: Instant,
}

impl GateSession {
    /// Follows changes.
    pub(in crate::session) async fn follow(&self, filter: EventFilter) -> Result<EventStream> {
        let unkept = || Error::new(ErrorCode::FeatureNotSupported, "this gate keeps no events");
        let feed = self.gate.options().events.clone().ok_or_else(unkept)?;
        if filter.objects.as_ref().is_some_and(|names| names.is_empty() || names.len() > OBJECTS_MAX) {
            let text = format!("a subscription names between 1 and {OBJECTS_MAX} objects");
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, text));
        }
        if filter.from.is_none() {
            // Of what was committed before, the follower hears nothing, whether it was written by now or not.
            feed.log.flush().await;
        }
        let rights = self.gate.rights(&self.gate.deployment(), &self.principal);
        for name in filter.objects.iter().flatten() {
            visible(&rights, name)?;
            if rights.deployment().policies.only_asked(name).is_some() {
                let text = format!(
                    "changes of object '{name}' are not followed: hooks of its metadata run for questions alone"
                );
                return Err(Error::new(ErrorCode::FeatureNotSupported, text)
                    .with_hint("An operator declares a filter that stands for the hook."));
            }
            if !feed.log.is_followed(name) {
                let text = format!("no events are kept of object '{name}'");
                return Err(Error::new(ErrorCode::FeatureNotSupported, text)
                    .with_hint("An operator names the objects of which events are kept in [events]."));
            }
        }
        let cursor = feed.log.cursor(filter.from.map(|Sequence(sequence)| sequence))?;
        let objects = filter.objects.clone();
        let subscriber = Subscriber { login: self.principal.login.clone(), door: self.door.name(), objects };
        let subscription = feed.log.subscribe(subscriber, cursor.after)?;
        let follower = Follower {
            reader: Reader::new(Arc::clone(&self.gate), Arc::clone(&self.principal), self.door),
            gate: Arc::clone(&self.gate),
            feed,
            principal: Arc::clone(&self.principal),
            filter,
            cursor,
            came: VecDeque::new(),
            judging: None,
            rights: Arc::downgrade(&rights),
            room: MemoryConsumer::new("events").register(self.runs.account()),
            subscription: Some(subscription),
            until: None,
            ready: VecDeque::new(),
            due: Instant::now(),
            not_before: Instant::now(),
        };
        Ok(try_unfold(follower, Follower::next).into_stream().boxed())
    }

    /// Changes of one object as the payloads of a channel: `querygate.` and its name in metadata, or `*` for all that the listener sees.
    /// `None`: it is no such channel, or there is none for the listener.
    pub(in crate::session) async fn listen_to_changes(
        &self,
        channel: &str,
    ) -> Result<Option<futures::stream::BoxStream<'static, String>>> {
        let Some(object) = channel.strip_prefix("querygate.").filter(|_| self.gate.options().events.is_some()) else {
            return Ok(None);
        };
        let objects = (object != "*").then(|| vec![object.to_owned()]);
        let stream = match self.follow(EventFilter { objects, ..EventFilter::default() }).await {
            Ok(stream) => stream,
            // What is not there and what is not to be seen are alike.
            Err(error) if error.vendor_code().is_some() => return Ok(None),
            Err(error) => return Err(error),
        };
        let payloads = stream.filter_map(|followed| async move {
            match followed {
                Ok(Followed::Event(event)) => Some(payload(&event)),
                Ok(Followed::Reached(_)) => None,
                Err(error) => {
                    let mut text = String::from("{\"error\":");
                    querygate_types::json::print::quoted(error.message(), &mut text);
                    text.push('}');
                    Some(text)
                }
            }
        });
        Ok(Some(payloads.boxed()))
    }
}

/// What is kept of changes of these objects, or of all, as far as their reader sees them, up to what was committed before. Names of which
/// nothing is to be seen or kept are passed over.
pub(in crate::session) async fn kept(
    asking: Arc<ReaderQuestions>,
    objects: Option<Vec<String>>,
) -> Result<EventStream> {
    let origin = &asking.origin;
    let unkept = || Error::internal("events are read where none are kept");
    let feed = origin.gate.options().events.clone().ok_or_else(unkept)?;
    let until = Some(feed.log.flush().await);
    let follower = Follower {
        gate: Arc::clone(&origin.gate),
        principal: Arc::clone(&origin.principal),
        filter: EventFilter { objects, ..EventFilter::default() },
        cursor: feed.log.oldest(),
        feed,
        came: VecDeque::new(),
        judging: None,
        rights: Weak::new(),
        room: MemoryConsumer::new("events").register(origin.runs.account()),
        subscription: None,
        until,
        ready: VecDeque::new(),
        reader: Reader::within(Arc::clone(&asking)),
        due: Instant::now() + REACHED_EVERY,
        not_before: Instant::now(),
    };
    Ok(try_unfold(follower, Follower::next).into_stream().boxed())
}

/// Bytes of a payload of NOTIFY, as PostgreSQL bounds them.
const PAYLOAD_MAX: usize = 7_999;

/// An event as the payload of a NOTIFY: without its record where that is too long.
fn payload(event: &ChangeEvent) -> String {
    let whole = event.to_json();
    if whole.len() <= PAYLOAD_MAX {
        return whole;
    }
    let short = event.to_short_json();
    if short.len() <= PAYLOAD_MAX {
        return short;
    }
    ChangeEvent { key: "{}".to_owned(), ..event.clone() }.to_short_json()
}

impl Follower {
    async fn next(mut self) -> Result<Option<(Followed, Self)>> {
        loop {
            if let Some(followed) = self.ready.pop_front() {
                self.due = Instant::now() + REACHED_EVERY;
                return Ok(Some((followed, self)));
            }
            if let Some(judging) = self.judging.take() {
                // Boxed: who waits for changes would else keep all the room that judging takes.
                self.judging = Box::pin(self.judge(judging)).await?;
                continue;
            }
            if let Some(committed) = self.came.pop_front() {
                if self.until.is_some_and(|until| committed.sequence > until) {
                    return Ok(None);
                }
                self.judging = Some(Pieces::of(committed));
                continue;
            }
            if let Some(until) = self.until {
                if self.cursor.after >= until {
                    return Ok(None);
                }
                match self.feed.log.next(&mut self.cursor).await {
                    Ok(came) => self.hold(came)?,
                    // What is forgotten while it is read is not there.
                    Err(error) if error.code() == ErrorCode::ObjectNotInPrerequisiteState => {
                        self.cursor = self.feed.log.oldest();
                    }
                    Err(error) => return Err(error),
                }
                continue;
            }
            // While it waits it holds nothing of the log.
            self.room.free();
            if Instant::now() >= self.due {
                self.due = Instant::now() + REACHED_EVERY;
                if let Some(reached) = self.feed.log.reached(&mut self.cursor) {
                    self.came_to(reached, 0);
                    return Ok(Some((Followed::Reached(Sequence(reached)), self)));
                }
            }
            if Instant::now() < self.not_before {
                tokio::time::sleep_until(self.not_before).await;
            }
            let next = self.feed.log.next(&mut self.cursor);
            let Ok(came) = tokio::time::timeout_at(self.due, next).await else { continue };
            self.hold(came?)?;
            if self.came.len() < BEHIND_MIN {
                self.not_before = Instant::now() + PAUSE;
            }
        }
    }

    /// What the follower may read now.
    fn rights(&mut self) -> Arc<ReaderRights> {
        if let Some(known) = self.rights.upgrade()
            && known.are_current(self.gate.version())
        {
            return known;
        }
        let found = self.gate.rights(&self.gate.deployment(), &self.principal);
        self.rights = Arc::downgrade(&found);
        found
    }

    fn came_to(&self, sequence: u64, count: u64) {
        if let Some(subscription) = &self.subscription {
            subscription.came_to(sequence, count);
        }
    }

    /// Takes what was read from the log.
    fn hold(&mut self, came: Vec<Arc<Committed>>) -> Result<()> {
        let bytes = came.iter().map(|committed| committed.bytes()).fold(pieces::BYTES_MAX, usize::saturating_add);
        self.room.try_resize(bytes).map_err(|error| translate(&error, Stage::Execute))?;
        self.came = came.into();
        Ok(())
    }

    /// Judges the next piece of a transaction, or ends it. Gives what is left of it.
    async fn judge(&mut self, mut judging: Pieces) -> Result<Option<Pieces>> {
        let (objects, log) = (&self.filter.objects, &self.feed.log);
        let is_wanted = |object: &str| objects.as_ref().is_none_or(|names| names.iter().any(|name| name == object));
        // The log has changes of others for their history.
        let is_followed = |object: &str| is_wanted(object) && log.is_followed(object);
        let Some(piece) = judging.take(is_followed) else {
            self.ready.extend(judging.last().map(Followed::Event));
            self.room.shrink(judging.committed.bytes().min(self.room.size()));
            self.came_to(judging.committed.sequence, judging.count);
            return Ok(None);
        };
        for (row, judged) in self.judged(judging.committed.sequence, &piece).await? {
            if self.filter.operations.as_ref().is_none_or(|operations| operations.contains(&judged.operation)) {
                let event = self.event(&judging.committed, (&piece, row), judged);
                self.ready.extend(judging.add(Box::new(event)).map(Followed::Event));
            }
        }
        Ok(Some(judging))
    }

    /// What the follower hears of rows, by their numbers in the piece and by the deployment of now.
    async fn judged(&mut self, sequence: u64, piece: &Piece) -> Result<Vec<(usize, RowEvent)>> {
        let rights = self.rights();
        let visible = rights.objects().iter().find(|visible| *visible.object.name == *piece.rows.object);
        let Some(visible) = visible else { return Ok(Vec::new()) };
        if rights.deployment().policies.only_asked(&visible.object.name).is_some() {
            // Its hooks may refuse a read, and an event is none that they hear of.
            return Ok(Vec::new());
        }
        match self.verdicts(&rights, visible, sequence, piece) {
            Ok(verdicts) if verdicts.is_empty() => Ok(Vec::new()),
            Ok(verdicts) => self.reader.settle(&described(&rights, visible), &verdicts, self.feed.print).await,
            Err(error) => {
                tracing::error!(object = &*piece.rows.object, cause = error.cause(), "a change could not be judged");
                Ok(Vec::new())
            }
        }
    }

    /// What is said of rows to who has these rights, made by the first one who follows and asks. Empty: nothing is said of any.
    fn verdicts(
        &self,
        rights: &ReaderRights,
        visible: &VisibleObject,
        sequence: u64,
        piece: &Piece,
    ) -> Result<Arc<Vec<RowVerdict>>> {
        let deployment = rights.deployment();
        let Some(table) = deployment.tables.get(&visible.object.name) else { return Ok(Arc::default()) };
        // Who reads what is kept is alone with it.
        let shared = self.subscription.as_ref().map(|_| &self.gate.caches().judged);
        let key = PieceKey { version: deployment.version, sequence, change: piece.change, first: piece.first };
        let made = || {
            let raw = || RawRows::of(&piece.rows, &table.provider.schema()).map(Arc::new);
            let raw = match shared {
                Some(shared) => shared.raw_rows(key, raw)?,
                None => raw()?,
            };
            let Some(seen) = seen_rows(visible, &raw)? else { return Ok(Arc::default()) };
            row_verdicts(visible, &described(rights, visible), &raw, &seen, self.feed.print).map(Arc::new)
        };
        match shared {
            Some(shared) => shared.verdicts(rights.number, key, made),
            None => made(),
        }
    }

    fn event(&self, committed: &Committed, (piece, row): (&Piece, usize), judged: RowEvent) -> ChangeEvent {
        let RowEvent { operation, key, changed, record } = judged;
        let is_shown_actor = self.principal.operator || *self.principal.user_id == *committed.actor;
        ChangeEvent {
            sequence: Sequence(committed.sequence),
            id: committed.event_id(piece.change, piece.first + row),
            is_last: false,
            object: piece.rows.object.to_string(),
            operation,
            key,
            changed,
            record,
            transaction: committed.transaction.clone(),
            actor: is_shown_actor.then(|| committed.actor.to_string()),
            door: committed.door.to_string(),
            uncertain: committed.uncertain,
        }
    }
}
