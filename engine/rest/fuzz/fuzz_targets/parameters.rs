//! Fuzzes the REST door: parameters of lists, as they come and as they are written down again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use querygate_rest::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    if let Err(broken) = fuzzing::parameters(bytes) {
        panic!("{broken}");
    }
});
