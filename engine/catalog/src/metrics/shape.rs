//! How a fragment uses its tables: conditions, joins, groups and orders, each traced back to a column of a scan. Knows names in the
//! source, and no value.

use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{ColumnId, Identifier};
use querygate_driver_api::relation::{Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_telemetry_api::fragment::{
    ColumnPlace, Condition, ConditionKind, FragmentShape, JoinShape, OrderShape, TableShape,
};
use std::collections::HashMap;

/// Conditions and columns that are recorded of one table: a list of thousands of keys is one condition.
const MOST: usize = 256;

/// The shape of a fragment. `policy`: parameters whose values a policy gave.
pub(crate) fn shape_of(fragment: &Fragment, policy: &[usize]) -> FragmentShape {
    let mut tracer = Tracer::new(policy);
    tracer.relation(&fragment.relation);
    for table in &mut tracer.shape.tables {
        table.conditions.dedup();
        table.conditions.truncate(MOST);
    }
    tracer.shape.joins.truncate(MOST);
    tracer.shape
}

/// The delivered columns, if the rows are all that the policy leaves of one table: then a share of them is a share of the
/// table's. A computed column has an empty name.
pub(crate) fn passing(fragment: &Fragment, policy: &[usize]) -> Vec<String> {
    let only_policy = (0..fragment.parameters.len()).all(|parameter| policy.contains(&parameter));
    if !only_policy || !is_whole(&fragment.relation) || fragment.output.len() > MOST {
        return Vec::new();
    }
    let mut tracer = Tracer::new(policy);
    tracer.relation(&fragment.relation);
    let [table] = tracer.shape.tables.as_slice() else { return Vec::new() };
    if table.conditions.iter().any(|condition| condition.kind != ConditionKind::PolicyEquality) {
        return Vec::new();
    }
    let name = |id: &ColumnId| tracer.places.get(id).map(|place| place.column.clone()).unwrap_or_default();
    fragment.output.iter().map(|column| name(&column.id)).collect()
}

fn is_whole(relation: &Relation) -> bool {
    match relation {
        Relation::Scan { .. } => true,
        // A condition without a value may be the statement's own.
        Relation::Filter { input, predicate } => has_values(predicate) && is_whole(input),
        Relation::Project { input, .. } | Relation::Fence { input, .. } => is_whole(input),
        Relation::Join { .. }
        | Relation::Aggregate { .. }
        | Relation::Sort { .. }
        | Relation::Limit { .. }
        | Relation::Distinct { .. }
        | Relation::SetOperation { .. }
        | Relation::Window { .. }
        | Relation::Values { .. }
        | Relation::EmptyRow => false,
    }
}

/// Whether each of the conditions that all must hold is with a parameter.
fn has_values(condition: &ScalarExpr) -> bool {
    fn has_value(expr: &ScalarExpr) -> bool {
        matches!(expr, ScalarExpr::Parameter(..)) || expr.children().into_iter().any(has_value)
    }
    match condition {
        ScalarExpr::And(all) => all.iter().all(has_values),
        one => has_value(one),
    }
}

struct Tracer<'a> {
    shape: FragmentShape,
    /// Where a column of the fragment comes from, if it is one of a table.
    places: HashMap<ColumnId, ColumnPlace>,
    policy: &'a [usize],
    /// Subqueries around what is looked at.
    depth: usize,
}

impl<'a> Tracer<'a> {
    fn new(policy: &'a [usize]) -> Self {
        Self { shape: FragmentShape::default(), places: HashMap::new(), policy, depth: 0 }
    }
}

impl Tracer<'_> {
    fn relation(&mut self, relation: &Relation) {
        for input in relation.inputs() {
            self.relation(input);
        }
        match relation {
            Relation::Scan { table, columns } => {
                self.scan(table.parts(), columns);
            }
            Relation::Filter { predicate, .. } => self.condition(predicate),
            Relation::Join { on, .. } => self.condition(on),
            Relation::Project { exprs, .. } => self.handed_on(exprs),
            Relation::Aggregate { group, .. } => {
                self.handed_on(group);
                // What a subquery counts says nothing of the rows around it.
                self.shape.aggregated |= self.depth == 0;
                let places = group.iter().filter_map(|(_, expr)| self.place(expr)).collect::<Vec<_>>();
                self.shape.group.extend(places);
            }
            Relation::Sort { keys, .. } => {
                let order = keys.iter().filter_map(|key| {
                    let place = self.place(&key.expr)?;
                    Some(OrderShape { place, descending: !key.ascending })
                });
                self.shape.order = order.collect();
            }
            Relation::Limit { .. } => self.shape.limited = true,
            Relation::Distinct { .. }
            | Relation::SetOperation { .. }
            | Relation::Window { .. }
            | Relation::Fence { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => {}
        }
        // Subqueries of the operator's own expressions.
        for expr in relation.scalars() {
            self.subqueries(expr);
        }
    }

    fn scan(&mut self, path: &[Identifier], columns: &[ScanColumn]) {
        let table = self.shape.tables.len();
        for column in columns {
            let place = ColumnPlace { table, column: column.name.as_str().to_owned() };
            self.places.insert(column.id, place);
        }
        self.shape.tables.push(TableShape {
            path: path.iter().map(|part| part.as_str().to_owned()).collect(),
            conditions: Vec::new(),
            columns: columns.iter().take(MOST).map(|column| column.name.as_str().to_owned()).collect(),
        });
    }

    fn handed_on(&mut self, exprs: &[(ColumnId, ScalarExpr)]) {
        for (id, expr) in exprs {
            if let Some(place) = self.place(expr) {
                self.places.insert(*id, place);
            }
        }
    }

    fn place(&self, expr: &ScalarExpr) -> Option<ColumnPlace> {
        match expr {
            ScalarExpr::Column(id) => self.places.get(id).cloned(),
            _ => None,
        }
    }

    fn subqueries(&mut self, expr: &ScalarExpr) {
        if let Some(relation) = expr.subquery() {
            self.depth += 1;
            self.relation(relation);
            self.depth -= 1;
        }
        for child in expr.children() {
            self.subqueries(child);
        }
        if let ScalarExpr::InSubquery { expr, relation, .. } = expr
            && let [column] = relation.output()[..]
            && let (Some(left), Some(right)) = (self.place(expr), self.places.get(&column).cloned())
        {
            self.shape.joins.push(JoinShape { left, right });
        }
    }

    /// Conjuncts only: an OR is no condition that an index serves.
    fn condition(&mut self, expr: &ScalarExpr) {
        match expr {
            ScalarExpr::And(all) => all.iter().for_each(|one| self.condition(one)),
            ScalarExpr::Comparison { op, left, right } => self.comparison(*op, left, right),
            ScalarExpr::Between { expr, negated: false, .. } => self.add(expr, ConditionKind::Range),
            ScalarExpr::InList { expr, list, negated: false } => {
                let policy = list.iter().all(|item| self.is_policy(item)) && !list.is_empty();
                self.add(expr, if policy { ConditionKind::PolicyEquality } else { ConditionKind::Equality });
            }
            ScalarExpr::Like { expr, negated: false, case_insensitive: false, .. } => {
                self.add(expr, ConditionKind::Prefix)
            }
            ScalarExpr::IsNull { expr, negated } => {
                self.add(expr, if *negated { ConditionKind::IsNotNull } else { ConditionKind::IsNull });
            }
            _ => {}
        }
    }

    fn comparison(&mut self, op: ComparisonOp, left: &ScalarExpr, right: &ScalarExpr) {
        if let (Some(a), Some(b)) = (self.place(left), self.place(right)) {
            if matches!(op, ComparisonOp::Eq | ComparisonOp::IsNotDistinctFrom) && a.table != b.table {
                self.shape.joins.push(JoinShape { left: a, right: b });
            }
            return;
        }
        let (column, other) = if self.place(left).is_some() { (left, right) } else { (right, left) };
        if has_column(other) {
            return;
        }
        match op {
            ComparisonOp::Eq | ComparisonOp::IsNotDistinctFrom => {
                let policy = self.is_policy(other);
                self.add(column, if policy { ConditionKind::PolicyEquality } else { ConditionKind::Equality });
            }
            ComparisonOp::Lt | ComparisonOp::LtEq | ComparisonOp::Gt | ComparisonOp::GtEq => {
                self.add(column, ConditionKind::Range);
            }
            ComparisonOp::NotEq | ComparisonOp::IsDistinctFrom => {}
        }
    }

    fn is_policy(&self, expr: &ScalarExpr) -> bool {
        matches!(expr, ScalarExpr::Parameter(index, _) if self.policy.contains(index))
    }

    fn add(&mut self, expr: &ScalarExpr, kind: ConditionKind) {
        let Some(place) = self.place(expr) else { return };
        if let Some(table) = self.shape.tables.get_mut(place.table) {
            let condition = Condition { column: place.column, kind };
            if !table.conditions.contains(&condition) {
                table.conditions.push(condition);
            }
        }
    }
}

/// Whether some column decides the value, which then is none that an index could be asked for.
fn has_column(expr: &ScalarExpr) -> bool {
    matches!(expr, ScalarExpr::Column(_)) || expr.subquery().is_some() || expr.children().into_iter().any(has_column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::identifier::TableRef;
    use querygate_driver_api::relation::{Collation, Encoding, JoinKind, SortKey};
    use querygate_driver_api::scalar::{ArithmeticOp, Constant};
    use querygate_driver_api::value::ValueType;

    const INT: ValueType = ValueType::Int64;

    fn scan(table: &str, base: u32, names: &[&str]) -> Relation {
        let column = |(name, id): (&&str, u32)| ScanColumn {
            id: ColumnId(id),
            name: Identifier::new(*name).unwrap(),
            value_type: INT,
            nullable: true,
            collation: Collation::Binary,
            encoding: Encoding::Canonical,
        };
        let columns = names.iter().zip(base..).map(column).collect();
        Relation::Scan { table: TableRef::new(["public", table]).unwrap(), columns }
    }

    fn column(id: u32) -> ScalarExpr {
        ScalarExpr::Column(ColumnId(id))
    }

    fn value(index: usize) -> ScalarExpr {
        ScalarExpr::Parameter(index, INT)
    }

    fn equal(left: ScalarExpr, right: ScalarExpr) -> ScalarExpr {
        ScalarExpr::compare(ComparisonOp::Eq, left, right)
    }

    fn filter(input: Relation, all: Vec<ScalarExpr>) -> Relation {
        Relation::Filter { input: Box::new(input), predicate: ScalarExpr::And(all) }
    }

    /// The shape, with parameter 0 from a policy.
    fn shape(relation: Relation) -> FragmentShape {
        shape_of(&Fragment { relation, output: Vec::new(), parameters: Vec::new() }, &[0])
    }

    /// Conditions on `orders (tenant, status, total, closed)`, whose ids begin at 1.
    fn check(conditions: Vec<ScalarExpr>, expected: &[(&str, ConditionKind)]) {
        let shape = shape(filter(scan("orders", 1, &["tenant", "status", "total", "closed"]), conditions));
        let told: Vec<_> = shape.tables[0].conditions.iter().map(|c| (c.column.as_str(), c.kind)).collect();
        assert_eq!(told, expected);
        assert_eq!(shape.tables[0].path, ["public", "orders"]);
        assert_eq!(shape.tables[0].columns.len(), 4);
    }

    #[test]
    fn conjuncts_over_a_column_and_values_are_conditions() {
        use ConditionKind::{Equality, IsNotNull, IsNull, PolicyEquality, Prefix, Range};
        let boxed = |expr| Box::new(expr);
        check(
            vec![equal(column(1), value(0)), equal(value(1), column(2))],
            &[("tenant", PolicyEquality), ("status", Equality)],
        );
        let list = |list| ScalarExpr::InList { expr: boxed(column(1)), list, negated: false };
        check(vec![list(vec![value(0), value(0)])], &[("tenant", PolicyEquality)]);
        check(vec![list(vec![value(0), value(1)])], &[("tenant", Equality)]);
        let between = |negated| ScalarExpr::Between {
            expr: boxed(column(3)),
            low: boxed(value(1)),
            high: boxed(value(2)),
            negated,
        };
        check(vec![between(false)], &[("total", Range)]);
        check(vec![between(true)], &[]);
        check(vec![ScalarExpr::compare(ComparisonOp::GtEq, column(3), value(1))], &[("total", Range)]);
        check(vec![ScalarExpr::compare(ComparisonOp::NotEq, column(3), value(1))], &[]);
        let null = |negated| ScalarExpr::IsNull { expr: boxed(column(4)), negated };
        check(vec![null(false)], &[("closed", IsNull)]);
        check(vec![null(true)], &[("closed", IsNotNull)]);
        let like = ScalarExpr::Like { expr: boxed(column(2)), pattern: 1, negated: false, case_insensitive: false };
        check(vec![like], &[("status", Prefix)]);
    }

    #[test]
    fn what_an_index_does_not_serve_is_no_condition() {
        let sum = |left, right| ScalarExpr::Arithmetic {
            op: ArithmeticOp::Add,
            left: Box::new(left),
            right: Box::new(right),
            value_type: INT,
        };
        check(vec![ScalarExpr::Or(vec![equal(column(1), value(0)), equal(column(2), value(1))])], &[]);
        check(vec![ScalarExpr::Not(Box::new(equal(column(1), value(0))))], &[]);
        check(vec![equal(column(1), column(2))], &[]);
        check(vec![equal(column(1), sum(column(2), value(1)))], &[]);
        check(vec![equal(sum(column(1), value(1)), value(2))], &[]);
        check(vec![equal(column(1), sum(value(1), value(2)))], &[("tenant", ConditionKind::Equality)]);
        check(vec![ScalarExpr::Constant(Constant::True)], &[]);
    }

    #[test]
    fn joins_groups_orders_and_subqueries_are_traced_to_their_tables() {
        let orders = || filter(scan("orders", 1, &["tenant", "status"]), vec![equal(column(1), value(0))]);
        let joined = Relation::Join {
            kind: JoinKind::Inner,
            left: Box::new(orders()),
            right: Box::new(scan("tenants", 11, &["id", "name"])),
            on: equal(column(11), column(1)),
        };
        let projected = Relation::Project { input: Box::new(joined), exprs: vec![(ColumnId(20), column(12))] };
        let sorted = Relation::Sort {
            input: Box::new(projected),
            keys: vec![SortKey { expr: column(20), ascending: false, nulls_first: true }],
        };
        let told = shape(Relation::Limit { input: Box::new(sorted), skip: 0, fetch: Some(5) });
        let place = |table, column: &str| ColumnPlace { table, column: column.to_owned() };
        assert_eq!(told.joins, [JoinShape { left: place(1, "id"), right: place(0, "tenant") }]);
        assert_eq!(told.order, [OrderShape { place: place(1, "name"), descending: true }]);
        assert!(told.limited);

        let keys = Relation::Project {
            input: Box::new(scan("tenants", 11, &["id", "name"])),
            exprs: vec![(ColumnId(11), column(11))],
        };
        let member = ScalarExpr::InSubquery { expr: Box::new(column(1)), relation: Box::new(keys), negated: false };
        let grouped = Relation::Aggregate {
            input: Box::new(filter(scan("orders", 1, &["tenant", "status"]), vec![member])),
            group: vec![(ColumnId(2), column(2))],
            aggregates: Vec::new(),
        };
        let told = shape(grouped);
        assert_eq!(told.tables.len(), 2);
        assert_eq!(told.joins, [JoinShape { left: place(0, "tenant"), right: place(1, "id") }]);
        assert_eq!(told.group, [place(0, "status")]);
        assert!(!told.limited && told.aggregated);
    }

    #[test]
    fn an_aggregate_without_groups_is_one_and_that_of_a_subquery_is_none() {
        let counted = |input| Relation::Aggregate { input: Box::new(input), group: Vec::new(), aggregates: Vec::new() };
        let told = shape(counted(filter(scan("orders", 1, &["tenant"]), vec![equal(column(1), value(1))])));
        assert!(told.aggregated && told.group.is_empty());
        let member = ScalarExpr::InSubquery {
            expr: Box::new(column(1)),
            relation: Box::new(counted(scan("tenants", 11, &["id"]))),
            negated: false,
        };
        assert!(!shape(filter(scan("orders", 1, &["tenant"]), vec![member])).aggregated);
    }
}
