//! Advice on indexes of a SQLite database: what is there, what others would change, and making one. Reads through the pool's
//! connections; only making and dropping opens one that writes.

mod aliases;
mod copy;
mod plan;
#[cfg(test)]
mod plan_tests;
mod sample;

use crate::dialect::quote;
use crate::driver::SqliteDriver;
use crate::error::from_sqlx;
use crate::introspect;
use crate::listing::Listing;
use crate::pool::Reader;
use async_trait::async_trait;
use copy::{Copy, Schema};
use querygate_driver_api::advice::{
    ExistingIndex, IndexAbilities, IndexAdvice, IndexSpec, IndexedColumn, IndexedTable, NullTest, Planner, Study,
};
use querygate_driver_api::capability::{Refusal, unsupported};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::remote::{ForeignKey, KeyKind, TableKind};
use querygate_types::{Error, ErrorCode, Result};
use sample::{COLUMNS_MAX, Sample};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Tables of one study.
const TABLES_MAX: usize = 256;
/// How long a table's rows are counted before the estimate has to do.
const COUNTING: Duration = Duration::from_secs(2);
/// How long tables are looked at.
const LOOKING: Duration = Duration::from_secs(60);

/// `CREATE INDEX` with quoted names. SQLite carries nothing along: covering columns become the last key columns.
fn create_text(index: &IndexSpec, quoted: &str) -> Result<String, Refusal> {
    let columns = index.keys.iter().chain(&index.include).map(|column| quote(column.as_str()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    if index.keys.is_empty() {
        return unsupported("an index without a key");
    }
    let table = quote(index.table.name())?;
    let rows = match &index.rows {
        None => String::new(),
        Some(NullTest { column, negated }) => {
            format!(" WHERE {} IS {}NULL", quote(column.as_str())?, if *negated { "NOT " } else { "" })
        }
    };
    Ok(format!("CREATE INDEX main.{quoted} ON {table} ({}){rows}", columns.join(", ")))
}

/// What is known of one table.
struct Looked {
    table: IndexedTable,
    sample: Sample,
}

async fn look(
    connection: &mut SqliteConnection,
    known: &mut Option<Listing>,
    table: &TableRef,
    rows: Option<f64>,
) -> Result<Option<Looked>> {
    let described = match introspect::describe(connection, known, table).await {
        Ok(described) => described.remote,
        Err(error) if error.code() == ErrorCode::UndefinedTable => return Ok(None),
        Err(error) => return Err(error),
    };
    if described.kind != TableKind::Table {
        return Ok(None);
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rows = rows.unwrap_or_else(|| described.row_estimate.unwrap_or(0) as f64);
    let names: Vec<Identifier> = described.columns.iter().map(|column| column.name.clone()).take(COLUMNS_MAX).collect();
    let sample = Sample::read(connection, table.name(), &names, rows).await?;
    let column = |name: &Identifier| IndexedColumn {
        name: name.clone(),
        width: sample.width(name.as_str()),
        align: 1,
        distinct: sample.distinct(&[name.as_str()]).unwrap_or(rows),
        nulls: sample.nulls(name.as_str()),
        // SQLite stores each entry.
        dedupes: false,
        collates: false,
    };
    let columns = names.iter().map(column).collect();
    let indexes = existing(connection, table.name(), &described.foreign_keys).await?;
    // A key without an index is the row id.
    let has_index = described.indexes.iter().any(|index| index.keeps == Some(KeyKind::Primary));
    let row_key = if has_index { Vec::new() } else { described.primary_key };
    // SQLite does not count writes.
    let (table, writes, abilities) = (table.clone(), None, IndexAbilities::ALL);
    let table = IndexedTable { table, rows, columns, indexes, row_key, writes, abilities };
    Ok(Some(Looked { table, sample }))
}

async fn existing(
    connection: &mut SqliteConnection,
    table: &str,
    foreign: &[ForeignKey],
) -> Result<Vec<ExistingIndex>> {
    let failed = |error: sqlx::Error| from_sqlx(&error);
    let listed = sqlx::query("SELECT name, \"unique\", origin, partial FROM pragma_index_list(?1)")
        .bind(table.to_owned())
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    let mut found = Vec::new();
    for row in &listed {
        let (name, origin): (String, String) = (row.try_get(0).map_err(failed)?, row.try_get(2).map_err(failed)?);
        let members =
            sqlx::query("SELECT cid, name, \"desc\", coll FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno")
                .bind(name.clone())
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
        let (mut keys, mut expression, mut plain) = (Vec::new(), false, true);
        for member in &members {
            let column: Option<String> = member.try_get(1).map_err(failed)?;
            let descending: i64 = member.try_get(2).map_err(failed)?;
            let collation: Option<String> = member.try_get(3).map_err(failed)?;
            plain &= descending == 0 && collation.is_none_or(|collation| collation == "BINARY");
            match column {
                Some(column) => keys.push(Identifier::new(column)?),
                None => expression = true,
            }
        }
        let refers = |key: &ForeignKey| {
            keys.len() >= key.columns.len() && keys.iter().take(key.columns.len()).all(|k| key.columns.contains(k))
        };
        found.push(ExistingIndex {
            constraint: origin != "c" || foreign.iter().any(refers),
            unique: row.try_get::<i64, _>(1).map_err(failed)? != 0,
            partial: row.try_get::<i64, _>(3).map_err(failed)? != 0,
            name,
            keys,
            include: Vec::new(),
            expression,
            plain: plain && !expression,
            valid: true,
            scans: None,
            days: 0.0,
            bytes: None,
        });
    }
    Ok(found)
}

impl SqliteDriver {
    /// Rows of a table, counted within a bound of time.
    async fn counted(&self, table: &TableRef) -> Option<f64> {
        let quoted = quote(table.name()).ok()?;
        let mut lease = self.lease_until(Some(Instant::now() + COUNTING)).await.ok()?;
        let text = format!("SELECT count(*) FROM main.{quoted}");
        let row = sqlx::query(AssertSqlSafe(text)).persistent(false).fetch_one(&mut lease.reader.connection).await;
        lease.release(row.is_ok()).await;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        row.ok().and_then(|row| row.try_get::<i64, _>(0).ok()).map(|rows| rows as f64)
    }

    async fn writer(&self) -> Result<SqliteConnection> {
        let options = self.options();
        SqliteConnectOptions::new()
            .filename(&options.path)
            .create_if_missing(false)
            .busy_timeout(options.busy_timeout)
            .pragma("trusted_schema", "OFF")
            .pragma("analysis_limit", "1000")
            .disable_statement_logging()
            .connect()
            .await
            .map_err(|error| from_sqlx(&error))
    }

    async fn write(&self, statements: &[String]) -> Result<()> {
        let mut connection = self.writer().await?;
        let mut outcome = Ok(());
        for statement in statements {
            let done = connection.execute(AssertSqlSafe(statement.clone())).await;
            if let Err(error) = done {
                outcome = Err(from_sqlx(&error));
                break;
            }
        }
        drop(connection.close().await);
        outcome
    }
}

fn unquotable(refusal: Refusal) -> Error {
    Error::new(ErrorCode::InvalidParameterValue, refusal.text)
}

#[async_trait]
impl IndexAdvice for SqliteDriver {
    async fn study(&self, tables: &[TableRef]) -> Result<Study> {
        let mut counted = Vec::new();
        for table in tables.iter().take(TABLES_MAX) {
            counted.push((table, self.counted(table).await));
        }
        let mut lease = self.lease_until(Some(Instant::now() + LOOKING)).await?;
        let Reader { connection, listing, .. } = &mut lease.reader;
        let looked = async {
            let mut found = Vec::new();
            for (table, rows) in counted {
                found.extend(look(connection, listing, table, rows).await?);
            }
            let schema = Schema::read(connection).await?;
            Ok::<_, Error>((found, schema))
        };
        let looked = looked.await;
        lease.release(looked.is_ok()).await;
        let (looked, mut schema) = looked?;
        let (mut tables, mut samples) = (Vec::new(), HashMap::new());
        for Looked { table, sample } in looked {
            let name = table.table.name().to_owned();
            let plain = table.indexes.iter().filter(|index| !index.expression && !index.partial);
            schema.indexes.extend(plain.map(|index| {
                let columns = index.keys.iter().map(|key| key.as_str().to_owned()).collect();
                (index.name.clone(), name.clone(), columns)
            }));
            samples.insert(name, sample);
            tables.push(table);
        }
        let copy = Copy::new(&schema, samples).await?;
        Ok(Study { tables, planner: Planner::Asked(Box::new(copy)) })
    }

    fn ddl(&self, index: &IndexSpec, name: &Identifier) -> Result<String, Refusal> {
        create_text(index, &quote(name.as_str())?)
    }

    fn drop_ddl(&self, _table: &TableRef, name: &Identifier) -> Result<String, Refusal> {
        Ok(format!("DROP INDEX main.{}", quote(name.as_str())?))
    }

    async fn create(&self, index: &IndexSpec, name: &Identifier) -> Result<()> {
        let quoted = quote(name.as_str()).map_err(unquotable)?;
        let text = create_text(index, &quoted).map_err(unquotable)?;
        // A quoted name that is no column would be a text to SQLite, and the index one over a constant.
        let described = self.describe(&index.table).await?;
        let tested = index.rows.as_ref().map(|test| &test.column);
        let has = |column: &Identifier| described.columns.iter().any(|known| known.name == *column);
        if !index.keys.iter().chain(&index.include).chain(tested).all(has) {
            return Err(Error::new(ErrorCode::SourceSchemaChanged, "source no longer has a column of the index"));
        }
        self.write(&[text]).await?;
        // Without statistics of its own the planner would guess at the new index. At most a thousand rows of each of its
        // columns are read for them. The index is there without.
        if let Err(error) = self.write(&[format!("ANALYZE main.{quoted}")]).await {
            tracing::warn!(index = name.as_str(), %error, cause = error.cause(), "a new index has no statistics");
        }
        Ok(())
    }

    async fn drop_index(&self, _table: &TableRef, name: &Identifier) -> Result<()> {
        let quoted = quote(name.as_str()).map_err(unquotable)?;
        self.write(&[format!("DROP INDEX IF EXISTS main.{quoted}")]).await
    }
}
