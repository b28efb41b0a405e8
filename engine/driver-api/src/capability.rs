//! What a driver declares that it can do with equal results, and why it refuses the rest. Holds no value and no row.

use crate::aggregate::{AggregateExpr, AggregateFunction, WindowExpr};
use crate::columns::ColumnTypes;
use crate::fragment::Fragment;
use crate::relation::{Encoding, Relation, SetOp};
use crate::scalar::{Held, ScalarExpr};
use crate::value::ValueType;
use querygate_types::Error;
use std::fmt;

/// Why something stays above the source. The text reaches the user's receipt: it names operators and types, no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its kind.
    pub reason: RefusalReason,
    /// One line, without a value.
    pub text: String,
}

/// Kinds of refusal, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalReason {
    /// The source has no such operator, or we do not use it.
    Operator,
    /// The source has no such function, or it means something else there.
    Function,
    /// The operator is not exact for this type.
    Type,
    /// The source compares this text in another way.
    Collation,
    /// The column is stored in a form that only reading understands.
    Encoding,
    /// The source's overflow or division differs.
    Overflow,
    /// These values cannot be bound exactly.
    Value,
    /// A name the dialect cannot quote safely.
    Name,
    /// Too large for one statement of the source.
    Size,
    /// The fragment itself is wrong; a fault of ours.
    Invalid,
}

impl Refusal {
    /// A refusal; the text is lower case without a full stop.
    pub fn new(reason: RefusalReason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }

    /// For a fragment that does not pass its own check: a fault of ours.
    #[must_use]
    pub fn invalid(error: &Error) -> Self {
        Self::new(RefusalReason::Invalid, error.cause().unwrap_or(error.message()))
    }
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn refuse<T>(reason: RefusalReason, text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(reason, text))
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

/// Refuses an operator, or a form of one, that the source does not have.
///
/// # Errors
/// Always.
pub fn unsupported<T>(text: &str) -> Result<T, Refusal> {
    refuse(RefusalReason::Operator, text)
}

/// Exactly what a source may be given, down to operator, type and collation. A driver answers for single nodes; the
/// walks over whole expressions and relations are provided and also enforce what holds for every source.
pub trait Capabilities: Send + Sync + fmt::Debug {
    /// This operator, its inputs and scalars aside.
    ///
    /// # Errors
    /// Why not.
    fn operator(&self, relation: &Relation, types: &ColumnTypes) -> Result<(), Refusal>;

    /// This expression node, its children aside (their types matter).
    ///
    /// # Errors
    /// Why not.
    fn scalar(&self, expr: &ScalarExpr, types: &ColumnTypes) -> Result<(), Refusal>;

    /// This aggregate, its arguments aside.
    ///
    /// # Errors
    /// Why not.
    fn aggregate(&self, aggregate: &AggregateExpr, types: &ColumnTypes) -> Result<(), Refusal>;

    /// This window function, its arguments aside.
    ///
    /// # Errors
    /// Why not.
    fn window(&self, window: &WindowExpr, types: &ColumnTypes) -> Result<(), Refusal>;

    /// What the source's columns hold, as far as conversions can tell: whether one that fails for no value of its type may still
    /// fail on a row.
    fn holds(&self) -> Held;

    /// Most parameters of one statement.
    fn parameters_max(&self) -> usize;

    /// A whole expression, subqueries included. Columns that it names must be in `types`.
    ///
    /// # Errors
    /// The first refusal found.
    fn supports_scalar(&self, expr: &ScalarExpr, types: &ColumnTypes) -> Result<(), Refusal> {
        for child in expr.children() {
            match expr {
                ScalarExpr::IsNull { .. } => null_exact(child, types)?,
                _ => exact(child, types)?,
            }
            self.supports_scalar(child, types)?;
        }
        if let Some(relation) = expr.subquery() {
            let mut inner = types.clone();
            self.supports_inner(relation, &mut inner)?;
            if !matches!(expr, ScalarExpr::Exists { .. }) {
                exact_output(relation, &inner)?;
            }
            return self.scalar(expr, &inner);
        }
        self.scalar(expr, types)
    }

    /// One operator with its scalars and aggregates, over inputs whose columns are in `types`, as are those of its
    /// subqueries ([`ColumnTypes::define_subqueries`]).
    ///
    /// # Errors
    /// The first refusal found.
    fn supports_operator(&self, relation: &Relation, types: &ColumnTypes) -> Result<(), Refusal> {
        exact_operator(relation, types)?;
        for expr in relation.scalars() {
            self.supports_scalar(expr, types)?;
        }
        match relation {
            Relation::Aggregate { aggregates, .. } => {
                aggregates.iter().try_for_each(|(_, aggregate)| self.aggregate(aggregate, types))?;
            }
            Relation::Window { exprs, .. } => exprs.iter().try_for_each(|(_, window)| self.window(window, types))?,
            _ => {}
        }
        self.operator(relation, types)
    }

    /// A relation with everything below it; defines its columns in `types`.
    ///
    /// # Errors
    /// The first refusal found.
    fn supports_inner(&self, relation: &Relation, types: &mut ColumnTypes) -> Result<(), Refusal> {
        for input in relation.inputs() {
            self.supports_inner(input, types)?;
        }
        let invalid = |error| Refusal::invalid(&error);
        relation.scalars().into_iter().try_for_each(|expr| types.define_subqueries(expr)).map_err(invalid)?;
        self.supports_operator(relation, types)?;
        types.define_operator(relation).map_err(invalid)
    }

    /// A whole fragment.
    ///
    /// # Errors
    /// The first refusal found; `Invalid` if the fragment does not pass its own check.
    fn supports_fragment(&self, fragment: &Fragment) -> Result<ColumnTypes, Refusal> {
        let types = fragment.check().map_err(|error| Refusal::invalid(&error))?;
        if fragment.parameters.len() > self.parameters_max() {
            return Err(Refusal::new(RefusalReason::Size, "more parameters than the source accepts"));
        }
        self.supports_inner(&fragment.relation, &mut ColumnTypes::default())?;
        if fragment.output.iter().any(|column| types.is_key(&ScalarExpr::Column(column.id))) {
            return Err(Refusal::new(RefusalReason::Type, "what values are ordered by is not delivered"));
        }
        Ok(types)
    }
}

/// For sources that compare decimals of different places in another way than by value.
///
/// # Errors
/// Both are decimals and their places differ.
pub fn of_one_scale(left: ValueType, right: ValueType) -> Result<(), Refusal> {
    if left.is_decimal() && !left.comparable_with(right) {
        return Err(Refusal::new(RefusalReason::Type, "decimals of different places are compared in the gate"));
    }
    Ok(())
}

/// A bare column in a form that only reading understands may not be an operand.
fn exact(expr: &ScalarExpr, types: &ColumnTypes) -> Result<(), Refusal> {
    has_form(expr, types, Encoding::is_exact)
}

/// A column of which only NULL is asked must find it where reading does.
fn null_exact(expr: &ScalarExpr, types: &ColumnTypes) -> Result<(), Refusal> {
    has_form(expr, types, Encoding::is_null_exact)
}

fn has_form(expr: &ScalarExpr, types: &ColumnTypes, suits: fn(Encoding) -> bool) -> Result<(), Refusal> {
    let ScalarExpr::Column(id) = expr else { return Ok(()) };
    match types.of(*id) {
        Ok(info) if suits(info.encoding) => Ok(()),
        Ok(info) => Err(Refusal::new(
            RefusalReason::Encoding,
            format!("{} column is stored in a form that the source cannot compare", info.value_type.name()),
        )),
        Err(error) => Err(Refusal::invalid(&error)),
    }
}

fn exact_output(relation: &Relation, types: &ColumnTypes) -> Result<(), Refusal> {
    relation.output().into_iter().try_for_each(|id| exact(&ScalarExpr::Column(id), types))
}

/// Which scalars of an operator must be exact: all but plain projections, and counted columns.
fn exact_operator(relation: &Relation, types: &ColumnTypes) -> Result<(), Refusal> {
    match relation {
        Relation::Aggregate { group, aggregates, .. } => {
            group.iter().try_for_each(|(_, expr)| exact(expr, types))?;
            for (_, aggregate) in aggregates {
                let counts = aggregate.function == AggregateFunction::Count && !aggregate.distinct;
                let suits = if counts { null_exact } else { exact };
                aggregate.args.iter().try_for_each(|expr| suits(expr, types))?;
            }
            Ok(())
        }
        Relation::Distinct { input } => exact_output(input, types),
        Relation::SetOperation { op, all, left, right, .. } => {
            if *op == SetOp::Union && *all {
                return Ok(());
            }
            exact_output(left, types)?;
            exact_output(right, types)
        }
        Relation::Filter { .. } | Relation::Join { .. } | Relation::Sort { .. } | Relation::Window { .. } => {
            relation.scalars().into_iter().try_for_each(|expr| exact(expr, types))
        }
        Relation::Scan { .. }
        | Relation::Project { .. }
        | Relation::Limit { .. }
        | Relation::Fence { .. }
        | Relation::Values { .. }
        | Relation::EmptyRow => Ok(()),
    }
}
