//! The routes of records: `/data`, `/search` and `/batch`.

mod import;
mod own;
mod question;
mod read;
mod write;

pub(crate) use import::import;
pub(crate) use question::{Ask, Expand, Numbers, filter_of, of_body, of_parameters};
pub(crate) use read::{Expansions, check_names, described, export, get_record, history, list, opens, query, search};
pub(crate) use write::{across, batch, create, create_many, delete, delete_many, update, update_many};
