//! `pg_constraint`, `pg_index`, `pg_indexes`.

use super::Fill;
use crate::cell::Cell;
use crate::definitions::index_definition;
use crate::layout::{Rows, fixed_rows};
use crate::objects::Objects;
use crate::session::SessionVars;
use querygate_types::{ReferentialAction, Result};
use std::collections::HashMap;
use std::sync::LazyLock;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_constraint" => constraints,
        "pg_index" => indexes,
        "pg_indexes" => index_texts,
        _ => return None,
    })
}

fn constraints(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for c in &objects.constraints {
        let Some(table) = objects.relation_at(c.relation) else { continue };
        let foreign = c.kind == 'f';
        let letter = |action: ReferentialAction| if foreign { action.letter() } else { ' ' };
        let other = c.referenced.as_ref().and_then(|(position, _)| objects.relation_at(*position)).map_or(0, |r| r.oid);
        let index = c.index.and_then(|i| objects.indexes.get(i)).map_or(0, |i| i.oid);
        rows.push(vec![
            ("oid", c.oid.into()),
            ("conname", (&c.name).into()),
            ("connamespace", table.schema_oid.into()),
            ("contype", c.kind.into()),
            ("convalidated", true.into()),
            ("conrelid", table.oid.into()),
            ("conindid", index.into()),
            ("confrelid", other.into()),
            ("confupdtype", letter(c.on_update).into()),
            ("confdeltype", letter(c.on_delete).into()),
            ("confmatchtype", if foreign { 's' } else { ' ' }.into()),
            ("conislocal", true.into()),
            ("connoinherit", (c.kind != 'c').into()),
            ("conkey", c.columns.clone().into()),
            ("confkey", c.referenced.as_ref().map(|(_, numbers)| numbers.clone()).into()),
            ("conbin", c.expression.clone().into()),
        ])?;
    }
    Ok(())
}

/// Default B-tree operator class by input type.
static OPERATOR_CLASSES: LazyLock<HashMap<i64, i64>> = LazyLock::new(|| {
    let rows =
        fixed_rows("pg_opclass").iter().filter_map(|row| match (row.first(), row.get(1), row.get(6), row.get(7)) {
            (Some(Cell::Int(oid)), Some(Cell::Int(403)), Some(Cell::Int(input)), Some(Cell::Bool(true))) => {
                Some((*input, *oid))
            }
            _ => None,
        });
    rows.collect()
});

/// Operator class of a type: its own, or that of the type it is binary-compatible with (`varchar` → `text`, enums, arrays).
fn operator_class(type_oid: u32) -> i64 {
    const TEXT: i64 = 25;
    const VARCHAR: i64 = 1043;
    const ANY_ARRAY: i64 = 2277;
    const ANY_ENUM: i64 = 3500;
    let input = match i64::from(type_oid) {
        VARCHAR => TEXT,
        other if OPERATOR_CLASSES.contains_key(&other) => other,
        _ if querygate_types::PgType::from_oid(type_oid).is_some() => ANY_ARRAY,
        _ => ANY_ENUM,
    };
    OPERATOR_CLASSES.get(&input).copied().unwrap_or(0)
}

fn indexes(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for index in &objects.indexes {
        let Some(table) = objects.relation_at(index.relation) else { continue };
        let columns: Vec<_> =
            index.columns.iter().filter_map(|(number, down)| Some((table.column(*number)?, *down))).collect();
        let count = i64::try_from(columns.len()).unwrap_or(0);
        let list = |f: &dyn Fn(u32, bool) -> i64| {
            Cell::List(columns.iter().map(|(c, d)| Cell::Int(f(c.type_oid, *d))).collect())
        };
        rows.push(vec![
            ("indexrelid", index.oid.into()),
            ("indrelid", table.oid.into()),
            ("indnatts", Cell::Int(count)),
            ("indnkeyatts", Cell::Int(count)),
            ("indisunique", index.unique.into()),
            ("indisprimary", index.primary.into()),
            ("indimmediate", true.into()),
            ("indisvalid", true.into()),
            ("indisready", true.into()),
            ("indislive", true.into()),
            ("indkey", index.columns.iter().map(|(number, _)| *number).collect::<Vec<_>>().into()),
            ("indcollation", list(&|t, _| if matches!(t, 25 | 1042 | 1043) { 100 } else { 0 })),
            ("indclass", list(&|t, _| operator_class(t))),
            // DESC implies NULLS FIRST: bits 1 and 2.
            ("indoption", list(&|_, descending| if descending { 3 } else { 0 })),
        ])?;
    }
    Ok(())
}

fn index_texts(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for index in &objects.indexes {
        let Some(table) = objects.relation_at(index.relation) else { continue };
        rows.push(vec![
            ("schemaname", (&table.schema).into()),
            ("tablename", (&table.name).into()),
            ("indexname", (&index.name).into()),
            ("indexdef", index_definition(objects, index, 0, false, &[]).into()),
        ])?;
    }
    Ok(())
}
