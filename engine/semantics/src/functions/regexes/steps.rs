//! Counts the steps of one call of a function, whatever number of searches it makes.

use super::too_complex;
use datafusion::common::Result;
use querygate_resources::proceed;
use std::cell::Cell;

/// Steps of a call over a short text.
const STEPS_MAX: u64 = 20_000_000;
/// Steps for each byte of a text.
const STEPS_OF_BYTE: u64 = 16;
/// Steps between two questions whether the statement is over.
const STEPS_UNASKED: u64 = 1 << 16;

#[derive(Debug)]
pub(super) struct Steps {
    taken: Cell<u64>,
    most: u64,
}

impl Steps {
    pub(super) fn over(text: &str) -> Self {
        let most = STEPS_MAX.saturating_add(number(text.len()).saturating_mul(STEPS_OF_BYTE));
        Self { taken: Cell::new(0), most }
    }

    /// Counts so many at once.
    pub(super) fn take(&self, count: usize) -> Result<()> {
        let before = self.taken.get();
        let taken = before.saturating_add(number(count));
        self.taken.set(taken);
        if taken > self.most {
            return Err(too_complex());
        }
        if taken / STEPS_UNASKED == before / STEPS_UNASKED { Ok(()) } else { proceed() }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
