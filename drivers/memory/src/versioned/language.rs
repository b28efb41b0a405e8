//! The language of memory: one table, filtered, some of its columns handed on. Printed as JSON, for EXPLAIN and for caches; values
//! are numbered and stand beside it.

use querygate_driver_api::capability::{Refusal, RefusalReason, unsupported};
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Encoding, Relation};
use querygate_driver_api::scalar::{ComparisonOp, Constant, ScalarExpr, Truth};
use querygate_driver_api::write::LockWait;
use querygate_types::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rows of one table for which all conditions are true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Query {
    pub(super) from: String,
    /// Columns of the table, which the rest names by their place here.
    pub(super) columns: Vec<String>,
    pub(super) give: Vec<usize>,
    #[serde(rename = "where", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) conditions: Vec<Expr>,
    /// Queries of one column each, whose values conditions ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sets: Vec<Self>,
    /// What is done about each row that somebody else holds; `None`: rows are only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hold: Option<LockWord>,
}

/// The name of a [`LockWait`] in a statement's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LockWord {
    Wait,
    Nowait,
    SkipLocked,
}

impl From<LockWait> for LockWord {
    fn from(wait: LockWait) -> Self {
        match wait {
            LockWait::Wait => Self::Wait,
            LockWait::NoWait => Self::Nowait,
            LockWait::SkipLocked => Self::SkipLocked,
        }
    }
}

/// A condition, or what it compares. None of them can fail on a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expr {
    Column(usize),
    Parameter(usize),
    /// A truth value; `null` is NULL of any type.
    Constant(Option<bool>),
    Compare(Op, Box<Self>, Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    IsNull(Box<Self>),
    /// Whether it is this truth value; `null`: unknown.
    Is(Box<Self>, Option<bool>),
    In(Box<Self>, Vec<Self>),
    /// Whether a set of the query has it.
    InSet(Box<Self>, usize),
    StartsWith(Box<Self>, Box<Self>),
    Contains(Box<Self>, Box<Self>),
}

/// The sign of a [`ComparisonOp`] in a statement's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Op {
    #[serde(rename = "=")]
    Eq,
    #[serde(rename = "<>")]
    NotEq,
    #[serde(rename = "<")]
    Lt,
    #[serde(rename = "<=")]
    LtEq,
    #[serde(rename = ">")]
    Gt,
    #[serde(rename = ">=")]
    GtEq,
    #[serde(rename = "is distinct from")]
    Distinct,
    #[serde(rename = "is not distinct from")]
    Same,
}

/// The statement of a fragment, which holds the rows that it gives.
///
/// # Errors
/// What memory does not do.
pub(super) fn statement(fragment: &Fragment, hold: Option<LockWord>) -> Result<NativeStatement, Refusal> {
    let mut compiler = Compiler::default();
    compiler.relation(&fragment.relation)?;
    let give = fragment.output.iter().map(|output| compiler.place(output.id)).collect::<Result<_, _>>()?;
    let query = Query { give, hold, ..compiler.query };
    let text = serde_json::to_string(&query).map_err(|_| invalid("the statement is not written"))?;
    // What is nested too deeply to be read is found now, while another plan is possible.
    let is_read = parse(&text).is_ok_and(|read| read == query);
    if !is_read {
        return Err(Refusal::new(RefusalReason::Size, "the statement is nested too deeply"));
    }
    Ok(NativeStatement {
        text: text.into(),
        bindings: Vec::new(),
        parameters: fragment.parameters.clone(),
        output: fragment.output.iter().map(|output| (output.clone(), Encoding::Canonical)).collect(),
        schema: fragment.schema(),
    })
}

/// The query of a statement's text.
///
/// # Errors
/// Internal: it is none.
pub(super) fn parse(text: &str) -> Result<Query> {
    serde_json::from_str(text).map_err(Error::internal)
}

/// Whether a relation gives a set that a condition can ask for: one column, and no column of what is around it.
///
/// # Errors
/// Why not.
pub(super) fn set(relation: &Relation) -> Result<Query, Refusal> {
    let mut compiler = Compiler::default();
    compiler.relation(relation)?;
    let give = relation.output().into_iter().map(|id| compiler.place(id)).collect::<Result<Vec<_>, _>>()?;
    if give.len() != 1 {
        return Err(invalid("a set of rows has another number of columns than one"));
    }
    Ok(Query { give, ..compiler.query })
}

fn invalid(text: &str) -> Refusal {
    Refusal::new(RefusalReason::Invalid, text)
}

impl Default for Query {
    fn default() -> Self {
        let (from, columns, give) = (String::new(), Vec::new(), Vec::new());
        Self { from, columns, give, conditions: Vec::new(), sets: Vec::new(), hold: None }
    }
}

#[derive(Default)]
struct Compiler {
    query: Query,
    places: BTreeMap<ColumnId, usize>,
}

impl Compiler {
    fn place(&self, id: ColumnId) -> Result<usize, Refusal> {
        // A column of a query around this one has no place here.
        let text = "a set of rows depends on the row that it is asked for";
        self.places.get(&id).copied().ok_or_else(|| Refusal::new(RefusalReason::Operator, text))
    }

    fn relation(&mut self, relation: &Relation) -> Result<(), Refusal> {
        match relation {
            Relation::Scan { table, columns } => {
                table.name().clone_into(&mut self.query.from);
                self.query.columns = columns.iter().map(|column| column.name.as_str().to_owned()).collect();
                self.places = columns.iter().map(|column| column.id).zip(0..).collect();
                Ok(())
            }
            Relation::Filter { input, predicate } => {
                self.relation(input)?;
                // Conditions that stand below are asked first.
                let members =
                    if let ScalarExpr::And(all) = predicate { all.as_slice() } else { std::slice::from_ref(predicate) };
                for member in members {
                    let condition = self.expr(member)?;
                    self.query.conditions.push(condition);
                }
                Ok(())
            }
            Relation::Project { input, exprs } => {
                self.relation(input)?;
                let handed_on = |(id, expr): &(ColumnId, ScalarExpr)| match expr {
                    ScalarExpr::Column(from) => Ok((*id, self.place(*from)?)),
                    _ => unsupported("memory computes nothing"),
                };
                self.places = exprs.iter().map(handed_on).collect::<Result<_, _>>()?;
                Ok(())
            }
            // No condition can fail, so what is above a fence may be asked at any time.
            Relation::Fence { input } => self.relation(input),
            Relation::Join { .. }
            | Relation::Aggregate { .. }
            | Relation::Distinct { .. }
            | Relation::Sort { .. }
            | Relation::Limit { .. }
            | Relation::SetOperation { .. }
            | Relation::Window { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => unsupported("memory filters one table"),
        }
    }

    fn all(&mut self, exprs: &[ScalarExpr]) -> Result<Vec<Expr>, Refusal> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn expr(&mut self, expr: &ScalarExpr) -> Result<Expr, Refusal> {
        Ok(match expr {
            ScalarExpr::Column(id) => Expr::Column(self.place(*id)?),
            ScalarExpr::Parameter(index, _) => Expr::Parameter(*index),
            ScalarExpr::Constant(Constant::True) => Expr::Constant(Some(true)),
            ScalarExpr::Constant(Constant::False) => Expr::Constant(Some(false)),
            ScalarExpr::Constant(Constant::Null(_)) => Expr::Constant(None),
            ScalarExpr::Comparison { op, left, right } => {
                Expr::Compare(sign(*op), Box::new(self.expr(left)?), Box::new(self.expr(right)?))
            }
            ScalarExpr::And(all) => Expr::All(self.all(all)?),
            ScalarExpr::Or(all) => Expr::Any(self.all(all)?),
            ScalarExpr::Not(expr) => Expr::Not(Box::new(self.expr(expr)?)),
            ScalarExpr::IsNull { expr, negated } => negated_if(*negated, Expr::IsNull(Box::new(self.expr(expr)?))),
            ScalarExpr::IsTruth { expr, truth, negated } => {
                let truth = match truth {
                    Truth::True => Some(true),
                    Truth::False => Some(false),
                    Truth::Unknown => None,
                };
                negated_if(*negated, Expr::Is(Box::new(self.expr(expr)?), truth))
            }
            ScalarExpr::Between { expr, low, high, negated } => {
                let value = self.expr(expr)?;
                let low = Expr::Compare(Op::GtEq, Box::new(value.clone()), Box::new(self.expr(low)?));
                let high = Expr::Compare(Op::LtEq, Box::new(value), Box::new(self.expr(high)?));
                negated_if(*negated, Expr::All(vec![low, high]))
            }
            ScalarExpr::InList { expr, list, negated } => {
                negated_if(*negated, Expr::In(Box::new(self.expr(expr)?), self.all(list)?))
            }
            ScalarExpr::InSubquery { expr, relation, negated } => {
                let value = Box::new(self.expr(expr)?);
                self.query.sets.push(set(relation)?);
                negated_if(*negated, Expr::InSet(value, self.query.sets.len() - 1))
            }
            ScalarExpr::Function { function, args, .. } => match (function, args.as_slice()) {
                (ScalarFunction::StartsWith, [text, part]) => {
                    Expr::StartsWith(Box::new(self.expr(text)?), Box::new(self.expr(part)?))
                }
                (ScalarFunction::Contains, [text, part]) => {
                    Expr::Contains(Box::new(self.expr(text)?), Box::new(self.expr(part)?))
                }
                _ => return unsupported("memory has no such function"),
            },
            ScalarExpr::Like { .. }
            | ScalarExpr::Arithmetic { .. }
            | ScalarExpr::Negate(_)
            | ScalarExpr::Case { .. }
            | ScalarExpr::Cast { .. }
            | ScalarExpr::Exists { .. }
            | ScalarExpr::ScalarSubquery { .. } => return unsupported("memory has no such expression"),
        })
    }
}

fn negated_if(negated: bool, expr: Expr) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}

fn sign(op: ComparisonOp) -> Op {
    match op {
        ComparisonOp::Eq => Op::Eq,
        ComparisonOp::NotEq => Op::NotEq,
        ComparisonOp::Lt => Op::Lt,
        ComparisonOp::LtEq => Op::LtEq,
        ComparisonOp::Gt => Op::Gt,
        ComparisonOp::GtEq => Op::GtEq,
        ComparisonOp::IsDistinctFrom => Op::Distinct,
        ComparisonOp::IsNotDistinctFrom => Op::Same,
    }
}
