//! Relations → stages of an aggregation pipeline. Knows no value: statements hold only numbered parameters.

use crate::compile::order;
use crate::tree::node::{Form, Node, never, one, text};
use crate::tree::place::{self, Place};
use querygate_driver_api::capability::{Refusal, RefusalReason, refuse};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::execution::{Binding, BindingForm, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Relation, SetOp};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::ValueType;
use std::collections::{HashMap, HashSet};

/// Deepest nesting of a pipeline; the server reads 180.
const DEPTH_MAX: usize = 150;
/// Nothing moves through it: neither a match, nor anything that could fail.
pub(crate) const FENCE: i64 = i64::MAX;

/// Columns in reach of an expression.
pub(crate) type Columns = HashMap<ColumnId, Place>;

/// A pipeline while it grows.
pub(crate) struct Pipeline {
    pub(crate) collection: String,
    pub(crate) stages: Vec<Node>,
    pub(crate) columns: Columns,
    /// Visible columns, in order.
    pub(crate) order: Vec<ColumnId>,
    /// Columns that are NULL in none of its documents: conditions say so.
    pub(crate) present: HashSet<ColumnId>,
    /// Its documents hold generated names only, so that more can be added beside them.
    pub(crate) shaped: bool,
}

/// Makes one statement.
pub(crate) struct Compiler<'a> {
    pub(crate) types: &'a ColumnTypes,
    bindings: Vec<Binding>,
    /// Where each binding is: key lists are long.
    known: HashMap<Binding, usize>,
    variables: usize,
}

/// The statement of a fragment whose parts are all supported.
///
/// # Errors
/// A part that has no exact form after all.
pub(crate) fn statement(fragment: &Fragment, types: &ColumnTypes) -> Result<NativeStatement, Refusal> {
    let mut compiler = Compiler::new(types);
    let mut pipeline = compiler.relation(&fragment.relation)?;
    let mut wanted: Vec<ColumnId> = Vec::new();
    for column in &fragment.output {
        if !wanted.contains(&column.id) {
            wanted.push(column.id);
        }
    }
    let mut delivered = vec![("_id".to_owned(), Node::Int(0))];
    for id in wanted {
        let place = pipeline.place(id)?;
        delivered.push((place::delivered(id, place.object_id), place.raw()));
    }
    pipeline.stage("$project", Node::Object(delivered));
    let command = Node::Object(vec![
        ("aggregate".to_owned(), text(pipeline.collection)),
        ("pipeline".to_owned(), Node::Array(pipeline.stages)),
    ]);
    if depth(&command) > DEPTH_MAX {
        return refuse(RefusalReason::Size, "statement is nested too deeply for the source");
    }
    let mut written = String::new();
    command.write(&mut written);
    let output = fragment.output.iter().map(|column| {
        let info = types.of(column.id).map_err(|error| Refusal::invalid(&error))?;
        Ok((column.clone(), info.encoding))
    });
    Ok(NativeStatement {
        text: written.into(),
        bindings: compiler.bindings,
        parameters: fragment.parameters.clone(),
        output: output.collect::<Result<_, Refusal>>()?,
        schema: fragment.schema(),
    })
}

fn depth(node: &Node) -> usize {
    match node {
        Node::Array(items) | Node::Present(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Node::Object(fields) => 1 + fields.iter().map(|(_, node)| depth(node)).max().unwrap_or(0),
        Node::Known(_, inner) => depth(inner),
        Node::Null
        | Node::Bool(_)
        | Node::Int(_)
        | Node::NotANumber
        | Node::Infinity
        | Node::Text(_)
        | Node::Parameter(..) => 1,
    }
}

impl Pipeline {
    pub(crate) fn place(&self, id: ColumnId) -> Result<&Place, Refusal> {
        place_of(&self.columns, id)
    }

    pub(crate) fn stage(&mut self, name: &str, node: Node) {
        self.stages.push(one(name, node));
    }

    /// Documents of these columns alone, under generated names.
    pub(crate) fn project(&mut self, ids: &[ColumnId]) -> Result<(), Refusal> {
        let fields = ids.iter().map(|id| Ok((*id, self.place(*id)?.raw()))).collect::<Result<Vec<_>, Refusal>>()?;
        let places = ids.iter().map(|id| Ok((*id, self.place(*id)?.clone()))).collect::<Result<Vec<_>, Refusal>>()?;
        self.shape(fields);
        let moved = |(id, place): (ColumnId, Place)| (id, Place { path: place::field(id), ..place });
        self.columns = places.into_iter().map(moved).collect();
        Ok(())
    }

    /// The stage that leaves these fields and no other.
    pub(crate) fn shape(&mut self, fields: Vec<(ColumnId, Node)>) {
        self.order = fields.iter().map(|(id, _)| *id).collect();
        let fields = fields.into_iter().map(|(id, node)| (place::field(id), node));
        let shape = std::iter::once(("_id".to_owned(), Node::Int(0))).chain(fields).collect();
        self.stage("$project", Node::Object(shape));
        self.shaped = true;
    }

    /// After a stage that made documents of these columns under generated names.
    pub(crate) fn reshaped(&mut self, columns: Vec<(ColumnId, Place)>) {
        self.order = columns.iter().map(|(id, _)| *id).collect();
        self.columns = columns.into_iter().collect();
        self.present.clear();
        self.shaped = true;
    }
}

/// Columns that are not NULL where a condition is TRUE.
fn present(condition: &ScalarExpr, found: &mut HashSet<ColumnId>) {
    let mut column = |expr: &ScalarExpr| {
        if let ScalarExpr::Column(id) = expr {
            found.insert(*id);
        }
    };
    match condition {
        ScalarExpr::And(all) => all.iter().for_each(|one| present(one, found)),
        ScalarExpr::Comparison { op, left, right } => match op {
            ComparisonOp::Eq
            | ComparisonOp::NotEq
            | ComparisonOp::Lt
            | ComparisonOp::LtEq
            | ComparisonOp::Gt
            | ComparisonOp::GtEq => [left, right].into_iter().for_each(|side| column(side)),
            ComparisonOp::IsDistinctFrom | ComparisonOp::IsNotDistinctFrom => {}
        },
        ScalarExpr::Between { expr, .. }
        | ScalarExpr::Like { expr, .. }
        | ScalarExpr::IsNull { expr, negated: true } => column(expr),
        // What is in no empty list may be NULL.
        ScalarExpr::InList { expr, list, .. } if !list.is_empty() => column(expr),
        ScalarExpr::Column(_) => column(condition),
        ScalarExpr::Parameter(..)
        | ScalarExpr::Constant(_)
        | ScalarExpr::Or(_)
        | ScalarExpr::Not(_)
        | ScalarExpr::IsNull { .. }
        | ScalarExpr::IsTruth { .. }
        | ScalarExpr::InList { .. }
        | ScalarExpr::Arithmetic { .. }
        | ScalarExpr::Negate(_)
        | ScalarExpr::Case { .. }
        | ScalarExpr::Cast { .. }
        | ScalarExpr::Function { .. }
        | ScalarExpr::Exists { .. }
        | ScalarExpr::InSubquery { .. }
        | ScalarExpr::ScalarSubquery { .. } => {}
    }
}

pub(crate) fn place_of(columns: &Columns, id: ColumnId) -> Result<&Place, Refusal> {
    columns.get(&id).ok_or_else(|| Refusal::new(RefusalReason::Invalid, format!("column {id} is not in scope")))
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(types: &'a ColumnTypes) -> Self {
        Self { types, bindings: Vec::new(), known: HashMap::new(), variables: 0 }
    }

    /// A name for a variable that no other expression has.
    pub(crate) fn variable(&mut self) -> String {
        self.variables += 1;
        format!("v{}", self.variables)
    }

    pub(crate) fn type_of(&self, expr: &ScalarExpr) -> Result<ValueType, Refusal> {
        self.types.type_of(expr).map_err(|error| Refusal::invalid(&error))
    }

    /// The native parameter of one of the fragment's.
    pub(crate) fn native(&mut self, parameter: usize, form: BindingForm) -> usize {
        let binding = Binding { parameter, form };
        let next = self.bindings.len();
        let at = *self.known.entry(binding).or_insert(next);
        if at == next {
            self.bindings.push(binding);
        }
        at
    }

    /// A fragment's parameter in a form.
    pub(crate) fn parameter(&mut self, parameter: usize, form: Form) -> Node {
        Node::Parameter(self.native(parameter, BindingForm::Value), form)
    }

    fn relation(&mut self, relation: &Relation) -> Result<Pipeline, Refusal> {
        match relation {
            Relation::Scan { table, columns } => {
                let places = columns.iter().map(|column| Ok((column.id, Place::stored(column)?)));
                Ok(Pipeline {
                    collection: table.name().to_owned(),
                    stages: Vec::new(),
                    columns: places.collect::<Result<_, Refusal>>()?,
                    order: columns.iter().map(|column| column.id).collect(),
                    present: HashSet::new(),
                    shaped: false,
                })
            }
            Relation::Filter { input, predicate } => {
                let mut pipeline = self.relation(input)?;
                let condition = self.truth(predicate, true, &pipeline.columns)?;
                pipeline.stage("$match", condition);
                present(predicate, &mut pipeline.present);
                Ok(pipeline)
            }
            Relation::Project { input, exprs } => {
                let pipeline = self.relation(input)?;
                self.projected(pipeline, exprs)
            }
            Relation::Aggregate { input, group, aggregates } => {
                let pipeline = self.relation(input)?;
                self.aggregated(pipeline, group, aggregates)
            }
            Relation::Distinct { input } => {
                let pipeline = self.relation(input)?;
                order::distinct(pipeline)
            }
            Relation::Sort { input, keys } => {
                let pipeline = self.relation(input)?;
                self.sorted(pipeline, keys)
            }
            Relation::Limit { input, skip, fetch } => {
                let mut pipeline = self.relation(input)?;
                let rows = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
                if *skip > 0 {
                    pipeline.stage("$skip", Node::Int(rows(*skip)));
                }
                match fetch {
                    Some(0) => pipeline.stage("$match", never()),
                    Some(fetch) => pipeline.stage("$limit", Node::Int(rows(*fetch))),
                    None => {}
                }
                Ok(pipeline)
            }
            Relation::Fence { input } => {
                let mut pipeline = self.relation(input)?;
                pipeline.stage("$limit", Node::Int(FENCE));
                Ok(pipeline)
            }
            Relation::SetOperation { op: SetOp::Union, all, columns, left, right } => {
                let (left, right) = (self.relation(left)?, self.relation(right)?);
                let both = order::united(left, right, columns)?;
                if *all { Ok(both) } else { order::distinct(both) }
            }
            Relation::Join { .. }
            | Relation::SetOperation { .. }
            | Relation::Window { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => refuse(RefusalReason::Operator, "the source has no exact form of this operator"),
        }
    }

    fn projected(&mut self, mut pipeline: Pipeline, exprs: &[(ColumnId, ScalarExpr)]) -> Result<Pipeline, Refusal> {
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        let mut computed = false;
        let kept = |(id, expr): &(ColumnId, ScalarExpr)| match expr {
            ScalarExpr::Column(from) if pipeline.present.contains(from) => Some(*id),
            _ => None,
        };
        let present = exprs.iter().filter_map(kept).collect();
        for (id, expr) in exprs {
            let (node, place) = match expr {
                ScalarExpr::Column(from) => {
                    let place = pipeline.place(*from)?.clone();
                    (place.raw(), place)
                }
                other => {
                    computed = true;
                    let place = Place::computed(place::field(*id), self.type_of(other)?);
                    (self.value(other, &pipeline.columns)?, place)
                }
            };
            fields.push((*id, node));
            columns.push((*id, place));
        }
        if computed {
            pipeline.shape(fields);
            let moved = columns.into_iter().map(|(id, place)| (id, Place { path: place::field(id), ..place }));
            pipeline.columns = moved.collect();
        } else {
            pipeline.order = columns.iter().map(|(id, _)| *id).collect();
            pipeline.columns = columns.into_iter().collect();
        }
        pipeline.present = present;
        Ok(pipeline)
    }
}
