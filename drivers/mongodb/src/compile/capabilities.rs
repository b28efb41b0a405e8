//! What MongoDB does exactly as the vocabulary's written semantics say, per operator, type and function. Whatever has a form is compiled on trial; whatever has none is refused.

use crate::compile::aggregate;
use crate::compile::compiler::{Columns, Compiler, statement};
use crate::tree::place::{self, Place, is_object_id, path};
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction, WindowExpr};
use querygate_driver_api::capability::{Capabilities, Refusal, RefusalReason, of_one_scale, refuse};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{Relation, SetOp};
use querygate_driver_api::scalar::{ComparisonOp, Held, ScalarExpr};
use querygate_driver_api::value::ValueType;
use std::sync::Arc;

/// Parameters of one fragment: a command is at most 16 MiB, and each is written with its place.
const PARAMETERS_MAX: usize = 50_000;

/// What a database may be given.
#[derive(Debug)]
pub(crate) struct MongoCapabilities {
    pub(crate) database: Arc<str>,
}

/// Types whose equality in the source is the value's.
fn equal(value_type: ValueType) -> Result<(), Refusal> {
    match value_type {
        ValueType::Boolean
        | ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Float32
        | ValueType::Float64
        | ValueType::Decimal128 { .. }
        | ValueType::Text
        | ValueType::Binary
        | ValueType::Date
        | ValueType::Timestamp { .. } => Ok(()),
        ValueType::Time => refuse(RefusalReason::Type, "the source has no times of day"),
        ValueType::TextList | ValueType::List(_) => {
            refuse(RefusalReason::Type, "the source compares lists in another way")
        }
    }
}

/// Types whose order in the source is the value's.
fn ordered(value_type: ValueType) -> Result<(), Refusal> {
    match value_type {
        ValueType::Binary => refuse(RefusalReason::Type, "the source orders bytea by its length first"),
        other => equal(other),
    }
}

const fn is_range(op: ComparisonOp) -> bool {
    match op {
        ComparisonOp::Lt | ComparisonOp::LtEq | ComparisonOp::Gt | ComparisonOp::GtEq => true,
        ComparisonOp::Eq | ComparisonOp::NotEq | ComparisonOp::IsDistinctFrom | ComparisonOp::IsNotDistinctFrom => {
            false
        }
    }
}

impl MongoCapabilities {
    /// The statement of a fragment, if every part of it is exact.
    ///
    /// # Errors
    /// The first part that is not.
    pub(crate) fn rendered(&self, fragment: &Fragment) -> Result<NativeStatement, Refusal> {
        let types = fragment.check().map_err(|error| Refusal::invalid(&error))?;
        if fragment.parameters.len() > PARAMETERS_MAX {
            return refuse(RefusalReason::Size, "more parameters than the source accepts");
        }
        self.supports_inner(&fragment.relation, &mut ColumnTypes::default())?;
        statement(fragment, &types)
    }

    /// The collection's name, if it is one of this database.
    ///
    /// # Errors
    /// A table of another database.
    pub(crate) fn collection<'a>(&self, table: &'a TableRef) -> Result<&'a str, Refusal> {
        let ours = table.schema().is_none_or(|schema| schema == &*self.database) && table.parts().len() <= 2;
        let name = table.name();
        if ours && !name.starts_with("system.") && !name.contains('$') {
            return Ok(name);
        }
        refuse(RefusalReason::Name, "the source has no collection of this name")
    }

    /// An expression compiled over columns that could be anywhere.
    fn tried(&self, expr: &ScalarExpr, types: &ColumnTypes) -> Result<(), Refusal> {
        let mut columns = Columns::new();
        collect(expr, types, &mut columns)?;
        let mut compiler = Compiler::new(types);
        if compiler.type_of(expr)? == ValueType::Boolean {
            compiler.truth(expr, true, &columns)?;
            compiler.truth(expr, false, &columns)?;
        }
        compiler.value(expr, &columns).map(drop)
    }
}

fn collect(expr: &ScalarExpr, types: &ColumnTypes, columns: &mut Columns) -> Result<(), Refusal> {
    if let ScalarExpr::Column(id) = expr {
        columns.insert(*id, anywhere(*id, types)?);
    }
    expr.children().into_iter().try_for_each(|child| collect(child, types, columns))
}

fn anywhere(id: ColumnId, types: &ColumnTypes) -> Result<Place, Refusal> {
    let info = types.of(id).map_err(|error| Refusal::invalid(&error))?;
    let object_id = is_object_id(&info.collation);
    Ok(Place { path: place::field(id), value_type: info.value_type, object_id, stored: true })
}

impl Capabilities for MongoCapabilities {
    fn operator(&self, relation: &Relation, types: &ColumnTypes) -> Result<(), Refusal> {
        let type_of = |expr: &ScalarExpr| types.type_of(expr).map_err(|error| Refusal::invalid(&error));
        match relation {
            Relation::Scan { table, columns } => {
                self.collection(table)?;
                columns.iter().try_for_each(|column| path(column.name.as_str()).map(drop))
            }
            Relation::Sort { keys, .. } => keys.iter().try_for_each(|key| ordered(type_of(&key.expr)?)),
            Relation::Distinct { input } => {
                input.output().into_iter().try_for_each(|id| equal(type_of(&ScalarExpr::Column(id))?))
            }
            Relation::Aggregate { group, aggregates, .. } => {
                group.iter().try_for_each(|(_, expr)| equal(type_of(expr)?))?;
                match aggregate::distinct_argument(aggregates.iter().map(|(_, aggregate)| aggregate))? {
                    Some(argument) => equal(type_of(argument)?),
                    None => Ok(()),
                }
            }
            Relation::Filter { .. } | Relation::Project { .. } | Relation::Limit { .. } | Relation::Fence { .. } => {
                Ok(())
            }
            Relation::Join { .. } => {
                refuse(RefusalReason::Operator, "joins run locally over this source: it would look up row by row")
            }
            Relation::SetOperation { op: SetOp::Union, all: true, .. } => Ok(()),
            Relation::SetOperation { op: SetOp::Union, left, .. } => {
                left.output().into_iter().try_for_each(|id| equal(type_of(&ScalarExpr::Column(id))?))
            }
            Relation::SetOperation { .. } => {
                refuse(RefusalReason::Operator, "INTERSECT and EXCEPT run locally over this source")
            }
            Relation::Window { .. } => refuse(RefusalReason::Operator, "windows run locally over this source"),
            Relation::Values { .. } | Relation::EmptyRow => {
                refuse(RefusalReason::Operator, "row values run locally over this source")
            }
        }
    }

    fn scalar(&self, expr: &ScalarExpr, types: &ColumnTypes) -> Result<(), Refusal> {
        let type_of = |expr: &ScalarExpr| types.type_of(expr).map_err(|error| Refusal::invalid(&error));
        match expr {
            ScalarExpr::Column(_) | ScalarExpr::Constant(_) => return Ok(()),
            ScalarExpr::Parameter(_, value_type) => return equal(*value_type),
            ScalarExpr::Comparison { op, left, right } => {
                let left = type_of(left)?;
                of_one_scale(left, type_of(right)?)?;
                if is_range(*op) { ordered(left)? } else { equal(left)? }
            }
            ScalarExpr::Between { expr, .. } => ordered(type_of(expr)?)?,
            ScalarExpr::InList { expr, list, .. } => {
                equal(type_of(expr)?)?;
                // Long lists are of parameters, and of them there is nothing more to ask.
                let constant = |item: &ScalarExpr| matches!(item, ScalarExpr::Parameter(..));
                if matches!(expr.as_ref(), ScalarExpr::Column(_)) && list.iter().all(constant) {
                    return Ok(());
                }
            }
            ScalarExpr::Case { .. } => equal(type_of(expr)?)?,
            // Their operands have been asked already.
            ScalarExpr::And(_) | ScalarExpr::Or(_) | ScalarExpr::Not(_) | ScalarExpr::IsTruth { .. } => return Ok(()),
            ScalarExpr::IsNull { .. }
            | ScalarExpr::Like { .. }
            | ScalarExpr::Arithmetic { .. }
            | ScalarExpr::Negate(_)
            | ScalarExpr::Cast { .. }
            | ScalarExpr::Function { .. }
            | ScalarExpr::Exists { .. }
            | ScalarExpr::InSubquery { .. }
            | ScalarExpr::ScalarSubquery { .. } => {}
        }
        self.tried(expr, types)
    }

    fn aggregate(&self, aggregate: &AggregateExpr, types: &ColumnTypes) -> Result<(), Refusal> {
        let argument = aggregate.args.first();
        let value_type = argument.map(|argument| types.type_of(argument)).transpose();
        let value_type = value_type.map_err(|error| Refusal::invalid(&error))?;
        // Columns that are only read may be counted; anything else was asked for exactness already.
        if aggregate.function == AggregateFunction::Count && !aggregate.distinct {
            return Ok(());
        }
        aggregate::supported(aggregate, value_type)
    }

    fn window(&self, _window: &WindowExpr, _types: &ColumnTypes) -> Result<(), Refusal> {
        refuse(RefusalReason::Operator, "windows run locally over this source")
    }

    /// A number may be one that `$toLong` fails for, whatever a field is said to hold.
    fn holds(&self) -> Held {
        Held::OfAnyType
    }

    fn parameters_max(&self) -> usize {
        PARAMETERS_MAX
    }

    /// As far as compiling it, so that what is supported can be rendered.
    fn supports_fragment(&self, fragment: &Fragment) -> Result<ColumnTypes, Refusal> {
        self.rendered(fragment)?;
        fragment.check().map_err(|error| Refusal::invalid(&error))
    }
}
