//! The enum that a column is in its source. Its values are texts here, in the order of its labels.

use serde::{Deserialize, Serialize};

/// A type's name, without its schema, and its labels as declared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EnumType {
    pub name: String,
    pub labels: Vec<String>,
}

impl EnumType {
    /// More labels than this are no enum to the gate: each comparison by order names them all.
    pub const LABELS_MAX: usize = 100;

    /// Whether there is one of it: a name, labels that differ and hold no NUL.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let mut labels: Vec<&String> = self.labels.iter().collect();
        labels.sort_unstable();
        labels.dedup();
        let texts = self.labels.iter().chain([&self.name]);
        !self.name.is_empty()
            && (1..=Self::LABELS_MAX).contains(&self.labels.len())
            && labels.len() == self.labels.len()
            && texts.into_iter().all(|text| !text.contains('\0'))
    }
}
