//! Forms that a written value may have, each looked at by itself: texts and numbers, times, structured values, lists that others keep,
//! JSON schemas. Knows no field and no record.

pub(super) mod domains;
pub(super) mod schema;
pub(super) mod shapes;
pub(super) mod temporal;
pub(super) mod texts;
