//! Groups and windows.

use super::{Col, Generator, SCALARS, Source, Ty};

impl Generator<'_> {
    pub(super) fn aggregate(
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
    pub(super) fn aggregated(&mut self, scope: &[Col], ty: Ty) -> String {
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

    pub(super) fn window(&mut self, own: &[Col], scope: &[Col]) -> (String, Ty) {
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
}
