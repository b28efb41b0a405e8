//! Reads the tables of a MariaDB or MySQL schema, given as `mysql://user@host:port/schema`.

use super::address::{Address, Form};
use super::write::local_name;
use super::{Found, Holds, server};
use crate::config::mysql::{MysqlSource, PORT_DEFAULT};
use crate::wiring::mysql::driver;
use querygate_driver_api::pool::Budget;
use querygate_driver_api::remote::{RemoteColumn, RemoteTable};
use querygate_metadata::model::ValueType;
use querygate_types::Result;

/// What addresses of such sources look like.
pub(super) const FORM: Form = Form {
    schemes: &["mysql://", "mariadb://"],
    port: PORT_DEFAULT,
    database: "schema",
    ends: &['/'],
    incomplete: "is incomplete",
    hint: "Write mysql://USER@HOST:PORT/SCHEMA, and the password as --password env:NAME or file:PATH.",
};

/// A server's address.
pub(super) fn parse(address: &str) -> Result<MysqlSource> {
    let Address { host, port, user, database } = FORM.parse(address)?;
    Ok(MysqlSource::new(host, port, user, database))
}

pub(super) async fn read(source: &MysqlSource) -> Result<Vec<Found>> {
    let driver = driver(source, false, &Budget::default());
    let loose = driver.loose_truths().await?;
    let holds = |table: &RemoteTable, column: &RemoteColumn| {
        let place = [table.table.name().to_owned(), column.name.as_str().to_owned()];
        if loose.contains(&place) { Some(Holds::of(ValueType::Int16)) } else { server::holds(table, column) }
    };
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
        holds: &holds,
    };
    server::read(&driver, &reading).await
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
