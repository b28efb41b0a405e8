//! The pass over a bound plan, before analysis: literals in IN, BETWEEN and CASE take their type, reg types print as names,
//! and the outermost columns get types that a description can show.

use super::counts::counted;
use crate::dialect::planners::literals::{PgExprPlanner, field_of};
use crate::dialect::planners::types;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, Case, InList, InSubquery, ScalarFunction};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, ScalarUDF, Subquery};
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_semantics::keep_names::under_names;
use querygate_semantics::lineage::InputColumns;
use querygate_types::PgType;
use std::collections::HashMap;
use std::sync::Arc;

/// Settles bound plans for one principal's catalog.
#[derive(Debug)]
pub(crate) struct Settler {
    literals: PgExprPlanner,
    /// `regclassout`, `int2vectorout` and the like, by the name of the type.
    printers: HashMap<String, Arc<ScalarUDF>>,
}

impl Settler {
    /// `functions` are those of the principal's catalog.
    pub(crate) fn new(functions: &[Arc<ScalarUDF>]) -> Self {
        let printers = functions.iter().filter_map(|f| {
            let printed = f.name().strip_suffix("out")?;
            (printed.starts_with("reg") || printed.ends_with("vector")).then(|| (printed.to_owned(), Arc::clone(f)))
        });
        Self { printers: printers.collect(), literals: PgExprPlanner::new(functions) }
    }

    /// The plan with typed literals, subqueries included, and printable output columns.
    pub(crate) fn settle(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let plan = super::placeholders::beside_integers(plan)?;
        let plan = super::one_type::everywhere(self.type_literals(plan)?)?;
        let plan = super::unions::with_types(plan)?;
        let plan = super::text_forms::in_one_form(plan)?;
        self.outputs(plan)
    }

    /// Only the inner part: for a plan whose columns no client sees.
    pub(crate) fn type_literals(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|node| self.node(node))?.data)
    }

    fn node(&self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        if matches!(node, LogicalPlan::TableScan(_) | LogicalPlan::Extension(_) | LogicalPlan::Values(_)) {
            return Ok(Transformed::no(node));
        }
        if let LogicalPlan::Limit(limit) = node {
            let empty = DFSchema::empty();
            let typed = LogicalPlan::Limit(limit)
                .map_expressions(|expr| expr.transform_up(|e| super::placeholders::typed(e, &empty)))?;
            let LogicalPlan::Limit(limit) = typed.data else { return Ok(typed) };
            let limit = super::limits::counted(limit)?;
            if super::numbered::is_computed(&limit) {
                return super::numbered::by_number(limit).map(Transformed::yes);
            }
            return Ok(Transformed::yes(LogicalPlan::Limit(limit)));
        }
        let columns = InputColumns::of(&node)?;
        let are_conditions = super::untyped_conditions::are_of(&node);
        under_names(node, |expr| {
            let expr = if are_conditions { super::untyped_conditions::whole(expr) } else { Transformed::no(expr) };
            expr.transform_data(|expr| {
                expr.transform_up(|e| {
                    let schema = columns.schema();
                    super::placeholders::typed(e, schema)?.transform_data(|e| self.expression(e, schema))
                })
            })
        })
    }

    fn expression(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        match expr {
            Expr::InList(InList { expr, list, negated }) => {
                let Some(field) = field_of(&expr, schema).or_else(|| array_of(&list, schema)) else {
                    return Ok(Transformed::no(Expr::InList(InList { expr, list, negated })));
                };
                let mut changed = false;
                let all = std::iter::once(*expr).chain(list).collect();
                let mut all = self.adopt_all(all, &field, &mut changed)?.into_iter();
                let Some(expr) = all.next() else {
                    return datafusion::common::internal_err!("a list stands behind a value");
                };
                let list = InList { expr: Box::new(expr), list: all.collect(), negated };
                Ok(Transformed::new_transformed(Expr::InList(list), changed))
            }
            Expr::Between(between) => self.bounds(between, schema),
            Expr::InSubquery(member) => with_named_members(member),
            Expr::Case(case) if case.expr.is_none() => self.branches(case, schema),
            Expr::ScalarFunction(call) if matches!(call.func.name(), "coalesce" | "nullif" | "greatest" | "least") => {
                let Some(field) = typed(&call.args, schema).filter(|field| field.data_type() == &DataType::UInt32)
                else {
                    return Ok(Transformed::no(Expr::ScalarFunction(call)));
                };
                let mut changed = false;
                let args = self.adopt_all(call.args, &field, &mut changed)?;
                let call = Expr::ScalarFunction(ScalarFunction { func: call.func, args });
                Ok(Transformed::new_transformed(call, changed))
            }
            Expr::Case(Case { expr: Some(operand), when_then_expr, else_expr }) => {
                let mut changed = false;
                let field = field_of(&operand, schema);
                let mut branches = Vec::with_capacity(when_then_expr.len());
                for (when, then) in when_then_expr {
                    let adopted = match &field {
                        Some(field) => self.literals.adopt(&when, field)?,
                        None => None,
                    };
                    changed |= adopted.is_some();
                    branches.push((adopted.map_or(when, Box::new), then));
                }
                let case = Case { expr: Some(operand), when_then_expr: branches, else_expr };
                let settled = self.branches(case, schema)?;
                Ok(Transformed::new_transformed(settled.data, changed || settled.transformed))
            }
            Expr::Cast(Cast { expr, field }) if is_text(field.data_type()) => {
                let printer =
                    field_of(&expr, schema).and_then(|f| self.printer(&f).or_else(|| self.vector_printer(&f)));
                Ok(match printer {
                    Some(printer) => {
                        let printed = printer.call(vec![*expr]);
                        Transformed::yes(Expr::Cast(Cast { expr: Box::new(printed), field }))
                    }
                    None => Transformed::no(Expr::Cast(Cast { expr, field })),
                })
            }
            other => Ok(Transformed::no(other)),
        }
    }

    fn bounds(&self, between: Between, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let Between { expr, negated, low, high } = between;
        let all = vec![*expr, *low, *high];
        let field = all.first().and_then(|expr| field_of(expr, schema)).or_else(|| array_of(&all, schema));
        let mut changed = false;
        let all = match field {
            Some(field) => self.adopt_all(all, &field, &mut changed)?,
            None => all,
        };
        let Ok([expr, low, high]) = <[Expr; 3]>::try_from(all) else {
            return datafusion::common::internal_err!("a value has two bounds");
        };
        let [expr, low, high] = [expr, low, high].map(Box::new);
        Ok(Transformed::new_transformed(Expr::Between(Between { expr, negated, low, high }), changed))
    }

    /// Literals among a CASE's results take the type of the others.
    fn branches(&self, case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let results: Vec<Expr> = case
            .when_then_expr
            .iter()
            .map(|(_, then)| then)
            .chain(&case.else_expr)
            .map(|e| e.as_ref().clone())
            .collect();
        let mut changed = false;
        let results = match typed(&results, schema).or_else(|| whole_number_of(&results)) {
            Some(field) => self.adopt_all(results, &field, &mut changed)?,
            None if results.iter().any(is_number_with_point) => {
                results.into_iter().map(|literal| number_of(literal, &mut changed)).collect()
            }
            None => return Ok(Transformed::no(Expr::Case(case))),
        };
        let mut results = results.into_iter().map(Box::new);
        let when_then_expr =
            case.when_then_expr.into_iter().zip(results.by_ref()).map(|((when, _), then)| (when, then)).collect();
        let case = Case { expr: case.expr, when_then_expr, else_expr: results.next() };
        Ok(Transformed::new_transformed(Expr::Case(case), changed))
    }

    fn adopt_all(&self, list: Vec<Expr>, field: &Arc<Field>, changed: &mut bool) -> Result<Vec<Expr>> {
        let adopt = |e: Expr| {
            let adopted = match object_id(&e, field) {
                Some(id) => Some(id),
                None => self.literals.adopt(&e, field)?,
            };
            *changed |= adopted.is_some();
            Ok(adopted.unwrap_or(e))
        };
        list.into_iter().map(adopt).collect()
    }

    fn printer(&self, field: &Field) -> Option<&Arc<ScalarUDF>> {
        self.printers.get(field.metadata().get(PG_TYPE_KEY)?).filter(|_| field.data_type() == &DataType::UInt32)
    }

    /// What prints a vector, which is no array as text.
    fn vector_printer(&self, field: &Field) -> Option<&Arc<ScalarUDF>> {
        let named = field.metadata().get(PG_TYPE_KEY).and_then(|name| self.printers.get(name));
        named.filter(|_| matches!(field.data_type(), DataType::List(_)))
    }

    /// Reg columns become the names they print as, still declared as reg types; columns of no type become text.
    fn outputs(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let schema = Arc::clone(plan.schema());
        let needed = schema
            .fields()
            .iter()
            .any(|f| matches!(f.data_type(), DataType::Null | DataType::UInt64) || self.printer(f).is_some());
        if !needed || !returns_rows(&plan) {
            return Ok(plan);
        }
        let mut columns = Vec::with_capacity(schema.fields().len());
        for (place, (qualifier, field)) in schema.iter().enumerate() {
            let count = if field.data_type() == &DataType::UInt64 { counted(&plan, place) } else { None };
            let column = Expr::from((qualifier, field));
            columns.push(if let Some(printer) = self.printer(field) {
                let metadata = Some(datafusion::common::metadata::FieldMetadata::from(field.metadata().clone()));
                printer.call(vec![column]).alias_qualified_with_metadata(qualifier.cloned(), field.name(), metadata)
            } else if field.data_type() == &DataType::Null {
                column.cast_to(&DataType::Utf8, schema.as_ref())?.alias_qualified(qualifier.cloned(), field.name())
            } else if let Some(signed) = count {
                column.cast_to(&signed, schema.as_ref())?.alias_qualified(qualifier.cloned(), field.name())
            } else {
                column
            });
        }
        LogicalPlanBuilder::from(plan).project(columns)?.build()
    }
}

/// A subquery whose column has no table, such as that of a set operation, under a name: where IN is a value, the engine joins with its
/// rows, and takes the column for two.
fn with_named_members(member: InSubquery) -> Result<Transformed<Expr>> {
    let rows = match member.subquery.subquery.head_output_expr()? {
        Some(Expr::Column(column)) if column.relation.is_none() => {
            LogicalPlanBuilder::from(Arc::clone(&member.subquery.subquery))
        }
        Some(_) => return Ok(Transformed::no(Expr::InSubquery(member))),
        // Rows of VALUES: their columns have no qualifier.
        None => {
            let columns: Vec<Expr> = member.subquery.subquery.schema().iter().map(Expr::from).collect();
            LogicalPlanBuilder::from(Arc::clone(&member.subquery.subquery)).project(columns)?
        }
    };
    let InSubquery { expr, subquery, negated } = member;
    let plan = rows.alias("members")?.build()?;
    let subquery = Subquery { subquery: Arc::new(plan), ..subquery };
    Ok(Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated })))
}

fn is_number_with_point(literal: &Expr) -> bool {
    matches!(literal, Expr::Literal(ScalarValue::Float64(Some(_)) | ScalarValue::Decimal128(Some(_), ..), None))
}

/// The type of the whole numbers among literals that are texts or whole numbers.
fn whole_number_of(literals: &[Expr]) -> Option<Arc<Field>> {
    let mut found = None;
    for literal in literals {
        match literal {
            Expr::Literal(ScalarValue::Int64(Some(value)), None) => {
                let large = i32::try_from(*value).is_err() || found == Some(PgType::Int8);
                found = Some(if large { PgType::Int8 } else { PgType::Int4 });
            }
            other if is_number_with_point(other) => return None,
            _ => {}
        }
    }
    found.and_then(types::field_of)
}

/// A text among numbers with a point as the number that it would be without its quotes.
fn number_of(literal: Expr, changed: &mut bool) -> Expr {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), None) = &literal else { return literal };
    let text = text.trim();
    let value = match text.parse::<i64>() {
        Ok(value) => Some(ScalarValue::Int64(Some(value))),
        Err(_) => decimal(text),
    };
    let Some(value) = value else { return literal };
    *changed = true;
    Expr::Literal(value, None)
}

/// A constant with a point, with as many places as it is written with. `None`: it is none, or has too many digits.
fn decimal(text: &str) -> Option<ScalarValue> {
    let (whole, places) = text.split_once('.')?;
    let digits = format!("{whole}{places}").parse::<i128>().ok()?;
    let precision = u8::try_from(digits.unsigned_abs().to_string().len().max(places.len())).ok()?;
    let fits = precision <= DECIMAL128_MAX_PRECISION && places.bytes().all(|digit| digit.is_ascii_digit());
    fits.then_some(ScalarValue::Decimal128(Some(digits), precision, i8::try_from(places.len()).ok()?))
}

/// The type of the first of some expressions that is no literal.
fn typed(exprs: &[Expr], schema: &DFSchema) -> Option<Arc<Field>> {
    exprs.iter().filter(|e| !matches!(e, Expr::Literal(..))).find_map(|e| field_of(e, schema))
}

/// The type of the first array of some expressions: the engine does not read a text as one.
fn array_of(exprs: &[Expr], schema: &DFSchema) -> Option<Arc<Field>> {
    typed(exprs, schema).filter(|field| matches!(field.data_type(), DataType::List(_)))
}

/// A whole number beside an object id is one.
fn object_id(expr: &Expr, field: &Field) -> Option<Expr> {
    let Expr::Literal(ScalarValue::Int64(Some(number)), _) = expr else { return None };
    let id = u32::try_from(*number).ok().filter(|_| field.data_type() == &DataType::UInt32)?;
    Some(Expr::Literal(ScalarValue::UInt32(Some(id)), None))
}

fn returns_rows(plan: &LogicalPlan) -> bool {
    !matches!(
        plan,
        LogicalPlan::Ddl(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
    )
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}
