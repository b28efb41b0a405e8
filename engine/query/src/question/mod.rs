//! Questions as plans: an object, fields, filters, groups and order that ObjectStack's QueryAST names, on a principal's governed tables.
//! No SQL text is made and none is read; comparands are parameters, so that one bound plan serves all values.

mod aggregate;
mod bucket;
mod compose;
mod filter;
mod key;
mod named_fields;
pub(crate) mod object;
mod parameters;
mod reading;
mod refusal;
mod search;
mod shape;

pub(crate) use compose::{Composed, compose};
pub(crate) use reading::{Reading, is_short};
pub(crate) use shape::unread;

#[cfg(test)]
mod tests;
