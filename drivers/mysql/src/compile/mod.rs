//! Fragments into statements: what is refused, and the text of the rest.

pub(crate) mod capabilities;
pub(crate) mod columns;
pub(crate) mod dialect;
pub(crate) mod exact;
pub(crate) mod functions;
pub(crate) mod lineage;
pub(crate) mod names;
pub(crate) mod placeholders;
pub(crate) mod planner;
