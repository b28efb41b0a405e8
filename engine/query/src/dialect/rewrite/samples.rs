//! TABLESAMPLE: a table's rows, each with a probability.

use super::Rewriter;
use crate::dialect::ast::{call, cast, derived, parts, quoted, select, table_alias, text};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Select, SelectItem, SetExpr, TableFactor, TableSample, TableSampleKind,
    TableSampleMethod, TableSampleModifier, TableSampleSeedModifier, TableWithJoins, UnaryOperator, Value,
    WildcardAdditionalOptions,
};
use querygate_types::{Error, ErrorCode, Result};

/// What the sampled table is called where a row's text is taken.
const SAMPLED: &str = "sampled";
/// Hexadecimal digits of a row's sum that decide, and how many values they have.
const DIGITS: usize = 12;
const VALUES: f64 = 281_474_976_710_656.0;

/// `FROM t TABLESAMPLE BERNOULLI (10)`: `FROM (SELECT * FROM t WHERE random() < 0.1) t`. SYSTEM takes pages, which rows have none here, and
/// is the same. With REPEATABLE a row's own text decides with the seed: the same rows each time while the table stays.
///
/// # Errors
/// 2202H for a share that is none, 42809 for a WITH query, 0A000 for a share or a seed that is no number, 42601 for another grammar's.
pub(super) fn expand(rewriter: &Rewriter<'_>, select: &mut Select) -> Result<()> {
    select.from.iter_mut().try_for_each(|table| of_table(rewriter, table))
}

fn of_table(rewriter: &Rewriter<'_>, table: &mut TableWithJoins) -> Result<()> {
    let joined = table.joins.iter_mut().map(|join| &mut join.relation);
    for factor in std::iter::once(&mut table.relation).chain(joined) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => of_table(rewriter, table_with_joins)?,
            TableFactor::Table { sample: Some(_), .. } => of_factor(rewriter, factor)?,
            _ => {}
        }
    }
    Ok(())
}

/// What is left where no SELECT reads the table.
///
/// # Errors
/// 0A000.
pub(super) fn refuse_elsewhere(factor: &TableFactor) -> Result<()> {
    match factor {
        TableFactor::Table { sample: Some(_), .. } => {
            Err(Error::new(ErrorCode::FeatureNotSupported, "TABLESAMPLE is not supported in a change"))
        }
        _ => Ok(()),
    }
}

fn of_factor(rewriter: &Rewriter<'_>, factor: &mut TableFactor) -> Result<()> {
    let TableFactor::Table { name, alias, sample, .. } = factor else { return Ok(()) };
    let Some(TableSampleKind::AfterTableAlias(sample) | TableSampleKind::BeforeTableAlias(sample)) = sample.take()
    else {
        return Ok(());
    };
    let Some(names) = parts(name) else { return Ok(()) };
    let Some(last) = names.last() else { return Ok(()) };
    if names.len() == 1 && rewriter.is_cte(last) {
        let message = "TABLESAMPLE clause can only be applied to tables and materialized views";
        return Err(Error::new(ErrorCode::WrongObjectType, message));
    }
    let condition = condition(&sample)?;
    let outer = alias.take().unwrap_or_else(|| table_alias(last, &[]));
    *alias = Some(table_alias(SAMPLED, &[]));
    let everything = SelectItem::Wildcard(WildcardAdditionalOptions::default());
    let mut rows = select(vec![everything], Some(factor.clone()))?;
    if let SetExpr::Select(select) = rows.body.as_mut() {
        select.selection = Some(condition);
    }
    *factor = derived(rows, false, Some(outer));
    Ok(())
}

fn condition(sample: &TableSample) -> Result<Expr> {
    let method = matches!(sample.name, Some(TableSampleMethod::Bernoulli | TableSampleMethod::System));
    let seeded = sample.seed.as_ref().is_none_or(|seed| matches!(seed.modifier, TableSampleSeedModifier::Repeatable));
    let (Some(quantity), true) = (&sample.quantity, matches!(sample.modifier, TableSampleModifier::TableSample)) else {
        return Err(Error::new(ErrorCode::SyntaxError, "syntax error in TABLESAMPLE"));
    };
    let plain = quantity.parenthesized && quantity.unit.is_none() && sample.bucket.is_none() && sample.offset.is_none();
    if !(method && seeded && plain) {
        return Err(Error::new(ErrorCode::SyntaxError, "syntax error in TABLESAMPLE")
            .with_hint("TABLESAMPLE BERNOULLI (percentage) [REPEATABLE (seed)]"));
    }
    let Some(percentage) = number(&quantity.value) else {
        let message = "TABLESAMPLE with a percentage that is no number is not supported";
        return Err(Error::new(ErrorCode::FeatureNotSupported, message));
    };
    if !(0.0..=100.0).contains(&percentage) {
        let message = "sample percentage must be between 0 and 100";
        return Err(Error::new(ErrorCode::InvalidTablesampleArgument, message));
    }
    let share = percentage / 100.0;
    let (chance, limit) = match &sample.seed {
        None => (call("random", Vec::new()), double(share)),
        Some(seed) => {
            let Some(seed) = number(&Expr::Value(seed.value.clone())) else {
                let message = "TABLESAMPLE with a seed that is no number is not supported";
                return Err(Error::new(ErrorCode::FeatureNotSupported, message));
            };
            let row = cast(Expr::Identifier(quoted(SAMPLED)), DataType::Text);
            let sum = call("md5", vec![call("concat", vec![text(&seed.to_string()), row])]);
            (sum, text(&first_left_out(share)))
        }
    };
    Ok(Expr::BinaryOp { left: Box::new(chance), op: BinaryOperator::Lt, right: Box::new(limit) })
}

/// The least sum, in hexadecimal digits, whose rows are not taken. Of all rows none is: `g` is behind each digit.
fn first_left_out(share: f64) -> String {
    // Less than 2^48, so that it is exact.
    let first = format!("{:.0}", (share * VALUES).floor()).parse::<u64>();
    match first {
        Ok(first) if share < 1.0 => format!("{first:0DIGITS$x}"),
        _ => "g".to_owned(),
    }
}

fn double(value: f64) -> Expr {
    cast(text(&value.to_string()), DataType::DoublePrecision)
}

fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => number(expr).map(|value| -value),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } | Expr::Nested(expr) => number(expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    #[test]
    fn samples_are_parts_of_tables() {
        let reader = Shop::open().owner();
        let count =
            |sql: &str| reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))[0].parse::<i64>().unwrap();
        for (from, expected) in [
            ("visits TABLESAMPLE BERNOULLI (100)", 6),
            ("visits v TABLESAMPLE SYSTEM (0)", 0),
            ("visits AS v TABLESAMPLE bernoulli (100.0) REPEATABLE (3) WHERE v.id = 'v1'", 1),
            ("visits TABLESAMPLE BERNOULLI (0) REPEATABLE (3)", 0),
            (
                "(visits v JOIN regions r ON r.id = v.region_id) JOIN visits w TABLESAMPLE SYSTEM (100) ON w.id = v.id",
                6,
            ),
        ] {
            assert_eq!(count(&format!("SELECT count(*) FROM {from}")), expected, "{from}");
        }
        let some = "SELECT id FROM visits TABLESAMPLE BERNOULLI (50) REPEATABLE (7) ORDER BY id";
        let first = reader.rows(some).unwrap();
        assert_eq!(reader.rows(some).unwrap(), first);
        let seeds: Vec<_> =
            (0..8).map(|seed| reader.rows(&some.replace("(7)", &format!("({seed})"))).unwrap()).collect();
        assert!(seeds.iter().any(|rows| *rows != first), "{seeds:?}");
        let many = "SELECT count(*) FROM generate_series(1, 200) n, visits TABLESAMPLE BERNOULLI (50)";
        assert!((0..=1_200).contains(&count(many)));
    }

    #[test]
    fn shares_that_are_none_are_refused() {
        let reader = Shop::open().owner();
        for (from, code) in [
            ("visits TABLESAMPLE BERNOULLI (101)", "2202H"),
            ("visits TABLESAMPLE BERNOULLI (-1)", "2202H"),
            ("visits TABLESAMPLE BERNOULLI ('a')", "0A000"),
            ("visits TABLESAMPLE (10 ROWS)", "42601"),
            ("visits TABLESAMPLE (10)", "42601"),
        ] {
            let error = reader.rows(&format!("SELECT 1 FROM {from}")).unwrap_err();
            assert_eq!(error.code().sqlstate(), code, "{from}: {error}");
        }
        let of_query = reader.rows("WITH q AS (SELECT 1) SELECT 1 FROM q TABLESAMPLE SYSTEM (1)").unwrap_err();
        assert_eq!(of_query.code().sqlstate(), "42809");
    }
}
