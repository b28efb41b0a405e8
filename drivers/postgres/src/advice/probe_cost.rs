//! What the server's planner takes for cheaper than it is: look-ups by an index, once for each row of something else, whose rows
//! lie scattered; many scattered rows by a bitmap; and what comes above a join by several columns.
//! Of look-ups it supposes that the pages of all look-ups together are read once each and stay in memory, and asks next to
//! nothing for coming to a page that is there; yet such a row takes many times longer than one that is read in sequence.

use super::plan_walk::PlanWalk;
use querygate_driver_api::advice::{IndexSpec, IndexedTable};
use serde_json::Value;

/// Fetching a row that is in memory and lies apart from the last, in units of a page read in sequence; 1.4 to 2.3 µs against 3.8 µs.
pub(super) const FETCH: f64 = 0.5;
/// The same for a row that a bitmap finds, in the order of pages: 0.19 to 0.23 where a seventh of the rows of a table in memory is fetched,
/// by two workers as by the whole scan that it is measured against. The planner counts pages, of which many scattered rows leave few out.
pub(super) const FETCH_IN_ORDER: f64 = 0.2;
/// Looking at an index entry and its row, in the same unit: the planner's own costs of an index entry, a row and an operator.
pub(super) const VISIT: f64 = 0.0175;

/// A table with how far its rows lie in the order of each column, 0 to 1.
pub(super) struct Known {
    pub(super) table: IndexedTable,
    pub(super) ordered: Vec<f64>,
}

/// What is known of an index in a plan.
pub(super) struct Keys {
    rows: f64,
    /// Name and distinct values of its columns.
    columns: Vec<(String, f64)>,
    /// How far the rows that it finds lie apart, 0 to 1.
    pub(super) scattered: f64,
}

/// Prices of plans.
pub(super) struct ProbeCosts<'a> {
    pub(super) tables: &'a [Known],
    /// Hypothetical indexes by their names in plans.
    pub(super) made: &'a dyn Fn(&str) -> Option<IndexSpec>,
    pub(super) columns_together: ColumnsTogether,
}

/// What several columns that are compared together are taken for. The planner takes them for independent, and they often are not.
#[derive(Clone, Copy)]
pub(super) enum ColumnsTogether {
    /// Half way, in orders of magnitude, between independent and as selective as the most selective one alone.
    HalfWay,
    /// As selective as the most selective one alone: the most rows that there may be.
    Together,
}

pub(super) fn number(node: &Value, key: &str) -> f64 {
    node.get(key).and_then(Value::as_f64).unwrap_or(0.0)
}

pub(super) fn text<'a>(node: &'a Value, key: &str) -> &'a str {
    node.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node.get("Plans").and_then(Value::as_array).into_iter().flatten()
}

impl ProbeCosts<'_> {
    /// What the plan costs beyond what the planner says, in its unit.
    pub(super) fn surplus(&self, plan: &Value) -> f64 {
        PlanWalk::of(self, plan).surplus(plan)
    }

    /// Entries that an index finds for one look-up, and how many times as many as the planner supposes; `None` where no key is
    /// compared. Of several keys, those after the most selective may exclude everything or nothing: see [`ColumnsTogether`].
    pub(super) fn found(&self, entries: &Value, relation: &str) -> (Option<f64>, f64) {
        let Some(keys) = self.keys(text(entries, "Index Name"), relation) else { return (None, 1.0) };
        let condition = text(entries, "Index Cond");
        let compared = keys.columns.iter().take_while(|(name, _)| is_equality(condition, name));
        let compared: Vec<f64> = compared.map(|(_, distinct)| *distinct).collect();
        let Some(most) = compared.iter().copied().reduce(f64::max) else { return (None, 1.0) };
        let apart = (keys.rows / compared.iter().product::<f64>()).max(1.0);
        let alone = (keys.rows / most).max(1.0);
        let expected = match self.columns_together {
            ColumnsTogether::HalfWay => (apart * alone).sqrt(),
            ColumnsTogether::Together => alone,
        };
        (Some(expected), expected / apart)
    }

    pub(super) fn keys(&self, index: &str, relation: &str) -> Option<Keys> {
        if let Some(spec) = (self.made)(index) {
            let known = self.tables.iter().find(|known| known.table.table == spec.table)?;
            return keys(known, spec.keys.iter().map(querygate_driver_api::identifier::Identifier::as_str));
        }
        let of = |known: &&Known| known.table.table.name() == relation;
        self.tables.iter().filter(of).find_map(|known| {
            let index = known.table.indexes.iter().find(|one| one.name == index)?;
            keys(known, index.keys.iter().map(querygate_driver_api::identifier::Identifier::as_str))
        })
    }
}

fn keys<'a>(known: &Known, names: impl Iterator<Item = &'a str>) -> Option<Keys> {
    let mut scattered = None;
    let mut columns = Vec::new();
    for name in names {
        let place = known.table.columns.iter().position(|column| column.name.as_str() == name)?;
        let ordered = known.ordered.get(place).copied().unwrap_or(0.0);
        // As the planner goes by it: by the square.
        scattered.get_or_insert(1.0 - ordered * ordered);
        columns.push((name.to_owned(), known.table.columns.get(place)?.distinct.max(1.0)));
    }
    Some(Keys { rows: known.table.rows, columns, scattered: scattered? })
}

/// Whether the condition compares the index's column for equality. Names of other tables' columns have their tables' before them.
fn is_equality(condition: &str, column: &str) -> bool {
    let quoted = format!("\"{}\"", column.replace('"', "\"\""));
    [column, quoted.as_str()]
        .iter()
        .any(|name| condition.contains(&format!("({name} = ")) || condition.contains(&format!("({name})::text = ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::advice::{IndexAbilities, IndexedColumn};
    use querygate_driver_api::identifier::{Identifier, TableRef};
    use serde_json::json;

    fn known(ordered: f64) -> Vec<Known> {
        let column = IndexedColumn {
            name: Identifier::new("supplier").unwrap(),
            width: 4.0,
            align: 4,
            distinct: 10_000.0,
            nulls: 0.0,
            dedupes: true,
            collates: false,
        };
        let table = IndexedTable {
            table: TableRef::new(["public", "lines"]).unwrap(),
            rows: 6e6,
            columns: vec![column],
            indexes: Vec::new(),
            row_key: Vec::new(),
            writes: None,
            abilities: IndexAbilities::ALL,
        };
        vec![Known { table, ordered: vec![ordered] }]
    }

    fn surplus(ordered: f64, plan: &Value) -> f64 {
        let spec = IndexSpec {
            table: TableRef::new(["public", "lines"]).unwrap(),
            keys: vec![Identifier::new("supplier").unwrap()],
            include: Vec::new(),
            code_point: Vec::new(),
            rows: None,
        };
        let made = |name: &str| (name == "<1>btree").then(|| spec.clone());
        ProbeCosts { tables: &known(ordered), made: &made, columns_together: ColumnsTogether::HalfWay }.surplus(plan)
    }

    fn scan(condition: &str) -> Value {
        json!({"Node Type": "Index Scan", "Parent Relationship": "Inner", "Index Name": "<1>btree", "Relation Name": "lines",
            "Index Cond": condition, "Startup Cost": 0.43, "Total Cost": 60.97, "Plan Rows": 183})
    }

    fn looped(inner: &Value, join: &str) -> Value {
        json!({"Node Type": "Nested Loop", "Join Type": join, "Inner Unique": false, "Plan Rows": 86_000, "Total Cost": 30_000.0,
            "Plans": [{"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Plan Rows": 400}, inner]})
    }

    #[test]
    fn rows_that_lie_scattered_are_fetched_one_by_one() {
        let by_key = scan("(supplier = s.id)");
        // 600 entries for each of 400, 0.43 to enter: not 60.97.
        let expected = 400.0 * (0.43 + 600.0 * (VISIT + FETCH) - 60.97);
        assert!((surplus(0.0, &looped(&by_key, "Inner")) - expected).abs() < 1e-6);
        assert!(surplus(1.0, &looped(&by_key, "Inner")).abs() < 1e-9, "they lie together");
        assert!(surplus(0.0, &by_key).abs() < 1e-9, "once is priced well");
        assert!(surplus(0.0, &looped(&by_key, "Semi")).abs() < 1e-9, "the first row is enough");
        // Of a range it is known only what passes.
        let range = surplus(0.0, &looped(&scan("(supplier > s.id)"), "Inner"));
        assert!((range - 400.0 * (0.43 + 183.0 * (VISIT + FETCH) - 60.97)).abs() < 1e-6, "{range}");
    }

    #[test]
    fn what_is_kept_or_stopped_is_not_fetched_again() {
        let loops = looped(&scan("(supplier = s.id)"), "Inner");
        let whole = surplus(0.0, &loops);
        let limited = json!({"Node Type": "Limit", "Total Cost": 3_000.0, "Plans": [loops.clone()]});
        assert!((surplus(0.0, &limited) - whole / 10.0).abs() < 1e-6);
        let mut hashed = json!({"Node Type": "Hash", "Parent Relationship": "Inner", "Plans": [loops]});
        assert!((surplus(0.0, &looped(&hashed, "Inner")) - whole).abs() < 1e-6);
        hashed["Node Type"] = json!("Append");
        assert!((surplus(0.0, &looped(&hashed, "Inner")) - 400.0 * whole).abs() < 1e-3);
    }

    #[test]
    fn keys_that_may_belong_together_find_more_and_make_loops_run_more_often() {
        let mut tables = known(0.0);
        let mut other = tables[0].table.columns[0].clone();
        (other.name, other.distinct) = (Identifier::new("part").unwrap(), 200_000.0);
        tables[0].table.columns.push(other);
        tables[0].ordered.push(0.0);
        let names = ["part", "supplier"].map(|name| Identifier::new(name).unwrap());
        let table = TableRef::new(["public", "lines"]).unwrap();
        let spec = IndexSpec { table, keys: names.to_vec(), include: Vec::new(), code_point: Vec::new(), rows: None };
        let made = |name: &str| (name == "<1>btree").then(|| spec.clone());
        let probe_cost = ProbeCosts { tables: &tables, made: &made, columns_together: ColumnsTogether::HalfWay };
        let mut by_both = scan("((part = p.part) AND (supplier = p.supplier))");
        (by_both["Plan Rows"], by_both["Total Cost"]) = (json!(1), json!(1.5));
        // 30 lines of a part; at most one of them if part and supplier had nothing to do with each other.
        let mean = 30_f64.sqrt();
        let mut both = looped(&by_both, "Inner");
        (both["Plan Rows"], both["Parent Relationship"]) = (json!(2), json!("Outer"));
        let inner =
            json!({"Node Type": "Index Only Scan", "Parent Relationship": "Inner", "Total Cost": 0.3, "Plan Rows": 1});
        let whole = json!({"Node Type": "Nested Loop", "Join Type": "Inner", "Plan Rows": 2, "Plans": [both, inner]});
        let fetched = 400.0 * (0.43 + mean * (VISIT + FETCH) - 1.5);
        let expected = fetched + (400.0 * mean - 2.0) * 0.3;
        assert!((probe_cost.surplus(&whole) - expected).abs() < 1e-6, "{} {expected}", probe_cost.surplus(&whole));
        let worst = ProbeCosts { columns_together: ColumnsTogether::Together, ..probe_cost }.surplus(&whole);
        let most = 400.0 * (0.43 + 30.0 * (VISIT + FETCH) - 1.5) + (400.0 * 30.0 - 2.0) * 0.3;
        assert!((worst - most).abs() < 1e-6, "{worst} {most}");
    }

    #[test]
    fn a_loop_over_a_join_by_a_key_of_several_columns_runs_for_each_row_that_has_one() {
        let by_key = scan("(supplier = s.id)");
        let side = |alias: &str, rows: f64| json!({"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Relation Name": "lines", "Alias": alias, "Plan Rows": rows});
        let joined = |condition: &str, kind: &str, shared: bool, inner: f64| {
            let hash =
                json!({"Node Type": "Hash", "Parallel Aware": shared, "Plan Rows": inner, "Plans": [side("p", inner)]});
            let join = json!({"Node Type": "Hash Join", "Parent Relationship": "Outer", "Join Type": kind, "Plan Rows": 400,
                "Hash Cond": condition, "Plans": [side("l", 600_000.0), hash]});
            let looped = json!({"Node Type": "Nested Loop", "Join Type": "Semi", "Plan Rows": 400, "Plans": [join, by_key.clone()]});
            json!({"Node Type": "Gather", "Workers Planned": 2, "Plan Rows": 960, "Plans": [looped]})
        };
        let several = "((p.supplier = l.supplier) AND (p.part = l.part))";
        let told = |plan: &Value| surplus(0.0, plan) / 60.97;
        // Of a tenth of the six million rows each meets one, and the planner supposes 400; the first row of a look-up is enough.
        assert!((told(&joined(several, "Inner", false, 6e6)) - 599_600.0).abs() < 1e-6);
        // A hundredth of those that they meet is left by conditions.
        assert!((told(&joined(several, "Inner", false, 60_000.0)) - 5_600.0).abs() < 1e-6);
        // In a hash that the workers fill together, each side is one worker's part.
        assert!((told(&joined(several, "Inner", true, 60_000.0)) - 14_000.0).abs() < 1e-6);
        // One column, two tables, another kind of join.
        for (condition, kind) in
            [("(p.supplier = l.supplier)", "Inner"), ("((p.a = l.a) AND (q.b = l.b))", "Inner"), (several, "Semi")]
        {
            assert!(told(&joined(condition, kind, false, 6e6)).abs() < 1e-9, "{condition} {kind}");
        }
    }

    #[test]
    fn many_scattered_rows_of_a_bitmap_are_dearer_than_their_pages() {
        let bitmap = |rows: f64| {
            let entries = json!({"Node Type": "Bitmap Index Scan", "Parent Relationship": "Member", "Index Name": "<1>btree",
                "Total Cost": 12_000.0, "Plan Rows": rows});
            let other = json!({"Node Type": "Bitmap Index Scan", "Parent Relationship": "Member", "Index Name": "unknown",
                "Total Cost": 1.0, "Plan Rows": 1});
            let either =
                json!({"Node Type": "BitmapOr", "Total Cost": 12_000.0, "Plan Rows": rows, "Plans": [other, entries]});
            json!({"Node Type": "Bitmap Heap Scan", "Relation Name": "lines", "Total Cost": 133_000.0, "Plan Rows": 47_000,
                "Plans": [either]})
        };
        let expected = 900_000.0 * (VISIT + FETCH_IN_ORDER) - 121_000.0;
        assert!((surplus(0.0, &bitmap(900_000.0)) - expected).abs() < 1e-6);
        assert!(surplus(0.0, &bitmap(75_000.0)).abs() < 1e-9, "its pages are dearer");
        assert!(surplus(1.0, &bitmap(900_000.0)).abs() < 1e-9, "they lie together");
    }

    #[test]
    fn equalities_are_told_from_ranges_and_from_other_tables_columns() {
        assert!(is_equality("((a = t.b) AND (c > 1))", "a") && !is_equality("((a = t.b) AND (c > 1))", "c"));
        assert!(!is_equality("(a = t.b)", "b") && is_equality("((a)::text = 'x'::text)", "a"));
        assert!(is_equality("(\"or\"\"ders\" = 1)", "or\"ders"));
    }
}
