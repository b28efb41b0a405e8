//! Folders that a gate writes to: whether it may, and whether what the configuration allows to be written fits.

use super::finding::Finding;
use super::machine::size;
use crate::config::Config;
use crate::config::worker::WorkerConfig;
use rustix::fs::{Access, access, statvfs};
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;
/// Less room than this is as good as none.
const LEAST: u64 = 64 * MIB;
/// Room for an audit file, which grows without a bound.
const AUDIT: u64 = 1_024 * MIB;

/// A place that is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    check: &'static str,
    folder: PathBuf,
    /// What is written there, where that is one file.
    file: Option<PathBuf>,
    /// Levels of it that the gate makes where they are missing.
    made: usize,
    /// Bytes that may be written there yet.
    wanted: u64,
    /// The key to change.
    key: &'static str,
}

/// What was seen of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Bytes that are free.
    Free(u64),
    /// It may not be written.
    Closed,
    /// Its file system holds no files.
    Unfit,
    /// There is none, what is there is no folder, or it cannot be asked.
    Odd,
}

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    places(config).into_iter().map(|place| judge(&place, seen(&place))).collect()
}

/// The spill folder of a worker.
pub(super) fn spill_of(config: &WorkerConfig) -> Finding {
    let place = spill(config.spill_directory.as_deref(), config.spill_max, "worker.spill_directory");
    judge(&place, seen(&place))
}

fn spill(folder: Option<&Path>, wanted: u64, key: &'static str) -> Place {
    let folder = folder.map_or_else(std::env::temp_dir, Path::to_path_buf);
    Place { check: "disk.spill", folder, file: None, made: 1, wanted, key }
}

fn places(config: &Config) -> Vec<Place> {
    let limits = &config.limits;
    let mut places = vec![spill(limits.spill_directory.as_deref(), limits.spill_max, "limits.spill_directory")];
    if let Some(file) = &config.log.audit {
        places.push(Place {
            check: "disk.audit",
            folder: parent(file),
            file: Some(file.clone()),
            made: 0,
            wanted: AUDIT,
            key: "log.audit",
        });
    }
    if let Some(learning) = &config.learning {
        let (folder, wanted) = (learning.directory.clone(), learning.size_max);
        let wanted = wanted.saturating_sub(held(&folder));
        places.push(Place {
            check: "disk.learning",
            folder,
            file: None,
            made: usize::MAX,
            wanted,
            key: "learning.directory",
        });
    }
    if let Some(file) = config.key_file() {
        places.push(Place {
            check: "disk.keys",
            folder: parent(&file),
            file: Some(file),
            made: 0,
            wanted: MIB,
            key: "server.keys",
        });
    }
    places
}

fn parent(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// Bytes of the files of a folder.
fn held(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file).map(|file| file.len()).sum()
}

fn seen(place: &Place) -> Seen {
    let is_closed = |file: &PathBuf| file.exists() && access(file, Access::WRITE_OK).is_err();
    match look(&place.folder, place.made) {
        Seen::Free(_) if place.file.as_ref().is_some_and(is_closed) => Seen::Closed,
        seen => seen,
    }
}

/// Looks at a folder, or, where it is not there yet, at the one that it will be made in, at most as many levels above.
fn look(folder: &Path, made: usize) -> Seen {
    let mut above = folder.ancestors().take(made.saturating_add(1));
    let there = above.find(|one| one.exists() || one.as_os_str().is_empty());
    if there.is_none() {
        return Seen::Odd;
    }
    let there = match there {
        Some(found) if !found.as_os_str().is_empty() => found,
        Some(_) | None => Path::new("."),
    };
    if !there.is_dir() {
        return Seen::Odd;
    }
    if access(there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Seen::Closed;
    }
    match statvfs(there) {
        // Of the kernel's own, such as /proc and /sys.
        Ok(found) if found.f_blocks == 0 => Seen::Unfit,
        Ok(found) => Seen::Free(found.f_bavail.saturating_mul(found.f_frsize)),
        Err(_) => Seen::Odd,
    }
}

fn judge(place: &Place, seen: Seen) -> Finding {
    let (check, subject) = (place.check, place.folder.display().to_string());
    let free = match seen {
        Seen::Odd => {
            let what = "there is no such folder, and it is not made by itself";
            return Finding::problem(check, subject, what).advise(format!("make it, or correct {}", place.key));
        }
        Seen::Unfit => {
            let what = "no files can be made there";
            return Finding::problem(check, subject, what).advise(format!("name another folder in {}", place.key));
        }
        Seen::Closed => {
            let advice = format!("give the gate's user the right to write there, or correct {}", place.key);
            return Finding::problem(check, subject, "this user may not write there").advise(advice);
        }
        Seen::Free(free) => free,
    };
    let what = format!("{} free", size(free));
    if free < LEAST {
        return Finding::problem(check, subject, what).advise(format!("make room, or move it with {}", place.key));
    }
    if free < place.wanted {
        let what = format!("{what}, and up to {} may be written", size(place.wanted));
        return Finding::warning(check, subject, what).advise(format!("make room, or move it with {}", place.key));
    }
    Finding::ok(check, subject, what)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::super::tests::config;
    use super::*;

    fn place(wanted: u64) -> Place {
        Place {
            check: "disk.spill",
            folder: PathBuf::from("/spill"),
            file: None,
            made: 1,
            wanted,
            key: "limits.spill_directory",
        }
    }

    #[test]
    fn room_is_compared_with_what_may_be_written() {
        for (seen, expected) in [
            (Seen::Free(2_048 * MIB), Level::Ok),
            (Seen::Free(1_000 * MIB), Level::Warning),
            (Seen::Free(10 * MIB), Level::Problem),
            (Seen::Closed, Level::Problem),
            (Seen::Unfit, Level::Problem),
            (Seen::Odd, Level::Problem),
        ] {
            assert_eq!(judge(&place(1_024 * MIB), seen).level, expected, "{seen:?}");
        }
    }

    #[test]
    fn every_place_that_is_written_is_looked_at() {
        let config = config(
            "[limits]\nspill_directory = \"spill\"\n[log]\naudit = \"audit.jsonl\"\n[learning]\n[server]\nkeys = \"k/keys\"\n",
        );
        let checks: Vec<&str> = places(&config).iter().map(|place| place.check).collect();
        assert_eq!(checks, ["disk.spill", "disk.audit", "disk.learning", "disk.keys"]);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_looked_at_where_it_will_be() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(look(&folder.path().join("a/b/c"), 3), Seen::Free(free) if free > 0));
        assert_eq!(look(&folder.path().join("a/b/c"), 2), Seen::Odd);
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(look(&folder.path().join("file/x"), 1), Seen::Odd);
        assert_eq!(look(&folder.path().join("file"), 0), Seen::Odd);
        // As root; others may not write there.
        assert!(matches!(look(Path::new("/proc/spill"), 1), Seen::Unfit | Seen::Closed));
    }
}
