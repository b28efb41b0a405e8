//! How often each node of one plan runs and how many rows it gives, where the planner supposes fewer; and what that adds to its cost.

use super::probe_cost::{FETCH, FETCH_IN_ORDER, ProbeCosts, VISIT, children, number, text};
use serde_json::Value;
use std::collections::HashMap;

/// One plan, with what its nodes do not say of the others.
pub(super) struct PlanWalk<'a> {
    prices: &'a ProbeCosts<'a>,
    /// By how many PostgreSQL divides the rows of parallel nodes.
    workers: f64,
    /// Rows of whole tables by their names in the plan.
    tables: HashMap<&'a str, f64>,
}

impl<'a> PlanWalk<'a> {
    pub(super) fn of(prices: &'a ProbeCosts<'a>, plan: &'a Value) -> Self {
        let mut walk = Self { prices, workers: 1.0, tables: HashMap::new() };
        walk.look(plan);
        walk
    }

    /// What the plan costs beyond what the planner says, in its unit.
    pub(super) fn surplus(&self, plan: &Value) -> f64 {
        self.node(plan, Runs { times: 1.0, first: false })
    }

    fn look(&mut self, node: &'a Value) {
        let planned = number(node, "Workers Planned");
        if planned > 0.0 {
            // The process that gathers does a part of the work, too, the less the more workers there are.
            self.workers = planned + (1.0 - 0.3 * planned).max(0.0);
        }
        let relation = text(node, "Relation Name");
        let known = self.prices.tables.iter().find(|known| known.table.table.name() == relation);
        if let (Some(known), false) = (known, relation.is_empty()) {
            self.tables.insert(text(node, "Alias"), known.table.rows);
        }
        children(node).for_each(|child| self.look(child));
    }

    fn node(&self, node: &Value, runs: Runs) -> f64 {
        let own = match text(node, "Node Type") {
            "Index Scan" => self.scan(node, node, runs),
            "Bitmap Heap Scan" => children(node).next().map_or(0.0, |entries| {
                if runs.times > 1.0 { self.scan(node, entries, runs) } else { self.bitmap(node, entries) }
            }),
            _ => 0.0,
        };
        let all = children(node).map(|child| self.node(child, self.inner(node, child, runs))).sum::<f64>();
        let more = self.repeated(node, runs);
        // What stops early pays a part.
        let whole = children(node).next().map_or(0.0, |child| number(child, "Total Cost"));
        let is_limit = text(node, "Node Type") == "Limit" && whole > 0.0;
        let part = if is_limit { (number(node, "Total Cost") / whole).min(1.0) } else { 1.0 };
        own + part * (all + more)
    }

    /// What the inner side of a nested loop costs because it runs more often than the planner supposes.
    fn repeated(&self, node: &Value, runs: Runs) -> f64 {
        let side = |name: &str| children(node).find(|child| text(child, "Parent Relationship") == name);
        match (text(node, "Node Type"), side("Outer"), side("Inner")) {
            ("Nested Loop", Some(outer), Some(inner)) => {
                runs.times * (self.rows(outer) - number(outer, "Plan Rows")).max(0.0) * number(inner, "Total Cost")
            }
            _ => 0.0,
        }
    }

    /// Rows of a node. Columns that a join compares together often belong together, which the planner knows nothing of.
    fn rows(&self, node: &Value) -> f64 {
        let planned = number(node, "Plan Rows");
        // Each child is looked at once: what looks twice takes twice as long at every level.
        let times = |rows: f64, child: &Value| (rows / number(child, "Plan Rows").max(1.0)).max(1.0);
        let mut sides = children(node);
        match (text(node, "Node Type"), sides.next(), sides.next()) {
            ("Index Scan" | "Index Only Scan", ..) => planned * self.prices.found(node, text(node, "Relation Name")).1,
            ("Nested Loop", Some(outer), Some(inner)) => {
                let (outer_rows, inner_rows) = (self.rows(outer), self.rows(inner));
                let joined = planned * times(outer_rows, outer);
                let plain = text(node, "Join Type") == "Inner" && node.get("Join Filter").is_none();
                let once = node.get("Inner Unique").and_then(Value::as_bool).unwrap_or(false);
                if plain && !once && times(inner_rows, inner) > 1.0 {
                    joined.max(outer_rows * inner_rows)
                } else {
                    joined
                }
            }
            ("Hash Join" | "Merge Join", Some(one), Some(other)) => {
                let (rows, others) = (self.rows(one), self.rows(other));
                (planned * times(rows, one)).max(self.joined_by_key(node, other, rows * others))
            }
            (
                "Sort" | "Incremental Sort" | "Gather" | "Gather Merge" | "Memoize" | "Materialize" | "Hash",
                Some(child),
                _,
            ) => planned * times(self.rows(child), child),
            _ => planned,
        }
    }

    /// `fetching` gets rows, by the entries that `entries` finds. A look-up that runs once, the planner prices well.
    fn scan(&self, fetching: &Value, entries: &Value, runs: Runs) -> f64 {
        if runs.times <= 1.0 {
            return 0.0;
        }
        let Some(keys) = self.prices.keys(text(entries, "Index Name"), text(fetching, "Relation Name")) else {
            return 0.0;
        };
        let found = self.prices.found(entries, text(fetching, "Relation Name")).0;
        let least = number(entries, "Plan Rows").max(1.0);
        let visited = if runs.first { 1.0 } else { found.map_or(least, |found| found.max(least)) };
        let careful = number(fetching, "Startup Cost") + visited * (VISIT + FETCH * keys.scattered);
        runs.times * (careful - number(fetching, "Total Cost")).max(0.0)
    }

    /// How far the rows that an index or several find lie apart, at most; `None` where that is not known of any.
    fn scattered(&self, entries: &Value, relation: &str) -> Option<f64> {
        let own = self.prices.keys(text(entries, "Index Name"), relation).map(|keys| keys.scattered);
        children(entries).filter_map(|child| self.scattered(child, relation)).chain(own).reduce(f64::max)
    }

    /// `fetching` gets, once, the rows that `entries` finds, page after page.
    fn bitmap(&self, fetching: &Value, entries: &Value) -> f64 {
        let Some(scattered) = self.scattered(entries, text(fetching, "Relation Name")) else { return 0.0 };
        let planned = number(fetching, "Total Cost") - number(entries, "Total Cost");
        let careful = number(entries, "Plan Rows") * (VISIT + FETCH_IN_ORDER * scattered);
        (careful - planned).max(0.0)
    }

    /// How often a child runs, if its parent runs so.
    fn inner(&self, node: &Value, child: &Value, runs: Runs) -> Runs {
        let again = Runs { first: false, ..runs };
        let outer = children(node).find(|child| text(child, "Parent Relationship") == "Outer");
        let rows = outer.map_or_else(|| number(node, "Plan Rows"), |outer| self.rows(outer)).max(1.0);
        match (text(node, "Node Type"), text(child, "Parent Relationship")) {
            (_, "InitPlan") => Runs { times: 1.0, first: false },
            (_, "SubPlan") => Runs { times: runs.times * rows, first: false },
            ("Nested Loop", "Inner") => {
                let unique = node.get("Inner Unique").and_then(Value::as_bool).unwrap_or(false);
                Runs { times: runs.times * rows, first: unique || matches!(text(node, "Join Type"), "Semi" | "Anti") }
            }
            // Kept for the next time.
            ("Materialize" | "Hash" | "Sort", _) => Runs { times: 1.0, first: false },
            ("Memoize", _) => {
                let part = number(node, "Total Cost") / number(child, "Total Cost").max(f64::MIN_POSITIVE);
                Runs { times: runs.times * part.min(1.0), ..runs }
            }
            _ => again,
        }
    }

    /// Rows of a join by several columns of the same two tables, which are a key of one of them: each row of the other meets one, if
    /// conditions have left it. 0 for other joins. `pairs_of_rows`: those of one side times those of the other.
    fn joined_by_key(&self, join: &Value, inner: &Value, pairs_of_rows: f64) -> f64 {
        let condition = [text(join, "Hash Cond"), text(join, "Merge Cond")].concat();
        let pairs: Vec<[&str; 2]> = condition.split(") AND (").filter_map(joined_tables).collect();
        let several = |pair: &&[&str; 2]| pairs.iter().filter(|other| other == pair).count() > 1;
        let (Some(pair), "Inner") = (pairs.iter().find(several), text(join, "Join Type")) else { return 0.0 };
        let Some(rows) = pair.iter().map(|table| self.tables.get(table).copied()).collect::<Option<Vec<f64>>>() else {
            return 0.0;
        };
        let key_side = rows.into_iter().fold(f64::INFINITY, f64::min).max(1.0);
        // Both sides are parts of what the workers have where they fill a hash together.
        let is_shared = inner.get("Parallel Aware").and_then(Value::as_bool).unwrap_or(false);
        let parts = if is_shared { self.workers } else { 1.0 };
        pairs_of_rows * parts / key_side
    }
}

/// How often a node runs, and whether it is left at the first row.
#[derive(Clone, Copy)]
struct Runs {
    times: f64,
    first: bool,
}

/// The names of the tables whose columns an equality compares, ascending: of `a.x = b.y`, with or without parentheses around it.
fn joined_tables(equality: &str) -> Option<[&str; 2]> {
    let (left, right) = equality.split_once(" = ")?;
    let table = |column: &'_ str| -> Option<(usize, usize)> {
        let start = column.len() - column.trim_start_matches('(').len();
        Some((start, column.rfind('.')?)).filter(|(start, dot)| start < dot)
    };
    let (left, right) = (left.trim(), right.trim());
    let (one, other) = (table(left)?, table(right)?);
    let mut names = [left.get(one.0..one.1)?, right.get(other.0..other.1)?];
    names.sort_unstable();
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equality_of_two_columns_names_their_tables() {
        assert_eq!(joined_tables("((\"a b\".x = c.y"), Some(["\"a b\"", "c"]));
        assert_eq!(joined_tables("c.y = upper(x)"), None);
    }
}
