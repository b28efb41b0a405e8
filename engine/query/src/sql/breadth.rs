//! Bounds what a short text can unfold into, before it is planned: planning takes no notice of a time limit.

use crate::sql::nesting::Nesting;
use crate::sql::walk::{ON, Reader, Step, Stop, look, read};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, ObjectName, ObjectNamePart, Query,
    Select, Statement, TableFactor,
};
use querygate_types::{Error, ErrorCode, Result, limits};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

/// Relations of a statement, each use of a WITH query counted with all it reads.
const RELATIONS_MAX: u64 = 1_000;
/// WITH queries inside WITH queries.
const WITH_DEPTH_MAX: usize = 16;
/// Subqueries in expressions of one another. The engine looks through each of them from all that are around it, so that
/// each level doubles the work.
const SUBQUERY_DEPTH_MAX: usize = 12;
/// How often the engine comes to one part of an expression, by the calls and CASEs around it, and to all parts of a statement.
const VISITS_MAX: u64 = 20_000;
const ALL_VISITS_MAX: u64 = 2_000_000;
/// Columns of one CUBE; the grouping sets double with each.
const CUBE_MAX: usize = 8;

/// Refuses a statement that unfolds beyond what planning takes in a moment.
///
/// # Errors
/// 54001 and 54011, as Postgres has them.
pub(crate) fn refuse_wide(statement: &Statement) -> Result<()> {
    let mut visitor = Wide::default();
    read(statement, &mut visitor)?;
    let mut costs = vec![Cost::Unknown; visitor.with.len()];
    let total = visitor.relations.iter().fold(0_u64, |sum, name| sum.saturating_add(visitor.cost(name, &mut costs)));
    if total > RELATIONS_MAX {
        return Err(Error::new(ErrorCode::StatementTooComplex, "statement reads too many relations").with_detail(
            format!("The limit is {RELATIONS_MAX}, each use of a WITH query counted with all it reads."),
        ));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Cost {
    Unknown,
    /// Being counted: a recursive query, or one that has the name of a query around it.
    Open,
    Known(u64),
}

#[derive(Default)]
struct Wide {
    /// Every relation that the statement names.
    relations: Vec<String>,
    /// Relations that each WITH query names, at any depth.
    with: Vec<Vec<String>>,
    by_name: HashMap<String, Vec<usize>>,
    /// The queries that are being visited.
    open: Vec<Open>,
    /// Queries of expressions, by where they stand in the tree.
    subqueries: HashSet<*const Query>,
    /// Parts that the engine comes to more than once, by where they stand in the tree, and how often.
    visits: HashMap<*const Expr, u64>,
    all_visits: u64,
    nesting: Nesting,
}

struct Open {
    has_with: bool,
    is_subquery: bool,
}

impl Wide {
    fn cost(&self, name: &str, costs: &mut [Cost]) -> u64 {
        let Some(candidates) = self.by_name.get(name) else { return 1 };
        candidates.iter().map(|n| self.cost_of(*n, costs)).max().unwrap_or(1)
    }

    fn cost_of(&self, n: usize, costs: &mut [Cost]) -> u64 {
        match costs.get(n) {
            Some(Cost::Known(cost)) => *cost,
            Some(Cost::Open) | None => 1,
            Some(Cost::Unknown) => {
                if let Some(slot) = costs.get_mut(n) {
                    *slot = Cost::Open;
                }
                let names = self.with.get(n).map_or(&[][..], Vec::as_slice);
                let cost = names.iter().fold(1_u64, |sum, name| sum.saturating_add(self.cost(name, costs)));
                if let Some(slot) = costs.get_mut(n) {
                    *slot = Cost::Known(cost);
                }
                cost
            }
        }
    }
}

/// Relations that a part of a statement names.
#[derive(Default)]
struct Names(Vec<String>);

impl Reader for Names {
    fn relation(&mut self, relation: &ObjectName) -> Step {
        self.0.push(plain(relation));
        ON
    }
}

/// CASEs and COALESCEs of a part of a statement, by where they stand.
#[derive(Default)]
struct CasesWithin {
    cases: Vec<*const Expr>,
    /// Expressions of all kinds.
    parts: u64,
}

impl Reader for CasesWithin {
    fn expr(&mut self, expr: &Expr) -> Step {
        self.parts += 1;
        if matches!(expr, Expr::Case { .. }) || matches!(expr, Expr::Function(call) if is_coalesce(call)) {
            self.cases.push(std::ptr::from_ref(expr));
        }
        ON
    }
}

fn is_coalesce(call: &Function) -> bool {
    let name = call.name.0.last().and_then(ObjectNamePart::as_ident);
    name.is_some_and(|name| name.value.eq_ignore_ascii_case("coalesce"))
}

fn plain_argument(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
        FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => None,
    }
}

fn plain(name: &ObjectName) -> String {
    name.to_string().to_lowercase()
}

fn too_deep(what: &str, levels: usize) -> Step {
    let error = Error::new(ErrorCode::StatementTooComplex, format!("{what} are nested too deep"));
    ControlFlow::Break(Stop::Refused(error.with_detail(format!("The limit is {levels} levels."))))
}

impl Wide {
    /// Notes that the engine comes to these parts of an expression more often than to the expression.
    fn visit_again(&mut self, expr: &Expr, parts: &mut dyn Iterator<Item = &Expr>) -> Step {
        // A part that may be NULL is asked for that, for what makes the condition true, and for both.
        const VISITS_PER_LEVEL: u64 = 3;
        let around = self.visits.get(&std::ptr::from_ref(expr)).copied().unwrap_or(1);
        let visits = around.saturating_mul(VISITS_PER_LEVEL);
        let mut inner = CasesWithin::default();
        parts.for_each(|part| look(part, &mut inner));
        self.all_visits = self.all_visits.saturating_add(visits.saturating_mul(inner.parts));
        if visits > VISITS_MAX || self.all_visits > ALL_VISITS_MAX {
            let error = Error::new(ErrorCode::StatementTooComplex, "CASE and COALESCE are nested too deep");
            return ControlFlow::Break(Stop::Refused(error.with_detail("The limit is 9 levels, fewer of large ones.")));
        }
        self.visits.extend(inner.cases.into_iter().map(|part| (part, visits)));
        ON
    }
}

impl Reader for Wide {
    fn query(&mut self, query: &Query) -> Step {
        self.open.push(Open {
            has_with: query.with.is_some(),
            is_subquery: self.subqueries.contains(&std::ptr::from_ref(query)),
        });
        if self.open.iter().filter(|open| open.has_with).count() > WITH_DEPTH_MAX {
            return too_deep("WITH queries", WITH_DEPTH_MAX);
        }
        if self.open.iter().filter(|open| open.is_subquery).count() > SUBQUERY_DEPTH_MAX {
            return too_deep("subqueries", SUBQUERY_DEPTH_MAX);
        }
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let mut names = Names::default();
            look(&cte.query, &mut names);
            self.by_name.entry(cte.alias.name.to_string().to_lowercase()).or_default().push(self.with.len());
            self.with.push(names.0);
        }
        ON
    }

    fn after_query(&mut self, _query: &Query) -> Step {
        self.open.pop();
        ON
    }

    fn select(&mut self, select: &Select) -> Step {
        if select.projection.len() > limits::RESULT_COLUMNS_MAX {
            let message = format!("target lists can have at most {} entries", limits::RESULT_COLUMNS_MAX);
            return ControlFlow::Break(Stop::Refused(Error::new(ErrorCode::ProgramLimitExceeded, message)));
        }
        if let GroupByExpr::Expressions(keys, _) = &select.group_by
            && keys.iter().any(|key| matches!(key, Expr::Cube(sets) if sets.len() > CUBE_MAX))
        {
            let message = format!("CUBE is limited to {CUBE_MAX} elements");
            return ControlFlow::Break(Stop::Refused(Error::new(ErrorCode::ProgramLimitExceeded, message)));
        }
        ON
    }

    fn expr(&mut self, expr: &Expr) -> Step {
        self.nesting.enter(expr)?;
        match expr {
            Expr::Subquery(query)
            | Expr::Exists { subquery: query, .. }
            | Expr::InSubquery { subquery: query, .. }
            | Expr::Function(Function { args: FunctionArguments::Subquery(query), .. }) => {
                self.subqueries.insert(std::ptr::from_ref(query.as_ref()));
            }
            // The engine asks whether a CASE may be NULL by its conditions and results, and each of these the same in turn.
            Expr::Case { conditions, .. } => {
                return self.visit_again(expr, &mut conditions.iter().flat_map(|when| [&when.condition, &when.result]));
            }
            // Planned as `CASE WHEN a IS NOT NULL THEN a ELSE b END`: all arguments but the last stand in conditions.
            Expr::Function(call) if is_coalesce(call) => {
                let FunctionArguments::List(list) = &call.args else { return ON };
                let (_, chosen) = list.args.split_last().unzip();
                return self.visit_again(expr, &mut chosen.unwrap_or_default().iter().filter_map(plain_argument));
            }
            _ => {}
        }
        ON
    }

    fn after_expr(&mut self, _expr: &Expr) -> Step {
        self.nesting.leave()
    }

    fn relation(&mut self, relation: &ObjectName) -> Step {
        self.relations.push(plain(relation));
        ON
    }

    fn table_factor(&mut self, factor: &TableFactor) -> Step {
        // Derived tables name no relation and are joined all the same.
        if matches!(factor, TableFactor::Derived { .. }) {
            self.relations.push(String::new());
        }
        ON
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::grammar::Grammar;
    use datafusion::sql::sqlparser::parser::Parser;

    fn judge(sql: &str) -> Option<ErrorCode> {
        let grammar = Grammar::of(10_000);
        let parser = Parser::new(&grammar).with_recursion_limit(120);
        let mut parsed = parser.try_with_sql(sql).unwrap().parse_statements().unwrap();
        refuse_wide(&parsed.remove(0)).err().map(|error| error.code())
    }

    /// `levels` WITH queries, each of which reads the one before twice.
    fn doubling(levels: usize) -> String {
        let more: Vec<String> =
            (1..=levels).map(|n| format!("c{n} as (select * from C{0} a, c{0} b)", n - 1)).collect();
        format!("with c0 as (select * from t), {} select * from c{levels}", more.join(", "))
    }

    fn nested(levels: usize, inner: &str) -> String {
        format!("select {}", (0..levels).fold("a".to_owned(), |deep, _| inner.replace("{}", &deep)))
    }

    #[test]
    fn what_unfolds_without_bound_is_refused() {
        let complex = Some(ErrorCode::StatementTooComplex);
        assert_eq!(judge(&doubling(24)), complex);
        assert_eq!(judge(&format!("select 1 from {}", vec!["(select 1) r"; 3_000].join(", "))), complex);
        let with = format!("{}select 1{}", "with a as (".repeat(40), ") select * from a".repeat(40));
        assert_eq!(judge(&with), complex);
        for inner in ["(select {} + 1)", "exists (select 1 where {})", "array(select {})", "(1 in (select {}))"] {
            let deep = (0..13).fold("1".to_owned(), |deep, _| inner.replace("{}", &deep));
            assert_eq!(judge(&format!("select {deep}")), complex, "{deep}");
        }
        for inner in ["array[{}]", "row({}, 1)", "({}, 1)"] {
            assert!(judge(&nested(11, inner)).is_some(), "{inner}");
        }
        for (levels, inner) in [
            (100, "abs({})"),
            (50, "array_length(array[{}], 1)"),
            (50, "array_length(array[{}], 1) + 1"),
            (100, "substring({} from 2)"),
        ] {
            assert_eq!(judge(&nested(levels, inner)), complex, "{inner}");
        }
        for inner in
            ["case when {} > 1 then b else 2 end", "coalesce({}, 3)", "coalesce(case when {} = a then b end, 'b')"]
        {
            assert_eq!(judge(&nested(10, inner)), complex, "{inner}");
        }
        let large = format!("concat({})", vec!["c"; 10_000].join(", "));
        let of_large = (0..8).fold(large, |deep, _| format!("case when a > 1 then {deep} else b end"));
        assert_eq!(judge(&format!("select {of_large}")), complex);
        let wide = Some(ErrorCode::ProgramLimitExceeded);
        assert_eq!(judge(&format!("select {}", vec!["1"; 30_000].join(", "))), wide);
        assert_eq!(judge("select 1 from t group by cube (a,b,c,d,e,f,g,h,i,j)"), wide);
    }

    #[test]
    fn what_people_write_is_accepted() {
        for sql in [
            &doubling(5),
            "with recursive r as (select 1 as n union all select n + 1 from r where n < 9) select * from r a, r b",
            "with a as (select 1) select * from (with a as (select * from a) select * from a) x join a on true",
            "select 1 from t group by cube (a, b, c), rollup (d, e)",
            &(0..8)
                .fold("1".to_owned(), |deep, _| format!("(select {deep} + (select 1))"))
                .replacen('(', "select (", 1),
            &nested(60, "case when b > 1 then 2 else {} end"),
            &nested(60, "coalesce(b, {})"),
            &nested(60, "replace({}, 'a', 'b')"),
            &nested(100, "({} + 1)::int"),
            &nested(6, "array[{}]"),
            &nested(5, "row({}, 1)"),
            &format!("select array_length(array[{}], 1)", vec!["1"; 90_000].join(", ")),
            &nested(9, "case when {} > 1 then b else 2 end"),
            &nested(9, "coalesce({}, b)"),
            &nested(9, "case when a > 1 then {} else b end"),
            &(0..14).fold("select 1".to_owned(), |deep, n| format!("select * from ({deep}) t{n}")),
        ] {
            assert_eq!(judge(sql), None, "{sql}");
        }
    }
}
