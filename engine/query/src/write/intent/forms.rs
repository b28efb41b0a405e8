//! Forms of INSERT, UPDATE, DELETE and TRUNCATE: what is written that other systems have is refused. Looks no name up.

use super::unsupported;
use datafusion::sql::sqlparser::ast::{
    CascadeOption, Delete, FromTable, Ident, Insert, ObjectName, TableFactor, TableWithJoins, Truncate,
    TruncateIdentityOption, Update, UpdateTableFromKind,
};
use querygate_types::Result;

/// Refuses the clauses of INSERT that other systems have.
///
/// # Errors
/// 0A000.
pub(crate) fn plain_insert(insert: &Insert) -> Result<()> {
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
    Ok(())
}

/// What an UPDATE reads beside its table.
///
/// # Errors
/// 0A000: clauses that other systems have.
pub(crate) fn plain_update(update: &Update) -> Result<Vec<TableWithJoins>> {
    let foreign = update.output.is_some()
        || update.or.is_some()
        || update.limit.is_some()
        || !update.order_by.is_empty()
        || !update.optimizer_hints.is_empty();
    if foreign {
        return Err(unsupported("this form of UPDATE"));
    }
    match &update.from {
        None => Ok(Vec::new()),
        Some(UpdateTableFromKind::AfterSet(from)) => Ok(from.clone()),
        Some(UpdateTableFromKind::BeforeSet(_)) => Err(unsupported("UPDATE with FROM before SET")),
    }
}

/// The table that a DELETE is of, and what it reads beside it.
///
/// # Errors
/// 0A000: clauses that other systems have.
pub(crate) fn plain_delete(delete: &Delete) -> Result<(&TableWithJoins, &[TableWithJoins])> {
    let foreign = delete.output.is_some()
        || delete.limit.is_some()
        || !delete.tables.is_empty()
        || !delete.order_by.is_empty()
        || !delete.optimizer_hints.is_empty();
    if foreign {
        return Err(unsupported("this form of DELETE"));
    }
    let FromTable::WithFromKeyword(from) = &delete.from else { return Err(unsupported("DELETE without FROM")) };
    let [table] = from.as_slice() else { return Err(unsupported("DELETE of several tables")) };
    Ok((table, delete.using.as_deref().unwrap_or_default()))
}

/// The table that a TRUNCATE is of.
///
/// # Errors
/// 0A000: several tables, or clauses that are not taken.
pub(crate) fn plain_truncate(truncate: &Truncate) -> Result<&ObjectName> {
    if truncate.partitions.is_some() || truncate.if_exists || truncate.on_cluster.is_some() {
        return Err(unsupported("this form of TRUNCATE"));
    }
    match truncate.identity {
        None | Some(TruncateIdentityOption::Continue) => {}
        Some(TruncateIdentityOption::Restart) => return Err(unsupported("TRUNCATE with RESTART IDENTITY")),
    }
    match truncate.cascade {
        None | Some(CascadeOption::Restrict) => {}
        Some(CascadeOption::Cascade) => return Err(unsupported("TRUNCATE with CASCADE")),
    }
    let [table] = truncate.table_names.as_slice() else { return Err(unsupported("TRUNCATE of several tables")) };
    Ok(&table.name)
}

/// The name of the table that is changed, and what else the statement calls it.
///
/// # Errors
/// 0A000: it is no table.
pub(crate) fn target_name(table: &TableWithJoins) -> Result<(&ObjectName, Option<&Ident>)> {
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
    Ok((name, alias.as_ref().map(|alias| &alias.name)))
}
