//! Whether doors can be opened where the configuration says, or are open already, and by whom. Reads `/proc` below a folder that is
//! given, and asks an HTTP door whose process it may not see.

use super::finding::Finding;
use crate::cli::health;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

/// What this program is called where processes are listed.
const NAME: &str = "querygate";
/// State of a socket that listens, in `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    number: u32,
    name: String,
}

/// What was seen of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Free,
    /// Another socket listens there; of which process, if it may be known.
    Taken(Option<Holder>),
    /// The port is not for this user.
    Denied,
    /// It is no address of this machine, or another failure.
    Unusable(String),
}

/// A door and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Door {
    name: &'static str,
    address: SocketAddr,
    seen: Seen,
}

impl Door {
    /// The number of the gate that holds it.
    pub(super) fn gate(&self) -> Option<u32> {
        match &self.seen {
            Seen::Taken(Some(holder)) if holder.name == NAME => Some(holder.number),
            Seen::Taken(_) | Seen::Free | Seen::Denied | Seen::Unusable(_) => None,
        }
    }
}

/// Tries each door that is not off. A confined gate's sockets are not shown to its own user: where its HTTP door answers as one does, the
/// other doors are taken to be its as well.
pub(super) fn look(doors: &[(&'static str, Option<SocketAddr>)], root: &Path) -> Vec<Door> {
    let open = doors.iter().filter_map(|(name, address)| Some((*name, (*address)?)));
    let mut found: Vec<Door> =
        open.map(|(name, address)| Door { name, address, seen: attempt(address, root) }).collect();
    let answers = |door: &Door| door.name == "http" && door.seen == Seen::Taken(None) && health::is_gate(door.address);
    if found.iter().any(answers)
        && let Some(gate) = serving(root)
    {
        for door in found.iter_mut().filter(|door| door.seen == Seen::Taken(None)) {
            door.seen = Seen::Taken(Some(gate.clone()));
        }
    }
    found
}

/// A gate among the processes of the machine.
fn serving(root: &Path) -> Option<Holder> {
    let processes = std::fs::read_dir(root.join("proc")).ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.find_map(|number| {
        let folder = root.join(format!("proc/{number}"));
        let name = std::fs::read_to_string(folder.join("comm")).ok()?;
        let command = std::fs::read(folder.join("cmdline")).ok()?;
        let mut words = command.split(|byte| *byte == 0);
        let serves = matches!(words.nth(1), Some(b"serve" | b"demo"));
        (serves && name.trim() == NAME).then(|| Holder { number, name: NAME.to_owned() })
    })
}

fn attempt(address: SocketAddr, root: &Path) -> Seen {
    match TcpListener::bind(address) {
        Ok(_) => Seen::Free,
        Err(error) => match error.kind() {
            ErrorKind::AddrInUse => Seen::Taken(holder(root, address.port())),
            ErrorKind::PermissionDenied => Seen::Denied,
            other => Seen::Unusable(other.to_string()),
        },
    }
}

/// The process that listens on a port of this machine.
fn holder(root: &Path, port: u16) -> Option<Holder> {
    let mut sockets = BTreeSet::new();
    for table in ["proc/net/tcp", "proc/net/tcp6"] {
        let text = std::fs::read_to_string(root.join(table)).unwrap_or_default();
        sockets.extend(text.lines().skip(1).filter_map(|line| listening(line, port)));
    }
    let processes = std::fs::read_dir(root.join("proc")).ok()?.flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.into_iter().find_map(|number| {
        let folder = root.join(format!("proc/{number}"));
        let files = std::fs::read_dir(folder.join("fd")).ok()?.flatten();
        let mut targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        if !targets.any(|target| target.to_str().is_some_and(|target| sockets.contains(target))) {
            return None;
        }
        let name = std::fs::read_to_string(folder.join("comm")).unwrap_or_default();
        Some(Holder { number, name: name.trim().to_owned() })
    })
}

/// What a descriptor of the socket of this line points to, where it listens on the port.
fn listening(line: &str, port: u16) -> Option<String> {
    let mut words = line.split_whitespace();
    let local = words.nth(1)?;
    let (state, inode) = (words.nth(1)?, words.nth(5)?);
    let its = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    (state == LISTENS && its == port).then(|| format!("socket:[{inode}]"))
}

/// What it means. `who`: whose doors they are.
pub(super) fn finding(door: &Door, who: &str) -> Finding {
    let Door { name, address, seen } = door;
    let (check, address) = ("door.port", address.to_string());
    match seen {
        Seen::Free => Finding::ok(check, *name, format!("{address} is free")),
        Seen::Taken(Some(holder)) if holder.name == NAME => {
            let what = format!("{who} serves on {address} (process {}); another one could not", holder.number);
            Finding::ok(check, *name, what)
        }
        Seen::Taken(Some(holder)) => {
            let what = format!("{address} is taken by {} (process {})", holder.name, holder.number);
            Finding::problem(check, *name, what).advise("stop that process, or give the door another address")
        }
        Seen::Taken(None) => {
            let what = format!("{address} is taken, by whom this user may not see");
            Finding::warning(check, *name, what)
                .advise("ask as root, or with `ss -ltnp`; it may be a gate of another user")
        }
        Seen::Denied => Finding::problem(check, *name, format!("{address} is not for this user"))
            .advise("take a port from 1024 on, or give the unit AmbientCapabilities=CAP_NET_BIND_SERVICE"),
        Seen::Unusable(why) => Finding::problem(check, *name, format!("{address} cannot be opened: {why}"))
            .advise("give the door an address of this machine, 0.0.0.0 for all"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn door(seen: Seen) -> Door {
        Door { name: "postgres", address: "127.0.0.1:5433".parse().unwrap(), seen }
    }

    fn taken(name: &str) -> Seen {
        Seen::Taken(Some(Holder { number: 7, name: name.to_owned() }))
    }

    #[test]
    fn a_port_of_another_program_is_a_problem_and_one_of_a_gate_is_not() {
        for (seen, expected) in [
            (Seen::Free, Level::Ok),
            (taken("querygate"), Level::Ok),
            (taken("postgres"), Level::Problem),
            (Seen::Taken(None), Level::Warning),
            (Seen::Denied, Level::Problem),
            (Seen::Unusable("address not available".to_owned()), Level::Problem),
        ] {
            let finding = finding(&door(seen.clone()), "a gate");
            assert_eq!((finding.level, finding.advice.is_some()), (expected, expected != Level::Ok), "{seen:?}");
        }
        assert_eq!(door(taken("querygate")).gate(), Some(7));
        assert_eq!(door(taken("postgres")).gate(), None);
    }

    #[test]
    fn a_gate_is_known_by_its_name_and_command() {
        let root = tempfile::tempdir().unwrap();
        let process = |number: u32, name: &str, command: &[u8]| {
            let folder = root.path().join(format!("proc/{number}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
            std::fs::write(folder.join("cmdline"), command).unwrap();
        };
        process(1, "querygate", b"/usr/bin/querygate\0doctor\0");
        process(2, "psql", b"psql\0serve\0");
        assert_eq!(serving(root.path()), None);
        process(3, "querygate", b"/usr/bin/querygate\0serve\0-c\0x\0");
        assert_eq!(serving(root.path()).map(|gate| gate.number), Some(3));
    }

    #[test]
    fn a_listener_is_found_by_its_port_alone() {
        let line = "   1: 0100007F:1539 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0";
        assert_eq!(listening(line, 0x1539), Some("socket:[4711]".to_owned()));
        assert_eq!(listening(line, 80), None);
        assert_eq!(listening(&line.replace(" 0A ", " 01 "), 0x1539), None);
        assert_eq!(listening("nothing", 80), None);
    }

    #[test]
    fn this_process_is_found_behind_a_port_of_its_own() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        match attempt(address, Path::new("/")) {
            Seen::Taken(Some(holder)) => assert_eq!(holder.number, std::process::id()),
            other => panic!("{other:?}"),
        }
        drop(listener);
        assert_eq!(attempt(address, Path::new("/")), Seen::Free);
        assert!(matches!(attempt("192.0.2.1:80".parse().unwrap(), Path::new("/")), Seen::Unusable(_)));
    }
}
