//! The shape of a question: everything but its values. Two questions of one shape have one plan (`key.rs`). Records get the template,
//! canonical JSON with neither lengths of lists nor names that the caller made up.

use crate::sql::template::{Template, of_text};
use querygate_policy::filter::{CompareOp, RowFilter, Test, TextKind};
use querygate_query_api::requests::question::{AggregateFunction, AnswerForm, Bucket};
use serde_json::{Map, Value, json};

/// What is known of a question's shape.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) object: String,
    pub(super) fields: Vec<String>,
    /// None was named: then they are those that the reader sees, whose catalog is another part of a plan's key.
    pub(super) names_all: bool,
    pub(super) filter: Option<RowFilter>,
    /// Field, span, name in the answer.
    pub(super) groups: Vec<(String, Option<Bucket>, String)>,
    /// Function, field, name in the answer, filter.
    pub(super) aggregates: Vec<(AggregateFunction, Option<String>, String, Option<RowFilter>)>,
    pub(super) having: Option<RowFilter>,
    /// Column of the answer or field, and whether it descends.
    pub(super) order: Vec<(String, bool)>,
    /// Rows of the page and before it. They are part of the plan: of one whose bounds are known, a source can be given the whole.
    pub(super) limit: Option<u64>,
    pub(super) offset: Option<u64>,
}

impl Shape {
    /// What records say of it.
    pub(super) fn template(&self, form: AnswerForm) -> Template {
        of_text(format!("question {}", self.json(form)))
    }

    fn json(&self, form: AnswerForm) -> Value {
        let mut map = Map::new();
        map.insert("object".to_owned(), json!(self.object));
        match form {
            AnswerForm::Records => {}
            AnswerForm::Total => drop(map.insert("count".to_owned(), json!(true))),
        }
        if !self.fields.is_empty() {
            map.insert("fields".to_owned(), json!(self.fields));
        }
        if let Some(filter) = &self.filter {
            map.insert("where".to_owned(), filter_json(filter));
        }
        let groups = self
            .groups
            .iter()
            .enumerate()
            .map(|(at, (field, span, _))| json!([field, span.map(Bucket::name), format!("g{}", at + 1)]));
        let groups: Vec<Value> = groups.collect();
        if !groups.is_empty() {
            map.insert("groupBy".to_owned(), json!(groups));
        }
        let aggregates = self.aggregates.iter().enumerate().map(|(at, (function, field, _, filter))| {
            let filter = filter.as_ref().map(filter_json);
            json!([function.name(), field, format!("a{}", at + 1), filter])
        });
        let aggregates: Vec<Value> = aggregates.collect();
        if !aggregates.is_empty() {
            map.insert("aggregations".to_owned(), json!(aggregates));
        }
        if let Some(having) = &self.having {
            map.insert("having".to_owned(), filter_json(&renamed(having.clone(), &|column| self.shown(column))));
        }
        let order = self.order.iter().map(|(name, descending)| json!([self.shown(name), descending]));
        let order: Vec<Value> = order.collect();
        if !order.is_empty() {
            map.insert("orderBy".to_owned(), json!(order));
        }
        for (key, rows) in [("limit", self.limit), ("offset", self.offset)] {
            if rows.is_some() {
                map.insert(key.to_owned(), json!("?"));
            }
        }
        Value::Object(map)
    }

    /// A column of the answer, without a name that the caller made up.
    fn shown(&self, name: &str) -> String {
        let groups = self.groups.iter().enumerate().map(|(at, (_, _, own))| (own, format!("g{}", at + 1)));
        let aggregates = self.aggregates.iter().enumerate().map(|(at, (_, _, own, _))| (own, format!("a{}", at + 1)));
        let made = groups.chain(aggregates).find(|(own, _)| *own == name);
        made.map_or_else(|| name.to_owned(), |(_, made)| made)
    }
}

/// The filter over columns of other names.
pub(super) fn renamed(filter: RowFilter, name: &dyn Fn(&str) -> String) -> RowFilter {
    match filter {
        RowFilter::And(members) => RowFilter::And(members.into_iter().map(|m| renamed(m, name)).collect()),
        RowFilter::Or(members) => RowFilter::Or(members.into_iter().map(|m| renamed(m, name)).collect()),
        RowFilter::Not(inner) => RowFilter::Not(Box::new(renamed(*inner, name))),
        RowFilter::All | RowFilter::Nothing => filter,
        RowFilter::Test(test) => RowFilter::Test(match test {
            Test::Compare { column, op, value } => Test::Compare { column: name(&column), op, value },
            Test::CompareColumns { left, op, right, add_days } => {
                Test::CompareColumns { left: name(&left), op, right: name(&right), add_days }
            }
            Test::In { column, values, negated } => Test::In { column: name(&column), values, negated },
            Test::IsNull { column, negated } => Test::IsNull { column: name(&column), negated },
            Test::Text { column, kind, pattern, negated } => {
                Test::Text { column: name(&column), kind, pattern, negated }
            }
            Test::ListContains { column, value } => Test::ListContains { column: name(&column), value },
            Test::HasElements { column } => Test::HasElements { column: name(&column) },
            Test::InRelated { column, object, filter, select } => {
                Test::InRelated { column: name(&column), object, filter, select }
            }
        }),
    }
}

/// What records say of a question that could not be read.
pub(crate) fn unread(object: &str) -> (String, Template) {
    let text = format!("question {}", json!({ "object": object }));
    (text.clone(), of_text(text))
}

fn filter_json(filter: &RowFilter) -> Value {
    let members = |members: &[RowFilter]| -> Vec<Value> { members.iter().map(filter_json).collect() };
    match filter {
        RowFilter::All => json!({}),
        RowFilter::Nothing => json!({ "$or": [] }),
        RowFilter::And(filters) => json!({ "$and": members(filters) }),
        RowFilter::Or(filters) => json!({ "$or": members(filters) }),
        RowFilter::Not(inner) => json!({ "$not": filter_json(inner) }),
        RowFilter::Test(test) => test_json(test),
    }
}

fn test_json(test: &Test) -> Value {
    let of = |column: &str, operator: &str, comparand: Value| json!({ column: { operator: comparand } });
    match test {
        Test::Compare { column, op, .. } => of(column, comparison(*op), json!("?")),
        Test::CompareColumns { left, op, right, add_days } => {
            of(left, comparison(*op), json!({ "$field": right, "addDays": add_days }))
        }
        Test::In { column, negated, .. } => of(column, if *negated { "$nin" } else { "$in" }, json!(["?"])),
        Test::IsNull { column, negated } => of(column, "$null", json!(!negated)),
        Test::Text { column, kind, negated, .. } => {
            let test = of(column, operator(*kind), json!("?"));
            if *negated { json!({ "$not": test }) } else { test }
        }
        Test::ListContains { column, .. } => of(column, "$contains", json!("?")),
        Test::HasElements { column } => of(column, "$empty", json!(false)),
        Test::InRelated { column, object, filter, select } => {
            of(column, "$in", json!({ "object": object, "field": select, "where": filter_json(filter) }))
        }
    }
}

pub(super) const fn operator(kind: TextKind) -> &'static str {
    match kind {
        TextKind::Contains => "$contains",
        TextKind::StartsWith => "$startsWith",
        TextKind::EndsWith => "$endsWith",
        TextKind::Like => "$like",
        TextKind::ILike => "$ilike",
        TextKind::IContains => "$icontains",
    }
}

pub(super) const fn comparison(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Eq => "$eq",
        CompareOp::Ne => "$ne",
        CompareOp::Lt => "$lt",
        CompareOp::Le => "$lte",
        CompareOp::Gt => "$gt",
        CompareOp::Ge => "$gte",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_policy::filter::{FilterValue, Operand};

    fn text(value: &str) -> Operand {
        Operand::Literal(FilterValue::Text(value.to_owned()))
    }

    /// Lengths of lists, values and made-up names are not in the template.
    #[test]
    fn a_template_has_no_value_and_no_name_of_the_callers() {
        let members = vec![text("secret"), text("hidden")];
        let filter = Test::In { column: "status".to_owned(), values: members, negated: false };
        let having = Test::Compare { column: "my_alias".to_owned(), op: CompareOp::Gt, value: text("secret") };
        let shape = Shape {
            object: "o".to_owned(),
            filter: Some(RowFilter::Test(filter)),
            groups: vec![("day".to_owned(), Some(Bucket::Week), "my_week".to_owned())],
            aggregates: vec![(AggregateFunction::Sum, Some("n".to_owned()), "my_alias".to_owned(), None)],
            having: Some(RowFilter::Test(having)),
            order: vec![("my_alias".to_owned(), true)],
            limit: Some(7_531),
            ..Shape::default()
        };
        let told = shape.template(AnswerForm::Records).text.to_string();
        assert!(!told.contains("my_") && !told.contains("secret") && !told.contains("hidden"), "{told}");
        assert!(!told.contains("7531"), "{told}");
        assert!(told.contains("\"week\"") && told.contains("[\"?\"]") && told.contains("a1"), "{told}");
        assert_ne!(shape.text(AnswerForm::Total, &[]), shape.text(AnswerForm::Records, &[]));
    }
}
