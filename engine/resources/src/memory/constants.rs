//! What is known of constants before they are computed.

/// Constants that an operator writes into each row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Constants {
    /// Bytes of those that are known.
    pub bytes: usize,
    /// Whether there are others, which may be of any length.
    pub is_open: bool,
}
