//! Bytes of results that are made one by one, charged as they are made.

use crate::fault::external;
use datafusion::common::Result;
use querygate_resources::{CHARGE_LEAST, charge};
use querygate_types::{Error, ErrorCode};

/// Bytes that one batch of results may take.
const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of a batch of results that are made one by one.
#[derive(Debug, Default)]
pub(crate) struct ResultBytes {
    made: usize,
    charged: usize,
}

impl ResultBytes {
    /// Takes another result.
    ///
    /// # Errors
    /// 53200: more than a batch or the statement may have.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<()> {
        self.made = self.made.saturating_add(bytes);
        if self.made > BATCH_BYTES_MAX {
            return Err(external(Error::new(ErrorCode::OutOfMemory, "out of memory")));
        }
        if self.made - self.charged >= CHARGE_LEAST {
            charge(self.made - self.charged)?;
            self.charged = self.made;
        }
        Ok(())
    }
}
