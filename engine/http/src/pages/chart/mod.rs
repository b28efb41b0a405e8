//! Charts as SVG made here: no script, colours by class. Knows numbers and names; no page and no statement.

mod frame;
mod marks;
mod scale;

pub(crate) use frame::{Axis, Frame, both, micros as instant};
pub(crate) use marks::{Bar, Lane, Mark, Series, bars, lines, points, spark, timeline};

/// Shown where there is nothing to draw.
pub(crate) const NOTHING: &str = "Nothing to show yet.";
