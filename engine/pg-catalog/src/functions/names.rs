//! Names to ids and back: `to_regclass` and its kin, `…in` and `…out` of the reg types, visibility, quoting, `format_type`.

use super::session::no;
use super::{Call, Definition, lenient, strict};
use crate::cell::Cell;
use crate::definitions::{qualified, relation_name};
use crate::layout::fixed_rows;
use crate::quote::{quote_ident, quote_literal, split_name};
use querygate_types::{Error, ErrorCode, Result};

pub(super) const FUNCTIONS: &[Definition] = &[
    lenient("format_type", 2, 2, "text", |c, args| {
        let Some(oid) = oid(args, 0) else { return Ok(Cell::Null) };
        let typmod = args.get(1).and_then(|m| if let Cell::Int(v) = m { Some(*v) } else { None });
        Ok(c.catalog.objects.types.format(oid, typmod, &c.path()).into())
    }),
    strict("quote_ident", 1, 1, "text", |_, args| Ok(quote_ident(&text(args, 0)).into())),
    strict("quote_literal", 1, 1, "text", |_, args| Ok(quote_literal(&text(args, 0)).into())),
    lenient("quote_nullable", 1, 1, "text", |_, args| {
        Ok(if args == [Cell::Null] { "NULL".into() } else { quote_literal(&text(args, 0)).into() })
    }),
    strict("to_regclass", 1, 1, "regclass", |c, args| Ok(find_relation(c, &text(args, 0)).into())),
    strict("to_regtype", 1, 1, "regtype", |c, args| Ok(find_type(c, &text(args, 0)).into())),
    strict("to_regnamespace", 1, 1, "regnamespace", |c, args| Ok(find_namespace(c, &text(args, 0)).into())),
    strict("to_regrole", 1, 1, "regrole", |c, args| Ok(find_role(c, &text(args, 0)).into())),
    strict(
        "to_regcollation",
        1,
        1,
        "regcollation",
        |_, args| Ok(in_fixed("pg_collation", 0, 1, &text(args, 0)).into()),
    ),
    strict("regclassin", 1, 1, "regclass", |c, a| {
        read(
            a,
            |name| find_relation(c, name),
            ErrorCode::UndefinedTable,
            |name| format!("relation \"{name}\" does not exist"),
        )
    }),
    strict("regtypein", 1, 1, "regtype", |c, a| {
        read(a, |name| find_type(c, name), ErrorCode::UndefinedObject, |name| format!("type \"{name}\" does not exist"))
    }),
    strict("regnamespacein", 1, 1, "regnamespace", |c, a| {
        read(
            a,
            |name| find_namespace(c, name),
            ErrorCode::UndefinedSchema,
            |name| format!("schema \"{name}\" does not exist"),
        )
    }),
    strict("regrolein", 1, 1, "regrole", |c, a| {
        read(a, |name| find_role(c, name), ErrorCode::UndefinedObject, |name| format!("role \"{name}\" does not exist"))
    }),
    strict("regconfigin", 1, 1, "regconfig", |_, a| {
        let message = |name: &str| format!("text search configuration \"{name}\" does not exist");
        read(a, |name| in_fixed("pg_ts_config", 0, 1, name), ErrorCode::UndefinedObject, message)
    }),
    strict("regcollationin", 1, 1, "regcollation", |_, a| {
        let message = |name: &str| format!("collation \"{name}\" does not exist");
        read(a, |name| in_fixed("pg_collation", 0, 1, name), ErrorCode::UndefinedObject, message)
    }),
    strict("oidin", 1, 1, "oid", |_, a| {
        read(
            a,
            |_| None,
            ErrorCode::InvalidTextRepresentation,
            |text| format!("invalid input syntax for type oid: \"{text}\""),
        )
    }),
    strict("regclassout", 1, 1, "text", |c, a| Ok(write(a, |oid| relation_text(c, oid)))),
    strict("regtypeout", 1, 1, "text", |c, a| {
        Ok(write(a, |oid| {
            let types = &c.catalog.objects.types;
            types.entry(oid).map(|_| types.format(oid, None, &c.path()))
        }))
    }),
    strict("regconfigout", 1, 1, "text", |_, a| Ok(write(a, |oid| name_in_fixed("pg_ts_config", oid)))),
    strict("regcollationout", 1, 1, "text", |_, a| Ok(write(a, |oid| name_in_fixed("pg_collation", oid)))),
    strict("regnamespaceout", 1, 1, "text", |c, a| {
        Ok(write(a, |oid| c.catalog.objects.schema(oid).map(|s| quote_ident(&s.name))))
    }),
    strict("regroleout", 1, 1, "text", |c, a| {
        Ok(write(a, |oid| c.catalog.objects.role(oid).map(|r| quote_ident(&r.name))))
    }),
    // Vectors print with spaces, arrays in braces.
    strict("int2vectorout", 1, 1, "text", |_, a| Ok(vector_text(a).into())),
    strict("oidvectorout", 1, 1, "text", |_, a| Ok(vector_text(a).into())),
    strict("array_out", 1, 1, "text", |_, a| Ok(a.first().map(array_text).into())),
    strict("pg_get_userbyid", 1, 1, "name", |c, args| {
        let Some(oid) = oid(args, 0) else { return Ok(Cell::Null) };
        let name = c.catalog.objects.role(oid).map(|r| r.name.clone());
        Ok(name.unwrap_or_else(|| format!("unknown (OID={oid})")).into())
    }),
    strict("pg_table_is_visible", 1, 1, "bool", relation_is_visible),
    strict("pg_type_is_visible", 1, 1, "bool", |c, args| {
        let types = &c.catalog.objects.types;
        let entry = oid(args, 0).and_then(|oid| types.entry(oid));
        Ok(entry.map(|e| c.path().contains(&e.schema.as_str())).into())
    }),
    strict("pg_collation_is_visible", 1, 1, "bool", |_, args| Ok(fixed_is_visible("pg_collation", args))),
    strict("pg_conversion_is_visible", 1, 1, "bool", |_, args| Ok(fixed_is_visible("pg_conversion", args))),
    strict("pg_opclass_is_visible", 1, 1, "bool", |_, args| Ok(fixed_is_visible("pg_opclass", args))),
    strict("pg_opfamily_is_visible", 1, 1, "bool", |_, args| Ok(fixed_is_visible("pg_opfamily", args))),
    strict("pg_ts_config_is_visible", 1, 1, "bool", |_, args| Ok(fixed_is_visible("pg_ts_config", args))),
    strict("pg_ts_dict_is_visible", 1, 1, "bool", |_, args| Ok(fixed_is_visible("pg_ts_dict", args))),
    strict("pg_ts_parser_is_visible", 1, 1, "bool", |_, args| Ok(fixed_is_visible("pg_ts_parser", args))),
    strict("pg_ts_template_is_visible", 1, 1, "bool", |_, args| Ok(fixed_is_visible("pg_ts_template", args))),
    strict("pg_statistics_obj_is_visible", 1, 1, "bool", super::session::nothing),
    strict("pg_relation_is_publishable", 1, 1, "bool", no),
];

fn vector_text(args: &[Cell]) -> String {
    let Some(Cell::List(values)) = args.first() else { return String::new() };
    values.iter().map(|v| text(std::slice::from_ref(v), 0)).collect::<Vec<_>>().join(" ")
}

fn array_text(cell: &Cell) -> String {
    let Cell::List(values) = cell else { return text(std::slice::from_ref(cell), 0) };
    let parts = values.iter().map(|value| match value {
        Cell::Null => "NULL".to_owned(),
        Cell::List(_) => array_text(value),
        Cell::Bool(v) => if *v { "t" } else { "f" }.to_owned(),
        other => quote_element(&text(std::slice::from_ref(other), 0)),
    });
    format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
}

fn quote_element(text: &str) -> String {
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | '"' | '\\'));
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
}

/// Argument as a flag; an untyped literal reads as PostgreSQL's boolean.
pub(super) fn flag(args: &[Cell], place: usize) -> bool {
    match args.get(place) {
        Some(Cell::Bool(v)) => *v,
        Some(Cell::Text(t)) => matches!(t.to_ascii_lowercase().as_str(), "t" | "true" | "1" | "on" | "yes" | "y"),
        Some(Cell::Null | Cell::Int(_) | Cell::Float(_) | Cell::Micros(_) | Cell::List(_)) | None => false,
    }
}

/// Argument as text.
pub(super) fn text(args: &[Cell], place: usize) -> String {
    match args.get(place) {
        Some(Cell::Text(t)) => t.clone(),
        Some(Cell::Int(v)) => v.to_string(),
        Some(Cell::Bool(v)) => v.to_string(),
        Some(Cell::Float(v)) => v.to_string(),
        Some(Cell::Null | Cell::Micros(_) | Cell::List(_)) | None => String::new(),
    }
}

/// Argument as an object id: a number, or digits as text.
pub(super) fn oid(args: &[Cell], place: usize) -> Option<u32> {
    match args.get(place)? {
        Cell::Int(v) => u32::try_from(*v).ok(),
        Cell::Text(t) => t.parse().ok(),
        Cell::Null | Cell::Bool(_) | Cell::Float(_) | Cell::Micros(_) | Cell::List(_) => None,
    }
}

/// `…in` of a reg type: numbers pass, digits are numbers, `-` is 0, anything else is a name to find.
fn read(
    args: &[Cell],
    find: impl Fn(&str) -> Option<u32>,
    code: ErrorCode,
    message: impl Fn(&str) -> String,
) -> Result<Cell> {
    read_or(args, NONE, |name| find(name).ok_or_else(|| Error::new(code, message(name))))
}

/// What most reg types print and read for 0.
pub(super) const NONE: &str = "-";

/// That, with another word for 0 and its own errors.
pub(super) fn read_or(args: &[Cell], none: &str, find: impl Fn(&str) -> Result<u32>) -> Result<Cell> {
    if let Some(number) = oid(args, 0) {
        return Ok(number.into());
    }
    let name = text(args, 0);
    if name == none { Ok(Cell::Int(0)) } else { find(&name).map(Into::into) }
}

/// `…out`: the name, `-` for 0, the number when there is no such object.
fn write(args: &[Cell], name: impl Fn(u32) -> Option<String>) -> Cell {
    write_or(args, NONE, name)
}

/// That, with another word for 0.
pub(super) fn write_or(args: &[Cell], none: &str, name: impl Fn(u32) -> Option<String>) -> Cell {
    match oid(args, 0) {
        Some(0) => none.into(),
        Some(oid) => name(oid).unwrap_or_else(|| oid.to_string()).into(),
        // Already a name.
        None => args.first().cloned().unwrap_or(Cell::Null),
    }
}

/// A visible relation or index by its possibly qualified name.
pub(super) fn find_relation(call: &Call<'_>, name: &str) -> Option<u32> {
    let objects = &call.catalog.objects;
    let parts = split_name(name)?;
    let within = |schema: &str, name: &str| {
        let table = objects.relation_in(schema, name).map(|r| r.oid);
        let index = || objects.index_in(schema, name).map(|i| i.oid);
        table.or_else(index).or_else(|| objects.sequence_in(schema, name).map(|own| own.oid))
    };
    match parts.as_slice() {
        [name] => call.path().into_iter().find_map(|schema| within(schema, name)),
        [schema, name] => within(schema, name),
        [database, schema, name] if *database == call.catalog.image().database => within(schema, name),
        _ => None,
    }
}

fn find_type(call: &Call<'_>, name: &str) -> Option<u32> {
    call.catalog.objects.types.parse(name, &call.path())
}

fn find_namespace(call: &Call<'_>, name: &str) -> Option<u32> {
    let parts = split_name(name)?;
    let [name] = parts.as_slice() else { return None };
    call.catalog.objects.schema_by_name(name).map(|s| s.oid)
}

fn find_role(call: &Call<'_>, name: &str) -> Option<u32> {
    let parts = split_name(name)?;
    let [name] = parts.as_slice() else { return None };
    call.catalog.objects.role_by_name(name).map(|r| r.oid)
}

fn bare(name: &str) -> Option<String> {
    match split_name(name)?.as_slice() {
        [name] => Some(name.clone()),
        [schema, name] if schema == "pg_catalog" => Some(name.clone()),
        _ => None,
    }
}

fn in_fixed(relation: &str, id_column: usize, name_column: usize, name: &str) -> Option<u32> {
    let name = bare(name)?;
    let row =
        fixed_rows(relation).iter().find(|row| matches!(row.get(name_column), Some(Cell::Text(n)) if *n == name))?;
    match row.get(id_column) {
        Some(Cell::Int(v)) => u32::try_from(*v).ok(),
        _ => None,
    }
}

pub(super) fn name_in_fixed(relation: &str, oid: u32) -> Option<String> {
    let row = fixed_rows(relation).iter().find(|row| row.first() == Some(&Cell::Int(i64::from(oid))))?;
    // Behind the id, or behind the access method's.
    row.iter().skip(1).find_map(|cell| if let Cell::Text(name) = cell { Some(quote_ident(name)) } else { None })
}

/// NULL for an unknown id, as PostgreSQL; all of PostgreSQL's own objects are visible.
fn fixed_is_visible(relation: &str, args: &[Cell]) -> Cell {
    let known = oid(args, 0).and_then(|oid| name_in_fixed(relation, oid));
    known.map(|_| true).into()
}

pub(super) fn relation_text(call: &Call<'_>, oid: u32) -> Option<String> {
    let objects = &call.catalog.objects;
    if let Some(relation) = objects.relation(oid) {
        return Some(relation_name(objects, relation, &call.path()));
    }
    let index = objects.index(oid).map(|index| (&index.name, index.relation));
    let (name, relation) = index.or_else(|| objects.sequence(oid).map(|own| (&own.name, own.relation)))?;
    let table = objects.relation_at(relation)?;
    let visible = call.path().contains(&table.schema.as_str());
    Some(if visible { quote_ident(name) } else { qualified(&table.schema, name) })
}

fn relation_is_visible(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let objects = &call.catalog.objects;
    let Some(oid) = oid(args, 0) else { return Ok(Cell::Null) };
    if let Some(relation) = objects.relation(oid) {
        let first = call.path().into_iter().find_map(|schema| objects.relation_in(schema, &relation.name));
        return Ok(first.is_some_and(|r| r.oid == oid).into());
    }
    let relation = objects.index(oid).map(|index| index.relation);
    let relation = relation.or_else(|| objects.sequence(oid).map(|own| own.relation));
    let table = relation.and_then(|relation| objects.relation_at(relation));
    Ok(table.map(|t| call.path().contains(&t.schema.as_str())).into())
}
