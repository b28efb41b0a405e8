//! Fuzzes stack definitions, read as JSON when the first byte is even and as YAML otherwise.

#![no_main]

use libfuzzer_sys::fuzz_target;
use querygate_metadata::load::{load_text, LoadOptions};

fuzz_target!(|bytes: &[u8]| {
    let [format, text @ ..] = bytes else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let file = if format % 2 == 0 { "stack.json" } else { "stack.yaml" };
    let told = |loaded: Result<_, _>| loaded.map(|_: querygate_metadata::model::Snapshot| ()).map_err(|e| format!("{e}"));
    let first = told(load_text(file, text, &LoadOptions::default()));
    assert_eq!(first, told(load_text(file, text, &LoadOptions::default())), "read twice, told twice the same");
});
