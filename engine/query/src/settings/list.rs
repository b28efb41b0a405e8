//! Settings of a session (SET, SHOW, RESET). Closed: a setting that does not exist is refused, and none is silently ignored, but for
//! those that clients make up under a prefix of their own.

mod own;
mod postgres;
mod values;

use super::custom::{Custom, named};
use crate::settings::durations::milliseconds;
use own::SETTINGS;
use postgres::Unit;
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
    /// Milliseconds of a bound that the gate does not keep: 0, which is none.
    NoMilliseconds,
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
    /// A whole number with a unit.
    Quantity(Unit),
    Real,
    /// The value that it has: another would change answers.
    Same,
    /// Set by superusers, which no session is.
    Superuser,
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
    /// As `pg_settings` tells them: the type of its values, and who may set it.
    vartype: &'static str,
    context: &'static str,
}

/// What `pg_settings` says of a setting.
pub(crate) struct SettingRow {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) help: &'static str,
    pub(crate) vartype: &'static str,
    pub(crate) context: &'static str,
}

const fn setting(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { name, kind, default, reported: false, help, vartype: vartype(kind), context: context(kind) }
}

const fn vartype(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Integer(..) | Kind::Milliseconds | Kind::NoMilliseconds | Kind::Quantity(_) => "integer",
        Kind::Share | Kind::Real => "real",
        Kind::Choice(_) => "enum",
        Kind::Text | Kind::TimeZone | Kind::DateStyle | Kind::Utf8 | Kind::Fixed | Kind::Same | Kind::Superuser => {
            "string"
        }
    }
}

const fn context(kind: Kind) -> &'static str {
    match kind {
        Kind::Fixed => "internal",
        Kind::Superuser => "superuser",
        Kind::Bool
        | Kind::Integer(..)
        | Kind::Milliseconds
        | Kind::NoMilliseconds
        | Kind::Share
        | Kind::Choice(_)
        | Kind::Text
        | Kind::TimeZone
        | Kind::DateStyle
        | Kind::Utf8
        | Kind::Quantity(_)
        | Kind::Real
        | Kind::Same => "user",
    }
}

const fn reported(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { reported: true, ..setting(name, kind, default, help) }
}

/// The version clients see: they choose their catalog queries by it.
pub(crate) const SERVER_VERSION: &str = "15.0 (Querygate)";

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

    /// All settings.
    pub(crate) fn all(&self) -> Vec<SettingRow> {
        let row = |setting: &'static Setting| {
            let Setting { name, help, vartype, context, .. } = setting;
            SettingRow { name, value: self.value_of(setting), help, vartype, context }
        };
        SETTINGS.iter().chain(postgres::all()).map(row).collect()
    }

    /// Names in lower case and values of the gate's own settings, and of all others that have not their built-in value.
    pub(crate) fn known(&self) -> impl Iterator<Item = (String, String)> {
        let is_own = |name: &str| SETTINGS.iter().any(|own| own.name == name);
        let names = self.values.keys().chain(self.starts.keys());
        let others = names.filter(move |name| !is_own(name)).filter_map(|name| postgres::find(name));
        SETTINGS.iter().chain(others).map(|setting| (setting.name.to_lowercase(), self.value_of(setting)))
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
    SETTINGS.iter().find(|s| s.name.eq_ignore_ascii_case(name)).or_else(|| postgres::find(name)).ok_or_else(|| {
        Error::new(ErrorCode::UndefinedObject, format!("unrecognized configuration parameter \"{name}\""))
    })
}

#[cfg(test)]
mod tests;
