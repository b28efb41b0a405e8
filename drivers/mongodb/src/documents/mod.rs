//! Documents: what a collection holds, values into commands, and BSON into columns.

pub(crate) mod bind;
pub(crate) mod cells;
pub(crate) mod decimal;
pub(crate) mod decode;
pub(crate) mod fetch;
pub(crate) mod introspect;
pub(crate) mod json;
pub(crate) mod kinds;
pub(crate) mod paths;
pub(crate) mod sample;
pub(crate) mod walk;
