//! ON CONFLICT as it is written: the key that may be taken, and what becomes of the row that has it. Decides nothing.

use crate::write::intent::{WriteIntent, field_named, folded, unsupported};
use datafusion::sql::sqlparser::ast::{
    ConflictTarget, Ident, ObjectName, ObjectNamePart, OnConflictAction, OnInsert, SelectItem,
};
use querygate_catalog::{PrincipalCatalog, VisibleObject};
use querygate_pg_catalog::image::Relation;
use querygate_types::{Error, ErrorCode, Result};

/// What becomes of a new row whose key is taken.
#[derive(Debug)]
pub(crate) enum OnConflict {
    /// It is left out. Fields of the key; `None`: whichever key it is.
    Skip(Option<Vec<String>>),
    /// The row that is there is changed.
    Update { key: Vec<String>, update: Box<WriteIntent> },
}

impl OnConflict {
    /// # Errors
    /// 42703, 42704: a column or key that the principal does not see. 42601: DO UPDATE without a key. 0A000: another dialect's.
    pub(in crate::write) fn of(
        on: &OnInsert,
        object: &VisibleObject,
        name: &Ident,
        catalog: &PrincipalCatalog,
        returning: Option<&[SelectItem]>,
    ) -> Result<Self> {
        let OnInsert::OnConflict(on) = on else { return Err(unsupported("ON DUPLICATE KEY UPDATE")) };
        let key = match &on.conflict_target {
            None => None,
            Some(ConflictTarget::Columns(columns)) => {
                let field =
                    |column: &Ident| field_named(object, &ObjectName(vec![ObjectNamePart::Identifier(column.clone())]));
                Some(columns.iter().map(field).collect::<Result<Vec<_>>>()?)
            }
            Some(ConflictTarget::OnConstraint(constraint)) => Some(key_named(constraint, object, catalog)?),
        };
        match (&on.action, key) {
            (OnConflictAction::DoNothing, key) => Ok(Self::Skip(key)),
            (OnConflictAction::DoUpdate(_), None) => {
                let text = "ON CONFLICT DO UPDATE requires inference specification or constraint name";
                Err(Error::new(ErrorCode::SyntaxError, text).with_hint("For example, ON CONFLICT (column_name)."))
            }
            (OnConflictAction::DoUpdate(update), Some(key)) => {
                if folded(name) == EXCLUDED {
                    return Err(unsupported("a table that is called \"excluded\""));
                }
                let returning = returning.map(<[SelectItem]>::to_vec);
                let update = WriteIntent::of_conflict(
                    object.clone(),
                    name.clone(),
                    &update.assignments,
                    update.selection.clone(),
                    returning,
                )?;
                Ok(Self::Update { key, update: Box::new(update) })
            }
        }
    }

    /// Fields of the key that may be taken; `None`: any of the table's.
    pub(crate) fn key(&self) -> Option<&[String]> {
        match self {
            Self::Skip(key) => key.as_deref(),
            Self::Update { key, .. } => Some(key),
        }
    }
}

/// What a new row is called beside the one that is there.
pub(in crate::write) const EXCLUDED: &str = "excluded";

/// The columns of a key, by the name that `pg_catalog` shows.
fn key_named(name: &ObjectName, object: &VisibleObject, catalog: &PrincipalCatalog) -> Result<Vec<String>> {
    let table = &object.sql_name;
    let shown = match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => folded(name),
        _ => name.to_string(),
    };
    let schemas = catalog.pg_catalog().image().schemas.iter().filter(|schema| schema.name == "public");
    let relation = schemas.flat_map(|schema| &schema.relations).find(|relation| relation.name == *table);
    let named = |relation: &Relation| {
        let primary = relation.primary_key.iter().map(|key| (key, true));
        let mut keys = primary.chain(relation.unique.iter().map(|key| (key, false)));
        keys.find(|(key, is_primary)| key.shown_name(table, *is_primary) == shown).map(|(key, _)| key.columns.clone())
    };
    let unknown = || {
        let text = format!("constraint \"{shown}\" for table \"{table}\" does not exist");
        Error::new(ErrorCode::UndefinedObject, text)
    };
    let columns = relation.and_then(named).ok_or_else(unknown)?;
    let seen = |column: &String| object.table.columns().iter().any(|own| own.field.name() == column);
    if columns.iter().all(seen) { Ok(columns) } else { Err(unknown()) }
}
