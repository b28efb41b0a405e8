//! `pg_catalog` and `information_schema` as relations of our own, per principal, with the functions that belong to them.
//! Knows only a [`CatalogImage`]: no metadata format, no policy, no wire.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod cell;
mod definitions;
mod functions;
pub mod image;
mod layout;
mod names;
mod objects;
mod oid;
mod overloads;
mod quote;
mod rows;
mod sequences;
pub mod session;
mod table;
mod token;
mod types;

pub use functions::is_of_catalog;
pub use oid::{FIRST_USER_OID, ObjectClass, OidSpace, stable_oid};
pub use overloads::{argument_types, common_type};
pub use quote::{Keyword, keyword, quote_ident};
pub use table::{PgCatalog, SystemTable, SystemTableExec};
pub use token::LeafToken;
