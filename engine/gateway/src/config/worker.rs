//! The configuration of a worker, a file of its own: where it listens, whose parts it runs, which folders it may read. Opens nothing.

use super::resolve::{self, to_usize};
use super::server::is_one_port;
use super::syntax::diagnostic::{Diagnostic, Report};
use super::syntax::secret::Environment;
use super::syntax::table::{Sink, Table};
use super::workers::{identity, is_address};
use super::{Config, Log, TlsFiles};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeTable;

/// Bytes of the largest worker's file.
const WORKER_BYTES_MAX: u64 = 1 << 20;

/// Everything that a worker's file says.
#[derive(Debug, Clone)]
pub(crate) struct WorkerConfig {
    pub(crate) listen: SocketAddr,
    /// Where it answers probes and gives its metrics.
    pub(crate) http: Option<SocketAddr>,
    /// As gates call it.
    pub(crate) address: String,
    pub(crate) verification_key: PathBuf,
    pub(crate) tls: TlsFiles,
    pub(crate) client_authorities: PathBuf,
    /// Bytes that all parts may hold.
    pub(crate) memory: u64,
    /// Parts at once.
    pub(crate) parts_max: usize,
    /// Threads that run parts.
    pub(crate) threads: usize,
    pub(crate) spill_directory: Option<PathBuf>,
    pub(crate) spill_max: u64,
    pub(crate) drain_timeout: Duration,
    /// Folders by the names that gates' sources have.
    pub(crate) folders: Vec<(String, PathBuf)>,
    pub(crate) log: Log,
}

/// Whether a file is a worker's rather than a gate's, by its table `[worker]`; mistakes in it are for [`load`] to name.
/// One that cannot be read is none.
pub(crate) fn is_worker(file: &Path) -> bool {
    let is_small = std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() <= WORKER_BYTES_MAX);
    let text = if is_small { std::fs::read_to_string(file).unwrap_or_default() } else { String::new() };
    let (document, _) = DeTable::parse_recoverable(&text);
    document.get_ref().contains_key("worker")
}

/// Reads a file. The report carries warnings even when the configuration is good.
pub(crate) fn load(file: &Path) -> (Option<WorkerConfig>, Report) {
    let made = "give a worker's file with -c; `querygate worker --help` shows one, and engine/docs/workers.md says more (of the package: /usr/share/doc/querygate/workers.md)";
    resolve::load_as(file, &querygate_extension::Extensions::default(), made, parse)
}

/// Parses and resolves a text; collects every mistake.
pub(crate) fn parse(file: &Path, text: &str, environment: &Environment) -> (Option<WorkerConfig>, Report) {
    resolve::parse_as(file, text, |root, sink| {
        let config = worker(&root, environment, sink);
        root.finish();
        config
    })
}

fn worker(root: &Table<'_>, environment: &Environment, sink: &Sink) -> Option<WorkerConfig> {
    let log = resolve::log(root.table("log", "[log]"), environment);
    let folders = folders(root.tables("sources", "[[sources]]"), environment, sink);
    if folders.is_empty() {
        let none = "there is no [[sources]]: this worker may read nothing";
        sink.push(Diagnostic::error(None, none).help("add [[sources]] with `name` and `path`, as in the gate's file"));
    }
    let Some(table) = root.table("worker", "[worker]") else {
        sink.push(Diagnostic::error(None, "there is no [worker]"));
        return None;
    };
    let path = |given: super::syntax::table::At<String>| Config::resolve_path(environment.folder(), &given.value);
    let socket = |key: &str, given: super::syntax::table::At<String>| {
        let parsed = given.value.parse::<SocketAddr>();
        if parsed.is_err() {
            table.error(given.span, format!("`{key}` must be an address and port, such as \"0.0.0.0:7001\""));
        }
        parsed.ok()
    };
    let listen = table.required("listen").and_then(|given| socket("listen", given));
    let http = table.text("http").and_then(|given| socket("http", given));
    if let (Some(listen), Some(http)) = (listen, http)
        && is_one_port(listen, http)
    {
        let message = format!("`listen` and `http` have one port, {}", http.port());
        table.push(Diagnostic::error(root.place("worker", "http"), message).help("give each a port of its own"));
    }
    let address = table.required("address").filter(|given| {
        let good = is_address(&given.value);
        if !good {
            table.error(given.span.clone(), "`address` must be what gates call this worker, such as \"lake-1:7001\"");
        }
        good
    });
    let verification_key = table.required("verification_key").map(path);
    let tls = identity(&table, environment);
    let client_authorities = table.required("client_ca").map(path);
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let memory = table.bytes("memory").map_or(1 << 30, |bytes| bytes.value);
    let parts_max = table.number("parts_max", 1..=10_000).map_or(processors * 4, |parts| to_usize(parts.value));
    let threads = table.number("threads", 1..=1_024).map_or(processors, |threads| to_usize(threads.value));
    let spill_directory = table.text("spill_directory").map(path);
    let spill_max = table.bytes("spill_max").map_or(16 << 30, |bytes| bytes.value);
    let drain_timeout = table.duration("drain_timeout").map_or(Duration::from_secs(30), |time| time.value);
    table.finish();
    Some(WorkerConfig {
        listen: listen?,
        http,
        address: address?.value,
        verification_key: verification_key?,
        tls: tls?,
        client_authorities: client_authorities?,
        memory,
        parts_max,
        threads,
        spill_directory,
        spill_max,
        drain_timeout,
        folders,
        log,
    })
}

fn folders(tables: Vec<Table<'_>>, environment: &Environment, sink: &Sink) -> Vec<(String, PathBuf)> {
    let mut folders: Vec<(String, PathBuf)> = Vec::with_capacity(tables.len());
    for table in tables {
        let (name, path) = (table.required("name"), table.required("path"));
        table.finish();
        let (Some(name), Some(path)) = (name, path) else { continue };
        if folders.iter().any(|(known, _)| *known == name.value) {
            sink.push(Diagnostic::error(Some(name.span), format!("[[sources]] `{}` is there twice", name.value)));
            continue;
        }
        folders.push((name.value, Config::resolve_path(environment.folder(), &path.value)));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[worker]
listen = "127.0.0.1:7001"
address = "lake-1:7001"
verification_key = "gate.pub"
tls_certificate = "w.pem"
tls_key = "w.key"
client_ca = "ca.pem"
memory = "256MB"

[[sources]]
name = "lake"
path = "data/lake"
"#;

    fn parsed(text: &str) -> (Option<WorkerConfig>, Vec<String>) {
        let environment = Environment::fixed(Path::new("/w"), &[]);
        let (config, report) = parse(Path::new("worker.toml"), text, &environment);
        (config, report.diagnostics.into_iter().map(|found| format!("{found:?}")).collect())
    }

    #[test]
    fn a_worker_is_read_with_its_folders() {
        let (config, found) = parsed(GOOD);
        let config = config.unwrap_or_else(|| panic!("{found:#?}"));
        assert_eq!((config.address.as_str(), config.memory), ("lake-1:7001", 256 << 20));
        assert_eq!(config.folders, [("lake".to_owned(), PathBuf::from("/w/data/lake"))]);
        assert_eq!(config.http, None);
        let (probed, _) = parsed(&GOOD.replace("memory =", "http = \"127.0.0.1:9001\"\nmemory ="));
        assert_eq!(probed.and_then(|config| config.http), Some(([127, 0, 0, 1], 9001).into()));
        assert_eq!(config.verification_key, PathBuf::from("/w/gate.pub"));
    }

    #[test]
    fn a_workers_file_is_told_from_a_gates() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        for (text, expected) in
            [(GOOD, true), ("[workers]\naddresses = []\n", false), ("[worker\n", true), ("]", false)]
        {
            std::fs::write(&file, text).unwrap();
            assert_eq!(is_worker(&file), expected, "{text}");
        }
        assert!(!is_worker(folder.path()) && !is_worker(Path::new("/no/such")));
    }

    #[test]
    fn a_file_that_is_not_there_is_a_workers() {
        let (config, report) = load(Path::new("/no/such/worker.toml"));
        let help = report.diagnostics[0].help.as_deref().unwrap_or_default();
        assert!(config.is_none() && help.contains("workers.md") && !help.contains("querygate init"), "{help}");
    }

    #[test]
    fn each_mistake_is_told() {
        for (text, word) in [
            (GOOD.replace("verification_key", "verification_kee"), "verification_key"),
            (GOOD.replace("client_ca = \"ca.pem\"", ""), "client_ca"),
            (GOOD.replace("lake-1:7001", "lake"), "address"),
            (GOOD.replace("name = \"lake\"", ""), "name"),
            (GOOD.replace("memory =", "http = \"everywhere\"\nmemory ="), "http"),
            (GOOD.replace("memory =", "http = \"127.0.0.1:7001\"\nmemory ="), "have one port"),
            ("[[sources]]\nname = \"a\"\npath = \"b\"\n".to_owned(), "[worker]"),
        ] {
            let (config, found) = parsed(&text);
            assert!(config.is_none() && found.iter().any(|found| found.contains(word)), "{word}: {found:#?}");
        }
    }
}
