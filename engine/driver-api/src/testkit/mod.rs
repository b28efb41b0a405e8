//! The conformance suite that every driver passes, and a layer that makes a driver fail. Knows no driver.
//!
//! A driver's test loads [`dataset::tables`] into its source, then calls [`suite::run`] and [`lifecycle::run`], and
//! [`changes::run`] on a source that can be changed, [`inserts::run`] on one that takes new rows only. Each case of the suite is a fragment: either the driver refuses it, or its rows must equal those of [`reference::evaluate`], an interpreter of
//! the vocabulary's written semantics that shares no code with any driver.

pub mod around;
pub mod changes;
pub mod dataset;
pub mod fault;
mod functions;
pub mod inserts;
pub mod lifecycle;
pub mod reference;
pub mod single;
pub mod suite;
mod totals;
pub mod watch;

/// A small deterministic generator of numbers (Steele and others' `splitmix64`).
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// Equal seeds give equal numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound` (0 for a bound of 0).
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.number() % bound).unwrap_or(0)
    }

    /// One of the items.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}
