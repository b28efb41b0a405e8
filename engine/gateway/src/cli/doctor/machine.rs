//! What the machine lets a gate have: open files and memory, against what the configuration says. Reads `/proc` and `/sys` below a
//! folder that is given.

use super::finding::Finding;
use crate::config::Config;
use crate::process::{connections_within, descriptors_wanted};
use crate::serve::session_doors;
use std::path::{Path, PathBuf};

/// Share of the room, in hundredths, that statements may be given: buffers of sockets, caches and the process itself need some too.
const SHARE_MAX: u64 = 80;
/// A cgroup that says more than this says that there is no limit.
const UNLIMITED: u64 = 1 << 60;
/// Folders between a process' cgroup and the root.
const DEPTH_MAX: usize = 32;

/// The hard limit of open files: of the process with this number, or of this one. `None`: there is none.
pub(super) fn file_limit(root: &Path, process: Option<u32>) -> Option<u64> {
    let of_process = process.and_then(|process| {
        let text = std::fs::read_to_string(root.join(format!("proc/{process}/limits"))).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    });
    of_process.or_else(crate::process::file_limit)
}

/// Whether `connection_max` clients of each door find a descriptor.
pub(super) fn open_files(config: &Config, limit: Option<u64>) -> Finding {
    let (connections, doors) = (config.server.connection_max, session_doors(config));
    let wanted = descriptors_wanted(connections, doors);
    let Some(limit) = limit.filter(|limit| *limit < wanted) else {
        return Finding::ok(
            "files.limit",
            "connection_max",
            format!("{connections} clients of a door need {wanted} files"),
        );
    };
    let fit = connections_within(limit, connections, doors);
    let what = format!("the hard limit of open files is {limit}: {fit} clients of a door fit, of {connections}");
    let advice = format!("raise it to {wanted} (LimitNOFILE= of the unit, `ulimit -Hn`), or lower connection_max");
    Finding::warning("files.limit", "connection_max", what).advise(advice)
}

/// Bytes of memory that a process may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Of the machine.
    physical: Option<u64>,
    /// The least of what the cgroup and those above it allow.
    cgroup: Option<u64>,
}

/// The room of the process with this number, or of this one.
pub(super) fn room(root: &Path, process: Option<u32>) -> Room {
    let process = process.map_or_else(|| "self".to_owned(), |process| process.to_string());
    let physical = std::fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
    });
    let groups = std::fs::read_to_string(root.join(format!("proc/{process}/cgroup"))).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        match controllers {
            "" => limit_of(&root.join("sys/fs/cgroup"), path, "memory.max"),
            list if list.split(',').any(|one| one == "memory") => {
                limit_of(&root.join("sys/fs/cgroup/memory"), path, "memory.limit_in_bytes")
            }
            _ => None,
        }
    });
    Room { physical, cgroup: limits.min() }
}

/// The least limit from a cgroup up to the root of the hierarchy. In a container its path may not be there: then the root's counts.
fn limit_of(hierarchy: &Path, path: &str, name: &str) -> Option<u64> {
    let mut folder: PathBuf = hierarchy.join(path.trim_start_matches('/'));
    let mut least: Option<u64> = None;
    for _ in 0..DEPTH_MAX {
        let said = std::fs::read_to_string(folder.join(name)).ok();
        let said = said.and_then(|text| text.trim().parse::<u64>().ok()).filter(|bytes| *bytes < UNLIMITED);
        least = least.into_iter().chain(said).min();
        if folder == hierarchy || !folder.pop() {
            break;
        }
    }
    least
}

/// Whether the memory that statements may hold is there. `subject`: the key that says how much, with its table.
pub(super) fn memory(subject: &str, total: u64, room: Room) -> Finding {
    let (check, key) = ("memory", subject.rsplit('.').next().unwrap_or(subject));
    let Some(most) = room.physical.into_iter().chain(room.cgroup).min() else {
        return Finding::ok(check, subject, format!("{}; what the machine has could not be read", size(total)));
    };
    let whose = if room.cgroup == Some(most) { "its cgroup" } else { "the machine" };
    let share = most / 100 * SHARE_MAX;
    let what = format!("{}, and {whose} has {}", size(total), size(most));
    if total > most {
        let advice = format!("set {key} to {} or less: the process would be killed before it refuses", size(share));
        return Finding::problem(check, subject, what).advise(advice);
    }
    if total > share {
        let advice = format!("set {key} to {} or less: the process needs some besides", size(share));
        return Finding::warning(check, subject, what).advise(advice);
    }
    Finding::ok(check, subject, what)
}

/// Bytes as the configuration writes them, rounded down.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{}kB", bytes >> 10),
        0x10_0000..0x2_8000_0000 => format!("{}MB", bytes >> 20),
        _ => format!("{}GB", bytes >> 30),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::super::tests::config;
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = root.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        root
    }

    #[test]
    fn the_least_limit_of_either_version_of_cgroups_is_found() {
        let meminfo = ("proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\n");
        let v2 = root(&[
            meminfo,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "4096\n"),
            ("sys/fs/cgroup/memory.max", "8192\n"),
        ]);
        assert_eq!(room(v2.path(), None), Room { physical: Some(2 << 20), cgroup: Some(4_096) });
        let v1 = root(&[
            ("proc/7/cgroup", "9:cpu,cpuacct:/x\n4:memory:/docker/abc\n"),
            // In a container, only the root of the hierarchy is there.
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n"),
        ]);
        assert_eq!(room(v1.path(), Some(7)), Room { physical: None, cgroup: Some(1_000) });
        let none = root(&[
            ("proc/self/cgroup", "4:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(room(none.path(), None), Room { physical: None, cgroup: None });
    }

    #[test]
    fn memory_that_is_not_there_is_a_problem() {
        let config = config("[limits]\nmemory_total = \"800MB\"\n");
        let of = |physical: u64, cgroup: Option<u64>| {
            memory(
                "limits.memory_total",
                config.limits.memory_total,
                Room { physical: Some(physical << 20), cgroup: cgroup.map(|mb| mb << 20) },
            )
        };
        assert_eq!(of(1_001, None).level, Level::Ok);
        assert_eq!(of(900, None).level, Level::Warning);
        assert_eq!(of(799, None).level, Level::Problem);
        let confined = of(8_000, Some(512));
        assert!(confined.level == Level::Problem && confined.what.contains("its cgroup has 512MB"), "{confined:?}");
        assert_eq!(
            memory("limits.memory_total", config.limits.memory_total, Room { physical: None, cgroup: None }).level,
            Level::Ok
        );
    }

    #[test]
    fn too_few_files_say_how_many_clients_fit() {
        let config = config("[server]\nconnection_max = 2000\n[flight]\naddress = \"off\"\n");
        assert_eq!(open_files(&config, None).level, Level::Ok);
        assert_eq!(open_files(&config, Some(3_256)).level, Level::Ok);
        let few = open_files(&config, Some(1_256));
        assert!(few.level == Level::Warning && few.what.contains("500 clients of a door fit, of 2000"), "{few:?}");
        assert!(few.advice.unwrap().contains("3256"));
    }

    #[test]
    fn the_limit_of_a_gate_that_runs_is_its_own() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
        let root = root(&[("proc/7/limits", limits)]);
        assert_eq!(file_limit(root.path(), Some(7)), Some(4_096));
        assert_eq!(file_limit(root.path(), Some(8)), crate::process::file_limit());
    }
}
