//! The text that bound questions are kept by: all of a question's shape. Printed for each question, so without a tree around it. Each name
//! stands in quotes and each list in brackets: two shapes have two texts.

use super::shape::{Shape, comparison, operator};
use arrow::datatypes::DataType;
use querygate_policy::filter::{RowFilter, Test};
use querygate_query_api::requests::question::{AnswerForm, Bucket};
use querygate_types::json::print::quoted;
use std::fmt::{Display, Write as _};

impl Shape {
    /// What a plan depends on beside its reader and the settings.
    pub(super) fn text(&self, form: AnswerForm, types: &[DataType]) -> String {
        let mut text = Text(String::with_capacity(256));
        text.word("question ");
        text.name(&self.object);
        match form {
            AnswerForm::Records => {}
            AnswerForm::Total => text.word(" count"),
        }
        match self.names_all {
            true => text.word(" all"),
            false => text.list(" fields", &self.fields, |text, name| text.name(name)),
        }
        text.filter(" where ", self.filter.as_ref());
        text.list(" groups", &self.groups, |text, (field, span, name)| {
            text.name(field);
            text.word(span.map_or("-", Bucket::name));
            text.name(name);
        });
        text.list(" aggregations", &self.aggregates, |text, (function, field, name, filter)| {
            text.word(function.name());
            if let Some(field) = field {
                text.name(field);
            }
            text.word("=");
            text.name(name);
            text.filter(" where ", filter.as_ref());
        });
        text.filter(" having ", self.having.as_ref());
        text.list(" order", &self.order, |text, (name, descending)| {
            text.word(if *descending { "-" } else { "+" });
            text.name(name);
        });
        for (what, rows) in [(" limit ", self.limit), (" offset ", self.offset)] {
            if let Some(rows) = rows {
                text.word(what);
                text.shown(&rows);
            }
        }
        text.list(" of", types, |text, of| text.shown(of));
        text.0
    }
}

struct Text(String);

impl Text {
    fn word(&mut self, word: &str) {
        self.0.push_str(word);
    }

    fn name(&mut self, name: &str) {
        quoted(name, &mut self.0);
    }

    fn shown(&mut self, what: &dyn Display) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{what}");
    }

    /// Nothing of an empty list.
    fn list<T>(&mut self, what: &str, items: &[T], print: impl Fn(&mut Self, &T)) {
        for (at, item) in items.iter().enumerate() {
            self.word(if at == 0 { what } else { "," });
            self.word(if at == 0 { "[" } else { "" });
            print(self, item);
        }
        self.word(if items.is_empty() { "" } else { "]" });
    }

    fn filter(&mut self, what: &str, filter: Option<&RowFilter>) {
        if let Some(filter) = filter {
            self.word(what);
            self.condition(filter);
        }
    }

    fn condition(&mut self, filter: &RowFilter) {
        match filter {
            RowFilter::All => self.word("all"),
            RowFilter::Nothing => self.word("none"),
            RowFilter::And(members) => self.members("and", members),
            RowFilter::Or(members) => self.members("or", members),
            RowFilter::Not(inner) => self.members("not", std::slice::from_ref(inner.as_ref())),
            RowFilter::Test(test) => self.test(test),
        }
    }

    fn members(&mut self, what: &str, members: &[RowFilter]) {
        self.word(what);
        self.word("(");
        for member in members {
            self.condition(member);
            self.word(",");
        }
        self.word(")");
    }

    fn test(&mut self, test: &Test) {
        match test {
            Test::Compare { column, op, value: _ } => {
                self.name(column);
                self.word(comparison(*op));
                self.word("?");
            }
            Test::CompareColumns { left, op, right, add_days } => {
                self.name(left);
                self.word(comparison(*op));
                self.name(right);
                self.shown(&format_args!("{add_days:?}"));
            }
            Test::In { column, values, negated } => {
                self.name(column);
                self.word(if *negated { "$nin" } else { "$in" });
                self.shown(&values.len());
            }
            Test::IsNull { column, negated } => {
                self.name(column);
                self.word(if *negated { "$set" } else { "$null" });
            }
            Test::Text { column, kind, pattern: _, negated } => {
                self.word(if *negated { "!" } else { "" });
                self.name(column);
                self.word(operator(*kind));
                self.word("?");
            }
            Test::ListContains { column, value: _ } => {
                self.name(column);
                self.word("$has?");
            }
            Test::HasElements { column } => {
                self.name(column);
                self.word("$has");
            }
            Test::InRelated { column, object, filter, select } => {
                self.name(column);
                self.word("$in");
                self.name(object);
                self.name(select);
                self.members("", std::slice::from_ref(filter.as_ref()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_policy::filter::{CompareOp, FilterValue, Operand, TextKind};
    use std::collections::BTreeSet;

    fn value(text: &str) -> Operand {
        Operand::Literal(FilterValue::Text(text.to_owned()))
    }

    fn compare(column: &str, op: CompareOp) -> RowFilter {
        RowFilter::Test(Test::Compare { column: column.to_owned(), op, value: value("secret") })
    }

    fn list(members: usize, negated: bool) -> RowFilter {
        let values = (0..members).map(|n| value(&n.to_string())).collect();
        RowFilter::Test(Test::In { column: "a".to_owned(), values, negated })
    }

    fn like(kind: TextKind, negated: bool) -> RowFilter {
        RowFilter::Test(Test::Text { column: "a".to_owned(), kind, pattern: value("secret"), negated })
    }

    /// Everything that a plan depends on is in the text, and no value is.
    #[test]
    fn two_shapes_have_two_texts_and_values_are_in_none() {
        let of = || Shape { object: "o".to_owned(), ..Shape::default() };
        let (eq, ne) = (compare("a", CompareOp::Eq), compare("a", CompareOp::Ne));
        let filters = [
            eq.clone(),
            ne.clone(),
            compare("b", CompareOp::Eq),
            compare("a\"=?", CompareOp::Eq),
            RowFilter::Nothing,
            RowFilter::Not(Box::new(eq.clone())),
            RowFilter::And(vec![eq.clone(), ne.clone()]),
            RowFilter::Or(vec![eq.clone(), ne.clone()]),
            RowFilter::Or(vec![eq.clone(), RowFilter::And(vec![ne.clone()])]),
            RowFilter::Or(vec![eq.clone(), RowFilter::Or(vec![ne.clone()])]),
            RowFilter::Or(vec![RowFilter::Or(vec![eq.clone()]), ne.clone()]),
            list(1, false),
            list(2, false),
            list(2, true),
            like(TextKind::Contains, false),
            like(TextKind::Contains, true),
            like(TextKind::IContains, false),
            RowFilter::Test(Test::IsNull { column: "a".to_owned(), negated: false }),
            RowFilter::Test(Test::IsNull { column: "a".to_owned(), negated: true }),
            RowFilter::Test(Test::ListContains { column: "a".to_owned(), value: value("secret") }),
        ];
        let fields = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let order = |name: &str, descending| vec![(name.to_owned(), descending)];
        let mut shapes = vec![
            of(),
            Shape { object: "p".to_owned(), ..of() },
            Shape { names_all: true, ..of() },
            Shape { fields: fields(&["a"]), ..of() },
            Shape { fields: fields(&["a", "b"]), ..of() },
            Shape { fields: fields(&["a,b"]), ..of() },
            Shape { order: order("a", false), ..of() },
            Shape { order: order("a", true), ..of() },
            Shape { limit: Some(1), ..of() },
            Shape { offset: Some(1), ..of() },
            Shape { limit: Some(11), ..of() },
            Shape { limit: Some(1), offset: Some(1), ..of() },
            Shape { having: Some(eq.clone()), ..of() },
        ];
        shapes.extend(filters.into_iter().map(|filter| Shape { filter: Some(filter), ..of() }));
        let texts: BTreeSet<String> = shapes.iter().map(|shape| shape.text(AnswerForm::Records, &[])).collect();
        assert_eq!(texts.len(), shapes.len(), "{texts:#?}");
        assert!(texts.iter().all(|text| !text.contains("secret")), "{texts:#?}");
        let text = |form, types: &[DataType]| of().text(form, types);
        let others = [
            text(AnswerForm::Records, &[]),
            text(AnswerForm::Total, &[]),
            text(AnswerForm::Records, &[DataType::Utf8]),
            text(AnswerForm::Records, &[DataType::Int64]),
            text(AnswerForm::Records, &[DataType::Int64, DataType::Utf8]),
        ];
        assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), others.len());
    }
}
