//! Advice on indexes of a PostgreSQL database: what is there, what others would change, and making one without blocking
//! writers. Making and dropping uses a connection of its own, by a user of its own if there is one.

mod plan_walk;
mod planner;
mod probe_cost;
mod study;

use crate::compile::dialect::quote;
use crate::driver::PostgresDriver;
use crate::error::from_postgres;
use async_trait::async_trait;
use futures::FutureExt;
use probe_cost::Known;
use querygate_driver_api::advice::{IndexAdvice, IndexSpec, NullTest, Planner, Study};
use querygate_driver_api::capability::{Refusal, unsupported};
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_types::{Error, ErrorCode, Result};
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

/// Schema of a table that is named without one.
const SCHEMA: &str = "public";
/// Tables of one study.
const TABLES_MAX: usize = 256;
/// Making an index may take long, waiting for locks may not: others would wait behind it.
const SETTINGS: &str =
    "SET default_transaction_read_only = off; SET lock_timeout = '60s'; SET statement_timeout = '2h'";

/// `CREATE INDEX` with quoted names; without a name it is a hypothetical one, which is not built concurrently.
fn create_text(index: &IndexSpec, name: Option<&Identifier>) -> Result<String, Refusal> {
    if index.keys.is_empty() {
        return unsupported("an index without a key");
    }
    let quoted = |column: &Identifier| quote(column.as_str());
    let key = |column: &Identifier| {
        // Orders and ranges are by code point; another order would be of no use to them.
        let collate = if index.code_point.contains(column) { " COLLATE pg_catalog.\"C\"" } else { "" };
        Ok(format!("{}{collate}", quoted(column)?))
    };
    let keys = index.keys.iter().map(key).collect::<Result<Vec<_>, Refusal>>()?.join(", ");
    let include = index.include.iter().map(quoted).collect::<Result<Vec<_>, _>>()?.join(", ");
    let include = if include.is_empty() { include } else { format!(" INCLUDE ({include})") };
    let rows = match &index.rows {
        None => String::new(),
        Some(NullTest { column, negated }) => {
            format!(" WHERE {} IS {}NULL", quoted(column)?, if *negated { "NOT " } else { "" })
        }
    };
    let head = match name {
        Some(name) => format!("CREATE INDEX CONCURRENTLY {}", quoted(name)?),
        None => "CREATE INDEX".to_owned(),
    };
    Ok(format!("{head} ON {} ({keys}){include}{rows}", path(&index.table)?))
}

fn path(table: &TableRef) -> Result<String, Refusal> {
    Ok(format!("{}.{}", quote(table.schema().unwrap_or(SCHEMA))?, quote(table.name())?))
}

/// An index lies in its table's schema.
fn path_of(table: &TableRef, name: &Identifier) -> Result<String, Refusal> {
    Ok(format!("{}.{}", quote(table.schema().unwrap_or(SCHEMA))?, quote(name.as_str())?))
}

fn unquotable(refusal: Refusal) -> Error {
    Error::new(ErrorCode::InvalidParameterValue, refusal.text)
}

/// A failure to change an index.
fn changing(source: &str, error: &tokio_postgres::Error) -> Error {
    let may_not = error.as_db_error().is_some_and(|db| *db.code() == SqlState::INSUFFICIENT_PRIVILEGE);
    if may_not {
        let text = format!("source \"{source}\" does not let the gate change its indexes");
        return Error::new(ErrorCode::InsufficientPrivilege, text)
            .with_hint("Give the source an advisor_user that owns the table.");
    }
    from_postgres(source, error)
}

impl PostgresDriver {
    /// The extension's schema, quoted.
    async fn hypopg(&self) -> Result<Option<String>> {
        const EXTENSION: &str = "SELECT n.nspname::text FROM pg_extension e \
             JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'hypopg'";
        let found = self.ask(|source, connection| connection.rows(source, EXTENSION, &[]).boxed()).await?;
        let Some(row) = found.first() else { return Ok(None) };
        let schema: String = row.try_get(0).map_err(Error::internal)?;
        quote(&schema).map(Some).map_err(unquotable)
    }
}

#[async_trait]
impl IndexAdvice for PostgresDriver {
    async fn study(&self, tables: &[TableRef]) -> Result<Study> {
        let (mut found, mut known) = (Vec::new(), Vec::new());
        for table in tables.iter().take(TABLES_MAX) {
            let table = table.clone();
            let told = self.ask(move |source, connection| {
                let table = table.clone();
                async move { study::table(source, connection, &table).await }.boxed()
            });
            let Some((table, ordered)) = told.await? else { continue };
            known.push(Known { table: table.clone(), ordered });
            found.push(table);
        }
        let planner = match self.hypopg().await? {
            Some(extension) => {
                let lease = self.connections().lease(None, &CancellationToken::new()).await?;
                match planner::Planner::new(self.connections().source(), lease, extension, known).await {
                    Ok(planner) => Planner::Asked(Box::new(planner)),
                    // Its functions are there, for somebody else.
                    Err(error) if error.code() == ErrorCode::SourceError => Planner::Absent(
                        "the source's user may not use the functions of the extension hypopg".to_owned(),
                    ),
                    Err(error) => return Err(error),
                }
            }
            None => Planner::Absent(
                "the database has no extension hypopg (CREATE EXTENSION hypopg, by an administrator)".to_owned(),
            ),
        };
        Ok(Study { tables: found, planner })
    }

    fn ddl(&self, index: &IndexSpec, name: &Identifier) -> Result<String, Refusal> {
        create_text(index, Some(name))
    }

    fn drop_ddl(&self, table: &TableRef, name: &Identifier) -> Result<String, Refusal> {
        Ok(format!("DROP INDEX CONCURRENTLY {}", path_of(table, name)?))
    }

    async fn create(&self, index: &IndexSpec, name: &Identifier) -> Result<()> {
        const IS_THERE: &str = "SELECT coalesce(bool_or(i.indisvalid), true) FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid \
             WHERE n.nspname = $1 AND c.relname = $2 HAVING count(*) > 0";
        let text = create_text(index, Some(name)).map_err(unquotable)?;
        let source = self.connections().source();
        let failed = |error: tokio_postgres::Error| changing(source, &error);
        let connection = self.advisor().open().await?;
        let client = &connection.client;
        client.batch_execute(SETTINGS).await.map_err(failed)?;
        let (schema, own) = (index.table.schema().unwrap_or(SCHEMA), name.as_str());
        if !connection.rows(source, IS_THERE, &[&schema, &own]).await?.is_empty() {
            return Err(Error::new(ErrorCode::ObjectNotInPrerequisiteState, "something of the index's name is there"));
        }
        let Err(error) = client.batch_execute(&text).await else { return Ok(()) };
        // What was begun without blocking others stays behind, invalid.
        let left = connection.rows(source, IS_THERE, &[&schema, &own]).await;
        let invalid = left.ok().and_then(|rows| rows.first().and_then(|row| row.try_get(0).ok())) == Some(false);
        if invalid && let Ok(path) = path_of(&index.table, name) {
            drop(client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {path}")).await);
        }
        Err(failed(error))
    }

    async fn drop_index(&self, table: &TableRef, name: &Identifier) -> Result<()> {
        let path = path_of(table, name).map_err(unquotable)?;
        let failed = |error: tokio_postgres::Error| changing(self.connections().source(), &error);
        let connection = self.advisor().open().await?;
        connection.client.batch_execute(SETTINGS).await.map_err(failed)?;
        connection.client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {path}")).await.map_err(failed)
    }
}
