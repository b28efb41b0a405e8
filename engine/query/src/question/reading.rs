//! Questions about records, read before a plan is made: their shape finds the plan that was bound for other values.

use super::compose::{Composed, Composer, internal, is_grouped, named};
use super::object::{absent, describe_field, form, open};
use super::refusal::{field as refused_field, query};
use crate::sql::asking::Asking;
use arrow::array::ArrayRef;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use querygate_catalog::{PrincipalCatalog, VisibleObject};
use querygate_metadata::model::{Field, FieldType};
use querygate_policy::query_filter::FilterContext;
use querygate_query_api::requests::question::{AnswerColumn, AnswerForm, JsonForm, OrderKey, Question};
use querygate_types::vendor::VendorCode;
use querygate_types::{Result, limits};
use serde_json::Value;
use std::sync::Arc;

/// Members of each list of a short question, and values in its filter.
const SHORT_MEMBERS: usize = 64;
/// How deep the filter of a short question nests.
const SHORT_DEPTH: usize = 8;

/// A question about records, read: names looked up, values collected. No plan is made yet.
pub(crate) struct Reading<'a> {
    composer: Composer<'a>,
    filter: Option<Expr>,
    /// Those that were named; `None`: all that the reader sees.
    fields: Option<Vec<&'a Field>>,
    form: AnswerForm,
}

/// Whether a question is about records and read in a moment, on any stack.
pub(crate) fn is_short(question: &Question) -> bool {
    let few = |list: Option<&Vec<String>>| list.is_none_or(|list| list.len() <= SHORT_MEMBERS);
    let lists = [question.keys.as_ref(), question.fields.as_ref(), question.search_fields.as_ref()];
    let mut room = SHORT_MEMBERS;
    !is_grouped(question)
        && question.search.is_none()
        && question.order.len() <= SHORT_MEMBERS
        && lists.into_iter().all(few)
        && question.filter.as_ref().is_none_or(|filter| fits(filter, SHORT_DEPTH, &mut room))
}

/// Whether a value has so few parts, and nests no deeper.
fn fits(value: &Value, depth: usize, room: &mut usize) -> bool {
    let Some(left) = room.checked_sub(1) else { return false };
    *room = left;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(items) => depth > 0 && items.iter().all(|item| fits(item, depth - 1, room)),
        Value::Object(members) => depth > 0 && members.values().all(|member| fits(member, depth - 1, room)),
    }
}

impl<'a> Reading<'a> {
    /// Reads a question about records.
    ///
    /// # Errors
    /// As of [`compose`](super::compose()).
    pub(crate) fn of(
        asking: &Asking,
        catalog: &'a PrincipalCatalog,
        state: &'a SessionState,
        context: &'a FilterContext,
    ) -> Result<Self> {
        let question = &asking.question;
        let mut composer = Composer::new(question, catalog, state, context)?;
        let filter = composer.filter(question)?;
        let wanted = question.fields.as_deref().filter(|wanted| !wanted.is_empty());
        let fields = wanted.map(|wanted| fields(composer.visible, wanted)).transpose()?;
        match &fields {
            Some(fields) => composer.shape.fields = fields.iter().map(|field| field.name.clone()).collect(),
            None => composer.shape.names_all = true,
        }
        for OrderKey { field, descending } in &question.order {
            let field = open(composer.visible, field, VendorCode::InvalidSort)?;
            if form(field.value_type()) == JsonForm::List {
                let message = format!("'{}' is a list: lists have no order", field.name);
                return Err(refused_field(VendorCode::InvalidSort, &field.name, message));
            }
            composer.shape.order.push((field.name.clone(), *descending));
        }
        match asking.form {
            AnswerForm::Records => composer.order(question, false),
            AnswerForm::Total => composer.shape.order.clear(),
        }
        Ok(Self { composer, filter, fields, form: asking.form })
    }

    /// Everything but the values.
    pub(crate) fn text(&self) -> String {
        self.composer.shape.text(self.form, &self.composer.parameters.types())
    }

    /// One array of one value for each parameter.
    pub(crate) fn parameters(&self) -> Result<Vec<ArrayRef>> {
        self.composer.parameters.arrays()
    }

    /// The plan.
    pub(super) fn composed(self) -> Result<Composed> {
        let Self { mut composer, filter, fields, form } = self;
        let fields = fields.unwrap_or_else(|| composer.visible.fields().collect());
        // Records say which they are.
        composer.shape.fields = fields.iter().map(|field| field.name.clone()).collect();
        let names = fields.iter().map(|field| named(&field.name));
        let plan = composer.rows(filter)?.project(names.collect::<Vec<_>>()).map_err(internal)?;
        let visible = composer.visible;
        let columns = fields.iter().map(|field| answer_of(visible, field)).collect();
        composer.composed(plan, columns, form)
    }
}

fn answer_of(visible: &VisibleObject, field: &Field) -> AnswerColumn {
    let described = describe_field(visible, field);
    AnswerColumn { name: field.name.clone(), form: described.form, field: Some(Arc::new(described)) }
}

/// The fields that are shown of those that were named. To name a computed one is to name all, as in ObjectStack.
fn fields<'a>(visible: &'a VisibleObject, wanted: &[String]) -> Result<Vec<&'a Field>> {
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
