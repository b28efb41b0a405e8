//! What a statement wants to change: one object, the fields that it gives values to, where the rows come from. Decides nothing.

pub(crate) mod assignments;
pub(crate) mod forms;

use self::forms::{plain_delete, plain_insert, plain_truncate, plain_update, target_name};
use crate::dialect::near_column;
use crate::write::forms::conflict::intent::OnConflict;
use crate::write::forms::merge::intent::MergeIntent;
use crate::write::forms::record::GivenRecord;
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr, Ident, Insert, ObjectName, ObjectNamePart, Query, SelectItem, SetExpr,
    Statement as Ast, TableObject, TableWithJoins, Truncate, Update,
};
use querygate_catalog::deployment::ViewDefinition;
use querygate_catalog::{PrincipalCatalog, VisibleObject};
use querygate_policy::write::WriteOperation;
use querygate_types::{Error, ErrorCode, Result};

/// A statement whose table and columns are those of its principal's catalog.
#[derive(Debug)]
pub(crate) struct WriteIntent {
    operation: WriteOperation,
    object: VisibleObject,
    rows: RowSource,
    on_conflict: Option<OnConflict>,
    returning: Option<Vec<SelectItem>>,
    /// All rows of the table, or none.
    truncates: bool,
}

/// Where the rows of a change come from.
#[derive(Debug)]
pub(crate) enum RowSource {
    /// The table's own rows that meet a condition, with a new value for each of the fields. `name`: as the statement calls the
    /// table. `from`: what is read beside it.
    Found { name: Ident, from: Vec<TableWithJoins>, selection: Option<Box<Expr>>, values: Vec<(String, Expr)> },
    /// New rows: a query's, whose columns are for these fields. `None`: one row of defaults. `name`: what the statement calls the
    /// table.
    Given { name: Ident, fields: Vec<String>, named: bool, query: Option<Box<Query>> },
    /// Rows of another table beside those of the table that match, each for a clause.
    Merged(Box<MergeIntent>),
    /// One record by its values: no query finds it.
    Record { name: Ident, record: Box<GivenRecord> },
    /// New rows that come while they are stored, with a value for each of these fields. Not `named`: the fields are all of the
    /// table's.
    Streamed { name: Ident, fields: Vec<String>, named: bool },
}

impl WriteIntent {
    /// # Errors
    /// 42P01, 42703: a name that this principal does not see. 55000: a view. 0A000: a form that is not on the list.
    pub(crate) fn of(ast: &Ast, catalog: &PrincipalCatalog) -> Result<Self> {
        match ast {
            Ast::Insert(insert) => Self::insert(insert, catalog),
            Ast::Update(update) => Self::update(update, catalog),
            Ast::Delete(delete) => Self::delete(delete, catalog),
            Ast::Truncate(truncate) => Self::truncate(truncate, catalog),
            Ast::Merge(merge) => {
                let (object, merge) = MergeIntent::of(merge, catalog)?;
                Ok(Self::plain(merge.operation(), object, RowSource::Merged(Box::new(merge)), None))
            }
            _ => Err(Error::internal("a statement that changes nothing was taken for a change")),
        }
    }

    /// A change of one record.
    pub(crate) fn of_record(object: VisibleObject, operation: WriteOperation, record: GivenRecord) -> Self {
        let rows = RowSource::Record { name: quoted(&object.sql_name), record: Box::new(record) };
        Self::plain(operation, object, rows, None)
    }

    /// The record that it is about; `None`: rows that a query gives.
    pub(crate) fn record(&self) -> Option<&GivenRecord> {
        match &self.rows {
            RowSource::Record { record, .. } => Some(record),
            RowSource::Found { .. } | RowSource::Given { .. } | RowSource::Merged(_) | RowSource::Streamed { .. } => {
                None
            }
        }
    }

    /// New rows that come one batch after the other.
    ///
    /// # Errors
    /// 42P01, 42703: a name that this principal does not see. 55000: a view. 42601: a column twice.
    pub(crate) fn ingest(table: &ObjectName, columns: &[Ident], catalog: &PrincipalCatalog) -> Result<Self> {
        let object = object_named(table, "copy to", catalog)?;
        let named = !columns.is_empty();
        let fields = if named {
            let field = |column: &Ident| field_named(&object, &ObjectName::from(vec![column.clone()]));
            columns.iter().map(field).collect::<Result<Vec<_>>>()?
        } else {
            object.table.columns().iter().map(|column| column.field.name().clone()).collect()
        };
        refuse_named_twice(&fields)?;
        let rows = RowSource::Streamed { name: quoted(&object.sql_name), fields, named };
        Ok(Self::plain(WriteOperation::Insert, object, rows, None))
    }

    pub(crate) fn operation(&self) -> WriteOperation {
        self.operation
    }

    pub(crate) fn object(&self) -> &VisibleObject {
        &self.object
    }

    pub(crate) fn rows(&self) -> &RowSource {
        &self.rows
    }

    /// What becomes of new rows whose key is taken.
    pub(crate) fn on_conflict(&self) -> Option<&OnConflict> {
        self.on_conflict.as_ref()
    }

    /// An update of rows that an insert finds to be there already.
    pub(super) fn of_conflict(
        object: VisibleObject,
        name: Ident,
        assignments: &[Assignment],
        selection: Option<Expr>,
        returning: Option<Vec<SelectItem>>,
    ) -> Result<Self> {
        let values = assigned(&object, assignments)?;
        let rows = RowSource::Found { name, from: Vec::new(), selection: selection.map(Box::new), values };
        Ok(Self::plain(WriteOperation::Update, object, rows, returning))
    }

    /// One clause of a MERGE by itself, whose rows the whole statement finds.
    pub(super) fn of_arm(object: VisibleObject, name: Ident, operation: WriteOperation) -> Self {
        let rows = match operation {
            WriteOperation::Insert => RowSource::Given { name, fields: Vec::new(), named: true, query: None },
            WriteOperation::Update | WriteOperation::Delete => {
                RowSource::Found { name, from: Vec::new(), selection: None, values: Vec::new() }
            }
        };
        Self::plain(operation, object, rows, None)
    }

    fn plain(
        operation: WriteOperation,
        object: VisibleObject,
        rows: RowSource,
        returning: Option<Vec<SelectItem>>,
    ) -> Self {
        Self { operation, object, rows, on_conflict: None, returning, truncates: false }
    }

    /// Whether it is all rows or none.
    pub(crate) fn truncates(&self) -> bool {
        self.truncates
    }

    /// The command tag of a change of this number of rows, and its words without the number.
    pub(crate) fn tag(&self, count: usize) -> (&'static str, String) {
        match (&self.rows, self.operation) {
            (RowSource::Merged(_), _) => ("MERGE", format!("MERGE {count}")),
            (RowSource::Streamed { .. }, _) => ("COPY", format!("COPY {count}")),
            (_, WriteOperation::Delete) if self.truncates => ("TRUNCATE TABLE", "TRUNCATE TABLE".to_owned()),
            (_, WriteOperation::Insert) => ("INSERT 0", format!("INSERT 0 {count}")),
            (_, WriteOperation::Update) => ("UPDATE", format!("UPDATE {count}")),
            (_, WriteOperation::Delete) => ("DELETE", format!("DELETE {count}")),
        }
    }

    /// The update of DO UPDATE, which is decided by itself.
    pub(super) fn take_update(&mut self) -> Option<Self> {
        match self.on_conflict.take()? {
            OnConflict::Skip(_) => None,
            OnConflict::Update { update, .. } => Some(*update),
        }
    }

    /// Of a MERGE, the change of each clause by itself.
    pub(super) fn arms(&self) -> Vec<Self> {
        match &self.rows {
            RowSource::Merged(merge) => merge.changes(&self.object),
            RowSource::Found { .. }
            | RowSource::Given { .. }
            | RowSource::Record { .. }
            | RowSource::Streamed { .. } => Vec::new(),
        }
    }

    /// What the statement calls the table.
    pub(crate) fn name(&self) -> &Ident {
        match &self.rows {
            RowSource::Found { name, .. }
            | RowSource::Given { name, .. }
            | RowSource::Record { name, .. }
            | RowSource::Streamed { name, .. } => name,
            RowSource::Merged(merge) => merge.name(),
        }
    }

    /// Whether rows of other tables are read beside those that change.
    pub(crate) fn reads_others(&self) -> bool {
        match &self.rows {
            RowSource::Found { from, .. } => !from.is_empty(),
            RowSource::Given { .. } | RowSource::Record { .. } | RowSource::Streamed { .. } => false,
            RowSource::Merged(_) => true,
        }
    }

    pub(crate) fn returning(&self) -> Option<&[SelectItem]> {
        self.returning.as_deref()
    }

    fn insert(insert: &Insert, catalog: &PrincipalCatalog) -> Result<Self> {
        plain_insert(insert)?;
        let TableObject::TableName(name) = &insert.table else { return Err(unsupported("this target of INSERT")) };
        let object = object_named(name, "insert into", catalog)?;
        let named = !insert.columns.is_empty();
        let fields = if named {
            let mut fields = Vec::with_capacity(insert.columns.len());
            for column in &insert.columns {
                fields.push(field_named(&object, column)?);
            }
            refuse_named_twice(&fields)?;
            fields
        } else {
            object.table.columns().iter().map(|column| column.field.name().clone()).collect()
        };
        let name = insert.table_alias.as_ref().map_or_else(|| quoted(&object.sql_name), |alias| alias.alias.clone());
        let on_conflict = match &insert.on {
            Some(on) => Some(OnConflict::of(on, &object, &name, catalog, insert.returning.as_deref())?),
            None => None,
        };
        let query = insert.source.clone();
        let rows = match &query {
            None => RowSource::Given { name, fields: Vec::new(), named: true, query: None },
            Some(_) => RowSource::Given { name, fields, named, query },
        };
        let own = Self::plain(WriteOperation::Insert, object, rows, insert.returning.clone());
        Ok(Self { on_conflict, ..own })
    }

    fn update(update: &Update, catalog: &PrincipalCatalog) -> Result<Self> {
        let from = plain_update(update)?;
        let (object, name) = target(&update.table, "update", catalog)?;
        let values = assigned(&object, &update.assignments)?;
        let rows = RowSource::Found { name, from, selection: update.selection.clone().map(Box::new), values };
        let returning = update.returning.clone();
        Ok(Self::plain(WriteOperation::Update, object, rows, returning))
    }

    fn delete(delete: &Delete, catalog: &PrincipalCatalog) -> Result<Self> {
        let (table, using) = plain_delete(delete)?;
        let (object, name) = target(table, "delete from", catalog)?;
        let rows = RowSource::Found {
            name,
            from: using.to_vec(),
            selection: delete.selection.clone().map(Box::new),
            values: Vec::new(),
        };
        let returning = delete.returning.clone();
        Ok(Self::plain(WriteOperation::Delete, object, rows, returning))
    }

    fn truncate(truncate: &Truncate, catalog: &PrincipalCatalog) -> Result<Self> {
        let object = object_named(plain_truncate(truncate)?, "truncate", catalog)?;
        let name = quoted(&object.sql_name);
        let rows = RowSource::Found { name, from: Vec::new(), selection: None, values: Vec::new() };
        Ok(Self { truncates: true, ..Self::plain(WriteOperation::Delete, object, rows, None) })
    }
}

/// The object that is changed, and what the statement calls it. `verb`: what the statement does to it.
pub(super) fn target(table: &TableWithJoins, verb: &str, catalog: &PrincipalCatalog) -> Result<(VisibleObject, Ident)> {
    let (name, called) = target_name(table)?;
    let object = object_named(name, verb, catalog)?;
    let called = called.cloned().unwrap_or_else(|| quoted(&object.sql_name));
    Ok((object, called))
}

/// The table whose rows a query locks, and what the query calls it.
///
/// # Errors
/// 42P01: no such table. 0A000, 55000: it is none.
pub(crate) fn locked_table(table: &TableWithJoins, catalog: &PrincipalCatalog) -> Result<(VisibleObject, Ident)> {
    target(table, "lock rows of", catalog)
}

/// The fields that get values, each once.
pub(super) fn assigned(object: &VisibleObject, assignments: &[Assignment]) -> Result<Vec<(String, Expr)>> {
    let mut values = Vec::new();
    for assignment in assignments {
        match (&assignment.target, &assignment.value) {
            (AssignmentTarget::ColumnName(column), value) => values.push((field_named(object, column)?, value.clone())),
            (AssignmentTarget::Tuple(columns), value) => {
                for (column, expr) in columns.iter().zip(assignments::each(value, columns.len())?) {
                    values.push((field_named(object, column)?, expr));
                }
            }
        }
    }
    values.iter().try_for_each(|(_, value)| assignments::refuse_windows(value))?;
    let fields: Vec<String> = values.iter().map(|(field, _)| field.clone()).collect();
    refuse_twice(&fields)?;
    Ok(values)
}

pub(crate) fn refuse_twice(fields: &[String]) -> Result<()> {
    for (place, field) in fields.iter().enumerate() {
        if fields.iter().take(place).any(|before| before == field) {
            let text = format!("multiple assignments to same column \"{field}\"");
            return Err(Error::new(ErrorCode::SyntaxError, text));
        }
    }
    Ok(())
}

/// Refuses a column that a list of columns names twice.
///
/// # Errors
/// 42701.
pub(crate) fn refuse_named_twice(fields: &[String]) -> Result<()> {
    match fields.iter().enumerate().find(|(place, field)| fields.iter().take(*place).any(|before| before == *field)) {
        Some((_, field)) => {
            let text = format!("column \"{field}\" specified more than once");
            Err(Error::new(ErrorCode::DuplicateColumn, text))
        }
        None => Ok(()),
    }
}

/// The object behind a name: bare, or of `public`.
fn object_named(name: &ObjectName, verb: &str, catalog: &PrincipalCatalog) -> Result<VisibleObject> {
    let words = words(name)?;
    let shown = words.join(".");
    let unknown = || Error::new(ErrorCode::UndefinedTable, format!("relation \"{shown}\" does not exist"));
    let table = match words.as_slice() {
        [table] => table,
        [schema, table] if schema == "public" => table,
        [schema, view] if is_view(schema, view, catalog) => return Err(no_table(verb, &shown)),
        [database, schema, table] => {
            if *database != catalog.deployment().database {
                return Err(of_another_database(&[database, schema, table]));
            }
            if is_view(schema, table, catalog) && schema != "public" {
                return Err(no_table(verb, &shown));
            }
            if schema != "public" {
                return Err(unknown().with_hint("Only tables of the schema public can be changed."));
            }
            table
        }
        _ => return Err(unknown().with_hint("Only tables of the schema public can be changed.")),
    };
    let object = catalog.objects().iter().find(|object| object.sql_name == *table);
    object.cloned().ok_or_else(|| if is_view("public", table, catalog) { no_table(verb, &shown) } else { unknown() })
}

/// Whether it is a view of the configuration that the principal sees: one over something hidden is hidden, too.
pub(crate) fn is_view(schema: &str, name: &str, catalog: &PrincipalCatalog) -> bool {
    let is_meant = |view: &ViewDefinition| view.schema == schema && view.name == name;
    catalog.deployment().views.iter().any(is_meant) && catalog.pg_catalog().relation_oid(schema, name).is_some()
}

/// PostgreSQL's words of a view that is not changed.
fn no_table(verb: &str, view: &str) -> Error {
    let error = Error::new(ErrorCode::ObjectNotInPrerequisiteState, format!("cannot {verb} view \"{view}\""));
    error.with_hint("A view of the gate's configuration has no rows of its own. Name the table that it reads.")
}

/// A name of a table of another database.
pub(crate) fn of_another_database(words: &[&str]) -> Error {
    let text = format!("cross-database references are not implemented: \"{}\"", words.join("."));
    Error::new(ErrorCode::FeatureNotSupported, text)
}

/// A column that the principal sees.
pub(super) fn field_named(object: &VisibleObject, name: &ObjectName) -> Result<String> {
    let words = words(name)?;
    let shown = words.join(".");
    let seen = || object.table.columns().iter().map(|column| column.field.name().as_str());
    match words.as_slice() {
        [word] if seen().any(|column| column == word) => Ok(word.clone()),
        _ => {
            let text = format!("column \"{shown}\" of relation \"{}\" does not exist", object.sql_name);
            let error = Error::new(ErrorCode::UndefinedColumn, text);
            Err(match near_column(&shown, seen()) {
                Some(near) => error.with_hint(format!("Perhaps you meant to reference the column \"{near}\".")),
                None => error,
            })
        }
    }
}

/// The parts of a name as PostgreSQL reads them.
pub(crate) fn words(name: &ObjectName) -> Result<Vec<String>> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(ident) if ident.quote_style == Some('\'') => {
            Err(Error::new(ErrorCode::SyntaxError, "a text in quotes is no name"))
        }
        ObjectNamePart::Identifier(ident) => Ok(folded(ident)),
        ObjectNamePart::Function(_) => Err(unsupported("a function as a name")),
    };
    name.0.iter().map(part).collect()
}

/// In small letters unless it is quoted.
pub(crate) fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_none() { ident.value.to_lowercase() } else { ident.value.clone() }
}

pub(crate) fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// Whether a query's rows are the cells of `VALUES`, which are read as their columns, behind WITH too. In an order, or with a limit, they
/// have types of their own.
pub(crate) fn are_cells(query: &Query) -> bool {
    let is_sorted = query.order_by.is_some() || query.limit_clause.is_some() || query.fetch.is_some();
    matches!(query.body.as_ref(), SetExpr::Values(_)) && !is_sorted
}

/// Those cells.
pub(crate) fn cells(query: &mut Query) -> Option<&mut datafusion::sql::sqlparser::ast::Values> {
    if !are_cells(query) {
        return None;
    }
    match query.body.as_mut() {
        SetExpr::Values(values) => Some(values),
        _ => None,
    }
}

pub(crate) fn unsupported(what: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, format!("{what} is not supported"))
}

#[cfg(test)]
mod tests;
