//! MERGE as it is written, and the query that finds its rows: each row of its source beside the row of the table that matches, and which
//! of its clauses it is for.

use crate::write::find::{
    Find, Finds, Untyped, call, computed, is_default, no_skeleton, refuse_unseen, resolved, seen, skeleton,
    untyped_items,
};
use crate::write::forms::conflict::query::{is_volatile, there, when};
use crate::write::intent::{WriteIntent, assigned, field_named, quoted, refuse_twice, target, unsupported};
use crate::write::values::rows::Row;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Ident, JoinConstraint, JoinOperator, Merge, MergeAction, MergeClause,
    MergeClauseKind, MergeInsertKind, Query, SelectItem, SetExpr, TableFactor, TableWithJoins, Value,
};
use querygate_catalog::write::WriteTarget;
use querygate_catalog::{PrincipalCatalog, VisibleObject};
use querygate_policy::write::WriteOperation;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// Clauses of one statement, at most.
const ARMS_MAX: usize = 50;

/// A MERGE of one table.
#[derive(Debug)]
pub(crate) struct MergeIntent {
    name: Ident,
    source: TableFactor,
    on: Expr,
    arms: Vec<MergeArm>,
}

/// One clause: what becomes of rows that are matched, or of those that are not, and of no clause before.
#[derive(Debug)]
pub(crate) struct MergeArm {
    operation: WriteOperation,
    condition: Option<Expr>,
    values: Vec<(String, Expr)>,
}

impl MergeIntent {
    /// # Errors
    /// 42P01, 42703: a name that the principal does not see. 0A000: another dialect's form.
    pub(in crate::write) fn of(merge: &Merge, catalog: &PrincipalCatalog) -> Result<(VisibleObject, Self)> {
        if merge.output.is_some() || !merge.optimizer_hints.is_empty() || !merge.into {
            return Err(unsupported("this form of MERGE"));
        }
        if merge.clauses.len() > ARMS_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many clauses in MERGE"));
        }
        let table = TableWithJoins { relation: merge.table.clone(), joins: Vec::new() };
        let (object, name) = target(&table, "merge into", catalog)?;
        let arms = merge.clauses.iter().map(|clause| MergeArm::of(clause, &object)).collect::<Result<Vec<_>>>()?;
        if arms.is_empty() {
            return Err(unsupported("MERGE without a clause"));
        }
        Ok((object, Self { name, source: merge.source.clone(), on: merge.on.as_ref().clone(), arms }))
    }

    pub(in crate::write) fn name(&self) -> &Ident {
        &self.name
    }

    /// Of each clause, the change by itself.
    pub(in crate::write) fn changes(&self, object: &VisibleObject) -> Vec<WriteIntent> {
        self.arms.iter().map(|arm| WriteIntent::of_arm(object.clone(), self.name.clone(), arm.operation)).collect()
    }

    /// The operation of its first clause.
    pub(in crate::write) fn operation(&self) -> WriteOperation {
        self.arms.first().map_or(WriteOperation::Update, |arm| arm.operation)
    }

    /// `SELECT clause, seen…, values… FROM source LEFT JOIN table ON condition`. What a clause computes is computed of rows that it is
    /// for, and of no other.
    ///
    /// # Errors
    /// As for [`find`](crate::write::find::find).
    pub(in crate::write) fn find(
        &self,
        object: &VisibleObject,
        target: &WriteTarget,
        defaults: &Row,
        untyped: &mut Vec<Untyped>,
    ) -> Result<Finds> {
        let name = &self.name;
        refuse_unseen(object, name, Some(&self.on), &[])?;
        if self.arms.iter().filter_map(|arm| arm.condition.as_ref()).any(is_volatile) {
            return Err(unsupported("a condition of MERGE that is not the same each time"));
        }
        let mut values = Vec::with_capacity(self.arms.len());
        for arm in &self.arms {
            let own = resolved(object, &arm.values, defaults)?;
            if arm.operation != WriteOperation::Insert {
                refuse_unseen(object, name, arm.condition.as_ref(), &own)?;
            }
            self.unknown(arm, object, &own, untyped)?;
            values.push(own);
        }
        let clause = self.clause(object, target)?;
        let mut items = vec![SelectItem::ExprWithAlias { expr: clause.clone(), alias: quoted("a") }];
        let (seen, seen_items) = seen(object, name);
        items.extend(seen_items);
        for (at, own) in values.iter().enumerate() {
            let is_it = binary(clause.clone(), BinaryOperator::Eq, number(at + 1));
            let mut own = computed(object, target, own, |value| when(is_it.clone(), value))?;
            for (column, item) in own.iter_mut().enumerate() {
                if let SelectItem::ExprWithAlias { alias, .. } = item {
                    *alias = quoted(&format!("v{at}_{column}"));
                }
            }
            items.append(&mut own);
        }
        let query = Arc::new(self.joined(object, items)?);
        let arm = |(arm, own): (&MergeArm, &Vec<(String, Expr)>)| Find {
            query: Arc::clone(&query),
            seen: if arm.operation == WriteOperation::Insert { Vec::new() } else { seen.clone() },
            assigned: own.iter().map(|(field, _)| field.clone()).collect(),
        };
        let arms = self.arms.iter().zip(&values).map(arm).collect();
        Ok(Finds::Several { all: Find { query: Arc::clone(&query), seen: seen.clone(), assigned: Vec::new() }, arms })
    }

    /// The number of the clause that a row is for; 0: none.
    fn clause(&self, object: &VisibleObject, target: &WriteTarget) -> Result<Expr> {
        let first = |is_insert: bool| {
            let arms = self.arms.iter().enumerate();
            let arms = arms.filter(|(_, arm)| (arm.operation == WriteOperation::Insert) == is_insert);
            let conditions = arms.map(|(at, arm)| CaseWhen {
                condition: arm.condition.clone().map_or_else(always, |condition| Expr::Nested(Box::new(condition))),
                result: number(at + 1),
            });
            chosen(conditions.collect())
        };
        let is_there = CaseWhen { condition: there(object, target, &self.name)?, result: first(false) };
        Ok(case(vec![is_there], Some(first(true))))
    }

    /// Values whose types only binding tells. A clause for rows that nothing matches is bound on the source alone: it names nothing of
    /// the table.
    fn unknown(
        &self,
        arm: &MergeArm,
        object: &VisibleObject,
        values: &[(String, Expr)],
        untyped: &mut Vec<Untyped>,
    ) -> Result<()> {
        let (fields, mut items) = untyped_items(object, values)?;
        let query = if arm.operation == WriteOperation::Insert {
            items.extend(arm.condition.iter().cloned().map(SelectItem::UnnamedExpr));
            items.push(SelectItem::UnnamedExpr(number(0)));
            let mut query = skeleton("SELECT 1 FROM t AS a")?;
            let SetExpr::Select(select) = query.body.as_mut() else { return Err(no_skeleton()) };
            let Some(from) = select.from.first_mut() else { return Err(no_skeleton()) };
            from.relation = self.source.clone();
            select.projection = items;
            query
        } else if fields.is_empty() {
            return Ok(());
        } else {
            self.joined(object, items)?
        };
        untyped.push(Untyped { query, fields });
        Ok(())
    }

    fn joined(&self, object: &VisibleObject, items: Vec<SelectItem>) -> Result<Query> {
        let mut query = skeleton("SELECT 1 FROM s LEFT JOIN t AS a ON true")?;
        let SetExpr::Select(select) = query.body.as_mut() else { return Err(no_skeleton()) };
        let Some(from) = select.from.first_mut() else { return Err(no_skeleton()) };
        from.relation = self.source.clone();
        let Some(join) = from.joins.first_mut() else { return Err(no_skeleton()) };
        call(&mut join.relation, &object.sql_name, &self.name)?;
        join.join_operator = JoinOperator::Left(JoinConstraint::On(self.on.clone()));
        select.projection = items;
        Ok(query)
    }
}

impl MergeArm {
    fn of(clause: &MergeClause, object: &VisibleObject) -> Result<Self> {
        let condition = clause.predicate.clone();
        match (clause.clause_kind, &clause.action) {
            (MergeClauseKind::Matched, MergeAction::Update(update))
                if update.update_predicate.is_none() && update.delete_predicate.is_none() =>
            {
                let values = assigned(object, &update.assignments)?;
                Ok(Self { operation: WriteOperation::Update, condition, values })
            }
            (MergeClauseKind::Matched, MergeAction::Delete { .. }) => {
                Ok(Self { operation: WriteOperation::Delete, condition, values: Vec::new() })
            }
            (MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget, MergeAction::Insert(insert))
                if insert.insert_predicate.is_none() =>
            {
                let MergeInsertKind::Values(rows) = &insert.kind else { return Err(unsupported("INSERT ROW")) };
                let [row] = rows.rows.as_slice() else { return Err(unsupported("several rows of VALUES in MERGE")) };
                let fields: Vec<String> = if insert.columns.is_empty() {
                    object.table.columns().iter().map(|column| column.field.name().clone()).take(row.len()).collect()
                } else {
                    insert.columns.iter().map(|column| field_named(object, column)).collect::<Result<_>>()?
                };
                refuse_twice(&fields)?;
                if fields.len() != row.len() {
                    let text = "INSERT has another number of expressions than of target columns";
                    return Err(Error::new(ErrorCode::SyntaxError, text));
                }
                let values = fields.into_iter().zip(row.iter().cloned()).filter(|(_, value)| !is_default(value));
                Ok(Self { operation: WriteOperation::Insert, condition, values: values.collect() })
            }
            _ => Err(unsupported("this clause of MERGE")),
        }
    }
}

/// The first of some cases that holds; 0: none does.
fn chosen(conditions: Vec<CaseWhen>) -> Expr {
    if conditions.is_empty() { number(0) } else { case(conditions, Some(number(0))) }
}

fn case(conditions: Vec<CaseWhen>, otherwise: Option<Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions,
        else_result: otherwise.map(Box::new),
    }
}

fn always() -> Expr {
    Expr::Value(Value::Boolean(true).into())
}

fn number(number: usize) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).into())
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}
