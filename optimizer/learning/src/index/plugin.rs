//! The index advisor as a plugin of learning: follows fragments, searches now and then or when asked, shows suggestions, applies and
//! undoes them for operators.

use super::book::{Book, LAST, RANS, RANS_BEFORE, SUGGESTIONS};
use super::options::{AdvisedSource, AdvisedSources, IndexOptions};
use super::oracle::Pace;
use super::rows::{COLUMNS, row};
use super::search::search;
use super::suggestion::{Change, Spec, State, Suggestion};
use super::written::WRITES;
use crate::layout::{LayoutAdvisor, LayoutSources};
use crate::plugin::Plugin;
use crate::telemetry::{Moment, Store};
use async_trait::async_trait;
use querygate_driver_api::advice::IndexAdvice;
use querygate_driver_api::identifier::Identifier;
use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::system::{Cell, CellKind, SystemExtension, SystemProcedure, SystemRelation};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;

const RELATION: SystemRelation = SystemRelation { name: "index_suggestions", columns: COLUMNS };

/// How often sums of what ran are written; what people see and change is written at once.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// How often replaced files are looked at, whether they were kept long enough.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);
/// How long a search may ask; what it found by then counts.
const SEARCH_MAX: Duration = Duration::from_secs(300);

/// The plugin.
pub struct IndexAdvisor {
    inner: Arc<Inner>,
}

struct Inner {
    options: IndexOptions,
    sources: AdvisedSources,
    /// Where sources are asked.
    runtime: Handle,
    book: Mutex<Book>,
    layouts: LayoutAdvisor,
    store: OnceLock<Store>,
    /// One change of a source at a time.
    turn: tokio::sync::Mutex<()>,
    searching: AtomicBool,
    /// When a search began last.
    searched: Mutex<Option<Duration>>,
    /// When sums were written last.
    written: Mutex<Duration>,
    /// When what was kept of replaced files was looked at last.
    tidied: Mutex<Duration>,
    /// Whether something ran since.
    moved: AtomicBool,
    /// Whether what versions before kept is gone.
    cleared: AtomicBool,
}

impl fmt::Debug for IndexAdvisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexAdvisor").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

impl IndexAdvisor {
    /// An advisor whose sources are asked on this runtime.
    #[must_use]
    pub fn new(options: IndexOptions, sources: AdvisedSources, runtime: Handle) -> Arc<Self> {
        let inner = Inner {
            options,
            sources,
            runtime,
            book: Mutex::default(),
            layouts: LayoutAdvisor::default(),
            store: OnceLock::new(),
            turn: tokio::sync::Mutex::default(),
            searching: AtomicBool::new(false),
            searched: Mutex::default(),
            written: Mutex::default(),
            tidied: Mutex::default(),
            moved: AtomicBool::new(false),
            cleared: AtomicBool::new(false),
        };
        Arc::new(Self { inner: Arc::new(inner) })
    }

    /// Advises on the layout of files too.
    pub fn over_files(&self, sources: LayoutSources) {
        self.inner.layouts.over(sources);
    }

    /// Runs a change of a source to its end, though whoever asked for it goes meanwhile: what was made is written down.
    async fn to_its_end(&self, change: impl Future<Output = Result<String>> + Send + 'static) -> Result<String> {
        self.inner.runtime.spawn(change).await.map_err(Error::internal)?
    }
}

fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn not_ready(message: &str) -> Error {
    Error::new(ErrorCode::ObjectNotInPrerequisiteState, message.to_owned())
}

fn advice_of(source: &AdvisedSource) -> Result<&dyn IndexAdvice> {
    source.driver.index_advice().ok_or_else(|| not_ready("the source cannot be advised on indexes"))
}

impl Inner {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Searches all sources, on this thread. Returns how many indexes are suggested, and what failed.
    fn search(&self, share: f64) -> (usize, Vec<String>) {
        let rans = self.book().by_source();
        let (mut found, mut failures) = (0, Vec::new());
        for source in (self.sources)() {
            let Some(rans) = rans.get(&source.name) else { continue };
            let pace = Pace { share, until: Instant::now() + SEARCH_MAX };
            let budget = f64::from(u32::try_from(self.options.budget >> 10).unwrap_or(u32::MAX)) * 1024.0;
            let written = self.book().written.of(&source.name);
            let outcome = search(source.driver.as_ref(), (rans, &written), &self.runtime, budget, pace);
            let taken = outcome.and_then(|outcome| match outcome {
                Some(outcome) => self.book().found(&source.name, advice_of(&source)?, outcome, seconds()),
                None => Ok(0),
            });
            match taken {
                Ok(count) => found += count,
                Err(error) => {
                    tracing::warn!(source = source.name, %error, cause = error.cause(), "no index advice for a source");
                    failures.push(format!("{}: {error}", source.name));
                }
            }
        }
        let (layouts, more) = self.layouts.search(&rans, &self.runtime, seconds());
        failures.extend(more);
        (found + layouts, failures)
    }

    async fn write(&self) -> Result<()> {
        let Some(store) = self.store.get() else { return Ok(()) };
        if !self.cleared.load(Ordering::Acquire) {
            // Not as they are loaded: a report only reads.
            for kind in [RANS_BEFORE, crate::layout::KIND_BEFORE] {
                let before: Vec<String> = store.all(kind).await?.into_iter().map(|(id, _)| id).collect();
                if !before.is_empty() {
                    store.remove(kind, &before).await?;
                }
            }
            self.cleared.store(true, Ordering::Release);
        }
        let changes = self.book().changes();
        let written = changes.write(store, seconds()).await;
        if written.is_err() {
            self.book().put_back(changes);
        }
        written?;
        self.layouts.write(store, seconds()).await
    }

    fn must_write(&self, now: Moment) -> bool {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let must = self.book().is_changed() || now.running >= *written + WRITE_EVERY;
        if must {
            *written = now.running;
        }
        must
    }

    fn must_tidy(&self, now: Moment) -> bool {
        let mut tidied = self.tidied.lock().unwrap_or_else(PoisonError::into_inner);
        let must = now.running >= *tidied + TIDY_EVERY;
        if must {
            *tidied = now.running;
        }
        must
    }

    /// Begins a search in the background, if none runs.
    fn begin(self: &Arc<Self>) {
        if self.searching.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(self);
        let share = self.options.cpu_share;
        let begun = std::thread::Builder::new().name("index-advisor".to_owned()).spawn(move || {
            let _ended = Ended(&inner.searching);
            inner.search(share);
        });
        if let Err(error) = begun {
            tracing::warn!(%error, "no thread for a search for indexes");
            self.searching.store(false, Ordering::Release);
        }
    }

    /// Searches now, for somebody who waits.
    async fn search_now(self: &Arc<Self>) -> Result<String> {
        if self.searching.swap(true, Ordering::AcqRel) {
            return Err(not_ready("indexes are being searched already").with_hint("Try again when the search is over."));
        }
        let inner = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let _ended = Ended(&inner.searching);
            inner.search(1.0)
        });
        let (found, failures) = done.await.map_err(Error::internal)?;
        self.write().await?;
        if failures.is_empty() {
            return Ok(format!("{found} indexes suggested"));
        }
        Ok(format!("{found} indexes suggested; {}", failures.join("; ")))
    }

    fn chosen(&self, id: i64) -> Result<(Suggestion, AdvisedSource)> {
        let missing = || Error::new(ErrorCode::UndefinedObject, format!("there is no index suggestion {id}"));
        let suggestion = self.book().suggestions.iter().find(|one| one.id == id).cloned().ok_or_else(missing)?;
        let mut sources = (self.sources)().into_iter();
        let source = sources.find(|source| source.name == suggestion.source);
        let source = source.ok_or_else(|| not_ready("the source of the suggestion is not there"))?;
        if !source.apply {
            return Err(not_ready("indexes may not be changed through the gate").with_hint(
                "Set apply_indexes = true in [learning], or at the source; or run the suggestion's ddl there.",
            ));
        }
        Ok((suggestion, source))
    }

    fn spec(suggestion: &Suggestion) -> Result<&Spec> {
        match &suggestion.change {
            Change::Create(spec) => Ok(spec),
            Change::Drop(_) => Err(Error::new(ErrorCode::FeatureNotSupported, "dropping an index is advice only")
                .with_hint("Run the suggestion's ddl at the source.")),
        }
    }

    async fn apply(&self, id: i64, caller: &Principal) -> Result<String> {
        let _turn = self.turn.lock().await;
        if self.layouts.has(id) {
            let done = self.layouts.apply(id).await?;
            tracing::info!(id, login = caller.login, done, "files were written as a suggestion says");
            self.layouts.applied(id, &self.book().ran.all, seconds());
            self.write().await?;
            return Ok(done);
        }
        let (suggestion, source) = self.chosen(id)?;
        match suggestion.state {
            State::Suggested | State::Undone => {}
            State::Rejected => return Err(not_ready("the index is not suggested; its evidence says why")),
            State::Applied | State::Helped | State::DidNotHelp => {
                return Err(not_ready("the suggestion is applied already"));
            }
        }
        let spec = Self::spec(&suggestion)?;
        advice_of(&source)?.create(&spec.index()?, &Identifier::new(spec.name())?).await?;
        tracing::info!(id, login = caller.login, ddl = suggestion.ddl, "an index suggestion was applied");
        {
            let mut book = self.book();
            book.keep(&suggestion);
            book.applied(id, seconds());
        }
        self.write().await?;
        Ok(format!("created index {}", spec.name()))
    }

    async fn undo(&self, id: i64, caller: &Principal) -> Result<String> {
        let _turn = self.turn.lock().await;
        if self.layouts.has(id) {
            let done = self.layouts.undo(id).await?;
            tracing::info!(id, login = caller.login, done, "files were put back as they were before a suggestion");
            self.write().await?;
            return Ok(done);
        }
        let (suggestion, source) = self.chosen(id)?;
        if !suggestion.state.is_applied() {
            return Err(not_ready("the suggestion is not applied"));
        }
        let spec = Self::spec(&suggestion)?;
        advice_of(&source)?.drop_index(&spec.index()?.table, &Identifier::new(spec.name())?).await?;
        tracing::info!(id, login = caller.login, ddl = suggestion.ddl, "an index suggestion was undone");
        self.book().undone(id);
        self.write().await?;
        Ok(format!("dropped index {}", spec.name()))
    }
}

/// A search that has ended, however.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[async_trait]
impl Plugin for IndexAdvisor {
    fn name(&self) -> &'static str {
        "index advisor"
    }

    async fn load(&self, store: &Store) -> Result<()> {
        let _ = self.inner.store.set(store.clone());
        let (rans, suggestions) = (store.kept(RANS).await?, store.kept(SUGGESTIONS).await?);
        let last = store.kept::<i64>(LAST).await?.into_iter().map(|(_, last)| last).max().unwrap_or(0);
        let written = store.kept(WRITES).await?;
        self.inner.book().written.load(written);
        self.inner.book().loaded(rans, suggestions, last);
        self.inner.layouts.load(store).await
    }

    async fn follow(&self, records: &[StatementRecord], now: Moment, _store: &Store) -> Result<()> {
        let mut book = self.inner.book();
        for record in records {
            book.written.follow(record, now.seconds);
        }
        for record in records.iter().filter(|record| !record.fragments.is_empty()) {
            book.ran.follow(record, now.seconds);
            self.inner.moved.store(true, Ordering::Release);
        }
        book.measure();
        self.inner.layouts.measure(&book.ran.all);
        Ok(())
    }

    async fn tick(&self, now: Moment, _store: &Store) -> Result<()> {
        let every = self.inner.options.every;
        let due = {
            let mut searched = self.inner.searched.lock().unwrap_or_else(PoisonError::into_inner);
            let due = now.running >= searched.unwrap_or_default() + every;
            let due = due && !every.is_zero() && self.inner.moved.swap(false, Ordering::AcqRel);
            if due {
                *searched = Some(now.running);
            }
            due
        };
        if due {
            self.inner.begin();
        }
        if self.inner.must_tidy(now) {
            let inner = Arc::clone(&self.inner);
            self.inner.runtime.spawn(async move { inner.layouts.tidy().await });
        }
        if self.inner.must_write(now) { self.inner.write().await } else { Ok(()) }
    }
}

#[async_trait]
impl SystemExtension for IndexAdvisor {
    fn relations(&self) -> Vec<SystemRelation> {
        vec![RELATION]
    }

    /// For operators only: suggestions tell of tables, policies and other people's statements.
    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        RELATION.rows_for_operators(relation, reader, || {
            let mut rows: Vec<Vec<Cell>> = self.inner.book().suggestions.iter().map(row).collect();
            rows.extend(self.inner.layouts.rows());
            rows
        })
    }

    fn procedures(&self) -> Vec<SystemProcedure> {
        const ID: &[(&str, CellKind)] = &[("id", CellKind::Integer)];
        vec![
            SystemProcedure { name: "suggest_indexes", arguments: &[], optional: 0 },
            SystemProcedure { name: "apply", arguments: ID, optional: 0 },
            SystemProcedure { name: "undo", arguments: ID, optional: 0 },
        ]
    }

    async fn call(&self, procedure: &str, arguments: &[Cell], caller: &Principal) -> Result<String> {
        let id = match arguments {
            [Cell::Integer(id)] => Some(*id),
            _ => None,
        };
        match (procedure, id) {
            ("suggest_indexes", None) => self.inner.search_now().await,
            ("apply", Some(id)) => {
                let (inner, caller) = (Arc::clone(&self.inner), caller.clone());
                self.to_its_end(async move { inner.apply(id, &caller).await }).await
            }
            ("undo", Some(id)) => {
                let (inner, caller) = (Arc::clone(&self.inner), caller.clone());
                self.to_its_end(async move { inner.undo(id, &caller).await }).await
            }
            ("apply" | "undo", None) => {
                Err(Error::new(ErrorCode::InvalidParameterValue, "the number of a suggestion is needed"))
            }
            _ => Err(Error::internal(format_args!("no procedure {procedure}"))),
        }
    }
}
