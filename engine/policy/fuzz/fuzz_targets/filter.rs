//! Fuzzes the filter language: what is compiled is what was said, two-valued, and simplified to the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use querygate_policy::query_filter::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    if let Err(broken) = fuzzing::filter(bytes) {
        panic!("{broken}");
    }
});
