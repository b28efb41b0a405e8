//! `SELECT … FOR UPDATE` and `FOR SHARE`: the query that finds the rows of one table, with their keys behind its own columns, and
//! the locks on those of them that the principal may update.

use crate::write::intent::{locked_table, quoted, unsupported};
use crate::write::lock::read;
use crate::write::target::refused;
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{Expr, LimitClause, ObjectName, Query, SelectItem, SetExpr, Value as SqlValue};
use querygate_catalog::PrincipalCatalog;
use querygate_catalog::write::WriteTarget;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{Lock, LockWait, Transaction};
use querygate_policy::Evaluator;
use querygate_policy::write::{WriteOperation, WritePermit};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashSet;

/// A query whose rows are to be locked, as its principal may.
#[derive(Debug)]
pub(crate) struct LockingRead {
    permit: WritePermit,
    table: WriteTarget,
    /// The query with the key's columns behind its own. Without its limit, where rows that others have locked are skipped.
    query: Query,
    key: usize,
    lock: Lock,
    /// Rows to be locked, at most.
    limit: Option<usize>,
}

/// The key of a row.
type Key = Vec<ScalarValue>;

impl LockingRead {
    /// # Errors
    /// 42501: the principal may update none of the rows. 42P01: OF names no table of the query. 0A000: a query that is not of the
    /// rows of one table, or a table whose rows cannot be locked.
    pub(crate) async fn of(
        query: &Query,
        lock: Lock,
        of: Option<&ObjectName>,
        catalog: &PrincipalCatalog,
        now_ms: i64,
    ) -> Result<Self> {
        let SetExpr::Select(select) = query.body.as_ref() else { return Err(unlockable()) };
        if query.with.is_some() || select.distinct.is_some() || select.having.is_some() {
            return Err(unlockable());
        }
        let (object, called) = locked_table(&named::locked(&select.from, of)?, catalog)?;
        let deployment = catalog.deployment();
        let evaluator = Evaluator {
            policy: &deployment.policies,
            principal: catalog.principal(),
            facts: &deployment.facts,
            now_ms,
        };
        let permit = evaluator.decide_target(&object.object.name, WriteOperation::Update).permit()?;
        if catalog.only_inserts(&object.object.name) {
            return Err(refused("a lock of rows"));
        }
        let table = catalog.write_target(&permit).await?;
        let mut query = query.clone();
        let mut items = Vec::with_capacity(table.key().len());
        for (at, place) in table.key().iter().enumerate() {
            let column = object.table.columns().iter().find(|column| column.is_raw(*place) && column.is_open());
            let column = column.ok_or_else(|| unsupported("a lock of rows whose key is not to be seen"))?;
            let expr = Expr::CompoundIdentifier(vec![called.clone(), quoted(column.field.name())]);
            items.push(SelectItem::ExprWithAlias { expr, alias: quoted(&format!("querygate key {at}")) });
        }
        let key = items.len();
        let limit = match lock.wait {
            LockWait::SkipLocked => taken_limit(&mut query)?,
            LockWait::Wait | LockWait::NoWait => None,
        };
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.projection.extend(items);
        }
        Ok(Self { permit, table, query, key, lock, limit })
    }

    /// The query, to be bound and run before the locks and after them.
    pub(crate) fn query(&self) -> &Query {
        &self.query
    }

    pub(crate) fn table(&self) -> &WriteTarget {
        &self.table
    }

    /// Locks the found rows that the principal may update, in their order.
    ///
    /// # Errors
    /// The source's; 55P03: somebody else has locked one, and the statement does not wait.
    pub(crate) async fn lock(
        &self,
        found: &RecordBatch,
        transaction: &mut Transaction,
        context: &ExecuteContext,
    ) -> Result<LockedKeys> {
        let columns = self.keys_of(found)?;
        let value = |row| move |column: &ArrayRef| Value::from_array(column.as_ref(), row);
        let keys = (0..found.num_rows()).map(|row| columns.iter().map(value(row)).collect::<Result<Vec<_>>>());
        let keys = keys.collect::<Result<Vec<_>>>()?;
        // One after the other where a limit says how many are wanted: no others are to be locked.
        let at_once = if self.limit.is_some() { 1 } else { self.table.rows_at_once(self.key) };
        let (mut locked, mut rows_locked) = (HashSet::new(), 0);
        for some in keys.chunks(at_once) {
            if self.limit.is_some_and(|limit| rows_locked >= limit) {
                break;
            }
            let rows = self.table.locked_as(some, self.permit.target(), self.lock)?;
            for batch in read(&rows, transaction, context).await? {
                // A join may have several rows for one of the table.
                rows_locked += batch.num_rows();
                for row in 0..batch.num_rows() {
                    let places = self.table.key().iter();
                    let key = places.map(|place| scalar(batch.columns().get(*place), row)).collect::<Result<Key>>()?;
                    locked.insert(key);
                }
            }
        }
        Ok(LockedKeys(locked))
    }

    /// The statement's own columns of the rows that are locked. `found`: what the query gives after the locks.
    ///
    /// # Errors
    /// Internal: a batch of another query.
    pub(crate) fn shown(&self, found: &RecordBatch, locked: &LockedKeys) -> Result<RecordBatch> {
        let keys = self.keys_of(found)?;
        let mut is_locked = Vec::with_capacity(found.num_rows());
        for row in 0..found.num_rows() {
            let key = keys.iter().map(|column| scalar(Some(column), row)).collect::<Result<Key>>()?;
            is_locked.push(locked.0.contains(&key));
        }
        let own: Vec<usize> = (0..found.num_columns() - self.key).collect();
        let rows = filter_record_batch(found, &BooleanArray::from(is_locked)).map_err(Error::internal)?;
        let rows = rows.slice(0, rows.num_rows().min(self.limit.unwrap_or(usize::MAX)));
        rows.project(&own).map_err(Error::internal)
    }

    fn keys_of<'a>(&self, found: &'a RecordBatch) -> Result<&'a [ArrayRef]> {
        let own = found.num_columns().checked_sub(self.key);
        own.and_then(|own| found.columns().get(own..)).ok_or_else(|| Error::internal("found rows lack their keys"))
    }
}

/// Keys of rows that are locked.
#[derive(Debug)]
pub(crate) struct LockedKeys(HashSet<Key>);

fn scalar(column: Option<&ArrayRef>, row: usize) -> Result<ScalarValue> {
    let column = column.ok_or_else(|| Error::internal("a locked row lacks its key"))?;
    let value = ScalarValue::try_from_array(column, row).map_err(Error::internal)?;
    // As found, texts are views of a batch.
    match value {
        ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => Ok(ScalarValue::Utf8(text)),
        other => Ok(other),
    }
}

/// Takes the limit off a query: how many rows are wanted is known when it is known which are free.
fn taken_limit(query: &mut Query) -> Result<Option<usize>> {
    let text = "SKIP LOCKED with OFFSET, or with a LIMIT that is not a number,";
    if query.fetch.is_some() {
        return Err(unsupported(text));
    }
    let limit = match &query.limit_clause {
        None => return Ok(None),
        Some(LimitClause::LimitOffset { limit: Some(Expr::Value(value)), offset: None, limit_by })
            if limit_by.is_empty() =>
        {
            match &value.value {
                SqlValue::Number(number, _) => number.parse().ok(),
                _ => None,
            }
        }
        Some(LimitClause::LimitOffset { .. } | LimitClause::OffsetCommaLimit { .. }) => None,
    };
    query.limit_clause = None;
    limit.map(Some).ok_or_else(|| unsupported(text))
}

/// Refuses a plan whose rows are not those of a table.
///
/// # Errors
/// 0A000.
pub(crate) fn refuse_combined(plan: &LogicalPlan) -> Result<()> {
    let mut is_combined = false;
    plan.apply(|node| {
        is_combined |= matches!(
            node,
            LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) | LogicalPlan::Distinct(_) | LogicalPlan::Union(_)
        );
        Ok(if is_combined { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .map_err(Error::internal)?;
    if is_combined { Err(unlockable()) } else { Ok(()) }
}

fn unlockable() -> Error {
    Error::new(ErrorCode::FeatureNotSupported, "FOR UPDATE and FOR SHARE are not allowed here")
        .with_hint("They lock the rows of one table, whose columns the query gives without joins, groups or DISTINCT.")
}

mod named;

#[cfg(test)]
mod tests;
