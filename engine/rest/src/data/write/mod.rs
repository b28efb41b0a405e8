//! Records as they are changed: one, many of an object, and some of several objects that mean each other.

mod change;
mod language;
mod many;
mod references;
mod upserts;

pub(super) use change::refusal_of;
pub(crate) use change::{create, delete, update};
pub(crate) use many::{across, batch, create_many, delete_many, update_many};
