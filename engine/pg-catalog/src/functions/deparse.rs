//! `pg_get_…def`: texts of what the catalog stores, and sizes, which it does not.

use super::names::{find_relation, flag, oid, text};
use super::session::nothing;
use super::{Call, Definition, strict};
use crate::cell::Cell;
use crate::definitions::{constraint_definition, index_definition, qualified};
use crate::layout::{fixed_rows, layout};
use crate::quote::quote_ident;
use crate::sequences::SequenceObject;
use crate::types::TypeTable;
use querygate_types::{Error, ErrorCode, Result};

pub(super) const FUNCTIONS: &[Definition] = &[
    // Expressions are stored as their text.
    strict("pg_get_expr", 2, 3, "text", |_, args| Ok(text(args, 0).into())),
    strict("pg_get_indexdef", 1, 3, "text", |c, args| {
        let column = if let Some(Cell::Int(v)) = args.get(1) { *v } else { 0 };
        let pretty = flag(args, 2);
        let objects = &c.catalog.objects;
        let index = oid(args, 0).and_then(|oid| objects.index(oid));
        Ok(index.and_then(|i| index_definition(objects, i, column, pretty, &c.path())).into())
    }),
    strict("pg_index_column_has_property", 3, 3, "bool", |c, args| {
        let index = oid(args, 0).and_then(|oid| c.catalog.objects.index(oid));
        let place = if let Some(Cell::Int(v)) = args.get(1) { usize::try_from(*v - 1).ok() } else { None };
        let column = index.zip(place).and_then(|(i, place)| i.columns.get(place));
        Ok(column.and_then(|(_, descending)| column_property(&text(args, 2), *descending)).into())
    }),
    strict("pg_get_constraintdef", 1, 2, "text", |c, args| {
        let pretty = flag(args, 1);
        let objects = &c.catalog.objects;
        let constraint = oid(args, 0).and_then(|oid| objects.constraint(oid));
        Ok(constraint.and_then(|x| constraint_definition(objects, x, pretty, &c.path())).into())
    }),
    strict("pg_get_viewdef", 1, 2, "text", |c, args| {
        let objects = &c.catalog.objects;
        let by_name = || match super::names::find_relation(c, &text(args, 0)) {
            Some(found) => Ok(Some(found)),
            None => {
                Err(Error::new(ErrorCode::UndefinedTable, format!("relation \"{}\" does not exist", text(args, 0))))
            }
        };
        let found = match oid(args, 0) {
            Some(oid) => Some(oid),
            None => by_name()?,
        };
        let relation = found.and_then(|oid| objects.relation(oid));
        Ok(relation.and_then(|r| r.definition.clone()).into())
    }),
    // The gate has no such objects, so no id can name one.
    strict("pg_get_triggerdef", 1, 2, "text", nothing),
    strict("pg_get_ruledef", 1, 2, "text", nothing),
    strict("pg_get_partkeydef", 1, 1, "text", nothing),
    strict("pg_get_partition_constraintdef", 1, 1, "text", nothing),
    strict("pg_get_statisticsobjdef", 1, 1, "text", nothing),
    strict("pg_get_statisticsobjdef_columns", 1, 1, "text", nothing),
    strict("pg_get_serial_sequence", 2, 2, "text", serial_sequence),
    strict("pg_get_functiondef", 1, 1, "text", nothing),
    strict("pg_get_function_arg_default", 2, 2, "text", nothing),
    strict("pg_get_function_sqlbody", 1, 1, "text", nothing),
    strict("pg_relation_filenode", 1, 1, "oid", nothing),
    strict("pg_relation_filepath", 1, 1, "text", nothing),
    strict("pg_tablespace_location", 1, 1, "text", |_, _| Ok("".into())),
    strict("pg_get_function_arguments", 1, 1, "text", |_, args| Ok(signature(args, true))),
    strict("pg_get_function_identity_arguments", 1, 1, "text", |_, args| Ok(signature(args, false))),
    strict("pg_get_function_result", 1, 1, "text", |_, args| Ok(result_type(args))),
    // Unknown, which SQL spells NULL: the rows are at the sources.
    strict("pg_relation_size", 1, 2, "int8", nothing),
    strict("pg_total_relation_size", 1, 1, "int8", nothing),
    strict("pg_table_size", 1, 1, "int8", nothing),
    strict("pg_indexes_size", 1, 1, "int8", nothing),
    strict("pg_database_size", 1, 1, "int8", nothing),
    strict("pg_tablespace_size", 1, 1, "int8", nothing),
    strict("pg_stat_get_numscans", 1, 1, "int8", nothing),
    strict("pg_stat_get_tuples_returned", 1, 1, "int8", nothing),
    strict("pg_stat_get_live_tuples", 1, 1, "int8", nothing),
    strict("pg_stat_get_dead_tuples", 1, 1, "int8", nothing),
    strict("pg_stat_get_last_vacuum_time", 1, 1, "timestamptz", nothing),
    strict("pg_stat_get_db_stat_reset_time", 1, 1, "timestamptz", nothing),
    strict("pg_stat_get_last_analyze_time", 1, 1, "timestamptz", nothing),
    strict("pg_stat_get_last_autovacuum_time", 1, 1, "timestamptz", nothing),
    strict("pg_stat_get_last_autoanalyze_time", 1, 1, "timestamptz", nothing),
    strict("pg_size_pretty", 1, 1, "text", |_, args| {
        Ok(if let Some(Cell::Int(v)) = args.first() { pretty_size(*v).into() } else { Cell::Null })
    }),
];

/// Properties of a B-tree column; NULL for a property that PostgreSQL does not know.
fn column_property(name: &str, descending: bool) -> Option<bool> {
    match name.to_ascii_lowercase().as_str() {
        "asc" | "nulls_last" => Some(!descending),
        "desc" | "nulls_first" => Some(descending),
        "orderable" | "returnable" | "search_array" | "search_nulls" => Some(true),
        "distance_orderable" => Some(false),
        _ => None,
    }
}

fn pretty_size(bytes: i64) -> String {
    let (mut value, limit) = (i128::from(bytes), 10 * 1024);
    if value.abs() < limit {
        return format!("{value} bytes");
    }
    // PostgreSQL keeps one extra bit, so that the last division rounds half away from zero.
    let half_rounded = |v: i128| (v + v.signum()) / 2;
    value /= 512;
    for unit in ["kB", "MB", "GB", "TB"] {
        if value.abs() < 20 * 1024 - 1 {
            return format!("{} {unit}", half_rounded(value));
        }
        value /= 1024;
    }
    format!("{} PB", half_rounded(value))
}

fn function_row(args: &[Cell]) -> Option<&'static Vec<Cell>> {
    let oid = oid(args, 0)?;
    fixed_rows("pg_proc").iter().find(|row| row.first() == Some(&Cell::Int(i64::from(oid))))
}

fn at<'a>(row: &'a [Cell], column: &str) -> Option<&'a Cell> {
    let place = layout("pg_catalog", "pg_proc")?.columns.iter().position(|c| c.name == column)?;
    row.get(place)
}

fn type_name(cell: &Cell) -> String {
    let oid = if let Cell::Int(v) = cell { u32::try_from(*v).unwrap_or(0) } else { 0 };
    TypeTable::builtin().format(oid, None, &["pg_catalog"])
}

/// Arguments of one of PostgreSQL's functions; with OUT and TABLE ones when `all`.
/// The sequence of an identity column, always with its schema.
fn serial_sequence(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let (objects, table, column) = (&call.catalog.objects, text(args, 0), text(args, 1));
    let found = find_relation(call, &table).and_then(|oid| objects.relation(oid));
    let relation =
        found.ok_or_else(|| Error::new(ErrorCode::UndefinedTable, format!("relation \"{table}\" does not exist")))?;
    let missing = || {
        let text = format!("column \"{column}\" of relation \"{}\" does not exist", relation.name);
        Error::new(ErrorCode::UndefinedColumn, text)
    };
    let place = relation.columns.iter().find(|own| own.name == column).ok_or_else(missing)?.attnum;
    let is_of = |own: &&SequenceObject| {
        own.attnum == place && objects.relation_at(own.relation).is_some_and(|of| of.oid == relation.oid)
    };
    let sequence = objects.sequences.iter().find(is_of);
    Ok(sequence.map(|own| qualified(&relation.schema, &own.name)).into())
}

fn signature(args: &[Cell], all: bool) -> Cell {
    let Some(row) = function_row(args) else { return Cell::Null };
    let list = |column| if let Some(Cell::List(v)) = at(row, column) { v.as_slice() } else { &[] };
    let (every, modes, names) = (list("proallargtypes"), list("proargmodes"), list("proargnames"));
    let types = if every.is_empty() { list("proargtypes") } else { every };
    let mut parts = Vec::new();
    for (place, argument) in types.iter().enumerate() {
        let mode = if let Some(Cell::Text(m)) = modes.get(place) { m.as_str() } else { "i" };
        let word = match mode {
            "o" if all => "OUT ",
            "b" => "INOUT ",
            "v" => "VARIADIC ",
            "t" | "o" => continue,
            _ => "",
        };
        let name = if let Some(Cell::Text(n)) = names.get(place) { n.as_str() } else { "" };
        let name = if name.is_empty() { String::new() } else { format!("{} ", quote_ident(name)) };
        parts.push(format!("{word}{name}{}", type_name(argument)));
    }
    parts.join(", ").into()
}

fn result_type(args: &[Cell]) -> Cell {
    let Some(row) = function_row(args) else { return Cell::Null };
    if matches!(at(row, "prokind"), Some(Cell::Text(kind)) if kind == "p") {
        return Cell::Null;
    }
    let set = if at(row, "proretset") == Some(&Cell::Bool(true)) { "SETOF " } else { "" };
    format!("{set}{}", type_name(at(row, "prorettype").unwrap_or(&Cell::Null))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_as_postgres_prints_them() {
        // Taken from PostgreSQL 15.
        let rows = [
            (0, "0 bytes"),
            (10239, "10239 bytes"),
            (10240, "10 kB"),
            (10_485_247, "10239 kB"),
            (10_485_248, "10 MB"),
            (1_073_741_824, "1024 MB"),
            (-20_480, "-20 kB"),
            (i64::MAX, "8192 PB"),
        ];
        for (bytes, expected) in rows {
            assert_eq!(pretty_size(bytes), expected, "{bytes}");
        }
    }
}
