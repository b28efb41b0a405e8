//! What a deployment says of its collections, and what their documents show. Names go into commands as values, never into text.

use crate::connect::pool::Lease;
use crate::documents::kinds::Kinds;
use crate::documents::sample;
use crate::error::wrong_value;
use crate::tree::place;
use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::remote::{
    ColumnStatistics, Index, LookedFor, RemoteColumn, RemoteTable, TableKind, TableStatistics,
};
use querygate_types::{Error, ErrorCode, Result};
use std::time::SystemTime;

/// The key of every collection.
pub(crate) const KEY: &str = "_id";

/// Names and kinds of the collections and views that the user may read.
pub(crate) async fn listed(lease: &Lease, name: Option<&str>) -> Result<Vec<(String, TableKind)>> {
    let mut command = doc! { "listCollections": 1, "nameOnly": true, "authorizedCollections": true };
    if let Some(name) = name {
        command.insert("filter", doc! { "name": { "$eq": name } });
    }
    let mut found = Vec::new();
    for document in documents(lease, command).await? {
        let Ok(name) = document.get_str("name") else { continue };
        if name.starts_with("system.") || name.contains('$') {
            continue;
        }
        // A time series has no key either.
        let plain = document.get_str("type").is_ok_and(|kind| kind == "collection");
        let kind = if plain { TableKind::Table } else { TableKind::View };
        found.push((name.to_owned(), kind));
    }
    Ok(found)
}

/// The server's version, what its clock shows, and whether the login has the role that may do anything.
pub(crate) async fn vitals(lease: &Lease) -> Result<(String, SystemTime, bool)> {
    let build = lease.command(doc! { "buildInfo": 1 }).await?;
    let status = lease.command(doc! { "connectionStatus": 1 }).await?;
    // Last: nothing that takes time comes between the clock and who compares it.
    let hello = lease.command(doc! { "hello": 1 }).await?;
    let clock = hello.get_datetime("localTime").map_err(Error::internal)?.to_system_time();
    let roles = status.get_document("authInfo").and_then(|info| info.get_array("authenticatedUserRoles"));
    let is_root =
        |role: &Bson| role.as_document().is_some_and(|role| role.get_str("role").is_ok_and(|role| role == "root"));
    let is_powerful = roles.is_ok_and(|roles| roles.iter().any(is_root));
    Ok((build.get_str("version").unwrap_or_default().to_owned(), clock, is_powerful))
}

/// All documents of a command's cursor.
pub(crate) async fn documents(lease: &Lease, command: Document) -> Result<Vec<Document>> {
    let cursor = lease.database().run_cursor_command(command).await;
    let outcome = match cursor {
        Ok(cursor) => cursor.try_collect().await,
        Err(error) => Err(error),
    };
    let outcome = outcome.map_err(|error| crate::error::from_mongo(&error));
    lease.note_answer(outcome.as_ref().err());
    outcome
}

pub(crate) async fn tables(lease: &Lease, database: &str) -> Result<Vec<TableRef>> {
    let mut names: Vec<String> = listed(lease, None).await?.into_iter().map(|(name, _)| name).collect();
    names.sort();
    names.into_iter().map(|name| TableRef::new([database.to_owned(), name])).collect()
}

/// A collection or view, and whether its columns are all fields that its documents were seen to have.
pub(crate) async fn describe(lease: &Lease, database: &str, collection: &str) -> Result<(RemoteTable, bool)> {
    let found = listed(lease, Some(collection)).await?;
    let Some((_, kind)) = found.into_iter().next() else {
        return Err(Error::new(ErrorCode::UndefinedTable, "collection does not exist in the source"));
    };
    let is_table = kind == TableKind::Table;
    let mut columns = Vec::new();
    let (fields, complete) = sample::fields(lease, collection, is_table).await?;
    for (path, kinds) in fields {
        let nullable = !(is_table && path == KEY);
        columns.push(column(path, kinds, nullable)?);
    }
    let key = |column: &RemoteColumn| is_table && column.name.as_str() == KEY;
    let primary_key = columns.iter().filter(|column| key(column)).map(|column| column.name.clone()).collect();
    let indexes = if is_table { indexes(lease, collection).await? } else { Vec::new() };
    let unique = indexes.iter().filter(|i| i.unique && !i.partial && !i.columns.is_empty());
    let table = RemoteTable {
        kind,
        primary_key,
        unique: unique.map(|index| index.columns.clone()).collect(),
        row_estimate: if is_table { statistics(lease, collection).await?.rows } else { None },
        indexes,
        ..RemoteTable::new(TableRef::new([database, collection])?, columns)
    };
    Ok((table, complete))
}

fn column(path: String, kinds: Kinds, nullable: bool) -> Result<RemoteColumn> {
    let (value_type, encoding) = kinds.interpret();
    Ok(RemoteColumn {
        nullable,
        collation: kinds.collation(),
        encoding,
        ..RemoteColumn::new(Identifier::new(path)?, kinds.words(), Some(value_type))
    })
}

/// Fields that the sampled documents did not show.
pub(crate) async fn look_for(lease: &Lease, collection: &str, names: &[String]) -> Result<LookedFor> {
    let (fields, complete) = sample::rare(lease, collection, names).await?;
    let columns = fields.into_iter().map(|(path, kinds)| column(path, kinds, true));
    Ok(LookedFor { columns: columns.collect::<Result<_>>()?, complete })
}

/// Indexes but the one on `_id`. Those of texts, hashes and places list no column for them.
async fn indexes(lease: &Lease, collection: &str) -> Result<Vec<Index>> {
    let mut found = Vec::new();
    for document in documents(lease, doc! { "listIndexes": collection }).await? {
        let (Ok(name), Ok(key)) = (document.get_str("name"), document.get_document("key")) else { continue };
        if key.keys().eq([KEY]) {
            continue;
        }
        let ordered = |direction: &Bson| matches!(direction, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_));
        let paths = key.iter().filter(|(path, direction)| ordered(direction) && place::path(path).is_ok());
        let columns = paths.map(|(path, _)| Identifier::new(path.as_str())).collect::<Result<Vec<_>>>()?;
        found.push(Index {
            name: name.to_owned(),
            unique: document.get_bool("unique").unwrap_or(false) && columns.len() == key.len(),
            plain: columns.len() == key.len(),
            keeps: None,
            columns,
            partial: document.contains_key("partialFilterExpression") || document.get_bool("sparse").unwrap_or(false),
        });
    }
    Ok(found)
}

pub(crate) async fn statistics(lease: &Lease, collection: &str) -> Result<TableStatistics> {
    let pipeline = vec![doc! { "$collStats": { "storageStats": {} } }];
    let command = doc! { "aggregate": collection, "pipeline": pipeline, "cursor": {} };
    let found = match documents(lease, command).await {
        Ok(found) => found,
        // A view has none, and a user may lack the right to see them.
        Err(error) if error.code() == ErrorCode::SourceError => return Ok(TableStatistics::default()),
        Err(error) => return Err(error),
    };
    let Some(stats) = found.first().and_then(|document| document.get_document("storageStats").ok()) else {
        return Ok(TableStatistics::default());
    };
    let number = |name: &str| match stats.get(name) {
        Some(Bson::Int32(value)) => u64::try_from(*value).map(Some).map_err(|_| wrong_value("count")),
        Some(Bson::Int64(value)) => u64::try_from(*value).map(Some).map_err(|_| wrong_value("count")),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
        Some(Bson::Double(value)) if *value >= 0.0 => Ok(Some(*value as u64)),
        _ => Ok(None),
    };
    let rows = number("count")?;
    Ok(TableStatistics { rows, bytes: number("size")?, columns: unique(lease, collection, rows).await? })
}

/// Fields that have as many values as there are documents.
async fn unique(lease: &Lease, collection: &str, rows: Option<u64>) -> Result<Vec<ColumnStatistics>> {
    let key = vec![Identifier::new(KEY)?];
    let others = indexes(lease, collection).await?.into_iter().filter(|index| index.unique && !index.partial);
    let fields = std::iter::once(key).chain(others.map(|index| index.columns)).filter(|columns| columns.len() == 1);
    let statistics = |name: Identifier| {
        let null_fraction = (name.as_str() == KEY).then_some(0.0);
        ColumnStatistics { name, distinct: rows, null_fraction, least: None, greatest: None }
    };
    Ok(fields.flatten().map(statistics).collect())
}
