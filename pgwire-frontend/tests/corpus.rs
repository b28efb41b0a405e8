//! Replays the fuzz corpora in a normal test run.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

use querygate_pgwire_frontend::fuzzing;
use std::path::Path;

fn replay(target: &str, mut check: impl FnMut(&[u8], &str)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        check(&std::fs::read(&path).unwrap(), &path.display().to_string());
        files += 1;
    }
    assert!(files > 0, "the corpus of {target} is empty");
}

#[test]
fn frames_stay_in_step_however_they_arrive() {
    replay("frames", |bytes, name| assert!(fuzzing::frames(bytes).1, "{name}"));
}

#[test]
fn first_packets_are_read_or_refused() {
    let mut read = 0;
    replay("startup", |bytes, _| read += usize::from(fuzzing::startup(bytes)));
    assert!(read >= 5);
}

#[test]
fn nobody_logs_in_without_the_key() {
    replay("scram", |bytes, name| assert!(!fuzzing::scram(bytes), "{name}"));
}

#[test]
fn parameters_are_read_or_refused() {
    replay("parameter", |bytes, _| {
        let _read = fuzzing::parameter(bytes);
    });
}
