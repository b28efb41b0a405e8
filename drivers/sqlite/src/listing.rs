//! What one connection knows of all tables of its database at once. SQLite finds a table in its own catalog by walking through
//! it, so that asking for each of many tables would take time that grows with their square.

use crate::error::from_sqlx;
use querygate_driver_api::remote::TableKind;
use querygate_types::{Error, Result};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::HashMap;

/// The tables of a database by name, as its schema was at a version.
#[derive(Debug)]
pub(crate) struct Listing {
    /// SQLite's number of the schema; another one after each change of it.
    schema: i64,
    /// SQLite's number of what was written, as this connection counts.
    data: i64,
    tables: HashMap<String, Listed>,
    /// Whether ANALYZE ever ran.
    analyzed: bool,
    /// Its words by table, as they were when `data` was that.
    statistics: HashMap<String, Vec<Numbers>>,
}

/// A table or view in the list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed {
    pub(crate) kind: TableKind,
    pub(crate) strict: bool,
    pub(crate) without_rowid: bool,
    /// Where its definition is.
    row: Option<i64>,
}

/// Index name, then rows and average rows per distinct prefix.
pub(crate) type Numbers = (Option<String>, Vec<u64>);

/// The list, read anew where the schema is another one.
pub(crate) async fn listed<'a>(
    connection: &mut SqliteConnection,
    known: &'a mut Option<Listing>,
) -> Result<&'a Listing> {
    let versions = "SELECT schema_version, data_version FROM pragma_schema_version, pragma_data_version";
    let rows = sqlx::query(versions).fetch_all(&mut *connection).await.map_err(|error| from_sqlx(&error))?;
    let row = rows.first().ok_or_else(|| Error::internal("the source has no schema version"))?;
    let (schema, data) = (integer(row, 0)?, integer(row, 1)?);
    let fresh = match known.take() {
        Some(listing) if listing.schema == schema => listing,
        Some(_) | None => read(connection, schema, data).await?,
    };
    let listing = known.insert(fresh);
    if listing.data != data {
        // Whatever is written may be the statistics: they are asked for one by one until the schema is read again.
        listing.statistics.clear();
    }
    Ok(listing)
}

async fn read(connection: &mut SqliteConnection, schema: i64, data: i64) -> Result<Listing> {
    // The catalog's table first: reading it makes the connection notice a schema that changed.
    let definitions = "SELECT rowid, name FROM sqlite_schema WHERE type IN ('table', 'view')";
    let mut rows = HashMap::new();
    for row in fetch(connection, definitions).await? {
        rows.insert(text(&row, 1)?, integer(&row, 0)?);
    }
    let list =
        "SELECT name, type, strict, wr FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view')";
    let mut tables = HashMap::new();
    for row in fetch(connection, list).await? {
        let name = text(&row, 0)?;
        let listed = Listed {
            kind: if text(&row, 1)? == "view" { TableKind::View } else { TableKind::Table },
            strict: integer(&row, 2)? != 0,
            without_rowid: integer(&row, 3)? != 0,
            row: rows.get(&name).copied(),
        };
        tables.insert(name, listed);
    }
    let analyzed = rows.contains_key("sqlite_stat1");
    let mut statistics: HashMap<String, Vec<Numbers>> = HashMap::new();
    if analyzed {
        for row in fetch(connection, "SELECT idx, stat, tbl FROM sqlite_stat1").await? {
            statistics.entry(text(&row, 2)?).or_default().push(numbers(&row)?);
        }
    }
    Ok(Listing { schema, data, tables, analyzed, statistics })
}

impl Listing {
    pub(crate) fn table(&self, name: &str) -> Option<Listed> {
        self.tables.get(name).copied()
    }

    /// What ANALYZE said of a table.
    pub(crate) async fn analyzed(&self, connection: &mut SqliteConnection, table: &str) -> Result<Vec<Numbers>> {
        if !self.analyzed {
            return Ok(Vec::new());
        }
        if !self.statistics.is_empty() {
            return Ok(self.statistics.get(table).cloned().unwrap_or_default());
        }
        let query = sqlx::query("SELECT idx, stat FROM sqlite_stat1 WHERE tbl = ?1").bind(table.to_owned());
        let rows = query.fetch_all(connection).await.map_err(|error| from_sqlx(&error))?;
        rows.iter().map(numbers).collect()
    }
}

impl Listed {
    /// The statement that made it; empty if there is none.
    pub(crate) async fn definition(self, connection: &mut SqliteConnection, name: &str) -> Result<String> {
        let Some(row) = self.row else { return Ok(String::new()) };
        let sql = "SELECT sql FROM sqlite_schema WHERE rowid = ?1 AND name = ?2";
        let query = sqlx::query(sql).bind(row).bind(name.to_owned());
        let rows = query.fetch_all(connection).await.map_err(|error| from_sqlx(&error))?;
        let sql: Option<String> = rows.first().and_then(|row| row.try_get(0).ok()).flatten();
        Ok(sql.unwrap_or_default())
    }
}

fn numbers(row: &SqliteRow) -> Result<Numbers> {
    let index = row.try_get::<Option<String>, _>(0).map_err(|error| from_sqlx(&error))?;
    Ok((index, text(row, 1)?.split(' ').filter_map(|word| word.parse().ok()).collect()))
}

async fn fetch(connection: &mut SqliteConnection, sql: &'static str) -> Result<Vec<SqliteRow>> {
    sqlx::query(sql).fetch_all(connection).await.map_err(|error| from_sqlx(&error))
}

pub(crate) fn text(row: &SqliteRow, index: usize) -> Result<String> {
    row.try_get(index).map_err(|error| from_sqlx(&error))
}

pub(crate) fn integer(row: &SqliteRow, index: usize) -> Result<i64> {
    row.try_get(index).map_err(|error| from_sqlx(&error))
}
