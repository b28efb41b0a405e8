//! What a bound statement asks of the moment and the session it runs in. Plans of statements that ask nothing are the
//! same in every session.

use crate::dialect::volatility::{follows_from_catalog, volatility};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::source_as_provider;
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use datafusion::logical_expr::{LogicalPlan, Volatility};
use querygate_pg_catalog as pg_catalog;
use std::any::Any;

/// Found out once, when the statement is bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asks {
    /// A function whose answer holds for one statement: the clock, `current_setting`.
    pub(crate) moment: bool,
    /// Anything that a session's own variables may answer: such a function, a random one, a catalog relation.
    pub(crate) session: bool,
    /// Nothing but catalog relations that are the same in all sessions, by functions that answer from the catalog: as long as the
    /// catalog and the settings that names depend on are the same, so is the answer.
    pub(crate) catalog_alone: bool,
}

impl Asks {
    /// Walks the plan with its subqueries.
    pub(crate) fn of(plan: &LogicalPlan) -> Self {
        let mut asks = Self::default();
        let (mut reads_catalog, mut alone) = (false, true);
        // The closures never fail, so neither does the walk.
        let _ = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let provider = source_as_provider(&scan.source).ok();
                let any: Option<&dyn Any> = provider.as_ref().map(|provider| provider.as_ref() as &dyn Any);
                let system = any.and_then(|any| any.downcast_ref::<pg_catalog::SystemTable>());
                asks.session |= system.is_some() || any.is_none();
                reads_catalog |= system.is_some();
                // A recursive query reads itself, and a series follows from its constants.
                let own_rows = || any.is_some_and(|any| any.is::<CteWorkTable>() || any.is::<GenerateSeriesTable>());
                alone &= system.map_or_else(own_rows, |table| !table.is_of_session());
            }
            node.apply_expressions(|expr| {
                expr.apply(|e| {
                    alone &= follows_from_catalog(e);
                    asks.add(volatility(e));
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        asks.catalog_alone = reads_catalog && alone;
        asks
    }

    fn add(&mut self, volatility: Volatility) {
        match volatility {
            Volatility::Immutable => {}
            Volatility::Stable => {
                self.moment = true;
                self.session = true;
            }
            Volatility::Volatile => self.session = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Shop;

    /// A plan that asks for the moment or the session is never kept for another statement.
    #[test]
    fn what_a_statement_asks_for() {
        let reader = Shop::open().owner();
        let asks = |sql: &str| reader.bind(sql).unwrap_or_else(|error| panic!("{sql}: {error}")).asks();
        let nothing = Asks::default();
        let session = Asks { session: true, ..nothing };
        let both = Asks { moment: true, ..session };
        let catalog = Asks { catalog_alone: true, ..session };
        let described = Asks { catalog_alone: true, ..both };
        for (sql, expected) in [
            ("SELECT 1", nothing),
            ("SELECT upper(name), count(*) FROM accounts GROUP BY 1", nothing),
            ("SELECT rank() OVER (ORDER BY id) FROM accounts", nothing),
            ("SELECT timestamptz '2024-01-01 10:00'", nothing),
            ("SELECT random()", session),
            ("SELECT gen_random_uuid()", session),
            ("SELECT relname FROM pg_class", catalog),
            ("SELECT table_name FROM information_schema.tables", catalog),
            ("SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE pg_table_is_visible(attrelid)", described),
            ("SELECT relname, current_schema(), current_user FROM pg_class", described),
            ("SELECT relname, (SELECT max(attnum) FROM pg_attribute WHERE attrelid = c.oid) FROM pg_class c", catalog),
            (
                "WITH RECURSIVE t AS (SELECT oid FROM pg_class UNION SELECT i.inhrelid FROM t, pg_inherits i WHERE i.inhparent = t.oid) \
              SELECT * FROM t",
                catalog,
            ),
            ("SELECT c.relname FROM pg_class c, generate_series(0, 3) s", catalog),
            ("SELECT (SELECT count(*) FROM generate_series(0, c.relnatts) s) FROM pg_class c", catalog),
            (
                "SELECT (SELECT count(*) FROM generate_series(0, c.relnatts) s WHERE random() < 2) FROM pg_class c",
                session,
            ),
            ("SELECT generate_series FROM generate_series(0, 3)", nothing),
            ("SELECT relname, pg_backend_pid() FROM pg_class", both),
            ("SELECT relname FROM pg_class WHERE relname = current_setting('timezone')", both),
            ("SELECT set_config('search_path', relname, false) FROM pg_class", both),
            ("SELECT relname, now() FROM pg_class", both),
            ("SELECT relname FROM pg_class ORDER BY random()", session),
            ("SELECT name FROM pg_settings", session),
            ("SELECT relname FROM pg_class, pg_stat_activity", session),
            ("SELECT relname FROM pg_class, accounts", session),
            ("SELECT now()", both),
            ("SELECT current_date", both),
            ("SELECT current_setting('timezone')", both),
            // Wherever it stands.
            ("SELECT id FROM orders WHERE placed < current_date", both),
            ("SELECT id FROM orders WHERE placed < 'tomorrow'", both),
            ("SELECT timestamptz 'now', date 'today'", both),
            ("SELECT id FROM accounts ORDER BY random()", session),
            ("SELECT (SELECT now())", both),
            ("SELECT id FROM accounts WHERE EXISTS (SELECT 1 FROM pg_class)", session),
            ("SELECT x FROM (SELECT now() AS x) q", both),
            ("SELECT 1 UNION ALL SELECT (random() * 2)::int", session),
            ("SELECT sum(random()) OVER (), max(now()) FROM accounts GROUP BY id", both),
        ] {
            assert_eq!(asks(sql), expected, "{sql}");
        }
    }
}
