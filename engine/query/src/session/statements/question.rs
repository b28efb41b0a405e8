//! Questions in a session: bound as statements are, and run as they are.

use super::prepared::PreparedStatement;
use crate::bind::statement::{Bound, bind_plan};
use crate::books::clock::now_ms;
use crate::engine::caches::{BOUND_TEXT_MAX, BoundKey};
use crate::question::object::{describe, visible};
use crate::question::{Composed, compose, unread};
use crate::run::lifecycle::Run;
use crate::run::start_time::StartTime;
use crate::session::gate_session::GateSession;
use crate::sql::asking::Asking;
use crate::sql::classify::Classified;
use crate::sql::parse::Parsed;
use querygate_catalog::{PrincipalCatalog, VisibleObject};
use querygate_policy::Evaluator;
use querygate_policy::query_filter::FilterContext;
use querygate_policy::write::WriteOperation;
use querygate_query_api::requests::question::{AnswerForm, ChangeRights, ObjectDescription, Question};
use querygate_query_api::service::Asked;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::{Arc, Mutex};

impl GateSession {
    /// Binds a question. One that fails leaves a record.
    pub(in crate::session) async fn bind_asked(&self, question: &Question, form: AnswerForm) -> Result<Asked> {
        let asking = Arc::new(Asking { question: question.clone(), form });
        let began = StartTime::now();
        let interrupt = self.runs.interrupt(self.timeout());
        let asked = interrupt.within(self.bind_question(&asking)).await;
        match asked.and_then(|(composed, bound)| self.asked(Arc::clone(&asking), composed, bound)) {
            Ok(asked) => Ok(asked),
            Err(error) => {
                let (text, template) = unread(&question.object);
                let parsed = Arc::new(Parsed::question(text.into(), template, asking));
                let told = self.told((began.at, began.started.into_std()));
                Err(Run::begin(&self.runs, &parsed, Arc::default(), began, told).fail(error))
            }
        }
    }

    fn asked(&self, asking: Arc<Asking>, composed: Composed, bound: Arc<Bound>) -> Result<Asked> {
        let Composed { parameters, columns, text, template, plan: _ } = composed;
        let parameter_types = bound.parameter_types();
        if parameter_types.len() != parameters.len() || bound.columns().len() != columns.len() {
            return Err(Error::internal("a question lost parameters or columns when it was bound"));
        }
        let parsed = Arc::new(Parsed::question(text, template, asking));
        parsed.charge(&self.prepared_memory)?;
        let plan = bound.charge(&self.prepared_memory)?;
        let prepared = PreparedStatement {
            parsed,
            declared: Vec::new(),
            parameter_types,
            columns: Some(Arc::clone(bound.columns())),
            kind: super::prepared::Kind::Query(bound),
            look_up: Mutex::default(),
            write: Mutex::default(),
            _plan: Some(plan),
        };
        Ok(Asked { prepared: Arc::new(prepared), parameters, columns })
    }

    /// Composes a question's plan and binds it, or finds it bound for other values.
    async fn bind_question(&self, asking: &Arc<Asking>) -> Result<(Composed, Arc<Bound>)> {
        self.admits(&Classified::Question(Arc::clone(asking)))?;
        let (workspace, state, settings) = self.current().await?;
        let principal = workspace.catalog.principal();
        let context = FilterContext {
            now_ms: now_ms(),
            user_id: Some(principal.user_id.clone()),
            organization_id: principal.organization_id.clone(),
            strict_text_operators: self.inner().settings.flag("querygate.strict_text_operators"),
        };
        let (asking, gate) = (Arc::clone(asking), Arc::clone(&self.gate));
        // Where nested plans have the stack that they need, and hold up no wire.
        self.on_workers(async move {
            let composed = compose(&asking, &workspace.catalog, &state, &context)?;
            if composed.text.len() > BOUND_TEXT_MAX {
                let bound = Arc::new(bind_plan(&workspace, &state, composed.plan.clone())?);
                return Ok((composed, bound));
            }
            let key = BoundKey {
                token: workspace.catalog.token().clone(),
                text: Arc::clone(&composed.text),
                declared: Vec::new(),
                settings,
            };
            // As of statements: what an earlier workspace of the principal bound is not of this one.
            if let Some(bound) =
                gate.caches().bound.get(&key).filter(|bound| Arc::ptr_eq(bound.workspace(), &workspace))
            {
                return Ok((composed, bound));
            }
            let bound = Arc::new(bind_plan(&workspace, &state, composed.plan.clone())?);
            gate.caches().bound.insert(key, Arc::clone(&bound));
            Ok((composed, bound))
        })
        .await
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
        let (composed, current) = Box::pin(self.bind_question(asking)).await?;
        if composed.text != *prepared.parsed.shared_text() || current.columns() != bound.columns() {
            return Err(Error::new(ErrorCode::FeatureNotSupported, "cached plan must not change result type"));
        }
        Ok(current)
    }

    /// The objects that the principal may read.
    pub(in crate::session) async fn described_objects(&self) -> Result<Vec<Arc<ObjectDescription>>> {
        let workspace = self.workspace().await?;
        let catalog = &workspace.catalog;
        Ok(catalog.objects().iter().map(|visible| described(catalog, visible)).collect())
    }

    /// One of them.
    pub(in crate::session) async fn described_object(&self, name: &str) -> Result<Arc<ObjectDescription>> {
        let workspace = self.workspace().await?;
        Ok(described(&workspace.catalog, visible(&workspace.catalog, name)?))
    }

    /// What the principal may do with one of them beside reading it.
    pub(in crate::session) async fn open_changes(&self, name: &str) -> Result<ChangeRights> {
        let workspace = self.workspace().await?;
        let catalog = &workspace.catalog;
        let visible = visible(catalog, name)?;
        let evaluator = evaluator(catalog);
        let policies = &catalog.deployment().policies;
        let takes_changes = self.gate.options().writes && catalog.takes_changes(name);
        let open = |operation| {
            takes_changes
                && evaluator.decide_target(name, operation).refusal().is_none()
                && policies.write_obstacles(name, operation).is_empty()
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

fn evaluator(catalog: &PrincipalCatalog) -> Evaluator<'_> {
    let deployment = catalog.deployment();
    Evaluator {
        policy: &deployment.policies,
        principal: catalog.principal(),
        facts: &deployment.facts,
        now_ms: now_ms(),
    }
}

fn described(catalog: &PrincipalCatalog, visible: &VisibleObject) -> Arc<ObjectDescription> {
    Arc::new(describe(visible, evaluator(catalog).may_export(&visible.object)))
}
