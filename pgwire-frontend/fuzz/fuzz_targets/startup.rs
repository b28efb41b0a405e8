//! Fuzzes first packets.

#![no_main]

use libfuzzer_sys::fuzz_target;
use querygate_pgwire_frontend::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    let _read = fuzzing::startup(bytes);
});
