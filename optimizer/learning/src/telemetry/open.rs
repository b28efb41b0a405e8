//! Opens the file of the store: makes it, or sets aside what is damaged or of a later version and begins anew.

use querygate_types::{Error, ErrorCode, Result};
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a gate waits for the one before it to let the folder go: at a restart both run for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Version of the tables below. Raised with each change of them.
pub(super) const VERSION: i64 = 1;
/// Damaged files that are kept for somebody to look at.
const ASIDE_MAX: usize = 3;
/// Marks a file as ours: `QGLS`.
const APPLICATION: i64 = 0x5147_4c53;

const TABLES: &str = "
CREATE TABLE statement (
  seq INTEGER PRIMARY KEY, at INTEGER, id INTEGER, login TEXT, door TEXT, application TEXT, fingerprint INTEGER,
  planning INTEGER, first_row INTEGER, total INTEGER, rows INTEGER, bytes INTEGER, error TEXT, cached INTEGER,
  alternative TEXT, band INTEGER, stage TEXT) STRICT;
CREATE INDEX statement_at ON statement (at);
CREATE TABLE fragment (
  seq INTEGER PRIMARY KEY, at INTEGER, statement INTEGER, fingerprint INTEGER, estimated INTEGER, rows INTEGER,
  bytes INTEGER, acquire INTEGER, first_row INTEGER, total INTEGER, complete INTEGER, error TEXT) STRICT;
CREATE INDEX fragment_at ON fragment (at);
CREATE TABLE template (fingerprint INTEGER PRIMARY KEY, text TEXT, objects TEXT, last INTEGER) STRICT;
CREATE TABLE fragment_template (
  fingerprint INTEGER PRIMARY KEY, source TEXT, kind TEXT, text TEXT, objects TEXT, shape TEXT, last INTEGER) STRICT;
CREATE TABLE document (kind TEXT, id TEXT, body BLOB, at INTEGER, PRIMARY KEY (kind, id)) STRICT, WITHOUT ROWID;
";

/// An open file, and what happened to the one before.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: SqliteConnection,
    /// Why a file was set aside.
    pub(super) aside: Option<String>,
}

/// Why a file cannot be used.
enum Unusable {
    /// Damaged, of a later version, or something else: it goes aside.
    Contents(String),
    /// The disk or its permissions: nothing is touched.
    Place(Error),
}

fn make_folder(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| place(&format!("the folder {} of the store cannot be made", folder.display()), &error))
}

/// Claims the folder for this process, until the file is dropped or the process dies. Two gates in one folder would each write over
/// what the other learnt.
///
/// # Errors
/// Another one has it, and keeps it; or the folder takes no file.
pub(super) async fn claim(folder: &Path) -> Result<File> {
    make_folder(folder)?;
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join("telemetry.lock"));
    let file = opened.map_err(|error| place("the folder of the store cannot be claimed", &error))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(place("the folder of the store cannot be claimed", &error)),
            Err(TryLockError::WouldBlock) if began.elapsed() >= LOCK_PATIENCE => {
                return Err(Error::new(ErrorCode::ObjectNotInPrerequisiteState, "another gate learns in this folder")
                    .with_hint("Give each gate a [learning] directory of its own."));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Opens the file, or makes it.
///
/// # Errors
/// The folder cannot be made or the file cannot be opened there.
pub(super) async fn open(path: &Path, seconds: i64) -> Result<Opened> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    match prepare(path).await {
        Ok(connection) => Ok(Opened { connection, aside: None }),
        Err(Unusable::Place(error)) => Err(error),
        Err(Unusable::Contents(why)) => {
            set_aside(path, seconds)?;
            tracing::error!(why, "the telemetry file was set aside; learning starts anew");
            metrics::counter!("querygate_learning_set_aside_total").increment(1);
            match prepare(path).await {
                Ok(connection) => Ok(Opened { connection, aside: Some(why) }),
                Err(Unusable::Place(error)) => Err(error),
                Err(Unusable::Contents(why)) => Err(Error::internal(why)),
            }
        }
    }
}

/// A store that forgets everything with the process: for when the disk does not take one.
pub(super) async fn in_memory() -> Result<SqliteConnection> {
    let mut connection = SqliteConnectOptions::new().in_memory(true).connect().await.map_err(Error::internal)?;
    sqlx::raw_sql(TABLES).execute(&mut connection).await.map_err(Error::internal)?;
    Ok(connection)
}

/// Opens a store that another process may be writing, to read it. Nothing is made, changed or set aside.
///
/// # Errors
/// The file cannot be read, or is no store of this version.
pub(super) async fn open_to_read(path: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .create_if_missing(false)
        .busy_timeout(Duration::from_secs(5))
        .pragma("trusted_schema", "OFF");
    let failed = |error: sqlx::Error| place("the telemetry file cannot be read", &error);
    let mut connection = options.connect().await.map_err(failed)?;
    match usable(&mut connection).await.map_err(failed)? {
        None => Ok(connection),
        Some(why) => Err(Error::new(ErrorCode::ObjectNotInPrerequisiteState, why)),
    }
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

async fn prepare(path: &Path) -> std::result::Result<SqliteConnection, Unusable> {
    let denied = |error| Unusable::Place(place("the telemetry file cannot be opened", &error));
    keep_private(path).map_err(denied)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5))
        .pragma("trusted_schema", "OFF");
    let unusable = |error: sqlx::Error| match damaged(&error) {
        true => Unusable::Contents("the file is damaged".to_owned()),
        false => Unusable::Place(place("the telemetry file cannot be opened", &error)),
    };
    let mut connection = options.connect().await.map_err(unusable)?;
    match check(&mut connection).await {
        Ok(None) => Ok(connection),
        Ok(Some(why)) => {
            let _ = connection.close().await;
            Err(Unusable::Contents(why))
        }
        Err(error) => {
            let _ = connection.close().await;
            Err(unusable(error))
        }
    }
}

/// Makes the tables in an empty file; `Some`: what is wrong with another one.
async fn check(connection: &mut SqliteConnection) -> std::result::Result<Option<String>, sqlx::Error> {
    let whole: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut *connection).await?;
    if whole != "ok" {
        return Ok(Some("the file is damaged".to_owned()));
    }
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?;
    if version == 0 && tables == 0 {
        let mut whole = connection.begin().await?;
        sqlx::raw_sql(TABLES).execute(&mut *whole).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}"
        )))
        .execute(&mut *whole)
        .await?;
        whole.commit().await?;
        return Ok(None);
    }
    usable(connection).await
}

/// `Some`: why the file is no store of this version.
async fn usable(connection: &mut SqliteConnection) -> std::result::Result<Option<String>, sqlx::Error> {
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    if application != APPLICATION {
        return Ok(Some("the file is no telemetry file".to_owned()));
    }
    if version != VERSION {
        return Ok(Some(format!("the file has version {version}, this program knows version {VERSION}")));
    }
    Ok(None)
}

/// SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_SCHEMA's relatives: the bytes are wrong, not the disk.
pub(super) fn damaged(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    let code = database.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
    matches!(code & 0xff, 11 | 26)
}

fn place(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::DiskFull, what.to_owned()).with_cause(error)
}

/// Renames the file and its companions, and forgets the oldest that were set aside before.
pub(super) fn set_aside(path: &Path, seconds: i64) -> Result<()> {
    let moved = |suffix: &str, name: &str| {
        let (mut from, mut to) = (path.as_os_str().to_owned(), path.as_os_str().to_owned());
        from.push(suffix);
        to.push(format!(".aside-{name}{suffix}"));
        (PathBuf::from(from), PathBuf::from(to))
    };
    let free = (0..1000).map(|n| format!("{seconds}-{n:03}")).find(|name| !moved("", name).1.exists());
    let name = free.ok_or_else(|| Error::internal("no free name for a damaged telemetry file"))?;
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = moved(suffix, &name);
        match std::fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(place("a damaged telemetry file cannot be set aside", &error)),
        }
    }
    forget_oldest(path);
    Ok(())
}

/// Best effort: a file more is no harm.
fn forget_oldest(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else { return };
    let prefix = format!("{name}.aside-");
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut aside: Vec<String> = names.filter(|name| name.starts_with(&prefix)).collect();
    aside.sort();
    let main: Vec<String> = aside.iter().filter(|n| !n.ends_with("-wal") && !n.ends_with("-shm")).cloned().collect();
    for old in main.iter().take(main.len().saturating_sub(ASIDE_MAX)) {
        for file in aside.iter().filter(|name| name.starts_with(old.as_str())) {
            let _ = std::fs::remove_file(folder.join(file));
        }
    }
}
