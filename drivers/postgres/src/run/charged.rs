//! Bytes of one buffer, charged to the user of the statement.

use querygate_driver_api::execution::Room;
use querygate_types::Result;
use std::sync::Arc;

/// The charge for a buffer, until it is dropped.
#[derive(Debug)]
pub(crate) struct Charged {
    /// `None`: no account is charged.
    room: Option<Arc<dyn Room>>,
    bytes: usize,
}

impl Charged {
    /// # Errors
    /// 53200: there is no room for the buffer.
    pub(crate) fn new(room: Option<&Arc<dyn Room>>, bytes: usize) -> Result<Self> {
        let mut charged = Self { room: room.cloned(), bytes: 0 };
        charged.raise_to(bytes)?;
        Ok(charged)
    }

    /// Charges for a buffer of this size, if it was smaller.
    ///
    /// # Errors
    /// 53200: there is no room for them; the charge is what it was.
    pub(crate) fn raise_to(&mut self, bytes: usize) -> Result<()> {
        let more = bytes.saturating_sub(self.bytes);
        if let Some(room) = self.room.as_ref().filter(|_| more > 0) {
            room.grow(more)?;
        }
        self.bytes = self.bytes.max(bytes);
        Ok(())
    }

    /// Gives back the bytes that a buffer of this size does not take.
    pub(crate) fn lower_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        if let Some(room) = self.room.as_ref().filter(|_| less > 0) {
            room.shrink(less);
        }
        self.bytes = self.bytes.min(bytes);
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        self.lower_to(0);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use querygate_types::{Error, ErrorCode};
    use std::sync::Mutex;

    /// Bytes for all buffers together.
    #[derive(Debug)]
    pub(crate) struct Bounded(pub(crate) Mutex<usize>);

    impl Room for Bounded {
        fn grow(&self, bytes: usize) -> Result<()> {
            let mut left = self.0.lock().unwrap();
            *left = left.checked_sub(bytes).ok_or_else(|| Error::new(ErrorCode::OutOfMemory, "no room"))?;
            Ok(())
        }

        fn shrink(&self, bytes: usize) {
            *self.0.lock().unwrap() += bytes;
        }
    }

    #[test]
    fn a_buffer_is_charged_as_it_grows_and_shrinks() {
        let bounded = Arc::new(Bounded(Mutex::new(100)));
        let room = Arc::clone(&bounded) as Arc<dyn Room>;
        let mut charged = Charged::new(Some(&room), 40).unwrap();
        charged.raise_to(90).unwrap();
        charged.raise_to(50).unwrap();
        assert_eq!(*bounded.0.lock().unwrap(), 10);
        assert_eq!(charged.raise_to(101).unwrap_err().code(), ErrorCode::OutOfMemory);
        assert!(Charged::new(Some(&room), 11).is_err());
        charged.lower_to(20);
        charged.lower_to(60);
        assert_eq!(*bounded.0.lock().unwrap(), 80);
        drop(charged);
        assert_eq!(*bounded.0.lock().unwrap(), 100);
    }
}
