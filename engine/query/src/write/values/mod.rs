//! The values of a change: the form in which a column takes them, the rows that rules look at, what is computed of rows in the gate.

pub(crate) mod amounts;
mod analyzed;
pub(crate) mod assignment;
pub(crate) mod computation;
pub(crate) mod given;
pub(crate) mod key_text;
pub(crate) mod plain;
pub(crate) mod received;
pub(crate) mod rows;
pub(in crate::write) mod texts;
