//! `querygate demo --backends`: private database servers beside a data lake, introspected, governed and asked as one. Knows
//! how a demo is put together; what a server needs is its own file's business.

mod governance;
pub(crate) mod guide;
mod lake;
mod mariadb;
mod mongodb;
mod postgres;
mod server;
pub(crate) mod stock;
mod trade;

use super::guide::Question;
use crate::cli::{IntrospectArgs, SourceArgs};
use crate::config::Config;
use crate::output::Output;
use crate::serve::Threads;
use crate::shell::{Format, Shell};
use guide::{Part, question};
use querygate_query_api::service::{ClientInfo, Door};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value;
use server::Server;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;
use trade::Trade;

/// The servers that the demo starts. Another one is a file here and a line in this list.
const BACKENDS: &[&dyn Backend] = &[&postgres::Postgres, &mariadb::MariaDb, &mongodb::MongoDb];

/// A kind of server that the demo can start.
trait Backend: Sync {
    /// What people call it.
    fn name(&self) -> &'static str;
    /// The source's name, which is also its package's namespace.
    fn source(&self) -> &'static str;
    /// The command that installs it.
    fn install(&self) -> &'static str;
    /// Whether the demo goes on without it.
    fn optional(&self) -> bool;
    /// Its programs, looked for in these folders and where its packages put them.
    fn find(&self, folders: &[PathBuf]) -> Option<Programs>;
    /// Makes a server in `folder` (which is there and empty), starts it and loads its part of the data. `writes`: with a stock that may be
    /// changed, of servers that can take part in transactions of several.
    fn start(&self, programs: &Programs, folder: &Path, trade: &Trade, writes: bool) -> Result<Started>;
    /// Narrows what its introspected package grants, and opens its stock.
    fn govern(&self, package: &mut Value, writes: bool) -> Result<()>;
    /// What it adds to the demo's query.
    fn part(&self) -> Part;
}

/// Paths of programs by name.
type Programs = BTreeMap<&'static str, PathBuf>;

/// A loaded server.
struct Started {
    server: Server,
    /// What `querygate introspect` is given.
    address: String,
    /// Of the account that the gate uses.
    password: String,
    /// Keys of its `[[sources]]` entry beside name and password.
    entry: String,
}

/// A demo whose servers run until it is dropped.
pub(crate) struct Running {
    _servers: Vec<Server>,
    /// After the servers: they are stopped before their files go.
    folder: TempDir,
    backends: Vec<&'static str>,
    question: Question,
    /// What EXPLAIN says to one whom policies restrict.
    plan: String,
    rows: usize,
    seconds: f64,
}

impl Running {
    /// Its configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        config_file(self.folder.path())
    }
}

fn config_file(folder: &Path) -> PathBuf {
    folder.join("querygate.toml")
}

/// Starts everything. `writes`: what of it may be changed is, by a gate of its own. `progress` gets a line per step.
pub(crate) fn start(writes: bool, progress: &mut dyn FnMut(&str)) -> Result<Running> {
    let began = Instant::now();
    let found = installed(BACKENDS, &search_path(), progress)?;
    let folder = tempfile::Builder::new().prefix("querygate-backends-").tempdir().map_err(|e| disk(&e))?;
    // Servers run under accounts of their own and must reach the folders in it, which are closed to everybody else.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).map_err(|e| disk(&e))?;
    let trade = Trade::made();
    let (mut servers, mut entries, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for (backend, programs) in &found {
        let home = folder.path().join(backend.source());
        std::fs::create_dir(&home).map_err(|e| disk(&e))?;
        let started = backend.start(programs, &home, &trade, writes)?;
        progress(&format!("{}: a private server on {}", backend.name(), started.address));
        let password = folder.path().join(format!("{}.password", backend.source()));
        server::write_secret(&password, &started.password)?;
        introspect(folder.path(), backend.source(), &started.address, Some(&password))?;
        governance::edit(&metadata(folder.path()), backend.source(), |package| backend.govern(package, writes))?;
        entries.push(governance::source_entry(backend.source(), &started.entry, true));
        parts.push(backend.part());
        servers.push(started.server);
    }
    let files = folder.path().join(lake::SOURCE);
    lake::write(&files, &trade)?;
    introspect(folder.path(), lake::SOURCE, &files.display().to_string(), None)?;
    governance::edit(&metadata(folder.path()), lake::SOURCE, lake::govern)?;
    entries.push(governance::source_entry(lake::SOURCE, lake::ENTRY, false));
    parts.push(lake::part());
    progress("introspected each of them into ObjectStack metadata, and narrowed what it grants");
    let config = config_file(folder.path());
    governance::write_config(&config, "", &entries, &parts)?;
    let question = question(&parts, &trade);
    let plan = explained(&config, &question.sql)?;
    if writes {
        // Last: the log of decisions is of one process, which is not this one.
        governance::write_config(&config, stock::CONFIG, &entries, &parts)?;
    }
    let backends = found.iter().map(|(backend, _)| backend.name()).chain(["Parquet files"]).collect();
    let rows = trade.rows(&parts);
    Ok(Running { _servers: servers, folder, backends, question, plan, rows, seconds: began.elapsed().as_secs_f64() })
}

fn metadata(folder: &Path) -> PathBuf {
    folder.join("metadata")
}

/// Folders of `PATH`, and those that hold servers without being on everybody's.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).collect()
}

type Found<'a> = Vec<(&'a dyn Backend, Programs)>;

/// The servers that are there. What is missing is named, all of it at once.
fn installed<'a>(
    backends: &[&'a dyn Backend],
    folders: &[PathBuf],
    progress: &mut dyn FnMut(&str),
) -> Result<Found<'a>> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for backend in backends {
        match backend.find(folders) {
            Some(programs) => found.push((*backend, programs)),
            None if backend.optional() => {
                progress(&format!("{} is not installed and is left out ({})", backend.name(), backend.install()));
            }
            None => missing.push(*backend),
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let names: Vec<&str> = missing.iter().map(|backend| backend.name()).collect();
    let commands: Vec<&str> = missing.iter().map(|backend| backend.install()).collect();
    let are = if missing.len() == 1 { "is" } else { "are" };
    Err(Error::new(ErrorCode::SourceUnavailable, format!("{} {are} not installed", names.join(" and ")))
        .with_hint(format!("Install with: {}. Or run querygate demo, which needs no server.", commands.join("; "))))
}

/// All of the programs, out of the first folder that has them all.
fn programs(names: &[&'static str], folders: &[PathBuf]) -> Option<Programs> {
    folders.iter().find_map(|folder| {
        let all: Programs = names.iter().map(|name| (*name, folder.join(name))).collect();
        all.values().all(|path| path.is_file()).then_some(all)
    })
}

/// What `querygate introspect SOURCE -o metadata` does.
fn introspect(folder: &Path, namespace: &str, address: &str, password: Option<&Path>) -> Result<()> {
    let args = IntrospectArgs {
        source: PathBuf::from(address),
        access: SourceArgs {
            password: password.map(|path| format!("file:{}", path.display())),
            tls: None,
            tls_ca: None,
            namespace: Some(namespace.to_owned()),
        },
        output: Some(metadata(folder)),
    };
    // What it says is for those who write their own configuration; here that is done.
    let (mut unread, _) = Output::captured("");
    crate::introspect::run(&args, &mut unread).map(drop)
}

/// EXPLAIN of the question as a user whom policies restrict, with what each source is given.
fn explained(config: &Path, sql: &str) -> Result<String> {
    let (config, report) = crate::config::load(config);
    let config: Config = config.ok_or_else(|| {
        let first = report.diagnostics.first().map(|d| format!("{d:?}")).unwrap_or_default();
        Error::internal(format!("the demo's configuration is refused: {first}"))
    })?;
    let user = config.user(governance::RESTRICTED).ok_or_else(|| Error::internal("the demo lacks a user"))?;
    let threads = Threads::start(&config)?;
    let gate = threads.build(&config)?;
    let client =
        ClientInfo { door: Door::Shell, database: config.server.database.clone(), peer: None, settings: Vec::new() };
    let (mut output, captured) = Output::captured("");
    let well = threads.block_on(async {
        let session = gate.service.open(Arc::clone(&user.principal), client).await?;
        let mut shell = Shell::new(session, &user.name, Format::Plain);
        let well = shell.run(&format!("EXPLAIN {sql}"), &mut output).await;
        shell.close().await;
        well
    })?;
    if well { Ok(captured.text()) } else { Err(Error::internal(format!("EXPLAIN failed: {}", captured.text()))) }
}

fn disk(error: &std::io::Error) -> Error {
    Error::new(ErrorCode::DiskFull, "cannot write the demo's temporary folder")
        .with_detail(error.to_string())
        .with_hint("TMPDIR names another place for it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_command_that_installs_it() {
        let mut said = Vec::new();
        let empty = tempfile::tempdir().unwrap();
        let folders = [empty.path().to_path_buf()];
        // Only programs on the given path count here: the packages' own places may hold them.
        let absent: Vec<&dyn Backend> =
            vec![&Absent { name: "One", optional: false }, &Absent { name: "Two", optional: false }];
        let error = installed(&absent, &folders, &mut |line| said.push(line.to_owned())).err().unwrap();
        assert_eq!(error.message(), "One and Two are not installed");
        assert!(error.hint().unwrap().contains("apt-get install One; apt-get install Two"), "{error:?}");
        let optional: Vec<&dyn Backend> = vec![&Absent { name: "Three", optional: true }];
        assert!(installed(&optional, &folders, &mut |line| said.push(line.to_owned())).unwrap().is_empty());
        assert_eq!(said, ["Three is not installed and is left out (apt-get install Three)"]);
    }

    #[test]
    fn programs_are_taken_from_one_folder() {
        let (one, both) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(one.path().join("psql"), "").unwrap();
        for name in ["psql", "postgres"] {
            std::fs::write(both.path().join(name), "").unwrap();
        }
        let folders = [one.path().to_path_buf(), both.path().to_path_buf()];
        let found = programs(&["psql", "postgres"], &folders).unwrap();
        assert_eq!(found["psql"], both.path().join("psql"));
        assert!(programs(&["psql", "mongod"], &folders).is_none());
    }

    struct Absent {
        name: &'static str,
        optional: bool,
    }

    impl Backend for Absent {
        fn name(&self) -> &'static str {
            self.name
        }

        fn source(&self) -> &'static str {
            "absent"
        }

        fn install(&self) -> &'static str {
            match self.name {
                "One" => "apt-get install One",
                "Two" => "apt-get install Two",
                _ => "apt-get install Three",
            }
        }

        fn optional(&self) -> bool {
            self.optional
        }

        fn find(&self, folders: &[PathBuf]) -> Option<Programs> {
            programs(&["no-such-server"], folders)
        }

        fn start(&self, _programs: &Programs, _folder: &Path, _trade: &Trade, _writes: bool) -> Result<Started> {
            Err(Error::internal("it is absent"))
        }

        fn govern(&self, _package: &mut Value, _writes: bool) -> Result<()> {
            Ok(())
        }

        fn part(&self) -> Part {
            lake::part()
        }
    }
}
