//! Rows that wait in memory until there are enough of them for a group of their file. Knows no file.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that all open transactions of a source keep so: beyond, each writes what it has.
const BYTES_MAX: usize = 256 << 20;
/// Bytes of one file that are a group in any case worth to be written.
const LEAST: usize = 1 << 20;

/// What all open transactions of a source keep in memory.
#[derive(Debug, Clone)]
pub(crate) struct Buffered {
    bytes: Arc<AtomicUsize>,
    most: usize,
}

impl Default for Buffered {
    fn default() -> Self {
        Self { bytes: Arc::default(), most: BYTES_MAX }
    }
}

/// What one file keeps of that.
#[derive(Debug)]
pub(crate) struct Share {
    all: Buffered,
    own: usize,
}

impl Share {
    pub(crate) fn of(all: &Buffered) -> Self {
        Self { all: all.clone(), own: 0 }
    }

    /// The file keeps this number of bytes now. Whether it is to write them.
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        let before = if bytes >= self.own {
            self.all.bytes.fetch_add(bytes - self.own, Ordering::Relaxed)
        } else {
            self.all.bytes.fetch_sub(self.own - bytes, Ordering::Relaxed)
        };
        let all = before.saturating_add(bytes).saturating_sub(self.own);
        self.own = bytes;
        bytes >= LEAST && all > self.all.most
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_who_keeps_enough_writes_it() {
        let all = Buffered { most: 4 * LEAST, ..Buffered::default() };
        let (mut one, mut other, mut small) = (Share::of(&all), Share::of(&all), Share::of(&all));
        assert!(!one.set(3 * LEAST) && !other.set(LEAST));
        assert!(!small.set(10), "it is no group");
        assert!(other.set(2 * LEAST));
        assert!(!other.set(0) && !one.set(4 * LEAST - 10), "it has written");
        drop((one, small));
        assert_eq!(all.bytes.load(Ordering::Relaxed), 0);
        assert!(!other.set(4 * LEAST) && other.set(4 * LEAST + 1));
    }
}
