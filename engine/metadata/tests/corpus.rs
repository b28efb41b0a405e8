//! Replays the fuzz corpus of stack definitions in a normal test run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use querygate_metadata::load::{LoadOptions, load_text};
use std::fs;
use std::path::Path;

/// The first byte chooses the format, as in `fuzz/fuzz_targets/stack.rs`.
fn told(bytes: &[u8]) -> Option<Result<(), String>> {
    let (format, text) = bytes.split_first()?;
    let text = std::str::from_utf8(text).ok()?;
    let file = if format % 2 == 0 { "stack.json" } else { "stack.yaml" };
    Some(load_text(file, text, &LoadOptions::default()).map(|_| ()).map_err(|error| error.to_string()))
}

#[test]
fn definitions_are_read_or_refused_with_a_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/stack");
    let (mut read, mut refused) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let first = told(&bytes);
        assert_eq!(first, told(&bytes), "{}", path.display());
        match first {
            Some(Ok(())) => read += 1,
            Some(Err(text)) => {
                assert!(text.contains("stack."), "{}: {text}", path.display());
                refused += 1;
            }
            None => {}
        }
    }
    assert!(read >= 4 && refused >= 10, "{read} read, {refused} refused");
}
