//! What in the server itself stands against changes of a table: rights that the writing user lacks, engines that undo nothing, and
//! servers that take no changes. For operators, before the first change is tried. A change is refused by the server itself.

use super::error::from_change;
use super::print;
use super::transaction::HAS_TRANSACTIONS;
use crate::connect::pool::Pool;
use crate::error::error_number;
use crate::wire::binary;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_types::{Error, Result};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The server says rights with their words when a statement is prepared, roles and columns included; its own tables of rights say
/// only part of them.
const DENIED: [u16; 4] = [1044, 1142, 1143, 1227];

/// # Errors
/// 08001: the server cannot be reached by the writing user.
pub(super) async fn of(pool: &Arc<Pool>, schema: &str, table: &TableRef, key: &[Identifier]) -> Result<Vec<String>> {
    let mut lease = pool.lease(None, &CancellationToken::new()).await?;
    let found = asked(&mut lease.session.connection, schema, table, key).await;
    lease.release(found.is_ok());
    found
}

async fn asked(
    connection: &mut MySqlConnection,
    schema: &str,
    table: &TableRef,
    key: &[Identifier],
) -> Result<Vec<String>> {
    let read_only = sqlx::raw_sql("SELECT @@global.read_only").fetch_one(&mut *connection).await;
    if binary::text(&read_only.map_err(|error| from_change(&error))?, 0)?.as_deref() == Some("1") {
        return Ok(vec!["the server is read-only".to_owned()]);
    }
    let refused = |error: sqlx::Error| from_change(&error);
    (&mut *connection).execute("START TRANSACTION READ WRITE").await.map_err(refused)?;
    let found = probed(connection, schema, table, key).await;
    (&mut *connection).execute("ROLLBACK").await.map_err(refused)?;
    found
}

async fn probed(
    connection: &mut MySqlConnection,
    schema: &str,
    table: &TableRef,
    key: &[Identifier],
) -> Result<Vec<String>> {
    let mut obstacles = Vec::new();
    for (right, text) in print::probes(table, key).map_err(|refusal| Error::internal(refusal.text))? {
        match (&mut *connection).prepare(AssertSqlSafe(text).into_sql_str()).await {
            Ok(_) => {}
            Err(error) if error_number(&error).is_some_and(|number| DENIED.contains(&number)) => {
                obstacles.push(format!("the writing user lacks {right}"));
            }
            Err(error) => return Err(from_change(&error)),
        }
    }
    let schema = table.schema().unwrap_or(schema).to_owned();
    let transactions = sqlx::query(HAS_TRANSACTIONS).bind(schema).bind(table.name().to_owned());
    let found = transactions.fetch_optional(&mut *connection).await.map_err(|error| from_change(&error))?;
    if found.is_none() && obstacles.is_empty() {
        obstacles.push("its engine has no transactions".to_owned());
    }
    Ok(obstacles)
}
