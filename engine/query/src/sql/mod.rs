//! The text of a statement: tokens, syntax trees, classes, templates, and where in it an error lies. Knows no catalog and no
//! types.

pub(crate) mod asking;
pub(crate) mod breadth;
pub(crate) mod classify;
pub(crate) mod clauses;
pub(crate) mod copy_from;
pub(crate) mod distinct_from;
pub(crate) mod foreign;
pub mod fuzzing;
pub(crate) mod locate;
pub(crate) mod name_length;
mod nesting;
mod not_exists;
pub(crate) mod parse;
pub(crate) mod refuse;
pub(crate) mod reserved_names;
mod resets;
pub(crate) mod spellings;
pub(crate) mod template;
pub(crate) mod tokens;
pub(crate) mod trace_comment;
pub(crate) mod walk;
pub(crate) mod weight;
