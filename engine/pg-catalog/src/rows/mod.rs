//! Which catalog relations exist and what fills each. A relation that would lie when empty does not exist at all.

mod classes;
pub(crate) use classes::CLASS_OF_RELATIONS;
pub(crate) use standard::{Measures, measures_of};
mod depends;
mod keys;
mod owners;
mod sequences;
mod sessions;
mod standard;
mod views;

use super::layout::{Rows, layout};
use super::objects::Objects;
use super::session::SessionVars;
use arrow::record_batch::RecordBatch;
use querygate_types::Result;

/// Relations whose rows are PostgreSQL's fixed ones, or that are empty because the gate has no such objects.
const FIXED_OR_EMPTY: &[&str] = &[
    "pg_aggregate",
    "pg_am",
    "pg_amop",
    "pg_amproc",
    "pg_available_extension_versions",
    "pg_available_extensions",
    "pg_backend_memory_contexts",
    "pg_cast",
    "pg_collation",
    "pg_conversion",
    "pg_default_acl",
    "pg_event_trigger",
    "pg_extension",
    "pg_file_settings",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_inherits",
    "pg_init_privs",
    "pg_language",
    "pg_largeobject",
    "pg_largeobject_metadata",
    "pg_locks",
    "pg_opclass",
    "pg_parameter_acl",
    "pg_operator",
    "pg_opfamily",
    "pg_partitioned_table",
    "pg_policies",
    "pg_policy",
    "pg_prepared_xacts",
    "pg_proc",
    "pg_publication",
    "pg_publication_namespace",
    "pg_publication_rel",
    "pg_publication_tables",
    "pg_range",
    "pg_replication_origin",
    "pg_replication_origin_status",
    "pg_replication_slots",
    "pg_rewrite",
    "pg_rules",
    "pg_seclabel",
    "pg_seclabels",
    "pg_shdepend",
    "pg_shmem_allocations",
    "pg_shseclabel",
    "pg_stat_progress_analyze",
    "pg_stat_progress_basebackup",
    "pg_stat_progress_cluster",
    "pg_stat_progress_create_index",
    "pg_stat_progress_vacuum",
    "pg_stat_replication",
    "pg_stat_replication_slots",
    "pg_stat_slru",
    "pg_stat_subscription",
    "pg_stat_subscription_stats",
    "pg_stat_user_functions",
    "pg_stat_wal_receiver",
    "pg_stat_xact_user_functions",
    "pg_statistic",
    "pg_statistic_ext",
    "pg_statistic_ext_data",
    "pg_stats",
    "pg_stats_ext",
    "pg_stats_ext_exprs",
    "pg_subscription",
    "pg_subscription_rel",
    "pg_tablespace",
    "pg_transform",
    "pg_trigger",
    "pg_ts_config",
    "pg_ts_config_map",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_user_mapping",
    "pg_user_mappings",
    "pg_db_role_setting",
];

/// Relations of `information_schema` that are empty, because the gate has no such objects.
const STANDARD_EMPTY: &[&str] = &[
    "_pg_foreign_data_wrappers",
    "_pg_foreign_servers",
    "_pg_foreign_table_columns",
    "_pg_foreign_tables",
    "_pg_user_mappings",
    "attributes",
    "check_constraint_routine_usage",
    "collation_character_set_applicability",
    "column_column_usage",
    "column_domain_usage",
    "column_options",
    "data_type_privileges",
    "domain_constraints",
    "domain_udt_usage",
    "domains",
    "foreign_data_wrapper_options",
    "foreign_data_wrappers",
    "foreign_server_options",
    "foreign_servers",
    "foreign_table_options",
    "foreign_tables",
    "parameters",
    "role_routine_grants",
    "role_udt_grants",
    "role_usage_grants",
    "routine_column_usage",
    "routine_privileges",
    "routine_routine_usage",
    "routine_sequence_usage",
    "routine_table_usage",
    "routines",
    "sequences",
    "transforms",
    "triggered_update_columns",
    "triggers",
    "udt_privileges",
    "usage_privileges",
    "user_defined_types",
    "user_mapping_options",
    "user_mappings",
    "view_column_usage",
    "view_routine_usage",
    "view_table_usage",
];

type Fill = fn(&Objects, &SessionVars, &mut Rows) -> Result<()>;

fn fill(schema: &str, name: &str) -> Option<Fill> {
    if schema == "information_schema" {
        return standard::fill(name).or_else(|| STANDARD_EMPTY.contains(&name).then_some(nothing as Fill));
    }
    classes::fill(name)
        .or_else(|| keys::fill(name))
        .or_else(|| depends::fill(name))
        .or_else(|| owners::fill(name))
        .or_else(|| sequences::fill(name))
        .or_else(|| views::fill(name))
        .or_else(|| sessions::fill(name))
        .or_else(|| FIXED_OR_EMPTY.contains(&name).then_some(nothing as Fill))
}

fn nothing(_: &Objects, _: &SessionVars, _: &mut Rows) -> Result<()> {
    Ok(())
}

/// Whether the relation exists here.
pub(crate) fn exists(schema: &str, name: &str) -> bool {
    layout(schema, name).is_some() && fill(schema, name).is_some()
}

/// Whether its rows depend on the session, and so cannot be kept with the image.
pub(crate) fn of_session(schema: &str, name: &str) -> bool {
    schema == "pg_catalog" && sessions::fill(name).is_some()
}

/// The relation's rows. `None` when it does not exist.
pub(crate) fn build(objects: &Objects, vars: &SessionVars, schema: &str, name: &str) -> Result<Option<RecordBatch>> {
    let (Some(layout), Some(fill)) = (layout(schema, name), fill(schema, name)) else { return Ok(None) };
    let mut rows = Rows::new(layout);
    fill(objects, vars, &mut rows)?;
    rows.finish().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::layouts;

    #[test]
    fn every_relation_that_exists_can_be_built_from_an_empty_image() {
        let objects = Objects::new(crate::image::CatalogImage::default(), exists);
        let mut built = 0;
        for l in layouts().iter().filter(|l| exists(l.schema, l.name)) {
            let batch = build(&objects, &SessionVars::default(), l.schema, l.name).unwrap().unwrap();
            assert_eq!(batch.schema(), l.arrow, "{}", l.name);
            built += 1;
        }
        assert!(built > 130, "{built}");
    }

    /// What is left out would lie when it is empty: features, limits and the build of a server that the gate is not.
    #[test]
    fn every_relation_of_postgres_exists_but_those_that_would_lie() {
        let absent = layouts().iter().filter(|l| !exists(l.schema, l.name)).map(|l| l.name);
        let expected = ["sql_features", "sql_implementation_info", "sql_parts", "sql_sizing", "pg_config"];
        assert_eq!(absent.collect::<Vec<_>>(), expected);
    }
}
