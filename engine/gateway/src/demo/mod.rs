//! `querygate demo`: makes an embedded company, the metadata that governs it, and the configuration that serves both; with
//! `--backends`, one over private servers.
//! Knows nothing of how queries run.
//!
//! # Names (`sql_name`)
//! ObjectStack wants every object's name to start with its package's namespace (`crm_accounts`); SQL users want
//! `accounts`. The rule, in one place: **the SQL table name of an object is its name without `<namespace>_`; when two
//! packages would give the same table name, each of those objects keeps its full name.** Objects of packages without a
//! namespace, and names that are nothing but the prefix, keep their full name.

pub(crate) mod alerts;
pub(crate) mod backends;
pub(crate) mod changes;
pub(crate) mod company;
mod crm;
pub(crate) mod guide;
mod lake;
mod logs;
mod metadata;
#[cfg(test)]
mod proof;
mod rng;
mod screen;
mod setup;
mod snippet;
mod sqlite;
mod tables;
pub(crate) mod traffic;

pub(crate) use company::Scale;
pub(crate) use guide::Guide;
pub(crate) use screen::{guide_text, screen_text};
pub(crate) use setup::{DATABASE, DEMO_USERS, DemoUser, Layout, keep_learning};

use company::{Company, SEED};
use querygate_types::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// What to do where the folder cannot be written.
const HINT: &str = "The data take 105 MB. Make room, or choose another folder with --dir.";

/// Written last: its presence means that the data is whole.
#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    seed: u64,
    divisor: u32,
    guide: Guide,
}

/// What seeding found or made.
#[derive(Debug)]
pub(crate) struct Seeded {
    pub(crate) layout: Layout,
    pub(crate) guide: Guide,
    /// The data was there already.
    pub(crate) reused: bool,
    pub(crate) seconds: f64,
}

/// Keeps a folder for the demo that makes its data, as long as the returned file is open.
///
/// # Errors
/// Another demo makes them, or the folder cannot be written to.
fn lock(layout: &Layout) -> Result<File> {
    let path = layout.data().join("making.lock");
    let file = File::options().create(true).append(true).open(&path).map_err(|e| disk(&path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let said = format!("another demo makes its data in {}", layout.folder.display());
            let hint = "Wait until that one is ready, or choose another folder with --dir.";
            Err(Error::new(ErrorCode::ConfigInvalid, said).with_hint(hint))
        }
        Err(TryLockError::Error(e)) => Err(disk(&path, &e)),
    }
}

/// Writes what describes the demo in `folder`: metadata and configuration, no data.
pub(crate) fn describe(folder: &Path) -> Result<Layout> {
    let layout = Layout { folder: folder.to_path_buf() };
    std::fs::create_dir_all(layout.data()).map_err(|e| disk(&layout.data(), &e))?;
    metadata::write(&layout.metadata())?;
    setup::write_config(&layout)?;
    Ok(layout)
}

/// Makes the demo in `folder`, or finds it there. Same scale, same bytes of data. `progress` gets a line per step.
pub(crate) async fn seed(folder: &Path, scale: Scale, progress: &mut (dyn FnMut(&str) + Send)) -> Result<Seeded> {
    let started = Instant::now();
    let layout = describe(folder)?;
    if let Some(guide) = made_before(&layout, scale) {
        return Ok(Seeded { layout, guide, reused: true, seconds: started.elapsed().as_secs_f64() });
    }
    // Another one would remove the files that this one writes.
    let _making = lock(&layout)?;
    // It may have ended since it was looked for.
    if let Some(guide) = made_before(&layout, scale) {
        return Ok(Seeded { layout, guide, reused: true, seconds: started.elapsed().as_secs_f64() });
    }
    let guide = make(&layout, scale, progress).await?;
    Ok(Seeded { layout, guide, reused: false, seconds: started.elapsed().as_secs_f64() })
}

fn made_before(layout: &Layout, scale: Scale) -> Option<Guide> {
    let text = std::fs::read_to_string(layout.stamp()).ok()?;
    let stamp: Stamp = serde_json::from_str(&text).ok()?;
    (stamp.seed == SEED && stamp.divisor == scale.divisor()).then_some(stamp.guide)
}

async fn make(layout: &Layout, scale: Scale, progress: &mut (dyn FnMut(&str) + Send)) -> Result<Guide> {
    let data = layout.data();
    let database = data.join("crm.sqlite");
    let (lake_folder, logs_folder) = (data.join("lake"), data.join("logs"));
    remove_old(layout, &database)?;
    for folder in [&lake_folder, &logs_folder] {
        std::fs::create_dir_all(folder).map_err(|e| disk(folder, &e))?;
    }
    progress(&format!("making a company: {}", guide::period()));
    let company = Arc::new(Company::found(scale));
    let for_lake = Arc::clone(&company);
    let files = tokio::task::spawn_blocking(move || {
        let events = lake::write_events(&lake_folder.join("events.parquet"), &for_lake)?;
        let invoices = lake::write_invoices(
            &lake_folder.join("invoices.parquet"),
            &lake_folder.join("invoice_lines.parquet"),
            &for_lake,
        )?;
        let logs = logs::write(&logs_folder, &for_lake)?;
        Ok::<_, Error>((events, invoices, logs))
    });
    let crm_rows = sqlite::write(&database, &company).await?;
    progress(&format!("crm.sqlite: {crm_rows} rows in {} tables", tables::TABLES.len()));
    let (events, (invoices, lines), logs) = files.await.map_err(Error::internal)??;
    progress(&format!("lake/*.parquet: {} rows in 3 tables", events.rows + invoices + lines));
    progress(&format!("logs/*.ndjson, *.csv: {} rows in 3 tables", logs.rows));
    let rows = crm_rows + events.rows + invoices + lines + logs.rows + memory_rows();
    let guide = guide::build(&company, rows, &events, &logs);
    let stamp = Stamp { seed: SEED, divisor: scale.divisor(), guide: guide.clone() };
    let text = serde_json::to_string_pretty(&stamp).map_err(Error::internal)?;
    std::fs::write(layout.stamp(), text).map_err(|e| disk(&layout.stamp(), &e))?;
    Ok(guide)
}

/// Rows of the metadata's own seed data, which fills the memory source.
fn memory_rows() -> u64 {
    let text = metadata::FILES.iter().find(|(path, _)| *path == "data.json").map_or("{}", |(_, text)| *text);
    let stack: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let seeds = stack["data"].as_array().into_iter().flatten();
    seeds.filter_map(|seed| seed["records"].as_array()).map(|records| records.len() as u64).sum()
}

fn remove_old(layout: &Layout, database: &Path) -> Result<()> {
    let mut old = vec![layout.stamp(), database.to_path_buf()];
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        old.push(path.into());
    }
    for path in old {
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(disk(&path, &e)),
        }
    }
    Ok(())
}

fn disk(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::DiskFull, format!("cannot write {}", path.display()))
        .with_detail(error.to_string())
        .with_hint(HINT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Bound;
    use crate::verifier;
    use querygate_query_api::service::Door;

    async fn made(folder: &Path, divisor: u32) -> Seeded {
        seed(folder, Scale::divided_by(divisor), &mut |_| {}).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_demo_makes_the_data_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let other = lock(&describe(folder.path()).unwrap()).unwrap();
        let error = seed(folder.path(), Scale::divided_by(1_000), &mut |_| {}).await.unwrap_err();
        assert!(error.message().starts_with("another demo makes its data in"), "{error}");
        drop(other);
        assert!(!made(folder.path(), 1_000).await.reused);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_same_scale_gives_the_same_data() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, second) = (made(one.path(), 1_000).await, made(two.path(), 1_000).await);
        assert_eq!(first.guide, second.guide);
        for file in [
            "lake/events.parquet",
            "lake/invoices.parquet",
            "lake/invoice_lines.parquet",
            "logs/email_log.ndjson",
            "logs/leads.ndjson",
            "logs/surveys.csv",
            "crm.sqlite",
        ] {
            let read = |folder: &Path| std::fs::read(folder.join("data").join(file)).unwrap();
            assert_eq!(read(one.path()), read(two.path()), "{file}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_second_start_finds_the_data_and_keeps_edits() {
        let folder = tempfile::tempdir().unwrap();
        let first = made(folder.path(), 1_000).await;
        let stack = first.layout.metadata().join("stack.json");
        std::fs::write(&stack, "{}").unwrap();
        let second = made(folder.path(), 1_000).await;
        assert!(second.reused && !first.reused);
        assert_eq!(second.guide, first.guide);
        assert_eq!(std::fs::read_to_string(stack).unwrap(), "{}");
        assert!(!made(folder.path(), 500).await.reused);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_configuration_is_good_and_its_passwords_work() {
        let folder = tempfile::tempdir().unwrap();
        let seeded = made(folder.path(), 1_000).await;
        let (config, report) = crate::config::load(&seeded.layout.config());
        assert_eq!(report.diagnostics, []);
        let config = config.unwrap();
        for user in DEMO_USERS {
            let known = config.user(user.login).unwrap();
            let verifier = known.verifier.clone().unwrap();
            let iterations = verifier.iterations.try_into().unwrap();
            assert!(verifier == verifier::derive(user.password, &verifier.salt, iterations));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_three_users_get_three_answers() {
        let folder = tempfile::tempdir().unwrap();
        let seeded = made(folder.path(), 100).await;
        for question in &seeded.guide.questions {
            let answers: Vec<_> = question.answers.iter().map(|(_, answer)| answer).collect();
            assert!(answers[0] != answers[1] && answers[1] != answers[2] && answers[0] != answers[2], "{question:?}");
        }
        let at = |bound: Bound, door, address: &str| bound.with(door, address.parse().ok());
        let bound = at(Bound::default(), Door::Postgres, "127.0.0.1:5433");
        let bound = at(at(bound, Door::Http, "127.0.0.1:8080"), Door::FlightSql, "127.0.0.1:8815");
        let bound = at(bound, Door::Rest, "127.0.0.1:8090");
        let text = guide_text(&seeded, bound, Some(Path::new("/a b/server.pem")));
        assert!(text.contains("grpc+tls://127.0.0.1:8815") && text.contains("open(\"/a b/server.pem\")"), "{text}");
        let text = guide_text(&seeded, bound, None);
        assert!(text.contains("psql 'postgres://sam:demo-sam@127.0.0.1:5433/demo'"), "{text}");
        assert!(text.contains("grpc://127.0.0.1:8815"), "{text}");
        assert!(text.contains("http://127.0.0.1:8080/ui"), "{text}");
        let screen = screen_text(&seeded, bound, false, Some(Path::new("/d/guide.txt")));
        assert!(screen.lines().count() <= 40 && screen.lines().all(|line| line.chars().count() <= 140), "{screen}");
        for part in ["/ui", "demo-iris", "contacts", "grpc://", "/api/v1/docs", "/d/guide.txt", "init", "Ctrl-C stops."]
        {
            assert!(screen.contains(part), "{part}: {screen}");
        }
    }
}
