//! Row rules as the test knows them: printed as CEL for the gate, and evaluated by an interpreter of the test's own.
//! Two-valued, as the ObjectStack reference section 5.1 has it: null is false for everything but `!=`.

use querygate_tests::harness::{Rng, Row};
use querygate_types::principal::{AttributeValue, Principal};
use serde_json::Value;
use std::cmp::Ordering;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    /// `rating`: an int4 column.
    Int,
    /// `currency`: numeric(18,4).
    Money,
    Bool,
    Date,
    Instant,
    Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Op {
    const ALL: [Self; 6] = [Self::Eq, Self::Ne, Self::Lt, Self::Le, Self::Gt, Self::Ge];

    fn cel(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    fn flipped(self) -> Self {
        match self {
            Self::Eq | Self::Ne => self,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order == Ordering::Equal,
            Self::Ne => order != Ordering::Equal,
            Self::Lt => order == Ordering::Less,
            Self::Le => order != Ordering::Greater,
            Self::Gt => order == Ordering::Greater,
            Self::Ge => order != Ordering::Less,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextOp {
    StartsWith,
    EndsWith,
    Contains,
}

/// A literal or `current_user.<key>`.
#[derive(Debug, Clone)]
pub(crate) enum Term {
    Literal(Value),
    Variable(String),
}

/// A rule over the fields of one object.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    True,
    /// A constant that is not true drops out.
    False,
    /// What no reader of the reference may compile: it drops out.
    Broken(&'static str),
    Compare {
        field: String,
        kind: Kind,
        op: Op,
        term: Term,
        flipped: bool,
    },
    Fields {
        left: String,
        kind: Kind,
        op: Op,
        right: String,
    },
    Null {
        field: String,
        negated: bool,
    },
    In {
        field: String,
        kind: Kind,
        values: Vec<Value>,
    },
    InVariable {
        field: String,
        key: String,
    },
    Text {
        field: String,
        op: TextOp,
        term: Term,
    },
    And(Box<Rule>, Box<Rule>),
    Or(Box<Rule>, Box<Rule>),
    Not(Box<Rule>),
}

/// Fields that rules may read: name and kind.
pub(crate) type Fields = [(String, Kind)];

impl Rule {
    /// A random rule.
    pub(crate) fn random(rng: &mut Rng, fields: &Fields, depth: usize) -> Self {
        if depth > 0 && rng.percent(45) {
            let mut part = || Box::new(Self::random(rng, fields, depth - 1));
            let (a, b) = (part(), part());
            return match rng.below(3) {
                0 => Self::And(a, b),
                1 => Self::Or(a, b),
                _ => Self::Not(a),
            };
        }
        let (field, kind) = rng.pick(fields).clone();
        match rng.below(20) {
            0 => [Self::True, Self::False][rng.below(2)].clone(),
            1 => Self::Broken(rng.pick::<&'static str>(&["size(id) > 1", "id.matches('a')", "nowhere == 1"])),
            2 | 3 => Self::Null { field, negated: rng.percent(50) },
            4 | 5 if kind != Kind::Tags => {
                let others: Vec<&(String, Kind)> = fields.iter().filter(|(_, k)| *k == kind).collect();
                let right = rng.pick(&others).0.clone();
                Self::Fields { left: field, kind, op: *rng.pick(&Op::ALL), right }
            }
            6 | 7 if kind != Kind::Tags => {
                let values = (0..rng.between(1, 4)).map(|_| value(rng, kind)).collect();
                Self::In { field, kind, values }
            }
            8 | 9 if kind == Kind::Text => {
                let key = (*rng.pick(&["regions", "positions", "empty", "missing"])).to_owned();
                Self::InVariable { field, key }
            }
            10..=12 if kind == Kind::Text => {
                let op = *rng.pick(&[TextOp::StartsWith, TextOp::EndsWith, TextOp::Contains]);
                let term = if rng.percent(20) {
                    Term::Variable("region".to_owned())
                } else {
                    Term::Literal(Value::from(*rng.pick(&["a", "A", "%", "_", "é", "", "1", "x_", "'", "\\"])))
                };
                Self::Text { field, op, term }
            }
            _ if kind == Kind::Tags => {
                let term = Term::Literal(Value::from(*rng.pick(&["a", "b", "z"])));
                Self::Text { field, op: TextOp::Contains, term }
            }
            _ => {
                let term = match kind {
                    Kind::Text if rng.percent(30) => {
                        Term::Variable((*rng.pick(&["region", "id", "missing"])).to_owned())
                    }
                    Kind::Number | Kind::Int if rng.percent(25) => Term::Variable("level".to_owned()),
                    Kind::Instant if rng.percent(40) => Term::Literal(Value::from(*rng.pick(DATES))),
                    Kind::Bool if rng.percent(25) => Term::Variable("flag".to_owned()),
                    _ => Term::Literal(value(rng, kind)),
                };
                Self::Compare { field, kind, op: *rng.pick(&Op::ALL), term, flipped: rng.percent(20) }
            }
        }
    }

    /// The rule as CEL.
    pub(crate) fn cel(&self) -> String {
        match self {
            Self::True => "true".to_owned(),
            Self::False => "1 == 2".to_owned(),
            Self::Broken(text) => (*text).to_owned(),
            Self::Compare { field, op, term, flipped, .. } => {
                let term = term.cel();
                if *flipped {
                    format!("{term} {} {field}", op.flipped().cel())
                } else {
                    format!("record.{field} {} {term}", op.cel())
                }
            }
            Self::Fields { left, op, right, .. } => format!("{left} {} {right}", op.cel()),
            Self::Null { field, negated } => format!("{field} {} null", if *negated { "!=" } else { "==" }),
            Self::In { field, values, .. } => {
                format!("{field} in [{}]", values.iter().map(literal).collect::<Vec<_>>().join(", "))
            }
            Self::InVariable { field, key } => format!("{field} in current_user.{key}"),
            Self::Text { field, op, term } => {
                let name = match op {
                    TextOp::StartsWith => "startsWith",
                    TextOp::EndsWith => "endsWith",
                    TextOp::Contains => "contains",
                };
                format!("{field}.{name}({})", term.cel())
            }
            Self::And(a, b) => format!("({} && {})", a.cel(), b.cel()),
            Self::Or(a, b) => format!("({} || {})", a.cel(), b.cel()),
            Self::Not(a) => format!("!({})", a.cel()),
        }
    }

    /// Whether the rule can be bound for a principal; otherwise it drops out.
    pub(crate) fn binds(&self, who: &Principal) -> bool {
        if let Some(constant) = self.constant() {
            return constant;
        }
        match self {
            Self::False => false,
            Self::True | Self::Fields { .. } | Self::Null { .. } | Self::In { .. } => true,
            Self::Broken(_) => false,
            Self::Compare { term, .. } | Self::Text { term, .. } => term.value(who).is_some(),
            Self::InVariable { key, .. } => !members(key, who).is_empty(),
            Self::And(a, b) | Self::Or(a, b) => a.binds(who) && b.binds(who),
            Self::Not(a) => a.binds(who),
        }
    }

    /// Expressions without a field are folded before anything else.
    fn constant(&self) -> Option<bool> {
        match self {
            Self::True => Some(true),
            Self::False => Some(false),
            Self::And(a, b) => a.constant().zip(b.constant()).map(|(a, b)| a && b),
            Self::Or(a, b) => a.constant().zip(b.constant()).map(|(a, b)| a || b),
            Self::Not(a) => Some(!a.constant()?),
            Self::Broken(_)
            | Self::Compare { .. }
            | Self::Fields { .. }
            | Self::Null { .. }
            | Self::In { .. }
            | Self::InVariable { .. }
            | Self::Text { .. } => None,
        }
    }

    /// Whether a row passes. Call only on a rule that binds.
    pub(crate) fn passes(&self, row: &Row, who: &Principal) -> bool {
        match self {
            Self::True => true,
            Self::False | Self::Broken(_) => false,
            Self::Compare { field, kind, op, term, .. } => match cell(row, field) {
                None => *op == Op::Ne,
                Some(left) => compare(left, *kind, *op, &term.value(who).unwrap()),
            },
            Self::Fields { left, kind, op, right } => match (cell(row, left), cell(row, right)) {
                (Some(left), Some(right)) => op.holds(order(left, right, *kind).unwrap()),
                _ => *op == Op::Ne,
            },
            Self::Null { field, negated } => cell(row, field).is_none() != *negated,
            Self::In { field, kind, values } => {
                cell(row, field).is_some_and(|left| values.iter().any(|v| compare(left, *kind, Op::Eq, v)))
            }
            Self::InVariable { field, key } => {
                cell(row, field).is_some_and(|left| members(key, who).iter().any(|m| left.as_str() == Some(m)))
            }
            Self::Text { field, op, term } => {
                let pattern = term.value(who).unwrap();
                let pattern = pattern.as_str().unwrap();
                match cell(row, field) {
                    Some(Value::String(text)) => match op {
                        TextOp::StartsWith => text.starts_with(pattern),
                        TextOp::EndsWith => text.ends_with(pattern),
                        TextOp::Contains => text.contains(pattern),
                    },
                    Some(Value::Array(elements)) => elements.iter().any(|e| e.as_str() == Some(pattern)),
                    _ => false,
                }
            }
            Self::And(a, b) => a.passes(row, who) && b.passes(row, who),
            Self::Or(a, b) => a.passes(row, who) || b.passes(row, who),
            Self::Not(a) => !a.passes(row, who),
        }
    }
}

impl Term {
    fn cel(&self) -> String {
        match self {
            Self::Literal(value) => literal(value),
            Self::Variable(key) => format!("current_user.{key}"),
        }
    }

    fn value(&self, who: &Principal) -> Option<Value> {
        match self {
            Self::Literal(value) => Some(value.clone()),
            Self::Variable(key) if key == "id" => Some(Value::from(who.user_id.clone())),
            Self::Variable(key) => match who.attributes.get(key)? {
                AttributeValue::Text(text) => Some(Value::from(text.clone())),
                AttributeValue::Integer(n) => Some(Value::from(*n)),
                AttributeValue::Boolean(b) => Some(Value::from(*b)),
                AttributeValue::List(_) => None,
            },
        }
    }
}

fn members(key: &str, who: &Principal) -> Vec<String> {
    if key == "positions" {
        // `everyone` is everyone's.
        return who.positions.iter().cloned().chain(["everyone".to_owned()]).collect();
    }
    match who.attributes.get(key) {
        Some(AttributeValue::List(members)) => members.clone(),
        _ => Vec::new(),
    }
}

/// A value that is not null.
pub(crate) fn cell<'a>(row: &'a Row, field: &str) -> Option<&'a Value> {
    row.get(field).filter(|v| !v.is_null())
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        other => other.to_string(),
    }
}

/// `left op right` where a bare day on an instant stands for its midnight, and for the whole day after `<=`.
fn compare(left: &Value, kind: Kind, op: Op, right: &Value) -> bool {
    if kind == Kind::Instant && right.as_str().is_some_and(|t| t.len() == 10) {
        let day = right.as_str().unwrap();
        let left = left.as_str().unwrap();
        let midnight = format!("{day}T00:00:00.000Z");
        if op == Op::Le {
            return left < midnight.as_str() || left.starts_with(day);
        }
        return op.holds(left.cmp(midnight.as_str()));
    }
    match order(left, right, kind) {
        Some(order) => op.holds(order),
        None => op == Op::Ne,
    }
}

fn order(left: &Value, right: &Value, kind: Kind) -> Option<Ordering> {
    match kind {
        Kind::Number | Kind::Int | Kind::Money => left.as_f64()?.partial_cmp(&right.as_f64()?),
        Kind::Bool => Some(left.as_bool()?.cmp(&right.as_bool()?)),
        // Fixed-width forms: their texts order as they do.
        Kind::Text | Kind::Date | Kind::Instant => Some(left.as_str()?.cmp(right.as_str()?)),
        Kind::Tags => None,
    }
}

const TEXTS: &[&str] =
    &["", "a", "A", "ab", "12", "7", "x_y", "50%", "é", "Zed", "12abc", "b'c", "q\\", "emea", "apac"];
const NUMBERS: &[f64] = &[-2.5, -1.0, 0.0, 1.0, 2.0, 3.25, 7.0, 10.0, 100.0];
const DATES: &[&str] = &["2024-01-01", "2024-02-29", "2024-12-31", "1999-07-04", "1969-12-31"];
const INSTANTS: &[&str] =
    &["2024-01-01T00:00:00.000Z", "2024-01-01T23:59:59.999Z", "2024-02-29T12:30:00.500Z", "1969-12-31T23:59:59.000Z"];

/// A random value of a kind, never null.
pub(crate) fn value(rng: &mut Rng, kind: Kind) -> Value {
    match kind {
        Kind::Text => Value::from(*rng.pick(TEXTS)),
        Kind::Number => Value::from(*rng.pick(NUMBERS)),
        Kind::Int => Value::from(i64::try_from(rng.below(12)).unwrap() - 2),
        Kind::Money => Value::from(*rng.pick(&[0.0, 0.25, 1.5, -3.75, 10.0, 99.9999])),
        Kind::Bool => Value::from(rng.percent(50)),
        Kind::Date => Value::from(*rng.pick(DATES)),
        Kind::Instant => Value::from(*rng.pick(INSTANTS)),
        Kind::Tags => Value::from((0..rng.below(3)).map(|_| *rng.pick(&["a", "b", "c"])).collect::<Vec<_>>()),
    }
}
