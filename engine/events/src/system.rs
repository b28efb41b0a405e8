//! `querygate.subscriptions`: who follows changes, and how far each has come.

use crate::journal::Events;
use crate::subscriptions::{Subscriber, Subscription};
use querygate_telemetry_api::system::{Cell, CellColumns, CellKind, SystemExtension, SystemRelation};
use querygate_types::Result;
use querygate_types::principal::Principal;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const COLUMNS: CellColumns = &[
    ("login", CellKind::Text),
    ("door", CellKind::Text),
    ("objects", CellKind::Text),
    ("since", CellKind::Time),
    ("delivered", CellKind::Integer),
    ("sequence", CellKind::Integer),
    ("lag_ms", CellKind::Integer),
];
const RELATION: SystemRelation = SystemRelation { name: "subscriptions", columns: COLUMNS };

impl Events {
    /// One more who follows.
    ///
    /// # Errors
    /// 53300: there are too many.
    pub fn subscribe(&self, subscriber: Subscriber, after: u64) -> Result<Arc<Subscription>> {
        self.registry.enter(subscriber, after)
    }
}

#[async_trait::async_trait]
impl SystemExtension for Events {
    fn relations(&self) -> Vec<SystemRelation> {
        vec![RELATION]
    }

    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        RELATION.check_name(relation)?;
        let last = self.last();
        let is_shown = |one: &Arc<Subscription>| reader.may_see_work_of(&one.subscriber.login);
        let row = |one: Arc<Subscription>| {
            let sequence = one.sequence.load(Ordering::Relaxed);
            let objects = one.subscriber.objects.as_ref().map_or_else(|| "*".to_owned(), |names| names.join(","));
            // How far others have come tells of changes that are hidden.
            let lag = reader.operator.then(|| last.saturating_sub(sequence) / 1_000);
            vec![
                Cell::text(&one.subscriber.login),
                Cell::text(one.subscriber.door),
                Cell::text(&objects),
                Cell::Time(one.since),
                Cell::count(one.delivered.load(Ordering::Relaxed)),
                Cell::optional(reader.operator.then_some(sequence), Cell::count),
                Cell::optional(lag, Cell::count),
            ]
        };
        Ok(self.registry.all().into_iter().filter(is_shown).map(row).collect())
    }
}
