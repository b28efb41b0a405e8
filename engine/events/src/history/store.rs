//! The file of field history: changes, and which records they are about. Knows no log and no reader.

use super::{HistoryEntry, HistoryOptions, HistoryPage, PageRoom, operation};
use crate::log::{Committed, Rows, now, read_body, written};
use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use futures::TryStreamExt;
use querygate_driver_api::write::RowsChanged;
use querygate_types::{Error, Result};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection, QueryBuilder, Row, Sqlite};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Version of the tables below. Raised with each change of them.
const VERSION: i64 = 1;
/// Marks a file as ours: `QGFH`.
const APPLICATION: i64 = 0x5147_4648;
/// Readers at once; further ones wait.
const CONNECTIONS: u32 = 4;
/// The share of the changes that are forgotten at once where the file is too large.
const SHARE: i64 = 20;
/// Records that are asked for at once.
pub(super) const KEYS_MAX: usize = 500;
/// Bytes of changes that a page reads, as they are stored, if it has more than one.
pub(super) const PAGE_BYTES: usize = 1 << 20;
/// What a change needs while its page is shown: its bytes, its rows, what their reader sees of these, and what is printed.
const COPIES: usize = 4;

const TABLES: &str = "
CREATE TABLE change (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL, transaction_id TEXT NOT NULL, part INTEGER NOT NULL,
  uncertain INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (transaction_id, part)) STRICT;
CREATE INDEX change_sequence ON change (sequence);
CREATE TABLE record (
  object TEXT NOT NULL, key TEXT NOT NULL, change INTEGER NOT NULL, row INTEGER NOT NULL, operation INTEGER NOT NULL,
  PRIMARY KEY (object, key, change)) STRICT, WITHOUT ROWID;
CREATE INDEX record_change ON record (change);
CREATE TABLE position (id INTEGER PRIMARY KEY CHECK (id = 0), sequence INTEGER NOT NULL) STRICT;
INSERT INTO position VALUES (0, 0);
";

#[derive(Debug)]
pub(super) struct Store {
    pool: SqlitePool,
    /// Microseconds.
    retention: u64,
    size_max: u64,
}

/// A part of a transaction that is stored.
pub(super) type Part = (Arc<Committed>, i64, RowsChanged);

impl Store {
    /// # Errors
    /// The file cannot be opened, or is none of this version: it is not touched then.
    pub(super) async fn open(options: &HistoryOptions) -> std::result::Result<Self, sqlx::Error> {
        let path = options.directory.join("history.db");
        keep_private(&path)?;
        let connect = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            // What a loss of power takes is read from the log again: the position goes with it.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5))
            .pragma("trusted_schema", "OFF");
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(connect).await?;
        check(&pool).await?;
        keep_private(&path)?;
        let retention = u64::try_from(options.retention.as_micros()).unwrap_or(u64::MAX);
        Ok(Self { pool, retention, size_max: options.size_max })
    }

    /// The last sequence that is stored.
    ///
    /// # Errors
    /// Internal: the file cannot be read.
    pub(super) async fn position(&self) -> Result<u64> {
        let found: i64 =
            sqlx::query_scalar("SELECT sequence FROM position").fetch_one(&self.pool).await.map_err(unread)?;
        Ok(found.unsigned_abs())
    }

    /// Stores parts of transactions, once each, and how far the log is stored with them.
    ///
    /// # Errors
    /// Internal: the file cannot be written.
    pub(super) async fn add(&self, parts: &[Part], last: u64) -> Result<()> {
        let mut whole = self.pool.begin().await.map_err(unread)?;
        for (committed, part, change) in parts {
            let body = body(committed, change)?;
            let id: Option<i64> = sqlx::query_scalar(
                "INSERT INTO change (sequence, transaction_id, part, uncertain, body) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (transaction_id, part) DO NOTHING RETURNING id",
            )
            .bind(signed(committed.sequence))
            .bind(&committed.transaction)
            .bind(part)
            .bind(committed.uncertain)
            .bind(body)
            .fetch_optional(&mut *whole)
            .await
            .map_err(unread)?;
            let Some(id) = id else { continue };
            for (row, key) in (0_i64..).zip(keys(change)?) {
                let Some(key) = key else { continue };
                sqlx::query("INSERT OR IGNORE INTO record VALUES (?1, ?2, ?3, ?4, ?5)")
                    .bind(&*change.object)
                    .bind(key)
                    .bind(id)
                    .bind(row)
                    .bind(operation(change.operation))
                    .execute(&mut *whole)
                    .await
                    .map_err(unread)?;
            }
        }
        sqlx::query("UPDATE position SET sequence = ?1")
            .bind(signed(last))
            .execute(&mut *whole)
            .await
            .map_err(unread)?;
        whole.commit().await.map_err(unread)
    }

    /// As [`History::page`](super::History::page).
    ///
    /// # Errors
    /// As there.
    pub(super) async fn page(
        &self,
        object: &str,
        keys: Option<&[String]>,
        behind: Option<(&str, i64)>,
        count: usize,
        room: PageRoom<'_>,
    ) -> Result<HistoryPage> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT r.key, r.change, r.row, c.sequence, c.transaction_id, c.uncertain, length(c.body) FROM record r \
             JOIN change c ON c.id = r.change WHERE r.object = ",
        );
        query.push_bind(object);
        if let Some(keys) = keys {
            if keys.len() > KEYS_MAX {
                return Err(Error::internal("history of too many records is asked for at once"));
            }
            query.push(" AND r.key IN (");
            let mut list = query.separated(", ");
            for key in keys {
                list.push_bind(key);
            }
            query.push(")");
        }
        if let Some((key, number)) = behind {
            query.push(" AND (r.key, r.change) > (").push_bind(key).push(", ").push_bind(number).push(")");
        }
        // What came before a record was made anew, and all of one that is gone, is about another record.
        query.push(
            " AND NOT EXISTS (SELECT 1 FROM record l WHERE l.object = r.object AND l.key = r.key \
             AND (l.operation = 1 AND l.change > r.change OR l.operation = 3 AND l.change >= r.change)) \
             ORDER BY r.key, r.change LIMIT ",
        );
        query.push_bind(i64::try_from(count).unwrap_or(i64::MAX));
        let rows = query.build().fetch_all(&self.pool).await.map_err(unread)?;
        let (found, bytes, is_cut) = within_bytes(&rows)?;
        room(bytes.saturating_mul(COPIES))?;
        let more = is_cut || rows.len() == count;
        let bodies = self.bodies(found.iter().map(|found| found.number).collect()).await?;
        let behind = found.last().map(|last| (last.key.clone(), last.number)).filter(|_| more);
        let entries = found.into_iter().filter_map(|found| {
            // A change that was forgotten a moment ago has no entries.
            let Kept { actor, door, change } = bodies.get(&found.number)?.clone();
            let Found { number, key, row, sequence, transaction, uncertain } = found;
            Some(HistoryEntry { number, key, sequence, transaction, uncertain, actor, door, change, row })
        });
        Ok(HistoryPage { entries: entries.collect(), behind })
    }

    /// What is stored of changes.
    async fn bodies(&self, numbers: BTreeSet<i64>) -> Result<BTreeMap<i64, Kept>> {
        let mut bodies = BTreeMap::new();
        if numbers.is_empty() {
            return Ok(bodies);
        }
        let mut query = QueryBuilder::<Sqlite>::new("SELECT id, body FROM change WHERE id IN (");
        let mut list = query.separated(", ");
        for number in &numbers {
            list.push_bind(*number);
        }
        query.push(")");
        let mut rows = query.build().fetch(&self.pool);
        while let Some(row) = rows.try_next().await.map_err(unread)? {
            let body: &[u8] = row.try_get(1).map_err(unread)?;
            let (Rows { actor, door, changes, .. }, _) = read_body(body)?;
            let change = changes.into_iter().next().ok_or_else(|| Error::internal("a change without rows"))?;
            bodies.insert(row.try_get(0).map_err(unread)?, Kept { actor, door, change: Arc::new(change) });
        }
        Ok(bodies)
    }

    /// Forgets what is too old, and the oldest where the file is too large.
    ///
    /// # Errors
    /// Internal: the file cannot be written.
    pub(super) async fn forget(&self) -> Result<()> {
        let before = signed(now().saturating_sub(self.retention));
        self.remove("SELECT id FROM change WHERE sequence < ?1", before).await?;
        while self.size().await? > self.size_max {
            let oldest = "SELECT id FROM change WHERE id <= (SELECT min(id) + (max(id) - min(id)) / ?1 FROM change)";
            if self.remove(oldest, SHARE).await? == 0 {
                break;
            }
        }
        sqlx::raw_sql("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&self.pool)
            .await
            .map_err(unread)?;
        Ok(())
    }

    async fn remove(&self, which: &'static str, value: i64) -> Result<u64> {
        let mut whole = self.pool.begin().await.map_err(unread)?;
        let records = format!("DELETE FROM record WHERE change IN ({which})");
        sqlx::query(AssertSqlSafe(records)).bind(value).execute(&mut *whole).await.map_err(unread)?;
        let changes = format!("DELETE FROM change WHERE id IN ({which})");
        let gone = sqlx::query(AssertSqlSafe(changes)).bind(value).execute(&mut *whole).await.map_err(unread)?;
        whole.commit().await.map_err(unread)?;
        Ok(gone.rows_affected())
    }

    /// Bytes of the file that are in use.
    async fn size(&self) -> Result<u64> {
        let mut pages = [0_i64; 3];
        let asked = ["PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA page_size"];
        for (number, sql) in pages.iter_mut().zip(asked) {
            *number = sqlx::query_scalar(sql).fetch_one(&self.pool).await.map_err(unread)?;
        }
        let [count, free, size] = pages;
        Ok((count - free).saturating_mul(size).unsigned_abs())
    }
}

/// One entry without what is stored of its change.
struct Found {
    number: i64,
    key: String,
    row: usize,
    sequence: u64,
    transaction: String,
    uncertain: bool,
}

/// The first of a page's entries whose changes are within the bound, at least one; the bytes of these changes; whether others are left out.
fn within_bytes(rows: &[SqliteRow]) -> Result<(Vec<Found>, usize, bool)> {
    let (mut found, mut bytes, mut numbers) = (Vec::with_capacity(rows.len()), 0_usize, BTreeSet::new());
    for row in rows {
        let number: i64 = row.try_get(1).map_err(unread)?;
        if numbers.insert(number) {
            let length: i64 = row.try_get(6).map_err(unread)?;
            let with_it = bytes.saturating_add(usize::try_from(length).map_err(Error::internal)?);
            if bytes > 0 && with_it > PAGE_BYTES {
                return Ok((found, bytes, true));
            }
            bytes = with_it;
        }
        let (at, sequence): (i64, i64) = (row.try_get(2).map_err(unread)?, row.try_get(3).map_err(unread)?);
        found.push(Found {
            number,
            key: row.try_get(0).map_err(unread)?,
            row: usize::try_from(at).map_err(Error::internal)?,
            sequence: sequence.unsigned_abs(),
            transaction: row.try_get(4).map_err(unread)?,
            uncertain: row.try_get(5).map_err(unread)?,
        });
    }
    Ok((found, bytes, false))
}

/// What is read of a change once for all of its records on a page.
#[derive(Clone)]
struct Kept {
    actor: Arc<str>,
    door: Arc<str>,
    change: Arc<RowsChanged>,
}

fn body(committed: &Committed, change: &RowsChanged) -> Result<Vec<u8>> {
    let rows = Rows {
        source: Arc::clone(&committed.source),
        actor: Arc::clone(&committed.actor),
        door: Arc::clone(&committed.door),
        changes: vec![change.clone()],
    };
    written(&rows, None)
}

/// The keys of a change's rows as texts. `None`: a row has none.
fn keys(change: &RowsChanged) -> Result<Vec<Option<String>>> {
    let rows = change.after.as_ref().or(change.before.as_ref());
    let key = rows.zip(change.key.first()).and_then(|(rows, key)| rows.column_by_name(key));
    let key = key.ok_or_else(|| Error::internal("a changed row lacks its key"))?;
    let texts = cast(key, &DataType::Utf8).map_err(Error::internal)?;
    let texts = texts.as_string_opt::<i32>().ok_or_else(|| Error::internal("a key is no text"))?;
    Ok((0..texts.len()).map(|row| texts.is_valid(row).then(|| texts.value(row).to_owned())).collect())
}

/// Makes the tables in an empty file.
async fn check(pool: &SqlitePool) -> std::result::Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?;
    if (version, application, tables) == (0, 0, 0) {
        let mut whole = connection.begin().await?;
        sqlx::raw_sql(TABLES).execute(&mut *whole).await?;
        let marks = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}");
        sqlx::raw_sql(AssertSqlSafe(marks)).execute(&mut *whole).await?;
        return whole.commit().await;
    }
    if (version, application) != (VERSION, APPLICATION) {
        let text = format!("history.db is no file of version {VERSION}; move it away to begin anew");
        return Err(std::io::Error::other(text).into());
    }
    Ok(())
}

/// What the file holds is for its owner only, from its first byte on.
fn keep_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::set_permissions(&name, Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unread(error: sqlx::Error) -> Error {
    Error::internal(format!("the file of field history cannot be used: {error}"))
}
