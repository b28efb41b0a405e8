//! Records as spans: the statement, its stages, and each fragment that a source ran. Holds what records hold, no literal and no value
//! of a row, and of a fragment less: its native text names what policies hide.

use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};
use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::fragment::FragmentRecord;
use querygate_telemetry_api::trace::{StageTime, StatementTrace, TraceContext};
use querygate_types::ErrorCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A statement that was prepared longer than this before it ran did not wait for its preparation.
const PREPARED_BEFORE: Duration = Duration::from_secs(1);

/// What ends so soon after its planning has not run: a command, which needs no plan, is all planning.
const AT_ONCE: Duration = Duration::from_micros(10);

/// Makes spans with identifiers that nobody else has.
#[derive(Debug)]
pub(super) struct Spans {
    ids: RandomIdGenerator,
    scope: InstrumentationScope,
}

/// When a span begins and ends.
type Times = (SystemTime, SystemTime);

impl Default for Spans {
    fn default() -> Self {
        let scope = InstrumentationScope::builder("querygate").with_version(env!("CARGO_PKG_VERSION")).build();
        Self { ids: RandomIdGenerator::default(), scope }
    }
}

impl Spans {
    /// The spans of one statement, its own first. None where its client does not record its trace.
    pub(super) fn of(&self, record: &StatementRecord) -> Vec<SpanData> {
        let trace = record.trace.as_deref().copied().unwrap_or_default();
        if trace.parent.is_some_and(|parent| !parent.sampled) {
            return Vec::new();
        }
        let tree = self.tree(trace.parent);
        let stages = stages(record, trace);
        let began = stages.iter().map(|(_, times)| times.0).fold(record.started, SystemTime::min);
        let mut whole = tree.span("statement", SpanKind::Server, (began, later(record.started, record.total)));
        whole.span_context = tree.context(tree.root);
        (whole.parent_span_id, whole.parent_span_is_remote) = match trace.parent {
            Some(parent) => (SpanId::from_bytes(parent.span_id), true),
            None => (SpanId::INVALID, false),
        };
        whole.attributes = attributes(record);
        first_row(&mut whole, record.started, record.first_row);
        failed(&mut whole, record.error);
        let mut all = vec![whole];
        let mut runs_in = tree.root;
        for (name, times) in stages {
            let mut stage = tree.span(name, SpanKind::Internal, times);
            if name == "plan" {
                stage.attributes.push(KeyValue::new("querygate.cached", record.cached));
            } else if name == "execute" {
                runs_in = stage.span_context.span_id();
            }
            all.push(stage);
        }
        all.extend(record.fragments.iter().map(|fragment| tree.fragment(fragment, runs_in)));
        all
    }

    fn tree(&self, parent: Option<TraceContext>) -> Tree<'_> {
        let trace = parent.map_or_else(|| self.ids.new_trace_id(), |parent| TraceId::from_bytes(parent.trace_id));
        Tree { spans: self, trace, root: self.ids.new_span_id() }
    }
}

/// The spans of one statement share a trace and, but for fragments, a parent.
struct Tree<'a> {
    spans: &'a Spans,
    trace: TraceId,
    root: SpanId,
}

impl Tree<'_> {
    fn context(&self, span: SpanId) -> SpanContext {
        SpanContext::new(self.trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
    }

    /// A child of the statement's span.
    fn span(&self, name: &'static str, kind: SpanKind, (began, ended): Times) -> SpanData {
        SpanData {
            span_context: self.context(self.spans.ids.new_span_id()),
            parent_span_id: self.root,
            parent_span_is_remote: false,
            span_kind: kind,
            name: name.into(),
            start_time: began,
            end_time: ended.max(began),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.spans.scope.clone(),
        }
    }

    fn fragment(&self, fragment: &FragmentRecord, parent: SpanId) -> SpanData {
        let template = &fragment.template;
        let times = (fragment.began, later(fragment.began, fragment.total));
        let mut span = self.span("fragment", SpanKind::Client, times);
        span.name = format!("fragment {}", template.source).into();
        span.parent_span_id = parent;
        span.attributes = vec![
            KeyValue::new("db.system.name", template.kind),
            text("querygate.source", &template.source),
            KeyValue::new("querygate.fingerprint", format!("{:016x}", template.fingerprint)),
            number("db.response.returned_rows", fragment.rows),
            number("querygate.bytes", fragment.bytes),
            number("querygate.acquire_us", u64::try_from(fragment.acquire.as_micros()).unwrap_or(u64::MAX)),
        ];
        first_row(&mut span, fragment.began, fragment.first_row);
        failed(&mut span, fragment.error);
        span
    }
}

/// The stages that the statement went through, in order. A command has none.
fn stages(record: &StatementRecord, trace: StatementTrace) -> Vec<(&'static str, Times)> {
    let times = |stage: StageTime| (stage.began, later(stage.began, stage.took));
    let recent = |stage: &StageTime| later(times(*stage).1, PREPARED_BEFORE) >= record.started;
    let bind = trace.bind.filter(recent);
    // Parsing comes right before binding or long before all.
    let parse = trace.parse.filter(|parse| recent(parse) && (bind.is_some() || trace.bind.is_none()));
    let prepared = [("parse", parse), ("bind", bind)];
    let mut all: Vec<_> = prepared.into_iter().filter_map(|(name, stage)| Some((name, times(stage?)))).collect();
    // A record that ends in binding begins with it.
    if record.error.is_some() && bind.is_some_and(|bind| times(bind).1 > record.started) {
        return all;
    }
    let unplanned = record.error.is_some() && record.planning.is_zero();
    let planning = if unplanned { record.total } else { record.planning.min(record.total) };
    let (planned, ended) = (later(record.started, planning), later(record.started, record.total));
    let ran = record.total.saturating_sub(planning) > AT_ONCE;
    if ran || record.error.is_some() {
        all.push(("plan", (record.started, planned)));
    }
    if ran {
        all.push(("execute", (planned, ended)));
    }
    all
}

fn attributes(record: &StatementRecord) -> Vec<KeyValue> {
    let objects = record.objects.iter().map(|name| StringValue::from(name.clone())).collect();
    let mut all = vec![
        KeyValue::new("db.system.name", "querygate"),
        text("db.query.text", &record.template),
        KeyValue::new("querygate.objects", Value::Array(Array::String(objects))),
        KeyValue::new("querygate.fingerprint", format!("{:016x}", record.fingerprint)),
        text("enduser.id", &record.login),
        KeyValue::new("querygate.door", record.door.name()),
        text("querygate.application", &record.application),
        number("db.response.returned_rows", record.rows),
        number("querygate.bytes", record.bytes),
    ];
    if let Some(choice) = &record.choice {
        all.push(text("querygate.plan", &choice.alternative));
        all.push(KeyValue::new("querygate.plan.stage", choice.stage.name()));
    }
    if record.more.is_some() {
        // Everything else is of one run.
        all.push(number("querygate.runs", record.runs()));
    }
    all
}

fn first_row(span: &mut SpanData, began: SystemTime, after: Option<Duration>) {
    if let Some(after) = after {
        span.events.events.push(Event::new("first row", later(began, after), Vec::new(), 0));
    }
}

fn failed(span: &mut SpanData, error: Option<ErrorCode>) {
    if let Some(code) = error {
        span.attributes.push(KeyValue::new("db.response.status_code", code.sqlstate()));
        span.status = Status::error("");
    }
}

/// A time that no clock can show is the one before.
fn later(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_add(by).unwrap_or(time)
}

fn text(key: &'static str, value: &Arc<str>) -> KeyValue {
    KeyValue::new(key, StringValue::from(Arc::clone(value)))
}

fn number(key: &'static str, value: u64) -> KeyValue {
    KeyValue::new(key, i64::try_from(value).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, at, statement};

    fn names(spans: &[SpanData]) -> Vec<&str> {
        spans.iter().map(|span| &*span.name).collect()
    }

    fn attribute(span: &SpanData, key: &str) -> Option<String> {
        span.attributes.iter().find(|one| one.key.as_str() == key).map(|one| one.value.to_string())
    }

    fn stage(micros_before: u64, took: u64) -> Option<StageTime> {
        let began = at(DAY) - Duration::from_micros(micros_before);
        Some(StageTime { began, took: Duration::from_micros(took) })
    }

    #[test]
    fn a_statement_is_a_tree_of_spans_without_a_literal_or_a_native_text() {
        let mut record = statement("sam", 7, 10, DAY);
        record.error = Some(ErrorCode::SourceLost);
        let spans = Spans::default().of(&record);
        assert_eq!(names(&spans), ["statement", "plan", "execute", "fragment crm"]);
        let ids: Vec<SpanId> = spans.iter().map(|span| span.span_context.span_id()).collect();
        let parents: Vec<SpanId> = spans.iter().map(|span| span.parent_span_id).collect();
        assert_eq!(parents, [SpanId::INVALID, ids[0], ids[0], ids[2]]);
        assert!(spans.iter().all(|span| span.span_context.trace_id() == spans[0].span_context.trace_id()));
        assert!(spans.iter().all(|span| span.span_context.is_valid() && span.span_context.is_sampled()));
        let times = |span: &SpanData| (span.start_time, span.end_time.duration_since(span.start_time).unwrap());
        assert_eq!(times(&spans[0]), (at(DAY), Duration::from_millis(2)));
        assert_eq!(times(&spans[1]), (at(DAY), Duration::from_micros(300)));
        assert_eq!(times(&spans[2]), (at(DAY) + Duration::from_micros(300), Duration::from_micros(1_700)));
        assert_eq!(spans[0].status, Status::error(""));
        let code = |span: &SpanData| attribute(span, "db.response.status_code");
        assert_eq!((code(&spans[0]).as_deref(), code(&spans[3])), (Some("08006"), None));
        assert_eq!(attribute(&spans[0], "db.query.text").as_deref(), Some("select 7 from t where a = ?"));
        assert_eq!(attribute(&spans[3], "db.response.returned_rows").as_deref(), Some("10"));
        assert!(!format!("{:?}", spans[3]).contains("SELECT"), "what a source is sent names columns of policies");
    }

    #[test]
    fn a_clients_span_is_the_parent_and_one_that_it_does_not_record_gives_none() {
        let mut record = statement("sam", 7, 10, DAY);
        let parent = TraceContext { trace_id: [7; 16], span_id: [9; 8], sampled: true };
        let trace = StatementTrace { parent: Some(parent), ..StatementTrace::default() };
        record.trace = Some(Box::new(trace));
        let spans = Spans::default().of(&record);
        assert_eq!(spans[0].parent_span_id, SpanId::from_bytes([9; 8]));
        assert_eq!((spans[0].parent_span_is_remote, spans[1].parent_span_is_remote), (true, false));
        assert!(spans.iter().all(|span| span.span_context.trace_id() == TraceId::from_bytes([7; 16])));
        let unsampled = StatementTrace { parent: Some(TraceContext { sampled: false, ..parent }), ..trace };
        record.trace = Some(Box::new(unsampled));
        assert!(Spans::default().of(&record).is_empty());
    }

    #[test]
    fn parsing_and_binding_are_of_the_run_that_follows_them() {
        let spans = |parse, bind, change: fn(&mut StatementRecord)| {
            let mut record = statement("sam", 7, 10, DAY);
            record.trace = Some(Box::new(StatementTrace { parent: None, parse, bind }));
            change(&mut record);
            Spans::default().of(&record)
        };
        let all = spans(stage(900, 100), stage(700, 500), |_| {});
        assert_eq!(names(&all), ["statement", "parse", "bind", "plan", "execute", "fragment crm"]);
        assert_eq!(all[0].start_time, at(DAY) - Duration::from_micros(900), "it began with its parsing");
        // Prepared long before.
        let late = spans(stage(5_000_000, 100), stage(4_000_000, 100), |_| {});
        assert_eq!((names(&late)[1], late[0].start_time), ("plan", at(DAY)));
        // Refused while it was bound: its record is of the binding.
        let failed = |record: &mut StatementRecord| {
            (record.error, record.planning) = (Some(ErrorCode::UndefinedTable), Duration::ZERO);
            record.fragments.clear();
        };
        let refused = spans(stage(100, 90), stage(0, 500), failed);
        assert_eq!(names(&refused), ["statement", "parse", "bind"]);
        // Refused while it was planned.
        assert_eq!(names(&spans(None, None, failed)), ["statement", "plan"]);
        // A command.
        let command = spans(stage(100, 90), None, |record| {
            record.planning = record.total;
            record.fragments.clear();
        });
        assert_eq!(names(&command), ["statement", "parse"]);
    }
}
