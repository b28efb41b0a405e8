//! A database server's tables through its driver, whatever kind it is. Reads descriptions, and whether rows could be read, never rows.

use super::found::EXTENDED_JSON;
use super::{Found, FoundColumn, FoundKey, FoundReference, Holds, quoted};
use crate::config::tls::Tls;
use crate::wiring::readable::refusal;
use futures::{StreamExt, TryStreamExt, stream};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::remote::{Index, KeyKind, RemoteColumn, RemoteTable};
use querygate_driver_api::value::ValueType as Native;
use querygate_metadata::model::{EnumType, TextType, ValueType};
use querygate_types::{Error, Result};
use std::path::Path;

/// What each kind of server does in its own way.
pub(super) struct Reading<'a> {
    /// The values of a column that has a closed list of them.
    pub(super) options: &'a dyn Fn(&RemoteColumn) -> Vec<String>,
    /// The name of the enum that a column is.
    pub(super) enum_name: fn(&RemoteTable, &RemoteColumn) -> Option<String>,
    /// The domain that a column is of.
    pub(super) domain: &'a dyn Fn(&RemoteTable, &RemoteColumn) -> Option<String>,
    /// The name under which the metadata knows a table.
    pub(super) known_as: fn(&TableRef) -> String,
    /// A table's schema, where the metadata must say it.
    pub(super) schema: fn(&TableRef) -> Option<String>,
    /// Whether a reference from the first table to the second becomes a field.
    pub(super) follows: fn(&TableRef, &TableRef) -> bool,
    /// What a column of a table holds.
    pub(super) holds: &'a dyn Fn(&RemoteTable, &RemoteColumn) -> Option<Holds>,
}

/// Tables that are asked about at a time: as many as a source has connections.
const TABLES_AT_ONCE: usize = 8;

/// Every table of the source, in its order.
pub(super) async fn read(driver: &dyn Driver, reading: &Reading<'_>) -> Result<Vec<Found>> {
    let tables = driver.tables().await?;
    let described = stream::iter(&tables).map(|table| async move {
        let described = match driver.describe(table).await {
            Ok(described) => described,
            Err(error) if is_of_all(&error) => return Err(error),
            // A view over what is gone or fails, a table that was dropped meanwhile: the others are there.
            Err(error) => {
                let cause = error.cause().map(|cause| format!(": {cause}")).unwrap_or_default();
                return Ok(Found {
                    remote: (reading.known_as)(table),
                    schema: (reading.schema)(table),
                    unreadable: Some(format!("{}{cause}", error.message())),
                    ..Found::default()
                });
            }
        };
        let unreadable = refusal(driver, &described).await;
        Ok::<_, Error>(Found { unreadable, ..table_of(&described, reading) })
    });
    described.buffered(TABLES_AT_ONCE).try_collect().await
}

/// Whether it says that the server is away, or has no room or time, and nothing of a table: PostgreSQL's classes 08, 53 and 57.
fn is_of_all(error: &Error) -> bool {
    matches!(error.code().sqlstate().get(..2), Some("08" | "53" | "57"))
}

fn table_of(table: &RemoteTable, reading: &Reading<'_>) -> Found {
    let texts = |names: &[Identifier]| names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
    let foreign_keys = table
        .foreign_keys
        .iter()
        .filter(|key| (reading.follows)(&table.table, &key.references))
        .map(|key| FoundReference {
            name: key.name.clone(),
            columns: texts(&key.columns),
            table: (reading.known_as)(&key.references),
            referenced: texts(&key.referenced_columns),
            on_delete: key.on_delete,
            on_update: key.on_update,
        })
        .collect();
    let columns = table.columns.iter().map(|column| {
        let name = column.name.as_str();
        let holds = (reading.holds)(table, column);
        let options = (reading.options)(column);
        let is_text = holds.is_some_and(|holds| holds.value_type == ValueType::Text);
        FoundColumn {
            remote: name.to_owned(),
            holds,
            native_type: column.native_type.clone(),
            domain: (reading.domain)(table, column),
            text_type: TextType::from_sql(&column.native_type).filter(|_| is_text),
            enum_type: (reading.enum_name)(table, column)
                .map(|name| EnumType { name, labels: options.clone() })
                .filter(|own| is_text && own.is_sound()),
            required: !column.nullable && !column.has_default && !table.primary_key.contains(&column.name),
            comment: column.comment.clone(),
            equality: column.equality.clone(),
            options,
        }
    });
    Found {
        remote: (reading.known_as)(&table.table),
        schema: (reading.schema)(&table.table),
        kind: table.kind,
        columns: columns.collect(),
        primary_key: texts(&table.primary_key),
        primary_key_name: kept_by(table, &table.primary_key, |keeps| keeps == Some(KeyKind::Primary))
            .map(|index| index.name.clone())
            // As MySQL calls all of them.
            .filter(|name| name != "PRIMARY"),
        unique: unique_keys(table).collect(),
        foreign_keys,
        indexes: table
            .indexes
            .iter()
            .filter(|index| !index.unique && !index.partial && index.plain)
            .map(|index| (index.name.clone(), texts(&index.columns)))
            .collect(),
        comment: table.comment.clone(),
        ..Found::default()
    }
}

/// The index over these columns that keeps such a key.
fn kept_by<'a>(
    table: &'a RemoteTable,
    columns: &[Identifier],
    keeps: impl Fn(Option<KeyKind>) -> bool,
) -> Option<&'a Index> {
    let mut indexes =
        table.indexes.iter().filter(|index| index.unique && index.plain && !index.partial && index.columns == columns);
    indexes.find(|index| keeps(index.keeps))
}

/// The unique keys under the names of their indexes; two over the same columns are one.
fn unique_keys(table: &RemoteTable) -> impl Iterator<Item = FoundKey> {
    let first = |place: usize, key: &Vec<Identifier>| !table.unique.iter().take(place).any(|other| other == key);
    table.unique.iter().enumerate().filter(move |(place, key)| first(*place, key)).map(|(_, key)| {
        let constraint = kept_by(table, key, |keeps| keeps == Some(KeyKind::Unique));
        let index = constraint.or_else(|| kept_by(table, key, |keeps| keeps.is_none()));
        FoundKey {
            // Names that a source makes up are none.
            name: index.map(|index| index.name.clone()).filter(|name| !name.starts_with("sqlite_")),
            columns: key.iter().map(|column| column.as_str().to_owned()).collect(),
            is_index: constraint.is_none() && index.is_some(),
        }
    })
}

/// Where a server is and who logs in.
pub(super) struct Login<'a> {
    pub(super) kind: &'a str,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) user: &'a str,
    pub(super) database: &'a str,
    pub(super) beside: Beside<'a>,
}

/// What the command line says beside an address.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    /// A secret's reference, never the secret.
    pub(super) password: Option<&'a str>,
    pub(super) tls: Option<Tls>,
    pub(super) tls_ca: Option<&'a Path>,
}

impl Beside<'_> {
    /// As lines of a `[[sources]]` entry.
    pub(super) fn lines(&self) -> String {
        let mut lines = String::new();
        if let Some(password) = self.password {
            lines.push_str(&format!("\npassword = {}", quoted(password)));
        }
        if let Some(tls) = self.tls {
            lines.push_str(&format!("\ntls = {}", quoted(tls.name())));
        }
        if let Some(file) = self.tls_ca {
            // The configuration may lie elsewhere than who wrote the command.
            let file = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
            lines.push_str(&format!("\ntls_ca = {}", quoted(&file.to_string_lossy())));
        }
        lines
    }
}

impl Login<'_> {
    /// The `[[sources]]` entry.
    pub(super) fn entry(&self, name: &str) -> String {
        let mut entry = format!("[[sources]]\nname = {}\nkind = {}", quoted(name), quoted(self.kind));
        entry.push_str(&format!("\nhost = {}\nport = {}", quoted(self.host), self.port));
        entry.push_str(&format!("\nuser = {}\ndatabase = {}", quoted(self.user), quoted(self.database)));
        entry.push_str(&self.beside.lines());
        entry
    }
}

/// What a column holds, in the type that its source gives it.
pub(super) fn holds(_: &RemoteTable, column: &RemoteColumn) -> Option<Holds> {
    column.value_type.and_then(|native| declared(native, &column.native_type)).map(Holds::of)
}

fn declared(native: Native, name: &str) -> Option<ValueType> {
    Some(match native {
        Native::Boolean => ValueType::Boolean,
        Native::Int16 => ValueType::Int16,
        Native::Int32 => ValueType::Int32,
        Native::Int64 => ValueType::Int64,
        Native::Float32 => ValueType::Float32,
        Native::Float64 => ValueType::Float64,
        Native::Decimal128 { precision, scale } => ValueType::Decimal { precision, scale },
        Native::Text if is_json(name) => ValueType::Json,
        Native::Text => own_type(name).unwrap_or(ValueType::Text),
        Native::Binary => ValueType::Binary,
        Native::Date => ValueType::Date,
        Native::Time => ValueType::Time,
        Native::TextList => ValueType::TextList,
        Native::List(item) => declared(item.value_type(), "")?.listed()?,
        Native::Timestamp { utc } => ValueType::Timestamp { utc },
    })
}

/// MongoDB's fields of several types are named with bars between these.
fn is_json(name: &str) -> bool {
    name.split('|').all(|part| part.eq_ignore_ascii_case("json") || part == EXTENDED_JSON)
}

/// The type of a column that a driver reads as texts, where SQL has one for it. `interval(3)` and `interval year` are intervals.
fn own_type(name: &str) -> Option<ValueType> {
    let lower = name.to_ascii_lowercase();
    // Behind them, MariaDB says unsigned.
    let digits = lower.split_inclusive(')').next().unwrap_or_default();
    let word = lower.split(['(', ' ']).next().unwrap_or_default();
    match word {
        "numeric" | "decimal" => ValueType::from_sql(digits),
        "interval" => Some(ValueType::Interval),
        "inet" | "cidr" | "macaddr" | "macaddr8" => ValueType::from_sql(word),
        "time" if lower.ends_with(" with time zone") => Some(ValueType::TimeTz),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_are_read_from_texts_are_told_by_their_names() {
        let numeric = |bounds| Some(ValueType::Numeric { bounds });
        for (name, expected) in [
            ("numeric", numeric(None)),
            ("numeric(40,2)", numeric(Some((40, 2)))),
            ("decimal(65,30) unsigned", numeric(Some((65, 30)))),
            ("interval(3)", Some(ValueType::Interval)),
            ("interval year to month", Some(ValueType::Interval)),
            ("time(3) with time zone", Some(ValueType::TimeTz)),
            ("time without time zone", None),
            ("time(6)", None),
            ("inet", Some(ValueType::Network { is_cidr: false })),
            ("inet6", None),
        ] {
            assert_eq!(own_type(name), expected, "{name}");
        }
    }

    #[test]
    fn an_entry_reads_back_as_what_it_was_made_of() {
        let hostile = "a\"\nkind = \"files\"\\ \u{7f}é";
        let login = Login {
            kind: "postgres",
            host: hostile,
            port: 5432,
            user: hostile,
            database: hostile,
            beside: Beside {
                password: Some("env:SECRET"),
                tls: Some(Tls::VerifyCa),
                tls_ca: Some(Path::new("/etc/a\"b.pem")),
            },
        };
        let read: toml::Table = toml::from_str(&login.entry("shop")).unwrap();
        let source = &read["sources"][0];
        for key in ["host", "user", "database"] {
            assert_eq!(source[key].as_str(), Some(hostile), "{key}");
        }
        assert_eq!(source["kind"].as_str(), Some("postgres"));
        assert_eq!((source["port"].as_integer(), source["password"].as_str()), (Some(5432), Some("env:SECRET")));
        assert_eq!((source["tls"].as_str(), source["tls_ca"].as_str()), (Some("verify-ca"), Some("/etc/a\"b.pem")));
        assert_eq!(source.as_table().unwrap().len(), 9);
    }
}
