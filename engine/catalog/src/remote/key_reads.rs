//! Which fragments find rows by a whole key, or by a few, and do nothing with them that can fail or last: work of a moment for their
//! source. Only a hint; its caller must be right for every fragment.

use super::table::DriverTable;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};

/// Keys that are found at once. Longer lists are not for a connection that others share.
const KEYS_MAX: usize = 16;

/// Whether a fragment reads one table by values of its key, looks at each row by itself, and takes bounded time for it.
pub(crate) fn looks_up<'a>(fragment: &Fragment, mut tables: impl Iterator<Item = &'a DriverTable>) -> bool {
    finds_by(fragment, |table| tables.find(|known| known.table() == table)?.key_names())
}

fn finds_by<'a>(fragment: &Fragment, key: impl FnOnce(&TableRef) -> Option<Vec<&'a str>>) -> bool {
    if fragment.relation.can_fail() {
        return false;
    }
    let mut given = Vec::new();
    let Some((table, columns)) = read(&fragment.relation, &mut given) else { return false };
    let values_of = |name: &str| {
        let column = columns.iter().find(|column| column.name.as_str() == name)?;
        given.iter().filter(|(id, _)| *id == column.id).map(|(_, values)| *values).min()
    };
    let keys_of =
        |key: Vec<&str>| key.into_iter().try_fold(1_usize, |keys, name| Some(keys.saturating_mul(values_of(name)?)));
    key(table).is_some_and(|key| !key.is_empty() && keys_of(key).is_some_and(|keys| keys <= KEYS_MAX))
}

/// The one table below operators that treat rows one by one, and the columns that equal one of some values, with their number. `None`: anything else.
fn read<'a>(relation: &'a Relation, given: &mut Vec<(ColumnId, usize)>) -> Option<(&'a TableRef, &'a [ScanColumn])> {
    if relation.scalars().into_iter().any(asks_other_rows) {
        return None;
    }
    match relation {
        Relation::Scan { table, columns } => Some((table, columns)),
        Relation::Filter { input, predicate } => {
            conjuncts(predicate, given);
            read(input, given)
        }
        // Rows of one key are few, and so there is little to sort.
        Relation::Project { input, .. }
        | Relation::Sort { input, .. }
        | Relation::Limit { input, .. }
        | Relation::Fence { input } => read(input, given),
        Relation::Join { .. }
        | Relation::Aggregate { .. }
        | Relation::Distinct { .. }
        | Relation::SetOperation { .. }
        | Relation::Window { .. }
        | Relation::Values { .. }
        | Relation::EmptyRow => None,
    }
}

fn asks_other_rows(expr: &ScalarExpr) -> bool {
    expr.subquery().is_some() || expr.children().into_iter().any(asks_other_rows)
}

fn conjuncts(predicate: &ScalarExpr, given: &mut Vec<(ColumnId, usize)>) {
    match predicate {
        ScalarExpr::And(all) => all.iter().for_each(|one| conjuncts(one, given)),
        ScalarExpr::Comparison { op: ComparisonOp::Eq, left, right } => match (left.as_ref(), right.as_ref()) {
            (ScalarExpr::Column(id), ScalarExpr::Parameter(..))
            | (ScalarExpr::Parameter(..), ScalarExpr::Column(id)) => {
                given.push((*id, 1));
            }
            _ => {}
        },
        ScalarExpr::InList { expr, list, negated: false } => {
            if let ScalarExpr::Column(id) = expr.as_ref()
                && list.iter().all(|value| matches!(value, ScalarExpr::Parameter(..)))
            {
                given.push((*id, list.len()));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::fragment::OutputColumn;
    use querygate_driver_api::identifier::Identifier;
    use querygate_driver_api::relation::{Collation, Encoding};
    use querygate_driver_api::scalar::ArithmeticOp;
    use querygate_driver_api::value::ValueType;

    const INT: ValueType = ValueType::Int32;

    fn scan() -> Relation {
        let column = |(id, name): (u32, &str)| ScanColumn {
            id: ColumnId(id),
            name: Identifier::new(name).unwrap(),
            value_type: INT,
            nullable: false,
            collation: Collation::Binary,
            encoding: Encoding::Canonical,
        };
        let columns = [(0, "a"), (1, "b"), (2, "c")].map(column).into();
        Relation::Scan { table: TableRef::new(["public", "t"]).unwrap(), columns }
    }

    fn compared(op: ComparisonOp, id: u32) -> ScalarExpr {
        ScalarExpr::compare(op, ScalarExpr::Column(ColumnId(id)), ScalarExpr::Parameter(0, INT))
    }

    fn one_of(values: usize, id: u32, negated: bool) -> ScalarExpr {
        let list = (0..values).map(|at| ScalarExpr::Parameter(at, INT)).collect();
        ScalarExpr::InList { expr: Box::new(ScalarExpr::Column(ColumnId(id))), list, negated }
    }

    fn filtered(predicate: ScalarExpr) -> Relation {
        Relation::Filter { input: Box::new(scan()), predicate }
    }

    fn finds(relation: Relation, key: &'static [&'static str]) -> bool {
        let output = vec![OutputColumn { id: ColumnId(0), name: "a".to_owned(), value_type: INT, nullable: false }];
        let fragment = Fragment { relation, output, parameters: vec![INT] };
        finds_by(&fragment, |table| (table.name() == "t" && !key.is_empty()).then(|| key.to_vec()))
    }

    #[test]
    fn a_whole_key_that_equals_values_is_looked_up() {
        let eq = |id| compared(ComparisonOp::Eq, id);
        assert!(finds(filtered(eq(0)), &["a"]));
        assert!(finds(filtered(ScalarExpr::And(vec![compared(ComparisonOp::Lt, 2), eq(1), eq(0)])), &["a", "b"]));
        let fenced = Relation::Fence { input: Box::new(filtered(eq(0))) };
        let above = Relation::Filter { input: Box::new(fenced), predicate: compared(ComparisonOp::Gt, 1) };
        let exprs = vec![(ColumnId(0), ScalarExpr::Column(ColumnId(0)))];
        let projected = Relation::Project { input: Box::new(above), exprs };
        assert!(finds(Relation::Limit { input: Box::new(projected), skip: 0, fetch: Some(1) }, &["a"]));
    }

    #[test]
    fn a_few_keys_are_looked_up_at_once() {
        let both = |first, second| ScalarExpr::And(vec![one_of(first, 0, false), one_of(second, 1, false)]);
        for values in [1, 2, KEYS_MAX] {
            assert!(finds(filtered(one_of(values, 0, false)), &["a"]), "{values}");
        }
        assert!(finds(filtered(both(4, 4)), &["a", "b"]));
        let narrowed = ScalarExpr::And(vec![one_of(KEYS_MAX + 1, 0, false), compared(ComparisonOp::Eq, 0)]);
        assert!(finds(filtered(narrowed), &["a"]), "it is one at most");
        assert!(!finds(filtered(one_of(KEYS_MAX + 1, 0, false)), &["a"]));
        assert!(!finds(filtered(both(4, 5)), &["a", "b"]));
        assert!(!finds(filtered(one_of(2, 0, true)), &["a"]));
        let column = Box::new(ScalarExpr::Column(ColumnId(0)));
        let other = ScalarExpr::InList { expr: column.clone(), list: vec![*column], negated: false };
        assert!(!finds(filtered(other), &["a"]));
    }

    #[test]
    fn everything_else_is_not() {
        let eq = |id| compared(ComparisonOp::Eq, id);
        let cases: [(Relation, &'static [&'static str]); 7] = [
            (scan(), &["a"]),
            (filtered(eq(0)), &[]),
            (filtered(eq(1)), &["a"]),
            (filtered(eq(0)), &["a", "b"]),
            (filtered(compared(ComparisonOp::LtEq, 0)), &["a"]),
            (filtered(ScalarExpr::Or(vec![eq(0), eq(1)])), &["a"]),
            (filtered(ScalarExpr::Not(Box::new(eq(0)))), &["a"]),
        ];
        for (relation, key) in cases {
            assert!(!finds(relation.clone(), key), "{relation:?}");
        }
        let exists = ScalarExpr::Exists { relation: Box::new(scan()), negated: false };
        assert!(!finds(filtered(ScalarExpr::And(vec![eq(0), exists])), &["a"]));
        let sum = ScalarExpr::Arithmetic {
            op: ArithmeticOp::Add,
            left: Box::new(ScalarExpr::Column(ColumnId(1))),
            right: Box::new(ScalarExpr::Column(ColumnId(2))),
            value_type: INT,
        };
        let exprs = vec![(ColumnId(0), ScalarExpr::Column(ColumnId(0))), (ColumnId(9), sum)];
        assert!(!finds(Relation::Project { input: Box::new(filtered(eq(0))), exprs }, &["a"]), "it can fail");
        let joined = Relation::Join {
            kind: querygate_driver_api::relation::JoinKind::Inner,
            left: Box::new(filtered(eq(0))),
            right: Box::new(scan()),
            on: ScalarExpr::always(),
        };
        assert!(!finds(joined, &["a"]));
        let distinct = Relation::Distinct { input: Box::new(filtered(eq(0))) };
        assert!(!finds(distinct, &["a"]));
    }
}
