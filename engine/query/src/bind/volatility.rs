//! What a bound statement asks of the moment and the session it runs in. Plans of statements that ask nothing are the
//! same in every session.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunctionDefinition};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use querygate_pg_catalog as pg_catalog;
use querygate_rules::value_of_nullable;
use std::any::Any;

/// Found out once, when the statement is bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asks {
    /// A function whose answer holds for one statement: the clock, `current_setting`.
    pub(crate) moment: bool,
    /// Anything that a session's own variables may answer: such a function, a random one, a catalog relation.
    pub(crate) session: bool,
}

impl Asks {
    /// Walks the plan with its subqueries.
    pub(crate) fn of(plan: &LogicalPlan) -> Self {
        let mut asks = Self::default();
        // The closures never fail, so neither does the walk.
        let _ = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                asks.session |= source_as_provider(&scan.source).map_or(true, |provider| {
                    let any: &dyn Any = provider.as_ref();
                    any.is::<pg_catalog::SystemTable>()
                });
            }
            node.apply_expressions(|expr| {
                expr.apply(|e| {
                    asks.add(volatility(e));
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
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

/// Of the expression's own function, if it calls one.
fn volatility(expr: &Expr) -> Volatility {
    match expr {
        // It hands its value on.
        nullable if value_of_nullable(nullable).is_some() => Volatility::Immutable,
        Expr::ScalarFunction(call) => call.func.signature().volatility,
        Expr::AggregateFunction(AggregateFunction { func, .. }) => func.signature().volatility,
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(func) => func.signature().volatility,
            WindowFunctionDefinition::WindowUDF(func) => func.signature().volatility,
        },
        Expr::HigherOrderFunction(call) => call.func.signature().volatility,
        // Casts of a text to a timestamp with zone, and comparisons, depend on settings that the plan's key holds.
        _ => Volatility::Immutable,
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
        let nothing = Asks { moment: false, session: false };
        let session = Asks { moment: false, session: true };
        let both = Asks { moment: true, session: true };
        for (sql, expected) in [
            ("SELECT 1", nothing),
            ("SELECT upper(name), count(*) FROM accounts GROUP BY 1", nothing),
            ("SELECT rank() OVER (ORDER BY id) FROM accounts", nothing),
            ("SELECT timestamptz '2024-01-01 10:00'", nothing),
            ("SELECT random()", session),
            ("SELECT gen_random_uuid()", session),
            ("SELECT relname FROM pg_class", session),
            ("SELECT table_name FROM information_schema.tables", session),
            ("SELECT now()", both),
            ("SELECT current_date", both),
            ("SELECT current_setting('timezone')", both),
            // Wherever it stands.
            ("SELECT id FROM orders WHERE placed < current_date", both),
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
