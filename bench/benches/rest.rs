//! What the REST door and its questions cost the gate: records as JSON, and a question that was asked before, until its source is
//! asked.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at the first failure")]

mod clock;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::record_batch::RecordBatch;
use clock::CpuTime;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use querygate_bench::{gate, rows};
use querygate_query_api::requests::question::{AnswerColumn, AnswerForm, JsonForm, OrderKey, Question};
use querygate_query_api::service::Session;
use querygate_rest::print_rows;
use serde_json::json;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use tokio::runtime::Runtime;

const ROWS: i64 = 8_192;

type Named = (&'static str, JsonForm, ArrayRef);

fn texts(of: impl Fn(i64) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..ROWS).map(of)))
}

fn doubles(of: impl Fn(f64) -> f64) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values((0..i32::try_from(ROWS).unwrap()).map(|row| of(f64::from(row)))))
}

/// Records as `bench/rest.sh` has them.
fn items() -> Vec<Named> {
    let at = |shift: i64| {
        let micros = (0..ROWS).map(|row| 1_767_225_600_000_000 + row * 60_000_000 + shift);
        Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC")) as ArrayRef
    };
    let days = (0..i32::try_from(ROWS).unwrap()).map(|row| 20_454 + row % 365);
    vec![
        ("id", JsonForm::Text, texts(|row| format!("i{row:07}"))),
        ("created_at", JsonForm::Instant, at(0)),
        ("updated_at", JsonForm::Instant, at(250_000)),
        ("organization_id", JsonForm::Text, Arc::new(StringArray::new_null(usize::try_from(ROWS).unwrap()))),
        ("owner_id", JsonForm::Text, texts(|row| format!("u{}", row % 50))),
        ("name", JsonForm::Text, texts(|row| format!("item number {row}"))),
        ("region", JsonForm::Text, texts(|row| format!("region {}", row % 200))),
        ("level", JsonForm::Number, doubles(|row| row % 7.0)),
        ("amount", JsonForm::Number, doubles(|row| (row * 7_919.0 % 100_000.0) / 4.0)),
        ("note", JsonForm::Text, texts(|row| format!("a note of some length about item {row}"))),
        ("done", JsonForm::Boolean, Arc::new((0..ROWS).map(|row| Some(row % 3 == 0)).collect::<BooleanArray>())),
        ("due", JsonForm::Date, Arc::new(Date32Array::from_iter_values(days))),
    ]
}

/// Texts of some length, as they stand in notes and descriptions; a few with quotes and ends of lines.
fn notes() -> Vec<Named> {
    let note = |row: i64| {
        let line = "The customer called about the delivery of last week and asked for another date. ";
        let end = if row % 10 == 0 { "He said \"soon\".\nTo be continued." } else { "To be continued." };
        format!("{}{end}", line.repeat(1 + usize::try_from(row % 5).unwrap()))
    };
    vec![("id", JsonForm::Text, texts(|row| format!("n{row:07}"))), ("note", JsonForm::Text, texts(note))]
}

/// Numbers only.
fn numbers() -> Vec<Named> {
    let amounts = (0..ROWS).map(|row| i128::from(row * 7_919 % 1_000_000));
    let amounts = Decimal128Array::from_iter_values(amounts).with_precision_and_scale(18, 4).unwrap();
    vec![
        ("number", JsonForm::Number, Arc::new(Int64Array::from_iter_values((0..ROWS).map(|row| row * 7_919)))),
        ("amount", JsonForm::Number, Arc::new(amounts)),
        ("share", JsonForm::Number, doubles(|row| row / 8_192.0)),
        ("ratio", JsonForm::Number, doubles(|row| row / 7.0)),
    ]
}

fn encoding(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("rest/json");
    for (name, columns) in [("items", items()), ("notes", notes()), ("numbers", numbers())] {
        let batch = RecordBatch::try_from_iter(columns.iter().map(|(name, _, array)| (*name, Arc::clone(array))));
        let batch = batch.unwrap();
        let answer = |(name, form, _): &Named| AnswerColumn { name: (*name).to_owned(), form: *form, field: None };
        let columns: Arc<[AnswerColumn]> = columns.iter().map(answer).collect();
        let mut out = String::new();
        print_rows(&columns, &batch, &mut out).unwrap();
        group.throughput(Throughput::Bytes(out.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                print_rows(&columns, &batch, &mut out).unwrap();
                black_box(out.len())
            });
        });
    }
    group.finish();
}

/// Everything that a request for records does in the engine before a source is asked.
fn ask(runtime: &Runtime, session: &Arc<dyn Session>, question: &Question) {
    let asked = runtime.block_on(session.ask(question, AnswerForm::Records)).unwrap();
    black_box(asked);
}

fn questions(criterion: &mut Criterion<CpuTime>) {
    let runtime = gate::runtime().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let accounts = gate::object("b_accounts", rows::ACCOUNT_COLUMNS.map(|(name, _)| name));
    let stack = gate::stack("b", vec![accounts], &[("b_accounts", "name != 'account 3'")]);
    let table = runtime.block_on(rows::accounts(&folder.path().join("a.db"), 10_000)).unwrap();
    let tables = HashMap::from([("b_accounts".to_owned(), table)]);
    let gate = gate::gate(runtime.handle().clone(), gate::deployment(&stack, tables).unwrap()).unwrap();
    let open = || runtime.block_on(gate::session(&gate, gate::reader())).unwrap();
    let session = open();
    let object = "b_accounts".to_owned();
    let record = |id: u64| Question {
        keys: Some(vec![id.to_string()]),
        limit: Some(1),
        object: object.clone(),
        ..Question::default()
    };
    let page = |level: u64| Question {
        filter: Some(json!({"level": level % 7})),
        order: vec![OrderKey { field: "name".to_owned(), descending: false }],
        limit: Some(50),
        object: object.clone(),
        ..Question::default()
    };
    let mut number = 0;
    for (name, question) in [("record", &record as &dyn Fn(u64) -> Question), ("page", &page)] {
        criterion.bench_function(&format!("rest/question/{name}/again"), |b| {
            b.iter(|| {
                number += 1;
                ask(&runtime, &session, &question(number));
            });
        });
        criterion.bench_function(&format!("rest/question/{name}/again_in_a_session_of_its_own"), |b| {
            b.iter(|| {
                number += 1;
                let session = open();
                ask(&runtime, &session, &question(number));
                runtime.block_on(session.close());
            });
        });
        criterion.bench_function(&format!("rest/question/{name}/again_and_its_rows_of_sqlite"), |b| {
            b.iter(|| {
                number += 1;
                let asked = runtime.block_on(session.ask(&question(number), AnswerForm::Records)).unwrap();
                let ran = gate::drain(&session, &asked.prepared, &asked.parameters);
                black_box(runtime.block_on(ran).unwrap());
            });
        });
    }
    // Another shape each time: names are looked up, a plan is made, bound and verified.
    criterion.bench_function("rest/question/page/new", |b| {
        b.iter(|| {
            number += 1;
            ask(&runtime, &session, &Question { limit: Some(100 + number), ..page(number) });
        });
    });
}

criterion_group! {
    name = benches;
    config = clock::criterion();
    targets = encoding, questions
}
criterion_main!(benches);
