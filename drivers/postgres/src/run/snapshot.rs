//! Moments of the database that last while clients read the parts of one result: an exported snapshot, and the connection
//! whose transaction it is.

use crate::connect::pool::Pool;
use crate::error::{from_postgres, is_lost};
use crate::run::paged_text::PagedText;
use querygate_driver_api::execution::{Snapshot, SnapshotAnswer};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
const SNAPSHOT: &str = "SELECT pg_catalog.pg_export_snapshot()";
/// The snapshot is the one under which the pages are counted, so every row that it sees lies in one of them, as long as they are
/// those of the same file, and of the one that the table had at that moment: what waits for a table that is emptied or written anew counts
/// the pages of a new one, of which the snapshot sees no row. Ranges of pages are conditions on `ctid`, which a grant on columns does not cover: without the whole
/// table's there is no row. Nor is there one for a table that others inherit from, whose
/// rows lie in pages of their own, or for one that is not stored as PostgreSQL itself does, of which a range may be a walk over all.
const SNAPSHOT_AND_PAGES: &str = "SELECT pg_catalog.pg_export_snapshot(), \
     (pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8)::int8, \
     pg_catalog.pg_relation_filenode(c.oid)::int8, c.relfilenode::int8 \
     FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind IN ('r', 'm') \
     AND c.relam = (SELECT a.oid FROM pg_catalog.pg_am AS a WHERE a.amname = 'heap') AND NOT c.relhassubclass AND pg_catalog.has_table_privilege(c.oid, 'SELECT')";
/// The file of a table as it is now, whatever the snapshot.
const FILE: &str = "SELECT pg_catalog.pg_relation_filenode(pg_catalog.to_regclass($1))::int8";
/// A table that this transaction has locked, and that is in another file than its snapshot has it in.
const REWRITTEN: &str = "SELECT 1 FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_class AS c ON c.oid = l.relation \
     WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND c.relkind IN ('r', 'm') \
     AND c.relfilenode <> 0 AND c.relfilenode <> pg_catalog.pg_relation_filenode(c.oid) LIMIT 1";
/// Fewer executions at once than this are not worth a kept connection.
const EXECUTIONS_LEAST: usize = 2;

/// What came of beginning a moment of a table whose pages are read.
pub(crate) enum Begun {
    /// The moment's name, and the table's pages.
    Paged(String, u32),
    /// It has no pages of its own.
    NoPages,
    /// It was written anew meanwhile: another moment would do.
    Rewritten,
}

/// Begins the transaction that others join.
pub(crate) async fn begin_paged(client: &Client, table: &str) -> std::result::Result<Begun, tokio_postgres::Error> {
    client.batch_execute(BEGIN).await?;
    let Some(row) = client.query_opt(SNAPSHOT_AND_PAGES, &[&table]).await? else { return Ok(Begun::NoPages) };
    let (snapshot, pages, file): (String, i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (Ok(pages), Some(file)) = (u32::try_from(pages), file) else { return Ok(Begun::NoPages) };
    if file != row.try_get::<_, i64>(3)? {
        return Ok(Begun::Rewritten);
    }
    Ok(if is_plain(&snapshot) { Begun::Paged(format!("{snapshot}@{file}"), pages) } else { Begun::NoPages })
}

/// It becomes part of a statement, so it is looked at, though it is the server's own.
fn is_plain(snapshot: &str) -> bool {
    !snapshot.is_empty() && snapshot.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// A moment's name in parts: its snapshot, and where pages were counted, the file that they are of.
fn parted(name: &str) -> Option<(&str, Option<i64>)> {
    let (snapshot, file) = match name.split_once('@') {
        Some((snapshot, file)) => (snapshot, Some(file.parse().ok()?)),
        None => (name, None),
    };
    is_plain(snapshot).then_some((snapshot, file))
}

/// Begins a transaction under another one's snapshot.
///
/// # Errors
/// 0A000: the snapshot is not there any more.
pub(crate) async fn join(source: &str, client: &Client, name: &str) -> Result<()> {
    let Some((snapshot, _)) = parted(name) else { return Err(gone(source)) };
    let joined = client.batch_execute(&format!("{BEGIN}; SET TRANSACTION SNAPSHOT '{snapshot}'")).await;
    joined.map_err(|error| if is_lost(&error) { from_postgres(source, &error) } else { gone(source).with_cause(error) })
}

/// Looks whether a table still is in the file whose pages were counted. Nothing locks it while nobody reads: written anew, its
/// rows lie in other pages, and emptied it has none, not even for a snapshot from before. The caller's transaction has locked it.
///
/// # Errors
/// 0A000: it is in another file, or not there any more.
pub(crate) async fn check_file(source: &str, client: &Client, table: &str, name: &str) -> Result<()> {
    let Some((_, Some(file))) = parted(name) else { return Err(gone(source)) };
    let told = |error: tokio_postgres::Error| from_postgres(source, &error);
    let row = client.query_typed_one(FILE, &[(&table, Type::TEXT)]).await.map_err(told)?;
    let now: Option<i64> = row.try_get(0).map_err(told)?;
    if now == Some(file) { Ok(()) } else { Err(gone(source)) }
}

/// Looks, behind the last row, whether the tables of a statement were emptied or written anew since the moment under which it ran: it has
/// missed their rows then. Its transaction has locked them all.
///
/// # Errors
/// 0A000: one was.
pub(crate) async fn check_tables(source: &str, client: &Client) -> Result<()> {
    let found = client.query_typed(REWRITTEN, &[]).await.map_err(|error| from_postgres(source, &error))?;
    if found.is_empty() { Ok(()) } else { Err(gone(source)) }
}

pub(crate) fn gone(source: &str) -> Error {
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
pub(crate) async fn keep(pool: &Arc<Pool>, whole: Option<PagedText>) -> Result<SnapshotAnswer> {
    let executions_max = pool.share();
    if executions_max < EXECUTIONS_LEAST {
        return Ok(SnapshotAnswer::NoRoom);
    }
    let Some(lease) = pool.spare().await else { return Ok(SnapshotAnswer::NoRoom) };
    let client = &lease.connection.client;
    let told = |error: tokio_postgres::Error| from_postgres(pool.source(), &error);
    let begun = match &whole {
        Some(whole) => begin_paged(client, &whole.table).await.map_err(told)?,
        None => Begun::NoPages,
    };
    let (name, pages) = match begun {
        Begun::Paged(name, pages) => (name, Some(pages)),
        Begun::NoPages | Begun::Rewritten => {
            let begun = if whole.is_some() { "ROLLBACK; " } else { "" };
            client.batch_execute(&format!("{begun}{BEGIN}")).await.map_err(told)?;
            let name: String = client.query_one(SNAPSHOT, &[]).await.and_then(|row| row.try_get(0)).map_err(told)?;
            (name, None)
        }
    };
    if parted(&name).is_none() {
        return Err(Error::internal("PostgreSQL named a snapshot in a way that is not known"));
    }
    Ok(SnapshotAnswer::Kept(Snapshot { name: name.into(), pages, executions_max, hold: Arc::new(lease) }))
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
        assert_eq!(parted("0A-1"), Some(("0A-1", None)));
        assert_eq!(parted("0A-1@16402"), Some(("0A-1", Some(16_402))));
        for wrong in ["0A-1@", "0A-1@x", "@1", "0A-1@1@2", "0A'@1"] {
            assert_eq!(parted(wrong), None, "{wrong}");
        }
    }
}
