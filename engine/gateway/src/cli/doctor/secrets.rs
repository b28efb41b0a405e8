//! Files that hold secrets: who may read and change them.

use super::finding::{Finding, Level};
use crate::config::Config;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where container runtimes show secrets, readable for everybody in the container.
const MOUNTED: &str = "/run/secrets";

/// What the file system says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    mode: u32,
    owner: u32,
}

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut files: Vec<(&Path, bool)> = config.secret_files.iter().map(|file| (file.as_path(), true)).collect();
    files.extend(config.server.tls.as_ref().map(|files| (files.key.as_path(), true)));
    let workers = config.workers.iter().flat_map(|workers| [&workers.tls.key, &workers.signing_key]);
    files.extend(workers.map(|file| (file.as_path(), true)));
    let keys = config.key_file();
    files.extend(keys.as_deref().map(|file| (file, true)));
    // Verifiers are no passwords, but good for guessing them.
    files.push((&config.file, false));
    // One key may serve several purposes.
    let mut known = BTreeSet::new();
    files.retain(|(file, _)| known.insert(*file));
    files.into_iter().filter_map(|(file, is_secret)| Some(judge(file, is_secret, look(file)?))).collect()
}

/// A file of a secret; `None` as of [`look`].
pub(super) fn of_file(file: &Path) -> Option<Finding> {
    Some(judge(file, true, look(file)?))
}

/// `None`: it is not there yet, or the configuration could not have been read.
fn look(file: &Path) -> Option<Seen> {
    let found = std::fs::metadata(file).ok()?;
    Some(Seen { mode: found.mode() & 0o777, owner: found.uid() })
}

/// As PostgreSQL has it: 0600, or 0640 where root owns the file and gives it to the service's group.
fn judge(file: &Path, is_secret: bool, seen: Seen) -> Finding {
    let Seen { mode, owner } = seen;
    let name = file.display().to_string();
    let said = format!("mode {mode:04o}");
    let advice = "chmod 0600, or root:querygate 0640";
    let (level, what) = if mode & 0o022 != 0 {
        (Level::Problem, format!("{said}: others than its owner may change it"))
    } else if mode & 0o004 != 0 && is_secret && !file.starts_with(MOUNTED) {
        (Level::Problem, format!("{said}: everybody on this machine may read it"))
    } else if mode & 0o004 != 0 && !file.starts_with(MOUNTED) {
        (Level::Warning, format!("{said}: everybody on this machine may read the verifiers of passwords"))
    } else if mode & 0o040 != 0 && owner != 0 && is_secret {
        (Level::Warning, format!("{said}: its group may read it"))
    } else {
        return Finding::ok("secret.permissions", name, said);
    };
    Finding::new(level, "secret.permissions", name, what).advise(advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_the_owner_and_a_group_of_roots_may_read() {
        for (mode, owner, is_secret, expected) in [
            (0o600, 1_000, true, Level::Ok),
            (0o400, 1_000, true, Level::Ok),
            (0o640, 0, true, Level::Ok),
            (0o640, 1_000, true, Level::Warning),
            (0o644, 0, true, Level::Problem),
            (0o620, 0, true, Level::Problem),
            (0o602, 0, true, Level::Problem),
            (0o644, 0, false, Level::Warning),
            (0o640, 1_000, false, Level::Ok),
            (0o666, 0, false, Level::Problem),
        ] {
            let finding = judge(Path::new("/etc/x"), is_secret, Seen { mode, owner });
            assert_eq!(finding.level, expected, "{mode:o} {owner} {is_secret}");
            assert_eq!(finding.advice.is_some(), expected != Level::Ok);
        }
    }

    #[test]
    fn secrets_of_a_container_are_as_its_runtime_shows_them() {
        let finding = judge(Path::new("/run/secrets/db"), true, Seen { mode: 0o444, owner: 0 });
        assert_eq!(finding.level, Level::Ok);
    }

    #[test]
    fn what_the_configuration_names_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("db"), "hunter2").unwrap();
        std::fs::set_permissions(at("db"), std::fs::Permissions::from_mode(0o644)).unwrap();
        let text = "[metadata]\npath = \"m\"\n[[sources]]\nname = \"a\"\nkind = \"postgres\"\nhost = \"h\"\nuser = \"u\"\n\
                    database = \"d\"\npassword = \"file:db\"\n";
        std::fs::write(at("querygate.toml"), text).unwrap();
        std::fs::set_permissions(at("querygate.toml"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let config = crate::config::load(&at("querygate.toml")).0.unwrap();
        let found = findings(&config);
        let levels: Vec<Level> = found.iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Problem, Level::Ok], "{found:?}");
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}
