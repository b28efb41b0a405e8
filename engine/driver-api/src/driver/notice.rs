//! Word that a source's tables may not be what they were. Drivers need not look for it: the layer that reads their errors gives it.

use std::sync::atomic::{AtomicBool, Ordering};

/// Given when a statement fails as if tables had changed, and taken by the task that looks at them then.
#[derive(Debug, Default)]
pub struct SchemaNotice(AtomicBool);

impl SchemaNotice {
    /// Says that tables may have changed. Twice is as once.
    pub fn give(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was given since it was last taken.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_taken_once_however_often_it_was_given() {
        let notice = SchemaNotice::default();
        assert!(!notice.take());
        notice.give();
        notice.give();
        assert!(notice.take() && !notice.take());
    }
}
