//! How long a key of an issuer checks signatures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long a key checks signatures: until its issuer publishes keys without it, or was silent for too long.
#[derive(Debug, Clone, Default)]
pub struct KeyTenure {
    is_over: Arc<AtomicBool>,
}

impl KeyTenure {
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Whether tokens by the key are still taken. Cheap: nothing is fetched for it.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.is_over.load(Ordering::Acquire)
    }
}
