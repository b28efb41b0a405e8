//! A worker where it is to run: keys, certificates, ports, folders, memory, spill files. Its gates are not asked: it makes no connections.

use super::finding::Finding;
use super::{certificates, disk, machine, ports, secrets};
use crate::config::worker::WorkerConfig;
use crate::tls;
use crate::wiring::unreadable_folder;
use crate::wiring::workers::verification_key;
use chrono::Utc;
use std::path::Path;

/// `file`: the configuration.
pub(super) fn findings(config: &WorkerConfig, file: &Path) -> Vec<Finding> {
    let (root, now) = (Path::new("/"), Utc::now().timestamp());
    let mut found: Vec<Finding> = config.folders.iter().map(|(name, folder)| of_folder(name, folder)).collect();
    let doors = ports::look(&[("worker", Some(config.listen)), ("http", config.http)], file, root);
    found.extend(doors.iter().map(|door| ports::finding(door, "a worker")));
    found.push(super::workers::of_key(&config.verification_key, verification_key(&config.verification_key)));
    found.push(match tls::load(&config.tls, Some(&config.client_authorities)) {
        Ok(_) => certificates::of_file("door.certificate", &config.tls.certificate, now),
        Err(error) => certificates::unusable("door.certificate", "[worker]", &error),
    });
    found.push(certificates::of_file("door.authorities", &config.client_authorities, now));
    let running = doors.iter().find_map(ports::Door::gate);
    found.push(machine::memory("worker.memory", config.memory, machine::room(root, running)));
    found.push(disk::spill_of(config));
    found.extend(secrets::of_file(&config.tls.key));
    found
}

fn of_folder(name: &str, folder: &Path) -> Finding {
    let (check, shown) = ("source.reachable", folder.display());
    match std::fs::read_dir(folder) {
        Ok(_) => Finding::ok(check, name, format!("{shown} can be read")),
        Err(error) => Finding::problem(check, name, format!("{shown}: {}", unreadable_folder(&error)))
            .advise("correct `path` of the source, or the rights of the worker's user: it must see the gate's files"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(of_folder("lake", folder.path()).level, Level::Ok);
        let lost = of_folder("lake", &folder.path().join("none"));
        assert!(lost.level == Level::Problem && lost.what.ends_with("there is no such folder"), "{lost:?}");
    }
}
