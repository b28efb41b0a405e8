//! PostgreSQL's convenience views over the catalogs: `pg_tables`, `pg_views`, `pg_matviews`, statistics per table.

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
        "pg_statio_all_tables" | "pg_statio_user_tables" | "pg_statio_sys_tables" => table_statistics(name),
        "pg_stat_all_indexes" | "pg_stat_user_indexes" | "pg_stat_sys_indexes" => index_statistics(name),
        "pg_statio_all_indexes" | "pg_statio_user_indexes" | "pg_statio_sys_indexes" => index_statistics(name),
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
