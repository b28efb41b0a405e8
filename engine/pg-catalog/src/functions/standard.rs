//! `information_schema`'s own functions, and what access methods can do.

use super::names::{oid, text};
use super::{Call, Definition, lenient, strict};
use crate::cell::Cell;
use crate::rows::{Measures, measures_of};
use querygate_types::Result;

pub(super) const FUNCTIONS: &[Definition] = &[
    lenient("_pg_char_max_length", 2, 2, "int4", |_, args| Ok(measure(args, |found| found.length))),
    lenient("_pg_char_octet_length", 2, 2, "int4", |_, args| Ok(measure(args, |found| found.octets))),
    lenient("_pg_numeric_precision", 2, 2, "int4", |_, args| Ok(measure(args, |found| found.precision))),
    lenient("_pg_numeric_precision_radix", 2, 2, "int4", |_, args| Ok(measure(args, |found| found.radix))),
    lenient("_pg_numeric_scale", 2, 2, "int4", |_, args| Ok(measure(args, |found| found.scale))),
    lenient("_pg_datetime_precision", 2, 2, "int4", |_, args| Ok(measure(args, |found| found.fraction))),
    strict("oidvectortypes", 1, 1, "text", vector_types),
    strict("pg_indexam_has_property", 2, 2, "bool", |_, args| Ok(method_property(args).into())),
];

/// Of a type with its modifier; of none without one.
fn measure(args: &[Cell], part: fn(&Measures) -> Option<i32>) -> Cell {
    let (Some(of), Some(Cell::Int(modifier))) = (oid(args, 0), args.get(1)) else { return Cell::Null };
    part(&measures_of(of, i32::try_from(*modifier).unwrap_or(-1))).into()
}

/// Names of the types of a vector of ids, as `format_type` prints them.
fn vector_types(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let Some(Cell::List(ids)) = args.first() else { return Ok(Cell::Null) };
    let name = |id: &Cell| match id {
        Cell::Int(id) => call.catalog.objects.types.format(u32::try_from(*id).unwrap_or(0), None, &call.path()),
        _ => "???".to_owned(),
    };
    Ok(ids.iter().map(name).collect::<Vec<_>>().join(", ").into())
}

/// `can_order`, `can_unique`, `can_multi_col`, `can_exclude`, `can_include` of PostgreSQL's access methods, by their ids.
const METHODS: &[(u32, [bool; 5])] = &[
    (403, [true; 5]),
    (405, [false, false, false, true, false]),
    (783, [false, false, true, true, true]),
    (2742, [false, false, true, false, false]),
    (3580, [false, false, true, false, false]),
    (4000, [false, false, false, true, true]),
];

fn method_property(args: &[Cell]) -> Option<bool> {
    let (_, properties) = METHODS.iter().find(|(method, _)| oid(args, 0) == Some(*method))?;
    let names = ["can_order", "can_unique", "can_multi_col", "can_exclude", "can_include"];
    let place = names.iter().position(|name| name.eq_ignore_ascii_case(&text(args, 1)))?;
    properties.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_measure_what_their_modifiers_say() {
        let of = |of: i64, modifier: i64, part| measure(&[Cell::Int(of), Cell::Int(modifier)], part);
        assert_eq!(of(1043, 84, |found| found.length), Cell::Int(80));
        assert_eq!(of(1043, -1, |found| found.length), Cell::Null);
        assert_eq!(of(1700, 786_438, |found| found.precision), Cell::Int(12));
        assert_eq!(of(1266, -1, |found| found.fraction), Cell::Int(6));
        let can = |method, name: &str| method_property(&[Cell::Int(method), name.into()]);
        assert_eq!(
            [can(403, "can_order"), can(405, "can_order"), can(1, "can_order")],
            [Some(true), Some(false), None]
        );
    }
}
