//! What requests for records ask, in every spelling of parameters and bodies. Knows no field.

mod ask;
mod body;
mod conditions;
mod numbers;
mod spelling;

pub(super) use ask::order_of;
pub(crate) use ask::{Ask, Expand};
pub(crate) use body::ask_of as of_body;
pub(super) use body::kind;
pub(crate) use conditions::filter_of;
pub(crate) use numbers::Numbers;
pub(crate) use spelling::ask_of as of_parameters;
