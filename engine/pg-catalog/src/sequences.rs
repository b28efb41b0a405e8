//! The sequences behind identity columns, by the names that PostgreSQL gives them. Knows no catalog.

use crate::oid::{Allocator, ObjectClass, stable_oid};
use querygate_types::PgType;

/// Bytes of a name, at most.
const NAME_MAX: usize = 63;

/// A sequence. Its schema is its table's.
#[derive(Debug, Clone)]
pub(crate) struct SequenceObject {
    pub(crate) oid: u32,
    pub(crate) name: String,
    /// Position of the table among the relations.
    pub(crate) relation: usize,
    pub(crate) attnum: i16,
    pub(crate) type_oid: u32,
    pub(crate) max: i64,
}

/// An identity column.
pub(crate) struct Numbered<'a> {
    /// Schema, table and column.
    pub(crate) path: [&'a str; 3],
    pub(crate) relation: usize,
    pub(crate) attnum: i16,
    pub(crate) type_oid: u32,
}

/// Their sequences. `is_taken`: whether something of another kind has this name in this schema.
pub(crate) fn sequences<'a>(
    columns: impl Iterator<Item = Numbered<'a>>,
    is_taken: impl Fn(&str, &str) -> bool,
    ids: &mut Allocator,
) -> Vec<SequenceObject> {
    let mut given = std::collections::HashSet::new();
    let made = columns.filter_map(|column| {
        let [schema, table, name] = column.path;
        let mut names = (0..=u16::MAX).map(|number| named(table, name, number));
        let name = names.find(|name| !is_taken(schema, name) && !given.contains(&(schema, name.clone())))?;
        given.insert((schema, name.clone()));
        let max = match PgType::from_oid(column.type_oid) {
            Some(PgType::Int2) => i64::from(i16::MAX),
            Some(PgType::Int4) => i64::from(i32::MAX),
            _ => i64::MAX,
        };
        let Numbered { path, relation, attnum, type_oid } = column;
        let oid = ids.take(stable_oid(ObjectClass::Sequence, &path));
        Some(SequenceObject { oid, name, relation, attnum, type_oid, max })
    });
    made.collect()
}

/// `table_column_seq`, the longer part cut first, and a number where the name is taken.
fn named(table: &str, column: &str, number: u16) -> String {
    let end = if number == 0 { "_seq".to_owned() } else { format!("_seq{number}") };
    let (mut table, mut column) = (table.to_owned(), column.to_owned());
    while table.len() + 1 + column.len() + end.len() > NAME_MAX {
        let longer = if table.len() > column.len() { &mut table } else { &mut column };
        longer.pop();
    }
    format!("{table}_{column}{end}")
}
