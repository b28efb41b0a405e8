//! `information_schema`: the SQL standard's view of the same objects, as PostgreSQL 15 gives it.

use super::Fill;
use crate::cell::Cell;
use crate::layout::{Rows, fixed_rows};
use crate::objects::{ColumnObject, ConstraintObject, Objects, RelationObject};
use crate::session::SessionVars;
use crate::types::scale_of;
use querygate_types::Result;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "information_schema_catalog_name" => catalog_name,
        "schemata" => schemata,
        "tables" => tables,
        "columns" => columns,
        "views" => views,
        "table_constraints" => table_constraints,
        "key_column_usage" => key_column_usage,
        "referential_constraints" => referential_constraints,
        "constraint_column_usage" => constraint_column_usage,
        "constraint_table_usage" => constraint_table_usage,
        "check_constraints" => check_constraints,
        "table_privileges" | "role_table_grants" => table_privileges,
        "column_privileges" | "role_column_grants" => column_privileges,
        "enabled_roles" => enabled_roles,
        "applicable_roles" => applicable_roles,
        "administrable_role_authorizations" => super::nothing,
        "character_sets" => character_sets,
        "collations" => collations,
        "column_udt_usage" => column_udt_usage,
        "element_types" => element_types,
        _ => return None,
    })
}

/// The name of the only catalog, which every row repeats.
fn db(objects: &Objects) -> Cell {
    (&objects.image.database).into()
}

fn yes_or_no(value: bool) -> Cell {
    if value { "YES" } else { "NO" }.into()
}

fn catalog_name(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    rows.push(vec![("catalog_name", db(objects))])
}

fn schemata(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for schema in &objects.schemas {
        rows.push(vec![
            ("catalog_name", db(objects)),
            ("schema_name", (&schema.name).into()),
            ("schema_owner", (&objects.image.owner).into()),
        ])?;
    }
    Ok(())
}

/// Materialized views are not in the standard, so PostgreSQL leaves them out.
fn standard_relations(objects: &Objects) -> impl Iterator<Item = &RelationObject> {
    objects.relations.iter().filter(|r| r.kind != 'm')
}

fn tables(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for r in standard_relations(objects) {
        let kind = match r.kind {
            'v' => "VIEW",
            'f' => "FOREIGN",
            'r' if r.persistence == 't' => "LOCAL TEMPORARY",
            _ => "BASE TABLE",
        };
        rows.push(vec![
            ("table_catalog", db(objects)),
            ("table_schema", (&r.schema).into()),
            ("table_name", (&r.name).into()),
            ("table_type", kind.into()),
            ("is_insertable_into", yes_or_no(r.is_insertable())),
            ("is_typed", yes_or_no(false)),
        ])?;
    }
    Ok(())
}

/// What the standard asks of a type: length, octets, precision, radix, scale, fraction digits.
#[derive(Default)]
pub(crate) struct Measures {
    pub(crate) length: Option<i32>,
    pub(crate) octets: Option<i32>,
    pub(crate) precision: Option<i32>,
    pub(crate) radix: Option<i32>,
    pub(crate) scale: Option<i32>,
    pub(crate) fraction: Option<i32>,
}

fn measures(column: &ColumnObject) -> Measures {
    measures_of(column.type_oid, column.typmod)
}

/// Of a type with its modifier; -1 is none.
pub(crate) fn measures_of(type_oid: u32, typmod: i32) -> Measures {
    let modifier = (typmod >= 4).then_some(typmod - 4);
    let exact = |bits| Measures { precision: Some(bits), radix: Some(2), scale: Some(0), ..Measures::default() };
    match type_oid {
        21 => exact(16),
        23 => exact(32),
        20 => exact(64),
        700 => Measures { precision: Some(24), radix: Some(2), ..Measures::default() },
        701 => Measures { precision: Some(53), radix: Some(2), ..Measures::default() },
        1700 => Measures {
            precision: modifier.map(|m| (m >> 16) & 0xffff),
            radix: Some(10),
            scale: modifier.and_then(|m| i32::try_from(scale_of(m.into())).ok()),
            ..Measures::default()
        },
        1042 | 1043 => {
            Measures { length: modifier, octets: Some(modifier.map_or(1 << 30, |m| m * 4)), ..Measures::default() }
        }
        1560 | 1562 => Measures { length: (typmod >= 0).then_some(typmod), ..Measures::default() },
        25 => Measures { octets: Some(1 << 30), ..Measures::default() },
        1082 => Measures { fraction: Some(0), ..Measures::default() },
        1083 | 1114 | 1184 | 1186 | 1266 => {
            Measures { fraction: Some(if typmod < 0 { 6 } else { typmod }), ..Measures::default() }
        }
        _ => Measures::default(),
    }
}

/// `data_type`: SQL's name without modifier, ARRAY or USER-DEFINED; then the domain-resolved schema and `typname`.
fn type_words(objects: &Objects, column: &ColumnObject) -> (String, String, String) {
    words_of_type(objects, column.type_oid)
}

fn words_of_type(objects: &Objects, type_oid: u32) -> (String, String, String) {
    let Some(entry) = objects.types.entry(type_oid) else {
        return (String::new(), String::new(), String::new());
    };
    let data_type = if entry.element != 0 {
        "ARRAY".to_owned()
    } else if entry.schema == "pg_catalog" {
        objects.types.format(type_oid, None, &["pg_catalog"])
    } else {
        "USER-DEFINED".to_owned()
    };
    (data_type, entry.schema.clone(), entry.name.clone())
}

fn columns(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for r in standard_relations(objects) {
        for c in &r.columns {
            let m = measures(c);
            let (data_type, udt_schema, udt_name) = type_words(objects, c);
            let plain_default = if c.generated { None } else { c.default.clone() };
            rows.push(vec![
                ("table_catalog", db(objects)),
                ("table_schema", (&r.schema).into()),
                ("table_name", (&r.name).into()),
                ("column_name", (&c.name).into()),
                ("ordinal_position", c.attnum.into()),
                ("column_default", plain_default.into()),
                ("is_nullable", yes_or_no(!c.not_null)),
                ("data_type", data_type.into()),
                ("character_maximum_length", m.length.into()),
                ("character_octet_length", m.octets.into()),
                ("numeric_precision", m.precision.into()),
                ("numeric_precision_radix", m.radix.into()),
                ("numeric_scale", m.scale.into()),
                ("datetime_precision", m.fraction.into()),
                ("udt_catalog", db(objects)),
                ("udt_schema", udt_schema.into()),
                ("udt_name", udt_name.into()),
                ("dtd_identifier", c.attnum.to_string().into()),
                ("is_self_referencing", yes_or_no(false)),
                ("is_identity", yes_or_no(!c.identity.is_empty())),
                (
                    "identity_generation",
                    match c.identity {
                        "a" => "ALWAYS".into(),
                        "d" => "BY DEFAULT".into(),
                        _ => Cell::Null,
                    },
                ),
                ("identity_cycle", yes_or_no(false)),
                ("is_generated", if c.generated { "ALWAYS" } else { "NEVER" }.into()),
                ("generation_expression", if c.generated { c.default.clone() } else { None }.into()),
                ("is_updatable", yes_or_no(c.updatable)),
            ])?;
        }
    }
    Ok(())
}

/// What arrays are of. A member has no modifier of its own there.
fn element_types(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for r in standard_relations(objects) {
        for c in &r.columns {
            let Some(element) = objects.types.entry(c.type_oid).map(|entry| entry.element).filter(|oid| *oid != 0)
            else {
                continue;
            };
            let (data_type, udt_schema, udt_name) = words_of_type(objects, element);
            rows.push(vec![
                ("object_catalog", db(objects)),
                ("object_schema", (&r.schema).into()),
                ("object_name", (&r.name).into()),
                ("object_type", if r.kind == 'v' { "VIEW" } else { "TABLE" }.into()),
                ("collection_type_identifier", c.attnum.to_string().into()),
                ("data_type", data_type.into()),
                ("udt_catalog", db(objects)),
                ("udt_schema", udt_schema.into()),
                ("udt_name", udt_name.into()),
                ("dtd_identifier", format!("a{}", c.attnum).into()),
            ])?;
        }
    }
    Ok(())
}

fn column_udt_usage(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for r in standard_relations(objects) {
        for c in &r.columns {
            let (_, udt_schema, udt_name) = type_words(objects, c);
            rows.push(vec![
                ("udt_catalog", db(objects)),
                ("udt_schema", udt_schema.into()),
                ("udt_name", udt_name.into()),
                ("table_catalog", db(objects)),
                ("table_schema", (&r.schema).into()),
                ("table_name", (&r.name).into()),
                ("column_name", (&c.name).into()),
            ])?;
        }
    }
    Ok(())
}

fn views(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for r in objects.relations.iter().filter(|r| r.kind == 'v') {
        rows.push(vec![
            ("table_catalog", db(objects)),
            ("table_schema", (&r.schema).into()),
            ("table_name", (&r.name).into()),
            ("view_definition", r.definition.clone().into()),
            ("check_option", "NONE".into()),
            ("is_updatable", yes_or_no(false)),
            ("is_insertable_into", yes_or_no(false)),
            ("is_trigger_updatable", yes_or_no(false)),
            ("is_trigger_deletable", yes_or_no(false)),
            ("is_trigger_insertable_into", yes_or_no(false)),
        ])?;
    }
    Ok(())
}

fn on_tables(objects: &Objects) -> impl Iterator<Item = (&ConstraintObject, &RelationObject)> {
    objects.constraints.iter().filter_map(|c| Some((c, objects.relation_at(c.relation)?)))
}

fn constraint_word(kind: char) -> &'static str {
    match kind {
        'p' => "PRIMARY KEY",
        'u' => "UNIQUE",
        'f' => "FOREIGN KEY",
        _ => "CHECK",
    }
}

/// PostgreSQL's name of the NOT NULL check that the standard wants to see as a constraint.
fn not_null_name(schema_oid: u32, relation: &RelationObject, column: &ColumnObject) -> String {
    format!("{schema_oid}_{}_{}_not_null", relation.oid, column.attnum)
}

fn not_nulls(objects: &Objects) -> impl Iterator<Item = (&RelationObject, &ColumnObject)> {
    let tables = objects.relations.iter().filter(|r| r.kind == 'r');
    tables.flat_map(|r| r.columns.iter().filter(|c| c.not_null).map(move |c| (r, c)))
}

fn table_constraints(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    let mut add = |relation: &RelationObject, name: Cell, word: &str| {
        rows.push(vec![
            ("constraint_catalog", db(objects)),
            ("constraint_schema", (&relation.schema).into()),
            ("constraint_name", name),
            ("table_catalog", db(objects)),
            ("table_schema", (&relation.schema).into()),
            ("table_name", (&relation.name).into()),
            ("constraint_type", word.into()),
            ("is_deferrable", yes_or_no(false)),
            ("initially_deferred", yes_or_no(false)),
            ("enforced", yes_or_no(true)),
            ("nulls_distinct", if word == "UNIQUE" { yes_or_no(true) } else { Cell::Null }),
        ])
    };
    for (c, table) in on_tables(objects) {
        add(table, (&c.name).into(), constraint_word(c.kind))?;
    }
    for (table, column) in not_nulls(objects) {
        add(table, not_null_name(table.schema_oid, table, column).into(), "CHECK")?;
    }
    Ok(())
}

fn check_constraints(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    let mut add = |relation: &RelationObject, name: Cell, clause: String| {
        rows.push(vec![
            ("constraint_catalog", db(objects)),
            ("constraint_schema", (&relation.schema).into()),
            ("constraint_name", name),
            ("check_clause", clause.into()),
        ])
    };
    for (c, table) in on_tables(objects).filter(|(c, _)| c.kind == 'c') {
        add(table, (&c.name).into(), format!("(({}))", c.expression.as_deref().unwrap_or_default()))?;
    }
    for (table, column) in not_nulls(objects) {
        let clause = format!("{} IS NOT NULL", column.name);
        add(table, not_null_name(table.schema_oid, table, column).into(), clause)?;
    }
    Ok(())
}

fn key_column_usage(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for (c, table) in on_tables(objects).filter(|(c, _)| matches!(c.kind, 'p' | 'u' | 'f')) {
        let referenced = c.referenced.as_ref().map(|(_, numbers)| numbers.as_slice()).unwrap_or_default();
        let target = c.index.and_then(|i| objects.indexes.get(i));
        for (place, (number, position)) in c.columns.iter().zip(1_i32..).enumerate() {
            let Some(column) = table.column(*number) else { continue };
            // Position of the referenced column within the referenced key.
            let in_key = referenced.get(place).and_then(|wanted| {
                target?.columns.iter().zip(1_i32..).find_map(|((have, _), p)| (have == wanted).then_some(p))
            });
            rows.push(vec![
                ("constraint_catalog", db(objects)),
                ("constraint_schema", (&table.schema).into()),
                ("constraint_name", (&c.name).into()),
                ("table_catalog", db(objects)),
                ("table_schema", (&table.schema).into()),
                ("table_name", (&table.name).into()),
                ("column_name", (&column.name).into()),
                ("ordinal_position", position.into()),
                ("position_in_unique_constraint", in_key.into()),
            ])?;
        }
    }
    Ok(())
}

fn referential_constraints(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for (c, table) in on_tables(objects).filter(|(c, _)| c.kind == 'f') {
        let key = c.index.and_then(|i| objects.indexes.get(i));
        let target = c.referenced.as_ref().and_then(|(position, _)| objects.relation_at(*position));
        rows.push(vec![
            ("constraint_catalog", db(objects)),
            ("constraint_schema", (&table.schema).into()),
            ("constraint_name", (&c.name).into()),
            ("unique_constraint_catalog", key.map_or(Cell::Null, |_| db(objects))),
            ("unique_constraint_schema", key.and(target).map(|r| r.schema.clone()).into()),
            ("unique_constraint_name", key.map(|i| i.name.clone()).into()),
            ("match_option", "NONE".into()),
            ("update_rule", c.on_update.words().into()),
            ("delete_rule", c.on_delete.words().into()),
        ])?;
    }
    Ok(())
}

/// The columns a constraint names: the referenced ones for a foreign key.
fn used(c: &ConstraintObject) -> Option<(usize, Vec<i16>)> {
    match c.kind {
        'f' => c.referenced.clone(),
        _ => Some((c.relation, c.columns.clone())),
    }
}

fn constraint_column_usage(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for (c, table) in on_tables(objects) {
        let Some((position, numbers)) = used(c) else { continue };
        let Some(other) = objects.relation_at(position) else { continue };
        for column in numbers.iter().filter_map(|n| other.column(*n)) {
            rows.push(vec![
                ("table_catalog", db(objects)),
                ("table_schema", (&other.schema).into()),
                ("table_name", (&other.name).into()),
                ("column_name", (&column.name).into()),
                ("constraint_catalog", db(objects)),
                ("constraint_schema", (&table.schema).into()),
                ("constraint_name", (&c.name).into()),
            ])?;
        }
    }
    Ok(())
}

fn constraint_table_usage(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for (c, table) in on_tables(objects).filter(|(c, _)| c.kind != 'c') {
        let Some(other) = used(c).and_then(|(position, _)| objects.relation_at(position)) else { continue };
        rows.push(vec![
            ("table_catalog", db(objects)),
            ("table_schema", (&other.schema).into()),
            ("table_name", (&other.name).into()),
            ("constraint_catalog", db(objects)),
            ("constraint_schema", (&table.schema).into()),
            ("constraint_name", (&c.name).into()),
        ])?;
    }
    Ok(())
}

/// Rights of the current user alone.
fn table_privileges(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for r in standard_relations(objects) {
        for privilege in r.privileges() {
            rows.push(vec![
                ("grantor", (&objects.image.owner).into()),
                ("grantee", (&objects.image.user).into()),
                ("table_catalog", db(objects)),
                ("table_schema", (&r.schema).into()),
                ("table_name", (&r.name).into()),
                ("privilege_type", privilege.into()),
                ("is_grantable", yes_or_no(false)),
                ("with_hierarchy", yes_or_no(privilege == "SELECT")),
            ])?;
        }
    }
    Ok(())
}

fn column_privileges(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for r in standard_relations(objects) {
        for c in &r.columns {
            for privilege in c.privileges(r) {
                rows.push(vec![
                    ("grantor", (&objects.image.owner).into()),
                    ("grantee", (&objects.image.user).into()),
                    ("table_catalog", db(objects)),
                    ("table_schema", (&r.schema).into()),
                    ("table_name", (&r.name).into()),
                    ("column_name", (&c.name).into()),
                    ("privilege_type", privilege.into()),
                    ("is_grantable", yes_or_no(false)),
                ])?;
            }
        }
    }
    Ok(())
}

/// The current user and the roles it is a member of, directly or through others.
fn enabled_roles(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    let mut open: Vec<u32> = objects.role_by_name(&objects.image.user).map(|r| r.oid).into_iter().collect();
    let mut seen = Vec::new();
    while let Some(oid) = open.pop() {
        let Some(role) = objects.role(oid).filter(|r| !seen.contains(&r.oid)) else { continue };
        seen.push(oid);
        open.extend(&role.member_of);
        rows.push(vec![("role_name", (&role.name).into())])?;
    }
    Ok(())
}

fn applicable_roles(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for role in &objects.roles {
        for group in role.member_of.iter().filter_map(|oid| objects.role(*oid)) {
            rows.push(vec![
                ("grantee", (&role.name).into()),
                ("role_name", (&group.name).into()),
                ("is_grantable", yes_or_no(false)),
            ])?;
        }
    }
    Ok(())
}

/// PostgreSQL's own, for any encoding or for UTF-8.
fn collations(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for collation in fixed_rows("pg_collation") {
        let name = collation.get(1).cloned().unwrap_or(Cell::Null);
        rows.push(vec![
            ("collation_catalog", db(objects)),
            ("collation_schema", "pg_catalog".into()),
            ("collation_name", name),
            ("pad_attribute", "NO PAD".into()),
        ])?;
    }
    Ok(())
}

fn character_sets(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    rows.push(vec![
        ("character_set_name", "UTF8".into()),
        ("character_repertoire", "UCS".into()),
        ("form_of_use", "UTF8".into()),
        ("default_collate_catalog", db(objects)),
        ("default_collate_schema", "pg_catalog".into()),
        ("default_collate_name", "C".into()),
    ])
}
