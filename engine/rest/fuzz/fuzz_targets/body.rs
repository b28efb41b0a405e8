//! Fuzzes the REST door: bodies of questions, as they come and as they are written down again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use querygate_rest::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    if let Err(broken) = fuzzing::body(bytes) {
        panic!("{broken}");
    }
});
