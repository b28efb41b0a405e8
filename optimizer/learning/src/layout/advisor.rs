//! The search over all sources of files: which tables are read and how, their layout, and the result as suggestions. Blocks: for a
//! thread of its own.

use super::book::{Book, Chosen, Taken};
use super::search::search;
use super::simulate::Asked;
use crate::numbers::as_number;
use crate::ran::Ran;
use crate::telemetry::Store;
use querygate_driver_api::layout::{FileLayout, LayoutAdvice};
use querygate_telemetry_api::fragment::ConditionKind;
use querygate_telemetry_api::system::Cell;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// Tables of a source that are looked at, and fragments of each, by the time they took.
const TABLES_MAX: usize = 64;
const FRAGMENTS_MAX: usize = 60;
/// How long a table has to tell of its files.
const STUDY_MAX: Duration = Duration::from_secs(60);

/// A source of files to advise.
#[derive(Clone)]
pub struct LayoutSource {
    /// Its name in the configuration.
    pub name: String,
    /// Whether operators may have files written anew.
    pub apply: bool,
    pub advice: Arc<dyn LayoutAdvice>,
}

/// The sources as they are now.
pub type LayoutSources = Arc<dyn Fn() -> Vec<LayoutSource> + Send + Sync>;

impl fmt::Debug for LayoutSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayoutSource").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Suggestions for files, and where they come from.
#[derive(Default)]
pub(crate) struct LayoutAdvisor {
    sources: OnceLock<LayoutSources>,
    book: Mutex<Book>,
}

impl LayoutAdvisor {
    pub(crate) fn over(&self, sources: LayoutSources) {
        let _ = self.sources.set(sources);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn load(&self, store: &Store) -> Result<()> {
        let kept = store.kept(super::book::KIND).await?;
        self.book().loaded(kept);
        Ok(())
    }

    pub(crate) async fn write(&self, store: &Store, seconds: i64) -> Result<()> {
        let (documents, gone) = self.book().changes();
        let written = async {
            store.remove(super::book::KIND, &gone).await?;
            store.put(super::book::KIND, &documents, seconds).await
        };
        let written = written.await;
        if written.is_err() {
            self.book().put_back(gone);
        }
        written
    }

    pub(crate) fn rows(&self) -> Vec<Vec<Cell>> {
        self.book().rows()
    }

    /// What was read since files were written anew.
    pub(crate) fn measure(&self, rans: &HashMap<u64, Ran>) {
        self.book().measure(rans);
    }

    /// Whether there is a suggestion of this number here.
    pub(crate) fn has(&self, id: i64) -> bool {
        self.book().has(id)
    }

    /// Has files written as is suggested. Says what was done.
    pub(crate) async fn apply(&self, id: i64) -> Result<String> {
        let (chosen, source) = self.chosen(id)?;
        let wanted = chosen.wanted()?;
        source.advice.rewrite(&chosen.table, id, &wanted).await
    }

    /// They are written: what was read so far is what it is compared with.
    pub(crate) fn applied(&self, id: i64, rans: &HashMap<u64, Ran>, seconds: i64) {
        self.book().applied(id, rans, seconds);
    }

    /// Has files put back as they were. Says what was done.
    pub(crate) async fn undo(&self, id: i64) -> Result<String> {
        let (chosen, source) = self.chosen(id)?;
        let done = source.advice.restore(&chosen.table, id).await?;
        self.book().undone(id);
        Ok(done)
    }

    fn chosen(&self, id: i64) -> Result<(Chosen, LayoutSource)> {
        let missing = || Error::new(ErrorCode::UndefinedObject, format!("there is no suggestion {id}"));
        let chosen = self.book().chosen(id).ok_or_else(missing)?;
        let sources = self.sources.get().map_or_else(Vec::new, |sources| sources());
        let source = sources.into_iter().find(|source| source.name == chosen.source);
        let refused = |message: &str| Error::new(ErrorCode::ObjectNotInPrerequisiteState, message.to_owned());
        let source = source.ok_or_else(|| refused("the source of the suggestion is not there"))?;
        if source.apply {
            return Ok((chosen, source));
        }
        Err(refused("files may not be written through the gate").with_hint(
            "Set apply_layouts = true at the source; or write the files as the suggestion's ddl says, beside the old ones.",
        ))
    }

    /// Has removed what was kept long enough.
    pub(crate) async fn tidy(&self) {
        let Some(sources) = self.sources.get() else { return };
        for source in sources().into_iter().filter(|source| source.apply) {
            if let Err(error) = source.advice.tidy().await {
                tracing::warn!(source = source.name, %error, "files that were replaced are not removed now");
            }
        }
    }

    /// Searches all sources. Returns how many layouts are suggested, and what failed.
    pub(crate) fn search(
        &self,
        rans: &HashMap<String, Vec<(u64, Ran)>>,
        runtime: &Handle,
        seconds: i64,
    ) -> (usize, Vec<String>) {
        let (mut found, mut failures) = (0, Vec::new());
        let Some(sources) = self.sources.get() else { return (0, failures) };
        for source in sources() {
            let Some(rans) = rans.get(&source.name) else { continue };
            for (table, rans) in by_table(rans).into_iter().take(TABLES_MAX) {
                match self.table(&source, table, &rans, runtime, seconds) {
                    Ok(count) => found += count,
                    Err(error) => {
                        let cause = error.cause();
                        tracing::warn!(source = source.name, table, %error, cause, "no layout advice for a table");
                        failures.push(format!("{}: {error}", source.name));
                    }
                }
            }
        }
        (found, failures)
    }

    fn table(
        &self,
        source: &LayoutSource,
        table: &str,
        rans: &[&(u64, Ran)],
        runtime: &Handle,
        seconds: i64,
    ) -> Result<usize> {
        let (read, compared) = columns(rans);
        let study = source.advice.study(table, &read, &compared);
        let late = |_| Error::new(ErrorCode::StatementTimeout, "the source did not tell of its files in time");
        let study = runtime.block_on(async { tokio::time::timeout(STUDY_MAX, study).await }).map_err(late)??;
        let Some(study) = study else { return Ok(0) };
        let asked: Vec<Asked> = rans.iter().map(|(fingerprint, ran)| asked(*fingerprint, ran, &study)).collect();
        let outcome = search(&study, &asked);
        let taken = Taken { source: &source.name, table, study: &study, rans, seconds };
        Ok(self.book().found(&taken, outcome))
    }
}

/// Fragments over files by their table, the costliest first.
fn by_table(rans: &[(u64, Ran)]) -> BTreeMap<&str, Vec<&(u64, Ran)>> {
    let mut tables: BTreeMap<&str, Vec<&(u64, Ran)>> = BTreeMap::new();
    for one in rans {
        if let ([table], true) = (one.1.shape.tables.as_slice(), one.1.reads.runs > 0)
            && let [name] = table.path.as_slice()
        {
            tables.entry(name).or_default().push(one);
        }
    }
    for rans in tables.values_mut() {
        rans.sort_by_key(|(fingerprint, ran)| (std::cmp::Reverse(ran.micros), *fingerprint));
        rans.truncate(FRAGMENTS_MAX);
    }
    tables
}

/// Columns that are read, and those that are compared.
fn columns(rans: &[&(u64, Ran)]) -> (Vec<String>, Vec<String>) {
    let (mut read, mut compared) = (BTreeSet::new(), BTreeSet::new());
    for table in rans.iter().flat_map(|(_, ran)| &ran.shape.tables) {
        read.extend(table.columns.iter().cloned());
        for condition in &table.conditions {
            match condition.kind {
                ConditionKind::Equality
                | ConditionKind::PolicyEquality
                | ConditionKind::Range
                | ConditionKind::Prefix => {
                    compared.insert(condition.column.clone());
                }
                // NULLs are counted, not ordered; the keys of joins are not known beforehand.
                ConditionKind::IsNull | ConditionKind::IsNotNull | ConditionKind::Join => {}
            }
            read.insert(condition.column.clone());
        }
    }
    (read.into_iter().collect(), compared.into_iter().collect())
}

fn asked(fingerprint: u64, ran: &Ran, study: &FileLayout) -> Asked {
    let place = |name: &String| study.columns.iter().position(|column| column.name == *name);
    let runs = as_number(ran.runs.max(1));
    let mut asked = Asked { fingerprint, runs, rows: as_number(ran.rows) / runs, ..Asked::default() };
    for table in &ran.shape.tables {
        asked.read.extend(table.columns.iter().filter_map(place));
        for condition in &table.conditions {
            let Some(column) = place(&condition.column).filter(|at| study.columns[*at].ordered) else { continue };
            match condition.kind {
                ConditionKind::Equality => push(&mut asked.equal, column),
                ConditionKind::PolicyEquality => {
                    push(&mut asked.equal, column);
                    push(&mut asked.policy, column);
                }
                ConditionKind::Range | ConditionKind::Prefix => push(&mut asked.range, column),
                ConditionKind::IsNull | ConditionKind::IsNotNull | ConditionKind::Join => {}
            }
        }
    }
    asked
}

fn push(list: &mut Vec<usize>, column: usize) {
    if !list.contains(&column) {
        list.push(column);
    }
}
