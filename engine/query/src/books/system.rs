//! Schema `querygate`: what the gate knows of itself, as tables. A principal sees its own rows, an operator all.

mod cells;
pub(crate) mod extensions;
mod hooks;

pub(crate) use cells::{Cell, Columns, Kind, Row, batch_of, schema_of, text};

use crate::books::checks::{CheckRecord, Checks};
use crate::books::clock::now_ms;
use crate::books::observe::{FragmentRecord, Observer, QueryRecord, SessionRecord};
use cells::{count, number};
use querygate_catalog::deployment::Deployment;
use querygate_catalog::live::LiveTable;
use querygate_pg_catalog::LeafToken;
use querygate_policy::Evaluator;
use querygate_types::ErrorCode;
use querygate_types::principal::Principal;
use std::sync::Arc;

/// The tables, bound to one principal. `starts`: name, value and purpose of each setting when a session begins.
pub(crate) fn tables(
    observer: &Arc<Observer>,
    checks: &Arc<Checks>,
    token: &LeafToken,
    deployment: &Arc<Deployment>,
    principal: &Arc<Principal>,
    starts: Vec<[String; 3]>,
) -> Vec<(&'static str, Arc<LiveTable>)> {
    let own = |login: &str, principal: &Principal| principal.may_see_work_of(login);
    let (o, p) = (Arc::clone(observer), Arc::clone(principal));
    let queries = move || o.queries().iter().filter(|q| own(&q.login, &p)).map(|q| query_row(q)).collect();
    let (o, p) = (Arc::clone(observer), Arc::clone(principal));
    let audit = move || o.queries().iter().filter(|q| own(&q.login, &p)).map(|q| audit_row(q)).collect();
    let (o, p) = (Arc::clone(observer), Arc::clone(principal));
    let fragments =
        move || o.queries().iter().filter(|q| own(&q.login, &p)).flat_map(|q| fragment_rows(q, p.operator)).collect();
    let (o, p) = (Arc::clone(observer), Arc::clone(principal));
    let sessions = move || o.sessions().into_iter().filter(|s| own(&s.login, &p)).map(session_row).collect();
    let (c, p) = (Arc::clone(checks), Arc::clone(principal));
    // Whether a check had too many rows, or met one that fails, tells of rows that policies hide.
    let checks = move || c.all().into_iter().filter(|_| p.operator).map(|check| check_row(&check, &p)).collect();
    let (d, p) = (Arc::clone(deployment), Arc::clone(principal));
    let sources = move || source_rows(&d, &p);
    let (d, p) = (Arc::clone(deployment), Arc::clone(principal));
    let changes = move || schema_rows(&d, &p);
    let (d, p) = (Arc::clone(deployment), Arc::clone(principal));
    let objects = move || object_rows(&d, &p);
    let (d, p) = (Arc::clone(deployment), Arc::clone(principal));
    let policies = move || policy_rows(&d, &p);
    let (d, p) = (Arc::clone(deployment), Arc::clone(principal));
    let hooks = move || hooks::rows(&d, &p);
    let settings = move || starts.iter().map(|row| row.iter().map(|cell| text(cell)).collect()).collect();
    vec![
        table(token, "queries", QUERIES, queries),
        table(token, "fragments", FRAGMENTS, fragments),
        table(token, "sources", SOURCES, sources),
        table(token, "objects", OBJECTS, objects),
        table(token, "policies_effective", POLICIES, policies),
        table(token, "sessions", SESSIONS, sessions),
        table(token, "settings", SETTINGS, settings),
        table(token, "audit", AUDIT, audit),
        table(token, "self_checks", CHECKS, checks),
        table(token, "schema_changes", SCHEMA_CHANGES, changes),
        table(token, "hooks", hooks::HOOKS, hooks),
    ]
}

const QUERIES: Columns = &[
    ("id", Kind::Integer),
    ("started", Kind::Time),
    ("login", Kind::Text),
    ("session", Kind::Integer),
    ("door", Kind::Text),
    ("template", Kind::Text),
    ("fingerprint", Kind::Text),
    ("objects", Kind::Text),
    ("planning_ms", Kind::Float),
    ("total_ms", Kind::Float),
    ("rows", Kind::Integer),
    ("outcome", Kind::Text),
    ("cached", Kind::Flag),
];
const FRAGMENTS: Columns = &[
    ("query", Kind::Integer),
    ("number", Kind::Integer),
    ("source", Kind::Text),
    ("object", Kind::Text),
    ("receipt", Kind::Text),
    ("rows", Kind::Integer),
    ("bytes_read", Kind::Integer),
    ("row_groups", Kind::Integer),
    ("row_groups_spared", Kind::Integer),
    ("ms", Kind::Float),
];
const SOURCES: Columns = &[
    ("name", Kind::Text),
    ("kind", Kind::Text),
    ("tables", Kind::Integer),
    ("up", Kind::Flag),
    ("error", Kind::Text),
    ("pool_size", Kind::Integer),
    ("in_use", Kind::Integer),
    ("idle", Kind::Integer),
    ("waiting", Kind::Integer),
    ("opened", Kind::Integer),
    ("failed", Kind::Integer),
    ("mean_lease_ms", Kind::Float),
    ("breaker", Kind::Text),
];
const CHECKS: Columns = &[
    ("query", Kind::Integer),
    ("at", Kind::Time),
    ("login", Kind::Text),
    ("sources", Kind::Text),
    ("template", Kind::Text),
    ("outcome", Kind::Text),
    ("detail", Kind::Text),
    ("ms", Kind::Float),
];
const SCHEMA_CHANGES: Columns = &[
    ("at", Kind::Time),
    ("source", Kind::Text),
    ("object", Kind::Text),
    ("field", Kind::Text),
    ("type_before", Kind::Text),
    ("type_now", Kind::Text),
    ("done", Kind::Text),
];
const OBJECTS: Columns = &[
    ("name", Kind::Text),
    ("object", Kind::Text),
    ("label", Kind::Text),
    ("source", Kind::Text),
    ("package", Kind::Text),
    ("columns", Kind::Integer),
];
const POLICIES: Columns = &[
    ("name", Kind::Text),
    ("verdict", Kind::Text),
    ("rows", Kind::Text),
    ("hidden_fields", Kind::Integer),
    ("masked_fields", Kind::Text),
    ("layers", Kind::Text),
];
const SESSIONS: Columns = &[
    ("id", Kind::Integer),
    ("login", Kind::Text),
    ("door", Kind::Text),
    ("application", Kind::Text),
    ("peer", Kind::Text),
    ("since", Kind::Time),
    ("statements", Kind::Integer),
    ("state", Kind::Text),
];
const SETTINGS: Columns = &[("name", Kind::Text), ("value", Kind::Text), ("description", Kind::Text)];
const AUDIT: Columns = &[
    ("at", Kind::Time),
    ("login", Kind::Text),
    ("door", Kind::Text),
    ("template", Kind::Text),
    ("objects", Kind::Text),
    ("rows", Kind::Integer),
    ("outcome", Kind::Text),
];

fn table(
    token: &LeafToken,
    name: &'static str,
    columns: Columns,
    rows: impl Fn() -> Vec<Row> + Send + Sync + 'static,
) -> (&'static str, Arc<LiveTable>) {
    let schema = schema_of(columns);
    let made = Arc::clone(&schema);
    let rows = Arc::new(move || batch_of(&made, columns, rows()));
    (name, Arc::new(LiveTable::new(token.clone(), name, schema, rows)))
}

fn outcome(error: Option<ErrorCode>) -> Cell {
    text(error.map_or("ok", ErrorCode::sqlstate))
}

fn query_row(q: &QueryRecord) -> Row {
    vec![
        number(q.id),
        Cell::Time(q.started),
        text(&q.login),
        number(q.session),
        text(q.door.name()),
        text(&q.template.text),
        text(&format!("{:016x}", q.template.fingerprint)),
        text(&q.objects.join(", ")),
        Cell::Float(q.planning.as_secs_f64() * 1e3),
        Cell::Float(q.total.as_secs_f64() * 1e3),
        number(q.rows),
        outcome(q.error),
        Cell::Flag(q.cached),
    ]
}

fn audit_row(q: &QueryRecord) -> Row {
    vec![
        Cell::Time(q.started),
        text(&q.login),
        text(q.door.name()),
        text(&q.template.text),
        text(&q.objects.join(", ")),
        number(q.rows),
        outcome(q.error),
    ]
}

/// What files were read for a leaf counts rows that its reader does not see: for operators.
fn fragment_rows(q: &QueryRecord, operator: bool) -> Vec<Row> {
    let row = |(n, f): (usize, &FragmentRecord)| {
        let mut row = vec![number(q.id), count(n + 1), text(&f.source), text(&f.table), text(&f.receipt)];
        let mut measured = q.reads.iter().filter(|one| *one.source == *f.source && one.table == f.table);
        match measured.next().filter(|_| operator) {
            Some(one) => row.extend([
                number(one.rows),
                number(one.files.bytes),
                number(one.files.groups),
                number(one.files.groups_spared),
                Cell::Float(one.total.as_secs_f64() * 1e3),
            ]),
            None => row.extend((0..5).map(|_| Cell::Absent)),
        }
        row
    };
    q.fragments.iter().enumerate().map(row).collect()
}

fn session_row(s: SessionRecord) -> Row {
    vec![
        number(s.id),
        text(&s.login),
        text(s.door.name()),
        text(&s.application),
        Cell::Text(s.peer),
        Cell::Time(s.since),
        number(s.activity.statements()),
        text(s.activity.state()),
    ]
}

/// Sources are named to operators only.
fn check_row(check: &CheckRecord, principal: &Principal) -> Row {
    vec![
        number(check.query),
        Cell::Time(check.at),
        text(&check.login),
        Cell::Text(principal.operator.then(|| check.sources.clone())),
        text(&check.template.text),
        text(check.finding.name()),
        Cell::Text(check.finding.detail().map(str::to_owned)),
        Cell::Float(check.took.as_secs_f64() * 1e3),
    ]
}

/// The connections of a source; nothing for one without.
fn pool_cells(source: &querygate_catalog::deployment::SourceStatus) -> Row {
    let Some(pool) = source.driver.as_ref().and_then(|driver| driver.pool()) else {
        let numbers = (0..7).map(|_| Cell::Absent);
        return numbers.chain([Cell::Text(None)]).collect();
    };
    vec![
        count(pool.size),
        count(pool.in_use),
        count(pool.idle),
        count(pool.waiting),
        number(pool.opened),
        number(pool.failed),
        pool.mean_lease().map_or(Cell::Absent, |mean| Cell::Float(mean.as_secs_f64() * 1e3)),
        text(pool.breaker.name()),
    ]
}

/// Sources are named to operators only: a source without a visible table is none of a reader's business.
fn source_rows(deployment: &Deployment, principal: &Principal) -> Vec<Row> {
    if !principal.operator {
        return Vec::new();
    }
    let row = |s: &querygate_catalog::deployment::SourceStatus| {
        let error = s.down().map(|error| error.to_string());
        let mut row =
            vec![text(&s.name), text(&s.kind), count(s.tables), Cell::Flag(error.is_none()), Cell::Text(error)];
        row.extend(pool_cells(s));
        row
    };
    deployment.sources.iter().map(row).collect()
}

/// What sources changed, for operators only: it names what others may not see.
fn schema_rows(deployment: &Deployment, principal: &Principal) -> Vec<Row> {
    if !principal.operator {
        return Vec::new();
    }
    let row = |event: &querygate_catalog::deployment::SchemaEvent| {
        vec![
            Cell::Time(event.at),
            text(&event.source),
            text(&event.object),
            Cell::Text(event.field.clone()),
            Cell::Text(event.was.clone()),
            Cell::Text(event.is.clone()),
            text(event.done),
        ]
    };
    deployment.schema_events.iter().map(row).collect()
}

fn evaluator<'a>(deployment: &'a Deployment, principal: &'a Principal) -> Evaluator<'a> {
    Evaluator { policy: &deployment.policies, principal, facts: &deployment.facts, now_ms: now_ms() }
}

fn resolved(deployment: &Deployment, principal: &Principal) -> Principal {
    querygate_policy::resolve_principal(principal.clone(), &deployment.policies, &deployment.facts, now_ms())
}

fn object_rows(deployment: &Deployment, principal: &Principal) -> Vec<Row> {
    let principal = resolved(deployment, principal);
    let evaluator = evaluator(deployment, &principal);
    let mut rows = Vec::new();
    for (sql_name, object) in deployment.sql_names() {
        let decision = evaluator.decide_read(&object.name);
        let Some(source) = deployment.tables.get(&object.name).filter(|_| decision.is_allowed()) else { continue };
        let open = |name: &String| !decision.hidden_fields().contains(name) && !decision.masks().contains_key(name);
        let computed = |field: &querygate_metadata::model::Field| {
            let formula = deployment.policies.formula(&object.name, &field.name);
            formula.is_some_and(|formula| formula.inputs().iter().all(open))
        };
        let visible = object.fields.values().filter(|f| !decision.hidden_fields().contains(&f.name));
        let visible = visible.filter(|f| f.stored() || computed(f)).count();
        let source = if principal.operator { Some(source.source.to_string()) } else { None };
        rows.push(vec![
            text(&sql_name),
            text(&object.name),
            text(&object.label),
            Cell::Text(source),
            text(&object.package),
            count(visible),
        ]);
    }
    rows
}

/// What policy makes of each object for this principal. Layers and numbers of hidden fields are for operators.
fn policy_rows(deployment: &Deployment, principal: &Principal) -> Vec<Row> {
    let principal = resolved(deployment, principal);
    let evaluator = evaluator(deployment, &principal);
    let mut rows = Vec::new();
    for (sql_name, object) in deployment.sql_names() {
        let decision = evaluator.decide_read(&object.name);
        if !decision.is_allowed() && !principal.operator {
            continue;
        }
        let restricted = if decision.row_filter().is_all() { "all" } else { "filtered" };
        let layers = decision.layers().iter().map(|l| format!("{} {}: {}", l.layer.name(), l.effect.name(), l.detail));
        let layers = principal.operator.then(|| layers.collect::<Vec<_>>().join("; "));
        let hidden = if principal.operator { decision.hidden_fields().len() } else { 0 };
        let masked: Vec<&str> = decision.masks().keys().map(String::as_str).collect();
        rows.push(vec![
            text(&sql_name),
            text(if decision.is_allowed() { "allow" } else { "deny" }),
            text(if decision.is_allowed() { restricted } else { "none" }),
            count(hidden),
            text(&masked.join(", ")),
            Cell::Text(layers),
        ]);
    }
    rows
}
