//! How each configured source is, for who looks at a gate from outside of it. Asks the sources; changes nothing.

use super::readable::refusal;
use super::sources::Sources;
use crate::config::{Config, FileStore, Source, SourceKind};
use crate::governance::Governance;
use futures::future::join_all;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::pool::Budget;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

/// Longest wait for the answers of a source.
const PATIENCE: Duration = Duration::from_secs(30);

/// One source.
#[derive(Debug)]
pub(crate) struct SourceState {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    /// Why it does not answer.
    pub(crate) away: Option<Away>,
    /// Of a server that answered.
    pub(crate) vitals: Option<Vitals>,
    /// Objects that lie there.
    pub(crate) objects: usize,
    /// Objects that have no table there that could be served, with the reason.
    pub(crate) unserved: Vec<(String, String)>,
    /// Objects whose tables the login may not read.
    pub(crate) unreadable: Vec<String>,
}

/// Why a source does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Away {
    pub(crate) why: String,
    /// What its driver asks an operator to do, as a clause.
    pub(crate) asked: Option<String>,
}

impl Away {
    fn of(error: &Error) -> Self {
        let asked = error.hint().and_then(|hint| hint.strip_prefix("Ask an operator to "));
        Self { why: reason(error), asked: asked.map(|asked| asked.trim_end_matches('.').to_owned()) }
    }

    fn because(why: String) -> Self {
        Self { why, asked: None }
    }
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vitals {
    pub(crate) version: String,
    /// Milliseconds by which its clock is ahead of this machine's, at least: what the way may have taken is not counted.
    pub(crate) ahead_ms: i64,
    /// Whether the login that reads may do anything there.
    pub(crate) is_powerful: bool,
}

impl Vitals {
    fn of((version, clock, is_powerful): (String, SystemTime, bool), asked: SystemTime, heard: SystemTime) -> Self {
        let ahead_ms = match (clock.duration_since(heard), asked.duration_since(clock)) {
            (Ok(ahead), _) => millis(ahead),
            (_, Ok(behind)) => -millis(behind),
            (Err(_), Err(_)) => 0,
        };
        Self { version, ahead_ms, is_powerful }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Asks every source, all at a time. Without metadata, only whether they answer.
///
/// # Errors
/// A configuration of which no driver can be made.
pub(crate) async fn source_states(config: &Config, governance: Option<&Governance>) -> Result<Vec<SourceState>> {
    let sources = Sources::open(config)?;
    Ok(join_all(config.sources.iter().map(|source| state(source, &sources, governance))).await)
}

async fn state(source: &Source, sources: &Sources, governance: Option<&Governance>) -> SourceState {
    let mut state = SourceState {
        name: source.name.clone(),
        kind: kind(&source.kind),
        away: None,
        vitals: None,
        objects: 0,
        unserved: Vec::new(),
        unreadable: Vec::new(),
    };
    if tokio::time::timeout(PATIENCE, fill(&mut state, source, sources, governance)).await.is_err() {
        let late = || Away::because(format!("it did not answer within {} seconds", PATIENCE.as_secs()));
        state.away.get_or_insert_with(late);
    }
    state
}

async fn fill(state: &mut SourceState, source: &Source, sources: &Sources, governance: Option<&Governance>) {
    if let SourceKind::Files { store: FileStore::Local(folder), .. } = &source.kind
        && let Err(error) = std::fs::read_dir(folder)
    {
        // Such a source has no driver to ask: it opens what statements name.
        state.away = Some(Away::because(format!("{}: {}", folder.display(), unreadable_folder(&error))));
        return;
    }
    let driver = sources.driver(&source.name);
    if let Some(driver) = driver
        && let Err(error) = driver.health().await
    {
        state.away = Some(Away::of(&error));
        return;
    }
    match vitals(source).await {
        Ok(vitals) => state.vitals = vitals,
        Err(error) => state.away = Some(Away::of(&error)),
    }
    let Some(governance) = governance else { return };
    for (object, looked) in sources.look(&source.name, &governance.snapshot, &governance.row_files).await {
        state.objects += 1;
        let unserved = match (looked, driver) {
            (Err(error), _) => Some(reason(&error)),
            (Ok(()), Some(driver)) => refused(driver.as_ref(), sources, governance, &object).await,
            (Ok(()), None) => None,
        };
        state.unserved.extend(unserved.map(|reason| (object, reason)));
    }
    if let (SourceKind::Postgres(_), Some(driver)) = (&source.kind, driver) {
        state.unreadable = unreadable(driver.as_ref(), source, sources, governance).await;
        let SourceState { unserved, unreadable, .. } = state;
        // Said once.
        unserved.retain(|(object, _)| !unreadable.contains(object));
    }
}

/// Why a folder cannot be looked through.
pub(crate) fn unreadable_folder(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such folder".to_owned(),
        ErrorKind::NotADirectory => "it is no folder".to_owned(),
        other => other.to_string(),
    }
}

/// Why an object's table cannot be read, though its source describes it.
async fn refused(driver: &dyn Driver, sources: &Sources, governance: &Governance, object: &str) -> Option<String> {
    let table = sources.reference(governance.snapshot.objects.get(object)?).ok()?;
    let refusal = refusal(driver, &driver.describe(&table).await.ok()?).await?;
    Some(format!("its table is there and cannot be read: {refusal}"))
}

/// Objects whose tables are there, and not among those that the login may read.
async fn unreadable(driver: &dyn Driver, source: &Source, sources: &Sources, governance: &Governance) -> Vec<String> {
    let Ok(tables) = driver.tables().await else { return Vec::new() };
    let mut found = Vec::new();
    for object in governance.snapshot.objects.values().filter(|object| object.datasource == source.name) {
        let Ok(table) = sources.reference(object) else { continue };
        if !tables.contains(&table) && driver.describe(&table).await.is_ok() {
            found.push(object.name.clone());
        }
    }
    found
}

/// A server's version and clock, over a connection of its own.
async fn vitals(source: &Source) -> Result<Option<Vitals>> {
    let budget = Budget::default();
    // A first answer opens the connection, so that the second one takes no longer than the way.
    let (asked, answer) = match &source.kind {
        SourceKind::Postgres(server) => {
            let driver = super::postgres::driver(&source.name, server, false, &budget)?;
            driver.health().await?;
            (SystemTime::now(), driver.vitals().await?)
        }
        SourceKind::Mysql(server) => {
            let driver = super::mysql::driver(server, false, &budget);
            driver.health().await?;
            (SystemTime::now(), driver.vitals().await?)
        }
        SourceKind::Mongodb(server) => {
            let driver = super::mongodb::driver(server, false, &budget);
            driver.health().await?;
            (SystemTime::now(), driver.vitals().await?)
        }
        SourceKind::Sqlite { .. } | SourceKind::Files { .. } | SourceKind::Memory { .. } | SourceKind::Native(_) => {
            return Ok(None);
        }
    };
    Ok(Some(Vitals::of(answer, asked, SystemTime::now())))
}

/// As the configuration says it.
fn kind(kind: &SourceKind) -> &'static str {
    match kind {
        SourceKind::Sqlite { .. } => "sqlite",
        SourceKind::Mysql(_) => "mysql",
        SourceKind::Mongodb(_) => "mongodb",
        SourceKind::Postgres(_) => "postgres",
        SourceKind::Files { .. } => "files",
        SourceKind::Memory { .. } => "memory",
        SourceKind::Native(_) => "native",
    }
}

/// A failure in one line, for operators.
fn reason(error: &Error) -> String {
    let mut text = error.message().to_owned();
    if let Some(detail) = error.detail().filter(|_| error.code() != ErrorCode::UndefinedTable) {
        text.push_str(&format!(": {detail}"));
    }
    if let Some(cause) = error.cause() {
        text.push_str(&format!(" ({cause})"));
    }
    text
}

/// Reasons and how many objects have each, the first one named.
pub(crate) fn grouped(unserved: &[(String, String)]) -> Vec<(String, usize, &str)> {
    let mut grouped: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (object, reason) in unserved {
        grouped.entry(reason).or_insert((0, object)).0 += 1;
    }
    grouped.into_iter().map(|(reason, (count, first))| (reason.to_owned(), count, first)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_ahead_or_behind_by_what_the_way_cannot_explain() {
        let at = |ms: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000 + ms);
        for (clock, expected) in [(150, 0), (100, 0), (200, 0), (260, 60), (40, -60), (60_200, 60_000)] {
            let vitals = Vitals::of(("15".to_owned(), at(clock), false), at(100), at(200));
            assert_eq!(vitals.ahead_ms, expected, "{clock}");
        }
    }

    #[test]
    fn what_an_operator_is_asked_for_is_kept_as_a_clause() {
        let refused = Error::new(ErrorCode::SourceUnavailable, "refused");
        let away = Away::of(&refused.clone().with_hint("Ask an operator to look at the source's user and password."));
        assert_eq!(away.asked.as_deref(), Some("look at the source's user and password"));
        assert_eq!(Away::of(&refused.with_hint("Try again later.")).asked, None);
    }

    #[test]
    fn one_reason_of_many_objects_is_said_once() {
        let unserved = [("a", "gone"), ("b", "odd"), ("c", "gone")].map(|(o, r)| (o.to_owned(), r.to_owned()));
        assert_eq!(grouped(&unserved), [("gone".to_owned(), 2, "a"), ("odd".to_owned(), 1, "b")]);
    }
}
