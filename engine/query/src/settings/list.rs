//! Settings of a session (SET, SHOW, RESET). Closed: a setting that does not exist is refused, and none is silently ignored, but for
//! those that clients make up under a prefix of their own.

mod values;

use super::custom::{Custom, named};
use crate::settings::durations::milliseconds;
use querygate_types::{Error, ErrorCode, Result};
use querygate_workers::gate::Mode;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use values::{accept, share};

/// What a setting accepts.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool,
    /// Whole number without unit: least, most.
    Integer(i64, i64),
    /// Milliseconds; Postgres' units are understood (`ms`, `s`, `min`, `h`, `d`).
    Milliseconds,
    /// A number from 0 to 1.
    Share,
    /// One of these; compared without case, shown as written here.
    Choice(&'static [&'static str]),
    Text,
    TimeZone,
    DateStyle,
    Utf8,
    /// Part of the server, not of the session.
    Fixed,
}

/// Bytes of a setting that is a text: enough for as many names as PostgreSQL would take.
const TEXT_BYTES_MAX: usize = 4_096;

/// One setting.
#[derive(Debug)]
struct Setting {
    name: &'static str,
    kind: Kind,
    default: &'static str,
    /// Sent to clients as ParameterStatus.
    reported: bool,
    help: &'static str,
}

const fn setting(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { name, kind, default, reported: false, help }
}

const fn reported(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { name, kind, default, reported: true, help }
}

/// The version clients see: they choose their catalog queries by it.
pub(crate) const SERVER_VERSION: &str = "15.0 (Querygate)";

static SETTINGS: &[Setting] = &[
    reported("application_name", Kind::Text, "", "Name of the client program."),
    setting("bytea_output", Kind::Choice(&["hex", "escape"]), "hex", "Text form of bytea."),
    reported("client_encoding", Kind::Utf8, "UTF8", "Encoding of the client; always UTF8."),
    setting(
        "client_min_messages",
        Kind::Choice(&["debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "notice", "warning", "error"]),
        "notice",
        "Least severity of notices.",
    ),
    reported("DateStyle", Kind::DateStyle, "ISO, MDY", "Form of dates; output is always ISO."),
    setting(
        "default_transaction_isolation",
        Kind::Choice(&["read committed", "repeatable read", "serializable", "read uncommitted"]),
        "read committed",
        "Isolation level of new transactions.",
    ),
    reported("default_transaction_read_only", Kind::Bool, "on", "Transactions only read."),
    setting("default_table_access_method", Kind::Fixed, "heap", "Every table is a table."),
    setting("jit", Kind::Bool, "off", "No effect: there is no just-in-time compiler."),
    setting("max_index_keys", Kind::Fixed, "32", "Columns of an index in the catalog."),
    setting("extra_float_digits", Kind::Integer(-15, 3), "1", "Digits of floating-point output."),
    setting(
        "idle_in_transaction_session_timeout",
        Kind::Milliseconds,
        "0",
        "Ends a session that idles in a transaction.",
    ),
    setting("idle_session_timeout", Kind::Milliseconds, "0", "Ends a session that idles."),
    reported("in_hot_standby", Kind::Fixed, "off", "Not a standby."),
    reported("integer_datetimes", Kind::Fixed, "on", "Timestamps are integers on the wire."),
    reported("IntervalStyle", Kind::Choice(&["postgres"]), "postgres", "Form of intervals."),
    reported("is_superuser", Kind::Fixed, "off", "No session is a superuser."),
    setting("lc_collate", Kind::Fixed, "C", "Text is ordered by code point."),
    setting("lc_ctype", Kind::Fixed, "C", "Character classes."),
    setting(
        "lock_timeout",
        Kind::Milliseconds,
        "0",
        "Kept for clients; how long a change waits for locks is its source's.",
    ),
    setting("max_identifier_length", Kind::Fixed, "63", "Length of identifiers."),
    setting("role", Kind::Fixed, "none", "Nobody becomes another."),
    setting("row_security", Kind::Choice(&["on"]), "on", "Policies always apply."),
    reported("scram_iterations", Kind::Fixed, "4096", "Iterations of new verifiers."),
    setting("search_path", Kind::Text, "public", "Schemas searched for unqualified names."),
    reported("server_encoding", Kind::Fixed, "UTF8", "Encoding of the server."),
    reported("server_version", Kind::Fixed, SERVER_VERSION, "Version that clients choose their catalog queries by."),
    setting("server_version_num", Kind::Fixed, "150000", "The same as a number."),
    reported("session_authorization", Kind::Fixed, "", "The login."),
    setting("ssl_renegotiation_limit", Kind::Fixed, "0", "No renegotiation."),
    reported("standard_conforming_strings", Kind::Choice(&["on"]), "on", "Backslashes in strings are plain."),
    setting("statement_timeout", Kind::Milliseconds, "0", "Ends a statement that runs longer."),
    setting("synchronize_seqscans", Kind::Bool, "on", "Rows come in no promised order."),
    setting("synchronous_commit", Kind::Choice(&["on", "off", "local"]), "on", "A COMMIT waits for its source."),
    reported("TimeZone", Kind::TimeZone, "UTC", "Zone of timestamptz output and of date functions."),
    setting(
        TRANSACTION_ISOLATION,
        Kind::Choice(&["read committed", "repeatable read", "serializable", "read uncommitted"]),
        "read committed",
        "Isolation level of this transaction.",
    ),
    setting("transaction_read_only", Kind::Bool, "on", "This transaction only reads."),
    setting("transaction_deferrable", Kind::Bool, "off", "No effect."),
    setting("xmloption", Kind::Choice(&["content", "document"]), "content", "There is no xml type."),
    setting(
        "querygate.require_pushdown",
        Kind::Bool,
        "off",
        "Refuse a statement on a pushable source that would run locally.",
    ),
    setting("querygate.strict_text_operators", Kind::Bool, "off", "Refuse text operators on fields of other types."),
    setting(
        LEARNING,
        Kind::Bool,
        "on",
        "Whether the gate learns from the session's statements and follows its own advice.",
    ),
    setting(
        VERIFY_SAMPLE,
        Kind::Share,
        "0",
        "Share of the reads that sources run which the gate computes again and compares; with 1, reads end after that.",
    ),
    setting(
        PLAN_TEMPLATES,
        Kind::Bool,
        "on",
        "Whether statements share plans by their constants and values, and answers of the catalog are kept.",
    ),
    setting(
        WORKERS,
        Kind::Choice(&["off", "on", "auto"]),
        "auto",
        "Whether workers read tables over files: never, wherever they can, or where it is worth it.",
    ),
];

const WORKERS: &str = "querygate.workers";
const VERIFY_SAMPLE: &str = "querygate.verify_sample";
const PLAN_TEMPLATES: &str = "querygate.plan_templates";
const LEARNING: &str = "querygate.learning";
const TRANSACTION_ISOLATION: &str = "transaction_isolation";

/// The values of one session.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Changed values; a missing one has its start value.
    values: BTreeMap<&'static str, String>,
    /// Start values that differ from the built-in defaults (server configuration, startup packet).
    starts: Arc<BTreeMap<&'static str, String>>,
    custom: Arc<Custom>,
    /// Another number after each change: equal stamps mean equal values.
    stamp: u64,
    /// `querygate.verify_sample` in parts of [`WHOLE`](crate::books::checks::WHOLE): asked for at each statement.
    check_share: u32,
    /// `statement_timeout`; asked for as often.
    timeout: Option<Duration>,
    /// `querygate.learning` and `application_name`, asked for as often.
    learning: bool,
    application: Arc<str>,
    /// `TimeZone` and `search_path`, which binding depends on; asked for as often. `None`: a zone that is none.
    names: Option<Arc<str>>,
    /// Whether the session may ask for more checks than the configuration does.
    operator: bool,
    pub(crate) writes: bool,
    pub(crate) has_workers: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            values: BTreeMap::new(),
            starts: Arc::default(),
            custom: Arc::default(),
            stamp: 0,
            check_share: 0,
            timeout: None,
            learning: true,
            application: Arc::default(),
            names: None,
            operator: false,
            writes: false,
            has_workers: false,
        }
    }
}

/// Numbers for changes, of all sessions.
static CHANGES: AtomicU64 = AtomicU64::new(1);

impl Settings {
    /// Equal for equal values.
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp
    }

    fn changed(&mut self) {
        self.stamp = CHANGES.fetch_add(1, Ordering::Relaxed);
        self.check_share = self.get(VERIFY_SAMPLE).ok().and_then(|value| share(&value)).unwrap_or(0);
        self.timeout = self.duration("statement_timeout");
        self.learning = self.flag(LEARNING);
        let application = self.get("application_name").unwrap_or_default();
        if *self.application != *application {
            self.application = application.into();
        }
        let names = || Some(format!("{};{}", self.zone().ok()?, self.get("search_path").ok()?));
        self.names = names().map(Arc::from);
    }

    /// The share of pushed reads to check, in parts of [`WHOLE`](crate::books::checks::WHOLE).
    pub(crate) fn check_share(&self) -> u32 {
        self.check_share
    }

    /// `statement_timeout`; `None`: none.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// `querygate.learning`.
    pub(crate) fn learning(&self) -> bool {
        self.learning
    }

    /// `querygate.plan_templates`.
    pub(crate) fn plan_templates(&self) -> bool {
        self.flag(PLAN_TEMPLATES)
    }

    /// `querygate.workers`; `None`: off.
    pub(crate) fn workers(&self) -> Option<Mode> {
        match self.get(WORKERS).as_deref() {
            Ok("on") => Some(Mode::On),
            Ok("auto") => Some(Mode::Auto),
            Ok(_) | Err(_) => None,
        }
    }

    /// `application_name`.
    pub(crate) fn application(&self) -> &Arc<str> {
        &self.application
    }

    /// The settings that binding depends on, as one text.
    ///
    /// # Errors
    /// As [`zone`](Self::zone).
    pub(crate) fn names(&self) -> Result<Arc<str>> {
        match &self.names {
            Some(names) => Ok(Arc::clone(names)),
            // Before anything was set, and where the zone is none.
            None => Ok(format!("{};{}", self.zone()?, self.get("search_path")?).into()),
        }
    }

    /// The settings of an operator's session.
    pub(crate) fn for_operator(mut self, operator: bool) -> Self {
        self.operator = operator;
        self
    }

    /// A check reads rows that policies hide, and that it took place, or had too many of them, tells their number.
    fn permits(&self, setting: &Setting, value: &str) -> Result<()> {
        super::mode::admit(setting.name, value, self.writes)?;
        if setting.name == WORKERS && value == "on" && !self.has_workers {
            return Err(Error::new(ErrorCode::FeatureNotSupported, "this gate has no workers")
                .with_hint("An operator names them in [workers] of the configuration."));
        }
        let start = self.starts.get(VERIFY_SAMPLE).and_then(|start| share(start)).unwrap_or(0);
        if self.operator || setting.name != VERIFY_SAMPLE || share(value).is_some_and(|wanted| wanted <= start) {
            return Ok(());
        }
        let text = format!("permission denied to set parameter \"{VERIFY_SAMPLE}\"");
        Err(Error::new(ErrorCode::InsufficientPrivilege, text)
            .with_hint("Operators may have more checked than is configured."))
    }

    /// Sets the value that RESET goes back to.
    pub(crate) fn start(&mut self, name: &str, value: &str) -> Result<()> {
        let setting = find(name)?;
        let value = if matches!(setting.kind, Kind::Fixed) { value.to_owned() } else { accept(setting, value)? };
        Arc::make_mut(&mut self.starts).insert(setting.name, value);
        self.changed();
        Ok(())
    }

    /// Startup packets name settings too; server facts cannot be set there either.
    pub(crate) fn startup(&mut self, name: &str, value: &str) -> Result<()> {
        let setting = match find(name) {
            Ok(setting) => setting,
            Err(unknown) => {
                Arc::make_mut(&mut self.custom).set(&named(name, unknown)?, value, true)?;
                self.changed();
                return Ok(());
            }
        };
        let value = accept(setting, value)?;
        self.permits(setting, &value)?;
        Arc::make_mut(&mut self.starts).insert(setting.name, value);
        self.changed();
        Ok(())
    }

    /// SET. Answers the canonical name and value, and whether it is reported to clients.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(Cow<'static, str>, String, bool)> {
        let setting = match find(name) {
            Ok(setting) => setting,
            Err(unknown) => {
                let name = named(name, unknown)?;
                Arc::make_mut(&mut self.custom).set(&name, value, false)?;
                self.changed();
                return Ok((name.into(), value.to_owned(), false));
            }
        };
        let value = accept(setting, value)?;
        self.permits(setting, &value)?;
        self.values.insert(setting.name, value.clone());
        self.changed();
        Ok((setting.name.into(), value, setting.reported))
    }

    /// Whether SET would take this value.
    pub(crate) fn check(name: &str, value: &str) -> Result<()> {
        match find(name) {
            Ok(setting) => accept(setting, value).map(drop),
            Err(unknown) => named(name, unknown).map(drop),
        }
    }

    /// RESET of one setting.
    pub(crate) fn reset(&mut self, name: &str) -> Result<(Cow<'static, str>, String, bool)> {
        let setting = match find(name) {
            Ok(setting) => setting,
            Err(unknown) => {
                let name = named(name, unknown)?;
                let value = Arc::make_mut(&mut self.custom).reset(&name)?;
                self.changed();
                return Ok((name.into(), value, false));
            }
        };
        self.values.remove(setting.name);
        self.changed();
        Ok((setting.name.into(), self.value_of(setting), setting.reported))
    }

    /// RESET ALL. Answers what changed and is reported.
    pub(crate) fn reset_all(&mut self) -> Vec<(&'static str, String)> {
        let changed: Vec<&'static str> = self.values.keys().copied().collect();
        self.values.clear();
        if !self.custom.is_empty() {
            Arc::make_mut(&mut self.custom).reset_all();
        }
        self.changed();
        changed
            .into_iter()
            .filter_map(|name| find(name).ok())
            .filter(|setting| setting.reported)
            .map(|setting| (setting.name, self.value_of(setting)))
            .collect()
    }

    /// Current value.
    pub(crate) fn get(&self, name: &str) -> Result<String> {
        match find(name) {
            Ok(setting) => Ok(self.value_of(setting)),
            Err(unknown) => self.custom.get(name).map(str::to_owned).ok_or(unknown),
        }
    }

    /// Canonical spelling of a setting's name.
    pub(crate) fn canonical(&self, name: &str) -> Result<Cow<'static, str>> {
        match find(name) {
            Ok(setting) => Ok(setting.name.into()),
            Err(unknown) => self.custom.get(name).map(|_| name.to_lowercase().into()).ok_or(unknown),
        }
    }

    /// Whether SET would take this name.
    pub(crate) fn check_name(name: &str) -> Result<()> {
        find(name).map(drop).or_else(|unknown| named(name, unknown).map(drop))
    }

    /// Whether a name can be one of a client's own.
    pub(crate) fn is_custom(name: &str) -> bool {
        find(name).is_err_and(|unknown| named(name, unknown).is_ok())
    }

    /// What clients made up: names in lower case, and values.
    pub(crate) fn custom(&self) -> impl Iterator<Item = (&str, &str)> {
        self.custom.all()
    }

    /// Takes back all that was set since these: but a client's own settings are known from then on, and are empty.
    pub(crate) fn back_to(&mut self, mut settings: Self) {
        if !Arc::ptr_eq(&self.custom, &settings.custom) {
            Arc::make_mut(&mut settings.custom).keep_names(&self.custom);
            settings.changed();
        }
        *self = settings;
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_ok_and(|value| value == "on")
    }

    /// The zone that `TimeZone` means: a name, or an offset where plus is east.
    pub(crate) fn zone(&self) -> Result<String> {
        self.get("TimeZone").map(|shown| crate::settings::zone::meant(&shown))
    }

    /// A duration setting; zero means none.
    fn duration(&self, name: &str) -> Option<Duration> {
        let text = self.get(name).ok()?;
        let ms = milliseconds(&text)?;
        (ms > 0).then(|| Duration::from_millis(ms))
    }

    /// All settings: name, value, help.
    pub(crate) fn all(&self) -> Vec<(&'static str, String, &'static str)> {
        SETTINGS.iter().map(|s| (s.name, self.value_of(s), s.help)).collect()
    }

    /// What is reported to clients at connect.
    pub(crate) fn reported(&self) -> Vec<(String, String)> {
        SETTINGS.iter().filter(|s| s.reported).map(|s| (s.name.to_owned(), self.value_of(s))).collect()
    }

    fn value_of(&self, setting: &Setting) -> String {
        if let Some(value) = self.values.get(setting.name).or_else(|| self.starts.get(setting.name)) {
            return value.clone();
        }
        // A transaction that says nothing of it has the session's level.
        if setting.name == TRANSACTION_ISOLATION
            && let Ok(of_session) = find("default_transaction_isolation")
        {
            return self.value_of(of_session);
        }
        setting.default.to_owned()
    }
}

fn find(name: &str) -> Result<&'static Setting> {
    SETTINGS.iter().find(|s| s.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        Error::new(ErrorCode::UndefinedObject, format!("unrecognized configuration parameter \"{name}\""))
    })
}

#[cfg(test)]
mod tests;
