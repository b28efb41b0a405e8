//! `obj_description`, `col_description`, `shobj_description`: comments from the same rows as `pg_description`.

use super::names::{oid, text};
use super::{Call, Definition, strict};
use crate::cell::Cell;
use crate::layout::layout;
use crate::rows::CLASS_OF_RELATIONS;
use crate::session::SessionVars;
use crate::table::{Comments, PgCatalog};
use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, UInt32Type};
use querygate_types::Result;

pub(super) const FUNCTIONS: &[Definition] = &[
    strict("obj_description", 1, 2, "text", |c, args| {
        match (args.len(), oid(args, 0)) {
            // Whatever it is of.
            (1, Some(object)) => {
                let mut all = comments(c.catalog)?.iter();
                Ok(all.find(|((of, _, part), _)| *of == object && *part == 0).map(|(_, text)| text.clone()).into())
            }
            _ => find(c, args, &text(args, 1), 0),
        }
    }),
    strict("shobj_description", 2, 2, "text", |c, args| find(c, args, &text(args, 1), 0)),
    strict("col_description", 2, 2, "text", |c, args| {
        let Some(Cell::Int(number)) = args.get(1) else { return Ok(Cell::Null) };
        let part = i32::try_from(*number).unwrap_or(-1);
        let Some(object) = oid(args, 0) else { return Ok(Cell::Null) };
        Ok(comments(c.catalog)?.get(&(object, CLASS_OF_RELATIONS, part)).filter(|_| part != 0).cloned().into())
    }),
];

fn find(call: &Call<'_>, args: &[Cell], catalog: &str, part: i32) -> Result<Cell> {
    let Some(object) = oid(args, 0) else { return Ok(Cell::Null) };
    let Some(class) = layout("pg_catalog", catalog).map(|l| l.oid) else { return Ok(Cell::Null) };
    Ok(comments(call.catalog)?.get(&(object, class, part)).cloned().into())
}

fn comments(catalog: &PgCatalog) -> Result<&Comments> {
    if let Some(found) = catalog.comments.get() {
        return Ok(found);
    }
    let mut comments = Comments::new();
    for (name, has_part) in [("pg_description", true), ("pg_shdescription", false)] {
        let Some(layout) = layout("pg_catalog", name) else { continue };
        let batch = catalog.batch(layout, &SessionVars::default())?;
        let column = |name: &str| batch.column_by_name(name);
        let (Some(objects), Some(classes), Some(texts)) = (column("objoid"), column("classoid"), column("description"))
        else {
            continue;
        };
        let (objects, classes, texts) =
            (objects.as_primitive::<UInt32Type>(), classes.as_primitive::<UInt32Type>(), texts.as_string::<i32>());
        let parts = column("objsubid").filter(|_| has_part).map(|c| c.as_primitive::<Int32Type>());
        for row in 0..batch.num_rows() {
            let part = parts.map_or(0, |p| p.value(row));
            comments.insert((objects.value(row), classes.value(row), part), texts.value(row).to_owned());
        }
    }
    Ok(catalog.comments.get_or_init(|| comments))
}
