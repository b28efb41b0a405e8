//! Which table, column and constraint a source's refusal of a change is about, as its reader's `pg_catalog` names them. What the reader
//! does not see has no name.

use crate::catalog::PrincipalCatalog;
use crate::principal::VisibleObject;
use crate::remote::DriverTable;
use querygate_driver_api::identifier::Identifier;
use querygate_driver_api::remote::RemoteTable;
use querygate_pg_catalog::image::Relation;
use querygate_types::{Error, ErrorCode, SourceRule};
use std::collections::BTreeSet;

impl PrincipalCatalog {
    /// The error with names that its reader may know; as it is where it is about no rule of a source, or of a table that the reader does not
    /// see.
    pub async fn with_rule_names(&self, error: Error) -> Error {
        let Some(rule) = error.source_rule() else { return error };
        let Some((visible, table)) = self.ruled(rule) else { return error };
        let name = &visible.sql_name;
        if error.code() == ErrorCode::SourceError {
            let told = error.detail().is_some();
            return if told { error } else { error.with_detail(format!("It is table \"{name}\" there.")) };
        }
        let Ok(described) = table.described().await else { return error.with_relation(name) };
        let columns = columns(rule, &described);
        let fields = fields(&columns, table, visible);
        let schemas = self.pg_catalog().image().schemas.iter().filter(|schema| schema.name == "public");
        let relation = schemas.flat_map(|schema| &schema.relations).find(|relation| relation.name == *name);
        let constraint = relation.zip(fields.as_deref()).map(|(relation, fields)| Constraint { relation, fields });
        let named = match (error.code(), constraint) {
            (ErrorCode::UniqueViolation, Some(own)) => own.unique().map(|constraint| {
                let text = format!("duplicate key value violates unique constraint \"{constraint}\"");
                error.clone().with_message(text).with_constraint(constraint)
            }),
            (ErrorCode::ForeignKeyViolation, Some(own)) => own.foreign_key().map(|(constraint, other)| {
                let text = if rule.is_referred_to {
                    format!("update or delete on table \"{other}\" violates foreign key constraint \"{constraint}\" on table \"{name}\"")
                } else {
                    format!("insert or update on table \"{name}\" violates foreign key constraint \"{constraint}\"")
                };
                error.clone().with_message(text).with_constraint(constraint)
            }),
            (ErrorCode::NotNullViolation, Some(Constraint { fields: [field], .. })) => {
                let text = format!("null value in column \"{field}\" of relation \"{name}\" violates not-null constraint");
                Some(error.clone().with_message(text).with_field(field))
            }
            // The gate knows no check of a source. Its name may be made of any column's.
            (ErrorCode::CheckViolation, _) if visible.decision.hidden_fields().is_empty() => {
                rule.constraint.as_ref().map(|constraint| {
                    let text = format!("new row for relation \"{name}\" violates check constraint \"{constraint}\"");
                    error.clone().with_message(text).with_constraint(constraint)
                })
            }
            _ => None,
        };
        named.unwrap_or(error).with_relation(name)
    }

    /// The one object whose table the rule is of, if the reader sees it. Of several tables of one name it may be any, also one that the
    /// reader does not see.
    fn ruled(&self, rule: &SourceRule) -> Option<(&VisibleObject, &DriverTable)> {
        let wanted = rule.table.as_ref()?;
        let all = self.remotes().tables().iter();
        let mut found = all.filter(|(_, table)| table.table().name().eq_ignore_ascii_case(wanted));
        let (object, table) = found.next().filter(|_| found.next().is_none())?;
        Some((self.objects().iter().find(|visible| visible.object.name == *object)?, table))
    }
}

/// Columns of the rule in the source, which may say its name alone.
fn columns(rule: &SourceRule, described: &RemoteTable) -> Vec<String> {
    let texts = |names: &[Identifier]| names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
    let Some(constraint) = rule.constraint.as_ref().filter(|_| rule.columns.is_empty()) else {
        return rule.columns.clone();
    };
    if constraint == "PRIMARY" {
        return texts(&described.primary_key);
    }
    let index = described.indexes.iter().find(|index| index.plain && index.name == *constraint);
    let foreign = || described.foreign_keys.iter().find(|key| key.name.as_ref() == Some(constraint));
    let columns = index.map(|index| &index.columns).or_else(|| foreign().map(|key| &key.columns));
    columns.map(|columns| texts(columns)).unwrap_or_default()
}

/// Fields of these columns, if the reader sees all of them and there are some.
fn fields(columns: &[String], table: &DriverTable, visible: &VisibleObject) -> Option<Vec<String>> {
    let field = |column: &String| {
        let own = table.fields().iter().find(|own| own.column.name.as_str() == column)?;
        visible.fields().find(|field| field.name == own.field).map(|field| field.name.clone())
    };
    columns.iter().map(field).collect::<Option<Vec<_>>>().filter(|fields| !fields.is_empty())
}

/// What a rule over some fields is in `pg_catalog`.
struct Constraint<'a> {
    relation: &'a Relation,
    fields: &'a [String],
}

impl Constraint<'_> {
    fn is_over<'c>(&self, columns: impl Iterator<Item = &'c String>) -> bool {
        columns.collect::<BTreeSet<_>>() == self.fields.iter().collect()
    }

    fn unique(&self) -> Option<String> {
        let table = &self.relation.name;
        let primary = self.relation.primary_key.iter().map(|key| (key, true));
        let mut keys = primary.chain(self.relation.unique.iter().map(|key| (key, false)));
        let key = keys.find(|(key, _)| self.is_over(key.columns.iter()));
        let mut indexes = self.relation.indexes.iter().filter(|index| index.unique);
        let mut index = || indexes.find(|index| self.is_over(index.columns.iter().map(|column| &column.name)));
        key.map(|(key, is_primary)| key.shown_name(table, is_primary))
            .or_else(|| index().map(|index| index.name.clone()))
    }

    /// With the table that it references.
    fn foreign_key(&self) -> Option<(String, &str)> {
        let key = self.relation.foreign_keys.iter().find(|key| self.is_over(key.columns.iter()))?;
        Some((key.shown_name(&self.relation.name), key.references.1.as_str()))
    }
}
