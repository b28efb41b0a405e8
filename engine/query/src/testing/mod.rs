//! A small shop for the tests of this crate: accounts and orders in SQLite, regions and visits in memory, an owner who
//! sees everything and a clerk with row policies, a mask and a hidden column; and a yard whose rows sessions change. Knows no door.

mod catalog;
mod goldens;
mod physical;
mod text;
mod yard;

pub(crate) use catalog::{Reader, Shop, on_runtime};
pub(crate) use physical::{collected, column, leaf, order, printed, sorted};
pub(crate) use text::lines_of;
pub(crate) use yard::{Seat, Yard, options};
