//! A watch over what may end at any time, for requests that go on for long.

use std::time::Duration;

/// Ends when something no longer holds: asked at once, and then as often as is said.
pub async fn over(holds: impl Fn() -> bool, every: Duration) {
    while holds() {
        tokio::time::sleep(every).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test]
    async fn it_ends_soon_after_what_it_watches() {
        let (every, held) = (Duration::from_millis(5), AtomicBool::new(true));
        let watch = over(|| held.load(Ordering::Relaxed), every);
        tokio::pin!(watch);
        assert!(tokio::time::timeout(every * 4, &mut watch).await.is_err());
        held.store(false, Ordering::Relaxed);
        assert!(tokio::time::timeout(Duration::from_secs(5), watch).await.is_ok());
    }
}
