//! `pg_depend`: which object goes with which, as tools follow it from keys to indexes and from tables to schemas.

use super::Fill;
use crate::layout::Rows;
use crate::objects::{ConstraintObject, Objects};
use crate::session::SessionVars;
use querygate_types::{PgType, Result};
use std::collections::HashMap;

const CLASSES: u32 = 1259;
const TYPES: u32 = 1247;
const NAMESPACES: u32 = 2615;
const CONSTRAINTS: u32 = 2606;
const DEFAULTS: u32 = 2604;

pub(super) fn fill(name: &str) -> Option<Fill> {
    (name == "pg_depend").then_some(depends as Fill)
}

/// Catalog, object and column of one end.
type End = (u32, u32, i16);

fn add(rows: &mut Rows, from: End, to: End, kind: char) -> Result<()> {
    rows.push(vec![
        ("classid", from.0.into()),
        ("objid", from.1.into()),
        ("objsubid", from.2.into()),
        ("refclassid", to.0.into()),
        ("refobjid", to.1.into()),
        ("refobjsubid", to.2.into()),
        ("deptype", kind.into()),
    ])
}

fn depends(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    relations(objects, rows)?;
    let keys = objects.constraints.iter().filter(|c| matches!(c.kind, 'p' | 'u'));
    let owners: HashMap<usize, &ConstraintObject> = keys.filter_map(|key| Some((key.index?, key))).collect();
    for (position, index) in objects.indexes.iter().enumerate() {
        let Some(table) = objects.relation_at(index.relation) else { continue };
        if let Some(constraint) = owners.get(&position) {
            add(rows, (CLASSES, index.oid, 0), (CONSTRAINTS, constraint.oid, 0), 'i')?;
            continue;
        }
        for (number, _) in &index.columns {
            add(rows, (CLASSES, index.oid, 0), (CLASSES, table.oid, *number), 'a')?;
        }
    }
    for own in &objects.sequences {
        let Some(table) = objects.relation_at(own.relation) else { continue };
        add(rows, (CLASSES, own.oid, 0), (CLASSES, table.oid, own.attnum), 'i')?;
    }
    for constraint in &objects.constraints {
        let Some(table) = objects.relation_at(constraint.relation) else { continue };
        let from = (CONSTRAINTS, constraint.oid, 0);
        for number in &constraint.columns {
            add(rows, from, (CLASSES, table.oid, *number), 'a')?;
        }
        let Some((other, numbers)) = &constraint.referenced else { continue };
        let Some(other) = objects.relation_at(*other) else { continue };
        for number in numbers {
            add(rows, from, (CLASSES, other.oid, *number), 'n')?;
        }
        if let Some(index) = constraint.index.and_then(|i| objects.indexes.get(i)) {
            add(rows, from, (CLASSES, index.oid, 0), 'n')?;
        }
    }
    Ok(())
}

fn relations(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for relation in objects.relations.iter().filter(|r| !r.system) {
        let table = (CLASSES, relation.oid, 0);
        add(rows, table, (NAMESPACES, relation.schema_oid, 0), 'n')?;
        add(rows, (TYPES, relation.row_type, 0), table, 'i')?;
        add(rows, (TYPES, relation.row_array, 0), (TYPES, relation.row_type, 0), 'i')?;
        for column in &relation.columns {
            let place = (CLASSES, relation.oid, column.attnum);
            if column.default_oid != 0 {
                add(rows, (DEFAULTS, column.default_oid, 0), place, 'a')?;
            }
            // PostgreSQL's own types are pinned and not recorded.
            if column.type_oid != 0 && PgType::from_oid(column.type_oid).is_none() {
                add(rows, place, (TYPES, column.type_oid, 0), 'n')?;
            }
        }
    }
    Ok(())
}
