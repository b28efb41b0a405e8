//! How COPY writes rows, in either direction.

/// FORMAT of COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the values of FORMAT")]
pub enum CopyFormat {
    Text,
    Csv,
    Binary,
}
