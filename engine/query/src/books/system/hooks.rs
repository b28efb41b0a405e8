//! `querygate.hooks`: the hooks of objects and how they have run since their metadata was loaded.

use super::{Cell, Columns, Kind, Row, count, text};
use querygate_catalog::deployment::Deployment;
use querygate_metadata::model::HookEvent;
use querygate_policy::hooks::ObjectHook;
use querygate_policy::write::{WriteOperation, events_of};
use querygate_types::principal::Principal;
use std::time::Duration;

pub(super) const HOOKS: Columns = &[
    ("object", Kind::Text),
    ("event", Kind::Text),
    ("name", Kind::Text),
    ("priority", Kind::Integer),
    ("asynchronous", Kind::Flag),
    ("runs", Kind::Integer),
    ("faults", Kind::Integer),
    ("p50_ms", Kind::Float),
    ("p95_ms", Kind::Float),
    ("given_up", Kind::Flag),
    ("api_calls", Kind::Integer),
    ("api_ms", Kind::Float),
];

/// For operators only: hooks name what others may not see.
pub(super) fn rows(deployment: &Deployment, principal: &Principal) -> Vec<Row> {
    if !principal.operator {
        return Vec::new();
    }
    let operations = [WriteOperation::Insert, WriteOperation::Update, WriteOperation::Delete];
    let mut rows = Vec::new();
    for object in deployment.snapshot.objects.keys() {
        let changes = operations.map(events_of).into_iter();
        for (before, after) in changes.chain([(HookEvent::BeforeFind, HookEvent::AfterFind)]) {
            for event in [before, after] {
                rows.extend(deployment.policies.hooks(object, event).iter().map(|hook| row(object, event, hook)));
            }
        }
    }
    rows
}

/// Counts are of a hook of an object, for all of its events together.
fn row(object: &str, event: HookEvent, hook: &ObjectHook) -> Row {
    let statistics = hook.statistics();
    let ms = |took: Option<Duration>| took.map_or(Cell::Absent, |took| Cell::Float(took.as_secs_f64() * 1e3));
    vec![
        text(object),
        text(event.name()),
        text(&hook.hook().name),
        Cell::Integer(hook.hook().priority),
        Cell::Flag(hook.hook().is_async && event.is_after()),
        number(statistics.runs()),
        number(statistics.faults()),
        ms(statistics.quantile(0.5)),
        ms(statistics.quantile(0.95)),
        Cell::Flag(statistics.is_lost()),
        number(statistics.calls()),
        Cell::Float(statistics.waited().as_secs_f64() * 1e3),
    ]
}

fn number(value: u64) -> Cell {
    count(usize::try_from(value).unwrap_or(usize::MAX))
}
