//! Streams and incidents together, over days of made-up traffic.

use super::incidents::book::Book;
use super::incidents::incident::{Incident, Sent};
use super::plugin::Anomalies;
use super::traffic::streams::{INTERVAL, Streams};
use super::traffic::subject::Subject;
use crate::options::{LearningOptions, WebhookOptions};
use crate::plugin::Plugin;
use crate::telemetry::{Moment, Store};
use crate::testing::{DAY, repeated, statement};
use futures::{FutureExt, StreamExt};
use querygate_models::anomaly::ORDINARY_ROWS;
use querygate_models::rng::Rng;
use querygate_telemetry_api::system::{Cell, SystemExtension};
use querygate_telemetry_api::{ChangedRows, ROWS_MAX, RunSums, StatementRecord};
use querygate_types::ErrorCode;
use querygate_types::principal::Principal;
use std::time::Duration;

/// Intervals of a day.
const DAILY: i64 = 86_400 / INTERVAL;

/// A statement that took so many milliseconds, nearly all of them at its source.
fn lasting(template: u64, ms: f64, seconds: i64) -> StatementRecord {
    let mut record = statement(if template.is_multiple_of(2) { "ann" } else { "sam" }, template, 10, seconds);
    record.total = Duration::from_secs_f64(ms / 1e3);
    record.fragments[0].total = Duration::from_secs_f64(ms * 0.9 / 1e3);
    record
}

/// Incidents of so many days, in which `change` may alter each statement.
fn observed(days: i64, change: impl Fn(f64, &mut StatementRecord)) -> Vec<Incident> {
    let (mut streams, mut book, mut rng) = (Streams::default(), Book::default(), Rng::new(7));
    let start = DAY - DAY % 86_400;
    for step in 0..days * DAILY {
        let time = start + step * INTERVAL;
        let day = step as f64 / DAILY as f64;
        for n in 0..8 {
            let season = 1.0 + 0.5 * (std::f64::consts::TAU * day).sin();
            let mut record = lasting(n % 4, 5.0 * season * (0.2 * rng.normal()).exp(), time);
            change(day, &mut record);
            if let Some(happened) = streams.add(&record, time) {
                book.note(happened, time, true, 100);
            }
        }
        for happened in streams.close(time + INTERVAL) {
            book.note(happened, time, true, 100);
        }
    }
    book.incidents.into_values().collect()
}

#[test]
fn ordinary_days_have_no_incident() {
    let found = observed(12, |_, _| {});
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_slow_source_is_one_alert_and_the_cause_of_the_others() {
    let found = observed(10, |day, record| {
        if (9.0..9.3).contains(&day) {
            record.total *= 6;
            record.fragments[0].total *= 6;
        }
    });
    let alerts: Vec<&Incident> = found.iter().filter(|i| i.sent == Sent::Waiting).collect();
    let [alert] = alerts.as_slice() else { panic!("{found:?}") };
    assert_eq!(alert.subject, Subject::Source("crm".to_owned()));
    assert!(found.len() > 1 && found.iter().all(|i| i.alert == alert.id), "{found:?}");
    let templates = found.iter().filter(|i| matches!(i.subject, Subject::Template(_)));
    assert!(templates.into_iter().any(|i| i.causes.iter().any(|c| c.starts_with("source crm takes "))), "{found:?}");
    assert!(found.iter().all(|i| i.ended.is_some()), "they end when it is over: {found:?}");
}

#[test]
fn failing_statements_are_told_with_their_code() {
    let found = observed(3, |day, record| {
        if day >= 2.5 && record.fingerprint == 1 {
            record.error = Some(ErrorCode::SourceLost);
        }
    });
    let errors: Vec<&Incident> = found.iter().filter(|i| i.finding.text().contains("fail")).collect();
    assert!(errors.iter().any(|i| i.causes.iter().any(|c| c.starts_with("most fail with 08006"))), "{found:?}");
    assert_eq!(found.iter().filter(|i| i.sent == Sent::Waiting).count(), 1, "{found:?}");
    let clients = observed(3, |day, record| {
        if day >= 2.5 && record.fingerprint == 1 {
            record.error = Some(ErrorCode::UndefinedColumn);
        }
    });
    let subjects = clients.iter().all(|i| matches!(i.subject, Subject::Principal(_)));
    assert!(subjects, "a client's mistakes are no fault of sources: {clients:?}");
}

#[test]
fn a_bulk_read_on_the_first_day_is_told_at_once() {
    let found = observed(1, |day, record| {
        if (0.5..0.5 + 1.0 / DAILY as f64).contains(&day) && record.fingerprint == 1 {
            record.rows = 50_000;
        }
    });
    let [incident] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((incident.subject.to_string(), incident.sent), ("principal sam".to_owned(), Sent::Waiting));
    assert!(incident.finding.text().starts_with("sam read 50,000 rows of t in "), "{}", incident.finding.text());
}

/// Statements of sam, ten an hour: each changes a few rows, deletes one now and then, and is refused as `refused` says. On the last
/// day `change` may alter them.
fn changing(days: i64, change: impl Fn(i64, &mut StatementRecord)) -> Vec<Incident> {
    let (mut streams, mut book, mut rng) = (Streams::default(), Book::default(), Rng::new(11));
    let start = DAY - DAY % 86_400;
    for step in 0..days * DAILY {
        let time = start + step * INTERVAL;
        for n in 0..20 {
            let mut record = statement("sam", n % 4, 0, time);
            record.changed = ChangedRows { rows: 1 + rng.below(4) as u64, deletes: n == 3 };
            // A key is taken now and then, and a right is missing.
            record.error = match (step * 20 + n.cast_signed()) % 997 {
                5 => Some(ErrorCode::UniqueViolation),
                6 => Some(ErrorCode::InsufficientPrivilege),
                _ => None,
            };
            change(step, &mut record);
            for happened in [streams.add(&record, time), streams.add_changes(&record, time)].into_iter().flatten() {
                book.note(happened, time, true, 100);
            }
        }
        for happened in streams.close(time + INTERVAL) {
            book.note(happened, time, true, 100);
        }
    }
    book.incidents.into_values().collect()
}

#[test]
fn ordinary_days_of_changes_have_no_incident() {
    let found = changing(12, |_, _| {});
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_mass_delete_by_somebody_who_deletes_little_is_told_at_once() {
    let deletes = |at: i64, rows: u64, each: bool| {
        changing(4, move |step, record| {
            if step == at && record.changed.deletes {
                record.changed.rows = rows;
            }
            // A loop of statements of one row each, which are added up.
            if step == at && each {
                let sums = RunSums { runs: rows, changed: rows, changed_most: 1, ..RunSums::default() };
                record.changed = ChangedRows { rows: 1, deletes: true };
                record.more = Some(Box::new(sums));
            }
        })
    };
    let found = deletes(3 * DAILY + 7, 5_000, false);
    let [incident] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((incident.subject.to_string(), incident.sent), ("deletes sam t".to_owned(), Sent::Waiting));
    let text = incident.finding.text();
    assert!(text.starts_with("sam deleted 5,000 rows of t in "), "{text}");
    assert!(incident.ended.is_some() && incident.login.as_deref() == Some("sam"));
    assert!(!deletes(3 * DAILY + 7, 400, true).is_empty(), "a loop of single deletes");
    assert!(deletes(3 * DAILY + 7, 60, false).is_empty(), "sixty rows are not many");
}

#[test]
fn taken_keys_and_missing_rights_are_told_by_their_own_rates() {
    for (error, text) in [
        (ErrorCode::UniqueViolation, "meet a taken key (23505)"),
        (ErrorCode::InsufficientPrivilege, "lack a right (42501)"),
    ] {
        let found = changing(6, |step, record| {
            if step > 5 * DAILY && record.fingerprint == 1 {
                record.error = Some(error);
            }
        });
        let told: Vec<String> = found.iter().map(|incident| incident.finding.text()).collect();
        assert!(told.iter().any(|told| told.starts_with("sam: ") && told.contains(text)), "{told:?}");
        assert_eq!(found.iter().filter(|incident| incident.sent == Sent::Waiting).count(), 1, "{found:?}");
    }
}

#[test]
fn rows_gathered_into_one_value_are_counted_by_their_size() {
    let found = observed(1, |day, record| {
        if (0.5..0.5 + 1.0 / DAILY as f64).contains(&day) && record.fingerprint == 1 {
            (record.rows, record.bytes) = (1, 10_000_000);
        }
    });
    let [incident] = found.as_slice() else { panic!("{found:?}") };
    assert!(incident.finding.text().starts_with("sam read 50,000 rows of t in "), "{}", incident.finding.text());
    assert_eq!(incident.causes, ["counted by size: the last statement gave 1 rows of 10000000 bytes"]);
}

/// As many small reads in an hour as in a fortnight otherwise: the same incidents with the same numbers, whether the statements are
/// told one by one or added up.
#[test]
fn many_look_ups_are_seen_as_well_when_they_are_added_up() {
    let found = |singly: Option<u32>| {
        let (mut streams, mut book) = (Streams::default(), Book::default());
        let start = DAY - DAY % 86_400;
        for step in 0..10 * DAILY {
            let time = start + step * INTERVAL;
            let runs = if (9 * DAILY..9 * DAILY + 12).contains(&step) { 6_000 } else { 20 };
            let all: Vec<StatementRecord> = (0..runs).map(|_| statement("sam", 1, 1, time)).collect();
            let told = repeated(&all, singly);
            assert_eq!(told.len() < all.len(), runs > 20 && singly.is_some());
            for record in told {
                if let Some(happened) = streams.add(&record, time) {
                    book.note(happened, time, true, 100);
                }
            }
            for happened in streams.close(time + INTERVAL) {
                book.note(happened, time, true, 100);
            }
        }
        book.incidents.into_values().collect::<Vec<Incident>>()
    };
    let [each, summed] = [found(None), found(Some(50))];
    let texts: Vec<String> = summed.iter().map(|incident| incident.finding.text()).collect();
    assert!(texts.iter().any(|text| text.starts_with("sam read ")), "{texts:?}");
    assert_eq!(unnumbered(&each), unnumbered(&summed));
}

/// Incidents without their numbers, which are drawn, each with the subject whose alert stands for it.
fn unnumbered(incidents: &[Incident]) -> Vec<String> {
    let mut told: Vec<String> = incidents
        .iter()
        .map(|incident| {
            let head = incidents.iter().find(|head| head.id == incident.alert).map(|head| &head.subject);
            format!("{head:?} {:?}", Incident { id: 0, alert: 0, ..incident.clone() })
        })
        .collect();
    told.sort();
    told
}

// What is added up is ordinary for everybody.
const _: () = assert!(ROWS_MAX as f64 <= ORDINARY_ROWS);

#[tokio::test]
async fn an_alert_that_never_got_into_the_outbox_is_posted_again() {
    let store = Store::in_memory().await.unwrap();
    let options = || {
        let mut options = LearningOptions::in_directory("nowhere".into());
        options.webhook = Some(WebhookOptions::new("http://127.0.0.1:1/", b"0123456789abcdef").unwrap());
        options
    };
    let now = Moment { seconds: DAY, running: Duration::ZERO };
    let anomalies = Anomalies::new(options());
    let small: Vec<StatementRecord> = (0..30).map(|_| statement("sam", 1, 10, DAY)).collect();
    anomalies.follow(&small, now, &store).await.unwrap();
    anomalies.follow(&[statement("sam", 1, 50_000, DAY)], now, &store).await.unwrap();
    let posted = store.all("outbox").await.unwrap();
    let [(id, _)] = posted.as_slice() else { panic!("{}", posted.len()) };
    store.remove("outbox", std::slice::from_ref(id)).await.unwrap();
    Anomalies::new(options()).load(&store).await.unwrap();
    assert_eq!(&store.all("outbox").await.unwrap()[0].0, id);
}

/// An incident goes on over a restart, without a second alert; one that nobody knows any more is told again.
#[tokio::test]
async fn a_bulk_read_over_a_restart_is_one_incident_and_never_none() {
    for known in [true, false] {
        let store = Store::in_memory().await.unwrap();
        let now =
            |seconds: i64| Moment { seconds: DAY + seconds, running: Duration::from_secs(seconds.unsigned_abs()) };
        let options = || LearningOptions::in_directory("nowhere".into());
        let anomalies = Anomalies::new(options());
        let small: Vec<StatementRecord> = (0..30).map(|_| statement("sam", 1, 10, DAY)).collect();
        anomalies.follow(&small, now(0), &store).await.unwrap();
        anomalies.follow(&[statement("sam", 1, 50_000, DAY)], now(0), &store).await.unwrap();
        anomalies.tick(now(1), &store).await.unwrap();
        if !known {
            store.remove("incident", &["1".to_owned()]).await.unwrap();
        }
        let later = Anomalies::new(options());
        later.load(&store).await.unwrap();
        later.follow(&[statement("sam", 1, 50_000, DAY + 60)], now(60), &store).await.unwrap();
        let reader = Principal::builder("root").operator(true).build();
        let state = |anomalies: &Anomalies| {
            let rows = anomalies.rows("anomalies", &reader).unwrap();
            rows.iter().map(|row| row[8].clone()).collect::<Vec<Cell>>()
        };
        assert_eq!(state(&later), [Cell::text("open")], "{known}");
        for seconds in [3_000, 6_000] {
            later.tick(now(seconds), &store).await.unwrap();
        }
        assert_eq!(state(&later), [Cell::text("ended")], "{known}");
    }
}

#[tokio::test]
async fn listeners_hear_of_incidents_at_once_and_of_their_own_only() {
    let store = Store::in_memory().await.unwrap();
    let anomalies = Anomalies::new(LearningOptions::in_directory("nowhere".into()));
    let reader = |login: &str, operator| Principal::builder(login).operator(operator).build();
    let listen = |who: &Principal| anomalies.subscribe("querygate_anomalies", who).unwrap();
    let (mut root, mut sam, mut ann) =
        (listen(&reader("root", true)), listen(&reader("sam", false)), listen(&reader("ann", false)));
    assert!(anomalies.subscribe("other", &reader("root", true)).is_none());
    let now = Moment { seconds: DAY, running: Duration::ZERO };
    let small: Vec<StatementRecord> = (0..30).map(|_| statement("sam", 1, 10, DAY)).collect();
    anomalies.follow(&small, now, &store).await.unwrap();
    assert!(root.next().now_or_never().is_none());
    anomalies.follow(&[statement("sam", 1, 50_000, DAY)], now, &store).await.unwrap();
    let heard = root.next().now_or_never().flatten().unwrap();
    let heard: serde_json::Value = serde_json::from_str(&heard).unwrap();
    assert_eq!((&heard["kind"], &heard["subject"]), (&"bulk read".into(), &"principal sam".into()));
    assert!(sam.next().now_or_never().flatten().is_some() && ann.next().now_or_never().is_none());
    // Who is muted hears of the own doings as before: silence would tell of it.
    let muted = [Cell::Text("principal ann".to_owned()), Cell::Null];
    anomalies.call("mute", &muted, &reader("root", true)).await.unwrap();
    let small: Vec<StatementRecord> = (0..30).map(|_| statement("ann", 1, 10, DAY)).collect();
    anomalies.follow(&small, now, &store).await.unwrap();
    anomalies.follow(&[statement("ann", 1, 50_000, DAY)], now, &store).await.unwrap();
    assert!(ann.next().now_or_never().flatten().is_some() && root.next().now_or_never().is_none());
    // A listener who comes later hears what comes later.
    assert!(listen(&reader("root", true)).next().now_or_never().is_none());
}

#[tokio::test]
async fn a_stream_that_finds_no_place_leaves_the_store() {
    let store = Store::in_memory().await.unwrap();
    let now = Moment { seconds: DAY, running: Duration::ZERO };
    let anomalies = Anomalies::new(LearningOptions::in_directory("nowhere".into()));
    anomalies.follow(&[statement("sam", 1, 10, DAY)], now, &store).await.unwrap();
    anomalies.tick(now, &store).await.unwrap();
    let (streams, known) = (store.all("stream").await.unwrap(), store.all("known").await.unwrap());
    assert_eq!((streams.len(), known.len()), (4, 1));
    // Templates and objects of somebody whose own stream is not there.
    store.remove("stream", &["principal sam".to_owned()]).await.unwrap();
    let later = Anomalies::new(LearningOptions::in_directory("nowhere".into()));
    later.load(&store).await.unwrap();
    assert_eq!(store.all("known").await.unwrap().len(), 1);
    store.pragma("PRAGMA query_only = 1").await;
    assert!(later.tick(now, &store).await.is_err());
    store.pragma("PRAGMA query_only = 0").await;
    later.tick(now, &store).await.unwrap();
    assert_eq!((store.all("stream").await.unwrap().len(), store.all("known").await.unwrap().len()), (3, 0));
}
