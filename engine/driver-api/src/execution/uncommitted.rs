//! What an open transaction has stored, for table providers that read its source past the driver, which find it in the engine's
//! configuration. Of the transaction's own session only.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the transaction of one block shows to statements of that block. Empty, unless its source is read past the driver.
#[derive(Default)]
pub struct Uncommitted(Mutex<Option<Arc<dyn Any + Send + Sync>>>);

impl Uncommitted {
    /// Shows this, and nothing that was shown before: a block has one transaction at a time.
    pub fn show<T: Send + Sync + 'static>(&self, stored: &Arc<T>) {
        *self.slot() = Some(Arc::<T>::clone(stored));
    }

    /// What is shown, where it is of this type.
    #[must_use]
    pub fn shown<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.slot().clone()?.downcast().ok()
    }

    /// Whether nothing is shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slot().is_none()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<dyn Any + Send + Sync>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Uncommitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uncommitted").field("is_empty", &self.is_empty()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_of_its_type_and_the_last() {
        let own = Uncommitted::default();
        assert!(own.is_empty() && own.shown::<u8>().is_none());
        own.show(&Arc::new(1_u8));
        own.show(&Arc::new(2_u8));
        assert_eq!((own.shown::<u8>().as_deref(), own.shown::<u16>()), (Some(&2), None));
    }
}
