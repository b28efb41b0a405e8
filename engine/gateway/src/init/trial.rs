//! Reads what a description offers before it is written: first rows of each table, and each column by itself where that fails. What cannot
//! be read is left out.

use crate::cli::{file_error, user_entry};
use crate::config::Config;
use crate::introspect::{Described, TableNames, Unreadable, pretty};
use crate::metadata;
use crate::naming::{quoted, sql_names};
use crate::output::Output;
use crate::private_file;
use crate::serve::Threads;
use crate::verifier;
use futures::{StreamExt, stream};
use querygate_query_api::outcome::Outcome;
use querygate_query_api::service::{ClientInfo, Delivery, Door, Session};
use querygate_types::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows of a table that are read.
pub(super) const ROWS: usize = 10_000;
/// Time for one table, and for all of them.
const TABLE_TIME: &str = "2s";
const TRIAL_TIME: Duration = Duration::from_secs(20);
/// Tables that are tried at once: fewer than a source has connections.
const AT_ONCE: usize = 4;
/// How often what is left is described anew: with a column as text, then without it, then without what depended on it.
const ROUNDS: usize = 4;
const USER: &str = "trial";

/// What of a description can be read, and the tables that there was no time for.
///
/// # Errors
/// Nothing is left; a gate over the source cannot be built; files beside the configuration that cannot be written.
pub(super) fn readable(
    mut described: Described,
    config: &Path,
    output: &mut Output,
) -> Result<(Described, Vec<String>)> {
    let mut untried = Vec::new();
    for _ in 0..ROUNDS {
        let found = try_all(&described, config, output)?;
        untried = found.untried;
        if found.unreadable.is_empty() {
            break;
        }
        described = described.without(&found.unreadable)?;
    }
    Ok((described, untried))
}

#[derive(Default)]
struct TrialResult {
    unreadable: Vec<Unreadable>,
    untried: Vec<String>,
}

/// A configuration beside the real one, where the same relative paths lead to the same places. Gone when it is dropped.
struct TrialFiles {
    config: PathBuf,
    /// Its metadata, which is removed with it.
    _metadata: tempfile::TempDir,
}

impl Drop for TrialFiles {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.config) {
            tracing::debug!(%error, "the configuration of a trial is left");
        }
    }
}

impl TrialFiles {
    fn write(described: &Described, config: &Path) -> Result<Self> {
        let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let metadata = tempfile::tempdir().map_err(|e| file_error("write", &std::env::temp_dir(), &e))?;
        for (value, ending) in described.files.iter().zip(["json", "querygate.json"]) {
            let file = metadata.path().join(format!("{}.{ending}", described.namespace));
            std::fs::write(&file, pretty(value)?).map_err(|e| file_error("write", &file, &e))?;
        }
        let user = user_entry(USER, &verifier::print(&verifier::create(&verifier::generate_password()?)?))?;
        let text = format!(
            "[metadata]\npath = {}\n\n{}\n\n{user}permission_sets = [\"{}_reader\"]\n",
            toml::Value::from(metadata.path().to_string_lossy().into_owned()),
            described.entry,
            described.namespace
        );
        let config = folder.join(format!(".querygate-trial-{}.toml", std::process::id()));
        private_file::replace(&config, &text).map_err(|e| file_error("write", &config, &e))?;
        Ok(Self { config, _metadata: metadata })
    }
}

fn try_all(described: &Described, config: &Path, output: &mut Output) -> Result<TrialResult> {
    let files = TrialFiles::write(described, config)?;
    let loaded = crate::cli::load(&files.config, output)?;
    let names = table_names(&loaded);
    let threads = Threads::start(&loaded)?;
    let gate = threads.build(&Config { learning: None, ..loaded.clone() })?;
    let principal = loaded.user(USER).map(|user| Arc::clone(&user.principal));
    let principal = principal.ok_or_else(|| Error::internal("a trial has no user"))?;
    let until = Instant::now() + TRIAL_TIME;
    let tables: Vec<_> = described.tables.iter().map(|table| (table, names.get(&table.object))).collect();
    let shows = output.shows_progress();
    let found = threads.block_on(async {
        let tried = stream::iter(tables).map(|(table, name)| {
            let (service, principal) = (&gate.service, Arc::clone(&principal));
            let database = loaded.server.database.clone();
            async move {
                if Instant::now() > until {
                    return Ok(None);
                }
                let client = ClientInfo {
                    door: Door::Shell,
                    database,
                    peer: None,
                    settings: vec![("statement_timeout".to_owned(), TABLE_TIME.to_owned())],
                };
                let session = service.open(principal, client).await?;
                let found = try_table(session.as_ref(), table, name).await;
                session.close().await;
                found
            }
        });
        let mut tried = tried.buffered(AT_ONCE);
        let (mut found, mut count) = (TrialResult::default(), 0);
        while let Some(one) = tried.next().await {
            match one? {
                Some(unreadable) => found.unreadable.extend(unreadable),
                // They come in their order.
                None => found.untried.extend(described.tables.get(count).map(|table| table.remote.clone())),
            }
            count += 1;
            if shows {
                let line = format!("\rtried {count} of {} tables", described.tables.len());
                output.prompt(&line).map_err(crate::cli::written)?;
            }
        }
        if shows {
            output.note("").map_err(crate::cli::written)?;
        }
        Ok::<_, Error>(found)
    });
    (gate.close)();
    found
}

/// SQL names of tables by their objects. None where what was described cannot be loaded: the check of what is written says why.
fn table_names(config: &Config) -> BTreeMap<String, String> {
    let Ok(loaded) = metadata::load_configured(config) else { return BTreeMap::new() };
    let names = sql_names(&loaded.snapshot);
    names.into_iter().map(|(object, name)| (object.to_owned(), name.to_owned())).collect()
}

/// What cannot be read; `None`: there was not the time, or the room, to find out.
async fn try_table(
    session: &dyn Session,
    table: &TableNames,
    name: Option<&String>,
) -> Result<Option<Vec<Unreadable>>> {
    let unreadable = |column: Option<&String>, error: &Error| Unreadable {
        table: table.remote.clone(),
        column: column.cloned(),
        reason: reason(error),
    };
    let Some(name) = name else { return Ok(Some(Vec::new())) };
    let Err(error) = read(session, name, "*").await else { return Ok(Some(Vec::new())) };
    if is_for_want(&error) {
        return Ok(None);
    }
    let mut failed = Vec::new();
    for (field, column) in table.fields.iter().zip(&table.columns) {
        match read(session, name, &quoted(field)).await {
            Err(error) if !is_for_want(&error) => failed.push(unreadable(Some(column), &error)),
            Ok(()) | Err(_) => {}
        }
    }
    // What is wrong with each column may be each column's; where rows cannot be read without any, it is the table's.
    let is_of_table = failed.len() == table.fields.len() && read(session, name, "1").await.is_err();
    if failed.is_empty() || is_of_table {
        return Ok(Some(vec![unreadable(None, &error)]));
    }
    Ok(Some(failed))
}

/// Whether it says that time, memory or another share was used up, and nothing of the rows. By PostgreSQL's classes of errors: 53 is
/// insufficient resources, 57 intervention.
fn is_for_want(error: &Error) -> bool {
    let code = error.code().sqlstate();
    code.starts_with("53") || code.starts_with("57")
}

fn reason(error: &Error) -> String {
    let more = error.detail().or(error.cause()).map(|text| format!(": {text}")).unwrap_or_default();
    format!("{}{more}", error.message())
}

/// Reads first rows to their end.
async fn read(session: &dyn Session, table: &str, columns: &str) -> Result<()> {
    for statement in session.split(&format!("SELECT {columns} FROM public.{} LIMIT {ROWS}", quoted(table)))? {
        let prepared = session.prepare(&statement, &[]).await?;
        let Outcome::Rows(mut rows) = session.run(&prepared, &[], Delivery::Batches).await? else { continue };
        while let Some(batch) = rows.batches.next().await {
            batch?;
        }
    }
    Ok(())
}
