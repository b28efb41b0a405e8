//! The rules that plans go through, in order: DataFusion's own, and ours among them. Each of ours stands at an anchor, a
//! rule of DataFusion by its name. An anchor that is missing is an error when the gate is made: a rule that DataFusion
//! renames would otherwise move ours to another place without a word.

use crate::rules::bounds::bound_pushed_conditions::bounded;
use crate::rules::bounds::cancellable_rules::{cancellable, cancellable_physical};
use crate::rules::bounds::meter_operators::MeterOperators;
use crate::rules::bounds::yield_to_others::YieldToOthers;
use crate::rules::joins::collect_distinct_keys::CollectDistinctKeys;
use crate::rules::joins::collect_one_row_side::CollectOneRowSide;
use crate::rules::joins::collect_small_side::CollectSmallSide;
use crate::rules::joins::collect_subquery_of_not_in::CollectSubqueryOfNotIn;
use crate::rules::repairs::correct_dependencies::{ASKING, with_correct_dependencies};
use crate::rules::repairs::drop_unsound_equivalences::DropUnsoundEquivalences;
use crate::rules::repairs::keep_topk_keys::{KeepTopKKeys, LimitedGroups};
use crate::rules::repairs::plain_constants::PlainConstants;
use crate::rules::repairs::restore_sorts::RestoreSorts;
use crate::rules::repairs::separate_equal_names::with_separate_names;
use crate::rules::repairs::simplify_soundly::{SIMPLIFYING, with_sound_simplification};
use crate::rules::repairs::skip_wrong_plans::{GUARDED, guarded};
use datafusion::optimizer::{Analyzer, Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use querygate_catalog::federation::TableSizes;
use querygate_operators::{AggregateByPerfectHash, SortPlainTexts};
use querygate_rules::date_bounds::DateBounds;
use querygate_rules::join_order::{JoinOrder, JoinSides};
use querygate_types::{Error, Result};
use std::sync::Arc;

pub(crate) type Logical = Arc<dyn OptimizerRule + Send + Sync>;
pub(crate) type Physical = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// Left out where the engine's rules broke a plan: it shares parts of expressions, after which they forget by what rows are
/// sorted.
pub(crate) const SHARING: &str = "common_sub_expression_eliminate";

/// Between our two analyzer rules, which `querygate_semantics::install` puts around it.
const COERCION: &str = "type_coercion";

/// Leaves columns out that nothing reads. One of [`ASKING`].
const NARROWING: &str = "optimize_projections";

/// The rules that push conditions down a finished plan, by the beginning of their names.
const PUSHING: &str = "FilterPushdown";

/// Answers aggregates by statistics. Left out: tables here tell none, and below an aggregate with FILTER it takes another
/// one's values for its own.
const BY_STATISTICS: &str = "aggregate_statistics";

/// A rule of either kind, by its name.
trait Named {
    fn title(&self) -> &str;
}

impl Named for Logical {
    fn title(&self) -> &str {
        self.name()
    }
}

impl Named for Physical {
    fn title(&self) -> &str {
        self.name()
    }
}

/// Where the rule stands that others are placed by.
fn place<R: Named>(rules: &[R], anchor: &str) -> Result<usize> {
    let found = rules.iter().position(|rule| rule.title() == anchor);
    found
        .ok_or_else(|| Error::internal(format!("DataFusion has no rule {anchor} any more, which others are placed by")))
}

/// Logical rules: dependencies are corrected before the rules that read them, constants beside columns lose all but their values before
/// they are compared and once they are folded, and dates are compared as dates then. The order of joins is found once conditions are where
/// they belong, behind the rule that joins as the statement is written, and before columns are left out that nothing above a join reads; which
/// side of an outer or semi join is read first goes by the columns that are left, and comes last.
///
/// # Errors
/// Internal: an anchor is missing.
pub(crate) fn logical() -> Result<Vec<Logical>> {
    let own = Optimizer::new().rules;
    for anchor in GUARDED.iter().map(|(name, _)| *name).chain(ASKING).chain([SHARING]) {
        place(&own, anchor)?;
    }
    let mut rules = with_correct_dependencies(with_sound_simplification(guarded(own)));
    let simplified = place(&rules, SIMPLIFYING)?;
    // Before what compares constants, and behind what makes them.
    rules.insert(simplified + 1, Arc::new(PlainConstants));
    rules.insert(simplified + 1, Arc::new(DateBounds));
    rules.insert(0, Arc::new(PlainConstants));
    // Before what corrects dependencies for the rule that leaves columns out.
    let narrowed = place(&rules, NARROWING)? - 1;
    rules.insert(narrowed, Arc::new(JoinOrder::new(Arc::new(TableSizes))));
    rules.push(Arc::new(JoinSides::new(Arc::new(TableSizes))));
    Ok(cancellable(rules))
}

/// Physical rules: after the one that swaps sides of joins, which side is collected; around the one that sorts, what it believes of
/// joins, groupings and filters; lost orders before its check of them; first rows, meters, our own operators and yielding after it.
///
/// # Errors
/// Internal: an anchor is missing.
pub(crate) fn physical() -> Result<Vec<Physical>> {
    let own = PhysicalOptimizer::new().rules;
    if !own.iter().any(|rule| rule.name().starts_with(PUSHING)) {
        return Err(Error::internal(format!("DataFusion has no rule {PUSHING} any more")));
    }
    let mut rules = with_separate_names(bounded(own));
    rules.remove(place(&rules, BY_STATISTICS)?);
    let swapped = place(&rules, "join_selection")?;
    rules.insert(swapped + 1, Arc::new(CollectOneRowSide));
    rules.insert(swapped + 2, Arc::new(CollectSmallSide));
    rules.insert(swapped + 3, Arc::new(CollectSubqueryOfNotIn));
    rules.insert(swapped + 4, Arc::new(CollectDistinctKeys));
    let sorted = place(&rules, "EnsureRequirements")?;
    rules.insert(sorted + 1, Arc::new(DropUnsoundEquivalences { sorts: true }));
    rules.insert(sorted, Arc::new(DropUnsoundEquivalences { sorts: false }));
    let check = place(&rules, "SanityCheckPlan")?;
    rules.insert(check, Arc::new(RestoreSorts));
    rules.push(Arc::new(KeepTopKKeys));
    rules.push(Arc::new(LimitedGroups));
    rules.push(Arc::new(MeterOperators));
    rules.push(Arc::new(AggregateByPerfectHash));
    rules.push(Arc::new(SortPlainTexts));
    rules.push(Arc::new(YieldToOthers));
    Ok(cancellable_physical(rules))
}

/// Whether all anchors are there.
///
/// # Errors
/// Internal: one is missing.
pub(crate) fn check() -> Result<()> {
    if !Analyzer::new().rules.iter().any(|rule| rule.name() == COERCION) {
        return Err(Error::internal(format!("DataFusion has no rule {COERCION} any more")));
    }
    logical()?;
    physical()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::repairs::drop_unsound_equivalences::DROPPING;
    use std::path::{Path, PathBuf};

    #[test]
    fn rules_stand_at_their_anchors() {
        check().unwrap();
        let beside = |names: &[String], anchor: &str, ours: &str| {
            let at = |name: &str| names.iter().position(|own| own == name).unwrap();
            at(ours).abs_diff(at(anchor)) == 1
        };
        let names: Vec<String> = logical().unwrap().iter().map(|rule| rule.title().to_owned()).collect();
        assert!(beside(&names, SIMPLIFYING, DateBounds.name()), "{names:?}");
        let narrowing = names.iter().position(|name| name == NARROWING).unwrap();
        assert_eq!(names[narrowing - 2..narrowing], ["join_order", "correct_dependencies"], "{names:?}");
        let names: Vec<String> = physical().unwrap().iter().map(|rule| rule.title().to_owned()).collect();
        assert!(beside(&names, "join_selection", CollectOneRowSide.name()), "{names:?}");
        assert!(beside(&names, CollectOneRowSide.name(), CollectSmallSide.name()), "{names:?}");
        assert!(beside(&names, CollectSmallSide.name(), CollectSubqueryOfNotIn.name()), "{names:?}");
        assert!(beside(&names, CollectSubqueryOfNotIn.name(), CollectDistinctKeys.name()), "{names:?}");
        assert!(beside(&names, MeterOperators.name(), AggregateByPerfectHash.name()), "{names:?}");
        let sorting = names.iter().position(|name| name == "EnsureRequirements").unwrap();
        assert!([sorting - 1, sorting + 1].into_iter().all(|at| names[at] == DROPPING), "{names:?}");
        assert!(beside(&names, "SanityCheckPlan", RestoreSorts.name()), "{names:?}");
        assert!(!names.iter().any(|name| name == BY_STATISTICS));
        assert_eq!(names.last().map(String::as_str), Some(YieldToOthers.name()));
    }

    #[test]
    fn a_missing_anchor_is_an_error() {
        let error = place(&logical().unwrap(), "no_such_rule").unwrap_err();
        assert_eq!(error.code(), querygate_types::ErrorCode::Internal);
    }

    /// Each repair names the version with which the test in its file last failed without it. With another one each is to be
    /// looked at anew: a repair whose test says that DataFusion does it by itself goes.
    #[test]
    fn repairs_are_looked_at_with_each_version() {
        fn files(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    files(&path, found);
                } else if path.extension().is_some_and(|its| its == "rs") {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let needed = format!("//! Needed with DataFusion {}.", datafusion::DATAFUSION_VERSION);
        let mut repairs = 0;
        for file in found {
            let text = std::fs::read_to_string(&file).unwrap();
            if let Some(line) = text.lines().find(|line| line.starts_with("//! Needed with DataFusion")) {
                assert_eq!(line, needed, "{}", file.display());
                repairs += 1;
            }
        }
        // Where repairs go, this number goes with them.
        assert!(repairs >= 20, "{repairs}");
    }

    /// Each rule of DataFusion that ours are placed by, guarded or removed is there.
    #[test]
    fn every_anchor_is_a_rule_of_datafusion() {
        let logical: Vec<String> = Optimizer::new().rules.iter().map(|rule| rule.name().to_owned()).collect();
        let physical: Vec<String> = PhysicalOptimizer::new().rules.iter().map(|rule| rule.name().to_owned()).collect();
        for anchor in GUARDED.iter().map(|(name, _)| *name).chain(ASKING).chain([SHARING, SIMPLIFYING, NARROWING]) {
            assert!(logical.iter().any(|name| name == anchor), "{anchor}");
        }
        for anchor in [BY_STATISTICS, "join_selection", "EnsureRequirements", "SanityCheckPlan"] {
            assert!(physical.iter().any(|name| name == anchor), "{anchor}");
        }
        assert!(physical.iter().any(|name| name.starts_with(PUSHING)));
    }

    /// DataFusion's rules keep their order among themselves, and none is lost but the one that is left out.
    #[test]
    fn the_rules_of_datafusion_keep_their_order() {
        let own: Vec<String> = PhysicalOptimizer::new().rules.iter().map(|rule| rule.name().to_owned()).collect();
        let all: Vec<String> = physical().unwrap().iter().map(|rule| rule.name().to_owned()).collect();
        let kept: Vec<&String> = all.iter().filter(|name| own.contains(name)).collect();
        assert_eq!(kept, own.iter().filter(|name| *name != BY_STATISTICS).collect::<Vec<_>>());
        let own: Vec<String> = Optimizer::new().rules.iter().map(|rule| rule.name().to_owned()).collect();
        let all: Vec<String> = logical().unwrap().iter().map(|rule| rule.name().to_owned()).collect();
        assert_eq!(all.iter().filter(|name| own.contains(name)).collect::<Vec<_>>(), own.iter().collect::<Vec<_>>());
    }
}
