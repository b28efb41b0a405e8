//! Other valid ways to plan a statement, and who chooses among them. What comes of a choice passes the same walks as any plan;
//! estimates nothing itself.

use crate::bind::plan_history::Choices;
use crate::bind::workspace::with_config;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use querygate_catalog::federation::{TableSizes, WholeFragment, source_settings};
use querygate_catalog::remote::{AllKeys, SourcePlanning};
use querygate_rules::estimate::Estimator;
use querygate_telemetry_api::advice::{Advice, Choice, Lost, PlanAdvisor, Question, Variant};
use querygate_types::PlannerSetting;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::Instant;

/// Who is asked, and by whom.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) advisor: Arc<dyn PlanAdvisor>,
    pub(crate) fingerprint: u64,
    pub(crate) template: Arc<str>,
    pub(crate) login: Arc<str>,
    /// EXPLAIN: the choice counts as no run.
    pub(crate) explains: bool,
    /// When its client's patience ends.
    pub(crate) deadline: Option<Instant>,
}

impl Asking {
    fn question<'a>(&'a self, band: u8, variants: &'a [Variant]) -> Question<'a> {
        Question { fingerprint: self.fingerprint, template: &self.template, login: &self.login, band, variants }
    }

    /// The choice for a statement with this carved plan. `None`: there is nothing to choose.
    pub(crate) fn choose(&self, carved: &LogicalPlan, whole_tables_only: bool) -> Option<Chosen> {
        choices(carved, whole_tables_only).map(|choices| self.choose_of(choices))
    }

    /// The choice among these.
    pub(crate) fn choose_of(&self, choices: Choices) -> Chosen {
        self.chosen(choices.variants, choices.band)
    }

    /// The choice for a statement that one source runs as a whole. `None`: its planner has nothing to decide, or takes no setting.
    pub(crate) fn choose_whole(&self, whole: &WholeFragment) -> Option<Chosen> {
        if whole.settings().is_empty() {
            return None;
        }
        let variants = whole.settings().iter().copied().map(Variant::Planner).collect();
        Some(self.chosen(variants, band(whole.expected_rows().unwrap_or(0.0))))
    }

    /// Whether there is time for the advised run to its limit, and then for the default in its place.
    fn has_time_for(&self, advice: &Advice) -> bool {
        match (advice.limit, self.deadline) {
            (Some(limit), Some(deadline)) => {
                deadline.saturating_duration_since(Instant::now()) > limit.saturating_mul(2)
            }
            (None, _) | (_, None) => true,
        }
    }

    fn chosen(&self, variants: Vec<Variant>, band: u8) -> Chosen {
        let (advice, why) = if self.explains {
            let (advice, why) = self.advisor.explain(&self.question(band, &variants));
            (advice, Some(why))
        } else {
            (self.advisor.choose(&self.question(band, &variants)), None)
        };
        // Advice is not trusted to be one of the valid ones.
        let valid = advice.variant == Variant::Default || variants.contains(&advice.variant);
        let advice = if !valid {
            Advice::NONE
        } else if advice.variant != Variant::Default && !self.has_time_for(&advice) {
            self.advisor.lost(&self.question(band, &variants), advice.variant, Lost::Void);
            Advice::NONE
        } else {
            advice
        };
        Chosen { asking: self.clone(), variants, band, advice, why }
    }
}

/// What was chosen for one run.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    asking: Asking,
    variants: Vec<Variant>,
    band: u8,
    pub(crate) advice: Advice,
    why: Option<String>,
}

impl Chosen {
    /// Whether it is the plan that is made without advice.
    pub(crate) fn is_default(&self) -> bool {
        self.advice.variant == Variant::Default
    }

    /// The way in which a run with this choice is planned.
    pub(crate) fn variant(chosen: Option<&Self>) -> Variant {
        chosen.map_or(Variant::Default, |chosen| chosen.advice.variant)
    }

    /// The setting of sources' planners.
    pub(crate) fn setting(&self) -> Option<PlannerSetting> {
        match self.advice.variant {
            Variant::Planner(setting) => Some(setting),
            Variant::Default
            | Variant::WrittenOrder
            | Variant::NoKeys
            | Variant::Keys
            | Variant::OneStream
            | Variant::Fetch => None,
        }
    }

    /// For the records of learning.
    pub(crate) fn record(&self) -> Choice {
        Choice { alternative: self.advice.variant.name().into(), band: self.band, stage: self.advice.stage }
    }

    /// Tells the advisor that the default took this run's place.
    pub(crate) fn lost(&self, lost: Lost) {
        if !self.asking.explains {
            let question = self.asking.question(self.band, &self.variants);
            self.asking.advisor.lost(&question, self.advice.variant, lost);
        }
    }

    /// The line of EXPLAIN.
    pub(crate) fn explained(&self) -> String {
        let all = std::iter::once(&Variant::Default).chain(&self.variants);
        let others: Vec<&str> = all.filter(|one| **one != self.advice.variant).map(|one| one.name()).collect();
        let why = self.why.as_deref().unwrap_or_default();
        format!("Plan choice: {}: {why} (others: {})", self.advice.variant.name(), others.join(", "))
    }
}

/// What a carved plan lets choose. `None`: no leaf, or nothing to vary.
pub(crate) fn choices(carved: &LogicalPlan, whole_tables_only: bool) -> Option<Choices> {
    let (mut joins, mut leaves, mut rows, mut settings) = (0_usize, 0_usize, 0.0_f64, BTreeSet::new());
    let mut remote = false;
    // A walk that only reads cannot fail.
    let _walked = carved.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Join(_) => joins += 1,
            LogicalPlan::TableScan(scan) => {
                leaves += 1;
                let size = TableSizes.table(scan);
                (rows, remote) = (rows + size.rows.unwrap_or(0.0), remote || size.remote);
                settings.extend(source_settings(scan));
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    let alone = leaves < 2 && joins == 0;
    let valid = |variant: &Variant| match variant {
        Variant::WrittenOrder | Variant::NoKeys => joins > 0,
        Variant::Keys => joins > 0 && remote,
        Variant::Fetch => !alone && !whole_tables_only,
        Variant::OneStream => !alone,
        Variant::Planner(setting) => settings.contains(setting),
        Variant::Default => false,
    };
    let variants: Vec<Variant> = Variant::others().filter(valid).collect();
    (leaves > 0 && !variants.is_empty()).then(|| Choices { variants, band: band(rows) })
}

/// The magnitude of a number of rows.
fn band(rows: f64) -> u8 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 12")]
    let band = (rows.max(1.0).log10().round().clamp(0.0, 12.0)) as u8;
    band
}

/// Whether a rule decides about the order of joins.
fn is_of_order(rule: &str) -> bool {
    matches!(rule, "join_order" | "join_sides")
}

/// The state that plans a statement the given way.
pub(crate) fn state_for(variant: Variant, state: &Arc<SessionState>) -> Arc<SessionState> {
    match variant {
        // What is fetched is planned as ever.
        Variant::Default | Variant::Fetch => Arc::clone(state),
        Variant::WrittenOrder => {
            let rules = state.optimizer().rules.iter().filter(|rule| !is_of_order(rule.name())).cloned().collect();
            let builder = SessionStateBuilder::new_from_existing(SessionState::clone(state));
            Arc::new(builder.with_optimizer_rules(rules).build())
        }
        Variant::NoKeys => Arc::new(with_config(state, |config| {
            config.options_mut().optimizer.enable_join_dynamic_filter_pushdown = false;
        })),
        Variant::Keys => Arc::new(with_config(state, |config| config.set_extension(Arc::new(AllKeys)))),
        Variant::OneStream => Arc::new(with_config(state, |config| {
            config.options_mut().execution.target_partitions = 1;
        })),
        Variant::Planner(setting) => Arc::new(with_config(state, |config| {
            config.set_extension(Arc::new(SourcePlanning(setting)));
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::time::Duration;

    /// Advises a trial of a second, whatever it is asked.
    #[derive(Debug, Default)]
    struct Insisting(Mutex<Vec<Lost>>);

    impl PlanAdvisor for Insisting {
        fn choose(&self, _question: &Question<'_>) -> Advice {
            let limit = Some(Duration::from_secs(1));
            Advice { variant: Variant::OneStream, stage: querygate_telemetry_api::advice::Stage::Trial, limit }
        }

        fn explain(&self, question: &Question<'_>) -> (Advice, String) {
            (self.choose(question), String::new())
        }

        fn lost(&self, _question: &Question<'_>, _variant: Variant, lost: Lost) {
            self.0.lock().unwrap().push(lost);
        }
    }

    #[test]
    fn advice_is_taken_where_there_is_time_for_the_default_after_it() {
        for (seconds, expected, told) in [
            (None, Variant::OneStream, vec![]),
            (Some(10.0), Variant::OneStream, vec![]),
            (Some(1.5), Variant::Default, vec![Lost::Void]),
            (Some(0.0), Variant::Default, vec![Lost::Void]),
        ] {
            let advisor = Arc::new(Insisting::default());
            let asking = Asking {
                advisor: Arc::clone(&advisor) as Arc<dyn PlanAdvisor>,
                fingerprint: 7,
                template: Arc::from("select ?"),
                login: Arc::from("ada"),
                explains: false,
                deadline: seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds)),
            };
            assert_eq!(asking.chosen(vec![Variant::OneStream], 3).advice.variant, expected, "{seconds:?}");
            assert_eq!(*advisor.0.lock().unwrap(), told, "{seconds:?}");
        }
    }
}
