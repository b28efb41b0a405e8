//! `mask_in_predicates = "refuse"`: ObjectStack's predicate guard over SQL. A masked column may be shown, but not decide
//! anything: no filter, join, group, sort, window, aggregate or set operation may read it, under whatever name.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Subquery};
use querygate_catalog::leaf::GovernedTable;
use querygate_types::{Error, ErrorCode, Result};
use std::any::Any;
use std::collections::BTreeSet;

/// Refuses a bound plan in which a masked column decides something.
pub(crate) fn refuse_masked_predicates(plan: &LogicalPlan) -> Result<()> {
    masked(plan, &BTreeSet::new()).map(drop)
}

/// Output columns whose values come from a masked one. `outer`: those of the queries around, as names.
fn masked(plan: &LogicalPlan, outer: &BTreeSet<Column>) -> Result<BTreeSet<Column>> {
    // Each input once: asked again further down, a chain of unions would take time that doubles with each.
    let each = match plan {
        LogicalPlan::Join(join) => of_join(&join.left, &join.right, outer)?,
        _ => plan.inputs().into_iter().map(|input| masked(input, outer)).collect::<Result<Vec<_>>>()?,
    };
    let inputs: BTreeSet<Column> = each.iter().flatten().cloned().collect();
    let seen: BTreeSet<Column> = inputs.union(outer).cloned().collect();
    let reading = readings(plan, &seen)?;
    match plan {
        LogicalPlan::TableScan(scan) => Ok(scanned(scan, plan.schema())),
        LogicalPlan::Projection(projection) => {
            let pairs = projection.schema.columns().into_iter().zip(&reading);
            Ok(pairs.filter(|(_, read)| read.is_some()).map(|(column, _)| column).collect())
        }
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Repartition(_) => Ok(renamed(plan, &inputs)),
        LogicalPlan::Union(union) => {
            let mut columns = BTreeSet::new();
            for (input, own) in union.inputs.iter().zip(&each) {
                columns.extend(positions(input.schema(), own).filter_map(|i| union.schema.columns().get(i).cloned()));
            }
            Ok(columns)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            if inputs.is_empty() {
                Ok(renamed(plan, &inputs))
            } else {
                Err(refusal(input.schema(), &inputs))
            }
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Distinct(Distinct::On(_))
        | LogicalPlan::Unnest(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::EmptyRelation(_) => match reading.into_iter().flatten().next() {
            None => Ok(renamed(plan, &inputs)),
            Some(name) => Err(refused(&name)),
        },
        // What the first term delivers comes back as the work table's columns, which have no mark.
        LogicalPlan::RecursiveQuery(recursive) => {
            if inputs.is_empty() {
                Ok(BTreeSet::new())
            } else {
                Err(refusal(recursive.static_term.schema(), &inputs))
            }
        }
        LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_) => Err(Error::new(ErrorCode::FeatureNotSupported, "statement is not supported")),
    }
}

/// Both sides of a join. A lateral side reads columns of the one before it as those of a query around it.
fn of_join(left: &LogicalPlan, right: &LogicalPlan, outer: &BTreeSet<Column>) -> Result<Vec<BTreeSet<Column>>> {
    let before = masked(left, outer)?;
    let is_lateral = |node: &LogicalPlan| matches!(node, LogicalPlan::Subquery(s) if !s.outer_ref_columns.is_empty());
    let after = if right.exists(|node| Ok(is_lateral(node))).map_err(Error::internal)? {
        masked(right, &before.union(outer).cloned().collect())?
    } else {
        masked(right, outer)?
    };
    Ok(vec![before, after])
}

fn scanned(scan: &datafusion::logical_expr::TableScan, schema: &DFSchema) -> BTreeSet<Column> {
    let Ok(provider) = source_as_provider(&scan.source) else { return schema.columns().into_iter().collect() };
    let any: &dyn Any = provider.as_ref();
    let Some(table) = any.downcast_ref::<GovernedTable>() else { return BTreeSet::new() };
    let is_masked =
        |column: &Column| table.columns().iter().any(|c| c.mask.is_some() && *c.field.name() == column.name);
    schema.columns().into_iter().filter(is_masked).collect()
}

/// For each expression of an operator, a masked column that its value depends on, also through a subquery.
fn readings(plan: &LogicalPlan, seen: &BTreeSet<Column>) -> Result<Vec<Option<String>>> {
    let mut readings = Vec::new();
    let mut outcome = Ok(());
    let walk = plan.apply_expressions(|expr| {
        let mut read = None;
        let inner = expr.apply(|e| {
            if outcome.is_ok() {
                match column_of(e, seen) {
                    Ok(Some(name)) => read = Some(name),
                    Ok(None) => {}
                    Err(error) => outcome = Err(error),
                }
            }
            Ok(TreeNodeRecursion::Continue)
        });
        readings.push(read);
        inner
    });
    outcome?;
    walk.map_err(Error::internal)?;
    Ok(readings)
}

/// The masked column that this node itself reads. What its parts read is asked of them.
#[expect(deprecated, reason = "each kind of expression is named")]
fn column_of(expr: &Expr, seen: &BTreeSet<Column>) -> Result<Option<String>> {
    let delivered = |subquery: &Subquery| masked(&subquery.subquery, seen);
    let of = |columns: BTreeSet<Column>| columns.into_iter().next().map(|c| c.name);
    match expr {
        Expr::Column(c) | Expr::OuterReferenceColumn(_, c) => Ok(seen.contains(c).then(|| c.name.clone())),
        Expr::ScalarSubquery(s) => delivered(s).map(of),
        Expr::InSubquery(s) => delivered(&s.subquery).map(of),
        Expr::SetComparison(s) => delivered(&s.subquery).map(of),
        // Whether there is a row says nothing of what it holds.
        Expr::Exists(s) => delivered(&s.subquery).map(|_| None),
        // Names are put in its place before; one that is left reads all that there is.
        Expr::Wildcard { .. } => Ok(seen.first().map(|c| c.name.clone())),
        Expr::Alias(_)
        | Expr::ScalarVariable(..)
        | Expr::Literal(..)
        | Expr::Placeholder(_)
        | Expr::BinaryExpr(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::ScalarFunction(_)
        | Expr::HigherOrderFunction(_)
        | Expr::Lambda(_)
        | Expr::LambdaVariable(_)
        | Expr::AggregateFunction(_)
        | Expr::WindowFunction(_)
        | Expr::InList(_)
        | Expr::GroupingSet(_)
        | Expr::Unnest(_) => Ok(None),
    }
}

/// These columns under the names of this operator's output: by name where it passes them on, by place where it renames.
fn renamed(plan: &LogicalPlan, inputs: &BTreeSet<Column>) -> BTreeSet<Column> {
    let by_place = match plan.inputs().as_slice() {
        [only] if only.schema().fields().len() == plan.schema().fields().len() => {
            positions(only.schema(), inputs).filter_map(|i| plan.schema().columns().get(i).cloned()).collect()
        }
        _ => BTreeSet::new(),
    };
    let by_name = plan.schema().columns().into_iter().filter(|c| inputs.contains(c));
    by_name.chain(by_place).collect()
}

fn positions<'a>(schema: &'a DFSchema, columns: &'a BTreeSet<Column>) -> impl Iterator<Item = usize> + 'a {
    schema.columns().into_iter().enumerate().filter(|(_, c)| columns.contains(c)).map(|(i, _)| i)
}

fn refusal(schema: &DFSchema, columns: &BTreeSet<Column>) -> Error {
    let name = schema.columns().into_iter().find(|c| columns.contains(c)).map_or_else(String::new, |c| c.name);
    refused(&name)
}

fn refused(name: &str) -> Error {
    Error::new(
        ErrorCode::InsufficientPrivilege,
        format!("the query references field(s) not readable by the caller: {name}"),
    )
    .with_hint("A masked column can be selected, but not filtered, joined, grouped, sorted or aggregated.")
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;
    use querygate_types::ErrorCode;

    /// A masked column may be shown; wherever it decides something, the statement is refused.
    #[test]
    fn a_masked_column_is_shown_and_decides_nothing() {
        let clerk = Shop::refusing_masks().clerk();
        for (sql, admitted) in [
            ("SELECT email FROM accounts", true),
            ("SELECT upper(email) || 'x' AS e FROM accounts", true),
            ("SELECT email FROM accounts WHERE rating > 3 ORDER BY name LIMIT 2", true),
            ("SELECT e FROM (SELECT email AS e FROM accounts) q", true),
            ("SELECT email FROM accounts UNION ALL SELECT name FROM regions", true),
            ("SELECT count(*) FROM accounts", true),
            ("SELECT (SELECT email FROM accounts WHERE id = 'a1') AS e", true),
            ("SELECT name FROM regions WHERE EXISTS (SELECT email FROM accounts)", true),
            ("SELECT id FROM accounts WHERE email LIKE 'a%'", false),
            ("SELECT id FROM accounts WHERE email IS NULL", false),
            ("SELECT id FROM accounts ORDER BY email", false),
            ("SELECT email FROM accounts GROUP BY email", false),
            ("SELECT max(email) FROM accounts", false),
            ("SELECT count(email) FROM accounts", false),
            ("SELECT DISTINCT email FROM accounts", false),
            ("SELECT DISTINCT ON (email) id FROM accounts", false),
            ("SELECT rank() OVER (ORDER BY email) FROM accounts", false),
            ("SELECT rank() OVER (PARTITION BY email ORDER BY id) FROM accounts", false),
            ("SELECT a.id FROM accounts a JOIN accounts b ON a.email = b.email", false),
            ("SELECT a.id FROM accounts a JOIN accounts b USING (email)", false),
            ("SELECT email FROM accounts UNION SELECT name FROM regions", false),
            ("SELECT email FROM accounts INTERSECT SELECT name FROM regions", false),
            ("SELECT email FROM accounts EXCEPT SELECT name FROM regions", false),
            ("SELECT name FROM regions WHERE name IN (SELECT email FROM accounts)", false),
            ("SELECT name FROM regions WHERE name = (SELECT email FROM accounts WHERE id = 'a1')", false),
            ("SELECT name FROM regions WHERE name = ANY (SELECT email FROM accounts)", false),
            ("SELECT r.name FROM regions r WHERE EXISTS (SELECT 1 FROM accounts a WHERE a.email = r.name)", false),
            ("SELECT id FROM accounts a WHERE EXISTS (SELECT 1 FROM regions r WHERE r.name = a.email)", false),
        ] {
            let bound = clerk.bind(sql);
            assert_eq!(bound.is_ok(), admitted, "{sql}: {:?}", bound.err());
            if let Err(error) = bound {
                assert_eq!(error.code(), ErrorCode::InsufficientPrivilege, "{sql}");
                assert!(error.message().contains("email"), "{sql}: {error}");
            }
        }
    }

    /// Under another name, through blocks, unions and lateral sides it is the same column.
    #[test]
    fn a_mask_follows_its_column_through_other_names() {
        let clerk = Shop::refusing_masks().clerk();
        for sql in [
            "SELECT e FROM (SELECT email AS e FROM accounts) q WHERE e LIKE 'a%'",
            "WITH w AS (SELECT email AS e FROM accounts) SELECT e FROM w ORDER BY e",
            "SELECT e FROM (SELECT upper(email) AS e FROM accounts) q GROUP BY e",
            "SELECT x FROM (SELECT name AS x FROM regions UNION ALL SELECT email FROM accounts) u WHERE x = 'a'",
            "SELECT x FROM (SELECT email AS x FROM accounts UNION ALL SELECT name FROM regions) u ORDER BY x",
            "SELECT n FROM accounts a CROSS JOIN LATERAL (SELECT a.email AS n) l WHERE n = 'x'",
            "SELECT a.id FROM accounts a JOIN LATERAL (SELECT 1 AS one WHERE a.email = 'x') l ON true",
            "SELECT e FROM (SELECT email AS e, id FROM accounts LIMIT 3) q ORDER BY e",
            "WITH RECURSIVE w(e) AS (SELECT email FROM accounts UNION ALL SELECT e || 'x' FROM w WHERE length(e) < 3) \
             SELECT count(*) FROM w",
        ] {
            let error = clerk.bind(sql).map(drop).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InsufficientPrivilege, "{sql}: {error}");
        }
    }

    /// Who sees the column unmasked may filter by it, and where metadata does not ask for refusals nobody is refused.
    #[test]
    fn without_a_mask_or_the_setting_nothing_is_refused() {
        let sql = "SELECT id FROM accounts WHERE email LIKE 'ann%' ORDER BY email";
        assert_eq!(Shop::refusing_masks().owner().rows(sql).unwrap(), ["a1"]);
        // The mask decides, not what is behind it.
        assert_eq!(Shop::open().clerk().rows(sql).unwrap(), Vec::<String>::new());
    }
}
