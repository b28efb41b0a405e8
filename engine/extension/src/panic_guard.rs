//! Calls code of an extension, whose panic is an error of the call and of nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// It panicked. What it said may hold values, so that it is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panic;

/// What the work makes.
///
/// # Errors
/// It panicked.
pub(crate) fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    // What is shared with it is the extension's own, or thrown away with its call.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        // Dropping what was thrown runs code of the extension again.
        std::mem::forget(payload);
        Panic
    })
}
