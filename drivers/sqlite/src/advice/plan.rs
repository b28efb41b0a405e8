//! What EXPLAIN QUERY PLAN says, as rows that are visited. Pure: knows no connection.
//!
//! SQLite does not print the cost of a plan, so it is counted here from what it does print: which table or index each loop
//! visits, and how many leading columns bound it. A row or index entry that is visited costs 1, a row fetched through an
//! index 3 more, finding the first entry log2 of the entries; rows that are sorted cost their number times its log2. Inner
//! loops run once for each row that the outer ones let through.

use std::collections::HashMap;

/// Fetching a row through an index, in visits.
const FETCH: f64 = 3.0;
/// Share of rows behind an open range of unknown values, and behind one that is closed: SQLite's own guesses.
pub(crate) const OPEN_RANGE: f64 = 0.25;
const CLOSED_RANGE: f64 = 1.0 / 64.0;
/// Rows per key of an index that SQLite makes for one statement only.
const AUTOMATIC: f64 = 10.0;

/// A line of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) id: i64,
    pub(crate) parent: i64,
    pub(crate) detail: String,
}

/// What is known of the tables and indexes of a plan.
pub(crate) trait Known {
    /// Rows of the table behind an alias of the statement.
    fn rows(&self, alias: &str) -> f64;
    /// Entries of an index, and entries behind the first so many of its columns at one value.
    fn entries(&self, index: &str, columns: usize) -> Option<(f64, f64)>;
    /// Share of the visited rows that meet the statement's other conditions on the table, when so many columns of the index
    /// were bound.
    fn kept(&self, alias: &str, index: Option<(&str, usize)>) -> f64;
    /// Whether the statement compares each of the first so many columns of the index with a value of its own. Otherwise one
    /// of them is bound by an outer loop, or by the rows of a subquery.
    fn has_values(&self, alias: &str, index: &str, columns: usize) -> bool;
}

/// The cost of a plan, and the names of the indexes that it uses.
pub(crate) fn cost(steps: &[Step], known: &dyn Known) -> (f64, Vec<String>) {
    let mut reading = Reading { steps, known, made: HashMap::new(), used: Vec::new(), once: 0.0 };
    let (cost, _) = reading.block(0, 0);
    (cost + reading.once, reading.used)
}

/// Subqueries nest at most this deep; SQLite allows less.
const DEPTH_MAX: usize = 1_000;

struct Reading<'a> {
    steps: &'a [Step],
    known: &'a dyn Known,
    /// Rows of subqueries that are made before they are read.
    made: HashMap<String, f64>,
    used: Vec<String>,
    /// What is done once, in whatever loop it stands.
    once: f64,
}

/// What one loop of a plan does for one row of the loops outside it.
struct Loop {
    cost: f64,
    rows: f64,
    has_values: bool,
}

impl Loop {
    fn new(cost: f64, rows: f64) -> Self {
        Self { cost, rows, has_values: true }
    }
}

impl Reading<'_> {
    /// Cost and rows of the steps below one.
    fn block(&mut self, parent: i64, depth: usize) -> (f64, f64) {
        if depth > DEPTH_MAX {
            return (0.0, 1.0);
        }
        let (mut cost, mut rows, mut sum) = (0.0, 1.0_f64, None);
        // The outermost loop, if it looks up each row of a subquery that is made after it.
        let (mut loops, mut listed): (usize, Option<Loop>) = (0, None);
        let steps = self.steps;
        for step in steps.iter().filter(|step| step.parent == parent && step.id != parent) {
            let detail = step.detail.as_str();
            if let Some(rest) = detail.strip_prefix("SEARCH ") {
                let one = self.search(rest);
                cost += rows * one.cost;
                rows *= one.rows.max(1.0);
                listed = (loops == 0 && !one.has_values).then_some(one);
                loops += 1;
            } else if let Some(rest) = detail.strip_prefix("SCAN ") {
                let one = self.scan(rest);
                cost += rows * one.cost;
                rows *= one.rows.max(1.0);
                loops += 1;
            } else if detail.starts_with("USE TEMP B-TREE FOR ") {
                cost += rows * rows.max(2.0).log2();
            } else if detail.starts_with("MULTI-INDEX OR") {
                let (inner, found) = self.alternatives(step.id, depth + 1);
                cost += rows * inner;
                rows *= found.max(1.0);
            } else if let Some(one) = detail.strip_prefix("LIST SUBQUERY").and_then(|_| listed.take()) {
                let (inner, found) = self.block(step.id, depth + 1);
                let again = (found - 1.0).max(0.0);
                cost += inner + again * one.cost;
                rows *= found.max(1.0);
            } else if detail.starts_with("CORRELATED ") {
                let (inner, _) = self.block(step.id, depth + 1);
                cost += rows * inner;
            } else if let Some(name) = detail.strip_prefix("MATERIALIZE ").or(detail.strip_prefix("CO-ROUTINE ")) {
                let (inner, found) = self.block(step.id, depth + 1);
                cost += inner;
                self.made.insert(name.to_owned(), found);
            } else if is_part_of_compound(detail) {
                let (inner, found) = self.block(step.id, depth + 1);
                cost += inner;
                sum = Some(sum.unwrap_or(0.0) + found);
                if detail.contains("TEMP B-TREE") {
                    cost += found * found.max(2.0).log2();
                }
            } else {
                // Lists and scalars that are made once, and whatever later versions print.
                let (inner, found) = self.block(step.id, depth + 1);
                cost += inner;
                if detail.starts_with("COMPOUND QUERY") || detail.starts_with("MERGE ") {
                    sum = Some(found);
                }
            }
        }
        (cost, sum.unwrap_or(rows))
    }

    /// The branches of an OR over several indexes.
    fn alternatives(&mut self, parent: i64, depth: usize) -> (f64, f64) {
        let steps = self.steps;
        let branches = steps.iter().filter(|step| step.parent == parent);
        let mut all = (0.0, 0.0);
        for branch in branches {
            let (cost, rows) = self.block(branch.id, depth + 1);
            all = (all.0 + cost, all.1 + rows);
        }
        all
    }

    fn scan(&mut self, rest: &str) -> Loop {
        let (alias, access) = split(rest);
        if rest == "CONSTANT ROW" {
            return Loop::new(1.0, 1.0);
        }
        if let Some(rows) = self.made.get(alias) {
            return Loop::new(*rows, *rows);
        }
        let rows = self.known.rows(alias);
        match access.map(Access::read) {
            Some(Access::Index { name, covering, .. }) => {
                let (entries, _) = self.known.entries(name, 0).unwrap_or((rows, rows));
                self.used.push(name.to_owned());
                let kept = self.known.kept(alias, Some((name, 0)));
                Loop::new(entries * if covering { 1.0 } else { 1.0 + FETCH }, entries * kept)
            }
            Some(Access::Key { .. } | Access::Automatic) | None => Loop::new(rows, rows * self.known.kept(alias, None)),
        }
    }

    fn search(&mut self, rest: &str) -> Loop {
        let (alias, access) = split(rest);
        let rows = self.made.get(alias).copied().unwrap_or_else(|| self.known.rows(alias));
        let seek = rows.max(2.0).log2();
        match access.map(Access::read) {
            Some(Access::Index { name, covering, bounds }) => {
                self.used.push(name.to_owned());
                let (_, at_key) = self.known.entries(name, bounds.equal).unwrap_or((rows, rows));
                let visited = (at_key * bounds.range()).max(1.0);
                let kept = self.known.kept(alias, Some((name, bounds.equal + bounds.ranges.min(1))));
                let has_values = self.known.has_values(alias, name, bounds.equal);
                let cost = seek + visited * if covering { 1.0 } else { 1.0 + FETCH };
                Loop { has_values, ..Loop::new(cost, visited * kept) }
            }
            Some(Access::Key { bounds }) if bounds.equal > 0 => Loop::new(seek + 1.0, 1.0),
            Some(Access::Key { bounds }) => {
                let visited = (rows * bounds.range()).max(1.0);
                Loop::new(seek + visited, visited)
            }
            Some(Access::Automatic) => {
                // The index itself is made once.
                self.once += rows * seek;
                let visited = AUTOMATIC.min(rows).max(1.0);
                Loop::new(seek + visited, visited)
            }
            None => Loop::new(rows, rows),
        }
    }
}

fn is_part_of_compound(detail: &str) -> bool {
    ["LEFT-MOST SUBQUERY", "UNION", "INTERSECT", "EXCEPT", "LEFT", "RIGHT", "SETUP", "RECURSIVE STEP"]
        .iter()
        .any(|word| detail == *word || detail.strip_prefix(word).is_some_and(|rest| rest.starts_with(' ')))
}

/// Alias, and how it is read.
fn split(rest: &str) -> (&str, Option<&str>) {
    match rest.split_once(" USING ") {
        Some((alias, access)) => (alias, Some(access)),
        // Names may have spaces.
        None => (end(rest.split(" VIRTUAL TABLE ").next().unwrap_or(rest)), None),
    }
}

/// How many leading columns are bound, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Bounds {
    equal: usize,
    ranges: usize,
}

impl Bounds {
    fn range(self) -> f64 {
        match self.ranges {
            0 => 1.0,
            1 => OPEN_RANGE,
            _ => CLOSED_RANGE,
        }
    }

    /// From `a=? AND b>? AND b<?`.
    fn read(terms: &str) -> Self {
        let mut bounds = Self::default();
        for term in terms.split(" AND ") {
            if term.ends_with("=?") || term.starts_with("ANY(") {
                bounds.equal += 1;
            } else {
                bounds.ranges += 1;
            }
        }
        bounds
    }
}

enum Access<'a> {
    Index {
        name: &'a str,
        covering: bool,
        bounds: Bounds,
    },
    /// The table's own tree.
    Key {
        bounds: Bounds,
    },
    Automatic,
}

impl<'a> Access<'a> {
    fn read(text: &'a str) -> Self {
        let (head, bounds) = match text.rfind(" (") {
            Some(at) => {
                let terms = text.get(at + 2..).unwrap_or_default();
                let terms = terms.rfind(')').and_then(|end| terms.get(..end)).unwrap_or(terms);
                (text.get(..at).unwrap_or(text), Bounds::read(terms))
            }
            None => (text, Bounds::default()),
        };
        if head.starts_with("AUTOMATIC ") {
            return Self::Automatic;
        }
        if let Some(name) = head.strip_prefix("COVERING INDEX ") {
            return Self::Index { name: end(name), covering: true, bounds };
        }
        if let Some(name) = head.strip_prefix("INDEX ") {
            return Self::Index { name: end(name), covering: false, bounds };
        }
        Self::Key { bounds }
    }
}

/// A name without what a scan prints behind it.
fn end(name: &str) -> &str {
    [" LEFT-JOIN", " EXISTS"].iter().fold(name, |name, suffix| name.strip_suffix(suffix).unwrap_or(name))
}
