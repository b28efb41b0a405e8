//! The embedded store: batches of records, retention, and documents in which plugins keep what they learnt. Knows no meaning of a
//! document.

use super::history::{FragmentRow, fragment_row, retain};
use super::open::{self, damaged};
use super::rows;
use querygate_telemetry_api::StatementRecord;
use querygate_types::{Error, ErrorCode, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Acquire;
use sqlx::sqlite::SqliteConnection;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

/// Largest document.
const DOCUMENT_MAX: usize = 16 << 20;

/// The store. Cheap to clone; all clones share one connection.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// `None`: in memory.
    path: Option<PathBuf>,
    connection: AsyncMutex<SqliteConnection>,
    trouble: Mutex<Option<String>>,
    /// Ours as long as it is open.
    _claim: Option<File>,
}

impl Store {
    /// Opens `telemetry.db` in a folder. A damaged file, or one of a later version, is set aside; where the disk takes none, or
    /// another gate has the folder, the store is in memory and says so ([`Store::trouble`]).
    ///
    /// # Errors
    /// Internal: not even one in memory could be made.
    pub async fn open(folder: &std::path::Path, seconds: i64) -> Result<Self> {
        let path = folder.join("telemetry.db");
        let opened = async { Ok::<_, Error>((open::claim(folder).await?, open::open(&path, seconds).await?)) };
        let (path, claim, connection, trouble) = match opened.await {
            Ok((claim, opened)) => {
                (Some(path), Some(claim), opened.connection, opened.aside.map(|why| format!("set aside: {why}")))
            }
            Err(error) => {
                tracing::error!(%error, cause = error.cause(), "telemetry is not stored");
                (None, None, open::in_memory().await?, Some(format!("not stored: {error}")))
            }
        };
        Ok(Self::over(path, connection, trouble, claim))
    }

    /// Opens `telemetry.db` in a folder to read what another process keeps there. Nothing is made, changed or set aside.
    ///
    /// # Errors
    /// The file cannot be read, or is no store of this version.
    pub(crate) async fn open_to_read(folder: &std::path::Path) -> Result<Self> {
        // Without a path, damage that is met later sets nothing aside either.
        Ok(Self::over(None, open::open_to_read(&folder.join("telemetry.db")).await?, None, None))
    }

    /// A store in memory.
    ///
    /// # Errors
    /// Internal.
    pub async fn in_memory() -> Result<Self> {
        Ok(Self::over(None, open::in_memory().await?, None, None))
    }

    fn over(path: Option<PathBuf>, connection: SqliteConnection, trouble: Option<String>, claim: Option<File>) -> Self {
        let (connection, trouble) = (AsyncMutex::new(connection), Mutex::new(trouble));
        Self { inner: Arc::new(Inner { path, connection, trouble, _claim: claim }) }
    }

    /// Makes the disk lie, for tests.
    #[cfg(test)]
    pub(crate) async fn pragma(&self, pragma: &'static str) {
        let mut connection = self.inner.connection.lock().await;
        sqlx::raw_sql(pragma).execute(&mut *connection).await.unwrap();
    }

    /// What went wrong last, in words.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.inner.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, trouble: Option<String>) {
        *self.inner.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Bytes of the file with its log; 0 in memory.
    pub(crate) fn size(&self) -> u64 {
        let Some(path) = &self.inner.path else { return 0 };
        let of = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            std::fs::metadata(name).map_or(0, |metadata| metadata.len())
        };
        of("") + of("-wal")
    }

    /// Turns an error of the file into one of ours. Damage sets the file aside and opens a new one.
    async fn failed(&self, connection: &mut SqliteConnection, error: sqlx::Error) -> Error {
        if damaged(&error)
            && let Some(path) = &self.inner.path
        {
            self.note(Some("set aside: the file is damaged".to_owned()));
            let seconds = super::moment::seconds_of(std::time::SystemTime::now());
            // The old connection must be gone before its file is opened anew.
            if let Ok(memory) = open::in_memory().await {
                drop(std::mem::replace(connection, memory));
                if open::set_aside(path, seconds).is_ok()
                    && let Ok(opened) = open::open(path, seconds).await
                {
                    *connection = opened.connection;
                }
            }
            tracing::error!("the telemetry file is damaged; it was set aside, learning starts anew");
            return Error::internal(error);
        }
        let full = matches!(&error, sqlx::Error::Database(database)
            if database.code().and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 13));
        if full {
            self.note(Some("the disk is full".to_owned()));
            return Error::new(ErrorCode::DiskFull, "the telemetry file cannot grow").with_cause(error);
        }
        self.note(Some("the file cannot be written".to_owned()));
        Error::internal(error)
    }

    /// Writes a batch of statements in one transaction.
    ///
    /// # Errors
    /// The file was not written; nothing of the batch is in it.
    pub(crate) async fn append(&self, records: &[&StatementRecord]) -> Result<()> {
        let batch = rows::batch(records)?;
        let mut connection = self.inner.connection.lock().await;
        let written = async {
            let mut whole = connection.begin().await?;
            for (sql, json) in [
                (rows::TEMPLATES, &batch.templates),
                (rows::STATEMENTS, &batch.statements),
                (rows::FRAGMENT_TEMPLATES, &batch.fragment_templates),
                (rows::FRAGMENTS, &batch.fragments),
            ] {
                sqlx::query(sql).bind(json).execute(&mut *whole).await?;
            }
            whole.commit().await
        };
        match written.await {
            Ok(()) => {
                if self.trouble().is_some_and(|trouble| trouble.starts_with("the ")) {
                    self.note(None);
                }
                Ok(())
            }
            Err(error) => Err(self.failed(&mut connection, error).await),
        }
    }

    /// Writes documents of a kind, each replacing the one of the same id.
    ///
    /// # Errors
    /// The file was not written, or a document is larger than 16 MiB.
    pub async fn put(&self, kind: &str, documents: &[(String, Vec<u8>)], seconds: i64) -> Result<()> {
        if documents.is_empty() {
            return Ok(());
        }
        if documents.iter().any(|(_, body)| body.len() > DOCUMENT_MAX) {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "a document of the telemetry store is too large"));
        }
        let rows: Vec<(&str, String)> = documents.iter().map(|(id, body)| (id.as_str(), rows::hex(body))).collect();
        let json = serde_json::to_string(&rows).map_err(Error::internal)?;
        let mut connection = self.inner.connection.lock().await;
        let written = sqlx::query(
            "INSERT INTO document (kind, id, body, at) SELECT ?1, value ->> 0, unhex(value ->> 1), ?3 FROM json_each(?2) \
             WHERE true ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, at = excluded.at",
        )
        .bind(kind)
        .bind(json)
        .bind(seconds)
        .execute(&mut *connection)
        .await;
        match written {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(&mut connection, error).await),
        }
    }

    /// Every document of a kind, by id.
    ///
    /// # Errors
    /// The file was not read.
    pub async fn all(&self, kind: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let mut connection = self.inner.connection.lock().await;
        let read = sqlx::query_as("SELECT id, body FROM document WHERE kind = ?1 ORDER BY id").bind(kind);
        match read.fetch_all(&mut *connection).await {
            Ok(found) => Ok(found),
            Err(error) => Err(self.failed(&mut connection, error).await),
        }
    }

    /// Forgets documents. Ids that are not there are no error.
    ///
    /// # Errors
    /// The file was not written.
    pub async fn remove(&self, kind: &str, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let json = serde_json::to_string(ids).map_err(Error::internal)?;
        let mut connection = self.inner.connection.lock().await;
        let removed = sqlx::query("DELETE FROM document WHERE kind = ?1 AND id IN (SELECT value FROM json_each(?2))")
            .bind(kind)
            .bind(json)
            .execute(&mut *connection)
            .await;
        match removed {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(&mut connection, error).await),
        }
    }

    /// The same for a value, as one document.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub async fn keep<T: Serialize + Sync>(&self, kind: &str, id: &str, value: &T, seconds: i64) -> Result<()> {
        let body = postcard::to_allocvec(value).map_err(Error::internal)?;
        self.put(kind, &[(id.to_owned(), body)], seconds).await
    }

    /// Values kept by [`Store::keep`]; what no longer reads as one is left out, with a warning.
    ///
    /// # Errors
    /// The file was not read.
    pub async fn kept<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<(String, T)>> {
        let read = |(id, body): (String, Vec<u8>)| match postcard::from_bytes(&body) {
            Ok(value) => Some((id, value)),
            Err(_) => {
                tracing::warn!(kind, "a document of another version was left out");
                None
            }
        };
        Ok(self.all(kind).await?.into_iter().filter_map(read).collect())
    }

    /// Complete runs of fragments without errors, the latest first, at most so many.
    ///
    /// # Errors
    /// The file was not read.
    pub(crate) async fn fragments(&self, most: i64) -> Result<Vec<FragmentRow>> {
        let mut connection = self.inner.connection.lock().await;
        let read = sqlx::query(
            "SELECT f.at, f.fingerprint, t.source, t.shape, f.estimated, f.rows, f.bytes, f.total FROM fragment f \
             JOIN fragment_template t ON t.fingerprint = f.fingerprint \
             WHERE f.complete = 1 AND f.error IS NULL ORDER BY f.seq DESC LIMIT ?1",
        )
        .bind(most)
        .fetch_all(&mut *connection)
        .await;
        match read {
            Ok(found) => Ok(found.iter().filter_map(fragment_row).collect()),
            Err(error) => Err(self.failed(&mut connection, error).await),
        }
    }

    /// Forgets records that are older than `before` (UTC seconds; `None`: age does not count now), then the oldest while the
    /// file is larger than `size_max`. Returns how many statements went.
    ///
    /// # Errors
    /// The file was not written.
    pub(crate) async fn retain(&self, before: Option<i64>, size_max: u64) -> Result<u64> {
        let mut connection = self.inner.connection.lock().await;
        match retain(&mut connection, before, size_max).await {
            Ok(gone) => Ok(gone),
            Err(error) => Err(self.failed(&mut connection, error).await),
        }
    }
}
