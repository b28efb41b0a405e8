//! Postgres' functions that DataFusion lacks or gives another meaning: tables of names, argument types and one row's result.
//! Immutable all of them: a session's time zone is put into a function when a statement is bound.

mod arrays;
mod bytes;
mod clocks;
mod expressions;
mod form;
mod instants;
mod invoke;
mod joined;
mod jsons;
mod numbers;
mod patterns;
mod row;
mod series;
mod texts;

pub(super) use bytes::read as read_bytes;
use form::Form;
use invoke::Builtin;
pub(super) use row::{Row, Value, of_arrow, to_arrow};

use super::zone::Zone;
use datafusion::logical_expr::ScalarUDF;
use std::sync::Arc;

/// A function: its name and its forms, of which the nearest to the arguments is called.
#[derive(Debug)]
pub(super) struct Def {
    pub(super) name: &'static str,
    pub(super) forms: &'static [Form],
    /// NULL for a NULL argument.
    pub(super) strict: bool,
}

/// NULL for a NULL argument.
pub(super) const fn strict(name: &'static str, forms: &'static [Form]) -> Def {
    Def { name, forms, strict: true }
}

/// Sees NULL arguments.
pub(super) const fn lenient(name: &'static str, forms: &'static [Form]) -> Def {
    Def { name, forms, strict: false }
}

fn tables() -> impl Iterator<Item = &'static Def> {
    [
        arrays::DEFS,
        bytes::DEFS,
        clocks::DEFS,
        expressions::DEFS,
        instants::DEFS,
        joined::DEFS,
        jsons::DEFS,
        numbers::DEFS,
        patterns::DEFS,
        series::DEFS,
        texts::DEFS,
    ]
    .into_iter()
    .flatten()
}

/// All of them, in UTC.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    tables().map(|def| Builtin::udf(def, Zone::UTC)).collect()
}

/// The function of a name that is ours, in a time zone.
pub(super) fn in_zone(name: &str, zone: Zone) -> Option<Arc<ScalarUDF>> {
    tables().find(|def| def.name == name).map(|def| Builtin::udf(def, zone))
}
