//! Relations: tables, joins, subqueries, set operations, WITH.

use super::{Col, Compare, Generator, SCALARS, Source, Ty};

impl Generator<'_> {
    pub(super) fn set_operation(&mut self) -> (String, Compare) {
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

    pub(super) fn with(&mut self) -> (String, Compare) {
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

    pub(super) fn recursive(&mut self) -> (String, Compare) {
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
    pub(super) fn probe_hidden(&mut self) -> (String, Compare) {
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

    pub(super) fn whole_table(&mut self) -> (String, Compare) {
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

    pub(super) fn table(&mut self) -> Source {
        let table = self.rng.pick(self.tables).clone();
        let alias = self.alias();
        let cols = table.columns.iter().map(|c| Col {
            sql: format!("{alias}.{}", c.name),
            ty: c.kind.into(),
            id: c.name == "id",
        });
        Source { cols: cols.collect(), sql: format!("{} {alias}", table.name) }
    }

    pub(super) fn relation(&mut self, depth: usize) -> Source {
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

    pub(super) fn from(&mut self, outer: &[Col], depth: usize) -> Source {
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
    pub(super) fn equal(&mut self, left: &[Col], right: &[Col]) -> Option<String> {
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
    pub(super) fn select(&mut self, outer: &[Col], wanted: Option<&[Ty]>, depth: usize) -> (String, Vec<Ty>) {
        let from = self.from(outer, depth);
        self.body(from, outer, wanted, depth)
    }

    pub(super) fn body(
        &mut self,
        from: Source,
        outer: &[Col],
        wanted: Option<&[Ty]>,
        depth: usize,
    ) -> (String, Vec<Ty>) {
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

    pub(super) fn filter(&mut self, scope: &[Col], depth: usize) -> String {
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
}
