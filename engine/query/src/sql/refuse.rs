//! Parts of a query that the engine would leave out in silence are refused by name.

use crate::sql::classify::MADE_ELSEWHERE;
use crate::sql::distinct_from::is_misread;
use crate::sql::walk::{ON, Reader, Step, Stop, read};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{JoinConstraint, JoinType};
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, Join, JoinConstraint as Constraint, JoinOperator, ObjectName, Query, Select, SelectItem,
    Setting, Statement, TableAlias, TableFactor, TableWithJoins, Value, WindowType,
};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// A setting that no text of a statement can have, which says what is refused once the rest is bound.
const LATER: &str = "absent clause";

/// Has a statement refused for a clause that was left out of it, after its names are looked up.
///
/// # Errors
/// 0A000 at once where the statement holds no query.
pub(crate) fn refuse_later(statement: &mut Statement, clause: &str) -> Result<()> {
    match statement {
        Statement::Query(query) => {
            let value = Expr::Value(Value::SingleQuotedString(clause.to_owned()).with_empty_span());
            query.settings.get_or_insert_default().push(Setting { key: Ident::new(LATER), value });
            Ok(())
        }
        Statement::Explain { statement, .. } | Statement::Prepare { statement, .. } => refuse_later(statement, clause),
        _ => Err(Error::new(ErrorCode::FeatureNotSupported, format!("{clause} is not supported"))),
    }
}

/// Takes what is refused later out of a query.
pub(crate) fn refused_later(query: &mut Query) -> Option<Error> {
    let first = query.settings.as_ref()?.first().filter(|setting| setting.key.value == LATER)?;
    let Expr::Value(value) = &first.value else { return None };
    let Value::SingleQuotedString(clause) = &value.value else { return None };
    let refused = Error::new(ErrorCode::FeatureNotSupported, format!("{clause} is not supported"));
    query.settings = None;
    Some(refused)
}

/// What is said of a query that is refused: that a table or a function does not exist comes first.
pub(crate) fn refused_or_unknown(refused: Error, found: Option<Error>) -> Error {
    let unknown = found.filter(|error| match error.code() {
        ErrorCode::UndefinedTable => error.message().starts_with("relation "),
        ErrorCode::UndefinedFunction => error.message().starts_with("function "),
        _ => false,
    });
    unknown.unwrap_or(refused)
}

/// Refuses joins with USING that the engine answers otherwise. It gives a full join's columns the left side's values, which are NULL
/// where only the right has a row, and takes a column that is named again for a condition more.
///
/// # Errors
/// 42701 and 0A000 for such joins.
pub(crate) fn refuse_using(plan: &LogicalPlan) -> Result<()> {
    let mut found: Option<Error> = None;
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        found = found.take().or_else(|| refused_using(node));
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found.map_or(Ok(()), Err)
}

fn refused_using(node: &LogicalPlan) -> Option<Error> {
    let LogicalPlan::Join(join) = node else { return None };
    if join.join_constraint != JoinConstraint::Using {
        return None;
    }
    let mut seen = HashSet::new();
    if let Some((PlanExpr::Column(column), _)) = join.on.iter().find(|pair| !seen.insert(*pair)) {
        return Some(repeated_in_using(&column.name));
    }
    (join.join_type == JoinType::Full).then(|| {
        Error::new(ErrorCode::FeatureNotSupported, "FULL JOIN with USING is not supported")
            .with_hint("Join ON the columns and select coalesce() of both.")
    })
}

/// The refusal of a name that USING says again.
pub(crate) fn repeated_in_using(name: &str) -> Error {
    Error::new(ErrorCode::DuplicateColumn, format!("column name \"{name}\" appears more than once in USING clause"))
}

/// Refuses what would be ignored.
pub(crate) fn refuse_ignored(statement: &Statement) -> Result<()> {
    read(statement, &mut Ignored)
}

fn refused(what: &str) -> Step {
    ControlFlow::Break(Stop::Refused(Error::new(ErrorCode::FeatureNotSupported, format!("{what} is not supported"))))
}

/// The grammar takes a text in quotes for a name, of which nothing is known to hold for names.
fn refused_name() -> Step {
    ControlFlow::Break(Stop::Refused(Error::new(ErrorCode::SyntaxError, "a text in quotes is no name")))
}

fn is_text(name: &Ident) -> bool {
    name.quote_style == Some('\'')
}

fn is_of_texts(alias: &TableAlias) -> bool {
    is_text(&alias.name) || alias.columns.iter().any(|column| is_text(&column.name))
}

fn has_text(name: &ObjectName) -> bool {
    name.0.iter().filter_map(|part| part.as_ident()).any(is_text)
}

/// Whether an expression has a name in it, beside those of the expressions in it.
fn is_named_by_text(expr: &Expr) -> bool {
    match expr {
        Expr::CompoundIdentifier(names) => names.iter().any(is_text),
        Expr::CompoundFieldAccess { access_chain, .. } => {
            access_chain.iter().any(|access| matches!(access, AccessExpr::Dot(Expr::Identifier(name)) if is_text(name)))
        }
        Expr::Collate { collation, .. } => has_text(collation),
        Expr::Function(call) => match &call.over {
            Some(WindowType::NamedWindow(name)) => is_text(name),
            Some(WindowType::WindowSpec(spec)) => spec.window_name.as_ref().is_some_and(is_text),
            None => false,
        },
        _ => false,
    }
}

/// Whether the columns of USING are named so, in the joins of a table.
fn joins_by_text(table: &TableWithJoins) -> bool {
    table
        .joins
        .iter()
        .any(|join| matches!(constraint(join), Some(Constraint::Using(names)) if names.iter().any(has_text)))
}

const fn constraint(join: &Join) -> Option<&Constraint> {
    match &join.join_operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::CrossJoin(constraint)
        | JoinOperator::Semi(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::Anti(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint)
        | JoinOperator::AsOf { constraint, .. }
        | JoinOperator::StraightJoin(constraint) => Some(constraint),
        JoinOperator::CrossApply
        | JoinOperator::OuterApply
        | JoinOperator::ArrayJoin
        | JoinOperator::LeftArrayJoin
        | JoinOperator::InnerArrayJoin => None,
    }
}

struct Ignored;

impl Reader for Ignored {
    fn query(&mut self, query: &Query) -> Step {
        if query.with.iter().flat_map(|with| &with.cte_tables).any(|cte| is_of_texts(&cte.alias)) {
            return refused_name();
        }
        let found = if !query.locks.is_empty() {
            Some("FOR UPDATE or FOR SHARE")
        } else if query.for_clause.is_some() || query.format_clause.is_some() || query.settings.is_some() {
            Some("this clause")
        } else if !query.pipe_operators.is_empty() {
            Some("a pipe operator")
        } else {
            None
        };
        found.map_or(ON, refused)
    }

    fn select(&mut self, select: &Select) -> Step {
        let alias = select.projection.iter().any(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => is_text(alias),
            _ => false,
        });
        if alias || select.named_window.iter().any(|window| is_text(&window.0)) || select.from.iter().any(joins_by_text)
        {
            return refused_name();
        }
        if select.into.is_some() {
            let error = Error::new(ErrorCode::FeatureNotSupported, "SELECT INTO is not supported");
            return ControlFlow::Break(Stop::Refused(error.with_hint(MADE_ELSEWHERE)));
        }
        of_select(select).map_or(ON, refused)
    }

    fn relation(&mut self, relation: &ObjectName) -> Step {
        if has_text(relation) { refused_name() } else { ON }
    }

    fn expr(&mut self, expr: &Expr) -> Step {
        if is_named_by_text(expr) {
            return refused_name();
        }
        if is_misread(expr) {
            refused("IS DISTINCT FROM without parentheses around what is before AND or OR")
        } else {
            ON
        }
    }

    fn table_factor(&mut self, factor: &TableFactor) -> Step {
        let alias = match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => alias.as_ref(),
            _ => None,
        };
        if alias.is_some_and(is_of_texts) {
            return refused_name();
        }
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } if joins_by_text(table_with_joins) => refused_name(),
            TableFactor::Derived { sample: Some(_), .. } => refused("TABLESAMPLE of a query"),
            TableFactor::Table { version: Some(_), .. } => refused("a table version"),
            TableFactor::Table { partitions, .. } if !partitions.is_empty() => refused("a partition list"),
            _ => ON,
        }
    }
}

fn of_select(select: &Select) -> Option<&'static str> {
    let foreign = select.top.is_some()
        || !select.lateral_views.is_empty()
        || select.prewhere.is_some()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
        || !select.connect_by.is_empty();
    foreign.then_some("this clause")
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn judge(sql: &str) -> bool {
        let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        refuse_ignored(&parsed.remove(0)).is_ok()
    }

    #[test]
    fn select_into_says_where_tables_are_made() {
        let parsed = Parser::parse_sql(&PostgreSqlDialect {}, "select * into x from t").unwrap();
        let error = refuse_ignored(&parsed[0]).unwrap_err();
        assert_eq!((error.message(), error.hint()), ("SELECT INTO is not supported", Some(MADE_ELSEWHERE)));
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        for sql in [
            "select * from t for update",
            "select * from t for share",
            "select * from (select 1) t tablesample bernoulli (10)",
            "select * into x from t",
            "select 1 union select * into x from t",
            "select 1 where exists (select 1 from t for update)",
            "select a is distinct from case when b then c end and d from t",
            "select a as 'b' from t",
            "select * from 't'",
            "select * from t as 'u'",
            "select * from (select 1) as u('b')",
            "with 'u' as (select 1) select 1",
            "select t.'a' from t",
            "select (t).'a' from t",
            "select (f(a)).'b' from t",
            "select 1 from t join u using ('a')",
            "select 1 from t left join u using (a, 'b') where c",
            "select 1 from (t full join u using ('a')) join v on b",
            "select a collate 'C' from t",
            "select sum(a) over w from t window 'w' as (order by b)",
            "select sum(a) over 'w' from t window w as (order by b)",
        ] {
            assert!(!judge(sql), "{sql}");
        }
        assert!(judge("select a, count(*) from t where a not in (select 1) and 'x' not in (select b from u)"));
        assert!(judge("select sum((t).a) over \"w\", b collate \"C\" from t join u using (\"b\") window \"w\" as ()"));
        assert!(judge(
            "select a, count(*) from t join u using (a) where b in (select 1) group by a having true order by 1 limit 1"
        ));
    }
}
