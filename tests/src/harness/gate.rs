//! A gate in process and clients of it: what the binary wires from files, wired from texts and rows.

use super::answer::Answer;
use super::layout::{FILES, Layout, place};
use super::records::{Records, records};
use super::table::{Row, Table};
use super::workers::workers;
use arrow::array::{ArrayRef, StringArray};
use arrow::compute::cast;
use querygate_catalog::deployment::{Deployment, ViewDefinition};
use querygate_catalog::object_schema;
use querygate_driver_api::testkit::watch::Watch;
use querygate_metadata::load::{LoadOptions, load_text};
use querygate_metadata::model::{Facts, Protocol, Snapshot, TenancyPosture};
use querygate_policy::CompiledPolicy;
use querygate_query::{Engine, EngineOptions, GateService};
use querygate_query_api::column::arrow_type_of;
use querygate_query_api::outcome::{Effect, Outcome};
use querygate_query_api::requests::question::{AnswerForm, Question};
use querygate_query_api::requests::record_change::{ChangeOutcome, OnFailure, RecordChange};
use querygate_query_api::service::{ClientInfo, Delivery, Door, Prepared, QueryService, Session};
use querygate_types::Result;
use querygate_types::principal::Principal;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::DropGuard;

/// The runtime of all gates of a test binary.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_stack_size(8 << 20)
            .enable_all()
            .build()
            .unwrap()
    });
    &RUNTIME
}

/// What a gate is made of.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// A stack definition.
    pub stack: Value,
    pub posture: TenancyPosture,
    pub protocol: Protocol,
    /// Rows of `sys_*` objects: (object, row).
    pub facts: Vec<(String, Row)>,
    pub tables: Vec<Table>,
    pub views: Vec<ViewDefinition>,
    /// Degree of parallelism of a statement.
    pub target_partitions: usize,
    /// What drivers run.
    pub watch: Watch,
    /// Share of the pushed reads that are also computed in the gate.
    pub verify_sample: f64,
    /// Bytes that one user's statements and answers may hold.
    pub memory_per_user: usize,
    /// Rows that one answer may have.
    pub rows_max: Option<u64>,
    /// `mask_in_predicates = "refuse"`.
    pub refuse_masked_predicates: bool,
    /// `hidden_columns = "denied"`.
    pub deny_hidden_columns: bool,
    /// Whether rows may be changed, where their layout takes changes.
    pub writes: bool,
}

impl Fixture {
    #[must_use]
    pub fn new(stack: Value, tables: Vec<Table>) -> Self {
        Self {
            stack,
            posture: TenancyPosture::Single,
            protocol: Protocol::default(),
            facts: Vec::new(),
            tables,
            views: Vec::new(),
            target_partitions: 2,
            watch: Watch::default(),
            verify_sample: 0.0,
            memory_per_user: 512 << 20,
            rows_max: None,
            refuse_masked_predicates: false,
            deny_hidden_columns: false,
            writes: false,
        }
    }

    /// The stack's snapshot. Panics with the loader's diagnostics.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let options = LoadOptions { posture: self.posture, protocol: self.protocol, ..LoadOptions::default() };
        load_text("stack.json", &self.stack.to_string(), &options).unwrap_or_else(|e| panic!("{e}\n{:#}", self.stack))
    }

    /// A table of an object with the columns that its metadata declares; `rows` is a JSON array of objects.
    #[must_use]
    pub fn declared(snapshot: &Snapshot, object: &str, rows: &Value) -> Table {
        let schema = object_schema(snapshot.object(object).unwrap());
        let rows = rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone());
        Table::new(object, schema, rows.collect())
    }

    async fn deployment(&self, version: u64, layout: &dyn Fn(&str) -> Layout, folder: &TempDir) -> Deployment {
        let mut snapshot = self.snapshot();
        snapshot.version = version;
        let snapshot = Arc::new(snapshot);
        let policies = Arc::new(CompiledPolicy::compile(Arc::clone(&snapshot), Vec::new()));
        let facts = Facts::from_rows(self.facts.iter().map(|(object, row)| (object.as_str(), row))).unwrap();
        let folder = folder.path().join(version.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let (tables, sources) = place(&self.tables, layout, &folder, &self.watch, self.writes).await;
        let deployment = Deployment {
            version,
            database: "test".to_owned(),
            snapshot,
            policies,
            facts: Arc::new(facts),
            tables,
            views: self.views.clone(),
            sources,
            schema_events: Vec::new(),
            refuse_masked_predicates: self.refuse_masked_predicates,
            deny_hidden_columns: self.deny_hidden_columns,
        };
        deployment.measure().await;
        deployment
    }
}

/// A gate and the folder that its sources lie in.
#[derive(Debug)]
pub struct TestGate {
    gate: Arc<Engine>,
    folder: TempDir,
    target_partitions: usize,
    /// Ends its worker.
    worker: Option<DropGuard>,
}

impl TestGate {
    /// A gate with all rows in one layout.
    #[must_use]
    pub fn new(fixture: &Fixture, layout: Layout) -> Self {
        Self::placed(fixture, &|_| layout)
    }

    /// A gate whose objects lie where `layout` says.
    #[must_use]
    pub fn placed(fixture: &Fixture, layout: &dyn Fn(&str) -> Layout) -> Self {
        let folder = TempDir::new().unwrap();
        let deployment = runtime().block_on(fixture.deployment(1, layout, &folder));
        let is_remote = fixture.tables.iter().any(|table| layout(&table.object) == Layout::Workers);
        let started = is_remote.then(|| workers(&folder.path().join("1").join(FILES)));
        let (workers, worker) = started.unzip();
        let options = EngineOptions {
            memory_total: 1 << 30,
            memory_per_query: (256 << 20).min(fixture.memory_per_user),
            memory_per_user: fixture.memory_per_user,
            target_partitions: fixture.target_partitions,
            verify_sample: fixture.verify_sample,
            rows_max: fixture.rows_max,
            writes: fixture.writes,
            workers,
            ..EngineOptions::default()
        };
        let gate = Engine::new(options, runtime().handle().clone(), deployment).unwrap();
        Self { gate, folder, target_partitions: fixture.target_partitions, worker }
    }

    /// Swaps in another version of metadata and rows.
    pub fn replace(&self, fixture: &Fixture, layout: Layout) {
        assert_eq!(self.target_partitions, fixture.target_partitions);
        let version = self.gate.deployment().version + 1;
        self.gate.replace(runtime().block_on(fixture.deployment(version, &|_| layout, &self.folder))).unwrap();
    }

    /// The SQLite file of a gate whose rows lie in one.
    #[must_use]
    pub fn sqlite_file(&self) -> PathBuf {
        self.folder.path().join("1").join(format!("{}.db", Layout::Sqlite.name()))
    }

    /// What the self-check found so far: outcome, detail, template.
    ///
    /// # Panics
    /// When its table cannot be read.
    #[must_use]
    pub fn self_checks(&self) -> Vec<[String; 3]> {
        let operator = Principal::builder("operator").operator(true).build();
        let answer = self.client(&operator).run("SELECT outcome, detail, template FROM querygate.self_checks");
        let text = |cell: &Option<String>| cell.clone().unwrap_or_default();
        answer.table().iter().map(|row| [text(&row[0]), text(&row[1]), text(&row[2])]).collect()
    }

    /// What doors open sessions by.
    #[must_use]
    pub fn service(&self) -> Arc<dyn QueryService> {
        Arc::new(GateService::new(Arc::clone(&self.gate)))
    }

    /// A session of a principal.
    #[must_use]
    pub fn client(&self, principal: &Principal) -> Client {
        let settings: &[_] = if self.worker.is_some() { &[("querygate.workers", "on")] } else { &[] };
        self.try_client(principal, settings).unwrap()
    }

    /// A session with startup parameters.
    ///
    /// # Errors
    /// What the gate answers to them.
    pub fn try_client(&self, principal: &Principal, settings: &[(&str, &str)]) -> Result<Client> {
        let info = ClientInfo {
            door: Door::Postgres,
            database: "test".to_owned(),
            peer: None,
            settings: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let session = runtime().block_on(self.service().open(Arc::new(principal.clone()), info))?;
        Ok(Client { session })
    }
}

/// One session, as a door would use it.
pub struct Client {
    session: Arc<dyn Session>,
}

impl Client {
    /// Runs a text of one statement or several; the answer is the last one's, or the first failure.
    #[must_use]
    pub fn run(&self, sql: &str) -> Answer {
        runtime().block_on(self.run_async(sql))
    }

    /// The answers to all statements up to the first failure, and every notice.
    #[must_use]
    pub fn run_all(&self, sql: &str) -> Vec<Answer> {
        runtime().block_on(async {
            let statements = match self.session.split(sql) {
                Ok(statements) => statements,
                Err(error) => return vec![Answer::failed(&error)],
            };
            let mut answers = Vec::new();
            for statement in statements {
                let prepared = self.session.prepare(&statement, &[]).await;
                let answer = match prepared {
                    Ok(prepared) => self.execute(&prepared, &[]).await,
                    Err(error) => Answer::failed(&error),
                };
                let failed = answer.code().is_some();
                answers.push(answer);
                answers.extend(self.session.take_effects().into_iter().filter_map(notice));
                if failed {
                    self.session.fail_transaction();
                    break;
                }
            }
            answers
        })
    }

    async fn run_async(&self, sql: &str) -> Answer {
        let statements = match self.session.split(sql) {
            Ok(statements) => statements,
            Err(error) => return Answer::failed(&error),
        };
        let mut last = Answer::Command(String::new());
        for statement in statements {
            last = match self.session.prepare(&statement, &[]).await {
                Ok(prepared) => self.execute(&prepared, &[]).await,
                Err(error) => Answer::failed(&error),
            };
            if last.code().is_some() {
                self.session.fail_transaction();
                break;
            }
        }
        last
    }

    /// Binds the one statement of a text.
    ///
    /// # Errors
    /// The gate's refusal.
    pub fn prepare(&self, sql: &str) -> Result<Arc<dyn Prepared>> {
        let statements = self.session.split(sql)?;
        assert_eq!(statements.len(), 1, "{sql}");
        runtime().block_on(self.session.prepare(&statements[0], &[]))
    }

    /// The session itself.
    #[must_use]
    pub fn session(&self) -> &Arc<dyn Session> {
        &self.session
    }

    /// Asks a question.
    ///
    /// # Errors
    /// The gate's refusal, or the failure that ended the rows.
    pub fn ask(&self, question: &Question, form: AnswerForm) -> Result<Records> {
        runtime().block_on(async {
            let asked = self.session.ask(question, form).await?;
            match self.session.run(&asked.prepared, &asked.parameters, Delivery::Batches).await? {
                Outcome::Rows(rows) => records(&asked.columns, rows).await,
                other => panic!("a question gave {other:?}"),
            }
        })
    }

    /// Changes records.
    ///
    /// # Errors
    /// Why nothing is stored.
    pub fn change(&self, changes: &[RecordChange], on_failure: OnFailure) -> Result<Vec<ChangeOutcome>> {
        runtime().block_on(self.session.change(changes, on_failure))
    }

    /// Runs one statement with values given as texts, cast to the types that the gate infers.
    #[must_use]
    pub fn run_with(&self, sql: &str, values: &[String]) -> Answer {
        let prepared = match self.prepare(sql) {
            Ok(prepared) => prepared,
            Err(error) => return Answer::failed(&error),
        };
        let types = prepared.parameter_types();
        let texts = values.iter().map(|value| StringArray::from(vec![value.as_str()]));
        let arrays = texts.zip(types).map(|(text, to)| cast(&text, &arrow_type_of(*to).unwrap()).unwrap());
        self.execute_prepared(&prepared, &arrays.collect::<Vec<_>>())
    }

    /// Runs a bound statement with one-value arrays as parameters.
    #[must_use]
    pub fn execute_prepared(&self, prepared: &Arc<dyn Prepared>, parameters: &[ArrayRef]) -> Answer {
        runtime().block_on(self.execute(prepared, parameters))
    }

    async fn execute(&self, prepared: &Arc<dyn Prepared>, parameters: &[ArrayRef]) -> Answer {
        match self.session.run(prepared, parameters, Delivery::Batches).await {
            Ok(Outcome::Empty) => Answer::Command(String::new()),
            Ok(Outcome::Command(tag)) => Answer::Command(format!("{tag:?}")),
            Ok(Outcome::Messages(rows)) => panic!("{} rows came as messages", rows.rows),
            Ok(Outcome::CopyIn(copy)) => Answer::Command(format!("{copy:?}")),
            Ok(Outcome::Rows(rows) | Outcome::CopyOut(rows, _)) => Answer::collect(rows).await,
            Err(error) => Answer::failed(&error),
        }
    }
}

/// A notice as an answer, so that its texts are searched like all others.
fn notice(effect: Effect) -> Option<Answer> {
    match effect {
        Effect::Notice(notice) => {
            Some(Answer::Notice(format!("{} {} {:?}", notice.sqlstate, notice.message, notice.hint)))
        }
        Effect::ParameterStatus { .. } => None,
    }
}
