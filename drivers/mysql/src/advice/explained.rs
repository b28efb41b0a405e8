//! MariaDB's own plan of a statement, as its EXPLAIN tells it: which tables in which order, how each is read, and how many rows the
//! server expects. Pure: knows no connection.

use serde_json::Value;
use std::collections::HashMap;

/// Plans that nest deeper are not read further.
const DEPTH_MAX: usize = 200;

/// What stands for an open parameter: a text whose value the server does not know before it runs, so that it plans for any value.
/// Two rows: a subquery of one without a table is replaced by its value.
const ANY_VALUE: &str =
    "(SELECT MAX(v) FROM (SELECT CAST(NULL AS CHAR) AS v UNION ALL SELECT CAST(NULL AS CHAR)) AS any_value)";

/// One table of a plan, in the order in which tables are read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Access {
    /// As the statement names it.
    pub(crate) alias: String,
    /// Rows that are visited for each row of the tables before it.
    pub(crate) rows: f64,
    /// Share of these that the conditions leave, 0 to 1.
    pub(crate) kept: f64,
    pub(crate) way: Way,
}

/// How a table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// All of it, or all of an index.
    Scan,
    /// All of it for a buffer full of rows of the tables before it, with which each of its rows is compared.
    Buffered,
    /// Through an index; `covered`: of which nothing else is read.
    Index { covered: bool },
}

/// The question, with a value that nobody knows for each open parameter.
pub(crate) fn question(text: &str) -> String {
    let mut asked = String::from("EXPLAIN FORMAT=JSON ");
    // Inside a quoted name or constant: the character that ends it. A doubled one ends it and begins the next.
    let mut quoted = None;
    for character in text.chars() {
        match quoted {
            Some(end) if character == end => quoted = None,
            Some(_) => {}
            None if matches!(character, '`' | '\'') => quoted = Some(character),
            None if character == '?' => {
                asked.push_str(ANY_VALUE);
                continue;
            }
            None => {}
        }
        asked.push(character);
    }
    asked
}

/// Table names by alias, of a statement that this driver printed: `` `schema`.`table` AS `t1` ``.
pub(crate) fn aliases(text: &str) -> HashMap<String, String> {
    let (mut found, mut last, mut named) = (HashMap::new(), None, None);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match first {
            '`' | '\'' => {
                let (name, after) = quoted(rest, first);
                if first == '`' {
                    match named.take() {
                        Some(table) => drop(found.insert(name, table)),
                        None => last = Some(name),
                    }
                } else {
                    (last, named) = (None, None);
                }
                rest = after;
            }
            _ => match rest.strip_prefix(" AS ").filter(|name| name.starts_with('`')) {
                Some(name) => {
                    named = last.take();
                    rest = name;
                }
                None => {
                    (last, named) = (None, None);
                    rest = rest.strip_prefix(first).unwrap_or_default();
                }
            },
        }
    }
    found
}

/// What a quoted text holds, and what follows it.
fn quoted(text: &str, end: char) -> (String, &str) {
    let mut inner = String::new();
    let mut characters = text.chars();
    characters.next();
    while let Some(character) = characters.next() {
        if character != end {
            inner.push(character);
            continue;
        }
        match characters.as_str().strip_prefix(end) {
            Some(rest) => {
                inner.push(end);
                characters = rest.chars();
            }
            None => return (inner, characters.as_str()),
        }
    }
    (inner, "")
}

/// The tables of a plan, those of each subquery apart. Tables that the server makes itself are left out, with what they cost.
pub(crate) fn blocks(plan: &Value) -> Vec<Vec<Access>> {
    let mut reading = Reading { blocks: Vec::new() };
    reading.block(plan, 0);
    reading.blocks.retain(|block| !block.is_empty());
    reading.blocks
}

struct Reading {
    blocks: Vec<Vec<Access>>,
}

impl Reading {
    fn block(&mut self, plan: &Value, depth: usize) {
        let mut own = Vec::new();
        self.read(plan, &mut own, false, depth);
        self.blocks.push(own);
    }

    fn read(&mut self, plan: &Value, own: &mut Vec<Access>, buffered: bool, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match plan {
            Value::Object(parts) => {
                for (name, part) in parts {
                    match name.as_str() {
                        "table" if part.get("table_name").is_some() => {
                            own.extend(access(part, buffered));
                            if let Some(made) = part.get("materialized") {
                                self.block(made, depth + 1);
                            }
                        }
                        "subqueries" | "query_specifications" => {
                            part.as_array().into_iter().flatten().for_each(|one| self.block(one, depth + 1));
                        }
                        "block-nl-join" => self.read(part, own, true, depth + 1),
                        _ => self.read(part, own, buffered, depth + 1),
                    }
                }
            }
            Value::Array(parts) => parts.iter().for_each(|part| self.read(part, own, buffered, depth + 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// `None`: a table that the server makes itself.
fn access(table: &Value, buffered: bool) -> Option<Access> {
    let alias = table.get("table_name")?.as_str().filter(|name| !name.starts_with('<'))?;
    let number = |name: &str| table.get(name).and_then(Value::as_f64).filter(|number| number.is_finite());
    let scans = matches!(table.get("access_type").and_then(Value::as_str), Some("ALL" | "index") | None);
    let covered = table.get("using_index").and_then(Value::as_bool).unwrap_or(false);
    let way = match (scans, buffered) {
        (true, false) => Way::Scan,
        (true, true) => Way::Buffered,
        (false, _) => Way::Index { covered },
    };
    let kept = (number("filtered").unwrap_or(100.0) / 100.0).clamp(0.0, 1.0);
    Some(Access { alias: alias.to_owned(), rows: number("rows").unwrap_or(1.0).max(0.0), kept, way })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn open_parameters_become_values_that_nobody_knows_and_texts_stay() {
        assert_eq!(
            question("SELECT '?' AS `a?``?` FROM `t` WHERE x = ? AND y < ?"),
            format!("EXPLAIN FORMAT=JSON SELECT '?' AS `a?``?` FROM `t` WHERE x = {ANY_VALUE} AND y < {ANY_VALUE}")
        );
    }

    #[test]
    fn aliases_of_tables_are_found_and_no_others() {
        let text = "SELECT t1.`a` AS c1 FROM `shop`.`or``ders AS x` AS `t1` JOIN (SELECT 1) AS `t2` ON '`shop`.`no` AS `t9`' \
                    JOIN `shop`.`plain` AS `t3`";
        let found = aliases(text);
        assert_eq!((found["t1"].as_str(), found["t3"].as_str()), ("or`ders AS x", "plain"));
        assert!(!found.contains_key("t2") && !found.contains_key("t9"), "{found:?}");
    }

    #[test]
    fn tables_are_read_in_order_and_subqueries_apart() {
        let plan = json!({"query_block": {"select_id": 1, "filesort": {"temporary_table": {"nested_loop": [
            {"table": {"table_name": "t1", "access_type": "ALL", "rows": 100, "filtered": 50}},
            {"block-nl-join": {"table": {"table_name": "t2", "access_type": "ALL", "rows": 7, "filtered": 100}, "buffer_type": "flat"}},
            {"table": {"table_name": "t3", "access_type": "eq_ref", "rows": 1, "filtered": 100, "using_index": true}},
            {"table": {"table_name": "<derived9>", "access_type": "ALL", "rows": 2, "materialized": {"query_block": {
                "nested_loop": [{"table": {"table_name": "t4", "access_type": "range", "rows": 9}}]}}}},
        ]}}, "subqueries": [{"query_block": {"table": {"message": "No tables used"}}}]}});
        let access = |alias: &str, rows, kept, way| Access { alias: alias.to_owned(), rows, kept, way };
        let mut found = blocks(&plan);
        found.sort_by_key(Vec::len);
        assert_eq!(
            found,
            [
                vec![access("t4", 9.0, 1.0, Way::Index { covered: false })],
                vec![
                    access("t1", 100.0, 0.5, Way::Scan),
                    access("t2", 7.0, 1.0, Way::Buffered),
                    access("t3", 1.0, 1.0, Way::Index { covered: true }),
                ],
            ]
        );
        let mut deep = json!({});
        (0..1_000).for_each(|_| deep = json!({ "filesort": deep.take() }));
        assert!(blocks(&deep).is_empty());
    }
}
