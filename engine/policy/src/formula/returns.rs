//! What kind of value a formula has that does not declare it: read off the expression. Evaluates nothing.

use super::functions::Function;
use super::{Arithmetic, Cell, Formula, Node, compile};
use crate::query_filter::Column;
use crate::value::ColumnKind;
use querygate_metadata::model::{Dialect, Field, FieldType, FormulaReturn, Object, Snapshot};
use std::sync::Arc;

/// A snapshot whose formulas say what they return, where they did not and their expressions tell it. Of others the value is a text.
#[must_use]
pub fn with_return_types(mut snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
    let is_open = |field: &Field| field.field_type == FieldType::Formula && field.formula_return.is_none();
    let mut found = Vec::new();
    for (name, object) in &snapshot.objects {
        for field in object.fields.values().filter(|field| is_open(field)) {
            found.extend(return_of(object, field).map(|own| (name.clone(), field.name.clone(), own)));
        }
    }
    if found.is_empty() {
        return snapshot;
    }
    let changed = Arc::make_mut(&mut snapshot);
    for (object, field, own) in found {
        let object = changed.objects.get_mut(&object).map(Arc::make_mut);
        if let Some(field) = object.and_then(|object| object.fields.get_mut(&field)) {
            field.formula_return = Some(own);
        }
    }
    snapshot
}

fn return_of(object: &Object, field: &Field) -> Option<FormulaReturn> {
    let expression = field.expression.as_ref().filter(|expression| expression.dialect == Dialect::Cel)?;
    let columns = |name: &str| object.field(name).map(|field| Column::from(field).kind());
    let formula = compile(&expression.source, &columns).ok()?;
    formula.returns(&|name| columns(name))
}

/// A kind of value; `Null` is of every kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Boolean,
    Date,
    Null,
    /// Another one, or one that is not known before there is a row.
    Other,
}

impl Formula {
    fn returns(&self, columns: &dyn Fn(&str) -> Option<ColumnKind>) -> Option<FormulaReturn> {
        let inputs: Vec<Kind> = self.inputs.iter().map(|name| of_column(columns(name))).collect();
        match kind(&self.program, &inputs) {
            Kind::Text => Some(FormulaReturn::Text),
            Kind::Number => Some(FormulaReturn::Number),
            Kind::Boolean => Some(FormulaReturn::Boolean),
            Kind::Date => Some(FormulaReturn::Date),
            Kind::Null | Kind::Other => None,
        }
    }
}

fn of_column(column: Option<ColumnKind>) -> Kind {
    match column {
        Some(ColumnKind::Text | ColumnKind::Uuid) => Kind::Text,
        Some(ColumnKind::Number) => Kind::Number,
        Some(ColumnKind::Boolean) => Kind::Boolean,
        Some(ColumnKind::Date) => Kind::Date,
        Some(
            ColumnKind::Timestamp
            | ColumnKind::Time
            | ColumnKind::List
            | ColumnKind::Json
            | ColumnKind::ReadFromText
            | ColumnKind::Computed,
        )
        | None => Kind::Other,
    }
}

/// Of two values, one of which is taken.
fn either(one: Kind, other: Kind) -> Kind {
    match (one, other) {
        (Kind::Null, kind) | (kind, Kind::Null) => kind,
        (one, other) if one == other => one,
        _ => Kind::Other,
    }
}

fn kind(node: &Node, inputs: &[Kind]) -> Kind {
    let of = |node: &Node| kind(node, inputs);
    match node {
        Node::Constant(cell) => match cell {
            Cell::Text(_) => Kind::Text,
            Cell::Integer(_) | Cell::Float(_) => Kind::Number,
            Cell::Boolean(_) => Kind::Boolean,
            Cell::Date(_) => Kind::Date,
            Cell::Null => Kind::Null,
            Cell::Timestamp(_) | Cell::List(_) => Kind::Other,
        },
        Node::Input(place) => inputs.get(*place).copied().unwrap_or(Kind::Other),
        Node::List(_) => Kind::Other,
        Node::Not(_) | Node::And(_) | Node::Or(_) | Node::Compare(..) | Node::In(_) | Node::Matches(..) => {
            Kind::Boolean
        }
        Node::Negate(_) => Kind::Number,
        Node::Choose(parts) => {
            let [_, then, otherwise] = parts.as_ref();
            either(of(then), of(otherwise))
        }
        Node::Arithmetic(operator, sides) => {
            let [left, right] = sides.as_ref();
            match (operator, of(left), of(right)) {
                (_, Kind::Number, Kind::Number) => Kind::Number,
                (Arithmetic::Add, Kind::Text, _) | (Arithmetic::Add, _, Kind::Text) => Kind::Text,
                _ => Kind::Other,
            }
        }
        Node::Call(function, arguments) => of_call(*function, arguments, inputs),
    }
}

fn of_call(function: Function, arguments: &[Node], inputs: &[Kind]) -> Kind {
    use Function as F;
    let argument = |at: usize| arguments.get(at).map_or(Kind::Other, |node| kind(node, inputs));
    match function {
        F::Today | F::DaysAgo | F::DaysFromNow | F::Date => Kind::Date,
        // Of a day a day, of an instant an instant.
        F::AddDays | F::AddMonths => either(argument(0), argument(0)),
        F::Now | F::Datetime => Kind::Other,
        F::DaysBetween | F::Len | F::Abs | F::Ceil | F::Floor | F::Round | F::Double | F::Int => Kind::Number,
        F::IsBlank | F::IsEmpty | F::Contains | F::StartsWith | F::EndsWith => Kind::Boolean,
        F::Coalesce | F::Min | F::Max => either(argument(0), argument(1)),
        F::JoinNonEmpty | F::Trim | F::Lower | F::Upper | F::String => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_tell_what_they_return() {
        let columns = |name: &str| match name {
            "amount" | "spent" => Some(ColumnKind::Number),
            "name" => Some(ColumnKind::Text),
            "day" => Some(ColumnKind::Date),
            "at" => Some(ColumnKind::Timestamp),
            "done" => Some(ColumnKind::Boolean),
            _ => None,
        };
        let check = |source: &str, expected| {
            let formula = compile(source, &columns).unwrap();
            assert_eq!(formula.returns(&columns), expected, "{source}");
        };
        for (source, expected) in [
            ("(record.amount == null ? 0 : record.amount) - record.spent", FormulaReturn::Number),
            ("(record.name == null ? '' : record.name + ' ') + record.name", FormulaReturn::Text),
            ("record.name == 'a' || record.done", FormulaReturn::Boolean),
            ("record.day == null ? null : addDays(record.day, 1)", FormulaReturn::Date),
            ("record.day == null ? 0 : daysBetween(today(), record.day)", FormulaReturn::Number),
            ("coalesce(record.name, 'none')", FormulaReturn::Text),
        ] {
            check(source, Some(expected));
        }
        for source in ["record.at", "null", "record.done ? 1 : 'one'", "[1]", "record.amount + record.day"] {
            check(source, None);
        }
    }
}
