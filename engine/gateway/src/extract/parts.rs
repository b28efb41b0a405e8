//! The folder of an extraction at work: a file for each part of the result, named when it is whole. Removed with the
//! extraction, or kept so that another run goes on from it. Knows no network.

use crate::cli::file_error;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use querygate_flight::RemoteResult;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What an extraction is, and the tickets of its result.
const STATE: &str = "state.json";

/// A folder of parts.
#[derive(Debug)]
pub(super) struct Parts {
    folder: PathBuf,
    /// What another run must have in common to go on from it; `None`: no other run does.
    identity: Option<Value>,
    /// Whether it goes when this is dropped: it was made here, and nobody can go on from it.
    goes: bool,
}

impl Parts {
    /// A folder beside the target, not made yet. With an identity it has a name that the next run finds.
    pub(super) fn beside(target: &Path, identity: Option<Value>) -> Result<Self> {
        let name = target.file_name().ok_or_else(|| {
            Error::new(ErrorCode::ConfigInvalid, format!("{} is not the name of a file", target.display()))
        })?;
        let name = name.to_string_lossy();
        let folder = match identity {
            Some(_) => format!("{name}.parts"),
            None => format!(".{name}.{}.parts", std::process::id()),
        };
        Ok(Self { folder: target.with_file_name(folder), identity, goes: false })
    }

    /// What an earlier run left: the result whose parts these are.
    ///
    /// # Errors
    /// F0000: the folder is another extraction's, or cannot be read.
    pub(super) fn remembered(&self) -> Result<Option<RemoteResult>> {
        let Some(identity) = &self.identity else { return Ok(None) };
        let file = self.folder.join(STATE);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !self.folder.exists() => return Ok(None),
            Err(error) => return Err(file_error("read", &file, &error)),
        };
        let state: Value = serde_json::from_str(&text).map_err(|_| self.foreign())?;
        let flight = state["flight"].as_str().filter(|_| state["extraction"] == *identity);
        let flight = flight.and_then(|flight| BASE64.decode(flight).ok()).ok_or_else(|| self.foreign())?;
        RemoteResult::from_bytes(&flight).map(Some)
    }

    fn foreign(&self) -> Error {
        Error::new(ErrorCode::ConfigInvalid, format!("{} is what another extraction left", self.folder.display()))
            .with_hint("Remove the folder, or run the command that it is of.")
    }

    /// Makes the folder, for this user alone, or takes the one that was found.
    pub(super) fn make(&mut self) -> Result<()> {
        if self.identity.is_none() {
            // Of a process that had this one's number.
            self.clear()?;
        }
        if !self.folder.exists() {
            let made = fs::DirBuilder::new().mode(0o700).create(&self.folder);
            made.map_err(|error| file_error("write", &self.folder, &error))?;
            self.goes = true;
        }
        Ok(())
    }

    /// Writes down what another run needs, whole or not at all.
    pub(super) fn remember(&mut self, result: &RemoteResult) -> Result<()> {
        let Some(identity) = &self.identity else { return Ok(()) };
        let state = json!({"extraction": identity, "flight": BASE64.encode(result.to_bytes())});
        let (file, written) = (self.folder.join(STATE), self.folder.join("state.new"));
        let failed = |error: std::io::Error| file_error("write", &file, &error);
        let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&written);
        open.and_then(|mut open| open.write_all(state.to_string().as_bytes())).map_err(failed)?;
        fs::rename(&written, &file).map_err(failed)?;
        self.goes = false;
        Ok(())
    }

    /// Whole parts, with their rows.
    pub(super) fn whole(&self) -> Result<BTreeMap<usize, u64>> {
        let failed = |error: std::io::Error| file_error("read", &self.folder, &error);
        let mut whole = BTreeMap::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let numbers = name.to_str().and_then(|name| name.strip_suffix(".part")?.split_once('-'));
            if let Some((part, rows)) = numbers.and_then(|(part, rows)| Some((part.parse().ok()?, rows.parse().ok()?)))
            {
                whole.insert(part, rows);
            }
        }
        Ok(whole)
    }

    fn begun_path(&self, part: usize) -> PathBuf {
        self.folder.join(format!("{part}.begun"))
    }

    /// A part's file once it is whole.
    pub(super) fn path(&self, part: usize, rows: u64) -> PathBuf {
        self.folder.join(format!("{part}-{rows}.part"))
    }

    /// A part's file, empty.
    pub(super) fn begin(&self, part: usize) -> Result<File> {
        let path = self.begun_path(part);
        File::create(&path).map_err(|error| file_error("write", &path, &error))
    }

    /// Says that all of a part is in its file.
    pub(super) fn complete(&self, part: usize, rows: u64) -> Result<()> {
        let (from, to) = (self.begun_path(part), self.path(part, rows));
        fs::rename(&from, &to).map_err(|error| file_error("write", &to, &error))
    }

    /// Removes it.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.goes = false;
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(file_error("remove", &self.folder, &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Where what another run goes on from is, if there is something.
    pub(super) fn kept(&self) -> Option<&Path> {
        (self.identity.is_some() && !self.goes && self.folder.exists()).then_some(&*self.folder)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if self.goes {
            // A folder that cannot be removed is told by its name.
            let _removed = fs::remove_dir_all(&self.folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn names(folder: &Path) -> BTreeSet<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn parts_are_named_when_they_are_whole_and_go_with_the_extraction() {
        let folder = tempfile::tempdir().unwrap();
        let mut parts = Parts::beside(&folder.path().join("out.csv"), None).unwrap();
        assert!(parts.remembered().unwrap().is_none() && names(folder.path()).is_empty());
        parts.make().unwrap();
        for part in [0, 1] {
            parts.begin(part).unwrap().write_all(b"x").unwrap();
        }
        parts.complete(1, 7).unwrap();
        assert_eq!(parts.whole().unwrap(), BTreeMap::from([(1, 7)]));
        assert_eq!(fs::read(parts.path(1, 7)).unwrap(), b"x");
        drop(parts);
        assert!(names(folder.path()).is_empty());
        assert!(Parts::beside(Path::new("/"), None).is_err());
    }

    #[test]
    fn what_another_extraction_left_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.csv");
        let open = |query: &str| Parts::beside(&target, Some(json!({"query": query}))).unwrap();
        assert!(open("a").remembered().unwrap().is_none());
        let kept = folder.path().join("out.csv.parts");
        fs::create_dir(&kept).unwrap();
        assert!(open("a").remembered().is_err(), "a folder of somebody's");
        for wrong in ["", "{}", r#"{"extraction": {"query": "b"}, "flight": ""}"#, r#"{"extraction": {"query": "a"}}"#]
        {
            fs::write(kept.join(STATE), wrong).unwrap();
            assert_eq!(open("a").remembered().unwrap_err().code(), ErrorCode::ConfigInvalid, "{wrong}");
        }
        assert!(kept.join(STATE).exists(), "what is not ours stays");
    }
}
