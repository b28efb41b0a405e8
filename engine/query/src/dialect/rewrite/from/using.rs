//! Columns that a join's USING or NATURAL merges: by its bare name the engine finds two columns, or takes an outer query's for it, and of
//! a RIGHT JOIN the left one, which may be NULL. Here each gets the value that the join gives it.

use super::merged_columns::{self, Given, last};
use super::{names, row_values, rows};
use crate::dialect::ast::{aliased, folded, quoted};
use crate::dialect::rewrite::Rewriter;
use crate::sql::walk::{ON, Step, Writer, write};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor,
    TableWithJoins,
};
use querygate_types::Result;
use std::collections::{HashMap, HashSet};

/// Merged columns of a FROM clause that a bare name means, with their values.
pub(in crate::dialect) type Merged = HashMap<String, Expr>;

/// A FROM clause whose joins merge columns.
pub(super) struct Joined {
    pub(super) merged: Merged,
    /// The tables without joins that merge, and their columns. `None`: they are not all known.
    pub(super) known: Option<(Vec<TableWithJoins>, Vec<Given>)>,
}

/// Puts the joins of a SELECT that merge columns in other words, and its `*`. What a bare name means in it afterwards.
///
/// # Errors
/// 42702: a join merges a column of which a side has two.
pub(in crate::dialect) fn settle(rewriter: &Rewriter<'_>, select: &mut Select, within: bool) -> Result<Merged> {
    let Some(scope) = rewriter.rows().last() else { return Ok(Merged::new()) };
    if merges(&select.from) {
        let joined = joined(rewriter, &select.from)?;
        if let Some((from, columns)) = joined.known {
            select.from = from;
            merged_columns::expand(select, &columns, scope, within, true);
        }
        items(&joined.merged, &mut select.projection);
        return Ok(joined.merged);
    }
    let is_wildcard = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    if within && select.projection.iter().any(is_wildcard) {
        // Without columns that joins merge nothing is changed there.
        let columns = merged_columns::settle(rewriter, &mut select.from)?;
        let known = columns.is_some();
        merged_columns::expand(select, columns.as_deref().unwrap_or_default(), scope, known, false);
    }
    Ok(Merged::new())
}

/// What the joins of a FROM clause merge.
///
/// # Errors
/// As [`settle`].
pub(super) fn joined(rewriter: &Rewriter<'_>, from: &[TableWithJoins]) -> Result<Joined> {
    let mut plain = from.to_vec();
    let Some(columns) = merged_columns::settle(rewriter, &mut plain)? else {
        let mut merged = Merged::new();
        from.iter().for_each(|table| add(table, &mut merged));
        return Ok(Joined { merged, known: None });
    };
    let alone = |column: &&Given| columns.iter().filter(|other| other.name == column.name).count() == 1;
    let merged = columns.iter().filter(|column| column.merged).filter(alone);
    let merged = merged.map(|column| (column.name.clone(), column.value.clone())).collect();
    Ok(Joined { merged, known: Some((plain, columns)) })
}

/// Whether a join merges columns.
fn merges(from: &[TableWithJoins]) -> bool {
    let nested = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, alias: None } => {
            merges(std::slice::from_ref(table_with_joins.as_ref()))
        }
        _ => false,
    };
    from.iter().any(|table| {
        nested(&table.relation) || table.joins.iter().any(|join| constraint(join).is_some() || nested(&join.relation))
    })
}

/// The constraint of a join that merges columns.
fn constraint(join: &Join) -> Option<&JoinConstraint> {
    let constraint = match &join.join_operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => constraint,
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => constraint,
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => constraint,
        JoinOperator::FullOuter(constraint) => constraint,
        _ => return None,
    };
    matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural).then_some(constraint)
}

/// The merged columns where the columns of the tables are not known.
fn add(table: &TableWithJoins, found: &mut Merged) {
    let Some(first) = name_of(&table.relation) else { return };
    for (place, join) in table.joins.iter().enumerate() {
        let right_side = match &join.join_operator {
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => true,
            JoinOperator::FullOuter(_) => continue,
            _ => false,
        };
        let Some(JoinConstraint::Using(columns)) = constraint(join) else { continue };
        let Some(own) = name_of(&join.relation) else { continue };
        for column in columns.iter().filter_map(last) {
            let value = |table: &Ident| Expr::CompoundIdentifier(vec![table.clone(), quoted(&column)]);
            if right_side {
                found.insert(column.clone(), value(&own));
            } else if place == 0 {
                // Of several tables on the left, nothing says which one has the column.
                found.entry(column.clone()).or_insert_with(|| value(&first));
            }
        }
    }
}

fn name_of(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(quoted(&folded(&alias.name)))
        }
        TableFactor::Table { name, alias: None, args: None, .. } => last(name).map(|name| quoted(&name)),
        _ => None,
    }
}

/// Select items that are a merged column; their names stay.
fn items(merged: &Merged, items: &mut [SelectItem]) {
    for item in items {
        let SelectItem::UnnamedExpr(Expr::Identifier(ident)) = &*item else { continue };
        let name = folded(ident);
        *item = match merged.get(&name) {
            None => continue,
            Some(column @ Expr::CompoundIdentifier(_)) => SelectItem::UnnamedExpr(column.clone()),
            Some(other) => aliased(other.clone(), &name),
        };
    }
}

/// A merged column of this SELECT or of one around it as its value. A column of that name in between hides it.
pub(in crate::dialect) fn qualify(rewriter: &Rewriter<'_>, expr: &mut Expr) {
    let Expr::Identifier(ident) = &*expr else { return };
    let name = folded(ident);
    for (merged, scope) in rewriter.merged.iter().zip(rewriter.rows()).rev() {
        if let Some(value) = merged.get(&name) {
            *expr = value.clone();
            return;
        }
        if scope.values().any(|row| row.may_have(&name)) {
            return;
        }
    }
}

/// Merged columns in the ORDER BY of a query, where they are no columns of its result.
///
/// # Errors
/// As [`settle`].
pub(in crate::dialect) fn in_order(rewriter: &Rewriter<'_>, query: &mut Query) -> Result<()> {
    let (SetExpr::Select(select), Some(order)) = (query.body.as_ref(), &mut query.order_by) else { return Ok(()) };
    let OrderByKind::Expressions(keys) = &mut order.kind else { return Ok(()) };
    let mut merged = if merges(&select.from) { joined(rewriter, &select.from)?.merged } else { Merged::new() };
    // An alias that stands for a value is one there, too.
    if rows::has_functions(&select.from) {
        merged.extend(row_values::values(&rows::scope(rewriter, select)));
    }
    if merged.is_empty() {
        return Ok(());
    }
    let results: HashSet<String> = select.projection.iter().filter_map(names::item_name).collect();
    let all = select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
    for key in keys {
        let is_result = matches!(&key.expr, Expr::Identifier(name) if all || results.contains(&folded(name)));
        if !is_result {
            write(&mut key.expr, &mut Keys { merged: &merged, depth: 0 })?;
        }
    }
    Ok(())
}

/// Keys of ORDER BY, without the queries in them.
struct Keys<'a> {
    merged: &'a Merged,
    depth: usize,
}

impl Writer for Keys<'_> {
    fn query(&mut self, _: &mut Query) -> Step {
        self.depth += 1;
        ON
    }

    fn after_query(&mut self, _: &mut Query) -> Step {
        self.depth -= 1;
        ON
    }

    fn expr(&mut self, expr: &mut Expr) -> Step {
        if self.depth == 0
            && let Expr::Identifier(name) = &*expr
            && let Some(value) = self.merged.get(&folded(name))
        {
            *expr = value.clone();
        }
        ON
    }
}
