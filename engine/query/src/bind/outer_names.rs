//! Bare names in subqueries that are found only in a query around. Where metadata hides columns, a reader may have meant one of a table
//! in the subquery; what a notice says does not depend on whether there is such a column.

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use querygate_query_api::outcome::{Effect, Notice};
use querygate_query_api::own_names::output_name;
use std::collections::BTreeSet;

/// Those of the names that the plan reads of a query around.
pub(super) fn read_around(names: Vec<String>, plan: &LogicalPlan) -> Result<Vec<String>> {
    if names.is_empty() {
        return Ok(names);
    }
    let mut read = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::OuterReferenceColumn(_, column) = part {
                    read.insert(output_name(&column.name).to_owned());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(names.into_iter().filter(|name| read.contains(name)).collect())
}

/// The notice to a client of one.
pub(crate) fn told(name: &str) -> Effect {
    Effect::Notice(Notice {
        severity: "NOTICE",
        sqlstate: "00000".to_owned(),
        message: format!("column \"{name}\" in a subquery is one of a query around it"),
        hint: Some("No table of the subquery has such a column for you. Write its table before the name.".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    fn told(sql: &str) -> Vec<String> {
        Shop::open().clerk().bind(sql).unwrap_or_else(|error| panic!("{sql}: {error}")).outer_names().to_vec()
    }

    #[test]
    fn bare_names_that_are_found_only_around_are_told() {
        for (sql, expected) in [
            // `secret` is hidden, `nothing` is not there: both get the same notice.
            (
                "SELECT 1 FROM (SELECT 'a' AS secret) x WHERE secret NOT IN (SELECT secret FROM accounts)",
                &["secret"][..],
            ),
            (
                "SELECT 1 FROM (SELECT 'a' AS nothing) x WHERE nothing NOT IN (SELECT nothing FROM accounts)",
                &["nothing"],
            ),
            (
                "SELECT 1 FROM (SELECT 'a' AS secret) x WHERE EXISTS (SELECT 1 FROM accounts WHERE secret = name)",
                &["secret"],
            ),
            ("SELECT id FROM accounts a WHERE EXISTS (SELECT 1 FROM visits WHERE account_id = a.id)", &[]),
            ("SELECT 1 FROM (SELECT 'a' AS secret) x WHERE secret IN (SELECT x.secret FROM accounts)", &[]),
            ("SELECT id FROM visits WHERE account_id IN (SELECT id FROM accounts)", &[]),
            ("SELECT (SELECT name) FROM accounts", &[]),
            ("SELECT id FROM accounts", &[]),
        ] {
            assert_eq!(told(sql), expected, "{sql}");
        }
    }

    /// Where names of hidden columns are found, there is no notice.
    #[test]
    fn nothing_is_told_where_hidden_columns_have_names() {
        let sql = "SELECT 1 FROM (SELECT 'a' AS nothing) x WHERE nothing NOT IN (SELECT nothing FROM accounts)";
        assert!(Shop::denying().clerk().bind(sql).unwrap().outer_names().is_empty());
    }
}
