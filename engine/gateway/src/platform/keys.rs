//! API keys in a file: one line of JSON for each key that was made and each that was revoked. Holds hashes, no key.

use querygate_query_api::requests::platform::NewKey;
use querygate_types::principal::Scope;
use querygate_types::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Bytes of the file.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Bytes of it that are left to lines of revoked keys: a file that is too large opens nothing, to all users.
const SPARED_BYTES: u64 = 4 << 20;
/// Keys that hold at once, of all users and of one.
const KEYS_MAX: usize = 50_000;
const KEYS_PER_LOGIN: usize = 1_000;
/// How often the file is looked at for keys that another process revoked. For one that it made, whenever a key is not known.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long another process that writes to the file is waited for, and how often it is looked whether it has ended.
const LOCK_TIME: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Made {
        id: String,
        name: String,
        login: String,
        hash: String,
        prefix: String,
        created_ms: i64,
        expires_ms: Option<i64>,
        /// As `Scope` prints it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
    Revoked {
        revoked: String,
    },
}

/// The file, and what was read of it last.
#[derive(Debug, Clone)]
pub(crate) struct KeyFile {
    path: PathBuf,
    read: Arc<Mutex<Read>>,
}

#[derive(Debug, Default)]
struct Read {
    looked: Option<Instant>,
    /// Time and size of the file that the keys are of.
    of: Option<(Option<SystemTime>, u64)>,
    /// By hash.
    keys: HashMap<String, NewKey>,
}

impl KeyFile {
    /// # Errors
    /// The file is there and cannot be read.
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let file = Self { path, read: Arc::default() };
        file.refresh(Instant::now())?;
        Ok(file)
    }

    /// The key with a hash, if it is known to hold now.
    pub(crate) fn held(&self, hash: &str, now_ms: i64) -> Option<NewKey> {
        self.known(hash, now_ms).ok().flatten()
    }

    /// The key with a hash, if it holds now.
    ///
    /// # Errors
    /// The file cannot be read: it may have revoked any of them, or hold this one. It is in the log.
    pub(crate) fn known(&self, hash: &str, now_ms: i64) -> Result<Option<NewKey>> {
        let found = self.find(hash, now_ms)?;
        if found.is_some() {
            return Ok(found);
        }
        // It may have been made a moment ago.
        self.lock().looked = None;
        self.find(hash, now_ms)
    }

    fn find(&self, hash: &str, now_ms: i64) -> Result<Option<NewKey>> {
        self.refresh(Instant::now()).inspect_err(|error| tracing::error!(%error, "API keys are not taken"))?;
        Ok(self.lock().keys.get(hash).filter(|key| key.expires_ms.is_none_or(|end| end > now_ms)).cloned())
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys that were not revoked, the oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn list(&self) -> Result<Vec<NewKey>> {
        self.refresh(Instant::now())?;
        let read = self.lock();
        let mut keys: Vec<NewKey> = read.keys.values().cloned().collect();
        keys.sort_by(|one, other| one.created_ms.cmp(&other.created_ms).then_with(|| one.id.cmp(&other.id)));
        Ok(keys)
    }

    /// Waits for others that write to the file, in this process or another.
    ///
    /// # Errors
    /// There are too many, or the file cannot be written.
    pub(crate) fn add(&self, key: &NewKey) -> Result<()> {
        let full = |message: String| {
            Error::new(ErrorCode::ProgramLimitExceeded, message).with_hint("Revoke some with `querygate key revoke`.")
        };
        let file = self.locked()?;
        let keys = self.list()?;
        if keys.len() >= KEYS_MAX {
            return Err(full(format!("there are {KEYS_MAX} API keys already")));
        }
        let holds = |known: &&NewKey| known.expires_ms.is_none_or(|end| end > key.created_ms);
        if keys.iter().filter(|known| known.login == key.login).filter(holds).count() >= KEYS_PER_LOGIN {
            return Err(full(format!("the user has {KEYS_PER_LOGIN} API keys already")));
        }
        let NewKey { id, name, login, hash, prefix, created_ms, expires_ms, scope } = key.clone();
        let scope = scope.map(|scope| scope.to_string());
        let line = printed(&Line::Made { id, name, login, hash, prefix, created_ms, expires_ms, scope })?;
        let held = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        if held.saturating_add(line.len() as u64) > FILE_BYTES_MAX - SPARED_BYTES {
            return Err(Error::new(
                ErrorCode::ProgramLimitExceeded,
                "the file of API keys has no room for another one",
            )
            .with_hint("Take the lines of revoked and ended keys out of it while no gate runs."));
        }
        self.append(&file, &line)
    }

    /// Whether there was such a key.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn revoke(&self, id: &str) -> Result<bool> {
        let file = self.locked()?;
        if !self.list()?.iter().any(|key| key.id == id) {
            return Ok(false);
        }
        self.append(&file, &printed(&Line::Revoked { revoked: id.to_owned() })?)?;
        Ok(true)
    }

    /// The file, locked against other writers until it is closed. What was read of it before is read again.
    fn locked(&self) -> Result<File> {
        let unwritten = |error: &std::io::Error| unusable("written", &self.path, error);
        let open = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path);
        let file = open.map_err(|error| unwritten(&error))?;
        let deadline = Instant::now() + LOCK_TIME;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => return Err(unwritten(&std::io::ErrorKind::WouldBlock.into())),
                Err(TryLockError::Error(error)) => return Err(unwritten(&error)),
            }
        }
        self.lock().looked = None;
        Ok(file)
    }

    /// One write at the end, so that who reads meanwhile finds all of it or nothing.
    fn append(&self, mut file: &File, line: &str) -> Result<()> {
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|error| unusable("written", &self.path, &error))?;
        self.lock().looked = None;
        Ok(())
    }

    fn refresh(&self, now: Instant) -> Result<()> {
        let mut read = self.lock();
        if read.looked.is_some_and(|looked| now.saturating_duration_since(looked) < LOOK_EVERY) {
            return Ok(());
        }
        let found = match std::fs::metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                *read = Read { looked: Some(now), ..Read::default() };
                return Ok(());
            }
            Err(error) => return Err(unusable("read", &self.path, &error)),
        };
        let of = Some((found.modified().ok(), found.len()));
        if read.of != of {
            read.keys = keys_of(&self.path)?;
            read.of = of;
        }
        read.looked = Some(now);
        Ok(())
    }
}

fn printed(line: &Line) -> Result<String> {
    let mut text = serde_json::to_string(line).map_err(Error::internal)?;
    text.push('\n');
    Ok(text)
}

fn unusable(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::ConfigInvalid, format!("the file of API keys cannot be {what}"))
        .with_cause(format_args!("{}: {error}", path.display()))
}

fn keys_of(path: &Path) -> Result<HashMap<String, NewKey>> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| unusable("read", path, &error))?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| unusable("read", path, &error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::new(ErrorCode::ConfigInvalid, "the file of API keys is too large"));
    }
    let mut keys = HashMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(line).map_err(|error| {
            let message = format!("line {} of the file of API keys is not one", number + 1);
            Error::new(ErrorCode::ConfigInvalid, message).with_cause(error)
        })?;
        match line {
            Line::Made { id, name, login, hash, prefix, created_ms, expires_ms, scope } => {
                let scope = scope.map(|scope| Scope::parse(scope.split_whitespace())).transpose()?;
                keys.insert(hash.clone(), NewKey { id, name, login, hash, prefix, created_ms, expires_ms, scope });
            }
            Line::Revoked { revoked } => keys.retain(|_, key: &mut NewKey| key.id != revoked),
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, expires_ms: Option<i64>) -> NewKey {
        NewKey {
            id: id.to_owned(),
            name: "n".to_owned(),
            login: "ada".to_owned(),
            hash: format!("hash of {id}"),
            prefix: "osk_".to_owned(),
            created_ms: 1,
            expires_ms,
            scope: None,
        }
    }

    /// Lines of keys of one user, with this name each.
    fn many(login: &str, count: usize, name: &str) -> String {
        let line = |n: usize| {
            let (login, name) = (login.to_owned(), name.to_owned());
            let scope = None;
            let key = Line::Made {
                id: format!("{login}{n}"),
                name,
                hash: format!("{login}{n}"),
                login,
                prefix: String::new(),
                created_ms: 1,
                expires_ms: None,
                scope,
            };
            printed(&key).unwrap()
        };
        (0..count).map(line).collect()
    }

    #[test]
    fn one_user_cannot_fill_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.ndjson");
        std::fs::write(&path, many("ada", KEYS_PER_LOGIN, "n")).unwrap();
        let file = KeyFile::open(path).unwrap();
        assert_eq!(file.add(&key("a", None)).unwrap_err().code(), ErrorCode::ProgramLimitExceeded);
        file.add(&NewKey { login: "bob".to_owned(), ..key("b", None) }).unwrap();
        assert!(file.revoke("ada0").unwrap());
        file.add(&key("a", None)).unwrap();
    }

    #[test]
    fn keys_that_are_made_at_the_same_time_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.ndjson");
        std::fs::write(&path, many("ada", KEYS_PER_LOGIN - 2, "n")).unwrap();
        // Half of them through a file of their own, as another process has.
        let shared = KeyFile::open(path.clone()).unwrap();
        let files: Vec<KeyFile> =
            (0..8).map(|at| if at % 2 == 0 { shared.clone() } else { KeyFile::open(path.clone()).unwrap() }).collect();
        let start = std::sync::Barrier::new(files.len());
        let add = &|(at, file): (usize, &KeyFile)| {
            start.wait();
            file.add(&key(&format!("k{at}"), None))
        };
        let ends: Vec<Result<()>> = std::thread::scope(|scope| {
            let threads: Vec<_> = files.iter().enumerate().map(|own| scope.spawn(move || add(own))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 2, "{ends:?}");
        let mut refused = ends.iter().filter_map(|end| end.as_ref().err());
        assert!(refused.all(|error| error.code() == ErrorCode::ProgramLimitExceeded), "{ends:?}");
        assert_eq!(KeyFile::open(path).unwrap().list().unwrap().len(), KEYS_PER_LOGIN);
    }

    #[test]
    fn a_file_stays_readable_and_has_room_for_what_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.ndjson");
        let name = "n".repeat(100_000);
        let room = (FILE_BYTES_MAX - SPARED_BYTES) as usize / (name.len() + 100);
        std::fs::write(&path, many("ada", room - 1, &name)).unwrap();
        let file = KeyFile::open(path).unwrap();
        let mut added = 0;
        let error = loop {
            match file.add(&NewKey { name: name.clone(), ..key(&format!("k{added}"), None) }) {
                Ok(()) => added += 1,
                Err(error) => break error,
            }
            assert!(added < 10, "the file has an end");
        };
        assert_eq!(error.code(), ErrorCode::ProgramLimitExceeded);
        assert!(file.held("ada1", 5).is_some() && file.revoke("ada1").unwrap());
        assert!(file.held("ada1", 5).is_none() && file.held("ada2", 5).is_some());
    }

    #[test]
    fn keys_hold_until_they_end_or_are_revoked_and_outlive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.ndjson");
        let file = KeyFile::open(path.clone()).unwrap();
        assert_eq!(file.held("hash of a", 0), None);
        file.add(&key("a", None)).unwrap();
        file.add(&key("b", Some(10))).unwrap();
        assert_eq!(file.held("hash of a", 5).unwrap().login, "ada");
        assert_eq!((file.held("hash of b", 9).is_some(), file.held("hash of b", 10)), (true, None));
        let again = KeyFile::open(path.clone()).unwrap();
        assert!(again.held("hash of a", 5).is_some());
        assert!(again.revoke("a").unwrap() && !again.revoke("a").unwrap());
        assert_eq!(again.held("hash of a", 5), None);
        assert_eq!(again.list().unwrap().len(), 1);
        let narrow = NewKey { scope: Some(Scope::parse(["orders:read"]).unwrap()), ..key("c", None) };
        again.add(&narrow).unwrap();
        assert_eq!(file.held("hash of c", 5), Some(narrow), "what another process made is known at once");
        std::fs::write(&path, "{bad\n").unwrap();
        std::thread::sleep(LOOK_EVERY);
        assert!(
            file.held("hash of c", 5).is_none() && file.known("hash of c", 5).is_err(),
            "a file that cannot be read knows nothing"
        );
        assert!(KeyFile::open(path).is_err(), "a line that is none may have revoked a key");
        let line = r#"{"id":"d","name":"n","login":"ada","hash":"h","prefix":"osk_","created_ms":1,"expires_ms":null,"scope":"all"}"#;
        // A scope that is none, and a misspelt member, narrow nothing.
        for wide in [line.to_owned(), line.replace("scope", "scop")] {
            let file = folder.path().join("wide.ndjson");
            std::fs::write(&file, &wide).unwrap();
            assert!(KeyFile::open(file).is_err(), "{wide}");
        }
    }
}
