//! Who changes the rows of a server's tables: `writes`, `write_user`, `write_password`, `write_pool_size` and `distributed` of a source.
//! Knows no kind of server.

use crate::config::syntax::diagnostic::Diagnostic;
use crate::config::syntax::secret::{Environment, Secret};
use crate::config::syntax::table::Table;

/// A login of its own, so that the one that reads needs no right to change anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WriteUser {
    pub(crate) name: String,
    pub(crate) password: Option<Secret>,
    /// Transactions at a time.
    pub(crate) pool_size: u32,
    /// Whether changes may be a part of transactions of several sources.
    pub(crate) distributed: bool,
}

pub(crate) const WRITE_POOL_SIZE_DEFAULT: u32 = 4;

/// Reads the keys. `None`: the source is only read, or there is a mistake, which has been reported.
pub(super) fn resolve(table: &Table<'_>, environment: &Environment) -> Option<WriteUser> {
    let writes = table.boolean("writes");
    let name = table.text("write_user");
    let password = super::secret(table, "write_password", environment);
    let pool_size = table.number("write_pool_size", 1..=256);
    let distributed = table.boolean("distributed");
    let place = |wanted: &str| table.keys().find(|(key, _)| *key == wanted).map(|(_, place)| place);
    let writes = match (writes, place("write_user")) {
        (Some(writes), None) if writes.value => {
            let help = "name a login that may change the tables; the one that reads keeps SELECT alone";
            table.push(Diagnostic::error(Some(writes.span), "`writes = true` needs `write_user`").help(help));
            return None;
        }
        (None, Some(place)) => {
            table.error(place, "`write_user` needs `writes = true`");
            return None;
        }
        (writes, _) => writes.is_some_and(|writes| writes.value),
    };
    for key in ["write_password", "write_pool_size"] {
        if let (Some(place), None) = (place(key), place("write_user")) {
            table.error(place, format!("`{key}` needs `write_user`"));
        }
    }
    if let (Some(at), false) = (distributed.as_ref().filter(|given| given.value), writes) {
        table.error(at.span.clone(), "`distributed` needs `writes = true`");
    }
    let distributed = distributed.is_some_and(|given| given.value);
    let name = name?;
    if name.value.trim().is_empty() {
        table.error(name.span, "`write_user` must not be empty");
        return None;
    }
    let pool_size = pool_size.map_or(Some(WRITE_POOL_SIZE_DEFAULT), |size| u32::try_from(size.value).ok())?;
    // With `writes = false` the login may stay where it is until it is wanted again.
    writes.then_some(WriteUser { name: name.value, password, pool_size, distributed })
}
