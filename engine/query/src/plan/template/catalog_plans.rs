//! Plans of statements that read the catalog alone, kept for any values: the catalog is small, so that no value makes another plan the
//! better one.

use super::types_by_value::a_value_decides_a_type;
use super::{MadeWith, Template, Templates, Ties, admitted, bytes_of, opened, state_with};
use crate::bind::statement::Bound;
use crate::bind::workspace::with_config;
use crate::dialect::subqueries::apply::{self, Scope};
use crate::plan::executable::loops_over_equals;
use crate::plan::renew::Renewable;
use crate::rules::open_parameters::OpenParameters;
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use querygate_catalog::remote::Arguments;
use querygate_pg_catalog::session::SessionVars;
use querygate_telemetry_api::advice::Variant;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Bytes of a value in such a plan at most: nodes are planned to pace long constants, and see none where a parameter is open.
const VALUE_BYTES_MAX: usize = 1_024;

/// Texts of the settings in such a plan: as they are, and the path that its functions hold.
const SETTINGS_COPIES: usize = 2;

/// Values of a run for such a plan. `None`: it is planned for them.
pub(super) fn arguments(values: &[ScalarValue]) -> Option<Arguments> {
    let is_brief = values.iter().all(|value| value.size() <= VALUE_BYTES_MAX);
    is_brief.then(|| Arguments::of_gate(values.to_vec())).flatten()
}

/// The key of such a plan.
fn catalog_key(bound: &Bound) -> super::Key {
    (bound.number(), Variant::Default, Ties::default())
}

impl Templates {
    /// The plan that is kept of a statement that reads the catalog alone, where names mean what these settings say. `None`: there is none.
    pub(crate) fn of_catalog(&self, bound: &Bound, settings: &str) -> Option<Arc<Template>> {
        let template = self.0.get(&catalog_key(bound))?;
        matches!(&template.made_with, MadeWith::Settings(own) if **own == *settings).then_some(template)
    }

    /// Keeps the plan of such a statement, which is the same for any values. `None`: it cannot be made of any.
    pub(crate) async fn keep_of_catalog(
        &self,
        bound: &Bound,
        state: &Arc<SessionState>,
        arguments: &Arguments,
        settings: &Arc<str>,
    ) -> Option<Arc<Template>> {
        if bound.plans().is_refused(Variant::Default) {
            return None;
        }
        let Some((renewable, logical)) = kept_of_catalog(bound, state, arguments).await else {
            metrics::counter!("querygate_plan_templates_total", "outcome" => "refused").increment(1);
            bound.plans().refuse(Variant::Default);
            return None;
        };
        let template = Arc::new(Template {
            made_with: MadeWith::Settings(Arc::clone(settings)),
            bytes: bytes_of(&renewable, &logical).saturating_add(settings.len().saturating_mul(SETTINGS_COPIES)),
            renewable,
            logical,
            records: Arc::default(),
            has_ranges: false,
            uses: AtomicU32::new(0),
            signature: 0,
        });
        metrics::counter!("querygate_plan_templates_total", "outcome" => "made").increment(1);
        self.0.insert(catalog_key(bound), Arc::clone(&template));
        Some(template)
    }
}

/// The statement planned with its parameters open, in nodes of the gate too. `None`: it cannot be made anew.
pub(super) async fn kept_of_catalog(
    bound: &Bound,
    state: &Arc<SessionState>,
    arguments: &Arguments,
) -> Option<(Renewable, LogicalPlan)> {
    let planned = async {
        let open = opened(bound, arguments, &Ties::default())?;
        if a_value_decides_a_type(&open)? {
            return plan_err!("a type follows from a parameter's value");
        }
        let expanded = apply::expand(open.clone(), Scope::CatalogOnly)?;
        let state = with_path_alone(&state_with(state, arguments, Some(Arc::new(OpenParameters))));
        Ok::<_, DataFusionError>((state.create_physical_plan(&expanded).await?, open))
    };
    let (physical, open) = planned
        .await
        .inspect_err(|error| tracing::debug!(%error, "a statement of the catalog is planned for each run's values"))
        .ok()?;
    admitted(&physical, bound)?;
    if loops_over_equals(&physical) {
        return None;
    }
    Some((Renewable::of(physical).ok()??, open))
}

/// The state with what such a statement sees of a session, and nothing else that a session holds: functions keep what they are planned with.
fn with_path_alone(state: &SessionState) -> SessionState {
    with_config(state, |config| {
        let extensions = &mut config.options_mut().extensions;
        let search_path = extensions.get::<SessionVars>().and_then(|vars| vars.search_path.clone());
        extensions.insert(SessionVars { search_path, ..SessionVars::default() });
    })
}
