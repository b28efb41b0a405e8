//! Settings of a session (SET, SHOW, RESET). Closed: a setting that does not exist is refused, and none is silently ignored.

use crate::books::checks::WHOLE;
use crate::settings::durations::{milliseconds, show_milliseconds};
use querygate_types::{Error, ErrorCode, Result, limits};
use querygate_workers::gate::Mode;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    setting("lock_timeout", Kind::Milliseconds, "0", "The gate takes no locks."),
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
    /// Another number after each change: equal stamps mean equal values.
    stamp: u64,
    /// `querygate.verify_sample` in parts of [`WHOLE`]: asked for at each statement.
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

    /// The share of pushed reads to check, in parts of [`WHOLE`].
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
        let setting = find(name)?;
        let value = accept(setting, value)?;
        self.permits(setting, &value)?;
        Arc::make_mut(&mut self.starts).insert(setting.name, value);
        self.changed();
        Ok(())
    }

    /// SET. Answers the canonical name and value, and whether it is reported to clients.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(&'static str, String, bool)> {
        let setting = find(name)?;
        let value = accept(setting, value)?;
        self.permits(setting, &value)?;
        self.values.insert(setting.name, value.clone());
        self.changed();
        Ok((setting.name, value, setting.reported))
    }

    /// Whether SET would take this value.
    pub(crate) fn check(name: &str, value: &str) -> Result<()> {
        accept(find(name)?, value).map(drop)
    }

    /// RESET of one setting.
    pub(crate) fn reset(&mut self, name: &str) -> Result<(&'static str, String, bool)> {
        let setting = find(name)?;
        self.values.remove(setting.name);
        self.changed();
        Ok((setting.name, self.value_of(setting), setting.reported))
    }

    /// RESET ALL. Answers what changed and is reported.
    pub(crate) fn reset_all(&mut self) -> Vec<(&'static str, String)> {
        let changed: Vec<&'static str> = self.values.keys().copied().collect();
        self.values.clear();
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
        find(name).map(|setting| self.value_of(setting))
    }

    /// Canonical spelling of a setting's name.
    pub(crate) fn canonical(name: &str) -> Result<&'static str> {
        find(name).map(|setting| setting.name)
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

fn accept(setting: &Setting, value: &str) -> Result<String> {
    let refuse = || {
        Error::new(
            ErrorCode::InvalidParameterValue,
            format!("invalid value for parameter \"{}\": \"{value}\"", setting.name),
        )
    };
    match setting.kind {
        Kind::Bool => boolean(value).map(|on| if on { "on" } else { "off" }.to_owned()).ok_or_else(refuse),
        Kind::Integer(least, most) => {
            let number: i64 = value.trim().parse().map_err(|_| refuse())?;
            if (least..=most).contains(&number) {
                Ok(number.to_string())
            } else {
                Err(refuse().with_detail(format!("The range is {least} to {most}.")))
            }
        }
        Kind::Milliseconds => {
            let ms = milliseconds(value).ok_or_else(refuse)?;
            if ms > limits::SETTING_MILLISECONDS_MAX {
                let (name, most) = (setting.name, limits::SETTING_MILLISECONDS_MAX);
                let text = format!("{ms} ms is outside the valid range for parameter \"{name}\" (0 .. {most})");
                return Err(Error::new(ErrorCode::InvalidParameterValue, text));
            }
            Ok(show_milliseconds(ms))
        }
        Kind::Share => {
            let kept = share(value).map(|_| value.trim().to_owned());
            kept.ok_or_else(|| refuse().with_detail("It is a number from 0 to 1."))
        }
        Kind::Choice(["on"]) if setting.name == "row_security" => choose(setting, &["on"], value).ok_or_else(|| {
            refuse().with_hint("The gate's policies cannot be switched off; pg_dump has --enable-row-security.")
        }),
        Kind::Choice(choices) => choose(setting, choices, value)
            .ok_or_else(|| refuse().with_hint(format!("Available values: {}.", choices.join(", ")))),
        // What binds statements is kept with them.
        Kind::Text if value.len() > TEXT_BYTES_MAX => Err(refuse().with_detail("It is too long.")),
        Kind::Text => Ok(value.to_owned()),
        Kind::TimeZone => crate::settings::zone::accept(value).ok_or_else(refuse),
        Kind::DateStyle => date_style(value)
            .ok_or_else(|| refuse().with_hint("Output is always ISO, and 01/02/2020 is read month first.")),
        Kind::Utf8 => {
            if crate::sql::classify::is_utf8(value) {
                Ok("UTF8".to_owned())
            } else {
                Err(refuse().with_hint("This gate speaks UTF8 only."))
            }
        }
        Kind::Fixed => Err(Error::new(
            ErrorCode::CantChangeRuntimeParam,
            format!("parameter \"{}\" cannot be changed", setting.name),
        )),
    }
}

fn choose(setting: &Setting, choices: &[&str], value: &str) -> Option<String> {
    if let ["on" | "off"] = choices {
        return (boolean(value)? == (setting.default == "on")).then(|| setting.default.to_owned());
    }
    choices.iter().find(|c| c.eq_ignore_ascii_case(value.trim())).map(|c| (*c).to_owned())
}

fn boolean(value: &str) -> Option<bool> {
    match value.trim().to_lowercase().as_str() {
        "on" | "true" | "yes" | "1" | "t" | "y" => Some(true),
        "off" | "false" | "no" | "0" | "f" | "n" => Some(false),
        _ => None,
    }
}

/// A number from 0 to 1 in parts of [`WHOLE`].
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a million, and not negative")]
fn share(value: &str) -> Option<u32> {
    let number: f64 = value.trim().parse().ok()?;
    (0.0..=1.0).contains(&number).then(|| (number * f64::from(WHOLE)).round() as u32)
}

/// Only ISO output, and only month first: another order would read the same text as another day.
fn date_style(value: &str) -> Option<String> {
    let known = |part: &str| matches!(part.trim().trim_matches('\'').to_uppercase().as_str(), "ISO" | "MDY" | "US");
    value.split(',').all(known).then(|| "ISO, MDY".to_owned())
}

#[cfg(test)]
mod tests;
