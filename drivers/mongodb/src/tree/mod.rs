//! A pipeline as a tree and as its text, with the names and patterns in it. Knows no operator of relations.

pub(crate) mod node;
pub(crate) mod parse;
pub(crate) mod pattern;
pub(crate) mod place;
