//! What a plugin of learning is: something that follows the records of statements and shows what it found.

use crate::telemetry::{Moment, Store};
use async_trait::async_trait;
use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::system::SystemExtension;
use querygate_types::Result;

/// A plugin of learning. Its methods run on the learning thread, one after the other, never where statements run; its relations and
/// procedures are called from statements and read what it keeps in memory.
///
/// Errors are logged and counted; they stop neither the thread nor the other plugins.
#[async_trait]
pub trait Plugin: SystemExtension {
    /// Name in logs.
    fn name(&self) -> &'static str;

    /// Reads back what it wrote into the store in an earlier life. What cannot be read is forgotten.
    ///
    /// # Errors
    /// What the store says.
    async fn load(&self, store: &Store) -> Result<()>;

    /// Takes finished statements, oldest first. Those of sessions that switched learning off are not among them.
    ///
    /// # Errors
    /// What the store says.
    async fn follow(&self, records: &[StatementRecord], now: Moment, store: &Store) -> Result<()>;

    /// Hears what statements that go on have done so far. Each of them is followed as a whole when it ends.
    ///
    /// # Errors
    /// What the store says.
    async fn hear(&self, _going: &[StatementRecord], _now: Moment, _store: &Store) -> Result<()> {
        Ok(())
    }

    /// Comes about once a second, with or without traffic.
    ///
    /// # Errors
    /// What the store says.
    async fn tick(&self, now: Moment, store: &Store) -> Result<()>;

    /// Comes once, after the last batch: what is still on its way out may be waited for.
    ///
    /// # Errors
    /// What did not get out.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
