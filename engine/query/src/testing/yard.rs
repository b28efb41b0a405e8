//! A yard whose rows can be changed: an engine over one SQLite file, sessions of its users, and answers as texts. The source keeps the
//! codes of jobs and the numbers of tokens unique; those of crews only the gate does. Knows no expectation.

use super::catalog::{on_runtime, remote};
use crate::engine::{Engine, EngineOptions};
use crate::session::GateService;
use crate::testing::lines_of;
use arrow::array::{ArrayRef, StringArray};
use arrow::compute::cast;
use futures::TryStreamExt;
use querygate_catalog::deployment::{Deployment, SourceTable, ViewDefinition};
use querygate_catalog::object_schema;
use querygate_driver_api::driver::Driver;
use querygate_metadata::load::{LoadOptions, load_text};
use querygate_metadata::model::{Facts, Snapshot, TenancyPosture};
use querygate_policy::CompiledPolicy;
use querygate_query_api::column::arrow_type_of;
use querygate_query_api::outcome::{CommandTag, Effect, Outcome};
use querygate_query_api::requests::question::{AnswerForm, Question};
use querygate_query_api::requests::record_change::{ChangeOutcome, OnFailure, RecordChange};
use querygate_query_api::service::{ClientInfo, Delivery, Door, Prepared, QueryService, Session};
use querygate_sqlite::{SqliteDriver, SqliteOptions};
use querygate_types::principal::Principal;
use querygate_types::{Error, PgType, Result};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;
use tokio::runtime::Handle;

/// An engine and its database, which are of one test alone.
#[derive(Debug)]
pub(crate) struct Yard {
    pub(crate) engine: Arc<Engine>,
    folder: TempDir,
}

impl Yard {
    pub(crate) fn new() -> Self {
        Self::with(EngineOptions { writes: true, ..options() })
    }

    /// The yard under other bounds.
    pub(crate) fn with(options: EngineOptions) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("yard.db");
        std::fs::copy(database(), &path).unwrap();
        let engine = on_runtime(async move {
            let deployment = deployment(&path, 1, |stack| stack).await;
            Engine::new(options, Handle::current(), deployment).unwrap()
        });
        Self { engine, folder }
    }

    /// Swaps in the next version of the metadata, over the rows that are there.
    pub(crate) fn replace(&self, edit: impl FnOnce(Value) -> Value + Send + 'static) {
        let (path, version) = (self.folder.path().join("yard.db"), self.engine.deployment().version + 1);
        let next = on_runtime(async move { deployment(&path, version, edit).await });
        self.engine.replace(next).unwrap();
    }

    /// Swaps in the next version, with views by their names and queries.
    pub(crate) fn with_views(&self, views: &[(&str, &str)]) {
        let (path, version) = (self.folder.path().join("yard.db"), self.engine.deployment().version + 1);
        let view = |(name, sql): &(&str, &str)| ViewDefinition {
            schema: "public".to_owned(),
            name: (*name).to_owned(),
            sql: (*sql).to_owned(),
            comment: None,
        };
        let views: Vec<ViewDefinition> = views.iter().map(view).collect();
        let next = on_runtime(async move { Deployment { views, ..deployment(&path, version, |stack| stack).await } });
        self.engine.replace(next).unwrap();
    }

    /// May do everything, and sees cards masked.
    pub(crate) fn owner(&self) -> Seat {
        self.seat("olga", "yard_owner")
    }

    /// Reads and changes jobs of the region `eu`, without their secrets.
    pub(crate) fn clerk(&self) -> Seat {
        self.seat("carl", "yard_clerk")
    }

    /// Changes nothing.
    pub(crate) fn reader(&self) -> Seat {
        self.seat("rita", "yard_reader")
    }

    pub(crate) fn seat(&self, login: &str, set: &str) -> Seat {
        self.open(Principal::builder(login).permission_set(set).build(), Door::Postgres, &[]).unwrap()
    }

    /// A session with the settings of a startup packet.
    pub(crate) fn open(&self, principal: Principal, door: Door, settings: &[(&str, &str)]) -> Result<Seat> {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let client = ClientInfo { door, database: "yard".to_owned(), peer: None, settings };
        let service = GateService::new(Arc::clone(&self.engine));
        let session = on_runtime(async move { service.open(Arc::new(principal), client).await })?;
        Ok(Seat { session })
    }

    /// Rows as the database itself has them, cells parted by bars.
    pub(crate) fn stored(&self, columns: &str, rest: &str) -> Vec<String> {
        let path = self.folder.path().join("yard.db");
        let cells: Vec<String> =
            columns.split(", ").map(|name| format!("coalesce(CAST({name} AS TEXT), 'NULL')")).collect();
        let sql = format!("SELECT {} {rest}", cells.join(" || '|' || "));
        on_runtime(async move {
            let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap()
        })
    }

    /// A statement that somebody else runs in the database itself.
    pub(crate) fn store(&self, sql: &str) {
        let (path, sql) = (self.folder.path().join("yard.db"), sql.to_owned());
        on_runtime(async move {
            let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        });
    }

    /// Everything that is stored, to compare it before and after.
    pub(crate) fn all(&self) -> Vec<String> {
        let tables = [
            ("id, name, code, jobs, hours", "yard_crews"),
            ("id, title, crew, region, hours, state, code, card, secret, due, ready, size, fixed, sealed", "yard_jobs"),
            ("id, job, words", "yard_steps"),
            ("id, job, words", "yard_notes"),
            ("id, job", "yard_bills"),
            ("id, number, words", "yard_tokens"),
        ];
        tables.iter().flat_map(|(columns, table)| self.stored(columns, &format!("FROM {table} ORDER BY id"))).collect()
    }

    /// Runs statements that are refused with these codes, and change nothing.
    pub(crate) fn refuses(&self, seat: &Seat, cases: &[(&str, &str)]) {
        let before = self.all();
        for (sql, code) in cases {
            assert_eq!(seat.code(sql), *code, "{sql}: {}", seat.run(sql));
            assert_eq!(self.all(), before, "{sql}");
        }
    }
}

/// Bounds that suit tests.
pub(crate) fn options() -> EngineOptions {
    EngineOptions {
        memory_total: 1 << 30,
        memory_per_query: 256 << 20,
        memory_per_user: 512 << 20,
        target_partitions: 2,
        ..EngineOptions::default()
    }
}

/// A session, as a door uses it.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) session: Arc<dyn Session>,
}

impl Seat {
    /// Runs a text; the answer of its last statement, or of the first that fails.
    ///
    /// A command is its tag; rows are their lines, `; ` between them; a failure is its SQLSTATE and message.
    pub(crate) fn run(&self, sql: &str) -> String {
        self.answers(sql).pop().unwrap_or_default()
    }

    /// The answers of all statements up to the first that fails.
    pub(crate) fn answers(&self, sql: &str) -> Vec<String> {
        let (session, sql) = (Arc::clone(&self.session), sql.to_owned());
        on_runtime(async move {
            let mut answers = Vec::new();
            let failed = async {
                for statement in session.split(&sql)? {
                    let prepared = session.prepare(&statement, &[]).await?;
                    answers.push(answer(session.run(&prepared, &[], Delivery::Batches).await?).await?);
                }
                Ok::<(), Error>(())
            };
            if let Err(error) = failed.await {
                session.fail_transaction();
                answers.push(words(&error));
            }
            answers
        })
    }

    /// The SQLSTATE that a text ends with; `00000` where it succeeds.
    pub(crate) fn code(&self, sql: &str) -> String {
        self.error(sql).map_or_else(|| "00000".to_owned(), |error| error.code().sqlstate().to_owned())
    }

    /// The failure of a text.
    pub(crate) fn error(&self, sql: &str) -> Option<Error> {
        let (session, sql) = (Arc::clone(&self.session), sql.to_owned());
        on_runtime(async move {
            let run = async {
                for statement in session.split(&sql)? {
                    let prepared = session.prepare(&statement, &[]).await?;
                    answer(session.run(&prepared, &[], Delivery::Batches).await?).await?;
                }
                Ok::<(), Error>(())
            };
            let error = run.await.err();
            if error.is_some() {
                session.fail_transaction();
            }
            error
        })
    }

    pub(crate) fn prepare(&self, sql: &str) -> Result<Arc<dyn Prepared>> {
        self.prepare_with(sql, &[])
    }

    /// Prepares a statement with parameters of declared types.
    pub(crate) fn prepare_with(&self, sql: &str, types: &[Option<PgType>]) -> Result<Arc<dyn Prepared>> {
        let (session, sql, types) = (Arc::clone(&self.session), sql.to_owned(), types.to_vec());
        on_runtime(async move {
            let statements = session.split(&sql)?;
            assert_eq!(statements.len(), 1, "{sql}");
            session.prepare(&statements[0], &types).await
        })
    }

    /// Runs a prepared statement with values given as texts.
    pub(crate) fn execute(&self, prepared: &Arc<dyn Prepared>, values: &[Option<&str>]) -> String {
        let given: Vec<ArrayRef> = values
            .iter()
            .zip(prepared.parameter_types())
            .map(|(value, to)| cast(&StringArray::from(vec![*value]), &arrow_type_of(*to).unwrap()).unwrap())
            .collect();
        let (session, prepared) = (Arc::clone(&self.session), Arc::clone(prepared));
        on_runtime(async move {
            let ran = match session.run(&prepared, &given, Delivery::Batches).await {
                Ok(outcome) => answer(outcome).await,
                Err(error) => Err(error),
            };
            ran.unwrap_or_else(|error| words(&error))
        })
    }

    /// The answer of a question, or its refusal.
    pub(crate) fn ask(&self, question: &Question, form: AnswerForm) -> Result<String> {
        let (session, question) = (Arc::clone(&self.session), question.clone());
        on_runtime(async move {
            let asked = session.ask(&question, form).await?;
            answer(session.run(&asked.prepared, &asked.parameters, Delivery::Batches).await?).await
        })
    }

    pub(crate) fn change(&self, changes: &[RecordChange], on_failure: OnFailure) -> Result<Vec<ChangeOutcome>> {
        let (session, changes) = (Arc::clone(&self.session), changes.to_vec());
        on_runtime(async move { session.change(&changes, on_failure).await })
    }

    /// Notices since the last call.
    pub(crate) fn notices(&self) -> Vec<String> {
        let notice = |effect| match effect {
            Effect::Notice(notice) => Some(format!("{} {}", notice.sqlstate, notice.message)),
            Effect::ParameterStatus { .. } => None,
        };
        self.session.take_effects().into_iter().filter_map(notice).collect()
    }

    /// Runs texts and compares their answers.
    pub(crate) fn says(&self, cases: &[(&str, &str)]) {
        for (sql, expected) in cases {
            assert_eq!(self.run(sql), *expected, "{sql}");
        }
    }
}

async fn answer(outcome: Outcome) -> Result<String> {
    Ok(match outcome {
        Outcome::Empty => String::new(),
        Outcome::Command(CommandTag::Fixed(tag)) => tag,
        Outcome::Command(CommandTag::Counted(verb)) => verb.to_owned(),
        Outcome::Rows(rows) | Outcome::CopyOut(rows, _) => {
            let batches: Vec<_> = rows.batches.try_collect().await?;
            lines_of(&batches).join("; ")
        }
        Outcome::Messages(rows) => format!("{} rows as messages", rows.rows),
        Outcome::CopyIn(_) => "COPY IN".to_owned(),
    })
}

fn words(error: &Error) -> String {
    format!("{} {}", error.code().sqlstate(), error.message())
}

/// The database that each yard begins with a copy of.
fn database() -> &'static Path {
    static MADE: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("yard.db");
        let url = format!("sqlite://{}?mode=rwc", path.display());
        on_runtime(async move {
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            sqlx::raw_sql(include_str!("yard.sql")).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
        (folder, path)
    });
    &MADE.1
}

async fn deployment(path: &Path, version: u64, edit: impl FnOnce(Value) -> Value) -> Deployment {
    let stack = edit(serde_json::from_str(include_str!("yard.json")).unwrap());
    let options = LoadOptions { posture: TenancyPosture::Single, ..LoadOptions::default() };
    let mut snapshot = load_text("stack.json", &stack.to_string(), &options).unwrap_or_else(|error| panic!("{error}"));
    snapshot.version = version;
    let snapshot = Arc::new(snapshot);
    Deployment {
        version,
        database: "yard".to_owned(),
        policies: Arc::new(CompiledPolicy::compile(Arc::clone(&snapshot), Vec::new())),
        tables: tables(&snapshot, path).await,
        snapshot,
        facts: Arc::new(Facts::from_rows(std::iter::empty()).unwrap()),
        views: Vec::new(),
        sources: Vec::new(),
        schema_events: Vec::new(),
        refuse_masked_predicates: false,
        deny_hidden_columns: false,
    }
}

async fn tables(snapshot: &Snapshot, path: &Path) -> HashMap<String, SourceTable> {
    let options = SqliteOptions { readers: 3, writes: true, ..SqliteOptions::new(path) };
    let driver: Arc<dyn Driver> = Arc::new(SqliteDriver::new(options));
    let mut placed = HashMap::new();
    for object in snapshot.objects.values().filter(|object| object.name.starts_with("yard_")) {
        let provider = Arc::new(remote(&driver, &object.name, &object_schema(object)).await);
        placed.insert(object.name.clone(), SourceTable::new("crm", provider));
    }
    placed
}
