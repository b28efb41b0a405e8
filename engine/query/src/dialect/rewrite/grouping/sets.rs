//! GROUP BY with sets beside other keys, as one list of sets: the engine takes columns that a primary key decides for keys of all sets, so
//! that a column of some sets is never left out. Rows of keys are their keys, what is named twice in a set counts once, and GROUP BY
//! DISTINCT leaves out sets that are there already. Columns that a primary key among the keys of all sets decides are keys of all sets where
//! the SELECT reads them. So they are beside a FULL JOIN, behind which the engine forgets all keys: where a side has no row, all its columns
//! are NULL, and only there is its key.

use super::aggregates::is_aggregate;
use super::group_by::{SET_KEYS_MAX, SETS_MAX, at_place, too_many_sets};
use crate::dialect::ast::{folded, parts, quoted};
use crate::dialect::rewrite::Rewriter;
use crate::dialect::rewrite::from::rows;
use crate::sql::clauses::DISTINCT_MARK;
use crate::sql::walk::{ON, Reader, Step, Stop, Writer, finds, look, write};
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Join, JoinOperator, OrderBy, Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor,
    TableWithJoins, Value,
};
use querygate_types::Result;
use std::collections::HashSet;

/// Puts the GROUP BY of a SELECT in such words, and one group in place of none where HAVING wants one.
///
/// # Errors
/// 54001 for more sets than a GROUP BY has.
pub(in crate::dialect) fn unite(rewriter: &Rewriter<'_>, select: &mut Select, order: Option<&OrderBy>) -> Result<()> {
    one_group(select);
    let GroupByExpr::Expressions(groups, modifiers) = &mut select.group_by else { return Ok(()) };
    if groups.is_empty() || !modifiers.is_empty() {
        return Ok(());
    }
    let marked = groups.len();
    groups.retain(|key| !is_mark(key));
    let distinct = groups.len() < marked;
    *groups = std::mem::take(groups).into_iter().flat_map(without_row).collect();
    if !groups.iter().any(is_sets) {
        return behind_full_join(rewriter, select, order);
    }
    if !distinct && is_simple(groups) {
        return Ok(());
    }
    let mut sets = product(groups)?;
    for set in &mut sets {
        let mut seen = HashSet::new();
        set.retain(|key| seen.insert(key.to_string()));
    }
    if distinct {
        let mut seen = HashSet::new();
        sets.retain(|set| {
            let mut names: Vec<String> = set.iter().map(ToString::to_string).collect();
            names.sort();
            seen.insert(names)
        });
    }
    let decided = decided(rewriter, select, &sets, || Ok(Columns::of(select, order)))?;
    sets.iter_mut().for_each(|set| set.extend(decided.iter().cloned()));
    let groups = match sets.as_mut_slice() {
        // A number would be a place there.
        [only] if !only.is_empty() && !only.iter().any(|key| matches!(key, Expr::Value(_))) => std::mem::take(only),
        _ => vec![Expr::GroupingSets(sets)],
    };
    select.group_by = GroupByExpr::Expressions(groups, Vec::new());
    Ok(())
}

/// Adds to the keys of a SELECT over a FULL JOIN the columns that they decide.
fn behind_full_join(rewriter: &Rewriter<'_>, select: &mut Select, order: Option<&OrderBy>) -> Result<()> {
    let GroupByExpr::Expressions(groups, _) = &select.group_by else { return Ok(()) };
    if !select.from.iter().any(has_full_join) {
        return Ok(());
    }
    let set: Vec<Expr> =
        groups.iter().map(|key| at_place(&select.projection, key).unwrap_or_else(|| key.clone())).collect();
    let decided = decided(rewriter, select, &[set], || beside_aggregates(select, order))?;
    if let GroupByExpr::Expressions(groups, _) = &mut select.group_by {
        groups.extend(decided);
    }
    Ok(())
}

fn has_full_join(table: &TableWithJoins) -> bool {
    let within = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => has_full_join(table_with_joins),
        _ => false,
    };
    let is_full = |join: &Join| matches!(join.join_operator, JoinOperator::FullOuter(_)) || within(&join.relation);
    within(&table.relation) || table.joins.iter().any(is_full)
}

/// The columns that a SELECT reads outside of aggregates.
fn beside_aggregates(select: &Select, order: Option<&OrderBy>) -> Result<Columns> {
    let (mut bare, mut order) = (select.clone(), order.cloned());
    write(&mut bare.projection, &mut WithoutAggregates)?;
    write(&mut bare.having, &mut WithoutAggregates)?;
    write(&mut order, &mut WithoutAggregates)?;
    Ok(Columns::of(&bare, order.as_ref()))
}

struct WithoutAggregates;

impl Writer for WithoutAggregates {
    fn expr(&mut self, expr: &mut Expr) -> Step {
        if matches!(&*expr, Expr::Function(call) if call.over.is_none() && is_aggregate(call)) {
            *expr = Expr::Value(Value::Null.with_empty_span());
        }
        ON
    }
}

/// HAVING without GROUP BY and without aggregates is of one group.
fn one_group(select: &mut Select) {
    let none = matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers) if keys.is_empty() && modifiers.is_empty());
    let Some(having) = select.having.as_ref().filter(|_| none) else { return };
    if !finds(having, &mut AnyCall) && !finds(&select.projection, &mut AnyCall) {
        select.group_by = GroupByExpr::Expressions(vec![Expr::GroupingSets(vec![Vec::new()])], Vec::new());
    }
}

struct AnyCall;

impl Reader for AnyCall {
    fn expr(&mut self, expr: &Expr) -> Step {
        if matches!(expr, Expr::Function(_)) { Step::Break(Stop::Found) } else { ON }
    }
}

/// The key that stands for DISTINCT, which the tokens put there.
fn is_mark(key: &Expr) -> bool {
    // No text of a statement becomes such a literal.
    matches!(key, Expr::Value(value) if matches!(&value.value, Value::TripleSingleQuotedString(text) if text == DISTINCT_MARK))
}

/// The keys in a row of keys; a row of none stays.
fn without_row(key: Expr) -> Vec<Expr> {
    match key {
        Expr::Tuple(keys) if !keys.is_empty() => keys.into_iter().flat_map(without_row).collect(),
        other => vec![other],
    }
}

pub(super) fn is_sets(key: &Expr) -> bool {
    match key {
        Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_) => true,
        Expr::Tuple(keys) => keys.is_empty(),
        _ => false,
    }
}

/// Whether the keys are one ROLLUP or CUBE that the engine reads as it is.
fn is_simple(groups: &[Expr]) -> bool {
    let [Expr::Rollup(units) | Expr::Cube(units)] = groups else { return false };
    let mut seen = HashSet::new();
    units.iter().all(|unit| match unit.as_slice() {
        [Expr::Tuple(_)] => false,
        [key] => seen.insert(key.to_string()),
        _ => false,
    })
}

/// The sets that keys and sets beside each other mean: each of one with each of the next.
fn product(groups: &[Expr]) -> Result<Vec<Vec<Expr>>> {
    let mut all: Vec<Vec<Expr>> = vec![Vec::new()];
    for group in groups {
        let sets = sets_of(group)?;
        let keys = |sets: &[Vec<Expr>]| sets.iter().map(Vec::len).sum::<usize>();
        let count = all.len().saturating_mul(sets.len());
        let written = keys(&all).saturating_mul(sets.len()).saturating_add(keys(&sets).saturating_mul(all.len()));
        if count > SETS_MAX || written > SET_KEYS_MAX {
            return Err(too_many_sets());
        }
        let both = |left: &Vec<Expr>| {
            let left = left.clone();
            sets.iter().map(move |right| left.iter().chain(right).cloned().collect::<Vec<Expr>>()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(both).collect();
    }
    Ok(all)
}

fn sets_of(group: &Expr) -> Result<Vec<Vec<Expr>>> {
    let flat = |keys: &[Expr]| {
        keys.iter().cloned().flat_map(without_row).filter(|key| !is_nothing(key)).collect::<Vec<Expr>>()
    };
    let (units, cube) = match group {
        Expr::GroupingSets(sets) => return Ok(sets.iter().map(|set| flat(set)).collect()),
        Expr::Rollup(units) => (units, false),
        Expr::Cube(units) => (units, true),
        key => return Ok(vec![flat(std::slice::from_ref(key))]),
    };
    let units: Vec<Vec<Expr>> = units.iter().map(|unit| flat(unit)).collect();
    let count = if cube {
        u32::try_from(units.len()).ok().and_then(|units| 1_usize.checked_shl(units))
    } else {
        Some(units.len() + 1)
    };
    let count = count.filter(|count| *count <= SETS_MAX).ok_or_else(too_many_sets)?;
    let each = units.iter().map(Vec::len).sum::<usize>();
    if count.saturating_mul(each) > SET_KEYS_MAX {
        return Err(too_many_sets());
    }
    let set = |number: usize| -> Vec<Expr> {
        let chosen = |at: usize| if cube { number >> at & 1 == 1 } else { at < number };
        units.iter().enumerate().filter(|(at, _)| chosen(*at)).flat_map(|(_, keys)| keys.iter().cloned()).collect()
    };
    Ok((0..count).rev().map(set).collect())
}

fn is_nothing(key: &Expr) -> bool {
    matches!(key, Expr::Tuple(keys) if keys.is_empty())
}

/// A table of FROM whose rows a key tells apart.
struct Keyed {
    name: String,
    columns: Vec<String>,
    key: Vec<String>,
}

/// Columns that the SELECT reads and that a primary key decides which is in all sets. Those of some set are no such ones.
///
/// `read`: what the SELECT reads.
fn decided(
    rewriter: &Rewriter<'_>,
    select: &Select,
    sets: &[Vec<Expr>],
    read: impl FnOnce() -> Result<Columns>,
) -> Result<Vec<Expr>> {
    let Some((first, others)) = sets.split_first() else { return Ok(Vec::new()) };
    let common: Vec<&Expr> = first.iter().filter(|key| others.iter().all(|set| set.contains(key))).collect();
    let mut tables = Vec::new();
    select.from.iter().for_each(|table| keyed(rewriter, table, &mut tables));
    tables.retain(|table| {
        let has = |column: &String| common.iter().any(|key| is_column(key, &table.name, column));
        !table.key.is_empty() && table.key.iter().all(has)
    });
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let read = read()?;
    let mut found = Vec::new();
    for table in &tables {
        let keys = || sets.iter().flatten();
        for column in &table.columns {
            let own = |(name, of): &(Option<String>, String)| {
                of == column && name.as_ref().is_none_or(|name| *name == table.name)
            };
            let all = read.all || read.tables.contains(&table.name);
            if (all || read.columns.iter().any(own)) && !keys().any(|key| is_column(key, &table.name, column)) {
                found.push(Expr::CompoundIdentifier(vec![quoted(&table.name), quoted(column)]));
            }
        }
    }
    Ok(found)
}

/// Whether a key is this column, with its table's name or without.
fn is_column(key: &Expr, table: &str, column: &str) -> bool {
    match key {
        Expr::Identifier(name) => folded(name) == column,
        Expr::CompoundIdentifier(names) => match names.as_slice() {
            [.., of, name] => folded(of) == table && folded(name) == column,
            _ => false,
        },
        Expr::Nested(inner) => is_column(inner, table, column),
        _ => false,
    }
}

fn keyed(rewriter: &Rewriter<'_>, table: &TableWithJoins, found: &mut Vec<Keyed>) {
    for factor in std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => keyed(rewriter, table_with_joins, found),
            TableFactor::Table { name, alias, args: None, .. } => {
                let Some(path) = parts(name) else { continue };
                let (Some(own), Some(key)) = (rewriter.columns_of(&path), rewriter.primary_key_of(&path)) else {
                    continue;
                };
                let Some(columns) = rows::renamed(Some(own.clone()), alias.as_ref()) else { continue };
                let renamed = |column: &String| {
                    let place = own.iter().position(|name| name == column)?;
                    columns.get(place).cloned()
                };
                let Some(key) = key.iter().map(renamed).collect::<Option<Vec<String>>>() else { continue };
                let name = alias.as_ref().map(|alias| folded(&alias.name)).or_else(|| path.last().cloned());
                found.extend(name.map(|name| Keyed { name, columns, key }));
            }
            _ => {}
        }
    }
}

/// Names of columns, with those of their tables.
#[derive(Default)]
struct Columns {
    columns: HashSet<(Option<String>, String)>,
    /// Tables all of whose columns are read.
    tables: HashSet<String>,
    /// Whether all columns of all tables are.
    all: bool,
}

impl Columns {
    fn of(select: &Select, order: Option<&OrderBy>) -> Self {
        let mut read = Self::default();
        look(&select.projection, &mut read);
        look(&select.having, &mut read);
        if let Some(order) = order {
            look(order, &mut read);
        }
        for item in &select.projection {
            match item {
                SelectItem::Wildcard(_) => read.all = true,
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    read.tables.extend(parts(name).and_then(|mut names| names.pop()));
                }
                _ => {}
            }
        }
        read
    }
}

impl Reader for Columns {
    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            Expr::Identifier(name) => _ = self.columns.insert((None, folded(name))),
            Expr::CompoundIdentifier(names) => {
                if let [.., table, name] = names.as_slice() {
                    self.columns.insert((Some(folded(table)), folded(name)));
                }
            }
            _ => {}
        }
        ON
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;
    use querygate_types::ErrorCode;

    /// The engine forgets behind a FULL JOIN that a key decides its row.
    #[test]
    fn a_key_decides_its_row_behind_a_full_join() {
        let reader = Shop::open().owner();
        let joined = "accounts a FULL JOIN regions r ON r.id = a.region_id";
        for (read, keys) in [
            ("r.id, r.name, count(*)", "r.id"),
            ("r.id, upper(r.name), count(a.id)", "1"),
            ("r.name, max(r.rank), count(*)", "r.id"),
            ("a.id, a.rating, r.name", "a.id, r.id"),
        ] {
            let sql = |columns: &str| format!("SELECT {read} FROM {joined} GROUP BY {keys}{columns} ORDER BY 1, 2");
            let named = if keys.starts_with("a.id") { ", a.rating, r.name" } else { ", r.name" };
            assert_eq!(reader.rows(&sql("")).unwrap(), reader.rows(&sql(named)).unwrap(), "{read}");
        }
        // What no key among the keys decides is refused as before, and an aggregate adds no key.
        for (read, keys) in [("r.id, a.rating", "r.id"), ("r.rank, r.name", "r.rank")] {
            let error = reader.bind(&format!("SELECT {read} FROM {joined} GROUP BY {keys}")).map(drop).unwrap_err();
            assert_eq!(error.code(), ErrorCode::GroupingError, "{error}");
        }
        let plan = reader.optimized(&format!("SELECT r.id, max(r.name) FROM {joined} GROUP BY r.id"));
        let plan = plan.display_indent().to_string();
        assert!(plan.contains("groupBy=[[r.id]]"), "{plan}");
    }
}
