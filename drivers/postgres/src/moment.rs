//! Moments of the database that last while clients read the parts of one result: an exported snapshot, and the connection
//! whose transaction it is.

use crate::error::{from_postgres, is_lost};
use crate::pool::Pool;
use crate::whole::Whole;
use querygate_driver_api::moment::{Keeping, Moment};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio_postgres::Client;

pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
const SNAPSHOT: &str = "SELECT pg_catalog.pg_export_snapshot()";
/// The snapshot is the one under which the pages are counted, so every row that it sees lies in one of them. Ranges of pages are
/// conditions on `ctid`, which a grant on columns does not cover: without the whole table's there is no row.
const SNAPSHOT_AND_PAGES: &str = "SELECT pg_catalog.pg_export_snapshot(), \
     (pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8)::int8 \
     FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind IN ('r', 'm') \
     AND pg_catalog.has_table_privilege(c.oid, 'SELECT')";
/// Fewer executions at once than this are not worth a kept connection.
const EXECUTIONS_LEAST: usize = 2;

/// Begins the transaction that others join. `None`: the table has no pages of its own.
pub(crate) async fn begin_paged(
    client: &Client,
    table: &str,
) -> std::result::Result<Option<(String, u32)>, tokio_postgres::Error> {
    client.batch_execute(BEGIN).await?;
    let Some(row) = client.query_opt(SNAPSHOT_AND_PAGES, &[&table]).await? else { return Ok(None) };
    let (snapshot, pages): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(u32::try_from(pages).ok().filter(|_| is_plain(&snapshot)).map(|pages| (snapshot, pages)))
}

/// It becomes part of a statement, so it is looked at, though it is the server's own.
fn is_plain(snapshot: &str) -> bool {
    !snapshot.is_empty() && snapshot.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Begins a transaction under another one's snapshot.
///
/// # Errors
/// 0A000: the snapshot is not there any more.
pub(crate) async fn join(source: &str, client: &Client, snapshot: &str) -> Result<()> {
    if !is_plain(snapshot) {
        return Err(gone(source));
    }
    let joined = client.batch_execute(&format!("{BEGIN}; SET TRANSACTION SNAPSHOT '{snapshot}'")).await;
    joined.map_err(|error| if is_lost(&error) { from_postgres(source, &error) } else { gone(source).with_cause(error) })
}

fn gone(source: &str) -> Error {
    Error::new(
        ErrorCode::SourceSchemaChanged,
        format!("source \"{source}\" no longer keeps the state that was divided"),
    )
    .with_hint("Ask for the result again.")
}

/// Keeps this moment on a connection of its own, which nobody waits for. `whole`: the table that is read whole.
///
/// # Errors
/// The source's.
pub(crate) async fn keep(pool: &Arc<Pool>, whole: Option<Whole>) -> Result<Keeping> {
    let executions_max = pool.share();
    if executions_max < EXECUTIONS_LEAST {
        return Ok(Keeping::NoRoom);
    }
    let Some(lease) = pool.spare().await else { return Ok(Keeping::NoRoom) };
    let client = &lease.connection.client;
    let told = |error: tokio_postgres::Error| from_postgres(pool.source(), &error);
    let paged = match &whole {
        Some(whole) => begin_paged(client, &whole.table).await.map_err(told)?,
        None => None,
    };
    let (name, pages) = match paged {
        Some((name, pages)) => (name, Some(pages)),
        None => {
            let begun = if whole.is_some() { "ROLLBACK; " } else { "" };
            client.batch_execute(&format!("{begun}{BEGIN}")).await.map_err(told)?;
            let name: String = client.query_one(SNAPSHOT, &[]).await.and_then(|row| row.try_get(0)).map_err(told)?;
            (name, None)
        }
    };
    if !is_plain(&name) {
        return Err(Error::internal("PostgreSQL named a snapshot in a way that is not known"));
    }
    Ok(Keeping::Kept(Moment { name: name.into(), pages, executions_max, hold: Arc::new(lease) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_server_would_say_is_put_into_a_statement() {
        assert!(is_plain("00000003-0000001B-1"));
        for wrong in ["", "1'; DROP TABLE x; --", "g", "1 2", "é"] {
            assert!(!is_plain(wrong), "{wrong}");
        }
    }
}
