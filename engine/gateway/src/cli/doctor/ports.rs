//! Whether doors can be opened where the configuration says, or are open already, and by whom. Reads `/proc` below a folder that is
//! given, and asks an HTTP door whose process it may not see.

use super::finding::Finding;
use crate::cli::health;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// What this program is called where processes are listed.
const NAME: &str = "querygate";
/// State of a socket that listens, in `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    number: u32,
    name: String,
    /// It runs this program, whatever its file is called.
    is_gate: bool,
    /// Of a gate or a worker: the configuration that it was started with, as far as that may be known.
    config: Option<PathBuf>,
}

impl Holder {
    fn of(root: &Path, number: u32) -> Option<Self> {
        let folder = root.join(format!("proc/{number}"));
        let name = std::fs::read_to_string(folder.join("comm")).ok()?.trim().to_owned();
        let runs = std::fs::read_link(folder.join("exe")).ok();
        let is_gate = name == NAME || runs.is_some_and(|file| std::env::current_exe().is_ok_and(|own| own == file));
        let config = is_gate.then(|| configuration(&folder)).flatten();
        Some(Self { number, name, is_gate, config })
    }
}

/// The file that the process with this folder was started with.
fn configuration(folder: &Path) -> Option<PathBuf> {
    let listed = |file: &str| {
        let bytes = std::fs::read(folder.join(file)).ok()?;
        let words = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        Some(words.collect::<Vec<String>>())
    };
    let arguments = listed("cmdline")?;
    let command = arguments.get(1).map(String::as_str)?;
    let given = |long: &str, short: Option<&str>| {
        let mut words = arguments.iter().skip(2);
        while let Some(word) = words.next() {
            if word == long || short.is_some_and(|short| word == short) {
                return words.next().cloned();
            }
            let joined = word.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
            if let Some(value) = joined.or_else(|| word.strip_prefix(short?)) {
                return Some(value.to_owned());
            }
        }
        None
    };
    let file = if command == "demo" {
        PathBuf::from(given("--dir", None).unwrap_or_else(|| "querygate-demo".to_owned())).join("querygate.toml")
    } else {
        let of_environment = || {
            let variables = listed("environ")?;
            variables.iter().find_map(|variable| variable.strip_prefix("QUERYGATE_CONFIG=").map(str::to_owned))
        };
        let default = if command == "worker" { "worker.toml" } else { "querygate.toml" };
        PathBuf::from(given("--config", Some("-c")).or_else(of_environment).unwrap_or_else(|| default.to_owned()))
    };
    if file.is_absolute() {
        return Some(file);
    }
    std::fs::read_link(folder.join("cwd")).ok().map(|place| place.join(file))
}

/// Whether two paths are of one file.
fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        (_, _) => one == other,
    }
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
    /// The configuration that says so.
    config: PathBuf,
}

impl Door {
    /// The number of the gate of this configuration that holds it.
    pub(super) fn gate(&self) -> Option<u32> {
        match &self.seen {
            Seen::Taken(Some(holder)) if self.is_held_by_its_own(holder) == Some(true) => Some(holder.number),
            Seen::Taken(_) | Seen::Free | Seen::Denied | Seen::Unusable(_) => None,
        }
    }

    /// The process of this number is a gate, whatever it is called.
    fn note_gate(&mut self, number: u32, root: &Path) {
        if let Seen::Taken(Some(holder)) = &mut self.seen
            && holder.number == number
        {
            holder.is_gate = true;
            holder.config = configuration(&root.join(format!("proc/{number}")));
        }
    }

    /// `None`: that may not be known.
    fn is_held_by_its_own(&self, holder: &Holder) -> Option<bool> {
        if !holder.is_gate {
            return Some(false);
        }
        holder.config.as_ref().map(|config| is_same(config, &self.config))
    }
}

/// Tries each door that is not off. A gate may run under another name, such as one with extensions of its own: who answers at the HTTP door
/// as a gate does is one. A confined gate's sockets are not shown to its own user: where its HTTP door answers so, the other doors are taken
/// to be its as well.
pub(super) fn look(doors: &[(&'static str, Option<SocketAddr>)], config: &Path, root: &Path) -> Vec<Door> {
    let open = doors.iter().filter_map(|(name, address)| Some((*name, (*address)?)));
    let door = |(name, address)| Door { name, address, seen: attempt(address, root), config: config.to_path_buf() };
    let mut found: Vec<Door> = open.map(door).collect();
    let is_unknown = |door: &&Door| match &door.seen {
        Seen::Taken(holder) => holder.as_ref().is_none_or(|holder| !holder.is_gate),
        Seen::Free | Seen::Denied | Seen::Unusable(_) => false,
    };
    let asked = found.iter().find(|door| door.name == "http" && is_unknown(door));
    let answering = asked.filter(|door| health::is_gate(door.address)).map(|door| door.seen.clone());
    if let Some(Seen::Taken(Some(renamed))) = &answering {
        found.iter_mut().for_each(|door| door.note_gate(renamed.number, root));
    }
    if answering == Some(Seen::Taken(None))
        && let Some(gate) = serving(config, root)
    {
        for door in found.iter_mut().filter(|door| door.seen == Seen::Taken(None)) {
            door.seen = Seen::Taken(Some(gate.clone()));
        }
    }
    found
}

/// The gate of a configuration among the processes of the machine.
fn serving(config: &Path, root: &Path) -> Option<Holder> {
    let processes = std::fs::read_dir(root.join("proc")).ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.find_map(|number| {
        let command = std::fs::read(root.join(format!("proc/{number}/cmdline"))).ok()?;
        let serves = matches!(command.split(|byte| *byte == 0).nth(1), Some(b"serve" | b"demo"));
        let holder = Holder::of(root, number).filter(|holder| serves && holder.is_gate)?;
        holder.config.as_ref().is_some_and(|own| is_same(own, config)).then_some(holder)
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
        Holder::of(root, number)
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
    let Door { name, address, seen, .. } = door;
    let (check, address) = ("door.port", address.to_string());
    match seen {
        Seen::Free => Finding::ok(check, *name, format!("{address} is free")),
        Seen::Taken(Some(holder)) if holder.is_gate => {
            let (number, own) = (holder.number, door.is_held_by_its_own(holder));
            match (own, &holder.config) {
                (Some(true), _) => {
                    let what = format!("{who} serves on {address} (process {number}); another one could not");
                    Finding::ok(check, *name, what)
                }
                (_, Some(other)) => {
                    let other = other.display();
                    let what =
                        format!("{address} is taken by {who} of another configuration, {other} (process {number})");
                    Finding::problem(check, *name, what).advise("stop that one, or give the door another address")
                }
                (_, None) => {
                    let what = format!(
                        "{who} serves on {address} (process {number}), of a configuration unknown to this user"
                    );
                    Finding::warning(check, *name, what).advise("ask as root whether it is this one's")
                }
            }
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
        Door { name: "postgres", address: "127.0.0.1:5433".parse().unwrap(), seen, config: "/etc/one.toml".into() }
    }

    fn taken(name: &str, config: Option<&str>) -> Seen {
        Seen::Taken(Some(Holder {
            number: 7,
            name: name.to_owned(),
            is_gate: name == NAME,
            config: config.map(PathBuf::from),
        }))
    }

    #[test]
    fn a_port_of_another_program_is_a_problem_and_one_of_the_own_gate_is_not() {
        for (seen, expected) in [
            (Seen::Free, Level::Ok),
            (taken("querygate", Some("/etc/one.toml")), Level::Ok),
            (taken("querygate", Some("/etc/two.toml")), Level::Problem),
            (taken("querygate", None), Level::Warning),
            (taken("postgres", None), Level::Problem),
            (Seen::Taken(None), Level::Warning),
            (Seen::Denied, Level::Problem),
            (Seen::Unusable("address not available".to_owned()), Level::Problem),
        ] {
            let finding = finding(&door(seen.clone()), "a gate");
            assert_eq!((finding.level, finding.advice.is_some()), (expected, expected != Level::Ok), "{seen:?}");
        }
        assert_eq!(door(taken("querygate", Some("/etc/one.toml"))).gate(), Some(7));
        assert_eq!(door(taken("querygate", Some("/etc/two.toml"))).gate(), None);
        assert_eq!(door(taken("postgres", None)).gate(), None);
    }

    #[test]
    fn a_gate_is_known_by_its_name_its_command_and_its_configuration() {
        let root = tempfile::tempdir().unwrap();
        let process = |number: u32, name: &str, command: &[u8], environment: &[u8]| {
            let folder = root.path().join(format!("proc/{number}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
            std::fs::write(folder.join("cmdline"), command).unwrap();
            std::fs::write(folder.join("environ"), environment).unwrap();
            let cwd = folder.join("cwd");
            if !cwd.exists() {
                std::os::unix::fs::symlink("/srv", cwd).unwrap();
            }
            Holder::of(root.path(), number).unwrap().config
        };
        let own = Path::new("/etc/one.toml");
        process(1, "querygate", b"/usr/bin/querygate\0doctor\0-c\0/etc/one.toml\0", b"");
        assert_eq!(process(2, "psql", b"psql\0serve\0-c\0/etc/one.toml\0", b""), None);
        process(3, "querygate", b"/usr/bin/querygate\0serve\0-c\0/etc/two.toml\0", b"");
        assert_eq!(serving(own, root.path()), None);
        process(4, "querygate", b"/usr/bin/querygate\0serve\0-c\0/etc/one.toml\0", b"");
        assert_eq!(serving(own, root.path()).map(|gate| gate.number), Some(4));
        for (command, environment, expected) in [
            (&b"querygate\0serve\0--config=/a.toml\0"[..], &b""[..], "/a.toml"),
            (b"querygate\0serve\0--pg\0off\0-cb.toml\0", b"", "/srv/b.toml"),
            (b"querygate\0serve\0", b"X=1\0QUERYGATE_CONFIG=/e.toml\0", "/e.toml"),
            (b"querygate\0serve\0", b"", "/srv/querygate.toml"),
            (b"querygate\0demo\0--dir\0/tmp/d\0", b"", "/tmp/d/querygate.toml"),
            (b"querygate\0worker\0", b"", "/srv/worker.toml"),
        ] {
            assert_eq!(process(5, "querygate", command, environment), Some(PathBuf::from(expected)));
        }
    }

    #[test]
    fn a_gate_under_another_name_is_one_with_its_configuration() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/7");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("comm"), "acme-gate\n").unwrap();
        std::fs::write(folder.join("cmdline"), b"/opt/acme-gate\0serve\0-c\0/etc/one.toml\0").unwrap();
        assert!(!Holder::of(root.path(), 7).unwrap().is_gate);
        let mut found = door(taken("acme-gate", None));
        assert_eq!((found.gate(), finding(&found, "a gate").level), (None, Level::Problem));
        found.note_gate(8, root.path());
        assert_eq!(found.gate(), None, "another process");
        found.note_gate(7, root.path());
        assert_eq!((found.gate(), finding(&found, "a gate").level), (Some(7), Level::Ok));
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
