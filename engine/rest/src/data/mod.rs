//! The routes of records: `/data`, `/search` and `/batch`.

mod ask;
mod body;
mod cells;
mod change;
mod conditions;
mod expand;
mod export;
mod history;
mod import;
mod list;
mod many;
mod matches;
mod record;
mod references;
mod search;
mod spelling;
mod upserts;

pub(crate) use ask::{Ask, Expand};
pub(crate) use body::ask_of as of_body;
pub(crate) use change::{create, delete, update};
pub(crate) use conditions::filter_of;
pub(crate) use expand::{Expansions, check_names};
pub(crate) use export::export;
pub(crate) use history::history;
pub(crate) use import::import;
pub(crate) use list::{described, list, opens, query};
pub(crate) use many::{across, batch, create_many, delete_many, update_many};
pub(crate) use record::get_record;
pub(crate) use search::search;
pub(crate) use spelling::ask_of as of_parameters;
