//! `pg_namespace`, `pg_class`, `pg_attribute`, `pg_attrdef`, `pg_type`, `pg_enum`, `pg_description` and their kin.

use super::Fill;
use crate::cell::Cell;
use crate::layout::{Rows, fixed_rows};
use crate::names::{INFORMATION_SCHEMA, OWNER, PG_CATALOG};
use crate::objects::{ColumnObject, Objects, RelationObject};
use crate::quote::quote_ident;
use crate::session::SessionVars;
use querygate_types::Result;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_namespace" => namespaces,
        "pg_class" => classes,
        "pg_attribute" => attributes,
        "pg_attrdef" => defaults,
        "pg_type" => types,
        "pg_enum" => enums,
        "pg_description" => descriptions,
        "pg_shdescription" => shared_descriptions,
        _ => return None,
    })
}

fn namespaces(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for schema in &objects.schemas {
        rows.push(vec![("oid", schema.oid.into()), ("nspname", (&schema.name).into()), ("nspowner", OWNER.into())])?;
    }
    Ok(())
}

/// Heap's id in `pg_am`.
const HEAP: u32 = 2;
/// B-tree's.
const BTREE: u32 = 403;

fn classes(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    let mut checks_of: HashMap<usize, i64> = HashMap::new();
    for constraint in objects.constraints.iter().filter(|c| c.kind == 'c') {
        *checks_of.entry(constraint.relation).or_default() += 1;
    }
    let indexed: HashSet<usize> = objects.indexes.iter().map(|index| index.relation).collect();
    let triggered = objects.in_foreign_keys();
    for (position, relation) in objects.relations.iter().enumerate() {
        let checks = checks_of.get(&position).copied().unwrap_or(0);
        let stored = matches!(relation.kind, 'r' | 'm');
        let estimate = relation.row_estimate.map_or(-1.0, f64::from);
        rows.push(vec![
            ("oid", relation.oid.into()),
            ("relname", (&relation.name).into()),
            ("relnamespace", relation.schema_oid.into()),
            ("reltype", relation.row_type.into()),
            ("relowner", OWNER.into()),
            ("relam", if stored { HEAP } else { 0 }.into()),
            ("reltuples", Cell::Float(if relation.kind == 'v' { 0.0 } else { estimate })),
            ("relhasindex", indexed.contains(&position).into()),
            ("relpersistence", relation.persistence.into()),
            ("relkind", relation.kind.into()),
            ("relnatts", Cell::Int(relation.columns.iter().map(|c| i64::from(c.attnum)).max().unwrap_or(0))),
            ("relchecks", Cell::Int(checks)),
            ("relhasrules", matches!(relation.kind, 'v' | 'm').into()),
            ("relhastriggers", triggered.contains(&relation.oid).into()),
            ("relispopulated", true.into()),
            ("relacl", granted(objects, relation)),
            ("relreplident", if relation.system || relation.kind != 'r' { 'n' } else { 'd' }.into()),
        ])?;
    }
    for index in &objects.indexes {
        let Some(table) = objects.relation_at(index.relation) else { continue };
        rows.push(vec![
            ("oid", index.oid.into()),
            ("relname", (&index.name).into()),
            ("relnamespace", table.schema_oid.into()),
            ("relowner", OWNER.into()),
            ("relam", BTREE.into()),
            ("reltuples", Cell::Float(-1.0)),
            ("relpersistence", table.persistence.into()),
            ("relkind", 'i'.into()),
            ("relnatts", Cell::Int(i64::try_from(index.columns.len()).unwrap_or(0))),
            ("relispopulated", true.into()),
            ("relreplident", 'n'.into()),
        ])?;
    }
    for own in &objects.sequences {
        let Some(table) = objects.relation_at(own.relation) else { continue };
        rows.push(vec![
            ("oid", own.oid.into()),
            ("relname", (&own.name).into()),
            ("relnamespace", table.schema_oid.into()),
            ("relowner", OWNER.into()),
            ("reltuples", Cell::Float(1.0)),
            ("relpersistence", 'p'.into()),
            ("relkind", 'S'.into()),
            ("relispopulated", true.into()),
            ("relreplident", 'n'.into()),
        ])?;
    }
    Ok(())
}

/// Rights on a relation as PostgreSQL keeps them: the owner's, and the current user's. NULL: as they are when none was granted.
fn granted(objects: &Objects, relation: &RelationObject) -> Cell {
    // What an owner may is not written down.
    if relation.system || objects.image.owner == objects.image.user {
        return Cell::Null;
    }
    let letter = |privilege: &&str| match *privilege {
        "INSERT" => 'a',
        "UPDATE" => 'w',
        "DELETE" => 'd',
        _ => 'r',
    };
    let mut held: Vec<char> = relation.privileges().iter().map(letter).collect();
    let order = |letter: &char| "arwd".find(*letter);
    held.sort_by_key(order);
    let (owner, user) = (quote_ident(&objects.image.owner), quote_ident(&objects.image.user));
    let held: String = held.into_iter().collect();
    Cell::List(vec![Cell::Text(format!("{owner}=arwdDxt/{owner}")), Cell::Text(format!("{user}={held}/{owner}"))])
}

/// Storage of a type as `pg_attribute` repeats it: typlen, typbyval, typalign, typstorage, typcollation.
type Storage = (Cell, Cell, Cell, Cell, Cell);

static STORAGE: LazyLock<HashMap<i64, Storage>> = LazyLock::new(|| {
    let layout = crate::layout::layout("pg_catalog", "pg_type");
    let at = |name: &str| layout.and_then(|l| l.columns.iter().position(|c| c.name == name)).unwrap_or(0);
    let places = [at("typlen"), at("typbyval"), at("typalign"), at("typstorage"), at("typcollation")];
    let rows = fixed_rows("pg_type").iter().filter_map(|row| {
        let Some(Cell::Int(oid)) = row.first() else { return None };
        let [len, by_value, align, storage, collation] = places.map(|i| row.get(i).cloned().unwrap_or(Cell::Null));
        Some((*oid, (len, by_value, align, storage, collation)))
    });
    rows.collect()
});

fn storage_of(type_oid: u32) -> Storage {
    // Enums are four bytes by value; arrays of enums and rows are variable.
    STORAGE.get(&i64::from(type_oid)).cloned().unwrap_or((
        4_i32.into(),
        true.into(),
        'i'.into(),
        'p'.into(),
        0_u32.into(),
    ))
}

fn attributes(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for relation in &objects.relations {
        for column in &relation.columns {
            attribute(rows, relation.oid, column, column.attnum)?;
        }
    }
    for index in &objects.indexes {
        let Some(table) = objects.relation_at(index.relation) else { continue };
        for ((number, _), position) in index.columns.iter().zip(1_i16..) {
            if let Some(column) = table.column(*number) {
                let plain =
                    ColumnObject { not_null: false, default: None, identity: "", generated: false, ..column.clone() };
                attribute(rows, index.oid, &plain, position)?;
            }
        }
    }
    Ok(())
}

fn attribute(rows: &mut Rows, relation: u32, column: &ColumnObject, attnum: i16) -> Result<()> {
    let (len, by_value, align, storage, collation) = storage_of(column.type_oid);
    let dimensions =
        if matches!(&len, Cell::Int(-1)) && column.type_oid != 0 && is_array(column.type_oid) { 1_i32 } else { 0 };
    rows.push(vec![
        ("attrelid", relation.into()),
        ("attname", (&column.name).into()),
        ("atttypid", column.type_oid.into()),
        ("attstattarget", Cell::Int(-1)),
        ("attlen", len),
        ("attnum", attnum.into()),
        ("attndims", dimensions.into()),
        ("attcacheoff", Cell::Int(-1)),
        ("atttypmod", column.typmod.into()),
        ("attbyval", by_value),
        ("attalign", align),
        ("attstorage", storage),
        ("attnotnull", column.not_null.into()),
        ("atthasdef", column.default.is_some().into()),
        ("attidentity", column.identity.into()),
        ("attgenerated", if column.generated { "s" } else { "" }.into()),
        ("attislocal", true.into()),
        ("attcollation", collation),
    ])
}

fn is_array(type_oid: u32) -> bool {
    querygate_types::PgType::from_oid(type_oid).is_some_and(|t| t.name().starts_with('_'))
}

fn defaults(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for relation in &objects.relations {
        for column in relation.columns.iter().filter(|c| c.default.is_some()) {
            rows.push(vec![
                ("oid", column.default_oid.into()),
                ("adrelid", relation.oid.into()),
                ("adnum", column.attnum.into()),
                ("adbin", column.default.clone().into()),
            ])?;
        }
    }
    Ok(())
}

fn types(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for e in &objects.enums {
        own_type(rows, e.oid, &e.name, e.schema_oid, 'e', 'E', 0, 0, e.array_oid)?;
        own_type(rows, e.array_oid, &format!("_{}", e.name), e.schema_oid, 'b', 'A', 0, e.oid, 0)?;
    }
    for relation in objects.relations.iter().filter(|r| !r.system) {
        let RelationObject { oid, row_type, row_array, schema_oid, name, .. } = relation;
        own_type(rows, *row_type, name, *schema_oid, 'c', 'C', *oid, 0, *row_array)?;
        own_type(rows, *row_array, &format!("_{name}"), *schema_oid, 'b', 'A', 0, *row_type, 0)?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "the columns of one row, in their order")]
fn own_type(
    rows: &mut Rows,
    oid: u32,
    name: &str,
    schema: u32,
    kind: char,
    category: char,
    relation: u32,
    element: u32,
    array: u32,
) -> Result<()> {
    let fixed = kind == 'e';
    rows.push(vec![
        ("oid", oid.into()),
        ("typname", name.into()),
        ("typnamespace", schema.into()),
        ("typowner", OWNER.into()),
        ("typlen", Cell::Int(if fixed { 4 } else { -1 })),
        ("typbyval", fixed.into()),
        ("typtype", kind.into()),
        ("typcategory", category.into()),
        ("typisdefined", true.into()),
        ("typdelim", ','.into()),
        ("typrelid", relation.into()),
        // array_subscript_handler, array_in, array_out, enum_in, enum_out, record_in, record_out and their binary fellows
        ("typsubscript", Cell::Int(if category == 'A' { 6179 } else { 0 })),
        ("typelem", element.into()),
        ("typarray", array.into()),
        (
            "typinput",
            Cell::Int(match category {
                'A' => 750,
                'E' => 3506,
                _ => 2290,
            }),
        ),
        (
            "typoutput",
            Cell::Int(match category {
                'A' => 751,
                'E' => 3507,
                _ => 2291,
            }),
        ),
        (
            "typreceive",
            Cell::Int(match category {
                'A' => 2400,
                'E' => 3532,
                _ => 2402,
            }),
        ),
        (
            "typsend",
            Cell::Int(match category {
                'A' => 2401,
                'E' => 3533,
                _ => 2403,
            }),
        ),
        ("typalign", if fixed { 'i' } else { 'd' }.into()),
        ("typstorage", if fixed { 'p' } else { 'x' }.into()),
        ("typtypmod", Cell::Int(-1)),
    ])
}

fn enums(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for e in &objects.enums {
        for ((oid, label), order) in e.labels.iter().zip(1_i32..) {
            rows.push(vec![
                ("oid", (*oid).into()),
                ("enumtypid", e.oid.into()),
                ("enumsortorder", Cell::Float(f64::from(order))),
                ("enumlabel", label.into()),
            ])?;
        }
    }
    Ok(())
}

/// Ids of the catalogs that comments refer to.
pub(crate) const CLASS_OF_RELATIONS: u32 = 1259;
const CLASS_OF_NAMESPACES: u32 = 2615;
const CLASS_OF_TYPES: u32 = 1247;
const CLASS_OF_DATABASES: u32 = 1262;
const CLASS_OF_ROLES: u32 = 1260;

fn descriptions(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    let mut comment = |object: u32, class: u32, part: i16, text: &Option<String>| match text {
        Some(text) => rows.push(vec![
            ("objoid", object.into()),
            ("classoid", class.into()),
            ("objsubid", part.into()),
            ("description", text.into()),
        ]),
        None => Ok(()),
    };
    for schema in objects.schemas.iter().filter(|s| s.oid != PG_CATALOG && s.oid != INFORMATION_SCHEMA) {
        comment(schema.oid, CLASS_OF_NAMESPACES, 0, &schema.comment)?;
    }
    for relation in &objects.relations {
        comment(relation.oid, CLASS_OF_RELATIONS, 0, &relation.comment)?;
        for column in &relation.columns {
            comment(relation.oid, CLASS_OF_RELATIONS, column.attnum, &column.comment)?;
        }
    }
    for e in &objects.enums {
        comment(e.oid, CLASS_OF_TYPES, 0, &e.comment)?;
    }
    Ok(())
}

fn shared_descriptions(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    let mut comment = |object: u32, class: u32, text: &Option<String>| match text {
        Some(text) => {
            rows.push(vec![("objoid", object.into()), ("classoid", class.into()), ("description", text.into())])
        }
        None => Ok(()),
    };
    comment(objects.database_oid, CLASS_OF_DATABASES, &objects.image.database_comment)?;
    for role in &objects.roles {
        comment(role.oid, CLASS_OF_ROLES, &role.comment)?;
    }
    Ok(())
}
