//! Answers that are kept up to date: first the whole of one, then what changes of it.

mod attendance;
mod connection;
mod kept;
mod message;
mod reading;
mod subscription;

pub(super) use connection::Connection;
pub(super) use message::{error_message, every_of};
pub(super) use subscription::{Live, Wish};
