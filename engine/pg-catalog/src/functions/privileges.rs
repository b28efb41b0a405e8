//! `has_…_privilege`, `pg_has_role`: SELECT and USAGE on what is visible, and the changes that the image says.

use super::names::{find_relation, oid, text};
use super::{Call, Definition, strict};
use crate::cell::Cell;
use crate::quote::quote_ident;
use querygate_types::{Error, ErrorCode, Result};

pub(super) const FUNCTIONS: &[Definition] = &[
    strict("acldefault", 2, 2, "_aclitem", defaults),
    strict("pg_relation_is_updatable", 2, 2, "int4", changes_taken),
    strict("pg_column_is_updatable", 3, 3, "bool", is_column_updatable),
    strict("has_table_privilege", 2, 3, "bool", |c, a| with_role(c, a, 2, |a| on_relation(c, a))),
    strict("has_sequence_privilege", 2, 3, "bool", |c, a| with_role(c, a, 2, |a| on_sequence(c, a))),
    strict("has_any_column_privilege", 2, 3, "bool", |c, a| with_role(c, a, 2, |a| on_any_column(c, a))),
    strict("has_column_privilege", 3, 4, "bool", |c, a| with_role(c, a, 3, |a| on_column(c, a))),
    strict("has_schema_privilege", 2, 3, "bool", |c, a| with_role(c, a, 2, |a| on_schema(c, a))),
    strict("has_database_privilege", 2, 3, "bool", |c, a| {
        with_role(c, a, 2, |a| granted(a, 1, &["connect"], &["create", "temporary", "temp"]))
    }),
    strict("has_function_privilege", 2, 3, "bool", |c, a| with_role(c, a, 2, |a| granted(a, 1, &["execute"], &[]))),
    strict("has_language_privilege", 2, 3, "bool", |c, a| with_role(c, a, 2, |a| granted(a, 1, &["usage"], &[]))),
    strict("has_type_privilege", 2, 3, "bool", |c, a| with_role(c, a, 2, |a| granted(a, 1, &["usage"], &[]))),
    strict("has_tablespace_privilege", 2, 3, "bool", |c, a| with_role(c, a, 2, |a| granted(a, 1, &[], &["create"]))),
    strict("has_foreign_data_wrapper_privilege", 2, 3, "bool", |c, a| {
        with_role(c, a, 2, |a| granted(a, 1, &[], &["usage"]))
    }),
    strict("has_server_privilege", 2, 3, "bool", |c, a| with_role(c, a, 2, |a| granted(a, 1, &[], &["usage"]))),
    strict("pg_has_role", 2, 3, "bool", |c, a| {
        with_role(c, a, 2, |a| {
            granted(a, 1, &["member", "usage", "set"], &[])?;
            Ok(true.into())
        })
        .and_then(|known| if known == Cell::Bool(true) { membership(c, a) } else { Ok(known) })
    }),
];

/// Reads the optional role in front. Rights of other roles are not known here, so they have none.
fn with_role(call: &Call<'_>, args: &[Cell], without: usize, rest: impl Fn(&[Cell]) -> Result<Cell>) -> Result<Cell> {
    let Some((first, others)) = args.split_first().filter(|_| args.len() > without) else { return rest(args) };
    let role = role_of(call, first)?;
    let answer = rest(others)?;
    Ok(match role {
        Some(name) if name == call.catalog.image().user || name == call.catalog.image().owner => answer,
        Some(_) | None => {
            if answer == Cell::Null {
                Cell::Null
            } else {
                false.into()
            }
        }
    })
}

fn role_of(call: &Call<'_>, cell: &Cell) -> Result<Option<String>> {
    let objects = &call.catalog.objects;
    if let Some(oid) = oid(std::slice::from_ref(cell), 0) {
        return Ok(objects.role(oid).map(|r| r.name.clone()));
    }
    let name = text(std::slice::from_ref(cell), 0);
    if name == "public" || objects.role_by_name(&name).is_some() {
        return Ok(Some(name));
    }
    Err(Error::new(ErrorCode::UndefinedObject, format!("role \"{name}\" does not exist")))
}

/// Whether one of the privileges asked for (a list with commas) is among those held.
fn granted(args: &[Cell], place: usize, held: &[&str], known: &[&str]) -> Result<Cell> {
    let asked = text(args, place).to_ascii_lowercase();
    let mut any = false;
    for word in asked.split(',').map(str::trim) {
        let plain = word.strip_suffix(" with grant option").unwrap_or(word);
        if !held.contains(&plain) && !known.contains(&plain) {
            let message = format!("unrecognized privilege type: \"{word}\"");
            return Err(Error::new(ErrorCode::InvalidParameterValue, message));
        }
        any |= plain == word && held.contains(&plain);
    }
    Ok(any.into())
}

const WRITES: &[&str] = &["insert", "update", "delete", "truncate", "references", "trigger", "usage", "maintain"];

fn relation_of(call: &Call<'_>, args: &[Cell]) -> Result<Option<u32>> {
    if let Some(oid) = oid(args, 0) {
        let objects = &call.catalog.objects;
        return Ok((objects.relation(oid).is_some() || objects.index(oid).is_some()).then_some(oid));
    }
    let name = text(args, 0);
    let found = find_relation(call, &name);
    found.map(Some).ok_or_else(|| Error::new(ErrorCode::UndefinedTable, format!("relation \"{name}\" does not exist")))
}

/// Rights in the words that are asked with.
fn asked(privileges: &[&str]) -> Vec<String> {
    privileges.iter().map(|privilege| privilege.to_ascii_lowercase()).collect()
}

fn held_on(args: &[Cell], place: usize, privileges: &[&str]) -> Result<Cell> {
    let held = asked(privileges);
    granted(args, place, &held.iter().map(String::as_str).collect::<Vec<_>>(), WRITES)
}

fn on_sequence(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let answer = granted(args, 1, &["select"], WRITES)?;
    Ok(relation_of(call, args)?.map_or(Cell::Null, |_| answer))
}

fn on_relation(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    // An unknown word is reported before an unknown name.
    let plain = held_on(args, 1, &["SELECT"])?;
    let Some(oid) = relation_of(call, args)? else { return Ok(Cell::Null) };
    match call.catalog.objects.relation(oid) {
        Some(relation) => held_on(args, 1, &relation.privileges()),
        None => Ok(plain),
    }
}

/// Which changes a relation takes, in PostgreSQL's bits: 4 updates, 8 inserts, 16 deletes.
fn changes_taken(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let Some(relation) = oid(args, 0).and_then(|oid| call.catalog.objects.relation(oid)) else {
        return Ok(Cell::Int(0));
    };
    let updates = relation.columns.iter().any(|column| column.updatable);
    let taken = [(4, updates), (8, relation.is_insertable()), (16, relation.privileges.delete)];
    Ok(Cell::Int(taken.iter().filter(|(_, is_taken)| *is_taken).map(|(bit, _)| bit).sum()))
}

fn is_column_updatable(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let relation = oid(args, 0).and_then(|oid| call.catalog.objects.relation(oid));
    let Some(Cell::Int(number)) = args.get(1) else { return Ok(Cell::Null) };
    let column = relation.and_then(|found| found.columns.iter().find(|column| i64::from(column.attnum) == *number));
    Ok(column.is_some_and(|column| column.updatable).into())
}

fn on_any_column(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let plain = held_on(args, 1, &["SELECT"])?;
    let Some(oid) = relation_of(call, args)? else { return Ok(Cell::Null) };
    match call.catalog.objects.relation(oid) {
        Some(relation) => {
            let any = relation.columns.iter().flat_map(|column| column.privileges(relation));
            held_on(args, 1, &any.chain(relation.privileges()).filter(|right| *right != "DELETE").collect::<Vec<_>>())
        }
        None => Ok(plain),
    }
}

fn on_column(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    held_on(args, 2, &["SELECT"])?;
    let Some(relation) = relation_of(call, args)?.and_then(|oid| call.catalog.objects.relation(oid)) else {
        return Ok(Cell::Null);
    };
    match args.get(1) {
        Some(Cell::Int(number)) => {
            let known = relation.columns.iter().find(|c| i64::from(c.attnum) == *number);
            known.map_or(Ok(Cell::Null), |column| held_on(args, 2, &column.privileges(relation)))
        }
        _ => {
            let name = text(args, 1);
            if let Some(column) = relation.columns.iter().find(|c| c.name == name) {
                return held_on(args, 2, &column.privileges(relation));
            }
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.name);
            Err(Error::new(ErrorCode::UndefinedColumn, message))
        }
    }
}

fn on_schema(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let answer = granted(args, 1, &["usage"], &["create"])?;
    let objects = &call.catalog.objects;
    if let Some(oid) = oid(args, 0) {
        return Ok(objects.schema(oid).map_or(Cell::Null, |_| answer));
    }
    let name = text(args, 0);
    match objects.schema_by_name(&name) {
        Some(_) => Ok(answer),
        None => Err(Error::new(ErrorCode::UndefinedSchema, format!("schema \"{name}\" does not exist"))),
    }
}

/// Whether the user (first of three arguments, else the current one) is or belongs to the role.
fn membership(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let objects = &call.catalog.objects;
    let (user, role) = match args {
        [user, role, _] => (role_of(call, user)?, role_of(call, role)?),
        [role, ..] => (Some(call.catalog.image().user.clone()), role_of(call, role)?),
        [] => return Ok(Cell::Null),
    };
    let (Some(user), Some(role)) = (user, role) else { return Ok(Cell::Null) };
    let target = objects.role_by_name(&role).map(|r| r.oid);
    let mut open: Vec<u32> = objects.role_by_name(&user).map(|r| r.oid).into_iter().collect();
    let mut seen = Vec::new();
    while let Some(oid) = open.pop() {
        if Some(oid) == target || objects.role(oid).is_some_and(|r| r.superuser) {
            return Ok(true.into());
        }
        if !seen.contains(&oid) {
            seen.push(oid);
            open.extend(objects.role(oid).map(|r| r.member_of.as_slice()).unwrap_or_default());
        }
    }
    Ok(false.into())
}

/// What PostgreSQL grants on a new object of a kind: what everybody may, then what its owner may.
fn defaults(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let kind = text(args, 0);
    let (everybody, owner) = match kind.as_str() {
        "c" => ("", ""),
        "r" => ("", "arwdDxt"),
        "s" => ("", "rwU"),
        "d" => ("Tc", "CTc"),
        "f" => ("X", "X"),
        "l" | "T" => ("U", "U"),
        "L" => ("", "rw"),
        "n" => ("", "UC"),
        "p" => ("", "sA"),
        "t" => ("", "C"),
        "F" | "S" => ("", "U"),
        _ => {
            let message = format!("unrecognized object type abbreviation: {kind}");
            return Err(Error::new(ErrorCode::InvalidParameterValue, message));
        }
    };
    let Some(id) = oid(args, 1) else { return Ok(Cell::Null) };
    let name = call.catalog.objects.role(id).map_or_else(|| id.to_string(), |role| quote_ident(&role.name));
    let granted = [("", everybody), (name.as_str(), owner)].into_iter().filter(|(_, rights)| !rights.is_empty());
    Ok(Cell::List(granted.map(|(to, rights)| Cell::Text(format!("{to}={rights}/{name}"))).collect()))
}
