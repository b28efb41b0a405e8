//! Fuzzes streams of frames after authentication.

#![no_main]

use libfuzzer_sys::fuzz_target;
use querygate_pgwire_frontend::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    assert!(fuzzing::frames(bytes).1);
});
