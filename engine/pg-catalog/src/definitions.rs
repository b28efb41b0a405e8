//! Texts of indexes and constraints as `pg_get_indexdef` and `pg_get_constraintdef` print them. Knows no Arrow.

use super::objects::{ConstraintObject, IndexObject, Objects, RelationObject};
use super::quote::quote_ident;
use querygate_types::ReferentialAction;

/// A relation's name, qualified unless the path finds it.
pub(crate) fn relation_name(objects: &Objects, relation: &RelationObject, path: &[&str]) -> String {
    let found = path.iter().find_map(|schema| objects.relation_in(schema, &relation.name));
    if found.is_some_and(|r| r.oid == relation.oid) {
        quote_ident(&relation.name)
    } else {
        qualified(&relation.schema, &relation.name)
    }
}

pub(crate) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quote_ident(schema), quote_ident(name))
}

fn column_names(relation: &RelationObject, numbers: &[i16]) -> String {
    let names = numbers.iter().filter_map(|n| relation.column(*n)).map(|c| quote_ident(&c.name));
    names.collect::<Vec<_>>().join(", ")
}

/// `pg_get_indexdef(index, column, pretty)`; column 0 gives the whole statement.
pub(crate) fn index_definition(
    objects: &Objects,
    index: &IndexObject,
    column: i64,
    pretty: bool,
    path: &[&str],
) -> Option<String> {
    let relation = objects.relation_at(index.relation)?;
    if column > 0 {
        let (number, _) = index.columns.get(usize::try_from(column - 1).ok()?)?;
        return relation.column(*number).map(|c| quote_ident(&c.name));
    }
    let on = if pretty { relation_name(objects, relation, path) } else { qualified(&relation.schema, &relation.name) };
    let columns = index.columns.iter().filter_map(|(number, descending)| {
        let name = quote_ident(&relation.column(*number)?.name);
        Some(if *descending { format!("{name} DESC") } else { name })
    });
    let unique = if index.unique { "UNIQUE " } else { "" };
    let columns = columns.collect::<Vec<_>>().join(", ");
    Some(format!("CREATE {unique}INDEX {} ON {on} USING btree ({columns})", quote_ident(&index.name)))
}

/// `pg_get_constraintdef(constraint, pretty)`.
pub(crate) fn constraint_definition(
    objects: &Objects,
    constraint: &ConstraintObject,
    pretty: bool,
    path: &[&str],
) -> Option<String> {
    let relation = objects.relation_at(constraint.relation)?;
    let columns = column_names(relation, &constraint.columns);
    Some(match constraint.kind {
        'p' => format!("PRIMARY KEY ({columns})"),
        'u' => format!("UNIQUE ({columns})"),
        'f' => {
            let (other, numbers) = constraint.referenced.as_ref()?;
            let other = objects.relation_at(*other)?;
            let target = relation_name(objects, other, path);
            let mut text = format!("FOREIGN KEY ({columns}) REFERENCES {target}({})", column_names(other, numbers));
            text.push_str(&action(" ON UPDATE ", constraint.on_update));
            text.push_str(&action(" ON DELETE ", constraint.on_delete));
            text
        }
        _ if pretty => format!("CHECK ({})", constraint.expression.as_ref()?),
        _ => format!("CHECK (({}))", constraint.expression.as_ref()?),
    })
}

fn action(prefix: &str, action: ReferentialAction) -> String {
    match action {
        ReferentialAction::NoAction => String::new(),
        other => format!("{prefix}{}", other.words()),
    }
}
