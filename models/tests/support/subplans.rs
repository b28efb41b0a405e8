//! Sub-plans of the cardinality data sets (LpBound's results folder): SQL text to ids and ranges.

use super::csv::Table;
use querygate_models::cardinality::{Observation, Range, Subplan, code_of_text};
use querygate_models::rng::mix;
use std::path::Path;

/// A row of a data set.
pub struct Row {
    pub observation: Observation,
    pub query: u64,
    pub template: u64,
    pub sql: String,
    /// Tables and equated columns, to tell join graphs apart.
    pub graph: String,
}

pub fn id(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| mix(hash ^ u64::from(byte)))
}

/// Reads a file, each row with the published Postgres estimate and LpBound's bound.
pub fn read(path: &Path) -> Result<Vec<Row>, String> {
    let table = Table::read(path)?;
    let row = |at: usize| {
        let sql = table.text(at, "sql")?.to_owned();
        let (mut subplan, graph) = parse(&sql)?;
        subplan.estimate = table.number(at, "postgres_est")?;
        subplan.bound = table.number(at, "lpbound_est").ok();
        let [query, template] = [id(table.text(at, "query_id")?), id(table.text(at, "template_id")?)];
        let observation = Observation { subplan, rows: table.number(at, "true_rows")?, group: query };
        Ok(Row { observation, query, template, sql, graph })
    };
    (0..table.len()).map(row).collect()
}

fn parse(sql: &str) -> Result<(Subplan, String), String> {
    let text = sql.strip_prefix("SELECT * FROM ").ok_or("not a join")?.trim_end_matches([' ', ';']);
    let (tables, conditions) = text.split_once(" WHERE ").ok_or("no condition")?;
    let mut subplan = Subplan::default();
    let mut graph: Vec<String> = Vec::new();
    let mut table_of = Vec::new();
    for table in tables.split(", ") {
        let (name, alias) = table.split_once(" AS ").ok_or("no alias")?;
        subplan.tables.push(id(name));
        graph.push(name.to_owned());
        table_of.push((alias.trim(), name));
    }
    for condition in conditions.split(" AND ") {
        let operator = ["<=", ">=", "=", "<", ">"].into_iter().find(|o| condition.contains(o)).ok_or("no operator")?;
        let (left, right) = condition.split_once(operator).ok_or("no operator")?;
        let (left, right) = (left.trim(), right.trim());
        let table = |column: &str| {
            let alias = column.split('.').next().unwrap_or_default();
            table_of.iter().find(|(a, _)| *a == alias).map(|(_, name)| *name)
        };
        let column = |column: &str, table: &str| format!("{table}.{}", column.split('.').nth(1).unwrap_or_default());
        let left_table = table(left).ok_or("an unknown alias")?;
        let left_id = id(&column(left, left_table));
        if let (Some(right_table), false) = (table(right), right.starts_with('\'')) {
            subplan.joins.push((left_id, id(&column(right, right_table))));
            let mut ends = [column(left, left_table), column(right, right_table)];
            ends.sort();
            graph.push(ends.join("="));
            continue;
        }
        let value = code(right)?;
        let place = subplan.ranges.iter().position(|r| r.column == left_id).unwrap_or_else(|| {
            let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
            subplan.ranges.push(Range { table: id(left_table), column: left_id, low, high });
            subplan.ranges.len() - 1
        });
        let range = &mut subplan.ranges[place];
        match operator {
            "<=" | "<" => range.high = value,
            ">=" | ">" => range.low = value,
            _ => (range.low, range.high) = (value, value),
        }
    }
    graph.sort();
    Ok((subplan, graph.join(" ")))
}

/// Numbers as they are, timestamps as days, texts by their first bytes.
fn code(literal: &str) -> Result<f64, String> {
    let Some(text) = literal.strip_prefix('\'') else {
        return literal.parse().map_err(|_| format!("{literal} is not a number"));
    };
    let text = text.trim_end_matches('\'');
    let parts: Vec<f64> = text.split(['-', ' ', ':']).filter_map(|part| part.parse().ok()).collect();
    match (parts.as_slice(), text.len()) {
        ([year, month, day, hour, minute, second], 19) => {
            Ok(year * 372.0 + month * 31.0 + day + (hour * 3_600.0 + minute * 60.0 + second) / 86_400.0)
        }
        _ => Ok(code_of_text(text)),
    }
}
