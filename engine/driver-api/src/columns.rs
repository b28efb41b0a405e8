//! What is known of each column of a fragment, and the types of expressions over them.

use crate::aggregate::WindowExpr;
use crate::function::ScalarFunction;
use crate::identifier::ColumnId;
use crate::relation::{Collation, Encoding, JoinKind, Relation};
use crate::scalar::{Constant, ScalarExpr};
use crate::value::ValueType;
use querygate_types::{Error, Result};
use std::collections::HashMap;

/// A column's type and how its source holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Type of the values that it delivers.
    pub value_type: ValueType,
    /// NULL may be among them.
    pub nullable: bool,
    /// How the source compares it.
    pub collation: Collation,
    /// How the source stores it; canonical of what is computed.
    pub encoding: Encoding,
    /// It is a [`ScalarFunction::OrderKey`]; `collation` is then that of the value's column.
    pub key: bool,
}

/// Every column of a fragment (or of a part that is being built), by its id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnTypes {
    columns: HashMap<ColumnId, ColumnInfo>,
}

impl ColumnInfo {
    /// A computed column: canonical form, compared by code point.
    #[must_use]
    pub const fn computed(value_type: ValueType) -> Self {
        Self { value_type, nullable: true, collation: Collation::Binary, encoding: Encoding::Canonical, key: false }
    }
}

impl ColumnTypes {
    /// What is known of a column.
    ///
    /// # Errors
    /// An id that nothing defined: a fault of the fragment's maker.
    pub fn of(&self, id: ColumnId) -> Result<&ColumnInfo> {
        self.columns.get(&id).ok_or_else(|| Error::internal(format_args!("fragment column {id} is not defined")))
    }

    /// Defines a column.
    pub fn define(&mut self, id: ColumnId, info: ColumnInfo) {
        self.columns.insert(id, info);
    }

    /// Defines everything in a relation, subqueries included.
    ///
    /// # Errors
    /// An expression without a type.
    pub fn define_relation(&mut self, relation: &Relation) -> Result<()> {
        relation.inputs().into_iter().try_for_each(|input| self.define_relation(input))?;
        relation.scalars().into_iter().try_for_each(|expr| self.define_subqueries(expr))?;
        self.define_operator(relation)
    }

    /// Defines everything in the subqueries of an expression, whose type may depend on it.
    ///
    /// # Errors
    /// An expression without a type.
    pub fn define_subqueries(&mut self, expr: &ScalarExpr) -> Result<()> {
        expr.children().into_iter().try_for_each(|child| self.define_subqueries(child))?;
        expr.subquery().map_or(Ok(()), |relation| self.define_relation(relation))
    }

    /// Defines what this operator adds to its inputs' columns. They, and those of subqueries in its expressions, are
    /// defined before. That an id is defined only once is for `Fragment::check` to prove.
    ///
    /// # Errors
    /// An expression without a type.
    pub fn define_operator(&mut self, relation: &Relation) -> Result<()> {
        match relation {
            Relation::Scan { columns, .. } => {
                for column in columns {
                    let info = ColumnInfo {
                        value_type: column.value_type,
                        nullable: column.nullable,
                        collation: column.collation.clone(),
                        encoding: column.encoding,
                        key: false,
                    };
                    self.define(column.id, info);
                }
            }
            Relation::Project { exprs, .. } => {
                for (id, expr) in exprs {
                    if *expr != ScalarExpr::Column(*id) {
                        let info = self.info_of(expr)?;
                        self.define(*id, info);
                    }
                }
            }
            Relation::Aggregate { group, aggregates, .. } => {
                for (id, expr) in group {
                    if *expr != ScalarExpr::Column(*id) {
                        let info = self.info_of(expr)?;
                        self.define(*id, info);
                    }
                }
                for (id, aggregate) in aggregates {
                    self.define(*id, ColumnInfo::computed(aggregate.value_type));
                }
            }
            Relation::Window { exprs, .. } => {
                for (id, WindowExpr { value_type, .. }) in exprs {
                    self.define(*id, ColumnInfo::computed(*value_type));
                }
            }
            Relation::SetOperation { columns, left, .. } => {
                for (id, from) in columns.iter().zip(left.output()) {
                    let info = ColumnInfo { nullable: true, ..self.of(from)?.clone() };
                    self.define(*id, info);
                }
            }
            Relation::Values { columns, .. } => {
                for (id, value_type) in columns {
                    self.define(*id, ColumnInfo::computed(*value_type));
                }
            }
            Relation::Join { kind, left, right, .. } => {
                if matches!(kind, JoinKind::Left | JoinKind::Full) {
                    self.make_nullable(&right.output());
                }
                if matches!(kind, JoinKind::Right | JoinKind::Full) {
                    self.make_nullable(&left.output());
                }
            }
            Relation::Filter { .. }
            | Relation::Distinct { .. }
            | Relation::Sort { .. }
            | Relation::Limit { .. }
            | Relation::Fence { .. }
            | Relation::EmptyRow => {}
        }
        Ok(())
    }

    /// What a projected expression is: a bare column keeps how it is stored, everything else is canonical.
    fn info_of(&self, expr: &ScalarExpr) -> Result<ColumnInfo> {
        match expr {
            ScalarExpr::Column(id) => self.of(*id).cloned(),
            ScalarExpr::Function { function: ScalarFunction::OrderKey, args, value_type } => {
                let collation = match args.first() {
                    Some(ScalarExpr::Column(id)) => self.of(*id)?.collation.clone(),
                    Some(_) | None => Collation::Binary,
                };
                Ok(ColumnInfo { collation, key: true, ..ColumnInfo::computed(*value_type) })
            }
            other => Ok(ColumnInfo { key: self.is_key(other), ..ColumnInfo::computed(self.type_of(other)?) }),
        }
    }

    /// Whether an expression gives a [`ScalarFunction::OrderKey`], which only its source knows.
    #[must_use]
    pub fn is_key(&self, expr: &ScalarExpr) -> bool {
        let of = |id: &ColumnId| self.columns.get(id).is_some_and(|info| info.key);
        match expr {
            ScalarExpr::Column(id) => of(id),
            ScalarExpr::Function { function, args, .. } => {
                *function == ScalarFunction::OrderKey || args.iter().any(|arg| self.is_key(arg))
            }
            ScalarExpr::ScalarSubquery { relation } => relation.output().first().is_some_and(of),
            ScalarExpr::Case { branches, otherwise } => {
                branches.iter().map(|(_, then)| then).chain(otherwise.as_deref()).any(|result| self.is_key(result))
            }
            ScalarExpr::Parameter(..)
            | ScalarExpr::Constant(_)
            | ScalarExpr::Comparison { .. }
            | ScalarExpr::And(_)
            | ScalarExpr::Or(_)
            | ScalarExpr::Not(_)
            | ScalarExpr::IsNull { .. }
            | ScalarExpr::IsTruth { .. }
            | ScalarExpr::Between { .. }
            | ScalarExpr::InList { .. }
            | ScalarExpr::Like { .. }
            | ScalarExpr::Arithmetic { .. }
            | ScalarExpr::Negate(_)
            | ScalarExpr::Cast { .. }
            | ScalarExpr::Exists { .. }
            | ScalarExpr::InSubquery { .. } => false,
        }
    }

    fn make_nullable(&mut self, ids: &[ColumnId]) {
        for id in ids {
            if let Some(info) = self.columns.get_mut(id) {
                info.nullable = true;
            }
        }
    }

    /// The type of an expression, from what it declares and the columns it names. Operands are not checked against each
    /// other here but in `Fragment::check`.
    ///
    /// # Errors
    /// An undefined column, or a CASE or subquery without a result.
    pub fn type_of(&self, expr: &ScalarExpr) -> Result<ValueType> {
        Ok(match expr {
            ScalarExpr::Column(id) => self.of(*id)?.value_type,
            ScalarExpr::Parameter(_, value_type) | ScalarExpr::Constant(Constant::Null(value_type)) => *value_type,
            ScalarExpr::Constant(Constant::True | Constant::False)
            | ScalarExpr::Comparison { .. }
            | ScalarExpr::And(_)
            | ScalarExpr::Or(_)
            | ScalarExpr::Not(_)
            | ScalarExpr::IsNull { .. }
            | ScalarExpr::IsTruth { .. }
            | ScalarExpr::Between { .. }
            | ScalarExpr::InList { .. }
            | ScalarExpr::Like { .. }
            | ScalarExpr::Exists { .. }
            | ScalarExpr::InSubquery { .. } => ValueType::Boolean,
            ScalarExpr::Arithmetic { value_type, .. } | ScalarExpr::Function { value_type, .. } => *value_type,
            ScalarExpr::Negate(expr) => self.type_of(expr)?,
            ScalarExpr::Cast { to, .. } => *to,
            ScalarExpr::Case { branches, otherwise } => match (branches.first(), otherwise) {
                (Some((_, then)), _) => self.type_of(then)?,
                (None, Some(otherwise)) => self.type_of(otherwise)?,
                (None, None) => return Err(Error::internal("fragment has a CASE without a result")),
            },
            ScalarExpr::ScalarSubquery { relation } => match relation.output().first() {
                Some(id) => self.of(*id)?.value_type,
                None => return Err(Error::internal("fragment has a scalar subquery without a column")),
            },
        })
    }
}
