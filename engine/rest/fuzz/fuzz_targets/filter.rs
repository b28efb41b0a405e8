//! Fuzzes the REST door: filters in both forms, as they come and as they are written down again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use querygate_rest::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    if let Err(broken) = fuzzing::filter(bytes) {
        panic!("{broken}");
    }
});
