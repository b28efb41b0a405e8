//! When the answer to a question may be another: changes of its object's rows by their keys, changes of what it depends on, and rights that
//! change. Nothing of the rows themselves leaves here.

use super::super::gate_session::GateSession;
use super::dependencies::{Dependencies, has_one_spelling};
use super::reread::plain;
use crate::engine::{Engine, EventFeed};
use crate::question::object::visible;
use crate::write::values::rows::json;
use arrow::array::RecordBatch;
use futures::stream::try_unfold;
use futures::{StreamExt, TryStreamExt};
use querygate_driver_api::write::RowsChanged;
use querygate_events::{Committed, Cursor, Subscriber, Subscription};
use querygate_pg_catalog::LeafToken;
use querygate_query_api::requests::tracking::{Stale, StaleStream, Tracking};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Keys that are asked for again at once; of more, everything is.
const KEYS_MAX: usize = 500;
/// How often it is looked whether rights or metadata have changed.
const RIGHTS_EVERY: Duration = Duration::from_secs(1);

/// One question that is kept up to date.
struct Tracker {
    gate: Arc<Engine>,
    feed: EventFeed,
    principal: Arc<Principal>,
    tracking: Tracking,
    cursor: Cursor,
    dependencies: Dependencies,
    /// For whose rights, as they are, the dependencies are.
    token: LeafToken,
    subscription: Arc<Subscription>,
}

impl GateSession {
    /// Tracks what the answer to a question depends on.
    pub(in crate::session) fn track_answer(&self, tracking: Tracking) -> Result<StaleStream> {
        let unkept = || Error::new(ErrorCode::FeatureNotSupported, "this gate keeps no events");
        let feed = self.gate.options().events.clone().ok_or_else(unkept)?;
        // Before anything is looked at: what changes meanwhile is heard of.
        let cursor = feed.log.cursor(None)?;
        let rights = self.gate.rights(&self.gate.deployment(), &self.principal);
        visible(&rights, &tracking.object)?;
        let dependencies = Dependencies::of(&rights, &tracking);
        dependencies.are_kept(&tracking, &feed.log.options().objects)?;
        let objects = Some(vec![tracking.object.clone()]);
        let subscriber = Subscriber { login: self.principal.login.clone(), door: self.door.name(), objects };
        let subscription = feed.log.subscribe(subscriber, cursor.after)?;
        let tracker = Tracker {
            gate: Arc::clone(&self.gate),
            feed,
            principal: Arc::clone(&self.principal),
            tracking,
            cursor,
            dependencies,
            token: rights.token().clone(),
            subscription,
        };
        Ok(try_unfold(tracker, Tracker::next).into_stream().boxed())
    }
}

impl Tracker {
    async fn next(mut self) -> Result<Option<(Stale, Self)>> {
        loop {
            if self.has_other_rights()? {
                return Ok(Some((Stale::All, self)));
            }
            let next = self.feed.log.next(&mut self.cursor);
            let stale = match tokio::time::timeout(RIGHTS_EVERY, next).await {
                Err(_) => continue,
                Ok(Ok(came)) => self.stale(&came),
                // It was away for so long that the log has forgotten what came: everything is asked for again.
                Ok(Err(error)) if error.code() == ErrorCode::ObjectNotInPrerequisiteState => {
                    self.cursor = self.feed.log.cursor(None)?;
                    Some(Stale::All)
                }
                Ok(Err(error)) => return Err(error),
            };
            self.subscription.came_to(self.cursor.after, u64::from(stale.is_some()));
            if let Some(stale) = stale {
                return Ok(Some((stale, self)));
            }
        }
    }

    /// Whether what the reader may see is decided by other rights than before.
    fn has_other_rights(&mut self) -> Result<bool> {
        let rights = self.gate.rights(&self.gate.deployment(), &self.principal);
        if *rights.token() == self.token {
            return Ok(false);
        }
        self.token = rights.token().clone();
        visible(&rights, &self.tracking.object)?;
        self.dependencies = Dependencies::of(&rights, &self.tracking);
        self.dependencies.are_kept(&self.tracking, &self.feed.log.options().objects)?;
        Ok(true)
    }

    /// What is to be asked again after these transactions; `None`: nothing.
    fn stale(&self, came: &[Arc<Committed>]) -> Option<Stale> {
        let mut keys = BTreeSet::new();
        for change in came.iter().flat_map(|committed| &committed.changes) {
            if self.dependencies.whole.contains(&*change.object) {
                return Some(Stale::All);
            }
            if *change.object != *self.tracking.object {
                continue;
            }
            let added = self.dependencies.key.as_ref().and_then(|key| add_keys(change, key, &mut keys));
            if added.is_none() {
                return Some(Stale::All);
            }
        }
        (!keys.is_empty()).then(|| Stale::Keys(keys.into_iter().collect()))
    }
}

/// Adds the keys of a change's rows, before and after; `None`: they are too many, or this field has no one spelling.
fn add_keys(change: &RowsChanged, key: &str, keys: &mut BTreeSet<String>) -> Option<()> {
    for rows in change.before.iter().chain(&change.after) {
        keys_of(rows, key, keys)?;
    }
    Some(())
}

fn keys_of(rows: &RecordBatch, key: &str, keys: &mut BTreeSet<String>) -> Option<()> {
    let values = rows.column_by_name(key).filter(|values| has_one_spelling(values.data_type()))?;
    for row in 0..rows.num_rows() {
        keys.insert(plain(&json(values, row).ok()?)?);
        if keys.len() > KEYS_MAX {
            return None;
        }
    }
    Some(())
}
