//! Memory of a statement that sources hold, and the error of an account that is full.

mod ahead;
mod charged_room;
mod constants;
mod out_of_memory;

pub use ahead::Ahead;
pub use charged_room::ChargedRoom;
pub use constants::Constants;
pub use out_of_memory::{Owner, out_of_memory};
