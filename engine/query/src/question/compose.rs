//! Makes the plan of a question, over the principal's own governed table.

use super::aggregate::Aggregate;
use super::object::{Standing, absent, describe_field, form, open, standing, visible};
use super::parameters::Parameters;
use super::refusal::{field as refused_field, guarded, query};
use super::shape::Shape;
use super::{bucket, filter, search};
use crate::errors::{Stage, translate};
use crate::sql::asking::Asking;
use crate::sql::template::Template;
use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use datafusion::common::{Column as Name, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr};
use querygate_catalog::row_filter::user_filter;
use querygate_catalog::{PrincipalCatalog, VisibleObject};
use querygate_metadata::model::{Field, FieldType};
use querygate_policy::filter::RowFilter;
use querygate_policy::query_filter::{Column, FilterContext, FilterErrorCode, compile_filter};
use querygate_query_api::requests::question::{AnswerColumn, AnswerForm, JsonForm, OrderKey, Question};
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, Result, limits};
use serde_json::Value;
use std::cell::RefCell;
use std::sync::Arc;

/// Keys of an order, keys of groups and computed values of one question.
const KEYS_MAX: usize = 64;
/// Bytes of a name that a caller makes up.
const NAME_BYTES_MAX: usize = 256;

/// A question as a plan with parameters.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) plan: LogicalPlan,
    /// One array of one value for each parameter.
    pub(crate) parameters: Vec<ArrayRef>,
    pub(crate) columns: Vec<AnswerColumn>,
    /// Everything but the values.
    pub(crate) text: Arc<str>,
    pub(crate) template: Template,
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
    let counts = [question.order.len(), question.group_by.len(), question.aggregations.len()];
    if counts.into_iter().any(|count| count > KEYS_MAX) {
        return Err(query(format!("at most {KEYS_MAX} keys of an order, groups and aggregations are taken")));
    }
    let visible = visible(catalog, &question.object)?;
    let shape = Shape { object: question.object.clone(), ..Shape::default() };
    let mut composer = Composer { visible, state, context, parameters: Parameters::default(), shape };
    let rows = composer.rows(question)?;
    let is_grouped = !question.group_by.is_empty() || !question.aggregations.is_empty();
    let (plan, columns) =
        if is_grouped { composer.groups(rows, question)? } else { composer.records(rows, question)? };
    let (plan, columns) = match asking.form {
        AnswerForm::Records => (composer.page(plan, question, is_grouped)?, columns),
        AnswerForm::Total => {
            composer.shape.order.clear();
            (
                composer.total(plan)?,
                vec![AnswerColumn { name: "total".to_owned(), form: JsonForm::Number, field: None }],
            )
        }
    };
    let plan = plan.build().map_err(internal)?;
    Ok(Composed {
        plan,
        text: composer.shape.text(asking.form, &composer.parameters.types()).into(),
        template: composer.shape.template(asking.form),
        parameters: composer.parameters.arrays()?,
        columns,
    })
}

struct Composer<'a> {
    visible: &'a VisibleObject,
    state: &'a SessionState,
    context: &'a FilterContext,
    parameters: Parameters,
    shape: Shape,
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

impl<'a> Composer<'a> {
    /// The rows that the question is about.
    fn rows(&mut self, question: &Question) -> Result<LogicalPlanBuilder> {
        let table = provider_as_source(Arc::clone(&self.visible.table) as _);
        let name = TableReference::bare(self.visible.sql_name.as_str());
        let scan = LogicalPlanBuilder::scan(name, table, None).map_err(internal)?;
        let mut filters = Vec::new();
        if let Some(keys) = &question.keys {
            filters.push(filter::of_keys(keys, self.visible)?);
        }
        if let Some(filter) = &question.filter {
            filters.push(filter::read(filter, self.visible, self.context)?);
        }
        if let Some(words) = &question.search {
            filters.push(filter::even(search::read(words, question.search_fields.as_deref(), self.visible)?));
        }
        let filter = RowFilter::And(filters).simplify();
        if filter.is_all() {
            return Ok(scan);
        }
        let schema = scan.schema().as_arrow().clone();
        let expr = self.lowered(&filter, &schema)?;
        self.shape.filter = Some(filter);
        scan.filter(expr).map_err(internal)
    }

    fn lowered(&mut self, filter: &RowFilter, schema: &Schema) -> Result<Expr> {
        user_filter(filter, schema, &mut |value| self.parameters.add(value))
    }

    fn records(
        &mut self,
        rows: LogicalPlanBuilder,
        question: &Question,
    ) -> Result<(LogicalPlanBuilder, Vec<AnswerColumn>)> {
        let fields = self.fields(question.fields.as_deref())?;
        self.shape.fields = fields.iter().map(|field| field.name.clone()).collect();
        for OrderKey { field, descending } in &question.order {
            let field = open(self.visible, field, VendorCode::InvalidSort)?;
            if form(field.value_type()) == JsonForm::List {
                let message = format!("'{}' is a list: lists have no order", field.name);
                return Err(refused_field(VendorCode::InvalidSort, &field.name, message));
            }
            self.shape.order.push((field.name.clone(), *descending));
        }
        let names = fields.iter().map(|field| named(&field.name));
        let plan = rows.project(names.collect::<Vec<_>>()).map_err(internal)?;
        let columns = fields.iter().map(|field| self.answer_of(field)).collect();
        Ok((plan, columns))
    }

    fn answer_of(&self, field: &Field) -> AnswerColumn {
        let described = describe_field(self.visible, field);
        AnswerColumn { name: field.name.clone(), form: described.form, field: Some(Arc::new(described)) }
    }

    /// The fields that are shown. To name a computed one is to name all, as in ObjectStack.
    fn fields(&self, wanted: Option<&[String]>) -> Result<Vec<&'a Field>> {
        let visible = self.visible;
        let all = || visible.fields().collect::<Vec<_>>();
        let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return Ok(all()) };
        if wanted.len() > limits::RESULT_COLUMNS_MAX {
            return Err(query(format!("at most {} fields are taken", limits::RESULT_COLUMNS_MAX)));
        }
        let (mut fields, mut is_all) = (Vec::with_capacity(wanted.len()), false);
        for name in wanted {
            let Some(field) = visible.object.field(name) else {
                return Err(absent(visible, name, VendorCode::InvalidField));
            };
            is_all |= field.field_type == FieldType::Formula;
            fields.push(&field.name);
        }
        // What is hidden is left out, and what is named twice stands once.
        let shown = |field: &&Field| fields.contains(&&field.name);
        let mut shown: Vec<&Field> = visible.fields().filter(|field| is_all || shown(field)).collect();
        if !is_all {
            shown.sort_by_key(|field| fields.iter().position(|name| **name == field.name));
        }
        Ok(shown)
    }

    fn groups(
        &mut self,
        rows: LogicalPlanBuilder,
        question: &Question,
    ) -> Result<(LogicalPlanBuilder, Vec<AnswerColumn>)> {
        let schema = rows.schema().as_arrow().clone();
        let mut outputs = self.keys(question)?;
        let keys: Vec<Expr> = outputs.iter().map(|key| key.expr.clone()).collect();
        let (mut calls, mut values): (Vec<Expr>, Vec<(usize, Aggregate)>) = (Vec::new(), Vec::new());
        for aggregation in &question.aggregations {
            let (aggregate, output) = self.aggregate(aggregation, &schema)?;
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
            if !filter.is_all() {
                let schema = plan.schema().as_arrow().clone();
                let expr = self.lowered(&filter, &schema)?;
                self.shape.having = Some(filter);
                plan = plan.filter(expr).map_err(internal)?;
            }
        }
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
        let column = |output: &Output| {
            let field = output.field.as_ref().and_then(|name| self.visible.object.field(name));
            let field = field.map(|field| Arc::new(describe_field(self.visible, field)));
            AnswerColumn { name: output.name.clone(), form: output.form, field }
        };
        Ok((plan, outputs.iter().map(column).collect()))
    }

    fn keys(&mut self, question: &Question) -> Result<Vec<Output>> {
        let mut keys = Vec::with_capacity(question.group_by.len());
        for key in &question.group_by {
            let field = open(self.visible, &key.field, VendorCode::InvalidField)?;
            let name = key.alias.clone().unwrap_or_else(|| field.name.clone());
            let (expr, own) = (named(&field.name), form(field.value_type()));
            self.shape.groups.push((field.name.clone(), key.bucket, name.clone()));
            keys.push(match key.bucket {
                None => Output { name, expr, form: own, column: field.into(), field: Some(field.name.clone()) },
                Some(span) => {
                    let expr = bucket::key(self.state, &field.name, expr, own, span)?;
                    Output { name, expr, form: JsonForm::Text, column: of_type(FieldType::Text), field: None }
                }
            });
        }
        Ok(keys)
    }

    fn aggregate(
        &mut self,
        aggregation: &querygate_query_api::requests::question::Aggregation,
        schema: &Schema,
    ) -> Result<(Aggregate, Output)> {
        let field = match aggregation.field.as_deref() {
            None | Some("*") => None,
            Some(name) => Some(open(self.visible, name, VendorCode::InvalidField)?),
        };
        let filter = match &aggregation.filter {
            None => None,
            Some(filter) => Some(filter::read(filter, self.visible, self.context)?).filter(|filter| !filter.is_all()),
        };
        let narrowed = match &filter {
            None => None,
            Some(filter) => Some(self.lowered(filter, schema)?),
        };
        let of = field.map(|field| (field.name.as_str(), named(&field.name), form(field.value_type())));
        let aggregate = Aggregate::new(self.state, aggregation.function, of, narrowed)?;
        let column = match (aggregate.form, field) {
            (JsonForm::Number, _) | (_, None) => of_type(FieldType::Number),
            (_, Some(field)) => Column::from(field),
        };
        let (name, expr) = (aggregation.alias.clone(), aggregate.call.clone());
        let told = field.map(|field| field.name.clone());
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

    /// Order and page. Pages of equal keys must not overlap: the record's key comes last, or the columns of the groups.
    fn page(&mut self, plan: LogicalPlanBuilder, question: &Question, is_grouped: bool) -> Result<LogicalPlanBuilder> {
        let is_paged = question.limit.is_some() || question.offset.is_some();
        if is_paged {
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
        let keys =
            self.shape.order.iter().map(|(name, descending)| SortExpr::new(named(name), !descending, !descending));
        let keys: Vec<SortExpr> = keys.collect();
        let plan = if keys.is_empty() { plan } else { plan.sort(keys).map_err(internal)? };
        if !is_paged {
            return Ok(plan);
        }
        let mut bound = |rows: Option<u64>| match rows {
            None => Ok(None),
            Some(rows) => {
                let rows = i64::try_from(rows).unwrap_or(i64::MAX);
                self.parameters.add(ScalarValue::Int64(Some(rows))).map(Some)
            }
        };
        let (skip, fetch) = (bound(question.offset)?, bound(question.limit)?);
        (self.shape.limit, self.shape.offset) = (fetch.is_some(), skip.is_some());
        plan.limit_by_expr(skip, fetch).map_err(internal)
    }

    fn total(&self, plan: LogicalPlanBuilder) -> Result<LogicalPlanBuilder> {
        let counted =
            Aggregate::new(self.state, querygate_query_api::requests::question::AggregateFunction::Count, None, None)?;
        let plan = plan.aggregate(Vec::<Expr>::new(), vec![counted.call]).map_err(internal)?;
        let column = Expr::Column(Name::from(plan.schema().qualified_field(0)));
        plan.project(vec![column.alias("total")]).map_err(internal)
    }
}

fn named(name: &str) -> Expr {
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
        if outputs.iter().take(at).any(|other| other.name == output.name) {
            return Err(query(format!("'{}' stands twice in the answer", output.name)));
        }
    }
    Ok(())
}

fn internal(error: DataFusionError) -> Error {
    translate(&error, Stage::Plan)
}
