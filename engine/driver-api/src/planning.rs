//! What a source's planner has to decide for a fragment, and so which of its settings are worth a trial. Knows no planner.

use crate::driver::Driver;
use crate::fragment::Fragment;
use crate::relation::{JoinKind, Relation};
use crate::scalar::ScalarExpr;
use querygate_types::{Error, ErrorCode, PlannerSetting, Result};

/// Choices that a fragment leaves to its source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Choices {
    /// Joins and subqueries: each brings rows of another relation together with the others.
    joins: usize,
    /// Whether some of them have no condition of their own: in the order in which they are sent, that would be every pair of rows.
    crosses: bool,
    /// Those of them that only ask whether there is a row.
    semi_joins: usize,
    /// The first rows of an order, of those that a condition leaves: along an index of the order, or by one of the condition.
    first_rows: bool,
    /// Values are bound: a server may plan for them, or once for any.
    values: bool,
}

/// The settings that a driver takes and that may change how it runs a fragment.
#[must_use]
pub fn settings_for(driver: &dyn Driver, fragment: &Fragment) -> Vec<PlannerSetting> {
    let offered = driver.planner_settings();
    if offered.is_empty() {
        return Vec::new();
    }
    let choices = Choices { values: !fragment.parameters.is_empty(), ..Choices::of(&fragment.relation) };
    offered.iter().copied().filter(|setting| choices.concern(*setting)).collect()
}

/// Whether a driver takes the setting of an execution, if it has one.
///
/// # Errors
/// 0A000: it does not offer it.
pub fn check_setting(driver: &dyn Driver, setting: Option<PlannerSetting>) -> Result<()> {
    match setting {
        Some(setting) if !driver.planner_settings().contains(&setting) => Err(not_taken(setting)),
        Some(_) | None => Ok(()),
    }
}

/// For a driver that was given a setting that it does not take.
#[must_use]
pub fn not_taken(setting: PlannerSetting) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, format!("the source's planner has no setting {setting}"))
}

impl Choices {
    fn of(relation: &Relation) -> Self {
        let mut choices = Self::default();
        choices.look(relation);
        choices
    }

    const fn concern(self, setting: PlannerSetting) -> bool {
        match setting {
            PlannerSetting::NoNestedLoops
            | PlannerSetting::NoMergeJoins
            | PlannerSetting::NoHashJoins
            | PlannerSetting::HashJoins => self.joins > 0,
            PlannerSetting::CustomPlans => self.values && (self.joins > 0 || self.first_rows),
            // Two relations have one order, or its mirror image, which planners try by themselves.
            PlannerSetting::SentOrder => self.joins > 1 && !self.crosses,
            PlannerSetting::NoIndexScans => self.joins > 0 || self.first_rows,
            PlannerSetting::NoSemiJoins => self.semi_joins > 0,
        }
    }

    fn look(&mut self, relation: &Relation) {
        match relation {
            Relation::Join { kind, on, .. } => {
                self.joins += 1;
                self.crosses |= *on == ScalarExpr::always();
                self.semi_joins += usize::from(matches!(kind, JoinKind::LeftSemi | JoinKind::LeftAnti));
            }
            Relation::Limit { input, .. } => self.first_rows |= orders_some(input, false),
            Relation::Scan { .. }
            | Relation::Filter { .. }
            | Relation::Project { .. }
            | Relation::Aggregate { .. }
            | Relation::Distinct { .. }
            | Relation::Sort { .. }
            | Relation::SetOperation { .. }
            | Relation::Window { .. }
            | Relation::Fence { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => {}
        }
        relation.scalars().into_iter().for_each(|expr| self.look_into(expr));
        relation.inputs().into_iter().for_each(|input| self.look(input));
    }

    fn look_into(&mut self, expr: &ScalarExpr) {
        if let Some(relation) = expr.subquery() {
            self.joins += 1;
            self.semi_joins += usize::from(!matches!(expr, ScalarExpr::ScalarSubquery { .. }));
            self.look(relation);
        }
        expr.children().into_iter().for_each(|child| self.look_into(child));
    }
}

/// Whether an order, and below it a condition, is reached through operators that keep rows as they are.
fn orders_some(relation: &Relation, sorted: bool) -> bool {
    match relation {
        Relation::Sort { input, .. } => orders_some(input, true),
        Relation::Filter { .. } => sorted,
        Relation::Project { input, .. } | Relation::Limit { input, .. } | Relation::Fence { input } => {
            orders_some(input, sorted)
        }
        Relation::Scan { .. }
        | Relation::Join { .. }
        | Relation::Aggregate { .. }
        | Relation::Distinct { .. }
        | Relation::SetOperation { .. }
        | Relation::Window { .. }
        | Relation::Values { .. }
        | Relation::EmptyRow => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifier::{ColumnId, Identifier, TableRef};
    use crate::relation::{Collation, Encoding, ScanColumn, SortKey};
    use crate::value::ValueType;

    const COLUMN: ScalarExpr = ScalarExpr::Column(ColumnId(0));

    fn scan() -> Box<Relation> {
        let column = ScanColumn {
            id: ColumnId(0),
            name: Identifier::new("a").unwrap(),
            value_type: ValueType::Boolean,
            nullable: false,
            collation: Collation::Binary,
            encoding: Encoding::Canonical,
        };
        Box::new(Relation::Scan { table: TableRef::new(["t"]).unwrap(), columns: vec![column] })
    }

    fn filter(predicate: ScalarExpr) -> Box<Relation> {
        Box::new(Relation::Filter { input: scan(), predicate })
    }

    fn sort(input: Box<Relation>) -> Box<Relation> {
        Box::new(Relation::Sort { input, keys: vec![SortKey { expr: COLUMN, ascending: true, nulls_first: false }] })
    }

    fn limit(input: Box<Relation>) -> Relation {
        Relation::Limit { input, skip: 0, fetch: Some(1) }
    }

    fn join(kind: JoinKind, left: Box<Relation>) -> Box<Relation> {
        Box::new(Relation::Join { kind, left, right: scan(), on: COLUMN })
    }

    fn concerned(relation: &Relation) -> Vec<PlannerSetting> {
        let choices = Choices { values: true, ..Choices::of(relation) };
        PlannerSetting::ALL.into_iter().filter(|setting| choices.concern(*setting)).collect()
    }

    #[test]
    fn only_what_a_planner_decides_is_tried() {
        use PlannerSetting::{
            CustomPlans, HashJoins, NoHashJoins, NoIndexScans, NoMergeJoins, NoNestedLoops, NoSemiJoins, SentOrder,
        };
        let joined = [CustomPlans, HashJoins, NoMergeJoins, NoHashJoins, NoIndexScans, NoNestedLoops];
        let exists = ScalarExpr::Exists { relation: scan(), negated: false };
        let one = join(JoinKind::Left, scan());
        for (name, relation, expected) in [
            ("a table", *scan(), vec![]),
            ("some of its rows", *filter(COLUMN), vec![]),
            ("all in order", *sort(scan()), vec![]),
            ("some in order", *sort(filter(COLUMN)), vec![]),
            ("the first of all", limit(sort(scan())), vec![]),
            ("the first of some", limit(sort(filter(COLUMN))), vec![CustomPlans, NoIndexScans]),
            ("any of some", limit(filter(COLUMN)), vec![]),
            ("a join", *one.clone(), joined.to_vec()),
            ("a subquery", *filter(exists), [joined.as_slice(), &[NoSemiJoins]].concat()),
            ("two joins", *join(JoinKind::LeftAnti, one), PlannerSetting::ALL.to_vec()),
        ] {
            let found = concerned(&relation);
            assert_eq!(found, expected, "{name}");
        }
        let crossed =
            |on| Relation::Join { kind: JoinKind::Inner, left: join(JoinKind::Inner, scan()), right: scan(), on };
        assert!(concerned(&crossed(COLUMN)).contains(&SentOrder));
        assert!(
            !concerned(&crossed(ScalarExpr::always())).contains(&SentOrder),
            "every pair of rows, before their condition"
        );
        assert!(!Choices::of(&crossed(COLUMN)).concern(CustomPlans), "without values each plan is for any");
    }
}
