//! Expressions and conditions, those that fail on some rows among them.

use super::{Col, Generator, SCALARS, Ty};
use crate::rule::{Kind, value};
use serde_json::Value;

impl Generator<'_> {
    /// One of the types, by preference one that a column has.
    pub(super) fn ty(&mut self, scope: &[Col], of: &[Ty]) -> Ty {
        let there: Vec<Ty> = of.iter().copied().filter(|ty| scope.iter().any(|c| c.ty == *ty)).collect();
        if there.is_empty() || self.rng.percent(3) { *self.rng.pick(of) } else { *self.rng.pick(&there) }
    }

    pub(super) fn column(&mut self, scope: &[Col], ty: Ty) -> Option<String> {
        let fitting: Vec<&Col> = scope.iter().filter(|c| c.ty == ty).collect();
        if fitting.is_empty() { None } else { Some(self.rng.pick(&fitting).sql.clone()) }
    }

    pub(super) fn column_or(&mut self, scope: &[Col], ty: Ty, otherwise: &str) -> String {
        self.column(scope, ty).unwrap_or_else(|| otherwise.to_owned())
    }

    pub(super) fn literal(&mut self, ty: Ty) -> String {
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
        if ty == Ty::Money && self.rng.percent(35) {
            return self.decimal();
        }
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

    /// A decimal with places of its own, whatever stands beside it.
    fn decimal(&mut self) -> String {
        let text = *self.rng.pick(&["0.005", "1.25", "-0.5", "7.5", "100", "2.50", "0.00001", "12.3456789", "99.9999"]);
        let Some(parameters) = self.parameters.as_mut().filter(|p| p.len() < 6) else { return text.to_owned() };
        parameters.push(text.to_owned());
        format!("${}::numeric", parameters.len())
    }

    /// An expression of a type.
    pub(super) fn expr(&mut self, scope: &[Col], ty: Ty, depth: usize) -> String {
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
            1 if d > 0 && ty != Ty::Tags && self.rng.percent(25) => {
                format!("coalesce({}, {})", self.empty_subquery(ty), self.expr(scope, ty, d))
            }
            1 => format!("coalesce({}, {})", self.expr(scope, ty, d), self.expr(scope, ty, d)),
            2 => format!("nullif({}, {})", self.expr(scope, ty, d), self.literal(ty)),
            3 if depth > 1 => self.scalar_subquery(scope, ty),
            4 if ty != Ty::Tags => self.failing(scope, ty),
            _ => self.computed(scope, ty, d),
        }
    }

    pub(super) fn computed(&mut self, scope: &[Col], ty: Ty, depth: usize) -> String {
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
    pub(super) fn failing(&mut self, scope: &[Col], ty: Ty) -> String {
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
            Ty::Text => match self.rng.below(5) {
                0 => format!("CAST(CAST({} AS integer) AS text)", payload(self, Ty::Text)),
                1 => format!("chr({})", payload(self, Ty::Int)),
                // What a hidden value would make large.
                2 => format!("left(repeat('xy', {} * 1000), 3)", payload(self, Ty::Int)),
                3 => format!("left(lpad({}, {} * 1000, 'z'), 3)", payload(self, Ty::Text), payload(self, Ty::Int)),
                _ => format!("substr({}, 1, {})", payload(self, Ty::Text), payload(self, Ty::Int)),
            },
            Ty::Tags => "NULL".to_owned(),
        }
    }

    pub(super) fn scalar_subquery(&mut self, scope: &[Col], ty: Ty) -> String {
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

    /// A scalar subquery that finds no row, or one that only hidden rows could answer.
    fn empty_subquery(&mut self, ty: Ty) -> String {
        let table = self.table();
        let item = self.expr(&table.cols, ty, 0);
        let id = table.cols.iter().find(|c| c.id).map_or_else(|| "false".to_owned(), |c| format!("{} = 'nope'", c.sql));
        let nothing = if self.rng.percent(30) { "false" } else { &id };
        format!("(SELECT {item} FROM {} WHERE {nothing})", table.sql)
    }

    /// A boolean expression.
    pub(super) fn condition(&mut self, scope: &[Col], depth: usize) -> String {
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
                let what =
                    if depth > 0 && self.rng.percent(40) { self.empty_subquery(ty) } else { self.expr(scope, ty, 0) };
                format!("{what} IS {}NULL", *self.rng.pick(&["", "NOT "]))
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
