//! A fragment: what one source executes. Its check proves scope, types and bounds before any driver sees it.

use crate::aggregate::{AggregateExpr, AggregateFunction};
use crate::columns::ColumnTypes;
use crate::identifier::ColumnId;
use crate::relation::{JoinKind, Relation};
use crate::scalar::ScalarExpr;
use crate::value::{Value, ValueType};
use arrow::datatypes::{Field, Schema, SchemaRef};
use querygate_types::{Error, ErrorCode, Result, limits};
use std::collections::HashSet;
use std::sync::Arc;

/// Deepest nesting of relations and expressions together.
pub const DEPTH_MAX: usize = 256;
/// Most operators and expressions of one fragment (key lists included).
pub const NODES_MAX: usize = 65_536;

/// A part of a plan for one source: a relation, what it delivers, and the types of its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Fragment {
    /// What is read.
    pub relation: Relation,
    /// Delivered columns, in order; a column may appear more than once.
    pub output: Vec<OutputColumn>,
    /// Type of each parameter, by index.
    pub parameters: Vec<ValueType>,
}

/// A delivered column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// Of the relation, as it leaves its root.
    pub id: ColumnId,
    /// Name in the Arrow schema only; never part of a native statement.
    pub name: String,
    /// The column's type.
    pub value_type: ValueType,
    /// NULL may be among its values.
    pub nullable: bool,
}

impl Fragment {
    /// Whether both deliver the same rows for the same parameters, under whatever names. Where one is
    /// run in the place of both, errors of its values name its own columns.
    #[must_use]
    pub fn gives_the_same(&self, other: &Self) -> bool {
        let alike = |(one, other): (&OutputColumn, &OutputColumn)| {
            one.id == other.id && one.value_type == other.value_type && one.nullable == other.nullable
        };
        self.relation == other.relation
            && self.parameters == other.parameters
            && self.output.len() == other.output.len()
            && self.output.iter().zip(&other.output).all(alike)
    }

    /// The Arrow schema of what the fragment delivers.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let field = |column: &OutputColumn| Field::new(&column.name, column.value_type.to_arrow(), column.nullable);
        Arc::new(Schema::new(self.output.iter().map(field).collect::<Vec<_>>()))
    }

    /// Proves that every column is defined once and used in scope, that operands fit, and that size is bounded.
    ///
    /// # Errors
    /// An internal error for a fragment that its maker built wrongly; 54001 for one that is too large.
    pub fn check(&self) -> Result<ColumnTypes> {
        let mut checker =
            Checker { types: ColumnTypes::default(), parameters: &self.parameters, nodes: 0, defined: HashSet::new() };
        let visible = checker.relation(&self.relation, None, 0)?;
        if self.output.is_empty() || self.output.len() > limits::RESULT_COLUMNS_MAX {
            return Err(invalid("output has no column or too many"));
        }
        for column in &self.output {
            if !visible.contains(&column.id) {
                return Err(invalid("output column is not delivered"));
            }
            if checker.types.of(column.id)?.value_type != column.value_type {
                return Err(invalid("output column has another type"));
            }
        }
        Ok(checker.types)
    }

    /// Proves that values fit the parameters, one for each and of its type.
    ///
    /// # Errors
    /// An internal error if they do not.
    pub fn check_values(parameters: &[ValueType], values: &[Value]) -> Result<()> {
        let fits = parameters.len() == values.len()
            && parameters.iter().zip(values).all(|(expected, value)| *expected == value.value_type());
        if fits { Ok(()) } else { Err(invalid("values do not fit the parameters")) }
    }
}

fn invalid(what: &str) -> Error {
    Error::internal(format_args!("invalid fragment: {what}"))
}

/// Columns visible to an expression: of its own block, and of the blocks around it.
struct Scope<'a> {
    visible: &'a HashSet<ColumnId>,
    outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    fn sees(&self, id: ColumnId) -> bool {
        self.visible.contains(&id) || self.outer.is_some_and(|outer| outer.sees(id))
    }
}

struct Checker<'a> {
    types: ColumnTypes,
    parameters: &'a [ValueType],
    nodes: usize,
    defined: HashSet<ColumnId>,
}

impl Checker<'_> {
    fn count(&mut self, depth: usize) -> Result<()> {
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            return Err(Error::new(ErrorCode::StatementTooComplex, "statement is too complex for one source"));
        }
        Ok(())
    }

    fn relation(&mut self, relation: &Relation, outer: Option<&Scope<'_>>, depth: usize) -> Result<HashSet<ColumnId>> {
        self.count(depth)?;
        let mut visible = HashSet::new();
        let mut inputs = Vec::new();
        for input in relation.inputs() {
            let columns = self.relation(input, outer, depth + 1)?;
            visible.extend(columns.iter().copied());
            inputs.push(columns);
        }
        let scope = Scope { visible: &visible, outer };
        for expr in relation.scalars() {
            self.scalar(expr, &scope, depth + 1)?;
        }
        self.operator(relation)?;
        if !relation.defined().into_iter().all(|id| self.defined.insert(id)) {
            return Err(invalid("column is defined twice"));
        }
        self.types.define_operator(relation)?;
        let output = relation.output();
        if matches!(relation, Relation::Join { kind: JoinKind::LeftSemi | JoinKind::LeftAnti, .. }) {
            return inputs.into_iter().next().ok_or_else(|| invalid("join without inputs"));
        }
        Ok(output.into_iter().collect())
    }

    /// Rules of the operator itself; its scalars are checked already.
    fn operator(&mut self, relation: &Relation) -> Result<()> {
        match relation {
            Relation::Filter { predicate, .. } => self.expect(predicate, ValueType::Boolean),
            Relation::Join { on, .. } => self.expect(on, ValueType::Boolean),
            Relation::Scan { columns, .. } if columns.is_empty() => Err(invalid("scan without columns")),
            Relation::Aggregate { group, aggregates, .. } => {
                if group.is_empty() && aggregates.is_empty() {
                    return Err(invalid("aggregate without columns"));
                }
                aggregates.iter().try_for_each(|(_, aggregate)| self.aggregate(aggregate))
            }
            Relation::SetOperation { columns, left, right, .. } => {
                let (left, right) = (left.output(), right.output());
                if left.len() != columns.len() || right.len() != columns.len() {
                    return Err(invalid("set operation over unequal columns"));
                }
                for (a, b) in left.iter().zip(&right) {
                    let (a, b) = (self.types.of(*a)?, self.types.of(*b)?);
                    if a.value_type != b.value_type || a.encoding != b.encoding {
                        return Err(invalid("set operation over unequal types"));
                    }
                }
                Ok(())
            }
            Relation::Values { columns, rows } => {
                if columns.is_empty() || rows.is_empty() {
                    return Err(invalid("values without rows or columns"));
                }
                for row in rows {
                    if row.len() != columns.len() {
                        return Err(invalid("values with a row of another length"));
                    }
                    row.iter().zip(columns).try_for_each(|(expr, (_, value_type))| self.expect(expr, *value_type))?;
                }
                Ok(())
            }
            Relation::Scan { .. }
            | Relation::Project { .. }
            | Relation::Distinct { .. }
            | Relation::Sort { .. }
            | Relation::Limit { .. }
            | Relation::Window { .. }
            | Relation::Fence { .. }
            | Relation::EmptyRow => Ok(()),
        }
    }

    fn aggregate(&self, aggregate: &AggregateExpr) -> Result<()> {
        let expected = usize::from(aggregate.function != AggregateFunction::CountStar);
        if aggregate.args.len() != expected {
            return Err(invalid("aggregate with the wrong number of arguments"));
        }
        aggregate.filter.iter().try_for_each(|filter| self.expect(filter, ValueType::Boolean))
    }

    fn expect(&self, expr: &ScalarExpr, value_type: ValueType) -> Result<()> {
        if self.types.type_of(expr)? == value_type { Ok(()) } else { Err(invalid("expression of another type")) }
    }

    fn comparable(&self, left: &ScalarExpr, right: &ScalarExpr) -> Result<()> {
        let (left, right) = (self.types.type_of(left)?, self.types.type_of(right)?);
        if left.comparable_with(right) { Ok(()) } else { Err(invalid("comparison of different types")) }
    }

    fn scalar(&mut self, expr: &ScalarExpr, scope: &Scope<'_>, depth: usize) -> Result<()> {
        self.count(depth)?;
        for child in expr.children() {
            self.scalar(child, scope, depth + 1)?;
        }
        if let Some(relation) = expr.subquery() {
            self.relation(relation, Some(scope), depth + 1)?;
        }
        match expr {
            ScalarExpr::Column(id) if !scope.sees(*id) => Err(invalid("column out of scope")),
            ScalarExpr::Parameter(index, value_type) if self.parameters.get(*index) != Some(value_type) => {
                Err(invalid("unknown parameter"))
            }
            ScalarExpr::Comparison { left, right, .. } => {
                let (a, b) = (self.types.type_of(left)?, self.types.type_of(right)?);
                if a.is_decimal() && b.is_decimal() { Ok(()) } else { self.comparable(left, right) }
            }
            ScalarExpr::And(all) | ScalarExpr::Or(all) => {
                all.iter().try_for_each(|expr| self.expect(expr, ValueType::Boolean))
            }
            ScalarExpr::Not(expr) | ScalarExpr::IsTruth { expr, .. } => self.expect(expr, ValueType::Boolean),
            ScalarExpr::Between { expr, low, high, .. } => {
                self.comparable(expr, low).and_then(|()| self.comparable(expr, high))
            }
            ScalarExpr::InList { expr, list, .. } => list.iter().try_for_each(|item| self.comparable(expr, item)),
            ScalarExpr::Like { expr, pattern, .. } => {
                if self.parameters.get(*pattern) != Some(&ValueType::Text) {
                    return Err(invalid("pattern is not a text parameter"));
                }
                self.expect(expr, ValueType::Text)
            }
            ScalarExpr::Arithmetic { left, right, value_type, .. } => self.arithmetic(left, right, *value_type),
            ScalarExpr::Cast { expr, from, .. } => self.expect(expr, *from),
            ScalarExpr::Case { branches, otherwise } => self.case(expr, branches, otherwise.as_deref()),
            ScalarExpr::Function { function, args, .. } => {
                let (least, most) = function.arity();
                if args.len() < least || args.len() > most {
                    return Err(invalid("function with the wrong number of arguments"));
                }
                Ok(())
            }
            ScalarExpr::InSubquery { expr, relation, .. } => {
                let [column] = relation.output()[..] else {
                    return Err(invalid("IN over several columns"));
                };
                let (left, right) = (self.types.type_of(expr)?, self.types.of(column)?.value_type);
                if left.comparable_with(right) { Ok(()) } else { Err(invalid("comparison of different types")) }
            }
            ScalarExpr::ScalarSubquery { relation } if relation.output().len() != 1 => {
                Err(invalid("scalar subquery of several columns"))
            }
            ScalarExpr::Column(_)
            | ScalarExpr::Parameter(..)
            | ScalarExpr::Constant(_)
            | ScalarExpr::IsNull { .. }
            | ScalarExpr::Negate(_)
            | ScalarExpr::Exists { .. }
            | ScalarExpr::ScalarSubquery { .. } => Ok(()),
        }
    }

    fn arithmetic(&self, left: &ScalarExpr, right: &ScalarExpr, value_type: ValueType) -> Result<()> {
        let (left, right) = (self.types.type_of(left)?, self.types.type_of(right)?);
        let decimal = left.is_decimal() && right.is_decimal() && value_type.is_decimal();
        if value_type.is_numeric() && (decimal || (left == value_type && right == value_type)) {
            return Ok(());
        }
        Err(invalid("arithmetic over different types"))
    }

    fn case(
        &self,
        whole: &ScalarExpr,
        branches: &[(ScalarExpr, ScalarExpr)],
        otherwise: Option<&ScalarExpr>,
    ) -> Result<()> {
        let value_type = self.types.type_of(whole)?;
        for (when, then) in branches {
            self.expect(when, ValueType::Boolean)?;
            self.expect(then, value_type)?;
        }
        otherwise.into_iter().try_for_each(|expr| self.expect(expr, value_type))
    }
}
