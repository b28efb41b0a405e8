//! Records as they are read: one, a page of them, those that words find, their history, and all of them for people.

mod expand;
mod export;
mod history;
mod list;
mod record;
mod search;

pub(crate) use expand::{Expansions, check_names};
pub(crate) use export::export;
pub(crate) use history::history;
pub(super) use list::about;
pub(crate) use list::{described, list, opens, query};
pub(crate) use record::get_record;
pub(super) use record::not_found;
pub(crate) use search::search;
