//! Fuzzes the SQL front: cutting a text into statements, their bounds, classes and templates.

#![no_main]

use libfuzzer_sys::fuzz_target;
use querygate_query::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Err(broken) = fuzzing::statements(text)
    {
        panic!("{broken}");
    }
});
