//! What a statement wants to change: one object, the fields that it gives values to, where the rows come from. Decides nothing.

use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr, FromTable, Ident, Insert, ObjectName, ObjectNamePart, Query,
    SelectItem, SetExpr, Statement as Ast, TableFactor, TableObject, TableWithJoins, Update,
};
use querygate_catalog::{PrincipalCatalog, VisibleObject};
use querygate_policy::WriteOperation;
use querygate_types::{Error, ErrorCode, Result};

/// A statement whose table and columns are those of its principal's catalog.
#[derive(Debug)]
pub(crate) struct WriteIntent {
    operation: WriteOperation,
    object: VisibleObject,
    rows: RowSource,
    returning: Option<Vec<SelectItem>>,
}

/// Where the rows of a change come from.
#[derive(Debug)]
pub(crate) enum RowSource {
    /// The table's own rows that meet a condition, with a new value for each of the fields. `name`: as the statement calls the
    /// table.
    Found { name: Ident, selection: Option<Expr>, values: Vec<(String, Expr)> },
    /// New rows: a query's, whose columns are for these fields. `None`: one row of defaults.
    Given { fields: Vec<String>, named: bool, query: Option<Box<Query>> },
}

impl WriteIntent {
    /// # Errors
    /// 42P01, 42703: a name that this principal does not see. 0A000: a form that is not on the list.
    pub(crate) fn of(ast: &Ast, catalog: &PrincipalCatalog) -> Result<Self> {
        match ast {
            Ast::Insert(insert) => Self::insert(insert, catalog),
            Ast::Update(update) => Self::update(update, catalog),
            Ast::Delete(delete) => Self::delete(delete, catalog),
            _ => Err(Error::internal("a statement that changes nothing was taken for a change")),
        }
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

    pub(crate) fn returning(&self) -> Option<&[SelectItem]> {
        self.returning.as_deref()
    }

    fn insert(insert: &Insert, catalog: &PrincipalCatalog) -> Result<Self> {
        let foreign = insert.or.is_some()
            || insert.ignore
            || insert.overwrite
            || insert.partitioned.is_some()
            || insert.output.is_some()
            || insert.replace_into
            || insert.priority.is_some()
            || insert.insert_alias.is_some()
            || insert.settings.is_some()
            || insert.format_clause.is_some()
            || insert.multi_table_insert_type.is_some()
            || insert.multi_table_else_clause.is_some()
            || insert.has_table_keyword
            || !insert.optimizer_hints.is_empty()
            || !insert.assignments.is_empty()
            || !insert.after_columns.is_empty()
            || !insert.multi_table_into_clauses.is_empty()
            || !insert.multi_table_when_clauses.is_empty();
        if foreign {
            return Err(unsupported("this form of INSERT"));
        }
        if insert.on.is_some() {
            return Err(unsupported("INSERT with ON CONFLICT"));
        }
        let TableObject::TableName(name) = &insert.table else { return Err(unsupported("this target of INSERT")) };
        let object = object_named(name, catalog)?;
        let named = !insert.columns.is_empty();
        let fields = if named {
            let mut fields = Vec::with_capacity(insert.columns.len());
            for column in &insert.columns {
                fields.push(field_named(&object, column)?);
            }
            fields
        } else {
            object.table.columns().iter().map(|column| column.field.name().clone()).collect()
        };
        refuse_twice(&fields)?;
        let query = insert.source.clone();
        let rows = match &query {
            None => RowSource::Given { fields: Vec::new(), named: true, query: None },
            Some(_) => RowSource::Given { fields, named, query },
        };
        Ok(Self { operation: WriteOperation::Insert, object, rows, returning: insert.returning.clone() })
    }

    fn update(update: &Update, catalog: &PrincipalCatalog) -> Result<Self> {
        let foreign = update.output.is_some()
            || update.or.is_some()
            || update.limit.is_some()
            || !update.order_by.is_empty()
            || !update.optimizer_hints.is_empty();
        if foreign {
            return Err(unsupported("this form of UPDATE"));
        }
        if update.from.is_some() {
            return Err(unsupported("UPDATE with FROM"));
        }
        let (object, name) = target(&update.table, catalog)?;
        let mut values = Vec::new();
        for assignment in &update.assignments {
            assigned(&object, assignment, &mut values)?;
        }
        let fields: Vec<String> = values.iter().map(|(field, _)| field.clone()).collect();
        refuse_twice(&fields)?;
        let rows = RowSource::Found { name, selection: update.selection.clone(), values };
        Ok(Self { operation: WriteOperation::Update, object, rows, returning: update.returning.clone() })
    }

    fn delete(delete: &Delete, catalog: &PrincipalCatalog) -> Result<Self> {
        let foreign = delete.output.is_some()
            || delete.limit.is_some()
            || !delete.tables.is_empty()
            || !delete.order_by.is_empty()
            || !delete.optimizer_hints.is_empty();
        if foreign {
            return Err(unsupported("this form of DELETE"));
        }
        if delete.using.is_some() {
            return Err(unsupported("DELETE with USING"));
        }
        let FromTable::WithFromKeyword(from) = &delete.from else { return Err(unsupported("DELETE without FROM")) };
        let [table] = from.as_slice() else { return Err(unsupported("DELETE of several tables")) };
        let (object, name) = target(table, catalog)?;
        let rows = RowSource::Found { name, selection: delete.selection.clone(), values: Vec::new() };
        Ok(Self { operation: WriteOperation::Delete, object, rows, returning: delete.returning.clone() })
    }
}

/// The object that is changed, and what the statement calls it.
fn target(table: &TableWithJoins, catalog: &PrincipalCatalog) -> Result<(VisibleObject, Ident)> {
    if !table.joins.is_empty() {
        return Err(unsupported("a join as the target of a change"));
    }
    let TableFactor::Table {
        name,
        alias,
        args: None,
        with_hints,
        version: None,
        with_ordinality: false,
        partitions,
        sample: None,
        ..
    } = &table.relation
    else {
        return Err(unsupported("this target of a change"));
    };
    if !with_hints.is_empty() || !partitions.is_empty() || alias.as_ref().is_some_and(|alias| !alias.columns.is_empty())
    {
        return Err(unsupported("this target of a change"));
    }
    let object = object_named(name, catalog)?;
    let called = match alias {
        Some(alias) => alias.name.clone(),
        None => quoted(&object.sql_name),
    };
    Ok((object, called))
}

/// The table whose rows a query locks, and what the query calls it.
///
/// # Errors
/// 42P01: no such table. 0A000: it is none.
pub(crate) fn locked_table(table: &TableWithJoins, catalog: &PrincipalCatalog) -> Result<(VisibleObject, Ident)> {
    target(table, catalog)
}

fn assigned(object: &VisibleObject, assignment: &Assignment, values: &mut Vec<(String, Expr)>) -> Result<()> {
    match (&assignment.target, &assignment.value) {
        (AssignmentTarget::ColumnName(column), value) => values.push((field_named(object, column)?, value.clone())),
        (AssignmentTarget::Tuple(columns), Expr::Tuple(exprs)) if columns.len() == exprs.len() => {
            for (column, expr) in columns.iter().zip(exprs) {
                values.push((field_named(object, column)?, expr.clone()));
            }
        }
        (AssignmentTarget::Tuple(_), _) => return Err(unsupported("this form of assignment")),
    }
    Ok(())
}

fn refuse_twice(fields: &[String]) -> Result<()> {
    for (place, field) in fields.iter().enumerate() {
        if fields.iter().take(place).any(|before| before == field) {
            let text = format!("multiple assignments to same column \"{field}\"");
            return Err(Error::new(ErrorCode::SyntaxError, text));
        }
    }
    Ok(())
}

/// The object behind a name: bare, or of `public`.
fn object_named(name: &ObjectName, catalog: &PrincipalCatalog) -> Result<VisibleObject> {
    let words = words(name)?;
    let shown = words.join(".");
    let unknown = || Error::new(ErrorCode::UndefinedTable, format!("relation \"{shown}\" does not exist"));
    let table = match words.as_slice() {
        [table] => table,
        [schema, table] if schema == "public" => table,
        [database, schema, table] if schema == "public" && *database == catalog.deployment().database => table,
        _ => return Err(unknown().with_hint("Only tables of the schema public can be changed.")),
    };
    catalog.objects().iter().find(|object| object.sql_name == *table).cloned().ok_or_else(unknown)
}

/// A column that the principal sees.
fn field_named(object: &VisibleObject, name: &ObjectName) -> Result<String> {
    let words = words(name)?;
    let shown = words.join(".");
    let known = |word: &String| object.table.columns().iter().any(|column| column.field.name() == word);
    match words.as_slice() {
        [word] if known(word) => Ok(word.clone()),
        _ => {
            let text = format!("column \"{shown}\" of relation \"{}\" does not exist", object.sql_name);
            Err(Error::new(ErrorCode::UndefinedColumn, text))
        }
    }
}

/// The parts of a name as PostgreSQL reads them.
fn words(name: &ObjectName) -> Result<Vec<String>> {
    let part = |part: &ObjectNamePart| match part {
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

/// The rows of `VALUES`, if a query is nothing else.
pub(crate) fn plain_values(query: &mut Query) -> Option<&mut datafusion::sql::sqlparser::ast::Values> {
    let is_bare =
        query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    match query.body.as_mut() {
        SetExpr::Values(values) if is_bare => Some(values),
        _ => None,
    }
}

pub(crate) fn unsupported(what: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, format!("{what} is not supported"))
}
