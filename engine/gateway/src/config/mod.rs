//! The configuration as the rest of the binary sees it: resolved, checked, and never half valid. Knows no TOML.

mod events;
mod flight;
mod history;
mod issuers;
mod learning;
mod live;
mod resolve;
mod rest;
mod server;
mod sources;
mod syntax;
mod transactions;
mod users;
pub(crate) mod worker;
mod workers;

pub(crate) use flight::FLIGHT_PORT;
pub(crate) use issuers::{Issuer, TokenUsers};
pub(crate) use live::{Taken, reread};
#[cfg(test)]
pub(crate) use resolve::parse;
pub(crate) use resolve::{load, load_with};
pub(crate) use rest::REST_PORT;
pub(crate) use server::{HTTP_PORT, POSTGRES_PORT, is_one_port};
pub(crate) use sources::native::NativeSource;
pub(crate) use sources::per_object::{BadValues, OnChange, PerObject};
pub(crate) use sources::{FileStore, S3Store, Source, SourceKind, mongodb, mysql, postgres, tls};
pub(crate) use syntax::diagnostic;
pub(crate) use syntax::secret::{Environment, Secret};
pub(crate) use transactions::Transactions;
pub(crate) use users::User;
pub(crate) use workers::is_address as is_worker_address;

use querygate_extension::Extensions;
use querygate_metadata::model::Protocol;
use querygate_web::Proxies;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything `querygate.toml` says. Built only by [`load`], so every value is in range, every name is
/// unique and every secret has been read.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The file, as given; for messages.
    pub(crate) file: PathBuf,
    /// What stands in it, which is as secret as what it names.
    pub(crate) text: Secret,
    /// Every secret that was read, so that what is printed can be searched for them.
    pub(crate) secrets: Vec<Secret>,
    /// Files that secrets were read from.
    pub(crate) secret_files: Vec<PathBuf>,
    pub(crate) server: Server,
    pub(crate) flight: Flight,
    /// `None`: there is no `[rest]`.
    pub(crate) rest: Option<Rest>,
    pub(crate) metadata: Metadata,
    pub(crate) limits: Limits,
    pub(crate) sources: Vec<Source>,
    /// As the file has them: a command may have changed what is served.
    pub(crate) written_sources: Vec<Source>,
    pub(crate) users: Vec<User>,
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) views: Vec<View>,
    pub(crate) governance: Governance,
    pub(crate) log: Log,
    /// `None`: the gate does not learn.
    pub(crate) learning: Option<Learning>,
    /// Whether INSERT, UPDATE and DELETE are taken at all.
    pub(crate) writes: bool,
    /// How long a transaction may take part in a source that it changes.
    pub(crate) block_limits: querygate_resources::BlockLimits,
    /// Where it is kept which autonumbers were given; `None`: only in memory.
    pub(crate) numbers: Option<PathBuf>,
    /// `None`: a transaction changes one source.
    pub(crate) transactions: Option<Transactions>,
    /// `None`: no events are kept.
    pub(crate) events: Option<Events>,
    pub(crate) metadata_webhooks: MetadataWebhooks,
    /// `None`: no history of fields is kept.
    pub(crate) history: Option<querygate_events::HistoryOptions>,
    /// What the binary has in Rust, which configuration and metadata may name.
    pub(crate) extensions: Extensions,
    /// `None`: the gate reads all by itself.
    pub(crate) workers: Option<Workers>,
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// Where the Postgres door listens; `None` for "off".
    pub(crate) postgres: Option<SocketAddr>,
    /// Where health, readiness and metrics listen; `None` for "off".
    pub(crate) http: Option<SocketAddr>,
    /// Whether there are pages to log in to on it; by default only where nobody else can listen, on this machine.
    pub(crate) pages: Option<bool>,
    /// The one database name that clients connect to.
    pub(crate) database: String,
    pub(crate) tls: Option<TlsFiles>,
    /// Refuses connections without TLS. Only together with `tls`.
    pub(crate) require_tls: bool,
    pub(crate) connection_max: usize,
    /// Sessions of one user.
    pub(crate) connections_per_user_max: usize,
    /// Whom the doors over HTTP believe in whose requests they pass on.
    pub(crate) proxies: Proxies,
    /// How long a client may take to prove its password.
    pub(crate) authentication_timeout: Duration,
    /// Threads of the runtime that reads and writes sockets.
    pub(crate) wire_workers: usize,
    /// Threads of the runtime that runs queries.
    pub(crate) query_workers: usize,
    /// How long an orderly stop waits for running statements.
    pub(crate) drain_timeout: Duration,
    /// File of API keys.
    pub(crate) keys: Option<PathBuf>,
}

/// `[flight]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flight {
    /// Where the Flight SQL door listens; `None` for nowhere.
    pub(crate) address: Option<SocketAddr>,
    /// PEM file of the authorities whose certificates clients must show. Only together with the server's `tls`.
    pub(crate) client_ca: Option<PathBuf>,
    /// Result streams at once.
    pub(crate) stream_max: usize,
    /// Endpoints of a large result when the client names no number.
    pub(crate) endpoint_max: usize,
    /// A session that nobody uses for so long ends.
    pub(crate) session_idle: Duration,
    /// How long a session lasts at most.
    pub(crate) token_lifetime: Duration,
    /// How long a ticket can be fetched.
    pub(crate) ticket_lifetime: Duration,
}

/// `[rest]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Where the REST door listens; `None` for nowhere.
    pub(crate) address: Option<SocketAddr>,
    /// Whether answers say what this gate adds to ObjectStack's interface.
    pub(crate) extensions: bool,
    /// Bytes of a request's body.
    pub(crate) body_max: usize,
    /// How long a login is good for.
    pub(crate) session_lifetime: Duration,
    /// Requests a second from one address; 0: any number. So the next two.
    pub(crate) requests_per_address: u32,
    pub(crate) requests_per_user: u32,
    pub(crate) requests_per_key: u32,
    /// File of API keys, as [server] may name it too.
    pub(crate) keys: Option<PathBuf>,
}

/// `[workers]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workers {
    /// `host:port` of each.
    pub(crate) addresses: Vec<String>,
    /// `host:port` of names that stand for several workers each, and are looked up again.
    pub(crate) names: Vec<String>,
    /// File of further addresses, which is read again.
    pub(crate) list: Option<PathBuf>,
    /// PEM file of the key that seals parts.
    pub(crate) signing_key: PathBuf,
    /// What the gate shows to workers.
    pub(crate) tls: TlsFiles,
    /// PEM file of the authorities whose certificates workers must show.
    pub(crate) authorities: PathBuf,
    /// Leaves that read fewer bytes of files stay in the gate.
    pub(crate) bytes_min: u64,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// ObjectStack's tenancy postures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tenancy {
    /// One organization: no wall.
    Single,
    /// Rows of the active organization only.
    Isolated,
    /// Rows of all organizations the user belongs to.
    Group,
}

/// `[metadata]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// An ObjectStack stack: one file, or a folder whose files merge.
    pub(crate) path: PathBuf,
    /// The place of `path` in the configuration; for messages.
    pub(crate) path_at: Range<usize>,
    pub(crate) posture: Tenancy,
    /// The release of ObjectStack whose rules are followed.
    pub(crate) protocol: Protocol,
    pub(crate) hidden_columns: HiddenColumns,
    /// Reload by itself when a file changes, looking this often; zero for never.
    pub(crate) watch_interval: Duration,
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limits {
    /// Bytes one query may hold. At most `memory_total`.
    pub(crate) memory_per_query: u64,
    /// Bytes that all of one user may hold: queries, cursors, prepared statements. At least `memory_per_query`.
    pub(crate) memory_per_user: u64,
    /// Bytes all queries may hold together.
    pub(crate) memory_total: u64,
    /// Zero: no limit. A session may lower it with `SET statement_timeout`.
    pub(crate) statement_timeout: Duration,
    /// Statements that run at once; more wait.
    pub(crate) queries_max: usize,
    /// Those of one user.
    pub(crate) queries_per_user_max: usize,
    /// Statements that wait; more are refused with 53300.
    pub(crate) queries_waiting_max: usize,
    /// Connections to servers of all sources together.
    pub(crate) source_connections_max: usize,
    /// Share of a source's connections that one user's statements hold, from 0 to 1.
    pub(crate) source_share_per_user: f64,
    /// Share that one session's statements hold.
    pub(crate) source_share_per_session: f64,
    /// How long a result that nobody reads keeps a connection for which others wait; zero: as long as it lasts.
    pub(crate) source_rest_max: Duration,
    /// Rows of one result; `None` for any number.
    pub(crate) rows_max: Option<u64>,
    /// Where operators may put what does not fit; `None` for nowhere.
    pub(crate) spill_directory: Option<PathBuf>,
    /// Bytes that all spill files may hold together.
    pub(crate) spill_max: u64,
}

/// One `[[views]]`: a named query that runs with the reader's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) sql: String,
    pub(crate) comment: Option<String>,
    /// Places in the file.
    pub(crate) name_at: Range<usize>,
    pub(crate) sql_at: Range<usize>,
}

impl View {
    /// Whether one of these tables, SQL names by names of objects, has its name.
    pub(crate) fn is_named_as_one_of(&self, tables: &BTreeMap<&str, &str>) -> bool {
        self.schema == "public" && tables.values().any(|table| *table == self.name)
    }
}

/// What a column does that its reader may not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HiddenColumns {
    /// It is not there: its name is no name of its table.
    Absent,
    /// It has its name, and a statement that reads it is refused with 42501, as in PostgreSQL.
    Denied,
}

/// What a masked column does in WHERE, GROUP BY, ORDER BY and JOIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaskInPredicates {
    /// It carries its mask everywhere.
    Mask,
    /// The statement is refused with 42501, as ObjectStack does.
    Refuse,
}

/// `[governance]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Governance {
    pub(crate) mask_in_predicates: MaskInPredicates,
    /// Share of the reads that sources run, from 0 to 1, which are also computed here and compared.
    pub(crate) verify_sample: f64,
}

/// `[learning]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Learning {
    /// Folder of the telemetry store.
    pub(crate) directory: PathBuf,
    /// Age at which records of single statements are forgotten.
    pub(crate) retention: Duration,
    /// Bytes that the store may have.
    pub(crate) size_max: u64,
    pub(crate) alerts_per_day: u32,
    pub(crate) webhook: Option<Webhook>,
    /// Where spans and metrics go.
    pub(crate) otlp: Option<Otlp>,
    /// Whether operators may make and drop suggested indexes through the gate.
    pub(crate) apply_indexes: bool,
    /// How often indexes are searched; zero: only on demand.
    pub(crate) suggest_every: Duration,
    /// Bytes that the suggested indexes of a source may take together.
    pub(crate) index_budget: u64,
}

/// `[events]`.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    pub(crate) options: querygate_events::EventOptions,
    pub(crate) webhooks: Vec<EventWebhook>,
}

/// What becomes of the webhooks that metadata declares.
#[derive(Debug, Clone)]
pub(crate) enum MetadataWebhooks {
    /// Nothing is said: one that is active is a mistake.
    Unsaid,
    /// They are not sent, on purpose.
    Declined,
    Sent(SentWebhooks),
}

/// `[events.metadata_webhooks]`: how the webhooks that metadata declares are sent.
#[derive(Debug, Clone)]
pub(crate) struct SentWebhooks {
    /// The user whose rights judge what is sent.
    pub(crate) user: String,
    pub(crate) secret: Secret,
    pub(crate) give_up: Duration,
    pub(crate) private_addresses: bool,
}

/// One `[[events.webhooks]]`.
#[derive(Debug, Clone)]
pub(crate) struct EventWebhook {
    pub(crate) name: String,
    pub(crate) url: Secret,
    pub(crate) secret: Secret,
    /// The user whose rights judge what is sent.
    pub(crate) user: String,
    /// `None`: all that the user sees.
    pub(crate) objects: Option<Vec<String>>,
    /// How long a request is tried.
    pub(crate) give_up: Duration,
    /// Whether it may be at an address of this machine or of a private network.
    pub(crate) private_addresses: bool,
}

/// A collector of OpenTelemetry, and what lets us in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Otlp {
    pub(crate) url: Secret,
    pub(crate) protocol: querygate_learning::OtlpProtocol,
    pub(crate) authorization: Option<Secret>,
}

/// Where alerts go, and the key that signs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    pub(crate) url: Secret,
    pub(crate) secret: Secret,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Human,
    Json,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    /// A tracing filter, `info` or `info,querygate_query=debug`. `QUERYGATE_LOG` overrides it.
    pub(crate) filter: String,
    /// Append-only file of JSON lines, one per statement; `None` for none.
    pub(crate) audit: Option<PathBuf>,
}

impl Config {
    /// The user of this name.
    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The file of API keys; `None`: there are none.
    pub(crate) fn key_file(&self) -> Option<PathBuf> {
        let of_rest = || self.rest.as_ref().and_then(|rest| rest.keys.clone());
        self.server.keys.clone().or_else(of_rest)
    }

    /// A path of the file, seen from the file's folder.
    fn resolve_path(folder: &Path, path: &str) -> PathBuf {
        let path = Path::new(path);
        if path.is_absolute() { path.to_path_buf() } else { folder.join(path) }
    }
}

#[cfg(test)]
mod tests;
