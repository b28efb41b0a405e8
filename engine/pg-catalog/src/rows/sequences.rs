//! `pg_sequence` and `pg_sequences`: those of identity columns. What a source counts by is its own: they are shown as PostgreSQL makes
//! them where nothing else is said, without where they stand.

use super::Fill;
use crate::cell::Cell;
use crate::layout::Rows;
use crate::objects::Objects;
use crate::session::SessionVars;
use querygate_types::Result;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_sequence" => sequence,
        "pg_sequences" => sequences,
        _ => return None,
    })
}

fn sequence(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for own in &objects.sequences {
        rows.push(vec![
            ("seqrelid", own.oid.into()),
            ("seqtypid", own.type_oid.into()),
            ("seqstart", Cell::Int(1)),
            ("seqincrement", Cell::Int(1)),
            ("seqmax", Cell::Int(own.max)),
            ("seqmin", Cell::Int(1)),
            ("seqcache", Cell::Int(1)),
            ("seqcycle", false.into()),
        ])?;
    }
    Ok(())
}

fn sequences(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for own in &objects.sequences {
        let Some(table) = objects.relation_at(own.relation) else { continue };
        rows.push(vec![
            ("schemaname", (&table.schema).into()),
            ("sequencename", (&own.name).into()),
            ("sequenceowner", (&objects.image.owner).into()),
            ("data_type", own.type_oid.into()),
            ("start_value", Cell::Int(1)),
            ("min_value", Cell::Int(1)),
            ("max_value", Cell::Int(own.max)),
            ("increment_by", Cell::Int(1)),
            ("cycle", false.into()),
            ("cache_size", Cell::Int(1)),
            ("last_value", Cell::Null),
        ])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::build;
    use super::*;
    use crate::image::{CatalogImage, Column, Generation, Relation, RelationKind, Schema};
    use querygate_types::PgType;

    fn image() -> CatalogImage {
        let key = |pg_type, generation| Column { generation, ..Column::new("id", pg_type) };
        let table = |name: &str, column| Relation {
            columns: vec![column],
            name: name.to_owned(),
            kind: RelationKind::Table,
            ..Relation::default()
        };
        let relations = vec![
            table("t", key(PgType::Int4, Generation::IdentityByDefault)),
            table("plain", key(PgType::Int8, Generation::None)),
            // The name that the first one's sequence would have.
            table("t_id_seq", key(PgType::Int8, Generation::IdentityAlways)),
        ];
        let schema = Schema { name: "public".to_owned(), relations, ..Schema::default() };
        CatalogImage { schemas: vec![schema], ..CatalogImage::default() }
    }

    #[test]
    fn an_identity_column_has_a_sequence_of_its_own_name() {
        let objects = Objects::new(image(), |_, _| false);
        let told: Vec<(&str, i64)> = objects.sequences.iter().map(|own| (own.name.as_str(), own.max)).collect();
        assert_eq!(told, [("t_id_seq1", i64::from(i32::MAX)), ("t_id_seq_id_seq", i64::MAX)]);
        for name in ["pg_sequence", "pg_sequences"] {
            let rows = build(&objects, &SessionVars::default(), "pg_catalog", name).unwrap().unwrap();
            assert_eq!(rows.num_rows(), 2, "{name}");
        }
    }
}
