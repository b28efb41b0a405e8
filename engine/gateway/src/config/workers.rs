//! `[workers]`: who reads leaves over files for the gate. Connects to no worker.

use super::Config;
use super::diagnostic::Diagnostic;
use super::secret::Environment;
use super::table::{At, Table};
use super::{TlsFiles, Workers};
use std::path::PathBuf;

/// Less is read here as fast as it is asked for elsewhere.
const BYTES_MIN: u64 = 64 << 20;

/// Workers of one gate.
const WORKERS_MAX: usize = 1_000;

/// Names that stand for several workers: each is looked up every few seconds.
const NAMES_MAX: usize = 100;

/// Reads `[workers]`; without it the gate reads all by itself.
pub(super) fn resolve(table: Option<Table<'_>>, environment: &Environment) -> Option<Workers> {
    let table = table?;
    let path = |given: At<String>| Config::resolve_path(environment.folder(), &given.value);
    let addresses = table.texts("addresses");
    if addresses.len() > WORKERS_MAX {
        table.error(table.span.clone(), format!("there may be {WORKERS_MAX} workers"));
    }
    let names = table.texts("names");
    if names.len() > NAMES_MAX {
        table.error(table.span.clone(), format!("there may be {NAMES_MAX} names of workers"));
    }
    for address in addresses.iter().chain(&names).filter(|address| !is_address(&address.value)) {
        let wrong = format!("`{}` is no worker's address, such as \"lake-1:7001\"", address.value);
        table.error(address.span.clone(), wrong);
    }
    let list = table.text("list").map(path);
    if addresses.is_empty() && names.is_empty() && list.is_none() {
        let none = Diagnostic::error(Some(table.span.clone()), "[workers] names no worker");
        table.push(none.help(
            "set `addresses`; or `names`, each of several workers; or `list`: a file with an address in each line, which is read again",
        ));
    }
    let signing_key = table.required("signing_key").map(path);
    let tls = identity(&table, environment);
    let authorities = table.required("tls_ca").map(path);
    let bytes_min = table.bytes("min_bytes").map_or(BYTES_MIN, |bytes| bytes.value);
    table.finish();
    Some(Workers {
        addresses: addresses.into_iter().map(|address| address.value).collect(),
        names: names.into_iter().map(|name| name.value).collect(),
        list,
        signing_key: signing_key?,
        tls: tls?,
        authorities: authorities?,
        bytes_min,
    })
}

/// `host:port`.
pub(crate) fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    !host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// What one side of a connection between gate and worker shows the other.
pub(super) fn identity(table: &Table<'_>, environment: &Environment) -> Option<TlsFiles> {
    let path = |key| -> Option<PathBuf> {
        let given = table.required(key)?;
        Some(Config::resolve_path(environment.folder(), &given.value))
    };
    let (certificate, key) = (path("tls_certificate"), path("tls_key"));
    Some(TlsFiles { certificate: certificate?, key: key? })
}
