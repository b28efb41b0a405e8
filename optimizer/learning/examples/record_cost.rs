//! What handing a record over costs where a statement ends, with the thread at work: `cargo run --release -p querygate-learning
//! --example record_cost`.
#![allow(clippy::print_stdout, reason = "the table is for whoever started it")]

use querygate_learning::{Learning, LearningOptions};
use querygate_query_api::service::Door;
use querygate_telemetry_api::fragment::{FragmentRecord, FragmentShape, FragmentTemplate};
use querygate_telemetry_api::{ChangedRows, StatementRecord, Telemetry};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// As a statement of one fragment makes it: shared parts are shared, the rest is made anew.
fn record(n: u64, template: &Arc<FragmentTemplate>, objects: &Arc<[String]>, text: &Arc<str>) -> StatementRecord {
    let fragment = FragmentRecord {
        template: Arc::clone(template),
        began: SystemTime::UNIX_EPOCH,
        estimated_rows: Some(10),
        rows: 10,
        bytes: 400,
        acquire: Duration::from_micros(30),
        first_row: Some(Duration::from_micros(400)),
        total: Duration::from_micros(450),
        complete: true,
        narrowed: false,
        nulls: Vec::new(),
        columns: Box::default(),
        reads: None,
        error: None,
    };
    StatementRecord {
        id: n,
        started: SystemTime::now(),
        login: "sam".into(),
        door: Door::Postgres,
        application: Arc::clone(text),
        template: Arc::clone(text),
        fingerprint: n % 50,
        objects: Arc::clone(objects),
        planning: Duration::from_micros(60),
        first_row: Some(Duration::from_micros(500)),
        total: Duration::from_micros(600),
        rows: 10,
        changed: ChangedRows::default(),
        writes: Vec::new(),
        bytes: 400,
        error: None,
        cached: true,
        choice: None,
        fragments: vec![fragment],
        more: None,
        under_way: false,
        trace: None,
    }
}

/// Processor time of the learning thread in percent; `None` where there is no /proc.
fn thread_share(elapsed: Duration) -> Option<f64> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?.flatten().map(|entry| entry.path());
    let named =
        |path: &std::path::PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|n| n.trim() == "learning");
    let stat = std::fs::read_to_string(threads.into_iter().find(named)?.join("stat")).ok()?;
    let fields: Vec<f64> = stat.rsplit(')').next()?.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // User and system time are the 14th and 15th field, in hundredths of a second; two before them are no numbers here.
    let ticks = fields.get(10)? + fields.get(11)?;
    Some(ticks / elapsed.as_secs_f64())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("querygate-record-cost-{}", std::process::id()));
    let learning = Learning::start(LearningOptions::in_directory(folder.clone()), Vec::new())?;
    let template = Arc::new(FragmentTemplate {
        source: "crm".into(),
        kind: "sqlite",
        objects: Arc::new(["t".to_owned()]),
        text: "SELECT a FROM t WHERE b = $1".into(),
        fingerprint: 1,
        passing: Vec::new(),
        shape: FragmentShape::default(),
    });
    let (objects, text): (Arc<[String]>, Arc<str>) = (Arc::new(["t".to_owned()]), "select a from t where b = ?".into());
    let (rate, seconds) = (5_000_u64, 10_u64);
    let began = Instant::now();
    let mut nanos: Vec<u128> = Vec::new();
    for n in 0..rate * seconds {
        while began.elapsed() < Duration::from_secs(1) * u32::try_from(n)? / u32::try_from(rate)? {
            std::hint::spin_loop();
        }
        let one = Instant::now();
        learning.record(record(n, &template, &objects, &text));
        nanos.push(one.elapsed().as_nanos());
    }
    nanos.sort_unstable();
    let at = |share: usize| nanos[(nanos.len() - 1) * share / 1_000] as f64 / 1e3;
    println!("| records | a second | p50 µs | p99 µs | p99.9 µs | max µs |\n|---|---|---|---|---|---|");
    println!("| {} | {rate} | {:.2} | {:.2} | {:.2} | {:.1} |", nanos.len(), at(500), at(990), at(999), at(1_000));
    println!("processor time of the thread: {:.1}% of one", thread_share(began.elapsed()).unwrap_or(f64::NAN));
    learning.close();
    drop(learning);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
