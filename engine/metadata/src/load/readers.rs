//! Readers of definitions, a file for each kind, and the closed shapes that they are read by. A reader notes the names that point
//! elsewhere and resolves none.

pub(super) mod field;
pub(super) mod hook_filters;
pub(super) mod object;
pub(super) mod parts;
pub(super) mod permission;
pub(super) mod shapes;
pub(super) mod source;
mod system_fields;
pub(super) mod tables;
mod validation;
pub(super) mod webhook;
