//! A statement's memory as a driver is charged for it, which knows no memory pool.

use super::out_of_memory::out_of_memory;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use querygate_driver_api::execution::Room;
use querygate_types::Result;
use std::sync::Arc;

/// Room in an account. What it holds is given back when it is dropped.
#[derive(Debug)]
pub struct ChargedRoom(MemoryReservation);

impl ChargedRoom {
    /// `holds`: what the bytes are, for operators.
    #[must_use]
    pub fn new(holds: &str, account: &Arc<dyn MemoryPool>) -> Self {
        Self(MemoryConsumer::new(holds).register(account))
    }
}

impl Room for ChargedRoom {
    fn grow(&self, bytes: usize) -> Result<()> {
        self.0.try_grow(bytes).map_err(|error| out_of_memory(&error.to_string()))
    }

    fn shrink(&self, bytes: usize) {
        self.0.shrink(bytes.min(self.0.size()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use querygate_types::ErrorCode;

    #[test]
    fn what_is_held_is_charged_until_it_is_given_back_or_dropped() {
        let account: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let room = ChargedRoom::new("rows", &account);
        room.grow(60).unwrap();
        assert_eq!(room.grow(50).unwrap_err().code(), ErrorCode::OutOfMemory);
        room.shrink(20);
        room.grow(50).unwrap();
        assert_eq!(account.reserved(), 90);
        room.shrink(200);
        assert_eq!(account.reserved(), 0);
        room.grow(1).unwrap();
        drop(room);
        assert_eq!(account.reserved(), 0);
    }
}
