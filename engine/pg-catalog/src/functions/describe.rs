//! `pg_describe_object`: an object in words, as tools list what an extension or a dependency holds. Knows no dependency.

use super::names::{name_in_fixed, oid, relation_text};
use super::{Call, Definition, strict};
use crate::cell::Cell;
use crate::layout::layout;
use crate::quote::quote_ident;
use querygate_types::{Error, ErrorCode, Result};

pub(super) const FUNCTIONS: &[Definition] = &[strict("pg_describe_object", 3, 3, "text", |c, args| {
    let (Some(class), Some(object), Some(Cell::Int(part))) = (oid(args, 0), oid(args, 1), args.get(2)) else {
        return Ok(Cell::Null);
    };
    // PostgreSQL's answer for the empty reference.
    if class == 0 && object == 0 && *part == 0 {
        return Ok(Cell::Null);
    }
    Ok(describe(c, class, object, i16::try_from(*part).unwrap_or(-1))?.into())
})];

/// `None` for an object that does not exist, or not for this principal.
fn describe(call: &Call<'_>, class: u32, object: u32, part: i16) -> Result<Option<String>> {
    let objects = &call.catalog.objects;
    let is = |name: &str| layout("pg_catalog", name).is_some_and(|l| l.oid == class);
    let fixed = |word: &str, relation: &str| name_in_fixed(relation, object).map(|name| format!("{word} {name}"));
    Ok(if is("pg_class") {
        relation(call, object, part)
    } else if is("pg_type") {
        let types = &objects.types;
        types.entry(object).map(|_| format!("type {}", types.format(object, None, &call.path())))
    } else if is("pg_namespace") {
        objects.schema(object).map(|schema| format!("schema {}", quote_ident(&schema.name)))
    } else if is("pg_authid") {
        objects.role(object).map(|role| format!("role {}", quote_ident(&role.name)))
    } else if is("pg_constraint") {
        objects.constraint(object).and_then(|constraint| {
            let table = objects.relation_at(constraint.relation)?;
            let table = relation(call, table.oid, 0)?;
            Some(format!("constraint {} on {table}", quote_ident(&constraint.name)))
        })
    } else if is("pg_language") {
        fixed("language", "pg_language")
    } else if is("pg_extension") {
        fixed("extension", "pg_extension")
    } else if is("pg_am") {
        fixed("access method", "pg_am")
    } else {
        return Err(Error::new(
            ErrorCode::FeatureNotSupported,
            format!("describing an object of class {class} is not supported"),
        ));
    })
}

fn relation(call: &Call<'_>, object: u32, part: i16) -> Option<String> {
    let objects = &call.catalog.objects;
    let name = relation_text(call, object)?;
    let Some(relation) = objects.relation(object) else { return Some(format!("index {name}")) };
    let word = if relation.kind == 'v' { "view" } else { "table" };
    if part == 0 {
        return Some(format!("{word} {name}"));
    }
    let column = relation.column(part)?;
    Some(format!("column {} of {word} {name}", quote_ident(&column.name)))
}
