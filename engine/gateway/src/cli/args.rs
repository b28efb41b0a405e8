//! The arguments, with help that teaches. Knows nothing of what the commands do.

mod keys;
mod operation;
mod user;

use super::default_config;
use super::extract::ExtractArgs;
use crate::config::Config;
use crate::config::tls::Tls;
use crate::metadata::tables::SqlDialect;
use clap::{Args, Parser, Subcommand, ValueEnum};
pub(super) use keys::{KeyAddArgs, KeyListArgs, KeyRevokeArgs};
pub(super) use operation::{DoctorArgs, HealthArgs, ReloadArgs, WorkerArgs};
use std::net::{AddrParseError, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
pub(super) use user::{UserAddArgs, UserArgs, UserCommand, UserListArgs, UserNameArgs, UserPasswordArgs};

/// A governed SQL gateway in front of many sources: ports for Postgres clients, Flight SQL and ObjectStack's REST
/// interface, and pages for a browser. Each user sees only the rows and columns that the ObjectStack metadata allows.
#[derive(Debug, Parser)]
#[command(
    name = "querygate",
    version,
    max_term_width = 130,
    after_help = "Start here:\n  querygate demo                         an embedded company to look around in; needs nothing\n  querygate init shop.sqlite             describe a database of yours: metadata, configuration, a first user\n  querygate check                        say what is wrong, with file and line\n  querygate doctor                       say what stands against it on this machine\n  querygate serve                        serve it\n\nEvery command explains itself with --help."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an embedded company and serve it: a Postgres port, three users, things to try
    Demo(DemoArgs),
    /// Serve what the configuration says
    Serve(ServeArgs),
    /// Read tables over files for a gate, on another machine
    Worker(WorkerArgs),
    /// Check a configuration or metadata; print every mistake with file, line and the nearest valid name
    Check(CheckArgs),
    /// Look at a gate where it is to run: sources, certificates, ports, limits, memory, disks, secrets; say what to do
    Doctor(DoctorArgs),
    /// Ask a running gate whether it is ready; exit code 0 when it is
    Health(HealthArgs),
    /// Have a running gate take what its files say now; say what waits for its next start
    Reload(ReloadArgs),
    /// A local SQL shell on the same governed path that the ports use
    Sql(SqlArgs),
    /// Fetch a result from a running gate into a Parquet, Arrow or CSV file, over several connections at once
    Extract(ExtractArgs),
    /// Show what a statement would push to which source, what stays in the gate, and why
    Explain(ExplainArgs),
    /// Report what a gate has learnt: indexes to make, the costliest templates, incidents
    Advise(AdviseArgs),
    /// Say what a user may do with an object, and which layer decided
    Access(AccessArgs),
    /// Set up a gate over an existing database: metadata, configuration, a first user, and rules to think about
    Init(InitArgs),
    /// Write ObjectStack metadata for an existing SQLite file, a folder of files, or a database server
    Introspect(IntrospectArgs),
    /// Print the tables that the objects of a source need, as SQL
    Tables(TablesArgs),
    /// Add users with a SCRAM-SHA-256 verifier, list users
    User(UserArgs),
    /// API keys for programs, at all doors: add, list, revoke
    Key(KeyArgs),
    /// Hooks of the metadata: run one on a record that is given
    Hook(HookArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  querygate completions bash > /etc/bash_completion.d/querygate")]
    Completions(CompletionsArgs),
}

/// `-c FILE`, the same everywhere.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArg {
    /// Configuration file [default: querygate.toml here]
    #[arg(short, long, value_name = "FILE", env = "QUERYGATE_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigArg {
    /// This file.
    pub(crate) fn of(file: &Path) -> Self {
        Self { config: Some(file.to_path_buf()) }
    }

    /// The file given, or `querygate.toml` here.
    pub(crate) fn file(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(default_config)
    }
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  querygate demo\n  querygate demo --dir /tmp/crm --pg 127.0.0.1:6000\n  psql 'postgres://sam:demo-sam@127.0.0.1:5433/demo'\n\nIn a browser, http://127.0.0.1:8080/ui shows queries, plans, index advice and anomalies to whoever logs in.\n\nThe folder holds the data, the metadata as ObjectStack files and querygate.toml. Edit them; a second start keeps what is there. Remove the folder to begin anew.\n\n--backends starts private PostgreSQL and MariaDB servers instead, and MongoDB where it is installed, beside Parquet files, introspects them and serves one query over all; Ctrl-C stops and removes them."
)]
pub(super) struct DemoArgs {
    /// Folder for data, metadata and configuration
    #[arg(long, value_name = "DIR", default_value = "querygate-demo")]
    pub(super) dir: PathBuf,
    /// Address of the Postgres port, IP:PORT; port 0 takes any free one [default: 127.0.0.1:5433, or the next free port]
    #[arg(long, value_name = "ADDR")]
    pub(super) pg: Option<SocketAddr>,
    /// Address of the HTTP port (health, metrics, pages) [default: 127.0.0.1:8080, or the next free port]
    #[arg(long, value_name = "ADDR")]
    pub(super) http: Option<SocketAddr>,
    /// Address of the Flight SQL port [default: 127.0.0.1:8815, or the next free port]
    #[arg(long, value_name = "ADDR")]
    pub(super) flight: Option<SocketAddr>,
    /// Address of the REST port [default: 127.0.0.1:8090, or the next free port]
    #[arg(long, value_name = "ADDR")]
    pub(super) rest: Option<SocketAddr>,
    /// Print all of the guide: every statement with its answers, and programs. It is in DIR/guide.txt, too
    #[arg(long, conflicts_with = "backends")]
    pub(super) guide: bool,
    /// Make the folder and print the guide, but do not serve
    #[arg(long)]
    pub(super) seed_only: bool,
    /// Let the three users ask things all the time, one of them unusual, so that there is something to see
    #[arg(long, conflicts_with_all = ["seed_only", "backends"])]
    pub(super) traffic: bool,
    /// Let sam change his opportunities, and ada all of them; what they change stays in the folder. With --backends: let ada carry pieces
    /// between two servers, through a gate that is a process of its own
    #[arg(long)]
    pub(super) writes: bool,
    /// Start private database servers in a temporary folder and serve one query over all of them
    #[arg(long, conflicts_with_all = ["dir", "seed_only"])]
    pub(super) backends: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate serve -c querygate.toml\n  querygate serve -c querygate.toml --pg 0.0.0.0:5432\n\nSignals: SIGHUP takes configuration and metadata anew (bad ones are reported and the old ones stay; keys that wait for the next start are named); SIGTERM and Ctrl-C stop: new connections are refused, running statements may end within [server] drain_timeout.\nQUERYGATE_LOG=debug overrides [log] filter."
)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub(super) config: ConfigArg,
    /// Address of the Postgres port, IP:PORT or off, instead of [server] postgres
    #[arg(long, value_name = "ADDR")]
    pg: Option<Door>,
    /// Address of the HTTP port instead of [server] http
    #[arg(long, value_name = "ADDR")]
    http: Option<Door>,
    /// Address of the Flight SQL port instead of [flight] address
    #[arg(long, value_name = "ADDR")]
    flight: Option<Door>,
    /// Address of the REST port instead of [rest] listen
    #[arg(long, value_name = "ADDR")]
    rest: Option<Door>,
}

/// Where a door is opened, in the configuration's own words; `None`: nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Door(Option<SocketAddr>);

impl FromStr for Door {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        if text == "off" { Ok(Self(None)) } else { text.parse().map(|address| Self(Some(address))) }
    }
}

impl ServeArgs {
    pub(super) fn apply(&self, config: &mut Config) {
        if let Some(Door(address)) = self.pg {
            config.server.postgres = address;
        }
        if let Some(Door(address)) = self.http {
            config.server.http = address;
        }
        if let Some(Door(address)) = self.flight {
            config.flight.address = address;
        }
        if let Some(Door(address)) = self.rest
            && (address.is_some() || config.rest.is_some())
        {
            config.rest.get_or_insert_default().address = address;
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate advise\n  querygate advise -c querygate.toml\n\nReads the store that [learning] names, of a gate that runs or not. In a running gate the same is in the tables querygate.index_suggestions, querygate.templates and querygate.anomalies; CALL querygate.suggest_indexes() searches now, CALL querygate.apply(id) makes an index where apply_indexes = true, CALL querygate.undo(id) drops it."
)]
pub(super) struct AdviseArgs {
    #[command(flatten)]
    pub(super) config: ConfigArg,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate check                     querygate.toml here, and the metadata it names\n  querygate check querygate.toml\n  querygate check metadata/           a folder of ObjectStack files\n  querygate check app.json            one stack\n\nExit code 1 when there is an error. Warnings name what ObjectStack has and Querygate does not enforce. Sources with `writes = true` are asked for the keys of their tables and the rights of their writing users.\n\nThe SQL of views is read, and the names in it are not looked up: which there are depends on the reader."
)]
pub(super) struct CheckArgs {
    /// A configuration of a gate or of a worker (*.toml), an ObjectStack file (*.json, *.yaml) or a folder of those
    #[arg(value_name = "FILE|DIR", env = "QUERYGATE_CONFIG")]
    pub(super) path: Option<PathBuf>,
    /// Do not print warnings
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// Open no certificate, key or audit file, and do not ask sources what stands against changes of their tables
    #[arg(long)]
    pub(super) offline: bool,
}

/// Who asks.
#[derive(Debug, Clone, Args)]
pub(super) struct UserArg {
    /// Run as this configured user; may be left out when there is only one
    #[arg(short, long, value_name = "USER", env = "QUERYGATE_USER")]
    pub(super) user: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples, over the demo:\n  export QUERYGATE_CONFIG=querygate-demo/querygate.toml\n  querygate sql -u sam 'SELECT count(*) FROM accounts'\n  querygate sql -u ada --csv 'SELECT * FROM regions' > regions.csv\n  querygate sql -u iris               a prompt; \\? lists its commands\n  echo 'SELECT 1;' | querygate sql -u ada\n\nNo password is asked: whoever can read the configuration can read its sources. Rows and columns are governed as for the same user on the Postgres port."
)]
pub(super) struct SqlArgs {
    #[command(flatten)]
    pub(super) config: ConfigArg,
    #[command(flatten)]
    pub(super) user: UserArg,
    /// Print rows as CSV
    #[arg(long)]
    pub(super) csv: bool,
    /// Statements to run; without it, standard input
    #[arg(value_name = "QUERY")]
    pub(super) query: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples, over the demo:\n  export QUERYGATE_CONFIG=querygate-demo/querygate.toml\n  querygate explain -u sam 'SELECT count(*) FROM accounts WHERE industry = $$retail$$'\n  querygate explain -u sam --analyze 'SELECT …'    run it, and show rows and times too"
)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    pub(super) config: ConfigArg,
    #[command(flatten)]
    pub(super) user: UserArg,
    /// Run the statement and show rows and times
    #[arg(long)]
    pub(super) analyze: bool,
    /// The statement
    #[arg(value_name = "QUERY")]
    pub(super) query: String,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples, over the demo:\n  export QUERYGATE_CONFIG=querygate-demo/querygate.toml\n  querygate access sam crm_accounts\n  querygate access iris accounts       the SQL name works too\n  querygate access sam crm_accounts --rows rows.json\n                                       which of these records may sam edit and delete\n  querygate access sam crm_accounts --record '{\"name\": \"Ada\"}'\n                                       may sam create this record\n  querygate access sam crm_accounts --json | jq '.records[] | select(.edit.allowed).id'\n\nRights are those that `serve` gives: memberships and permission sets of the metadata and of sys_*.ndjson beside it count.\n\nThe layers are ObjectStack's: tenant_isolation, principal, required_permissions, object_crud, fls, owd_baseline, depth, sharing, vama_bypass, rls."
)]
pub(super) struct AccessArgs {
    #[command(flatten)]
    pub(super) config: ConfigArg,
    /// A configured user
    #[arg(value_name = "USER")]
    pub(super) user: String,
    /// An object, by its ObjectStack or SQL name
    #[arg(value_name = "OBJECT")]
    pub(super) object: String,
    /// Records by object, {"crm_accounts": [{"id": …}, …], …}: verdicts per record, also on what a policy looks up.
    /// `sys_*` entries are memberships and shares. What is given for an object takes the place of its rows in the
    /// metadata; other objects keep theirs
    #[arg(long, value_name = "FILE")]
    pub(super) rows: Option<PathBuf>,
    /// The record that `create` is judged on, as a JSON object; without it, an empty one
    #[arg(long, value_name = "JSON")]
    pub(super) record: Option<String>,
    /// Print one JSON object with every verdict and every record
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate introspect shop.sqlite                    print the metadata\n  querygate introspect shop.sqlite -o metadata        write metadata/shop.json\n  querygate introspect data/ --namespace lake -o metadata\n  querygate introspect mysql://gate@db.example/shop --password env:SHOP_PASSWORD -o metadata\n  querygate introspect postgres://gate@db.example/shop --password file:secret -o metadata\n\nThe metadata grants nothing but a permission set <namespace>_reader with read access to every object: give it to users, then narrow it with field permissions and rowLevelSecurity."
)]
pub(crate) struct IntrospectArgs {
    /// A SQLite file, a folder of Parquet, CSV and NDJSON files, mysql://USER@HOST:PORT/SCHEMA,
    /// mongodb://USER@HOST:PORT/DATABASE?authSource=admin,
    /// or postgres://USER@HOST:PORT/DATABASE
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,
    #[command(flatten)]
    pub(crate) access: SourceArgs,
    /// Folder to write <namespace>.json into; default: print
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate tables | sqlite3 crm.sqlite\n  querygate tables querygate.toml --source crm | psql 'postgres://owner@db.example/crm'\n  querygate tables app.json --dialect postgres\n\nFor an ObjectStack package over an empty database. It prints, and runs nothing. Tables that are there stay as they are: each statement says IF NOT EXISTS. The user who runs them owns the tables; the gate's users need rights on them."
)]
pub(super) struct TablesArgs {
    /// A configuration (*.toml), an ObjectStack file (*.json, *.yaml) or a folder of those
    #[arg(value_name = "FILE|DIR", default_value = "querygate.toml", env = "QUERYGATE_CONFIG")]
    pub(super) path: PathBuf,
    /// Objects of this source alone; may be left out where the configuration has one
    #[arg(short, long, value_name = "NAME")]
    pub(super) source: Option<String>,
    /// Whose SQL [default: the source's]
    #[arg(long, value_name = "DIALECT")]
    pub(super) dialect: Option<SqlDialect>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate init shop.sqlite\n  querygate init postgres://gate@db.example/shop --password env:SHOP_PASSWORD\n  querygate init data/ --namespace lake             a second source beside the first\n\nReads first rows of each table, and leaves out what cannot be read, with the reason. Writes metadata/, querygate.toml and one user who may read everything, checks them, says what that user sees, and names columns that look like owners, regions, parents or personal data with the rule each suggests. It applies no rule. Run it again when the source has changed: what is new comes in, what you edited stays."
)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// A SQLite file, a folder of Parquet, CSV and JSON files or one of them, or the address of a server, as for
    /// introspect; asked for where it is left out
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) access: SourceArgs,
    /// Login name of the first user, whose password is made and printed [default: analyst]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) user: Option<String>,
}

impl InitArgs {
    /// Login name of the first user.
    pub(crate) fn login(&self) -> &str {
        self.user.as_deref().unwrap_or("analyst")
    }
}

/// How an existing source is reached, and what it is called here.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArgs {
    /// Where the password of a server is: env:NAME or file:PATH
    #[arg(long, value_name = "SECRET")]
    pub(crate) password: Option<String>,
    /// TLS to a server; default: none on this machine, otherwise verify-full
    #[arg(long, value_name = "MODE")]
    pub(crate) tls: Option<TlsMode>,
    /// Certificate authorities to trust, instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Name of the source and namespace of its package: every object's name starts with it; default: the source's name
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
}

/// As `tls` of a source in the configuration.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum TlsMode {
    Off,
    Require,
    VerifyCa,
    VerifyFull,
}

impl From<TlsMode> for Tls {
    fn from(mode: TlsMode) -> Self {
        match mode {
            TlsMode::Off => Self::Off,
            TlsMode::Require => Self::Require,
            TlsMode::VerifyCa => Self::VerifyCa,
            TlsMode::VerifyFull => Self::VerifyFull,
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples, with hooks of the demo:\n  querygate hook test querygate-demo/metadata --hook probability_of_stage \\\n    --record '{\"stage\": \"won\"}'\n  querygate hook test querygate-demo/metadata --hook large_discounts_wait \\\n    --record '{\"amount\": 10}' --previous '{\"amount\": 100}'\n\nA hook is an entry of the metadata's `hooks`:\n  {\"name\": \"tidy\", \"object\": \"crm_notes\", \"events\": [\"beforeInsert\"],\n   \"body\": {\"language\": \"js\", \"source\": \"ctx.input.title = 'Untitled';\", \"capabilities\": []}}"
)]
pub(super) struct HookArgs {
    #[command(subcommand)]
    pub(super) command: HookCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum HookCommand {
    /// Run one hook, and print what it leaves of the record, its lines, its time and its memory
    #[command(
        after_help = "Examples, with hooks of the demo:\n  querygate hook test querygate-demo/metadata --hook large_discounts_wait \\\n    --record '{\"amount\": 10}' --previous '{\"amount\": 100}'\n  querygate hook test querygate-demo/metadata --hook probability_of_stage \\\n    --event beforeUpdate --at 2026-01-31T10:00:00Z \\\n    --record '{\"stage\": \"won\"}' --previous '{\"stage\": \"proposal\"}' \\\n    --records '{\"crm_accounts\": [{\"id\": \"a1\"}]}'\n\nThe script finds --record as ctx.input (in an after… event as ctx.result, too), and --previous as ctx.previous. The hook's condition is not asked. find, findOne and count of ctx.api look through --records by equality.\n\nPrints the record that the script leaves, as JSON, or `refused: …` or `failed: …`. Its calls, its lines for the log, its time and its memory go to standard error. Exit code 1: it refuses or fails."
    )]
    Test(HookTestArgs),
}

#[derive(Debug, Args)]
pub(super) struct HookTestArgs {
    /// Metadata: a file or a folder
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Name of the hook, where there are several
    #[arg(long, value_name = "NAME")]
    pub(super) hook: Option<String>,
    /// The event; the hook's first one where it is not given
    #[arg(long, value_name = "EVENT")]
    pub(super) event: Option<String>,
    /// What is given of the record, as JSON
    #[arg(long, value_name = "JSON")]
    pub(super) record: String,
    /// The stored record, as JSON
    #[arg(long, value_name = "JSON")]
    pub(super) previous: Option<String>,
    /// Records that the hook finds by ctx.api, as JSON: {"object": [{...}]}. What it changes is shown and stored nowhere
    #[arg(long, value_name = "JSON")]
    pub(super) records: Option<String>,
    /// The time at which the hook's clock stands; now where it is not given
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate key add nora --name nightly --days 90    prints the key, which is not shown again\n  querygate key list\n  querygate key revoke ID                            the id that `key list` shows\n\nKeys are for users who have a verifier. They are kept in a file that the configuration names:\n  [server]\n  keys = \"keys.ndjson\"                               # holds hashes, no key\n\nA running gate takes a new key at once, and notices within a second that one is revoked."
)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    pub(super) command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key for a user and print it, once
    #[command(
        after_help = "Examples:\n  querygate key add nora --name nightly --days 90\n  querygate key add nora --scope 'crm_*:read' --scope orders:read,update\n  curl -H \"x-api-key: $KEY\" http://127.0.0.1:8090/api/v1/data/crm_accounts\n\nPrints two lines, `id: …` and `key: osk_…`. The key is shown once, and its hash is kept.\n\nA key may do what its user may, or less with --scope: object:operations, where * ends a beginning of names and write is create, update and delete. It is good at every door: x-api-key or Authorization: Bearer over REST, Bearer over Flight SQL, and as the password of user __token__ at the Postgres port, over TLS."
    )]
    Add(KeyAddArgs),
    /// List keys: id, first characters, user, name, when they were made and when they end
    #[command(after_help = "Example:\n  querygate key list -c querygate.toml")]
    List(KeyListArgs),
    /// End a key
    #[command(
        after_help = "Example:\n  querygate key revoke ID                  the first word of a line of `querygate key list`\n\nIts sessions end within a second, with what runs in them."
    )]
    Revoke(KeyRevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Shell
    #[arg(value_name = "SHELL")]
    pub(super) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_door_may_be_closed_on_the_command_line() {
        assert_eq!("off".parse(), Ok(Door(None)));
        assert_eq!("127.0.0.1:0".parse(), Ok(Door("127.0.0.1:0".parse().ok())));
        assert!("nowhere".parse::<Door>().is_err());
        let read = Cli::try_parse_from(["querygate", "serve", "--http", "off"]);
        assert!(read.is_ok(), "{read:?}");
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
