//! Searches indexes for TPC-H with HypoPG as the planner and prints the cost at each budget, questions and seconds:
//! `index_tpch QUERIES_FOLDER psql ARGUMENTS…`. The database holds the tables without any index, analysed; HypoPG is created.
//! With `--build` the suggestions at half of the largest budget are built and the statements timed.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic, reason = "a report on the terminal")]

use querygate_models::index::{
    Access, Answer, Column, CostOracle, Index, Settings, Statement, Table, Workload, advise,
};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

/// Numbers of the 18 statements of the usual protocol.
const STATEMENTS: [u32; 18] = [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 19, 21, 22];
const BUDGETS: [f64; 4] = [100.0, 200.0, 400.0, 800.0];

/// A psql that answers line by line.
struct Psql {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Psql {
    fn start(arguments: &[String]) -> Self {
        let mut child = Command::new("psql")
            .args(["-qAtX", "-v", "ON_ERROR_STOP=1"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql");
        let (input, output) = (child.stdin.take().expect("input"), child.stdout.take().expect("output"));
        Self { child, input, output: BufReader::new(output) }
    }

    fn ask(&mut self, sql: &str) -> Vec<String> {
        writeln!(self.input, "{sql}\n;\n\\echo end-of-answer").expect("psql takes questions");
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).expect("psql answers") == 0 {
                panic!("psql ended at: {sql}");
            }
            match line.trim_end() {
                "end-of-answer" => return lines,
                line => lines.push(line.to_owned()),
            }
        }
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        let _ = writeln!(self.input, "\\q");
        let _ = self.child.wait();
    }
}

struct Schema {
    tables: Vec<String>,
    columns: Vec<Vec<String>>,
}

impl Schema {
    fn ddl(&self, index: &Index) -> String {
        let names = |columns: &[usize]| {
            columns.iter().map(|column| self.columns[index.table][*column].as_str()).collect::<Vec<_>>().join(", ")
        };
        let include =
            if index.include.is_empty() { String::new() } else { format!(" INCLUDE ({})", names(&index.include)) };
        format!("CREATE INDEX ON {} ({}){include}", self.tables[index.table], names(&index.keys))
    }
}

struct HypoPg<'a> {
    psql: &'a mut Psql,
    schema: &'a Schema,
    statements: &'a [String],
    /// Sizes by HypoPG, to compare with published figures; otherwise by our own formula.
    its_sizes: bool,
    sizes: HashMap<Index, f64>,
    /// What there is now, with its number.
    offered: HashMap<Index, String>,
}

impl HypoPg<'_> {
    fn make(&mut self, index: &Index) {
        let ddl = self.schema.ddl(index);
        let made = self
            .psql
            .ask(&format!("SELECT indexrelid, hypopg_relation_size(indexrelid) FROM hypopg_create_index('{ddl}')"));
        let (name, size) = made[0].split_once('|').expect("a number and a size");
        self.sizes.insert(index.clone(), size.parse().expect("a size"));
        self.offered.insert(index.clone(), name.to_owned());
    }

    /// Exactly these, and no others.
    fn offer(&mut self, indexes: &[&Index]) {
        let gone: Vec<Index> = self.offered.keys().filter(|index| !indexes.contains(index)).cloned().collect();
        for index in gone {
            if let Some(name) = self.offered.remove(&index) {
                self.psql.ask(&format!("SELECT hypopg_drop_index({name})"));
            }
        }
        for index in indexes {
            if !self.offered.contains_key(*index) {
                self.make(index);
            }
        }
    }
}

impl CostOracle for HypoPg<'_> {
    type Error = String;

    fn cost(&mut self, statement: usize, indexes: &[&Index]) -> Result<Answer, String> {
        self.offer(indexes);
        let plan = self.psql.ask(&format!("EXPLAIN {}", self.statements[statement]));
        let cost = plan.first().and_then(|line| line.split("..").nth(1)?.split(' ').next()?.parse().ok());
        let used = |index: &Index| {
            let name = format!("<{}>", self.offered.get(index).map_or("", String::as_str));
            plan.iter().any(|line| line.contains(&name))
        };
        let used = indexes.iter().enumerate().filter(|(_, index)| used(index)).map(|(at, _)| at).collect();
        cost.map(|cost| Answer { cost, used: Some(used) }).ok_or_else(|| plan.join("\n"))
    }

    fn size(&mut self, index: &Index) -> Option<f64> {
        if !self.its_sizes {
            return None;
        }
        if !self.sizes.contains_key(index) {
            self.make(index);
        }
        self.sizes.get(index).copied()
    }
}

fn schema(psql: &mut Psql) -> (Schema, Vec<Table>) {
    let rows = psql.ask(
        "SELECT c.relname, a.attname, c.reltuples, t.typlen, t.typalign, coalesce(s.avg_width, 4), \
         coalesce(s.n_distinct, -1), coalesce(s.null_frac, 0), t.typname FROM pg_class c JOIN pg_attribute a ON \
         a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_stats \
         s ON s.tablename = c.relname AND s.attname = a.attname AND s.schemaname = 'public' WHERE c.relkind = 'r' AND \
         c.relnamespace = 'public'::regnamespace ORDER BY c.relname, a.attnum",
    );
    let mut schema = Schema { tables: Vec::new(), columns: Vec::new() };
    let mut tables: Vec<Table> = Vec::new();
    for row in rows {
        let fields: Vec<&str> = row.split('|').collect();
        let number = |at: usize| fields[at].parse::<f64>().expect("a number");
        if schema.tables.last().is_none_or(|table| table != fields[0]) {
            schema.tables.push(fields[0].to_owned());
            schema.columns.push(Vec::new());
            tables.push(Table { rows: number(2), columns: Vec::new(), inserts: 0.0, updates: Vec::new() });
        }
        let last = tables.len() - 1;
        schema.columns[last].push(fields[1].to_owned());
        let distinct = if number(6) < 0.0 { -number(6) * number(2) } else { number(6) };
        let align = match (fields[4], number(3) < 0.0) {
            (_, true) | ("c", _) => 1,
            ("s", _) => 2,
            ("i", _) => 4,
            _ => 8,
        };
        let dedupes = !matches!(fields[8], "numeric" | "float4" | "float8" | "jsonb");
        tables[last].columns.push(Column { width: number(5), align, distinct, nulls: number(7), dedupes });
    }
    (schema, tables)
}

/// Columns by where their names stand: behind WHERE they may lead, behind GROUP or ORDER BY they order.
fn statement(text: &str, schema: &Schema) -> Statement {
    let lower = text.to_lowercase();
    let mut accesses: Vec<Access> = Vec::new();
    for (table, columns) in schema.columns.iter().enumerate() {
        let mut access = Access { table, ..Access::default() };
        for (column, name) in columns.iter().enumerate() {
            let mut section = "select";
            for word in lower.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
                match word {
                    "select" | "where" | "group" | "order" | "on" => section = word,
                    word if word == name => {
                        let list = match section {
                            "where" | "on" => &mut access.join,
                            "group" | "order" => &mut access.order,
                            _ => &mut access.output,
                        };
                        if !list.contains(&column) {
                            list.push(column);
                        }
                    }
                    _ => {}
                }
            }
        }
        let used: Vec<usize> = access.join.iter().chain(&access.order).copied().collect();
        access.output.extend(used);
        access.output.sort_unstable();
        access.output.dedup();
        if !access.output.is_empty() {
            accesses.push(access);
        }
    }
    Statement { weight: 1.0, accesses }
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let build = arguments.iter().position(|argument| argument == "--build").map(|at| arguments.remove(at)).is_some();
    assert!(!arguments.is_empty(), "usage: index_tpch [--build] QUERIES_FOLDER psql ARGUMENTS");
    let folder = arguments.remove(0);
    let mut psql = Psql::start(&arguments);
    psql.ask("SELECT hypopg_reset(); SET jit = off");
    let (schema, tables) = schema(&mut psql);
    let read = |number: &u32| {
        let text = std::fs::read_to_string(format!("{folder}/q{number:02}.sql")).expect("the statement");
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
        lines.join(" ").trim().trim_end_matches(';').to_owned()
    };
    let texts: Vec<String> = STATEMENTS.iter().map(read).collect();
    let statements = texts.iter().map(|text| statement(text, &schema)).collect();
    let workload = Workload { tables, predicates: Vec::new(), statements };
    let plain = Settings { width: 2, include: false, rounds: 0, least_benefit: 1e-4, ..Settings::default() };
    let exchanged = Settings { rounds: 3, ..plain };
    let wide = Settings { width: 3, include: true, ..exchanged };
    if build {
        return built(&mut psql, &schema, &texts, &workload, wide);
    }
    println!(
        "{:44} {:>6} {:>6} {:>6} {:>6}   questions, seconds",
        "cost / cost without an index, budget in MB", 100, 200, 400, 800
    );
    for (name, settings, its_sizes) in [
        ("Extend alone, width 2, HypoPG's sizes", plain, true),
        ("with exchanges, width 2, HypoPG's sizes", exchanged, true),
        ("width 3 and INCLUDE, HypoPG's sizes", wide, true),
        ("width 3 and INCLUDE, own sizes", wide, false),
    ] {
        line(name, settings, its_sizes, &mut psql, &schema, &texts, &workload);
    }
}

fn line(
    name: &str,
    settings: Settings,
    its_sizes: bool,
    psql: &mut Psql,
    schema: &Schema,
    texts: &[String],
    workload: &Workload,
) {
    let (mut shares, mut effort) = (String::new(), String::new());
    for budget in BUDGETS {
        psql.ask("SELECT hypopg_reset()");
        let started = Instant::now();
        let (sizes, offered) = (HashMap::new(), HashMap::new());
        let oracle = HypoPg { psql: &mut *psql, schema, statements: texts, its_sizes, sizes, offered };
        let settings = Settings { budget: budget * 1e6, ..settings };
        let advice = advise(workload, oracle, settings).unwrap_or_else(|error| panic!("{error}: {error:?}"));
        shares.push_str(&format!(" {:6.3}", advice.after / advice.before));
        effort.push_str(&format!(" {}/{:.1}", advice.questions, started.elapsed().as_secs_f64()));
    }
    println!("{name:44}{shares}  {effort}");
}

/// Builds what is suggested at 400 MB of real size and compares predicted with measured change, statement by statement.
fn built(psql: &mut Psql, schema: &Schema, texts: &[String], workload: &Workload, settings: Settings) {
    psql.ask("SELECT hypopg_reset()");
    let (sizes, offered) = (HashMap::new(), HashMap::new());
    let oracle = HypoPg { psql: &mut *psql, schema, statements: texts, its_sizes: false, sizes, offered };
    let advice = advise(workload, oracle, Settings { budget: 400e6, ..settings }).unwrap_or_else(|e| panic!("{e:?}"));
    psql.ask("SELECT hypopg_reset()");
    let cost = |psql: &mut Psql, text: &str| -> f64 {
        let plan = psql.ask(&format!("EXPLAIN {text}"));
        plan[0].split("..").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).expect("a cost")
    };
    let time = |psql: &mut Psql, text: &str| -> f64 {
        let run = |psql: &mut Psql| {
            let lines = psql.ask(&format!("EXPLAIN (ANALYZE, TIMING OFF) {text}"));
            let spent =
                lines.iter().find_map(|line| line.strip_prefix("Execution Time: ")?.strip_suffix(" ms")?.parse().ok());
            spent.map_or(f64::NAN, |milliseconds: f64| milliseconds / 1000.0)
        };
        run(psql).min(run(psql)).min(run(psql))
    };
    psql.ask("SET work_mem = '64MB'");
    let before: Vec<(f64, f64)> = texts.iter().map(|text| (cost(psql, text), time(psql, text))).collect();
    for (at, one) in advice.suggestions.iter().enumerate() {
        let ddl = schema.ddl(&one.index).replacen("INDEX ON", &format!("INDEX advised_{at} ON"), 1);
        psql.ask(&ddl);
        let size = psql.ask(&format!("SELECT pg_relation_size('advised_{at}')"));
        println!("{ddl}: {:.0} MB estimated, {} bytes built", one.bytes / 1e6, size[0]);
    }
    psql.ask("VACUUM ANALYZE");
    let (mut right, mut all, mut total) = (0.0, 0.0, (0.0, 0.0));
    for ((text, number), (old_cost, old)) in texts.iter().zip(STATEMENTS).zip(before) {
        let (new_cost, new) = (cost(psql, text), time(psql, text));
        // A change below a tenth is none.
        let sign = |before: f64, after: f64| if after < 0.9 * before { -1 } else { i32::from(after > 1.1 * before) };
        let agrees = sign(old_cost, new_cost) == sign(old, new) || sign(old, new) == 0 && sign(old_cost, new_cost) == 0;
        all += old;
        right += if agrees { old } else { 0.0 };
        total = (total.0 + old, total.1 + new);
        println!(
            "q{number:02}: cost {old_cost:.0} -> {new_cost:.0}, {old:.3} s -> {new:.3} s{}",
            if agrees { "" } else { "  (sign differs)" }
        );
    }
    println!("sign right for {:.1}% of the time; total {:.2} s -> {:.2} s", 100.0 * right / all, total.0, total.1);
    for at in 0..advice.suggestions.len() {
        psql.ask(&format!("DROP INDEX advised_{at}"));
    }
}
