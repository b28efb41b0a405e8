//! PostgreSQL's convenience views over the catalogs: `pg_tables`, `pg_views`, `pg_matviews`, statistics per table, index and sequence.

use super::Fill;
use crate::layout::Rows;
use crate::objects::{Objects, RelationObject};
use crate::session::SessionVars;
use querygate_types::Result;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_tables" => tables,
        "pg_views" => views,
        "pg_matviews" => materialized_views,
        "pg_stat_all_tables" | "pg_stat_user_tables" | "pg_stat_sys_tables" => table_statistics(name),
        "pg_stat_xact_all_tables" | "pg_stat_xact_user_tables" | "pg_stat_xact_sys_tables" => table_statistics(name),
        "pg_statio_all_tables" | "pg_statio_user_tables" | "pg_statio_sys_tables" => table_statistics(name),
        "pg_stat_all_indexes" | "pg_stat_user_indexes" | "pg_stat_sys_indexes" => index_statistics(name),
        "pg_statio_all_indexes" | "pg_statio_user_indexes" | "pg_statio_sys_indexes" => index_statistics(name),
        "pg_statio_all_sequences" | "pg_statio_user_sequences" => sequence_statistics,
        "pg_statio_sys_sequences" => super::nothing,
        _ => return None,
    })
}

fn has_index(objects: &Objects, relation: &RelationObject) -> bool {
    objects.indexes.iter().any(|i| objects.relation_at(i.relation).is_some_and(|r| r.oid == relation.oid))
}

fn tables(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    let triggered = objects.in_foreign_keys();
    for r in objects.relations.iter().filter(|r| r.kind == 'r') {
        rows.push(vec![
            ("schemaname", (&r.schema).into()),
            ("tablename", (&r.name).into()),
            ("tableowner", (&objects.image.owner).into()),
            ("hasindexes", has_index(objects, r).into()),
            ("hasrules", false.into()),
            ("hastriggers", triggered.contains(&r.oid).into()),
            ("rowsecurity", false.into()),
        ])?;
    }
    Ok(())
}

fn views(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for r in objects.relations.iter().filter(|r| r.kind == 'v') {
        rows.push(vec![
            ("schemaname", (&r.schema).into()),
            ("viewname", (&r.name).into()),
            ("viewowner", (&objects.image.owner).into()),
            ("definition", r.definition.clone().into()),
        ])?;
    }
    Ok(())
}

fn materialized_views(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for r in objects.relations.iter().filter(|r| r.kind == 'm') {
        rows.push(vec![
            ("schemaname", (&r.schema).into()),
            ("matviewname", (&r.name).into()),
            ("matviewowner", (&objects.image.owner).into()),
            ("hasindexes", has_index(objects, r).into()),
            ("ispopulated", true.into()),
            ("definition", r.definition.clone().into()),
        ])?;
    }
    Ok(())
}

/// One row per table with unknown (NULL) counters: the gate counts fragments, not pages.
fn table_statistics(name: &str) -> Fill {
    fn add(objects: &Objects, rows: &mut Rows, wanted: fn(&RelationObject) -> bool) -> Result<()> {
        for r in objects.relations.iter().filter(|r| matches!(r.kind, 'r' | 'm') && wanted(r)) {
            rows.push(vec![
                ("relid", r.oid.into()),
                ("schemaname", (&r.schema).into()),
                ("relname", (&r.name).into()),
            ])?;
        }
        Ok(())
    }
    if name.contains("_user_") {
        |objects, _, rows| add(objects, rows, |r| !r.system)
    } else if name.contains("_sys_") {
        |objects, _, rows| add(objects, rows, |r| r.system)
    } else {
        |objects, _, rows| add(objects, rows, |_| true)
    }
}

fn index_statistics(name: &str) -> Fill {
    fn add(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
        for index in &objects.indexes {
            let Some(table) = objects.relation_at(index.relation) else { continue };
            rows.push(vec![
                ("relid", table.oid.into()),
                ("indexrelid", index.oid.into()),
                ("schemaname", (&table.schema).into()),
                ("relname", (&table.name).into()),
                ("indexrelname", (&index.name).into()),
            ])?;
        }
        Ok(())
    }
    if name.contains("_sys_") { super::nothing } else { add }
}

/// One row per sequence, with unknown counters as those of tables.
fn sequence_statistics(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for own in &objects.sequences {
        let Some(table) = objects.relation_at(own.relation) else { continue };
        rows.push(vec![
            ("relid", own.oid.into()),
            ("schemaname", (&table.schema).into()),
            ("relname", (&own.name).into()),
        ])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::build;
    use crate::image::{CatalogImage, Column, Generation, Relation, Schema};
    use crate::objects::Objects;
    use crate::session::SessionVars;
    use arrow::array::{Array, AsArray};
    use querygate_types::PgType;

    /// A table and its sequence are among the user's, with counters that are unknown: NULL, and not 0.
    #[test]
    fn statistics_have_a_row_for_what_the_reader_sees_and_no_counts() {
        let id = Column { generation: Generation::IdentityAlways, ..Column::new("id", PgType::Int8) };
        let orders = Relation { name: "orders".to_owned(), columns: vec![id], ..Relation::default() };
        let public = Schema { name: "public".to_owned(), relations: vec![orders], ..Schema::default() };
        let image = CatalogImage { schemas: vec![public], ..CatalogImage::default() };
        let objects = Objects::new(image, crate::rows::exists);
        for (view, expected) in [
            ("pg_stat_xact_user_tables", Some("orders")),
            ("pg_stat_user_tables", Some("orders")),
            ("pg_statio_user_tables", Some("orders")),
            ("pg_statio_all_sequences", Some("orders_id_seq")),
            ("pg_statio_user_sequences", Some("orders_id_seq")),
            ("pg_statio_sys_sequences", None),
        ] {
            let batch = build(&objects, &SessionVars::default(), "pg_catalog", view).unwrap().unwrap();
            let names: Vec<&str> =
                batch.column_by_name("relname").unwrap().as_string::<i32>().iter().flatten().collect();
            assert_eq!(names, expected.into_iter().collect::<Vec<_>>(), "{view}");
            assert!(batch.columns()[3..].iter().all(|counts| counts.null_count() == counts.len()), "{view}");
        }
        let all = build(&objects, &SessionVars::default(), "pg_catalog", "pg_stat_xact_all_tables").unwrap().unwrap();
        let system =
            build(&objects, &SessionVars::default(), "pg_catalog", "pg_stat_xact_sys_tables").unwrap().unwrap();
        assert_eq!(all.num_rows(), system.num_rows() + 1);
    }
}
