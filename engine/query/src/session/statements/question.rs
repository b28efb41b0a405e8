//! Questions in a session: bound as statements are, and run as they are.

use super::prepared::PreparedStatement;
use crate::bind::reader_rights::ReaderRights;
use crate::bind::statement::{Answer, Bound, bind_plan};
use crate::bind::workspace::Workspace;
use crate::books::clock::now_ms;
use crate::engine::Engine;
use crate::engine::caches::{BOUND_TEXT_MAX, BoundKey};
use crate::question::object::{describe, visible};
use crate::question::{Composed, Reading, compose, is_short, unread};
use crate::run::lifecycle::Run;
use crate::run::start_time::StartTime;
use crate::session::gate_session::GateSession;
use crate::sql::asking::Asking;
use crate::sql::classify::Classified;
use crate::sql::parse::Parsed;
use arrow::array::ArrayRef;
use datafusion::execution::SessionState;
use querygate_catalog::VisibleObject;
use querygate_catalog::rights::PrincipalRights;
use querygate_policy::Evaluator;
use querygate_policy::query_filter::FilterContext;
use querygate_policy::write::WriteOperation;
use querygate_query_api::requests::question::{AnswerForm, ChangeRights, ObjectDescription, Question};
use querygate_query_api::service::Asked;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::{Arc, Mutex};

/// A bound question with its values.
struct BoundQuestion {
    bound: Arc<Bound>,
    parameters: Vec<ArrayRef>,
    text: Arc<str>,
}

/// What a question is bound on, and where bound ones are kept.
struct Places {
    gate: Arc<Engine>,
    workspace: Arc<Workspace>,
    state: Arc<SessionState>,
    /// Settings that binding depends on.
    settings: Arc<str>,
}

impl Places {
    fn key(&self, text: &Arc<str>) -> BoundKey {
        let token = self.workspace.catalog.token().clone();
        BoundKey { token, text: Arc::clone(text), declared: Vec::new(), settings: Arc::clone(&self.settings) }
    }

    /// As of statements: what an earlier workspace of the principal bound is not of this one.
    fn known(&self, text: &Arc<str>) -> Option<Arc<Bound>> {
        let bound = self.gate.caches().bound.get(&self.key(text))?;
        Arc::ptr_eq(bound.workspace(), &self.workspace).then_some(bound)
    }

    /// A question about records that was bound for other values.
    fn found(&self, asking: &Asking, context: &FilterContext) -> Result<Option<BoundQuestion>> {
        let reading = Reading::of(asking, &self.workspace.catalog, &self.state, context)?;
        let text: Arc<str> = reading.text().into();
        let Some(bound) = self.known(&text) else { return Ok(None) };
        Ok(Some(BoundQuestion { bound, parameters: reading.parameters()?, text }))
    }

    fn bind(&self, asking: &Asking, context: &FilterContext) -> Result<BoundQuestion> {
        let Composed { plan, parameters, text, answer } =
            compose(asking, &self.workspace.catalog, &self.state, context)?;
        let is_kept = text.len() <= BOUND_TEXT_MAX && is_first_page(&asking.question);
        if is_kept && let Some(bound) = self.known(&text) {
            return Ok(BoundQuestion { bound, parameters, text });
        }
        let bound = Arc::new(bind_plan(&self.workspace, &self.state, plan, answer)?);
        if is_kept {
            self.gate.caches().bound.insert(self.key(&text), Arc::clone(&bound));
        }
        Ok(BoundQuestion { bound, parameters, text })
    }
}

/// Pages that are kept of one question: the bounds of a page are part of its plan, and who walks through an object's records must
/// not displace what others ask for.
const PAGES_KEPT: u64 = 4;
/// Rows of a page that is kept.
const PAGE_ROWS_KEPT: u64 = 1_001;

/// Whether the plan of a page is worth to be kept. A page may have been asked for with one row more, to see whether it is the last.
fn is_first_page(question: &Question) -> bool {
    let (limit, offset) = (question.limit.unwrap_or(0), question.offset.unwrap_or(0));
    let begins_a_page = |rows: u64| rows > 0 && offset % rows == 0 && offset / rows < PAGES_KEPT;
    let is_early = offset == 0 || begins_a_page(limit) || begins_a_page(limit.saturating_sub(1));
    limit <= PAGE_ROWS_KEPT && is_early
}

impl GateSession {
    /// Binds a question. One that fails leaves a record.
    pub(in crate::session) async fn bind_asked(&self, question: &Question, form: AnswerForm) -> Result<Asked> {
        let asking = Arc::new(Asking { question: question.clone(), form });
        let began = StartTime::now();
        let interrupt = self.runs.interrupt(self.timeout());
        let asked = interrupt.within(self.bind_question(&asking)).await;
        match asked.and_then(|bound| self.asked(Arc::clone(&asking), bound)) {
            Ok(asked) => Ok(asked),
            Err(error) => {
                let (text, template) = unread(&question.object);
                let parsed = Arc::new(Parsed::question(text.into(), Arc::new(template), asking));
                Err(Run::begin(&self.runs, &parsed, Arc::default(), began, self.told()).fail(error))
            }
        }
    }

    fn asked(&self, asking: Arc<Asking>, BoundQuestion { bound, parameters, text }: BoundQuestion) -> Result<Asked> {
        let Some(Answer { columns, template }) = bound.answer().cloned() else {
            return Err(Error::internal("a question was bound as another statement"));
        };
        let parameter_types = bound.parameter_types();
        if parameter_types.len() != parameters.len() {
            return Err(Error::internal("a question lost parameters when it was bound"));
        }
        let parsed = Arc::new(Parsed::question(text, template, asking));
        parsed.charge(&self.prepared_memory)?;
        let plan = bound.charge(&self.prepared_memory)?;
        let prepared = PreparedStatement {
            parsed,
            declared: Vec::new(),
            constants: None,
            parameter_types,
            columns: Some(Arc::clone(bound.columns())),
            kind: super::prepared::Kind::Query(bound),
            look_up: Mutex::default(),
            write: Mutex::default(),
            _plan: Some(plan),
        };
        Ok(Asked { prepared: Arc::new(prepared), parameters, columns })
    }

    /// Finds a question bound for other values, or composes its plan and binds it.
    async fn bind_question(&self, asking: &Arc<Asking>) -> Result<BoundQuestion> {
        self.admits(&Classified::Question(Arc::clone(asking)))?;
        let (workspace, state, settings) = self.current().await?;
        let principal = workspace.catalog.principal();
        let context = FilterContext {
            now_ms: now_ms(),
            user_id: Some(principal.user_id.clone()),
            organization_id: principal.organization_id.clone(),
            protocol: workspace.catalog.deployment().snapshot.protocol,
        };
        let places = Places { gate: Arc::clone(&self.gate), workspace, state, settings };
        if is_short(&asking.question)
            && is_first_page(&asking.question)
            && let Some(found) = places.found(asking, &context)?
        {
            return Ok(found);
        }
        let asking = Arc::clone(asking);
        // Where nested plans have the stack that they need, and hold up no wire.
        self.on_workers(async move { places.bind(&asking, &context) }).await
    }

    /// Binds anew when the version changed since; the question must still mean the same.
    pub(in crate::session) async fn refreshed_question(
        &self,
        prepared: &PreparedStatement,
        bound: &Arc<Bound>,
        asking: &Arc<Asking>,
    ) -> Result<Arc<Bound>> {
        if Arc::ptr_eq(&self.workspace().await?, bound.workspace()) {
            return Ok(Arc::clone(bound));
        }
        let current = Box::pin(self.bind_question(asking)).await?;
        if current.text != *prepared.parsed.shared_text() || current.bound.columns() != bound.columns() {
            return Err(Error::new(ErrorCode::FeatureNotSupported, "cached plan must not change result type"));
        }
        Ok(current.bound)
    }

    /// The objects that the principal may read.
    pub(in crate::session) fn described_objects(&self) -> Result<Vec<Arc<ObjectDescription>>> {
        let rights = self.gate.rights(&self.deployment(), &self.principal);
        Ok(rights.objects().iter().map(|visible| described(&rights, visible)).collect())
    }

    /// One of them.
    pub(in crate::session) fn described_object(&self, name: &str) -> Result<Arc<ObjectDescription>> {
        let rights = self.gate.rights(&self.deployment(), &self.principal);
        Ok(described(&rights, visible(&rights, name)?))
    }

    /// Whether clients may change several records of an object in one request; of one that the principal does not see, each change says
    /// so.
    pub(in crate::session) async fn decide_bulk(&self, name: &str) -> Result<()> {
        let workspace = self.workspace().await?;
        if visible(&workspace.catalog, name).is_err() {
            return Ok(());
        }
        evaluator(&workspace.catalog).decide_bulk(name).map_err(Error::from)
    }

    /// What the principal may do with one of them beside reading it.
    pub(in crate::session) async fn open_changes(&self, name: &str) -> Result<ChangeRights> {
        let workspace = self.workspace().await?;
        let catalog = &workspace.catalog;
        let visible = visible(catalog, name)?;
        let evaluator = evaluator(catalog);
        let has_table = |name: &str| catalog.deployment().tables.contains_key(name);
        let takes_changes = self.gate.options().writes && catalog.takes_changes(name);
        let only_inserts = catalog.only_inserts(name);
        let open = |operation| {
            takes_changes
                && (operation == WriteOperation::Insert || !only_inserts)
                && evaluator.refuse_all(name, operation, only_inserts, has_table).is_none()
        };
        let sees = |locked: &String| visible.fields().any(|field| field.name == *locked);
        Ok(ChangeRights {
            create: open(WriteOperation::Insert),
            update: open(WriteOperation::Update),
            delete: open(WriteOperation::Delete),
            locked_fields: evaluator.not_editable_fields(name).into_iter().filter(sees).collect(),
        })
    }
}

fn evaluator(rights: &PrincipalRights) -> Evaluator<'_> {
    let deployment = rights.deployment();
    Evaluator {
        policy: &deployment.policies,
        principal: rights.principal(),
        facts: &deployment.facts,
        now_ms: now_ms(),
    }
}

pub(in crate::session) fn described(rights: &ReaderRights, visible: &VisibleObject) -> Arc<ObjectDescription> {
    let may_export = || evaluator(rights).may_export(&visible.object);
    rights.description(&visible.sql_name, || describe(visible, may_export()))
}
