//! Columns that a join's USING merges, in a query within another one: the engine finds two of the name, and takes an outer query's
//! column for it; of a RIGHT JOIN it takes the left one, which may be NULL. Here each gets the name of the table that it comes from.

use crate::dialect::ast::{folded, parts, quoted};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, ObjectName, Select, TableFactor, TableWithJoins,
};
use std::collections::HashMap;

/// Merged columns of a FROM clause, with the qualifier of each.
pub(in crate::dialect) type Merged = HashMap<String, Ident>;

/// The merged columns of a SELECT. Those of the left side only in a query within another one: alone, the engine finds them.
pub(in crate::dialect) fn merged(select: &Select, within: bool) -> Merged {
    let mut found = Merged::new();
    select.from.iter().for_each(|table| add(table, within, &mut found));
    found
}

fn add(table: &TableWithJoins, within: bool, found: &mut Merged) {
    let Some(first) = name_of(&table.relation) else { return };
    for (place, join) in table.joins.iter().enumerate() {
        let (right_side, constraint) = match &join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (false, constraint),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (false, constraint),
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (true, constraint),
            _ => continue,
        };
        let JoinConstraint::Using(columns) = constraint else { continue };
        let Some(own) = name_of(&join.relation) else { continue };
        for column in columns.iter().filter_map(last) {
            if right_side {
                found.insert(column, own.clone());
            } else if within && place == 0 {
                // Of several tables on the left, nothing says which one has the column.
                found.entry(column).or_insert_with(|| first.clone());
            }
        }
    }
}

fn last(name: &ObjectName) -> Option<String> {
    parts(name)?.pop()
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

/// A merged column with its table.
pub(in crate::dialect) fn qualify(merged: &Merged, expr: &mut Expr) {
    if let Expr::Identifier(name) = expr
        && let Some(table) = merged.get(&folded(name))
    {
        *expr = Expr::CompoundIdentifier(vec![table.clone(), name.clone()]);
    }
}
