//! What a database says of its tables. Reads SQLite's own catalog; every name is bound, none is printed.

use crate::declared;
use crate::dialect::quote;
use crate::error::from_sqlx;
use crate::listing::{Listed, Listing, Numbers, integer, listed, text};
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding};
use querygate_driver_api::remote::{
    ColumnStatistics, ForeignKey, Index, KeyKind, RemoteColumn, RemoteTable, Split, TableKind, TableStatistics,
};
use querygate_types::{Error, ErrorCode, ReferentialAction, Result};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::{BTreeMap, HashSet};

/// A table with what only this driver needs to know of it.
pub(crate) struct Described {
    pub(crate) remote: RemoteTable,
    /// Columns that SQLite keeps to their storage class: of STRICT tables, row ids, and columns checked as the writer
    /// checks them.
    pub(crate) enforced: HashSet<Identifier>,
}

/// The schema in which a database's own tables are.
const SCHEMA: &str = "main";

pub(crate) async fn tables(connection: &mut SqliteConnection) -> Result<Vec<TableRef>> {
    let rows = fetch(
        connection,
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view') \
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
        &[],
    )
    .await?;
    rows.iter().map(|row| TableRef::new([SCHEMA.to_owned(), text(row, 0)?])).collect()
}

/// Describes a table. `known`: what the connection knows of all tables.
pub(crate) async fn describe(
    connection: &mut SqliteConnection,
    known: &mut Option<Listing>,
    table: &TableRef,
) -> Result<Described> {
    let name = table.name();
    let missing = || Error::new(ErrorCode::UndefinedTable, "table does not exist in the source");
    if table.schema().is_some_and(|schema| schema != SCHEMA) {
        return Err(missing());
    }
    let listing = listed(connection, known).await?;
    let entry = listing.table(name).ok_or_else(missing)?;
    let Listed { kind, strict, without_rowid, .. } = entry;
    let sql = entry.definition(connection, name).await?;
    // A view's column compares like the column it comes from, without a word of it in the view's own text.
    let collated = kind == TableKind::View || sql.to_ascii_uppercase().contains("COLLATE");
    let infos = fetch(
        connection,
        "SELECT name, type, \"notnull\", pk, dflt_value IS NOT NULL OR hidden > 1 FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid",
        &[name],
    )
    .await?;
    let mut columns = Vec::with_capacity(infos.len());
    let mut keys = BTreeMap::new();
    for info in &infos {
        // A column without a name has none here; the others are sound.
        let Ok(column) = column(info, collated) else { continue };
        let position = integer(info, 3)?;
        if position > 0 {
            keys.insert(position, column.name.clone());
        }
        columns.push(column);
    }
    let primary_key: Vec<Identifier> = keys.into_values().collect();
    let (indexes, unique) = indexes(connection, name).await?;
    let split = match (&primary_key[..], kind) {
        ([key], TableKind::Table) if !without_rowid && is_rowid_alias(&columns, key) => {
            split(connection, name, key).await?
        }
        _ => None,
    };
    let analyzed = listing.analyzed(connection, name).await?;
    let row_estimate = rows_of(&analyzed).or_else(|| split.as_ref().map(span));
    let mut remote = RemoteTable {
        table: TableRef::new([SCHEMA, name])?,
        kind,
        columns,
        primary_key,
        unique,
        foreign_keys: foreign_keys(connection, name).await?,
        indexes,
        comment: None,
        row_estimate,
        split,
    };
    let row_id = remote.columns.iter().position(|column| is_row_id(&remote, column, without_rowid));
    if let Some(column) = row_id.and_then(|row_id| remote.columns.get_mut(row_id)) {
        // It is the row's own number, which SQLite gives where the statement does not, whatever is declared.
        (column.nullable, column.has_default) = (false, true);
    }
    let holds = |column: &RemoteColumn| strict || is_row_id(&remote, column, without_rowid) || is_checked(&sql, column);
    let enforced = remote.columns.iter().filter(|column| holds(column)).map(|column| column.name.clone()).collect();
    Ok(Described { remote, enforced })
}

fn column(info: &SqliteRow, collated: bool) -> Result<RemoteColumn> {
    let native_type = text(info, 1)?;
    let meaning = declared::interpret(&native_type);
    // SQLite tells a column's collation only in the CREATE statement, which is not parsed: one COLLATE anywhere makes
    // the printer override every column's.
    let collation = if collated { Collation::Named("declared".into()) } else { Collation::Binary };
    Ok(RemoteColumn {
        name: Identifier::new(text(info, 0)?)?,
        native_type,
        value_type: meaning.map(|(value_type, _)| value_type),
        nullable: integer(info, 2)? == 0,
        has_default: integer(info, 4)? != 0,
        collation,
        encoding: meaning.map_or(Encoding::Canonical, |(_, encoding)| encoding),
        equality: None,
        comment: None,
    })
}

fn is_row_id(remote: &RemoteTable, column: &RemoteColumn, without_rowid: bool) -> bool {
    let alone = remote.primary_key.len() == 1 && remote.primary_key.contains(&column.name);
    alone && !without_rowid && is_rowid_alias(&remote.columns, &column.name)
}

/// Whether the table's definition checks the column in the writer's own words.
fn is_checked(sql: &str, column: &RemoteColumn) -> bool {
    let Some(value_type) = column.value_type else { return false };
    quote(column.name.as_str()).is_ok_and(|quoted| sql.contains(&crate::writer::check(&quoted, value_type)))
}

fn is_rowid_alias(columns: &[RemoteColumn], key: &Identifier) -> bool {
    columns.iter().any(|column| column.name == *key && column.native_type.eq_ignore_ascii_case("INTEGER"))
}

async fn indexes(connection: &mut SqliteConnection, table: &str) -> Result<(Vec<Index>, Vec<Vec<Identifier>>)> {
    let listed =
        fetch(connection, "SELECT name, \"unique\", origin, partial FROM pragma_index_list(?1)", &[table]).await?;
    let (mut indexes, mut unique) = (Vec::new(), Vec::new());
    for row in &listed {
        let (name, origin) = (text(row, 0)?, text(row, 2)?);
        let members =
            fetch(connection, "SELECT coalesce(name, '') FROM pragma_index_info(?1) ORDER BY seqno", &[&name]).await?;
        let members = members.iter().map(|row| text(row, 0)).collect::<Result<Vec<_>>>()?;
        // An expression has no name.
        let plain = members.iter().all(|member| !member.is_empty());
        let columns = members.into_iter().filter(|member| !member.is_empty()).map(Identifier::new);
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let keeps = match origin.as_str() {
            "pk" => Some(KeyKind::Primary),
            "u" => Some(KeyKind::Unique),
            _ => None,
        };
        let (is_unique, partial) = (integer(row, 1)? != 0, integer(row, 3)? != 0);
        let index = Index { name, columns, unique: is_unique, partial, plain, keeps };
        if index.unique && index.plain && !index.partial && origin != "pk" {
            unique.push(index.columns.clone());
        }
        indexes.push(index);
    }
    Ok((indexes, unique))
}

async fn foreign_keys(connection: &mut SqliteConnection, table: &str) -> Result<Vec<ForeignKey>> {
    let rows = fetch(
        connection,
        "SELECT id, \"table\", \"from\", \"to\", on_delete, on_update FROM pragma_foreign_key_list(?1) ORDER BY id, seq",
        &[table],
    )
    .await?;
    let mut keys: BTreeMap<i64, ForeignKey> = BTreeMap::new();
    for row in &rows {
        let references = TableRef::new([SCHEMA.to_owned(), text(row, 1)?])?;
        let action = |place| Ok::<_, Error>(ReferentialAction::from_words(&text(row, place)?).unwrap_or_default());
        let (on_delete, on_update) = (action(4)?, action(5)?);
        let key = keys.entry(integer(row, 0)?).or_insert_with(|| ForeignKey {
            name: None,
            columns: Vec::new(),
            references,
            referenced_columns: Vec::new(),
            on_delete,
            on_update,
        });
        key.columns.push(Identifier::new(text(row, 2)?)?);
        // NULL: the other table's primary key.
        if let Some(column) = row.try_get::<Option<String>, _>(3).map_err(|error| from_sqlx(&error))? {
            key.referenced_columns.push(Identifier::new(column)?);
        }
    }
    Ok(keys.into_values().collect())
}

/// First and last row id, found at both ends of the table's tree.
async fn split(connection: &mut SqliteConnection, table: &str, key: &Identifier) -> Result<Option<Split>> {
    let Ok(quoted) = quote(table) else { return Ok(None) };
    let statement =
        format!("SELECT (SELECT min(t.rowid) FROM main.{quoted} AS t), (SELECT max(t.rowid) FROM main.{quoted} AS t)");
    let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(connection).await.map_err(|error| from_sqlx(&error))?;
    let ends = rows.first().map(|row| (row.try_get(0), row.try_get(1)));
    Ok(match ends {
        Some((Ok(Some(least)), Ok(Some(greatest)))) => Some(Split { column: key.clone(), least, greatest }),
        _ => None,
    })
}

fn span(split: &Split) -> u64 {
    split.least.abs_diff(split.greatest).saturating_add(1)
}

/// Rows as the last ANALYZE counted them.
fn rows_of(analyzed: &[Numbers]) -> Option<u64> {
    analyzed.iter().filter_map(|(_, numbers)| numbers.first().copied()).max()
}

pub(crate) async fn statistics(
    connection: &mut SqliteConnection,
    known: &mut Option<Listing>,
    table: &TableRef,
) -> Result<TableStatistics> {
    let described = describe(connection, known, table).await?.remote;
    let mut columns = Vec::new();
    let analyzed = listed(connection, known).await?.analyzed(connection, table.name()).await?;
    for (index, numbers) in analyzed {
        let first = described.indexes.iter().find(|known| Some(&known.name) == index.as_ref());
        let column = first.and_then(|index| index.columns.first());
        if let (Some(name), [rows, per_value, ..]) = (column, &numbers[..]) {
            let distinct = rows.checked_div(*per_value);
            columns.push(ColumnStatistics {
                name: name.clone(),
                distinct,
                null_fraction: None,
                least: None,
                greatest: None,
            });
        }
    }
    Ok(TableStatistics { rows: described.row_estimate, bytes: None, columns })
}

async fn fetch(connection: &mut SqliteConnection, sql: &'static str, binds: &[&str]) -> Result<Vec<SqliteRow>> {
    let mut query = sqlx::query(sql);
    for bind in binds {
        query = query.bind((*bind).to_owned());
    }
    query.fetch_all(connection).await.map_err(|error| from_sqlx(&error))
}
