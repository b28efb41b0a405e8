//! From TOML text to a [`Config`] or to every mistake in it. Opens no source and binds no port.

use super::syntax::diagnostic::{Diagnostic, Report};
use super::syntax::secret::{Environment, Secret};
use super::syntax::table::{At, Sink, Table};
use super::{
    Config, Governance, HiddenColumns, Limits, Log, LogFormat, MaskInPredicates, Metadata, Rest, Server, Source,
    Tenancy, User, View, events, flight, history, issuers, learning, rest, server, sources, transactions, users,
    workers,
};
use querygate_extension::Extensions;
use querygate_metadata::model::Protocol;
use querygate_resources::BlockLimits;
use querygate_types::limits::SETTING_MILLISECONDS_MAX;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeTable;

const CONFIG_BYTES_MAX: u64 = 16 << 20;

/// Reads a file. The report carries warnings even when the configuration is good.
pub(crate) fn load(file: &Path) -> (Option<Config>, Report) {
    load_with(file, &Extensions::default())
}

/// The same, of a binary with extensions.
pub(crate) fn load_with(file: &Path, extensions: &Extensions) -> (Option<Config>, Report) {
    load_as(file, extensions, OF_GATE, parse)
}

/// How a gate's file comes to be.
const OF_GATE: &str = "make one with `querygate init SOURCE`, or see engine/docs/configuration.md (of the package: /usr/share/doc/querygate/configuration.md)";

/// A file that is there, and cannot be read.
fn unread<T>(file: &str, error: &std::io::Error) -> (Option<T>, Report) {
    let found = Diagnostic::error(None, format!("cannot read the configuration: {error}"));
    let found = match error.kind() {
        std::io::ErrorKind::PermissionDenied => found.help("run it as the user whom the file belongs to"),
        _ => found,
    };
    (None, Report { file: file.to_owned(), text: String::new(), diagnostics: vec![found] })
}

/// Reads a file and parses what is in it. `made`: how one comes to be.
pub(super) fn load_as<T>(
    file: &Path,
    extensions: &Extensions,
    made: &str,
    parse: impl FnOnce(&Path, &str, &Environment) -> (Option<T>, Report),
) -> (Option<T>, Report) {
    let name = file.display().to_string();
    let failed = |message: String| {
        let diagnostics = vec![Diagnostic::error(None, message).help(made)];
        (None, Report { file: name.clone(), text: String::new(), diagnostics })
    };
    match std::fs::metadata(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return failed("there is no such file".to_owned()),
        Err(e) => return unread(&name, &e),
        Ok(meta) if meta.len() > CONFIG_BYTES_MAX => {
            return failed("the configuration is larger than 16 MB".to_owned());
        }
        Ok(_) => {}
    }
    match std::fs::read_to_string(file) {
        Err(e) => unread(&name, &e),
        Ok(text) => {
            let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            parse(file, &text, &Environment::process(folder).with_extensions(extensions))
        }
    }
}

/// Parses and resolves a text; collects every mistake.
pub(crate) fn parse(file: &Path, text: &str, environment: &Environment) -> (Option<Config>, Report) {
    let (config, report) = parse_as(file, text, |root, sink| resolve(root, file, environment, sink));
    (config.map(|config| Config { text: Secret::plain(text.to_owned()), ..config }), report)
}

/// Parses a text and resolves its tables.
pub(super) fn parse_as<T>(
    file: &Path,
    text: &str,
    resolve: impl FnOnce(Table<'_>, &Sink) -> Option<T>,
) -> (Option<T>, Report) {
    let mut report = Report { file: file.display().to_string(), text: text.to_owned(), diagnostics: Vec::new() };
    let (document, syntax) = DeTable::parse_recoverable(text);
    for error in &syntax {
        report.diagnostics.push(Diagnostic::error(error.span(), format!("not TOML: {}", error.message())));
    }
    if !syntax.is_empty() {
        report.sort();
        return (None, report);
    }
    let sink = Sink::default();
    let root = Table::new("the file", 0..0, document.get_ref(), &sink);
    let config = resolve(root, &sink);
    report.diagnostics = sink.into_inner();
    report.sort();
    let config = if report.has_errors() { None } else { config };
    (config, report)
}

fn resolve(root: Table<'_>, file: &Path, environment: &Environment, sink: &Sink) -> Option<Config> {
    let server = server::resolve(root.table("server", "[server]"), environment);
    let flight = flight::resolve(root.table("flight", "[flight]"), server.as_ref(), environment);
    let rest = rest::resolve(root.table("rest", "[rest]"), server.as_ref(), environment);
    server::one_door_a_port(&root, server.as_ref(), flight.as_ref(), rest.as_ref());
    let metadata = metadata(&root, root.table("metadata", "[metadata]"), environment);
    let limits = limits(root.table("limits", "[limits]"), environment);
    let sources = named(sink, root.tables("sources", "[[sources]]"), |table| {
        let span = table.span.clone();
        sources::resolve(table, environment).map(|source| (At { value: source.name.clone(), span }, source))
    });
    let users = named(sink, root.tables("users", "[[users]]"), users::resolve);
    let issuers = named(sink, root.tables("issuers", "[[issuers]]"), issuers::resolve);
    let views = named(sink, root.tables("views", "[[views]]"), view);
    let governance = governance(root.table("governance", "[governance]"));
    let log = log(root.table("log", "[log]"), environment);
    let (writes, block_limits, numbers) = writes(root.table("writes", "[writes]"), environment);
    let transactions = transactions::resolve(root.table("transactions", "[transactions]"), environment);
    let learning = learning::resolve(root.table("learning", "[learning]"), environment);
    let (events, metadata_webhooks) = events::resolve(root.table("events", "[events]"), environment);
    let history = history::resolve(root.table("history", "[history]"), environment);
    let workers = workers::resolve(root.table("workers", "[workers]"), environment);
    warn_about(sink, &sources, (&users, !issuers.is_empty()), server.as_ref());
    one_key_file(sink, server.as_ref(), rest.as_ref());
    warn_of_writes(sink, &sources, writes);
    transactions::warn(sink, transactions.as_ref(), writes);
    history::check(sink, history.as_ref(), events.as_ref(), writes);
    root.finish();
    Some(Config {
        file: file.to_path_buf(),
        text: Secret::plain(String::new()),
        secrets: environment.secrets(),
        secret_files: environment.secret_files(),
        server: server?,
        flight: flight?,
        rest: rest?,
        metadata: metadata?,
        limits,
        written_sources: sources.clone(),
        sources,
        users,
        issuers,
        views,
        governance,
        log,
        learning,
        writes,
        block_limits,
        numbers,
        transactions,
        events,
        history,
        metadata_webhooks,
        extensions: environment.extensions().clone(),
        workers,
    })
}

/// Whether changes are taken, off unless it is said, the limits of their transactions, and where autonumbers are kept that were given.
fn writes(table: Option<Table<'_>>, environment: &Environment) -> (bool, BlockLimits, Option<PathBuf>) {
    let mut limits = BlockLimits::default();
    let Some(table) = table else { return (false, limits, None) };
    let enabled = table.boolean("enabled").is_some_and(|enabled| enabled.value);
    for (key, limit) in [("idle_timeout", &mut limits.idle), ("transaction_timeout", &mut limits.age)] {
        if let Some(given) = table.duration(key) {
            *limit = if given.value.is_zero() { Duration::MAX } else { given.value };
        }
    }
    let numbers = table.text("numbers").map(|path| Config::resolve_path(environment.folder(), &path.value));
    table.finish();
    (enabled, limits, numbers)
}

/// Resolves each table and refuses a name that is there twice.
fn named<'a, T>(sink: &Sink, tables: Vec<Table<'a>>, one: impl Fn(Table<'a>) -> Option<(At<String>, T)>) -> Vec<T> {
    let mut seen: BTreeMap<String, Range<usize>> = BTreeMap::new();
    let mut all = Vec::with_capacity(tables.len());
    for table in tables {
        let title = table.title;
        let Some((name, value)) = one(table) else { continue };
        if seen.contains_key(&name.value) {
            sink.push(Diagnostic::error(Some(name.span), format!("{title} `{}` is there twice", name.value)));
            continue;
        }
        seen.insert(name.value, name.span);
        all.push(value);
    }
    all
}

/// Keys are of all doors: there is one file of them.
fn one_key_file(sink: &Sink, server: Option<&Server>, rest: Option<&Option<Rest>>) {
    let of_rest = rest.and_then(|rest| rest.as_ref()).and_then(|rest| rest.keys.as_ref());
    if of_rest.is_some() && server.is_some_and(|server| server.keys.is_some()) {
        let message = "[server] and [rest] both name a file of API `keys`: keep the one of [server]";
        sink.push(Diagnostic::error(None, message));
    }
}

fn warn_about(sink: &Sink, sources: &[Source], (users, has_issuers): (&[User], bool), server: Option<&Server>) {
    if sources.is_empty() {
        sink.push(Diagnostic::warning(None, "there is no [[sources]]: no table will have rows"));
    }
    if !has_issuers && !users.iter().any(|user| user.verifier.is_some()) {
        let help = "add one with `querygate user add NAME`";
        sink.push(Diagnostic::warning(None, "no user has a verifier: nobody can log in").help(help));
    }
    if let Some(server) = server
        && server.tls.is_none()
        && server.postgres.is_some_and(|address| !address.ip().is_loopback())
    {
        let help = "set tls_certificate and tls_key in [server]";
        sink.push(Diagnostic::warning(None, "the Postgres door is open to other hosts without TLS").help(help));
    }
}

/// Keys of which one alone does nothing.
fn warn_of_writes(sink: &Sink, sources: &[Source], enabled: bool) {
    let mut taking = sources.iter().filter(|source| source.takes_changes());
    match (enabled, taking.next()) {
        (false, Some(source)) => {
            let message = format!("source `{}` says `writes = true`, and no change is taken", source.name);
            sink.push(Diagnostic::warning(None, message).help("set `enabled = true` in [writes]"));
        }
        (true, None) => {
            let message = "[writes] is enabled, and no source says `writes = true`: no change is taken";
            sink.push(Diagnostic::warning(None, message));
        }
        (true, Some(_)) | (false, None) => {}
    }
}

pub(super) fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

const TENANCIES: &[(&str, Tenancy)] =
    &[("single", Tenancy::Single), ("isolated", Tenancy::Isolated), ("group", Tenancy::Group)];

const HIDDEN_COLUMNS: &[(&str, HiddenColumns)] =
    &[("absent", HiddenColumns::Absent), ("denied", HiddenColumns::Denied)];

fn metadata(root: &Table<'_>, table: Option<Table<'_>>, environment: &Environment) -> Option<Metadata> {
    let Some(table) = table else {
        root.push(
            Diagnostic::error(None, "there is no [metadata]")
                .help("add [metadata] with `path`: an ObjectStack file or folder; `querygate introspect` writes one for a database"),
        );
        return None;
    };
    let path = table.required("path");
    let posture = table.choice("posture", TENANCIES).map_or(Tenancy::Single, |p| p.value);
    let protocol = table.choice("protocol", &Protocol::ALL).map_or(Protocol::default(), |p| p.value);
    let hidden_columns = table.choice("hidden_columns", HIDDEN_COLUMNS).map_or(HiddenColumns::Absent, |h| h.value);
    let watch_interval = table.duration("watch_interval").map_or(Duration::from_secs(2), |d| d.value);
    table.finish();
    let At { value, span: path_at } = path?;
    let path = Config::resolve_path(environment.folder(), &value);
    Some(Metadata { path, path_at, posture, protocol, hidden_columns, watch_interval })
}

const GIB: u64 = 1 << 30;

/// What one user may have of something unless the file says so.
pub(super) fn half(of: usize) -> usize {
    (of / 2).max(1)
}

fn limits(table: Option<Table<'_>>, environment: &Environment) -> Limits {
    let mut limits = Limits {
        memory_per_query: GIB,
        memory_per_user: 2 * GIB,
        memory_total: 4 * GIB,
        statement_timeout: Duration::ZERO,
        queries_max: 32,
        queries_per_user_max: 16,
        queries_waiting_max: 1_000,
        source_connections_max: 256,
        source_share_per_user: 0.75,
        source_share_per_session: 0.5,
        source_rest_max: Duration::from_secs(5),
        rows_max: None,
        spill_directory: None,
        spill_max: 16 * GIB,
    };
    let Some(table) = table else { return limits };
    let total = table.bytes("memory_total");
    let per_user = table.bytes("memory_per_user");
    let per_query = table.bytes("memory_per_query");
    memory(&table, &mut limits, [total, per_user, per_query]);
    if let Some(timeout) = table.duration("statement_timeout") {
        let most = Duration::from_millis(SETTING_MILLISECONDS_MAX);
        if timeout.value > most {
            let message = format!("`statement_timeout` must be at most \"{}ms\" (24 days)", most.as_millis());
            table.error(timeout.span, message);
        } else {
            limits.statement_timeout = timeout.value;
        }
    }
    let count = |key, bounds, default| table.number(key, bounds).map_or(default, |n| to_usize(n.value));
    limits.queries_max = count("queries_max", 1..=10_000, limits.queries_max);
    limits.queries_per_user_max = count("queries_per_user_max", 1..=10_000, half(limits.queries_max));
    limits.queries_waiting_max = count("queries_waiting_max", 0..=1_000_000, limits.queries_waiting_max);
    limits.source_connections_max = count("source_connections_max", 1..=100_000, limits.source_connections_max);
    let share = |key, default| table.share(key).map_or(default, |share| share.value);
    limits.source_share_per_user = share("source_share_per_user", limits.source_share_per_user);
    limits.source_share_per_session = share("source_share_per_session", limits.source_share_per_session);
    limits.source_rest_max = table.duration("source_rest_max").map_or(limits.source_rest_max, |rest| rest.value);
    limits.rows_max = table.number("rows_max", 1..=u64::MAX).map(|n| n.value);
    limits.spill_directory =
        table.text("spill_directory").map(|d| Config::resolve_path(environment.folder(), &d.value));
    if let Some(spill) = table.bytes("spill_max") {
        limits.spill_max = spill.value;
    }
    table.finish();
    limits
}

/// Memory: a query's at most its user's, a user's at most all there is. What is not said fits what is.
fn memory(table: &Table<'_>, limits: &mut Limits, [total, per_user, per_query]: [Option<At<u64>>; 3]) {
    let value = |said: &Option<At<u64>>| said.as_ref().map(|at| at.value);
    limits.memory_total = value(&total).unwrap_or(limits.memory_total);
    let most = value(&per_user).unwrap_or(limits.memory_total).min(limits.memory_total);
    limits.memory_per_query = value(&per_query).unwrap_or(limits.memory_per_query.min(most));
    let share = (limits.memory_total / 2).max(limits.memory_per_query);
    limits.memory_per_user = value(&per_user).unwrap_or(share);
    if let Some(small) = [&total, &per_user, &per_query].into_iter().flatten().find(|m| m.value < 1 << 20) {
        table.error(small.span.clone(), "a memory limit must be at least 1MB");
    }
    let (query, user) = (limits.memory_per_query, limits.memory_per_user);
    let said = |text: &str| {
        table
            .error(per_query.as_ref().or(per_user.as_ref()).or(total.as_ref()).map_or(0..0, |at| at.span.clone()), text)
    };
    if query > limits.memory_total {
        said("`memory_per_query` must not exceed `memory_total`");
    } else if query > user {
        said("`memory_per_query` must not exceed `memory_per_user`");
    }
    if let Some(at) = per_user.filter(|at| at.value > limits.memory_total) {
        table.error(at.span, "`memory_per_user` must not exceed `memory_total`");
    }
}

fn view(table: Table<'_>) -> Option<(At<String>, View)> {
    let name = table.required("name");
    let sql = table.required("sql");
    let schema = table.text("schema");
    let comment = table.text("comment").map(|c| c.value);
    let name = name.and_then(|name| sources::check_name(&table, name));
    let schema = match schema {
        None => Some("public".to_owned()),
        Some(schema) => sources::check_name(&table, schema).map(|s| s.value),
    };
    let schema = schema.filter(|schema| {
        let reserved = matches!(schema.as_str(), "pg_catalog" | "information_schema" | "querygate");
        if reserved {
            table.error(table.span.clone(), format!("schema `{schema}` is reserved"));
        }
        !reserved
    });
    table.finish();
    let (name, sql, schema) = (name?, sql?, schema?);
    let (name_at, sql_at) = (name.span.clone(), sql.span);
    let key = At { value: format!("{schema}.{}", name.value), span: name.span };
    Some((key, View { schema, name: name.value, sql: sql.value, comment, name_at, sql_at }))
}

const MASK_IN_PREDICATES: &[(&str, MaskInPredicates)] =
    &[("mask", MaskInPredicates::Mask), ("refuse", MaskInPredicates::Refuse)];

fn governance(table: Option<Table<'_>>) -> Governance {
    let mut governance = Governance { mask_in_predicates: MaskInPredicates::Mask, verify_sample: 0.0 };
    let Some(table) = table else { return governance };
    if let Some(mask) = table.choice("mask_in_predicates", MASK_IN_PREDICATES) {
        governance.mask_in_predicates = mask.value;
    }
    if let Some(share) = table.share("verify_sample") {
        governance.verify_sample = share.value;
    }
    table.finish();
    governance
}

const LOG_FORMATS: &[(&str, LogFormat)] = &[("human", LogFormat::Human), ("json", LogFormat::Json)];

pub(super) fn log(table: Option<Table<'_>>, environment: &Environment) -> Log {
    let mut log = Log { format: LogFormat::Human, filter: "info".to_owned(), audit: None };
    let Some(table) = table else { return log };
    if let Some(format) = table.choice("format", LOG_FORMATS) {
        log.format = format.value;
    }
    if let Some(filter) = table.text("filter") {
        match filter.value.parse::<tracing_subscriber::EnvFilter>() {
            Ok(_) => log.filter = filter.value,
            Err(e) => table.error(filter.span, format!("`filter` is not a log filter: {e}")),
        }
    }
    log.audit = table.text("audit").map(|path| Config::resolve_path(environment.folder(), &path.value));
    table.finish();
    log
}
