//! Our rules over DataFusion's plans, a file each: what they repair, add or keep apart in its own rules. Know no session and no
//! statement.

pub(crate) mod bounds;
pub(crate) mod joins;
pub(crate) mod list;
pub(crate) mod open_parameters;
pub(crate) mod repairs;
pub(crate) mod share_equal_inputs;
pub(crate) mod typed_parameters;
