//! Advice on indexes of a MariaDB or MySQL schema: what is there, and making one without blocking writers. Neither server plans with
//! indexes that do not exist: MariaDB is asked for the plan as it is, MySQL for nothing; what an index did is measured after it was made.

mod explained;
mod what_if;

use crate::advice::what_if::Explaining;
use crate::compile::names::quote;
use crate::connect::session::{Flavor, Session};
use crate::driver::MysqlDriver;
use crate::error::{error_number, from_sqlx};
use crate::introspect::{fetch, number, text};
use crate::wire::binary;
use async_trait::async_trait;
use querygate_driver_api::advice::{
    ExistingIndex, IndexAbilities, IndexAdvice, IndexSpec, IndexedColumn, IndexedTable, Planner, Study,
};
use querygate_driver_api::capability::{Refusal, unsupported};
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_types::{Error, ErrorCode, Result};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Executor};
use std::collections::{BTreeMap, BTreeSet};

/// Tables of one study, and columns of a table that are looked at.
const TABLES_MAX: usize = 256;
const COLUMNS_MAX: usize = 64;
/// Rows that a table's columns are judged by: the server keeps no numbers of columns that no index begins with.
const SAMPLE: u32 = 8_192;
/// A sample with so large a share of different values has as many in proportion in the whole table.
const MOSTLY_DISTINCT: f64 = 0.5;
/// Longest text in characters that an index holds whole: 3,072 bytes of InnoDB.
const CHARACTERS_MAX: u64 = 768;
/// Neither texts without a bound nor what has no order can be a key.
const NO_KEYS: [&str; 18] = [
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "tinyblob",
    "blob",
    "mediumblob",
    "longblob",
    "json",
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "bit",
];
/// What the gate may wait for locks; the build itself takes as long as it takes.
const LOCK_SECONDS: u32 = 60;

fn path(schema: &str, table: &TableRef) -> Result<String, Refusal> {
    Ok(format!("{}.{}", quote(table.schema().unwrap_or(schema))?, quote(table.name())?))
}

/// The server carries no columns along; they follow as keys. Every row is in it.
fn create_text(schema: &str, index: &IndexSpec, name: &Identifier) -> Result<String, Refusal> {
    if index.keys.is_empty() {
        return unsupported("an index without a key");
    }
    let columns = index.keys.iter().chain(&index.include).map(|column| quote(column.as_str()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?.join(", ");
    let (name, table) = (quote(name.as_str())?, path(schema, &index.table)?);
    Ok(format!("CREATE INDEX {name} ON {table} ({columns}) ALGORITHM=INPLACE LOCK=NONE"))
}

fn drop_text(schema: &str, table: &TableRef, name: &Identifier) -> Result<String, Refusal> {
    // In place and without a lock by default. MariaDB's takes neither word, and ALTER TABLE, which does, needs the right to alter.
    Ok(format!("DROP INDEX {} ON {}", quote(name.as_str())?, path(schema, table)?))
}

fn unquotable(refusal: Refusal) -> Error {
    Error::new(ErrorCode::InvalidParameterValue, refusal.text)
}

/// A failure to change an index.
fn changing(error: &sqlx::Error) -> Error {
    match error_number(error) {
        Some(1044 | 1142 | 1227) => {
            Error::new(ErrorCode::InsufficientPrivilege, "the source does not let the gate change its indexes")
                .with_hint("Grant INDEX on the table to the source's user, or run the suggestion's ddl there.")
                .with_cause(error)
        }
        Some(1061) => Error::new(ErrorCode::ObjectNotInPrerequisiteState, "an index of this name is there"),
        _ => from_sqlx(error),
    }
}

async fn change(session: &mut Session, text: String) -> std::result::Result<(), sqlx::Error> {
    let writable = match session.flavor {
        Flavor::MariaDb => "tx_read_only",
        Flavor::MySql => "transaction_read_only",
    };
    let settings = format!("SET {writable} = 0, lock_wait_timeout = {LOCK_SECONDS}");
    session.connection.execute(AssertSqlSafe(settings)).await?;
    session.connection.execute(AssertSqlSafe(text)).await.map(drop)
}

/// One table; `None`: none of this name that could have an index.
async fn table(connection: &mut MySqlConnection, schema: &str, table: &TableRef) -> Result<Option<IndexedTable>> {
    const TABLE: &str = "SELECT TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND TABLE_TYPE = 'BASE TABLE' AND ENGINE = 'InnoDB'";
    let (own, name) = (table.schema().unwrap_or(schema), table.name());
    let found = fetch(connection, TABLE, &[own, name]).await?;
    // The catalog compares names without case, tables on most systems do not.
    let Some(found) = found.iter().find(|row| text(row, 0).is_ok_and(|found| found == name)) else { return Ok(None) };
    let rows = as_number(number(found, 1)?.unwrap_or(0));
    let indexes = indexes(connection, own, name).await?;
    let columns = columns(connection, own, name, rows).await?;
    let abilities = IndexAbilities { partial: false, code_point: false, covering: true };
    let row_key = Vec::new();
    Ok(Some(IndexedTable { table: table.clone(), rows, columns, indexes, row_key, writes: None, abilities }))
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
fn as_number(count: u64) -> f64 {
    count as f64
}

/// Columns that can be keys, by what a bounded sample of the rows shows.
async fn columns(connection: &mut MySqlConnection, schema: &str, table: &str, rows: f64) -> Result<Vec<IndexedColumn>> {
    const COLUMNS: &str = "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, COLLATION_NAME, TABLE_NAME \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";
    let mut keys: Vec<(Identifier, bool)> = Vec::new();
    for row in fetch(connection, COLUMNS, &[schema, table]).await? {
        let (kind, characters) = (text(&row, 1)?.to_ascii_lowercase(), number(&row, 2)?);
        let fits = characters.is_none_or(|characters| characters <= CHARACTERS_MAX);
        if text(&row, 4)? != table || NO_KEYS.contains(&kind.as_str()) || !fits || keys.len() >= COLUMNS_MAX {
            continue;
        }
        let collates = binary::text(&row, 3)?.is_some_and(|collation| !collation.ends_with("_bin"));
        keys.push((Identifier::new(text(&row, 0)?)?, collates));
    }
    let sampled = sample(connection, schema, table, &keys).await?;
    let column = |((name, collates), seen): ((Identifier, bool), Sampled)| {
        let known = (seen.rows - seen.nulls).max(1.0);
        let share = seen.distinct / known;
        let distinct = if share > MOSTLY_DISTINCT { share * rows } else { seen.distinct };
        IndexedColumn {
            name,
            width: (seen.bytes / known).max(1.0),
            // Entries are packed.
            align: 1,
            distinct: distinct.max(1.0),
            nulls: seen.nulls / seen.rows.max(1.0),
            dedupes: false,
            collates,
        }
    };
    Ok(keys.into_iter().zip(sampled).map(column).collect())
}

/// What a sample says of a column.
#[derive(Debug, Clone, Copy, Default)]
struct Sampled {
    rows: f64,
    nulls: f64,
    distinct: f64,
    bytes: f64,
}

async fn sample(
    connection: &mut MySqlConnection,
    schema: &str,
    table: &str,
    keys: &[(Identifier, bool)],
) -> Result<Vec<Sampled>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let quoted = |name: &str| quote(name).map_err(unquotable);
    let mut told = vec!["CAST(COUNT(*) AS CHAR)".to_owned()];
    let mut names = Vec::new();
    for (name, _) in keys {
        let name = quoted(name.as_str())?;
        for number in [format!("COUNT({name})"), format!("COUNT(DISTINCT {name})"), format!("SUM(LENGTH({name}))")] {
            told.push(format!("CAST({number} AS CHAR)"));
        }
        names.push(name);
    }
    let sql = format!(
        "SELECT {} FROM (SELECT {} FROM {}.{} LIMIT {SAMPLE}) AS some_rows",
        told.join(", "),
        names.join(", "),
        quoted(schema)?,
        quoted(table)?
    );
    let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(connection).await.map_err(|error| from_sqlx(&error))?;
    let count = |place: usize| -> Result<f64> {
        let text = binary::text(&row, place)?;
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0.0))
    };
    let rows = count(0)?;
    let one = |place: usize| {
        let known = count(3 * place + 1)?;
        Ok(Sampled { rows, nulls: rows - known, distinct: count(3 * place + 2)?, bytes: count(3 * place + 3)? })
    };
    (0..keys.len()).map(one).collect()
}

async fn indexes(connection: &mut MySqlConnection, schema: &str, table: &str) -> Result<Vec<ExistingIndex>> {
    const INDEXES: &str = "SELECT INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, COLLATION, INDEX_TYPE, TABLE_NAME \
         FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY INDEX_NAME, SEQ_IN_INDEX";
    /// Columns of foreign keys, on either side.
    const KEYS: &str = "SELECT CASE WHEN TABLE_SCHEMA = ? AND TABLE_NAME = ? THEN COLUMN_NAME ELSE REFERENCED_COLUMN_NAME END \
         FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME IS NOT NULL \
         AND ((TABLE_SCHEMA = ? AND TABLE_NAME = ?) OR (REFERENCED_TABLE_SCHEMA = ? AND REFERENCED_TABLE_NAME = ?))";
    let bound = [schema, table, schema, table, schema, table];
    let mut referring = BTreeSet::new();
    for row in fetch(connection, KEYS, &bound).await? {
        referring.extend(binary::text(&row, 0)?);
    }
    let mut found: BTreeMap<String, ExistingIndex> = BTreeMap::new();
    for row in fetch(connection, INDEXES, &[schema, table]).await? {
        if text(&row, 6)? != table {
            continue;
        }
        let name = text(&row, 0)?;
        let unique = number(&row, 1)? == Some(0);
        let index = found.entry(name.clone()).or_insert_with(|| ExistingIndex {
            name,
            keys: Vec::new(),
            include: Vec::new(),
            unique,
            constraint: unique,
            partial: false,
            expression: false,
            plain: true,
            valid: true,
            scans: None,
            days: 0.0,
            bytes: None,
        });
        let whole = binary::text(&row, 3)?.is_none();
        let ascending = binary::text(&row, 4)?.as_deref() == Some("A");
        index.plain &= whole && ascending && text(&row, 5)? == "BTREE";
        match binary::text(&row, 2)? {
            Some(column) => {
                index.constraint |= index.keys.is_empty() && referring.contains(&column);
                index.keys.push(Identifier::new(column)?);
            }
            None => index.expression = true,
        }
    }
    Ok(found.into_values().collect())
}

#[async_trait]
impl IndexAdvice for MysqlDriver {
    async fn study(&self, tables: &[TableRef]) -> Result<Study> {
        let mut lease = self.lease().await?;
        let mut found = Vec::new();
        for one in tables.iter().take(TABLES_MAX) {
            match table(&mut lease.session.connection, self.schema(), one).await {
                Ok(told) => found.extend(told),
                Err(error) => {
                    lease.release(false);
                    return Err(error);
                }
            }
        }
        let flavor = lease.session.flavor;
        lease.release(true);
        let planner = match flavor {
            Flavor::MariaDb => Planner::Asked(Box::new(Explaining::new(self.apart().await?, found.clone()).await?)),
            // What it does with the value of a subquery while it plans was not tried.
            Flavor::MySql => Planner::Absent("MySQL does not plan with indexes that are not there".to_owned()),
        };
        Ok(Study { tables: found, planner })
    }

    fn ddl(&self, index: &IndexSpec, name: &Identifier) -> Result<String, Refusal> {
        create_text(self.schema(), index, name)
    }

    fn drop_ddl(&self, table: &TableRef, name: &Identifier) -> Result<String, Refusal> {
        drop_text(self.schema(), table, name)
    }

    async fn create(&self, index: &IndexSpec, name: &Identifier) -> Result<()> {
        let text = create_text(self.schema(), index, name).map_err(unquotable)?;
        let mut session = self.apart().await?;
        // What fails half way is taken back by the server.
        change(&mut session, text).await.map_err(|error| changing(&error))
    }

    async fn drop_index(&self, table: &TableRef, name: &Identifier) -> Result<()> {
        let text = drop_text(self.schema(), table, name).map_err(unquotable)?;
        let mut session = self.apart().await?;
        match change(&mut session, text).await {
            Err(error) if error_number(&error) == Some(1091) => Ok(()),
            other => other.map_err(|error| changing(&error)),
        }
    }
}
