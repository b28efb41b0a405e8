//! Reads typed values out of a parsed tree and collects every finding. Knows closed shapes, not what they mean.

mod at;
mod findings;
mod map;
mod shape;

pub(crate) use at::{At, is_foreign_name, is_name};
pub(crate) use findings::{Document, FindingParts, Findings};
pub(crate) use map::Map;
pub(crate) use shape::Shape;
pub use shape::nearest;
