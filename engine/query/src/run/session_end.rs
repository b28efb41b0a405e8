//! Whether an operator has ended a session, and who waits for that.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// The end of a session by an operator.
#[derive(Debug, Default)]
pub(crate) struct SessionEnd {
    has_come: AtomicBool,
    told: Notify,
}

impl SessionEnd {
    /// Comes now.
    pub(crate) fn come(&self) {
        self.has_come.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    pub(crate) fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Acquire)
    }

    /// Waits until it comes.
    pub(crate) async fn wait(&self) {
        let mut told = std::pin::pin!(self.told.notified());
        told.as_mut().enable();
        if !self.has_come() {
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_wait_hear_of_it_and_later_ones_at_once() {
        let end = SessionEnd::default();
        assert!(!end.has_come());
        tokio::join!(end.wait(), end.wait(), async { end.come() });
        end.wait().await;
        assert!(end.has_come());
    }
}
