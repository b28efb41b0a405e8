//! Computed keys of windows and of ordered aggregates, as columns of a projection below. Of some expressions (a comparison of
//! what a function gives) the engine cannot tell an order, not even above the very sort by them, and then refuses the plan.
//! Of a column it always can. And computed keys of joins, with names that no column has. A key that an aggregate's order names
//! twice is left out the second time: the engine counts such keys in two ways, and panics.
//! Needed with DataFusion 55.2.0.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{AggregateFunction, Sort, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Expr, Join, LogicalPlan, Projection, Window};
use std::collections::HashSet;
use std::sync::Arc;

/// The plan with such keys computed below the nodes that need them. Applied to a finished plan: the optimizer would put them back.
pub(crate) fn keys_as_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan
        .transform_up_with_subqueries(|node| match node {
            LogicalPlan::Window(window) => over_columns(window),
            LogicalPlan::Aggregate(aggregate) => of_columns(aggregate),
            LogicalPlan::Join(join) => Ok(with_names(join)),
            other => Ok(Transformed::no(other)),
        })?
        .data)
}

fn over_columns(window: Window) -> Result<Transformed<LogicalPlan>> {
    let mut keys = Keys::beside(window.input.schema());
    let exprs = rewritten(&LogicalPlan::Window(window.clone()), &window.window_expr, &mut keys)?;
    if keys.found.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let inner = Window::try_new(exprs, keys.below(&window.input)?)?;
    let shown = window.schema.iter().map(Expr::from).collect();
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(shown, Arc::new(LogicalPlan::Window(inner)))?)))
}

fn of_columns(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let mut keys = Keys::beside(aggregate.input.schema());
    let exprs = rewritten(&LogicalPlan::Aggregate(aggregate.clone()), &aggregate.aggr_expr, &mut keys)?;
    if keys.found.is_empty() && !keys.repeated {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let input = if keys.found.is_empty() { aggregate.input } else { keys.below(&aggregate.input)? };
    let inner = Aggregate::try_new_with_schema(input, aggregate.group_expr, exprs, aggregate.schema)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(inner)))
}

/// Computed keys become columns beside those of their side. One that prints as another, as a conversion prints as the column
/// that it converts, would be its column a second time. The engine names conversions itself, by what they print, which two of
/// one column may share: they are of one type here, and are known by other names to clients.
fn with_names(mut join: Join) -> Transformed<LogicalPlan> {
    let sides = [Arc::clone(join.left.schema()), Arc::clone(join.right.schema())];
    let prefix = unused_prefix(sides.iter().map(AsRef::as_ref));
    let [mut left, mut right] = sides.map(|side| side.columns().iter().map(Column::flat_name).collect::<HashSet<_>>());
    let mut changed = false;
    for (at, (l, r)) in join.on.iter_mut().enumerate() {
        for (side, key, names) in [("l", l, &mut left), ("r", r, &mut right)] {
            let name = match &*key {
                Expr::Column(_) => continue,
                Expr::Cast(_) | Expr::TryCast(_) => key.to_string(),
                _ => key.schema_name().to_string(),
            };
            if !names.insert(name) {
                *key = std::mem::take(key).alias(format!("{prefix}{at}{side}"));
                changed = true;
            }
        }
    }
    Transformed::new_transformed(LogicalPlan::Join(join), changed)
}

/// What no column of the inputs begins with.
fn unused_prefix<'a>(inputs: impl Iterator<Item = &'a DFSchema> + Clone) -> String {
    let mut prefix = "__key".to_owned();
    while inputs.clone().flat_map(|input| input.fields().iter()).any(|field| field.name().starts_with(&prefix)) {
        prefix.insert(0, '_');
    }
    prefix
}

/// A node's functions with columns for keys, under the names that they had.
fn rewritten(node: &LogicalPlan, exprs: &[Expr], keys: &mut Keys) -> Result<Vec<Expr>> {
    let names = NamePreserver::new(node);
    exprs
        .iter()
        .map(|expr| {
            let name = names.save(expr);
            let function = |expr: Expr| {
                Ok(match expr {
                    Expr::WindowFunction(call) => Transformed::yes(keys.of_window(*call)),
                    Expr::AggregateFunction(call) => Transformed::yes(keys.of_aggregate(call)),
                    other => Transformed::no(other),
                })
            };
            Ok(name.restore(expr.clone().transform_down(function)?.data))
        })
        .collect()
}

/// The computed keys of one node, each once.
struct Keys {
    /// No column of the input begins so.
    prefix: String,
    found: Vec<Expr>,
    /// An aggregate's order named one twice.
    repeated: bool,
}

impl Keys {
    fn beside(input: &DFSchema) -> Self {
        Self { prefix: unused_prefix(std::iter::once(input)), found: Vec::new(), repeated: false }
    }

    fn of_window(&mut self, mut call: WindowFunction) -> Expr {
        let params = &mut call.params;
        params.partition_by =
            std::mem::take(&mut params.partition_by).into_iter().map(|key| self.column(key)).collect();
        params.order_by = self.sorts(std::mem::take(&mut params.order_by));
        Expr::WindowFunction(Box::new(call))
    }

    fn of_aggregate(&mut self, mut call: AggregateFunction) -> Expr {
        let params = &mut call.params;
        let mut sorts = self.sorts(std::mem::take(&mut params.order_by));
        let written = sorts.len();
        let mut seen = HashSet::with_capacity(written);
        sorts.retain(|sort| seen.insert(sort.expr.clone()));
        self.repeated |= sorts.len() < written;
        params.order_by = sorts;
        // Of a DISTINCT one the arguments are its keys, and are to be known as such.
        for argument in &mut params.args {
            if let Some(at) = self.found.iter().position(|key| key == argument) {
                *argument = self.at(at);
            }
        }
        Expr::AggregateFunction(call)
    }

    fn sorts(&mut self, sorts: Vec<Sort>) -> Vec<Sort> {
        sorts
            .into_iter()
            .map(|Sort { expr, asc, nulls_first }| Sort { expr: self.column(expr), asc, nulls_first })
            .collect()
    }

    fn column(&mut self, key: Expr) -> Expr {
        let key = key.unalias();
        if matches!(key, Expr::Column(_) | Expr::Literal(..)) {
            return key;
        }
        let at = self.found.iter().position(|known| *known == key).unwrap_or_else(|| {
            self.found.push(key);
            self.found.len() - 1
        });
        self.at(at)
    }

    fn at(&self, at: usize) -> Expr {
        Expr::Column(Column::new_unqualified(format!("{}{at}", self.prefix)))
    }

    /// The input with the keys after its columns.
    fn below(&self, input: &Arc<LogicalPlan>) -> Result<Arc<LogicalPlan>> {
        let keys = self.found.iter().enumerate().map(|(at, key)| key.clone().alias(format!("{}{at}", self.prefix)));
        let columns = input.schema().iter().map(Expr::from).chain(keys).collect();
        Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, Arc::clone(input))?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reader, Shop, on_runtime};
    use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

    /// Keys of whose order the engine knows nothing, and joins by conversions that print as their columns. Each is an
    /// error where its keys are computed in place.
    const STATEMENTS: [(&str, &[&str]); 4] = [
        (
            "SELECT n, rank() OVER (PARTITION BY length(s) > 1 ORDER BY abs(n) > 1, n) FROM \
             (VALUES (1, 'a'), (2, 'bb'), (3, 'c'), (4, 'dd')) v(n, s) ORDER BY n",
            &["1|1", "2|1", "3|2", "4|2"],
        ),
        (
            "SELECT a.t, b.n FROM (VALUES ('1'), ('2')) a(t) JOIN (VALUES (1), (2)) b(n) ON a.t::int = b.n ORDER BY a.t",
            &["1|1", "2|2"],
        ),
        (
            "SELECT a.t, b.t FROM (VALUES ('1'), ('2')) a(t) JOIN (VALUES ('01'), ('3')) b(t) ON a.t::int = b.t::int",
            &["1|01"],
        ),
        (
            "SELECT a.n FROM (VALUES (1), (2)) a(n) JOIN (VALUES (1::bigint, 1::bigint), (2, 3)) b(t, q) \
             ON a.n = b.t AND a.n = b.q",
            &["1"],
        ),
    ];

    /// Ordered aggregates have their keys below as well.
    #[test]
    fn aggregates_take_their_rows_in_the_order_of_their_keys() {
        let reader = Shop::open().owner();
        for (sql, expected) in [
            (
                "SELECT string_agg(s, ',' ORDER BY abs(n) > 2 DESC, n) FROM (VALUES (1, 'a'), (2, 'bb'), (3, 'c')) v(n, s)",
                "c,a,bb",
            ),
            (
                "SELECT array_agg(DISTINCT length(s) > 1 ORDER BY length(s) > 1 DESC) FROM (VALUES ('a'), ('bb'), ('c')) v(s)",
                "[true, false]",
            ),
        ] {
            assert_eq!(reader.rows(sql).unwrap(), [expected], "{sql}");
        }
        let plan = reader.optimized("SELECT string_agg(name, ',' ORDER BY rank > 2 DESC, name) FROM regions");
        let text = keys_as_columns(plan).unwrap().display_indent().to_string();
        assert!(text.contains("AS __key0"), "{text}");
    }

    /// The second mention of a key sorts nothing, however it is written.
    #[test]
    fn keys_named_twice_are_one_key() {
        let reader = Shop::open().owner();
        const ROWS: &str = "(VALUES (1, 'b', 5), (2, 'a', 6), (3, 'a', 7)) v(n, s, x)";
        for (sql, expected) in [
            (format!("SELECT DISTINCT ON (s) s, n FROM {ROWS} ORDER BY s, n DESC, n"), vec!["a|3", "b|1"]),
            (format!("SELECT DISTINCT ON (s, s) s, n FROM {ROWS} ORDER BY s, s DESC, n"), vec!["a|2", "b|1"]),
            (format!("SELECT first_value(n ORDER BY s, s DESC, n DESC) FROM {ROWS}"), vec!["3"]),
            (format!("SELECT last_value(n ORDER BY x % 3, x % 3) FROM {ROWS}"), vec!["1"]),
            (format!("SELECT array_agg(n ORDER BY s, s, n DESC) FROM {ROWS}"), vec!["[3, 2, 1]"]),
        ] {
            assert_eq!(reader.rows(&sql).unwrap(), expected, "{sql}");
        }
        let optimized = reader.optimized(&format!("SELECT first_value(n ORDER BY s, s, n) FROM {ROWS}"));
        let after = keys_as_columns(optimized).unwrap().display_indent().to_string();
        assert!(after.contains("ORDER BY [v.s ASC NULLS LAST, v.n ASC NULLS LAST]"), "{after}");
    }

    fn planned(reader: &Reader, plan: &LogicalPlan) -> bool {
        let (state, plan) = (Arc::clone(&reader.state), plan.clone());
        on_runtime(async move {
            DefaultPhysicalPlanner::default().create_physical_plan(&plan, state.as_ref()).await.is_ok()
        })
    }

    #[test]
    fn statements_are_refused_without_the_columns() {
        let reader = Shop::open().owner();
        let mut planned_without = Vec::new();
        for (sql, expected) in STATEMENTS {
            assert_eq!(reader.rows(sql).unwrap(), expected, "{sql}");
            let optimized = reader.optimized(sql);
            assert!(planned(&reader, &keys_as_columns(optimized.clone()).unwrap()), "{sql}");
            if planned(&reader, &optimized) {
                planned_without.push(sql);
            }
        }
        assert_eq!(planned_without, Vec::<&str>::new(), "DataFusion plans these by itself now");
    }

    #[test]
    fn keys_are_columns_below_and_hidden_above() {
        let reader = Shop::open().owner();
        let plan = reader.optimized("SELECT rank() OVER (ORDER BY length(name) > 4) AS r FROM regions");
        let after = keys_as_columns(plan.clone()).unwrap();
        assert_eq!(after.schema(), plan.schema());
        let text = after.display_indent().to_string();
        assert!(text.contains("ORDER BY [__key0 ASC") && text.contains("AS __key0"), "{text}");
    }

    /// A column or a constant needs none, and a name that a column has is not taken.
    #[test]
    fn names_are_those_of_no_column() {
        let reader = Shop::open().owner();
        let plan = reader.optimized("SELECT rank() OVER (PARTITION BY id ORDER BY name) FROM regions");
        assert_eq!(keys_as_columns(plan.clone()).unwrap(), plan);
        let taken = "SELECT DISTINCT \"__key0\", count(*) OVER (PARTITION BY length(s) > 1) FROM \
                     (VALUES (7, 'a'), (8, 'bb'), (9, 'cc')) v(\"__key0\", s) ORDER BY 1";
        assert_eq!(reader.rows(taken).unwrap(), ["7|1", "8|2", "9|2"]);
    }
}
