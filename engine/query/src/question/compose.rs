//! Makes the plan of a question, over the principal's own governed table.

use super::aggregate::{Aggregate, check_operand, has_plain_value};
use super::named_fields::NamedFields;
use super::object::{Standing, form, open, standing, visible};
use super::parameters::Parameters;
use super::reading::Reading;
use super::refusal::{field as refused_field, guarded, query};
use super::shape::Shape;
use super::{bucket, filter, search};
use crate::bind::statement::Answer;
use crate::errors::{Stage, translate};
use crate::sql::asking::Asking;
use crate::sql::reserved_names::RESERVED;
use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use datafusion::common::{Column as Name, TableReference};
use datafusion::datasource::{TableProvider as _, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr};
use querygate_catalog::row_filter::user_filter;
use querygate_catalog::{PrincipalCatalog, VisibleObject};
use querygate_metadata::model::{Field, FieldType, StrictRule};
use querygate_policy::filter::RowFilter;
use querygate_policy::query_filter::{Column, FilterContext, FilterErrorCode, compile_filter};
use querygate_query_api::own_names::is_reserved;
use querygate_query_api::requests::question::{
    AggregateFunction, Aggregation, AnswerColumn, AnswerForm, JsonForm, OrderKey, Question,
};
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, Result};
use serde_json::Value;
use std::cell::RefCell;
use std::sync::Arc;

/// Keys of an order, keys of groups and computed values of one question.
const KEYS_MAX: usize = 64;
/// Conditions of one question: of its filter, its search, and what filters its groups. SQL takes as many comparisons of a statement.
const CONDITIONS_MAX: usize = 500;
/// Rows that a plan counts to.
const MOST_ROWS: usize = usize::MAX >> 1;
/// Bytes of a name that a caller makes up.
const NAME_BYTES_MAX: usize = 256;

/// A question as a plan with parameters.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) plan: LogicalPlan,
    /// One array of one value for each parameter.
    pub(crate) parameters: Vec<ArrayRef>,
    /// Everything but the values.
    pub(crate) text: Arc<str>,
    pub(crate) answer: Answer,
}

/// Looks a question's names up and plans it. Nothing is verified yet.
///
/// # Errors
/// ObjectStack's, for what is not there, not for the reader, or not to be asked.
pub(crate) fn compose(
    asking: &Asking,
    catalog: &PrincipalCatalog,
    state: &SessionState,
    context: &FilterContext,
) -> Result<Composed> {
    let question = &asking.question;
    if !is_grouped(question) {
        return Reading::of(asking, catalog, state, context)?.composed();
    }
    let mut composer = Composer::new(question, catalog, state, context)?;
    let (plan, columns) = composer.groups(question)?;
    if asking.form == AnswerForm::Records {
        composer.order(question, true);
    }
    composer.composed(plan, columns, asking.form)
}

/// Whether a question is about groups, and not about records.
pub(super) fn is_grouped(question: &Question) -> bool {
    !question.group_by.is_empty() || !question.aggregations.is_empty()
}

/// Reads a question: looks names up, collects values and the shape.
pub(super) struct Composer<'a> {
    pub(super) visible: &'a VisibleObject,
    names: NamedFields<'a>,
    state: &'a SessionState,
    context: &'a FilterContext,
    pub(super) parameters: Parameters,
    pub(super) shape: Shape,
    conditions: usize,
}

/// A column of groups before they are filtered.
struct Output {
    name: String,
    expr: Expr,
    form: JsonForm,
    /// What a filter over groups may ask of it.
    column: Column,
    /// Of a key that is a field's value.
    field: Option<String>,
}

/// What one value is computed of.
struct Operand<'a, 'q> {
    /// With its name in the question; `None`: records are counted.
    field: Option<(&'q str, &'a Field)>,
    filter: Option<RowFilter>,
}

impl<'a> Composer<'a> {
    pub(super) fn new(
        question: &Question,
        catalog: &'a PrincipalCatalog,
        state: &'a SessionState,
        context: &'a FilterContext,
    ) -> Result<Self> {
        let counts = [question.order.len(), question.group_by.len(), question.aggregations.len()];
        if counts.into_iter().any(|count| count > KEYS_MAX) {
            return Err(query(format!("at most {KEYS_MAX} keys of an order, groups and aggregations are taken")));
        }
        let visible = visible(catalog, &question.object)?;
        let shape = Shape { object: question.object.clone(), ..Shape::default() };
        // Records are of the object alone.
        let names = NamedFields::new(catalog, visible, question.paths && is_grouped(question));
        Ok(Self { visible, names, state, context, parameters: Parameters::default(), shape, conditions: 0 })
    }

    /// Which rows of the object a question about records is about; `None`: all.
    pub(super) fn filter(&mut self, question: &Question) -> Result<Option<Expr>> {
        let filter = self.condition(question)?;
        self.narrowed(filter, &self.visible.table.schema())
    }

    /// Which rows the question is about.
    fn condition(&mut self, question: &Question) -> Result<RowFilter> {
        let mut filters = Vec::new();
        if let Some(keys) = &question.keys {
            filters.push(filter::of_keys(keys, self.visible)?);
        }
        if let Some(filter) = &question.filter {
            filters.push(self.admitted(filter::read(filter, &self.names, self.context)?)?);
        }
        if let Some(words) = &question.search {
            let filter = search::read(words, question.search_fields.as_deref(), self.visible)?;
            filters.push(filter::even(self.admitted(filter)?));
        }
        Ok(RowFilter::And(filters).simplify())
    }

    /// The condition of a question over its rows; `None`: they are all.
    fn narrowed(&mut self, filter: RowFilter, schema: &Schema) -> Result<Option<Expr>> {
        if filter.is_all() {
            return Ok(None);
        }
        let expr = self.lowered(&self.names.over_columns(&filter), schema)?;
        self.shape.filter = Some(filter);
        Ok(Some(expr))
    }

    /// # Errors
    /// Its conditions are too many, with those of before.
    fn admitted(&mut self, filter: RowFilter) -> Result<RowFilter> {
        self.conditions = self.conditions.saturating_add(conditions(&filter));
        if self.conditions > CONDITIONS_MAX {
            return Err(query(format!("at most {CONDITIONS_MAX} conditions are taken; a list of values is one")));
        }
        Ok(filter)
    }

    fn lowered(&mut self, filter: &RowFilter, schema: &Schema) -> Result<Expr> {
        user_filter(filter, schema, &mut |value| self.parameters.add(value))
    }

    /// Order and page. Pages of equal keys must not overlap: the record's key comes last, or the columns of the groups.
    pub(super) fn order(&mut self, question: &Question, is_grouped: bool) {
        (self.shape.limit, self.shape.offset) = (question.limit, question.offset);
        if question.limit.is_none() && question.offset.is_none() {
            return;
        }
        let last: Vec<String> = match is_grouped {
            true => self.shape.groups.iter().map(|(_, _, name)| name.clone()).collect(),
            false => self.visible.object.key().iter().map(|key| key.name.clone()).collect(),
        };
        for name in last {
            let is_open = is_grouped || matches!(standing(self.visible, &name), Standing::Open(_));
            if is_open && !self.shape.order.iter().any(|(own, _)| *own == name) {
                self.shape.order.push((name, false));
            }
        }
    }

    /// The scan of the object, with these of its rows.
    pub(super) fn rows(&self, filter: Option<Expr>) -> Result<LogicalPlanBuilder> {
        filtered(scan(self.visible)?, filter)
    }

    /// The whole plan: rows in the order and with the bounds of the shape, or their number.
    pub(super) fn composed(
        mut self,
        rows: LogicalPlanBuilder,
        columns: Vec<AnswerColumn>,
        form: AnswerForm,
    ) -> Result<Composed> {
        let (plan, columns) = match form {
            AnswerForm::Records => (self.paged(rows)?, columns),
            AnswerForm::Total => {
                self.shape.order.clear();
                let column = AnswerColumn { name: "total".to_owned(), form: JsonForm::Number, field: None };
                (self.total(rows)?, vec![column])
            }
        };
        Ok(Composed {
            plan: plan.build().map_err(internal)?,
            text: self.shape.text(form, &self.parameters.types()).into(),
            parameters: self.parameters.arrays()?,
            answer: Answer { columns: columns.into(), template: Arc::new(self.shape.template(form)) },
        })
    }

    fn paged(&self, plan: LogicalPlanBuilder) -> Result<LogicalPlanBuilder> {
        let keys =
            self.shape.order.iter().map(|(name, descending)| SortExpr::new(named(name), !descending, !descending));
        let keys: Vec<SortExpr> = keys.collect();
        let plan = if keys.is_empty() { plan } else { plan.sort(keys).map_err(internal)? };
        let rows = |rows: u64| usize::try_from(rows).unwrap_or(MOST_ROWS).min(MOST_ROWS);
        match (self.shape.offset, self.shape.limit) {
            (None, None) => Ok(plan),
            (skip, fetch) => plan.limit(skip.map_or(0, rows), fetch.map(rows)).map_err(internal),
        }
    }

    fn total(&self, plan: LogicalPlanBuilder) -> Result<LogicalPlanBuilder> {
        let counted = Aggregate::new(self.state, AggregateFunction::Count, None, None)?;
        let plan = plan.aggregate(Vec::<Expr>::new(), vec![counted.call]).map_err(internal)?;
        let column = Expr::Column(Name::from(plan.schema().qualified_field(0)));
        plan.project(vec![column.alias("total")]).map_err(internal)
    }

    fn groups(&mut self, question: &Question) -> Result<(LogicalPlanBuilder, Vec<AnswerColumn>)> {
        // All names are looked up before the rows are planned: what they are of is joined.
        let filter = self.condition(question)?;
        let mut outputs = self.keys(question)?;
        let operands = question.aggregations.iter().map(|aggregation| self.operand(aggregation));
        let operands = operands.collect::<Result<Vec<_>>>()?;
        let rows = self.names.rows()?;
        let schema = rows.schema().as_arrow().clone();
        let rows = filtered(rows, self.narrowed(filter, &schema)?)?;
        let keys: Vec<Expr> = outputs.iter().map(|key| key.expr.clone()).collect();
        let (mut calls, mut values): (Vec<Expr>, Vec<(usize, Aggregate)>) = (Vec::new(), Vec::new());
        for (aggregation, operand) in question.aggregations.iter().zip(operands) {
            let (aggregate, output) = self.aggregate(aggregation, operand, &schema)?;
            // Equal calls are computed once.
            let at = calls.iter().position(|call| *call == aggregate.call).unwrap_or_else(|| {
                calls.push(aggregate.call.clone());
                calls.len() - 1
            });
            values.push((at, aggregate));
            outputs.push(output);
        }
        refuse_equal_names(&outputs)?;
        // A key that stands twice is one.
        let mut distinct: Vec<Expr> = Vec::new();
        keys.iter().for_each(|key| {
            if !distinct.contains(key) {
                distinct.push(key.clone())
            }
        });
        let count = distinct.len();
        let plan = rows.aggregate(distinct.clone(), calls).map_err(internal)?;
        let column = |at: usize| Expr::Column(Name::from(plan.schema().qualified_field(at)));
        let places = keys.iter().map(|key| distinct.iter().position(|own| own == key).map(&column));
        let shown = places.chain(values.iter().map(|(at, value)| Some(value.value(column(count + at)))));
        let named = shown.zip(&outputs).filter_map(|(expr, output)| Some(expr?.alias(output.name.as_str())));
        let named: Vec<Expr> = named.collect();
        let mut plan = plan.project(named).map_err(internal)?;
        if let Some(having) = &question.having {
            let filter = self.having(having, &outputs)?;
            let filter = self.admitted(filter)?;
            if !filter.is_all() {
                let schema = plan.schema().as_arrow().clone();
                let expr = self.lowered(&filter, &schema)?;
                self.shape.having = Some(filter);
                plan = plan.filter(expr).map_err(internal)?;
            }
        }
        self.order_groups(question, &outputs)?;
        let column = |output: &Output| {
            let field = output.field.as_ref().and_then(|name| self.names.described(name));
            AnswerColumn { name: output.name.clone(), form: output.form, field }
        };
        Ok((plan, outputs.iter().map(column).collect()))
    }

    fn order_groups(&mut self, question: &Question, outputs: &[Output]) -> Result<()> {
        for OrderKey { field, descending } in &question.order {
            let own = outputs.iter().find(|output| output.name == *field);
            let own = own.or_else(|| outputs.iter().find(|output| output.field.as_ref() == Some(field)));
            match own {
                Some(output) => self.shape.order.push((output.name.clone(), *descending)),
                None => {
                    open(self.visible, field, VendorCode::InvalidSort)?;
                    let message = format!("'{field}' is neither a key of the groups nor an aggregation");
                    return Err(refused_field(VendorCode::InvalidSort, field, message));
                }
            }
        }
        Ok(())
    }

    fn keys(&mut self, question: &Question) -> Result<Vec<Output>> {
        let mut keys = Vec::with_capacity(question.group_by.len());
        for key in &question.group_by {
            let field = self.names.open(&key.field, VendorCode::InvalidField)?;
            if !has_plain_value(field) && self.context.protocol.has(StrictRule::GroupType) {
                let message = format!("'{}' of type {} is no key of groups", key.field, field.field_type.name());
                return Err(refused_field(VendorCode::InvalidField, &key.field, message));
            }
            let name = key.alias.clone().unwrap_or_else(|| key.field.clone());
            let (expr, own) = (named(&self.names.column(&key.field)), form(field.value_type()));
            self.shape.groups.push((key.field.clone(), key.bucket, name.clone()));
            keys.push(match key.bucket {
                None => Output { name, expr, form: own, column: field.into(), field: Some(key.field.clone()) },
                Some(span) => {
                    let expr = bucket::key(self.state, &key.field, expr, own, span)?;
                    Output { name, expr, form: JsonForm::Text, column: of_type(FieldType::Text), field: None }
                }
            });
        }
        Ok(keys)
    }

    /// What is computed with, and of which rows.
    fn operand<'q>(&mut self, aggregation: &'q Aggregation) -> Result<Operand<'a, 'q>> {
        let field = match aggregation.field.as_deref() {
            None | Some("*") => None,
            Some(name) => Some((name, self.names.open(name, VendorCode::InvalidField)?)),
        };
        let filter = match &aggregation.filter {
            None => None,
            Some(filter) => {
                Some(self.admitted(filter::read(filter, &self.names, self.context)?)?).filter(|filter| !filter.is_all())
            }
        };
        if let Some((_, field)) = field.filter(|_| self.context.protocol.has(StrictRule::AggregateType)) {
            check_operand(aggregation.function, field)?;
        }
        Ok(Operand { field, filter })
    }

    fn aggregate(
        &mut self,
        aggregation: &Aggregation,
        Operand { field, filter }: Operand<'_, '_>,
        schema: &Schema,
    ) -> Result<(Aggregate, Output)> {
        let narrowed = match &filter {
            None => None,
            Some(filter) => Some(self.lowered(&self.names.over_columns(filter), schema)?),
        };
        let of = field.map(|(name, field)| (name, named(&self.names.column(name)), form(field.value_type())));
        let aggregate = Aggregate::new(self.state, aggregation.function, of, narrowed)?;
        let column = match (aggregate.form, field) {
            (JsonForm::Number, _) | (_, None) => of_type(FieldType::Number),
            (_, Some((_, field))) => Column::from(field),
        };
        let (name, expr) = (aggregation.alias.clone(), aggregate.call.clone());
        let told = field.map(|(name, _)| name.to_owned());
        self.shape.aggregates.push((aggregation.function, told, name.clone(), filter));
        let form = aggregate.form;
        Ok((aggregate, Output { name, expr, form, column, field: None }))
    }

    /// A filter over what the groups give.
    fn having(&self, having: &Value, outputs: &[Output]) -> Result<RowFilter> {
        let (refused, unknown) = (RefCell::new(Vec::new()), RefCell::new(None));
        let column = |name: &str| {
            let own = outputs.iter().find(|output| output.name == name).map(|output| output.column);
            if own.is_none() {
                match standing(self.visible, name) {
                    Standing::Guarded(_) => refused.borrow_mut().push(name.to_owned()),
                    Standing::Open(_) | Standing::Computed(_) | Standing::Absent => {}
                }
                unknown.borrow_mut().get_or_insert_with(|| name.to_owned());
            }
            own
        };
        let compiled = compile_filter(having, &column, self.context);
        let refused = refused.into_inner();
        if !refused.is_empty() {
            return Err(guarded(&refused, &self.visible.object.name));
        }
        match (compiled, unknown.into_inner()) {
            (Ok(filter), _) => Ok(filter::even(filter)),
            (Err(error), Some(name)) if error.code == FilterErrorCode::InvalidField => {
                let message = format!("'{name}' is neither a key of the groups nor an aggregation");
                Err(refused_field(VendorCode::InvalidField, &name, message))
            }
            (Err(error), _) => Err(Error::from(error)),
        }
    }
}

fn conditions(filter: &RowFilter) -> usize {
    match filter {
        RowFilter::All | RowFilter::Nothing => 0,
        RowFilter::And(members) | RowFilter::Or(members) => members.iter().map(conditions).sum(),
        RowFilter::Not(inner) => conditions(inner),
        RowFilter::Test(_) => 1,
    }
}

/// All rows of an object that its reader sees.
pub(super) fn scan(visible: &VisibleObject) -> Result<LogicalPlanBuilder> {
    let table = provider_as_source(Arc::clone(&visible.table) as _);
    LogicalPlanBuilder::scan(TableReference::bare(visible.sql_name.as_str()), table, None).map_err(internal)
}

fn filtered(rows: LogicalPlanBuilder, filter: Option<Expr>) -> Result<LogicalPlanBuilder> {
    match filter {
        None => Ok(rows),
        Some(filter) => rows.filter(filter).map_err(internal),
    }
}

pub(super) fn named(name: &str) -> Expr {
    Expr::Column(Name::new_unqualified(name))
}

fn of_type(field_type: FieldType) -> Column {
    Column { field_type, multiple: false, formula_return: None, column_type: None }
}

fn refuse_equal_names(outputs: &[Output]) -> Result<()> {
    for (at, output) in outputs.iter().enumerate() {
        if output.name.is_empty() || output.name.len() > NAME_BYTES_MAX {
            return Err(query(format!("a name in the answer has 1 to {NAME_BYTES_MAX} bytes")));
        }
        if is_reserved(&output.name) {
            return Err(query(RESERVED));
        }
        if outputs.iter().take(at).any(|other| other.name == output.name) {
            return Err(query(format!("'{}' stands twice in the answer", output.name)));
        }
    }
    Ok(())
}

pub(super) fn internal(error: DataFusionError) -> Error {
    translate(&error, Stage::Plan)
}
