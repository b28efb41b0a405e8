//! Reads the tables of a MariaDB or MySQL schema, given as `mysql://user@host:port/schema`.

use super::write::local_name;
use super::{Found, server};
use crate::config::mysql::{MysqlSource, PORT_DEFAULT};
use crate::wiring::mysql::driver;
use querygate_driver_api::pool::Budget;
use querygate_types::{Error, ErrorCode, Result};

/// What addresses of such sources begin with.
pub(super) const SCHEMES: [&str; 2] = ["mysql://", "mariadb://"];

/// A server's address. It has no place for a password: that comes from the environment or a file.
pub(super) fn parse(address: &str) -> Result<MysqlSource> {
    let wrong = |what: &str| {
        Err(Error::new(ErrorCode::InvalidParameterValue, format!("the address {what}"))
            .with_hint("Write mysql://USER@HOST:PORT/SCHEMA, and the password as --password env:NAME or file:PATH."))
    };
    let rest = SCHEMES.iter().find_map(|scheme| address.strip_prefix(scheme)).unwrap_or(address);
    let Some((login, database)) = rest.split_once('/') else { return wrong("names no schema") };
    let Some((user, place)) = login.rsplit_once('@') else { return wrong("names no user") };
    if user.contains(':') {
        return wrong("holds a password");
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => match port.parse::<u16>() {
            Ok(port) => (host, port),
            Err(_) => return wrong("has no valid port"),
        },
        _ => (place, PORT_DEFAULT),
    };
    if user.is_empty() || host.is_empty() || database.is_empty() || database.contains('/') {
        return wrong("is incomplete");
    }
    Ok(MysqlSource::new(host.to_owned(), port, user.to_owned(), database.to_owned()))
}

pub(super) async fn read(source: &MysqlSource) -> Result<Vec<Found>> {
    let reading = server::Reading {
        domain: &|_, _| None,
        options: &|column| querygate_mysql::enum_values(&column.native_type).unwrap_or_default(),
        // Such types have no name of their own there.
        enum_name: |table, column| {
            let is_enum = column.native_type.to_ascii_lowercase().starts_with("enum(");
            is_enum.then(|| format!("{}_{}", local_name(table.table.name()), local_name(column.name.as_str())))
        },
        known_as: |table| table.name().to_owned(),
        schema: |_| None,
        follows: |from, to| from.schema() == to.schema(),
        holds: &server::holds,
    };
    server::read(&driver(source, false, &Budget::default()), &reading).await
}

/// The `[[sources]]` entry for it.
pub(super) fn entry(name: &str, source: &MysqlSource, beside: server::Beside<'_>) -> String {
    let MysqlSource { host, port, user, database, .. } = source;
    server::Login { kind: "mysql", host, port: *port, user, database, beside }.entry(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_passwords_in_them_refused() {
        let source = parse("mysql://gate@db.example:3307/shop").unwrap();
        assert_eq!((source.host.as_str(), source.port, source.user.as_str()), ("db.example", 3307, "gate"));
        assert_eq!(parse("mariadb://a@b/c").unwrap().port, PORT_DEFAULT);
        for wrong in
            ["mysql://a:secret@b/c", "mysql://b/c", "mysql://a@b", "mysql://a@b:x/c", "mysql://@b/c", "mysql://a@b/"]
        {
            let error = parse(wrong).unwrap_err();
            assert!(!format!("{error} {:?}", error.hint()).contains("secret"), "{wrong}");
        }
    }
}
