//! Groups and aggregates as `$group`. Accumulators skip NULL, but count and add up nothing as 0, and nothing has no group.

use crate::compile::compiler::{Columns, Compiler, Pipeline, place_of};
use crate::compile::expression::either;
use crate::tree::node::{Node, call, one, text, unary};
use crate::tree::place::{self, Place};
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::capability::{Refusal, RefusalReason, refuse};
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::scalar::ScalarExpr;
use querygate_driver_api::value::ValueType;

/// Digits of a decimal whose sum over a trillion rows still has the 34 that the source keeps.
const SUMMED_PRECISION_MAX: u8 = 22;

/// An aggregate: fields that the groups collect, and what is made of them afterwards.
struct Collected {
    fields: Vec<(String, Node)>,
    result: Node,
    /// What it is over no row at all.
    empty: Node,
    place: Place,
}

/// Whether an aggregate has an exact form.
///
/// # Errors
/// Why not.
pub(crate) fn supported(aggregate: &AggregateExpr, argument: Option<ValueType>) -> Result<(), Refusal> {
    let Some(value_type) = argument else { return Ok(()) };
    let to = aggregate.value_type;
    let number = value_type.is_integer() || value_type == ValueType::Float64;
    let fits = match aggregate.function {
        AggregateFunction::CountStar | AggregateFunction::Count => true,
        AggregateFunction::Min | AggregateFunction::Max => {
            to == value_type && !matches!(value_type, ValueType::Binary | ValueType::TextList | ValueType::Time)
        }
        AggregateFunction::Sum => match (value_type, to) {
            (ValueType::Decimal128 { precision, scale: from }, ValueType::Decimal128 { scale: to, .. }) => {
                from == to && precision <= SUMMED_PRECISION_MAX
            }
            (from, ValueType::Int64) => from.is_integer(),
            (ValueType::Float64, ValueType::Float64) => true,
            _ => false,
        },
        AggregateFunction::Avg | AggregateFunction::StddevSamp | AggregateFunction::StddevPop => {
            number && to == ValueType::Float64
        }
        AggregateFunction::BoolAnd | AggregateFunction::BoolOr => value_type == ValueType::Boolean,
        AggregateFunction::VarSamp | AggregateFunction::VarPop => false,
    };
    if fits {
        return Ok(());
    }
    let text = format!("{} of {} is not exact in the source", aggregate.function.name(), value_type.name());
    refuse(RefusalReason::Type, text)
}

/// The one argument of aggregates over distinct values; none where there are only plain ones.
///
/// # Errors
/// Several arguments, or plain aggregates beside them: each would need groups of its own.
pub(crate) fn distinct_argument<'a>(
    aggregates: impl Iterator<Item = &'a AggregateExpr>,
) -> Result<Option<&'a ScalarExpr>, Refusal> {
    let (mut found, mut plain) = (None, false);
    for aggregate in aggregates {
        // The least of all values is the least of the distinct ones.
        let extreme = matches!(aggregate.function, AggregateFunction::Min | AggregateFunction::Max);
        let argument = aggregate.args.first();
        match argument {
            Some(argument) if aggregate.distinct && !extreme && aggregate.filter.is_none() => {
                if found.is_some_and(|known| known != argument) {
                    return mixed();
                }
                found = Some(argument);
            }
            _ if aggregate.distinct && !extreme => return mixed(),
            _ => plain = true,
        }
    }
    if found.is_some() && plain { mixed() } else { Ok(found) }
}

fn mixed<T>() -> Result<T, Refusal> {
    refuse(RefusalReason::Operator, "the source has distinct values of one argument at a time")
}

impl Compiler<'_> {
    pub(crate) fn aggregated(
        &mut self,
        mut pipeline: Pipeline,
        group: &[(ColumnId, ScalarExpr)],
        aggregates: &[(ColumnId, AggregateExpr)],
    ) -> Result<Pipeline, Refusal> {
        let mut columns = Vec::new();
        let mut values = Vec::new();
        for (id, expr) in group {
            let (value, place) = self.grouped(expr, &pipeline.columns)?;
            // Missing and null are one group.
            values.push(call("$ifNull", [value, Node::Null]));
            columns.push((*id, Place { path: place::field(*id), ..place }));
        }
        let aggregates = self.once(&mut pipeline, &mut values, aggregates)?;
        let mut keys = Vec::new();
        let mut shape = vec![("_id".to_owned(), Node::Int(0))];
        for ((id, _), value) in group.iter().zip(values) {
            let field = place::field(*id);
            keys.push((field.clone(), value));
            shape.push((field.clone(), text(format!("$_id.{field}"))));
        }
        let mut groups = vec![("_id".to_owned(), if keys.is_empty() { Node::Null } else { Node::Object(keys) })];
        let mut nothing = Vec::new();
        for (number, (id, aggregate)) in aggregates.iter().enumerate() {
            let field = place::field(*id);
            let collected = self.collected(aggregate, number, &pipeline.columns)?;
            groups.extend(collected.fields);
            shape.push((field.clone(), collected.result));
            nothing.push((field.clone(), collected.empty));
            columns.push((*id, Place { path: field, ..collected.place }));
        }
        pipeline.stage("$group", Node::Object(groups));
        pipeline.stage("$project", Node::Object(shape));
        if group.is_empty() {
            // Of no row there is no group, and of a group there is no other row.
            let documents = one("$documents", Node::Array(vec![Node::Object(nothing)]));
            pipeline.stage("$unionWith", one("pipeline", Node::Array(vec![documents])));
            pipeline.stage("$limit", Node::Int(1));
        }
        pipeline.reshaped(columns);
        Ok(pipeline)
    }

    /// The value of a key or argument, and what is known of its place.
    fn grouped(&mut self, expr: &ScalarExpr, columns: &Columns) -> Result<(Node, Place), Refusal> {
        match expr {
            // A bare column keeps its form: ObjectIds stay what they are, and order as their texts do.
            ScalarExpr::Column(from) => {
                let place = place_of(columns, *from)?.clone();
                Ok((place.raw(), place))
            }
            other => Ok((self.value(other, columns)?, Place::computed(String::new(), self.type_of(other)?))),
        }
    }

    /// Aggregates over distinct values become plain ones over the groups of keys and value, each of which is there once.
    fn once(
        &mut self,
        pipeline: &mut Pipeline,
        keys: &mut [Node],
        aggregates: &[(ColumnId, AggregateExpr)],
    ) -> Result<Vec<(ColumnId, AggregateExpr)>, Refusal> {
        let Some(argument) = distinct_argument(aggregates.iter().map(|(_, aggregate)| aggregate))? else {
            return Ok(aggregates.to_vec());
        };
        let (value, place) = self.grouped(argument, &pipeline.columns)?;
        let mut each = vec![("d".to_owned(), call("$ifNull", [value, Node::Null]))];
        for (number, key) in keys.iter_mut().enumerate() {
            let field = format!("g{number}");
            each.push((field.clone(), std::mem::replace(key, text(format!("$_id.{field}")))));
        }
        pipeline.stage("$group", one("_id", Node::Object(each)));
        // Their argument is the value of the group now, under the id of the first of them.
        let Some(id) = aggregates.first().map(|(id, _)| *id) else { return Ok(Vec::new()) };
        pipeline.columns.insert(id, Place { path: "_id.d".to_owned(), stored: false, ..place });
        let plain = |(own, aggregate): &(ColumnId, AggregateExpr)| {
            (*own, AggregateExpr { args: vec![ScalarExpr::Column(id)], distinct: false, ..aggregate.clone() })
        };
        Ok(aggregates.iter().map(plain).collect())
    }

    /// The fields of one aggregate, under names that no other has.
    fn collected(&mut self, aggregate: &AggregateExpr, number: usize, columns: &Columns) -> Result<Collected, Refusal> {
        let argument = aggregate.args.first();
        let (value, place) = match argument {
            Some(argument) => self.grouped(argument, columns)?,
            None => (Node::Int(1), Place::computed(String::new(), aggregate.value_type)),
        };
        let value = match &aggregate.filter {
            Some(filter) => either(self.holds(filter, true, columns)?, value, Node::Null),
            None => value,
        };
        let name = |part: &str| format!("{part}{number}");
        let field = |part: &str| text(format!("${part}{number}"));
        // The least key is below NULL, and is none.
        let missing = call("$eq", [call("$ifNull", [value.clone(), Node::Null]), Node::Null]);
        let known = either(missing, Node::Int(0), Node::Int(1));
        let counted = (name("n"), unary("$sum", known));
        let none = call("$eq", [field("n"), Node::Int(0)]);
        let computed = Place::computed(String::new(), aggregate.value_type);
        // Of the place: where distinct values stand for it, the argument's own id is an aggregate's.
        let is_number = argument.is_some() && is_number(place.value_type);
        let value = if is_number { number_or_error(value) } else { value };
        let plain = |operator: &str, place: Place| Collected {
            fields: vec![(name("a"), unary(operator, value.clone()))],
            result: field("a"),
            empty: Node::Null,
            place,
        };
        Ok(match aggregate.function {
            AggregateFunction::CountStar | AggregateFunction::Count => {
                Collected { fields: vec![counted], result: field("n"), empty: Node::Int(0), place: computed }
            }
            AggregateFunction::Sum => {
                let fields = vec![(name("a"), unary("$sum", value)), counted];
                Collected { fields, result: either(none, Node::Null, field("a")), empty: Node::Null, place: computed }
            }
            AggregateFunction::Min | AggregateFunction::Max if aggregate.value_type.is_float() => {
                extreme(aggregate.function, &value, number)
            }
            AggregateFunction::Min => plain("$min", Place { stored: false, ..place }),
            AggregateFunction::Max => plain("$max", Place { stored: false, ..place }),
            AggregateFunction::BoolAnd => plain("$min", computed),
            AggregateFunction::BoolOr => plain("$max", computed),
            AggregateFunction::Avg => plain("$avg", computed),
            AggregateFunction::StddevSamp => plain("$stdDevSamp", computed),
            AggregateFunction::StddevPop => plain("$stdDevPop", computed),
            AggregateFunction::VarSamp | AggregateFunction::VarPop => {
                return refuse(RefusalReason::Function, "the source has no variance");
            }
        })
    }
}

fn is_number(value_type: ValueType) -> bool {
    value_type.is_integer() || value_type.is_float() || matches!(value_type, ValueType::Decimal128 { .. })
}

/// Accumulators pass over what is no number, and a document may hold anything: this one raises.
fn number_or_error(value: Node) -> Node {
    call("$multiply", [value, Node::Int(1)])
}

/// The least or greatest float: NaN, the source's least and our greatest, is looked for by itself.
fn extreme(function: AggregateFunction, value: &Node, number: usize) -> Collected {
    let is_nan = || call("$eq", [value.clone(), Node::NotANumber]);
    let (operator, greatest) = match function {
        AggregateFunction::Max => ("$max", true),
        _ => ("$min", false),
    };
    let fields = vec![
        (format!("a{number}"), unary(operator, either(is_nan(), Node::Null, value.clone()))),
        (format!("n{number}"), unary("$max", either(is_nan(), Node::Int(1), Node::Int(0)))),
    ];
    let (field, nan) = (text(format!("$a{number}")), call("$eq", [text(format!("$n{number}")), Node::Int(1)]));
    let result = match greatest {
        true => either(nan, Node::NotANumber, field),
        false => call("$ifNull", [field, either(nan, Node::NotANumber, Node::Null)]),
    };
    let place = Place::computed(String::new(), ValueType::Float64);
    Collected { fields, result, empty: Node::Null, place }
}
