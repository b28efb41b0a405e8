//! Masks in Rust. A mask is put over the values of a column where rows enter the gate, before any expression sees them, and is never
//! given to a source.

use super::panic_guard::catch_panic;
use super::registration::Registration;
use querygate_types::{Error, Result};

/// A masked text has this many times the bytes of the stored one at most, and these more.
const GROWTH_MAX: usize = 4;
const GROWTH_BYTES: usize = 256;

/// What readers get instead of a stored value.
///
/// Equal texts must give equal masks, for each reader and at any time: masked values are compared, grouped and kept. The mask of a mask is
/// best itself, for a value that is its own mask is not stored. Nothing bounds the time of a call.
pub trait NativeMask: Send + Sync {
    /// The masked text of a value: of a number its decimal text, of a list each of its elements. NULL is never handed in, and truth
    /// values are masked by the gate.
    ///
    /// # Errors
    /// Why there is none, for operators; without the value. The statement fails.
    fn mask(&self, text: &str) -> std::result::Result<String, String>;
}

impl Registration<dyn NativeMask> {
    /// The masked text.
    ///
    /// # Errors
    /// XX000, without the value: the mask failed, panicked, or made too much of it.
    pub fn apply(&self, text: &str) -> Result<String> {
        let failed = |why: &str| Error::internal(format_args!("the mask {self:?} failed: {why}"));
        let masked = catch_panic(|| self.code.mask(text)).map_err(|_| failed("it panicked"))?;
        let masked = masked.map_err(|why| failed(&why))?;
        let longest = text.len().saturating_mul(GROWTH_MAX).saturating_add(GROWTH_BYTES);
        if masked.len() > longest { Err(failed("its text is too long")) } else { Ok(masked) }
    }
}
