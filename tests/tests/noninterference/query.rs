//! Random SQL over the tables that a principal sees: every clause, and expressions that fail on some rows only.
//!
//! Texts carry marks for shrinking: `⟦x⟧` may be dropped, `⟨x⟩` may become `true`. Answers are determined by the data:
//! whatever depends on an order that SQL leaves open is ordered by everything, or only counted.

use crate::rule::{Kind, value};
use crate::world::SeenTable;
use querygate_tests::harness::Rng;
use serde_json::Value;

/// Type of an expression, as far as the generator cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ty {
    Text,
    Float,
    Int,
    Big,
    Money,
    Bool,
    Date,
    Instant,
    Tags,
}

impl From<Kind> for Ty {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Number => Self::Float,
            Kind::Int => Self::Int,
            Kind::Money => Self::Money,
            Kind::Bool => Self::Bool,
            Kind::Date => Self::Date,
            Kind::Instant => Self::Instant,
            Kind::Tags => Self::Tags,
        }
    }
}

/// How two answers to a query are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Ordered,
    Multiset,
    /// Which rows is open; how many is not.
    Count,
}

#[derive(Debug, Clone)]
struct Col {
    sql: String,
    ty: Ty,
    id: bool,
}

struct Source {
    sql: String,
    cols: Vec<Col>,
}

pub(crate) struct Generator<'a> {
    pub(crate) rng: &'a mut Rng,
    pub(crate) tables: &'a [SeenTable],
    /// Hidden columns, to be asked for now and then.
    pub(crate) unseen: &'a [(String, String)],
    /// Literals worth trying: values of hidden rows and masked columns among them.
    pub(crate) probes: &'a [Value],
    aliases: usize,
    /// Values of `$1…`, when the statement has parameters.
    parameters: Option<Vec<String>>,
}

/// A statement of the generator.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// With the marks for shrinking.
    pub(crate) text: String,
    pub(crate) parameters: Vec<String>,
    pub(crate) compare: Compare,
}

const SCALARS: [Ty; 7] = [Ty::Text, Ty::Float, Ty::Int, Ty::Money, Ty::Bool, Ty::Date, Ty::Instant];

impl<'a> Generator<'a> {
    pub(crate) fn new(
        rng: &'a mut Rng,
        tables: &'a [SeenTable],
        unseen: &'a [(String, String)],
        probes: &'a [Value],
    ) -> Self {
        let parameters = if rng.percent(12) { Some(Vec::new()) } else { None };
        Self { rng, tables, unseen, probes, aliases: 0, parameters }
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("a{}", self.aliases)
    }

    /// A whole statement.
    pub(crate) fn query(mut self) -> Query {
        let (text, compare) = self.statement();
        Query { text, parameters: self.parameters.unwrap_or_default(), compare }
    }

    fn statement(&mut self) -> (String, Compare) {
        match self.rng.below(100) {
            0..=9 => self.set_operation(),
            10..=21 => self.with(),
            22..=24 => self.recursive(),
            25..=27 => self.probe_hidden(),
            28..=30 => self.whole_table(),
            _ => {
                let (sql, types) = self.select(&[], None, 2);
                self.finish(sql, &types)
            }
        }
    }

    /// Order and limit, so that the answer is determined.
    fn finish(&mut self, sql: String, types: &[Ty]) -> (String, Compare) {
        let sortable = types.iter().all(|t| *t != Ty::Tags);
        match self.rng.below(10) {
            0..=2 if sortable => {
                let direction = *self.rng.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
                let keys: Vec<String> = (1..=types.len()).map(|n| format!("{n}{direction}")).collect();
                let limit = match self.rng.below(3) {
                    0 => String::new(),
                    1 => format!(" LIMIT {}", self.rng.below(6)),
                    _ => format!(" LIMIT {} OFFSET {}", self.rng.below(6), self.rng.below(5)),
                };
                (format!("{sql} ORDER BY {}{limit}", keys.join(", ")), Compare::Ordered)
            }
            3 => (format!("{sql} LIMIT {}", self.rng.below(6)), Compare::Count),
            4 => (format!("SELECT count(*) FROM ({sql}) q"), Compare::Ordered),
            _ => (sql, Compare::Multiset),
        }
    }

    fn set_operation(&mut self) -> (String, Compare) {
        let (left, types) = self.select(&[], None, 1);
        let wanted: Vec<Ty> = if self.rng.percent(85) {
            types.clone()
        } else {
            // Coercion: numbers with numbers, or a mismatch that both sides must refuse alike.
            types.iter().map(|t| if matches!(t, Ty::Int | Ty::Big) { Ty::Float } else { *t }).collect()
        };
        let (right, _) = self.select(&[], Some(&wanted), 1);
        let operator = *self.rng.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT"]);
        self.finish(format!("({left}) {operator} ({right})"), &types)
    }

    fn with(&mut self) -> (String, Compare) {
        let (inner, types) = self.select(&[], None, 1);
        let names: Vec<String> = (0..types.len()).map(|n| format!("c{n}")).collect();
        let columns = |alias: &str| -> Vec<Col> {
            let cols = types.iter().zip(&names);
            cols.map(|(ty, name)| Col { sql: format!("{alias}.{name}"), ty: *ty, id: false }).collect()
        };
        let (mut from, mut cols) = ("w x".to_owned(), columns("x"));
        if self.rng.percent(40) {
            let second = columns("y");
            if let Some(on) = self.equal(&cols, &second) {
                let join = *self.rng.pick(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
                from = format!("w x {join} w y ON {on}");
                cols.extend(second);
            }
        } else if self.rng.percent(50) {
            let table = self.table();
            if let Some(on) = self.equal(&cols, &table.cols) {
                from = format!("w x {} {} ON {on}", *self.rng.pick(&["JOIN", "LEFT JOIN"]), table.sql);
                cols.extend(table.cols);
            }
        }
        let (sql, types) = self.body(Source { sql: from, cols }, &[], None, 1);
        let materialized = *self.rng.pick(&["", "", "MATERIALIZED ", "NOT MATERIALIZED "]);
        let sql = format!("WITH w({}) AS {materialized}({inner}) {sql}", names.join(", "));
        self.finish(sql, &types)
    }

    fn recursive(&mut self) -> (String, Compare) {
        let table = self.rng.pick(self.tables).clone();
        let link = table.columns.iter().find(|c| matches!(c.name.as_str(), "ref" | "parent"));
        let target = self.rng.pick(self.tables).name.clone();
        let sql = match link {
            Some(link) => format!(
                "WITH RECURSIVE r(id, depth) AS (SELECT id, CAST(0 AS bigint) FROM {target} UNION ALL SELECT t.id, r.depth + 1 FROM r JOIN {} t ON t.{} = r.id WHERE r.depth < 4) SELECT depth, count(*) FROM r GROUP BY depth",
                table.name, link.name
            ),
            None => format!(
                "WITH RECURSIVE r(n) AS (SELECT count(*) FROM {target} UNION ALL SELECT n - 1 FROM r WHERE n > 0) SELECT n FROM r"
            ),
        };
        (sql, Compare::Multiset)
    }

    /// Names that do not exist for the principal.
    fn probe_hidden(&mut self) -> (String, Compare) {
        let table = self.rng.pick(self.tables).name.clone();
        let (owner, column) = match self.unseen.len() {
            0 => (table.clone(), "nowhere".to_owned()),
            n => self.unseen[self.rng.below(n)].clone(),
        };
        let sql = match self.rng.below(7) {
            0 => format!("SELECT {column} FROM {owner}"),
            1 => format!("SELECT id FROM {owner} WHERE {column} IS NOT NULL"),
            2 => format!("SELECT id FROM {owner} ORDER BY {column}"),
            3 => format!("SELECT count({column}) FROM {owner} GROUP BY {column}"),
            4 => format!("SELECT a.id FROM {owner} a JOIN {owner} b USING ({column})"),
            5 => format!("SELECT (SELECT max(x.{column}) FROM {owner} x) FROM {table}"),
            _ => format!("SELECT \"{column}\" FROM \"{owner}\""),
        };
        (sql, Compare::Multiset)
    }

    fn whole_table(&mut self) -> (String, Compare) {
        let table = self.rng.pick(self.tables).clone();
        let other = self.rng.pick(self.tables).clone();
        let sql = match self.rng.below(6) {
            0 => format!("SELECT * FROM {}", table.name),
            1 => format!("TABLE {}", table.name),
            2 => format!(
                "SELECT t.* FROM {} t WHERE EXISTS (SELECT 1 FROM {} o WHERE o.id = t.id)",
                table.name, other.name
            ),
            3 => format!("SELECT * FROM {} a NATURAL JOIN {} b", table.name, table.name),
            4 => format!("SELECT count(*), count(DISTINCT id) FROM {}", table.name),
            _ => format!("SELECT * FROM {} a JOIN {} b USING (id)", table.name, other.name),
        };
        (sql, Compare::Multiset)
    }

    fn table(&mut self) -> Source {
        let table = self.rng.pick(self.tables).clone();
        let alias = self.alias();
        let cols = table.columns.iter().map(|c| Col {
            sql: format!("{alias}.{}", c.name),
            ty: c.kind.into(),
            id: c.name == "id",
        });
        Source { cols: cols.collect(), sql: format!("{} {alias}", table.name) }
    }

    fn relation(&mut self, depth: usize) -> Source {
        if depth == 0 || self.rng.percent(80) {
            return self.table();
        }
        let (sql, types) = self.select(&[], None, depth - 1);
        let alias = self.alias();
        let names: Vec<String> = (0..types.len()).map(|n| format!("d{n}")).collect();
        let cols = types.iter().zip(&names);
        Source {
            cols: cols.map(|(ty, name)| Col { sql: format!("{alias}.{name}"), ty: *ty, id: false }).collect(),
            sql: format!("({sql}) {alias}({})", names.join(", ")),
        }
    }

    fn from(&mut self, outer: &[Col], depth: usize) -> Source {
        let mut from = self.relation(depth);
        for _ in 0..*self.rng.pick(&[0, 0, 0, 1, 1, 2]) {
            let next = self.relation(depth.saturating_sub(1));
            let join = *self.rng.pick(&["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", ","]);
            let mut both = from.cols.clone();
            both.extend(next.cols.iter().cloned());
            let Some(equal) = self.equal(&from.cols, &next.cols) else { break };
            let sql = if matches!(join, "CROSS JOIN" | ",") {
                // A product is bounded by its tables' few rows.
                format!("{} {join} {}", from.sql, next.sql)
            } else {
                let more = if self.rng.percent(35) && join != "FULL JOIN" {
                    let mut scope = both.clone();
                    scope.extend(outer.iter().cloned());
                    format!("⟦ AND {}⟧", self.condition(&scope, 0))
                } else {
                    String::new()
                };
                format!("{} {join} {} ON {equal}{more}", from.sql, next.sql)
            };
            from = Source { sql, cols: both };
        }
        from
    }

    /// An equality of a left and a right column.
    fn equal(&mut self, left: &[Col], right: &[Col]) -> Option<String> {
        let comparable = |a: &Col, b: &Col| a.ty == b.ty && a.ty != Ty::Tags;
        let mut pairs: Vec<(&Col, &Col)> = Vec::new();
        for a in left {
            for b in right.iter().filter(|b| comparable(a, b)) {
                // References and ids more often than others.
                let likely = |c: &Col| c.id || c.sql.ends_with(".ref") || c.sql.ends_with(".parent");
                let weight = if likely(a) && likely(b) { 6 } else { 1 };
                pairs.extend(std::iter::repeat_n((a, b), weight));
            }
        }
        if pairs.is_empty() {
            return None;
        }
        let (a, b) = *self.rng.pick(&pairs);
        let operator = if self.rng.percent(92) { "=" } else { *self.rng.pick(&["<", "<>", "IS NOT DISTINCT FROM"]) };
        Some(format!("{} {operator} {}", a.sql, b.sql))
    }

    /// A SELECT without order; `outer` are columns of enclosing queries.
    fn select(&mut self, outer: &[Col], wanted: Option<&[Ty]>, depth: usize) -> (String, Vec<Ty>) {
        let from = self.from(outer, depth);
        self.body(from, outer, wanted, depth)
    }

    fn body(&mut self, from: Source, outer: &[Col], wanted: Option<&[Ty]>, depth: usize) -> (String, Vec<Ty>) {
        let mut scope = from.cols.clone();
        scope.extend(outer.iter().cloned());
        let filter = self.filter(&scope, depth);
        if self.rng.percent(35) {
            return self.aggregate(&from, &scope, &filter, wanted, depth);
        }
        let windowed = wanted.is_none() && self.rng.percent(15);
        let types: Vec<Ty> = match wanted {
            Some(types) => types.to_vec(),
            None => (0..self.rng.between(1, 4)).map(|_| self.ty(&scope, &SCALARS)).collect(),
        };
        let mut items: Vec<String> = Vec::new();
        let mut out = Vec::new();
        for ty in types {
            items.push(if ty == Ty::Text && self.rng.percent(2) { "'x'".to_owned() } else { self.expr(&scope, ty, 2) });
            out.push(ty);
        }
        if windowed {
            let (sql, ty) = self.window(&from.cols, &scope);
            items.push(sql);
            out.push(ty);
        }
        if wanted.is_none()
            && self.rng.percent(8)
            && let Some(tags) = from.cols.iter().find(|c| c.ty == Ty::Tags)
        {
            items.push(tags.sql.clone());
            out.push(Ty::Tags);
        }
        let distinct = if self.rng.percent(15) { "DISTINCT " } else { "" };
        (format!("SELECT {distinct}{} FROM {}{filter}", items.join(", "), from.sql), out)
    }

    fn filter(&mut self, scope: &[Col], depth: usize) -> String {
        let count = *self.rng.pick(&[0, 0, 0, 1, 1, 2]);
        if count == 0 {
            return String::new();
        }
        let mut sql = format!(" WHERE ⟨{}⟩", self.condition(scope, depth));
        for _ in 1..count {
            sql.push_str(&format!("⟦ AND {}⟧", self.condition(scope, depth)));
        }
        sql
    }

    fn aggregate(
        &mut self,
        from: &Source,
        scope: &[Col],
        filter: &str,
        wanted: Option<&[Ty]>,
        depth: usize,
    ) -> (String, Vec<Ty>) {
        let types: Vec<Ty> = match wanted {
            Some(types) => types.to_vec(),
            None => (0..self.rng.between(1, 3)).map(|_| self.ty(scope, &SCALARS)).collect(),
        };
        // Each output is a group key or an aggregate.
        let (mut keys, mut items): (Vec<(String, Ty)>, Vec<String>) = (Vec::new(), Vec::new());
        for ty in &types {
            if keys.len() < 2 && self.rng.percent(45) {
                let key = self.expr(scope, *ty, 1);
                items.push(key.clone());
                keys.push((key, *ty));
            } else {
                items.push(self.aggregated(scope, *ty));
            }
        }
        let mut sql = format!("SELECT {} FROM {}{filter}", items.join(", "), from.sql);
        if !keys.is_empty() {
            let names: Vec<&str> = keys.iter().map(|(k, _)| k.as_str()).collect();
            // Constants in grouping sets lose their order upstream: keys that name no column are grouped plainly.
            let plain = names.iter().any(|key| !scope.iter().any(|c| key.contains(c.sql.as_str())));
            let grouping = match self.rng.below(12) {
                _ if plain => names.join(", "),
                0 => format!("ROLLUP ({})", names.join(", ")),
                1 => format!("CUBE ({})", names.join(", ")),
                _ => names.join(", "),
            };
            sql.push_str(&format!(" GROUP BY {grouping}"));
        }
        if self.rng.percent(35) {
            let having = match self.rng.below(4) {
                0 => format!("count(*) > {}", self.rng.below(3)),
                1 if !keys.is_empty() => {
                    let cols: Vec<Col> =
                        keys.iter().map(|(k, ty)| Col { sql: k.clone(), ty: *ty, id: false }).collect();
                    self.condition(&cols, 0)
                }
                2 => {
                    let inner = self.aggregated(scope, Ty::Float);
                    format!("{inner} > {}", self.rng.below(5))
                }
                _ => {
                    let inner = self.aggregated(scope, Ty::Text);
                    let cols = [Col { sql: inner, ty: Ty::Text, id: false }];
                    self.condition(&cols, 0)
                }
            };
            sql.push_str(&format!("⟦ HAVING {having}⟧"));
        }
        let _ = depth;
        (sql, types)
    }

    /// An aggregate of a type, determined whatever the order of rows.
    fn aggregated(&mut self, scope: &[Col], ty: Ty) -> String {
        let filter =
            if self.rng.percent(12) { format!(" FILTER (WHERE {})", self.condition(scope, 0)) } else { String::new() };
        let inner = match ty {
            Ty::Big | Ty::Int => match self.rng.below(3) {
                0 => "count(*)".to_owned(),
                1 => {
                    let ty = self.ty(scope, &SCALARS);
                    format!("count(DISTINCT {})", self.expr(scope, ty, 1))
                }
                _ => {
                    let ty = self.ty(scope, &SCALARS);
                    format!("count({})", self.expr(scope, ty, 1))
                }
            },
            Ty::Float => {
                let function = *self.rng.pick(&["sum", "min", "max", "avg"]);
                // Small values with few binary digits: sums do not depend on the order.
                format!("{function}({})", self.column_or(scope, Ty::Float, "1.5::float8"))
            }
            Ty::Money => {
                let function = *self.rng.pick(&["sum", "min", "max"]);
                format!("{function}({})", self.column_or(scope, Ty::Money, "1.5::numeric(18,4)"))
            }
            Ty::Text if self.rng.percent(25) => {
                let column = self.column_or(scope, Ty::Text, "'x'");
                format!("string_agg({column}, ',' ORDER BY {column})")
            }
            Ty::Bool => format!("bool_{}({})", *self.rng.pick(&["and", "or"]), self.condition(scope, 0)),
            Ty::Text | Ty::Date | Ty::Instant | Ty::Tags => {
                let function = *self.rng.pick(&["min", "max"]);
                format!("{function}({})", self.expr(scope, ty, 1))
            }
        };
        format!("{inner}{filter}")
    }

    fn window(&mut self, own: &[Col], scope: &[Col]) -> (String, Ty) {
        let partition = {
            let ty = self.ty(scope, &SCALARS);
            if self.rng.percent(60) { format!("PARTITION BY {} ", self.expr(scope, ty, 1)) } else { String::new() }
        };
        let order = {
            let ty = self.ty(scope, &[Ty::Text, Ty::Int, Ty::Date, Ty::Float]);
            self.expr(scope, ty, 1)
        };
        let ids: Vec<&str> = own.iter().filter(|c| c.id).map(|c| c.sql.as_str()).collect();
        // Ids of every relation in the FROM clause make the order total; a subquery has none.
        let alias = |column: &Col| column.sql.split('.').next().map(str::to_owned);
        let is_total = !ids.is_empty() && own.iter().all(|c| own.iter().any(|o| o.id && alias(o) == alias(c)));
        match self.rng.below(5) {
            0 => (format!("rank() OVER ({partition}ORDER BY {order})"), Ty::Big),
            1 => (format!("dense_rank() OVER ({partition}ORDER BY {order} DESC)"), Ty::Big),
            2 => (format!("count(*) OVER ({partition}ORDER BY {order})"), Ty::Big),
            3 if is_total => (format!("row_number() OVER ({partition}ORDER BY {order}, {})", ids.join(", ")), Ty::Big),
            _ => {
                let value = self.column_or(scope, Ty::Float, "1.0::float8");
                let function = *self.rng.pick(&["sum", "min", "max", "avg"]);
                (format!("{function}({value}) OVER ({})", partition.trim_end()), Ty::Float)
            }
        }
    }

    /// One of the types, by preference one that a column has.
    fn ty(&mut self, scope: &[Col], of: &[Ty]) -> Ty {
        let there: Vec<Ty> = of.iter().copied().filter(|ty| scope.iter().any(|c| c.ty == *ty)).collect();
        if there.is_empty() || self.rng.percent(3) { *self.rng.pick(of) } else { *self.rng.pick(&there) }
    }

    fn column(&mut self, scope: &[Col], ty: Ty) -> Option<String> {
        let fitting: Vec<&Col> = scope.iter().filter(|c| c.ty == ty).collect();
        if fitting.is_empty() { None } else { Some(self.rng.pick(&fitting).sql.clone()) }
    }

    fn column_or(&mut self, scope: &[Col], ty: Ty, otherwise: &str) -> String {
        self.column(scope, ty).unwrap_or_else(|| otherwise.to_owned())
    }

    fn literal(&mut self, ty: Ty) -> String {
        let kind = match ty {
            Ty::Text => Kind::Text,
            Ty::Float => Kind::Number,
            Ty::Int | Ty::Big => Kind::Int,
            Ty::Money => Kind::Money,
            Ty::Bool => Kind::Bool,
            Ty::Date => Kind::Date,
            Ty::Instant => Kind::Instant,
            Ty::Tags => return "NULL".to_owned(),
        };
        let of_kind = |v: &&Value| match ty {
            Ty::Text => v.as_str().is_some_and(|t| t.len() != 10 && !t.ends_with('Z')),
            Ty::Float => v.is_f64(),
            Ty::Int | Ty::Big => v.is_i64(),
            Ty::Money | Ty::Bool | Ty::Date | Ty::Instant | Ty::Tags => false,
        };
        let probes: Vec<&Value> = self.probes.iter().filter(of_kind).collect();
        let value = if !probes.is_empty() && self.rng.percent(40) {
            (*self.rng.pick(&probes)).clone()
        } else {
            value(self.rng, kind)
        };
        if let Some(parameters) = self.parameters.as_mut().filter(|p| p.len() < 6) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            parameters.push(text);
            let cast = match ty {
                Ty::Text => "text",
                Ty::Float => "float8",
                Ty::Int | Ty::Big => "int",
                Ty::Money => "numeric(18,4)",
                Ty::Bool => "bool",
                Ty::Date => "date",
                Ty::Instant => "timestamptz",
                Ty::Tags => "text[]",
            };
            return format!("${}::{cast}", parameters.len());
        }
        match (ty, value) {
            (Ty::Date, Value::String(text)) => format!("DATE '{text}'"),
            (Ty::Instant, Value::String(text)) => format!("TIMESTAMPTZ '{text}'"),
            (_, Value::String(text)) => format!("'{}'", text.replace('\'', "''")),
            (Ty::Float, Value::Number(n)) => format!("{n}::float8"),
            (Ty::Money, Value::Number(n)) => format!("{n}::numeric(18,4)"),
            (_, other) => other.to_string(),
        }
    }

    /// An expression of a type.
    fn expr(&mut self, scope: &[Col], ty: Ty, depth: usize) -> String {
        if ty == Ty::Big {
            return self.expr(scope, Ty::Int, depth);
        }
        if depth == 0 || self.rng.percent(60) {
            return match self.column(scope, ty) {
                Some(column) if self.rng.percent(93) => column,
                _ => self.literal(ty),
            };
        }
        let d = depth - 1;
        match self.rng.below(10) {
            0 => {
                let test = self.condition(scope, 0);
                format!("CASE WHEN {test} THEN {} ELSE {} END", self.expr(scope, ty, d), self.expr(scope, ty, d))
            }
            1 => format!("coalesce({}, {})", self.expr(scope, ty, d), self.expr(scope, ty, d)),
            2 => format!("nullif({}, {})", self.expr(scope, ty, d), self.literal(ty)),
            3 if depth > 1 => self.scalar_subquery(scope, ty),
            4 if ty != Ty::Tags => self.failing(scope, ty),
            _ => self.computed(scope, ty, d),
        }
    }

    fn computed(&mut self, scope: &[Col], ty: Ty, depth: usize) -> String {
        let text = |g: &mut Self| g.expr(scope, Ty::Text, depth);
        match ty {
            Ty::Text => match self.rng.below(7) {
                0 => format!("upper({})", text(self)),
                1 => format!("lower({})", text(self)),
                2 => format!("({} || {})", text(self), text(self)),
                3 => format!("substr({}, {}, {})", text(self), self.rng.between(1, 3), self.rng.below(4)),
                4 => format!("replace({}, 'a', 'b')", text(self)),
                5 => format!("CAST({} AS text)", self.expr(scope, Ty::Int, depth)),
                _ => format!("left({}, 1)", text(self)),
            },
            Ty::Float => match self.rng.below(4) {
                0 => format!("({} + {})", self.expr(scope, Ty::Float, depth), self.literal(Ty::Float)),
                1 => format!("({} * 2)", self.expr(scope, Ty::Float, depth)),
                2 => format!("abs({})", self.expr(scope, Ty::Float, depth)),
                _ => format!("CAST({} AS double precision)", self.expr(scope, Ty::Int, depth)),
            },
            Ty::Int | Ty::Big => match self.rng.below(4) {
                0 => format!("({} + {})", self.expr(scope, Ty::Int, depth), self.rng.below(4)),
                1 => format!("length({})", text(self)),
                2 => format!("({} % 3)", self.expr(scope, Ty::Int, depth)),
                _ => format!("abs({})", self.expr(scope, Ty::Int, depth)),
            },
            Ty::Money => format!("({} + {})", self.expr(scope, Ty::Money, depth), self.literal(Ty::Money)),
            Ty::Bool => format!("({})", self.condition(scope, 0)),
            Ty::Date => format!("CAST({} AS date)", self.expr(scope, Ty::Instant, depth)),
            Ty::Instant => format!("date_trunc('day', {})", self.expr(scope, Ty::Instant, depth)),
            Ty::Tags => "NULL".to_owned(),
        }
    }

    /// An expression that fails on some values.
    fn failing(&mut self, scope: &[Col], ty: Ty) -> String {
        let payload = |g: &mut Self, ty: Ty| {
            let marked: Vec<&Col> = scope.iter().filter(|c| c.ty == ty && c.sql.contains(".p")).collect();
            if marked.is_empty() || g.rng.percent(20) { g.expr(scope, ty, 0) } else { g.rng.pick(&marked).sql.clone() }
        };
        match ty {
            Ty::Int | Ty::Big => match self.rng.below(7) {
                0 => format!("(10 / {})", payload(self, Ty::Int)),
                1 => format!("(10 % ({} - 7))", payload(self, Ty::Int)),
                2 => format!("CAST({} AS integer)", payload(self, Ty::Text)),
                3 => format!("CAST({} AS integer)", payload(self, Ty::Float)),
                4 => format!("({} * 2147483647)", payload(self, Ty::Int)),
                5 => format!("CAST({} AS smallint)", payload(self, Ty::Int)),
                _ => format!("({})::int", payload(self, Ty::Text)),
            },
            Ty::Float => match self.rng.below(5) {
                0 => format!("(1 / ({} - 7))", payload(self, Ty::Float)),
                1 => format!("sqrt({})", payload(self, Ty::Float)),
                2 => format!("ln({})", payload(self, Ty::Float)),
                3 => format!("CAST({} AS double precision)", payload(self, Ty::Text)),
                _ => format!("({} * 1e300::float8)", payload(self, Ty::Float)),
            },
            Ty::Money => match self.rng.below(3) {
                0 => format!("CAST({} AS numeric(18,4))", payload(self, Ty::Text)),
                1 => format!("CAST({} * 100000 AS numeric(18,4))", payload(self, Ty::Money)),
                _ => format!("CAST({} AS numeric(18,4))", payload(self, Ty::Float)),
            },
            Ty::Date => format!("CAST('2024-01-' || {} AS date)", payload(self, Ty::Text)),
            Ty::Instant => format!("CAST('2024-01-' || {} AS timestamptz)", payload(self, Ty::Text)),
            Ty::Bool => match self.rng.below(4) {
                0 => format!("CAST({} AS boolean)", payload(self, Ty::Text)),
                1 => format!("({} ~ {})", self.expr(scope, Ty::Text, 0), payload(self, Ty::Text)),
                2 => format!("({} LIKE {})", self.expr(scope, Ty::Text, 0), payload(self, Ty::Text)),
                _ => format!("(1 / {} >= 0)", payload(self, Ty::Int)),
            },
            Ty::Text => match self.rng.below(3) {
                0 => format!("CAST(CAST({} AS integer) AS text)", payload(self, Ty::Text)),
                1 => format!("chr({})", payload(self, Ty::Int)),
                _ => format!("substr({}, 1, {})", payload(self, Ty::Text), payload(self, Ty::Int)),
            },
            Ty::Tags => "NULL".to_owned(),
        }
    }

    fn scalar_subquery(&mut self, scope: &[Col], ty: Ty) -> String {
        let table = self.table();
        let correlated = self.equal(scope, &table.cols).filter(|_| self.rng.percent(75));
        let mut inner = table.cols.clone();
        inner.extend(scope.iter().cloned());
        let mut filter = correlated.map(|on| format!(" WHERE {on}")).unwrap_or_default();
        if self.rng.percent(30) {
            let condition = self.condition(&inner, 0);
            filter = if filter.is_empty() {
                format!(" WHERE {condition}")
            } else {
                format!("{filter}⟦ AND {condition}⟧")
            };
        }
        // Without an aggregate, more than one row is an error, which hidden rows must not cause.
        let item = if self.rng.percent(80) { self.aggregated(&table.cols, ty) } else { self.expr(&table.cols, ty, 0) };
        format!("(SELECT {item} FROM {}{filter})", table.sql)
    }

    /// A boolean expression.
    fn condition(&mut self, scope: &[Col], depth: usize) -> String {
        match self.rng.below(if depth > 0 { 26 } else { 20 }) {
            0..=5 => {
                let ty = self.ty(scope, &SCALARS);
                let operator = *self.rng.pick(&["=", "<>", "<>", "<", "<=", ">", ">=", ">="]);
                format!("{} {operator} {}", self.expr(scope, ty, 0), self.literal(ty))
            }
            6 => {
                let ty = self.ty(scope, &SCALARS);
                format!("{} = {}", self.expr(scope, ty, 1), self.expr(scope, ty, 1))
            }
            7 | 8 => {
                let ty = self.ty(scope, &[Ty::Text, Ty::Int, Ty::Float, Ty::Date]);
                let list: Vec<String> = (0..self.rng.between(1, 4)).map(|_| self.literal(ty)).collect();
                let not = if self.rng.percent(30) { "NOT " } else { "" };
                format!("{} {not}IN ({})", self.expr(scope, ty, 0), list.join(", "))
            }
            9 => {
                let ty = self.ty(scope, &[Ty::Text, Ty::Int, Ty::Float, Ty::Date, Ty::Instant]);
                format!("{} BETWEEN {} AND {}", self.expr(scope, ty, 0), self.literal(ty), self.literal(ty))
            }
            10 | 11 => {
                let pattern = *self.rng.pick(&["a%", "%a%", "%2", "_", "%", "x\\_%", "hX%", "%*%", "1%"]);
                let operator = *self.rng.pick(&["LIKE", "LIKE", "NOT LIKE", "ILIKE"]);
                format!("{} {operator} '{pattern}'", self.expr(scope, Ty::Text, 0))
            }
            12 => {
                let ty = self.ty(scope, &SCALARS);
                format!("{} IS {}NULL", self.expr(scope, ty, 0), *self.rng.pick(&["", "NOT "]))
            }
            13 => format!("({} OR {})", self.condition(scope, 0), self.condition(scope, 0)),
            14 => format!("NOT ({})", self.condition(scope, 0)),
            15 => {
                let test = self.condition(scope, 0);
                format!("CASE WHEN {test} THEN {} ELSE {} END", self.failing(scope, Ty::Bool), self.condition(scope, 0))
            }
            16..=19 => {
                let ty = self.ty(scope, &SCALARS);
                let failing = self.failing(scope, ty);
                if ty == Ty::Bool { failing } else { format!("{failing} = {}", self.literal(ty)) }
            }
            20 | 21 => {
                let table = self.from(scope, depth - 1);
                let mut inner = table.cols.clone();
                inner.extend(scope.iter().cloned());
                let on = self.equal(scope, &table.cols).unwrap_or_else(|| "true".to_owned());
                let more = if self.rng.percent(40) {
                    format!("⟦ AND {}⟧", self.condition(&inner, 0))
                } else {
                    String::new()
                };
                let not = if self.rng.percent(40) { "NOT " } else { "" };
                format!("{not}EXISTS (SELECT 1 FROM {} WHERE {on}{more})", table.sql)
            }
            22 | 23 => {
                let ty = self.ty(scope, &[Ty::Text, Ty::Int, Ty::Float]);
                let (sql, _) = self.select(&[], Some(&[ty]), depth - 1);
                let not = if self.rng.percent(35) { "NOT " } else { "" };
                format!("{} {not}IN ({sql})", self.expr(scope, ty, 0))
            }
            _ => {
                let ty = self.ty(scope, &[Ty::Text, Ty::Int, Ty::Float, Ty::Money]);
                let operator = *self.rng.pick(&["=", "<", ">="]);
                format!("{} {operator} {}", self.expr(scope, ty, 0), self.scalar_subquery(scope, ty))
            }
        }
    }
}

/// The text without marks.
pub(crate) fn plain(marked: &str) -> String {
    marked.replace(['⟦', '⟧', '⟨', '⟩'], "")
}

/// Shorter texts: each with one marked part dropped.
pub(crate) fn smaller(marked: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, char)> = Vec::new();
    for (at, c) in marked.char_indices() {
        match c {
            '⟦' | '⟨' => open.push((at, c)),
            '⟧' | '⟩' => {
                if let Some((start, opened)) = open.pop() {
                    let rest = &marked[at + c.len_utf8()..];
                    let with = if opened == '⟦' { "" } else { "true" };
                    found.push(format!("{}{with}{rest}", &marked[..start]));
                }
            }
            _ => {}
        }
    }
    found.sort_by_key(String::len);
    found
}
