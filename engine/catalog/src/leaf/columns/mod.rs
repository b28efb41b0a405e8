//! What a reader gets of each column in place of the stored value: masks, formulas, texts that are read in their own type.

mod formula;
mod mask;
mod reading;
mod view;

pub(super) use formula::FormulaExpr;
pub(crate) use formula::{FormulaColumn, InputKind};
pub(crate) use mask::ColumnMask;
pub(super) use mask::MaskExpr;
#[cfg(test)]
pub(super) use mask::MaskText;
pub(super) use reading::ReadingExpr;
pub use reading::TextReading;
