//! Functions that return sets in PostgreSQL, as functions that return lists; the dialect unnests them in FROM and SELECT.

use super::Call;
use super::{Definition, Returns, of_session, rows_of};
use crate::cell::Cell;
use crate::names::OWNER;
use crate::quote::keyword_lines;
use querygate_types::Result;

const fn list_of(
    name: &'static str,
    least: usize,
    most: usize,
    returns: &'static str,
    eval: super::Eval,
) -> Definition {
    Definition { name, least, most, returns: Returns::Type(returns), strict: true, of_session: false, eval }
}

pub(super) const FUNCTIONS: &[Definition] = &[
    // No partitions and no inheritance here: no ancestors, as PostgreSQL says of a plain table.
    list_of("pg_partition_ancestors", 1, 1, "_oid", none),
    rows_of(
        "pg_partition_tree",
        1,
        1,
        &[("relid", "oid"), ("parentrelid", "oid"), ("isleaf", "bool"), ("level", "int4")],
        none,
    ),
    list_of("generate_subscripts", 2, 3, "_int4", |c, args| Ok(subscripts(c, args))),
    rows_of(
        "aclexplode",
        1,
        1,
        &[("grantor", "oid"), ("grantee", "oid"), ("privilege_type", "text"), ("is_grantable", "bool")],
        |c, args| Ok(rights(c, args)),
    ),
    rows_of("_pg_expandarray", 1, 1, &[("x", "int8"), ("n", "int4")], |_, args| {
        let Some(Cell::List(values)) = args.first() else { return Ok(Cell::Null) };
        Ok(Cell::List(values.iter().zip(1_i32..).map(|(v, n)| Cell::List(vec![v.clone(), n.into()])).collect()))
    }),
    rows_of("pg_options_to_table", 1, 1, &[("option_name", "text"), ("option_value", "text")], |_, args| {
        let Some(Cell::List(values)) = args.first() else { return Ok(Cell::Null) };
        let split = values.iter().filter_map(|v| if let Cell::Text(t) = v { Some(t) } else { None }).map(|t| {
            let (name, value) = t.split_once('=').map_or((t.as_str(), Cell::Null), |(n, v)| (n, v.into()));
            Cell::List(vec![name.into(), value])
        });
        Ok(Cell::List(split.collect()))
    }),
    of_session(rows_of(
        "pg_show_all_settings",
        0,
        0,
        &[
            ("name", "text"),
            ("setting", "text"),
            ("unit", "text"),
            ("category", "text"),
            ("short_desc", "text"),
            ("context", "text"),
            ("vartype", "text"),
        ],
        all_settings,
    )),
    rows_of(
        "pg_get_keywords",
        0,
        0,
        &[("word", "text"), ("catcode", "char"), ("barelabel", "bool"), ("catdesc", "text"), ("baredesc", "text")],
        |_, _| Ok(Cell::List(keywords())),
    ),
    list_of("pg_listening_channels", 0, 0, "_text", none),
    // As the relation of that name.
    rows_of(
        "pg_available_extensions",
        0,
        0,
        &[("name", "name"), ("default_version", "text"), ("comment", "text")],
        none,
    ),
    rows_of(
        "pg_available_extension_versions",
        0,
        0,
        &[
            ("name", "name"),
            ("version", "text"),
            ("superuser", "bool"),
            ("trusted", "bool"),
            ("relocatable", "bool"),
            ("schema", "name"),
            ("requires", "_text"),
            ("comment", "text"),
        ],
        none,
    ),
];

fn keywords() -> Vec<Cell> {
    let rows = keyword_lines().map(|line| {
        let fields = line.split('\t').enumerate();
        Cell::List(fields.map(|(i, field)| if i == 2 { (field == "t").into() } else { field.into() }).collect())
    });
    rows.collect()
}

fn none(_: &Call<'_>, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::List(Vec::new()))
}

/// Rows of an access list: `grantee=rights/grantor`, one row per right.
fn rights(call: &Call<'_>, args: &[Cell]) -> Cell {
    let Some(Cell::List(items)) = args.first() else { return Cell::List(Vec::new()) };
    let role = |name: &str| match name.trim_matches('"') {
        "" => Some(0),
        // PostgreSQL's own rows name its bootstrap user.
        "postgres" => Some(i64::from(OWNER)),
        name => call.catalog.objects.role_by_name(name).map(|role| i64::from(role.oid)),
    };
    let mut rows = Vec::new();
    for item in items {
        let Cell::Text(item) = item else { continue };
        let Some((grantee, (rights, grantor))) =
            item.rsplit_once('=').and_then(|(to, rest)| Some((to, rest.split_once('/')?)))
        else {
            continue;
        };
        let (Some(grantee), Some(grantor)) = (role(grantee), role(grantor)) else { continue };
        let mut letters = rights.chars().peekable();
        while let Some(letter) = letters.next() {
            let grantable = letters.next_if_eq(&'*').is_some();
            if let Some(name) = right(letter) {
                rows.push(Cell::List(vec![Cell::Int(grantor), Cell::Int(grantee), name.into(), grantable.into()]));
            }
        }
    }
    Cell::List(rows)
}

fn right(letter: char) -> Option<&'static str> {
    Some(match letter {
        'r' => "SELECT",
        'a' => "INSERT",
        'w' => "UPDATE",
        'd' => "DELETE",
        'D' => "TRUNCATE",
        'x' => "REFERENCES",
        't' => "TRIGGER",
        'X' => "EXECUTE",
        'U' => "USAGE",
        'C' => "CREATE",
        'T' => "TEMPORARY",
        'c' => "CONNECT",
        's' => "SET",
        'A' => "ALTER SYSTEM",
        _ => return None,
    })
}

/// Places of a list: from 1, of the catalog's vectors from 0.
fn subscripts(call: &Call<'_>, args: &[Cell]) -> Cell {
    let (Some(Cell::List(values)), Some(Cell::Int(1))) = (args.first(), args.get(1)) else {
        return Cell::List(Vec::new());
    };
    let mut numbers: Vec<i64> = (call.first_index()..).take(values.len()).collect();
    if args.get(2) == Some(&Cell::Bool(true)) {
        numbers.reverse();
    }
    Cell::List(numbers.into_iter().map(Cell::Int).collect())
}

fn all_settings(call: &Call<'_>, _: &[Cell]) -> Result<Cell> {
    let rows = call.catalog.image().settings.iter().map(|s| {
        let value = call.vars.settings.get(&s.name.to_ascii_lowercase()).unwrap_or(&s.value);
        let unit: Cell = s.unit.clone().into();
        Cell::List(vec![
            (&s.name).into(),
            value.into(),
            unit,
            (&s.category).into(),
            (&s.description).into(),
            (&s.context).into(),
            (&s.vartype).into(),
        ])
    });
    Ok(Cell::List(rows.collect()))
}
