//! Reads the collections of a MongoDB database, given as `mongodb://user@host:port/database?options`, by some of their documents.

use super::{Found, quoted, server};
use crate::config::mongodb::{Address, MongoSource, holds_password};
use crate::wiring::mongodb::driver;
use querygate_driver_api::pool::Budget;
use querygate_types::{Error, ErrorCode, Result};

/// What addresses of such sources begin with.
pub(super) const SCHEME: &str = "mongodb://";

/// A deployment's address. It has no place for a password: that comes from the environment or a file.
pub(super) fn parse(address: &str) -> Result<MongoSource> {
    let wrong = |what: &str| {
        Err(Error::new(ErrorCode::InvalidParameterValue, format!("the address {what}")).with_hint(
            "Write mongodb://USER@HOST:PORT/DATABASE?authSource=admin, and the password as --password env:NAME or \
             file:PATH.",
        ))
    };
    if holds_password(address) {
        return wrong("holds a password");
    }
    let rest = address.strip_prefix(SCHEME).unwrap_or(address);
    let place = rest.split('?').next().unwrap_or(rest);
    let Some((hosts, database)) = place.split_once('/') else { return wrong("names no database") };
    if hosts.is_empty() || hosts.ends_with('@') || database.is_empty() || database.contains('/') {
        return wrong("is incomplete");
    }
    Ok(MongoSource::new(Address::Plain(address.to_owned()), database.to_owned()))
}

/// The hosts of an address, without who logs in.
pub(super) fn hosts(address: &str) -> &str {
    let rest = address.strip_prefix(SCHEME).unwrap_or(address);
    let place = rest.split(['/', '?']).next().unwrap_or(rest);
    place.rsplit_once('@').map_or(place, |(_, hosts)| hosts)
}

pub(super) async fn read(source: &MongoSource) -> Result<Vec<Found>> {
    let reading = server::Reading {
        domain: &|_, _| None,
        // No field has a closed list of values that its documents could tell.
        options: &|_| Vec::new(),
        enum_name: |_, _| None,
        known_as: |table| table.name().to_owned(),
        schema: |_| None,
        follows: |from, to| from.schema() == to.schema(),
        holds: &server::holds,
    };
    server::read(&driver(source, false, &Budget::default()), &reading).await
}

/// The `[[sources]]` entry for it.
pub(super) fn entry(name: &str, source: &MongoSource, beside: server::Beside<'_>) -> String {
    let (url, database) = (quoted(source.address.expose()), quoted(&source.database));
    let beside = beside.lines();
    format!("[[sources]]\nname = \"{name}\"\nkind = \"mongodb\"\nurl = {url}\ndatabase = {database}{beside}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_passwords_in_them_refused() {
        let source = parse("mongodb://gate@a.example:27017,b.example/shop?replicaSet=rs0").unwrap();
        assert_eq!((source.database.as_str(), hosts(source.address.expose())), ("shop", "a.example:27017,b.example"));
        assert_eq!(parse("mongodb://127.0.0.1:27018/shop").unwrap().database, "shop");
        for wrong in [
            "mongodb://a:secret@b/c",
            "mongodb://b",
            "mongodb:///c",
            "mongodb://a@b/",
            "mongodb://a@/c",
            "mongodb://b/c/d",
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(!format!("{error} {:?}", error.hint()).contains("secret"), "{wrong}");
        }
    }
}
