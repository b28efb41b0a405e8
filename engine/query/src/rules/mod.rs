//! Our rules over DataFusion's plans, a file each: what they repair, add or keep apart in its own rules. Know no session and no
//! statement.

pub(crate) mod bound_pushed_conditions;
pub(crate) mod cancellable_rules;
pub(crate) mod collect_one_row_side;
pub(crate) mod collect_small_side;
pub(crate) mod correct_dependencies;
pub(crate) mod drop_primary_keys;
pub(crate) mod drop_unsound_equivalences;
pub(crate) mod guard_failing_conditions;
pub(crate) mod keep_lists_apart;
pub(crate) mod keep_topk_keys;
pub(crate) mod list;
pub(crate) mod meter_operators;
pub(crate) mod plain_constants;
pub(crate) mod project_computed_keys;
pub(crate) mod restore_sorts;
pub(crate) mod separate_equal_names;
pub(crate) mod share_equal_inputs;
pub(crate) mod skip_wrong_plans;
pub(crate) mod typed_parameters;
pub(crate) mod yield_to_others;
