//! Repairs of DataFusion's rules where a plan would give other rows, or would not be made.

pub(crate) mod correct_dependencies;
pub(crate) mod drop_primary_keys;
pub(crate) mod drop_unsound_equivalences;
pub(crate) mod guard_failing_conditions;
mod keep_lists_apart;
mod keep_narrowing_casts;
pub(crate) mod keep_topk_keys;
pub(crate) mod plain_constants;
pub(crate) mod project_computed_keys;
pub(crate) mod restore_sorts;
pub(crate) mod separate_equal_names;
pub(crate) mod simplify_soundly;
pub(crate) mod skip_wrong_plans;
