//! Conditions of rules: compiled for an object once, evaluated on a written record. Knows no rule.

use super::Row;
use super::referred::{ReferredField, ReferredRecords};
use super::rights::GrantedRights;
use crate::expression::DropReason;
use crate::formula::{Cell, Condition, Fault, Input, Root, compile_condition, of_no_record};
use crate::query_filter::Column;
use crate::value::{self, ColumnKind};
use querygate_metadata::model::{Dialect, Expression, Object, Snapshot};
use querygate_types::principal::{AttributeValue, Principal};
use serde_json::Value;

/// Roots that an expression may name beside the record and the user.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reach<'o> {
    /// Defaults: there is nothing else yet.
    Record,
    /// Conditions of hooks.
    Previous,
    /// Conditions of fields, with the object of the record's master.
    PreviousAndParent(Option<&'o Object>),
    /// Conditions of options: those of fields, with what who writes may do.
    PreviousParentAndRights(Option<&'o Object>),
    /// Validations, with the objects that the record may refer to.
    PreviousAndReferred(&'o Snapshot),
}

impl<'o> Reach<'o> {
    /// The object whose record a root is. `None`: there is no such root, or it is no record of one object.
    fn object(self, own: &'o Object, root: Root) -> Option<&'o Object> {
        match (root, self) {
            (Root::Record, _) => Some(own),
            (Root::Previous, Self::Record) => None,
            (Root::Previous, _) => Some(own),
            (Root::Parent, Self::PreviousAndParent(master) | Self::PreviousParentAndRights(master)) => master,
            (Root::Parent, Self::Record | Self::Previous | Self::PreviousAndReferred(_)) => None,
            (Root::User | Root::Referred | Root::Right, _) => None,
        }
    }

    /// Whether an expression may ask what who writes may do.
    const fn has_rights(self) -> bool {
        match self {
            Self::Record | Self::PreviousParentAndRights(_) => true,
            Self::Previous | Self::PreviousAndParent(_) | Self::PreviousAndReferred(_) => false,
        }
    }

    /// The kind of a member of the record that a field refers to.
    fn referred(self, object: &Object, field: &str, name: &str) -> Result<ColumnKind, DropReason> {
        match self {
            Self::PreviousAndReferred(snapshot) => {
                let target = ReferredField::target(object, field, snapshot)?;
                kind(target, name).ok_or_else(|| DropReason::no_column(name))
            }
            Self::Record | Self::Previous | Self::PreviousAndParent(_) | Self::PreviousParentAndRights(_) => {
                Err(of_no_record(name))
            }
        }
    }
}

fn kind(object: &Object, name: &str) -> Option<ColumnKind> {
    object.field(name).map(|field| Column::from(field).kind())
}

/// A condition with the kinds of what it reads.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    condition: Condition,
    kinds: Vec<ColumnKind>,
}

/// Why a condition has no value for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    Fault(Fault),
    /// There is no such record: the one before an insert, or a master.
    Absent(Root),
    /// Its value is no truth value.
    NotTruth,
}

impl Unknown {
    /// In words that name no value.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Fault(Fault::Type) => "an operator got a value of a type that it does not take, or none",
            Self::Fault(Fault::Range) => "a number or a date is out of range",
            Self::Fault(Fault::Size) => "a text is too long",
            Self::Absent(Root::Previous) => "there is no 'previous'",
            Self::Absent(Root::Parent) => "there is no 'parent'",
            Self::Absent(Root::Referred) => "there is no record that it refers to",
            Self::Absent(Root::Record | Root::User | Root::Right) => "there is no record",
            Self::NotTruth => "its value is neither true nor false",
        }
    }
}

/// What conditions read of one write.
#[derive(Clone, Copy)]
pub(super) struct Scene<'r> {
    pub(super) record: &'r Row,
    pub(super) previous: Option<&'r Row>,
    pub(super) parent: Option<&'r Row>,
    pub(super) referred: &'r ReferredRecords,
    pub(super) rights: &'r GrantedRights,
    pub(super) principal: &'r Principal,
    pub(super) now_ms: i64,
}

impl Rule {
    pub(super) fn compile(expression: &Expression, object: &Object, reach: Reach<'_>) -> Result<Self, DropReason> {
        if expression.dialect != Dialect::Cel {
            return Err(DropReason::new("the expression is not CEL"));
        }
        let scope = |root: Root, name: &str| match root {
            Root::User => Some(Some(ColumnKind::Text)),
            Root::Right => reach.has_rights().then_some(Some(ColumnKind::Boolean)),
            Root::Record | Root::Previous | Root::Parent | Root::Referred => {
                reach.object(object, root).map(|object| kind(object, name))
            }
        };
        let referred = |field: &str, name: &str| reach.referred(object, field, name);
        let condition = compile_condition(&expression.source, &scope, &referred)?;
        let kind_of = |input: &Input| {
            let name = input.name.as_deref().unwrap_or_default();
            let kind = match (input.root, &input.through) {
                (Root::Referred, Some(field)) => referred(field, name).ok(),
                (_, _) => scope(input.root, name).flatten(),
            };
            kind.unwrap_or(ColumnKind::Text)
        };
        let kinds = condition.inputs().iter().map(kind_of).collect();
        Ok(Self { condition, kinds })
    }

    /// Fields of the record itself, as it is or as it was.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.condition.inputs().iter().filter_map(|input| match input.root {
            Root::Record | Root::Previous => input.name.as_deref(),
            Root::Referred => input.through.as_deref(),
            Root::Parent | Root::User | Root::Right => None,
        })
    }

    /// Fields that refer to records which it reads, each with what it reads of them.
    pub(super) fn referred(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs(Root::Referred)
    }

    /// Objects and verbs of the rights that it asks for.
    pub(super) fn rights(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs(Root::Right)
    }

    fn pairs(&self, root: Root) -> impl Iterator<Item = (&str, &str)> {
        let inputs = self.condition.inputs().iter().filter(move |input| input.root == root);
        inputs.filter_map(|input| Some((input.through.as_deref()?, input.name.as_deref()?)))
    }

    pub(super) fn names_parent(&self) -> bool {
        self.condition.names(Root::Parent)
    }

    pub(super) fn value(&self, scene: &Scene<'_>) -> Result<Cell, Unknown> {
        let mut cells = Vec::with_capacity(self.kinds.len());
        for (input, kind) in self.condition.inputs().iter().zip(&self.kinds) {
            let row = match input.root {
                Root::Record => Some(scene.record),
                Root::Previous => scene.previous,
                Root::Parent => scene.parent,
                Root::Referred => {
                    let field = input.through.as_deref().unwrap_or_default();
                    scene.record.get(field).and_then(|value| scene.referred.get(field, value))
                }
                Root::Right => {
                    let (object, verb) = (input.through.as_deref(), input.name.as_deref());
                    let may = scene.rights.have(object.unwrap_or_default(), verb.unwrap_or_default());
                    cells.push(Cell::Boolean(may));
                    continue;
                }
                Root::User => {
                    cells.push(
                        input.name.as_deref().map_or(Cell::Boolean(true), |name| user_cell(scene.principal, name)),
                    );
                    continue;
                }
            };
            let row = row.ok_or(Unknown::Absent(input.root))?;
            cells.push(match &input.name {
                Some(name) => cell(*kind, row.get(name)),
                None => Cell::Boolean(true),
            });
        }
        self.condition.evaluate(&cells, scene.now_ms).map_err(Unknown::Fault)
    }

    pub(super) fn holds(&self, scene: &Scene<'_>) -> Result<bool, Unknown> {
        match self.value(scene)? {
            Cell::Boolean(truth) => Ok(truth),
            Cell::Null
            | Cell::Integer(_)
            | Cell::Float(_)
            | Cell::Text(_)
            | Cell::Date(_)
            | Cell::Timestamp(_)
            | Cell::List(_) => Err(Unknown::NotTruth),
        }
    }
}

/// A member of `current_user`; null where the user has none.
fn user_cell(principal: &Principal, name: &str) -> Cell {
    let text = |text: &String| Cell::Text(text.clone());
    let list = |texts: &std::collections::BTreeSet<String>| Cell::List(texts.iter().map(text).collect());
    match name {
        "id" => text(&principal.user_id),
        "email" => principal.email.as_ref().map_or(Cell::Null, text),
        "organization_id" => principal.organization_id.as_ref().map_or(Cell::Null, text),
        "positions" => list(&principal.positions),
        "org_user_ids" => list(&principal.org_user_ids),
        other => match principal.attributes.get(other) {
            None => Cell::Null,
            Some(AttributeValue::Text(value)) => text(value),
            Some(AttributeValue::Integer(number)) => Cell::Integer(*number),
            Some(AttributeValue::Boolean(flag)) => Cell::Boolean(*flag),
            Some(AttributeValue::List(values)) => Cell::List(values.iter().map(text).collect()),
        },
    }
}

/// A value of a record as its column's kind has it; one of another type as it is, so that operators refuse it.
fn cell(kind: ColumnKind, value: Option<&Value>) -> Cell {
    match value {
        None | Some(Value::Null | Value::Object(_)) => Cell::Null,
        Some(Value::Bool(flag)) => Cell::Boolean(*flag),
        Some(Value::Number(number)) => match (kind, number.as_i64()) {
            (ColumnKind::Boolean, Some(0)) => Cell::Boolean(false),
            (ColumnKind::Boolean, Some(1)) => Cell::Boolean(true),
            _ => number.as_f64().map_or(Cell::Null, Cell::Float),
        },
        Some(Value::Array(items)) => Cell::List(items.iter().map(|item| cell(ColumnKind::Text, Some(item))).collect()),
        Some(Value::String(text)) => match kind {
            ColumnKind::Date => value::day(text).map(Cell::Date),
            ColumnKind::Timestamp => value::timestamp(text).map(Cell::Timestamp),
            ColumnKind::Number => text.parse().ok().filter(|n: &f64| n.is_finite()).map(Cell::Float),
            ColumnKind::Text
            | ColumnKind::Uuid
            | ColumnKind::Boolean
            | ColumnKind::Time
            | ColumnKind::List
            | ColumnKind::Json
            | ColumnKind::ReadFromText
            | ColumnKind::Computed => None,
        }
        .unwrap_or_else(|| Cell::Text(text.clone())),
    }
}

/// What a hook's condition looks at.
#[derive(Debug, Clone, Copy)]
pub struct HookScene<'r> {
    /// The record as it is stored, with what is to be changed of it.
    pub record: &'r Row,
    /// The record before; of a new one there is none.
    pub previous: Option<&'r Row>,
    pub principal: &'r Principal,
    pub now_ms: i64,
}

/// The condition of a hook.
#[derive(Debug)]
pub(crate) struct HookCondition(Rule);

impl HookCondition {
    /// # Errors
    /// Why it cannot be evaluated.
    pub(crate) fn compile(expression: &Expression, object: &Object) -> Result<Self, String> {
        Rule::compile(expression, object, Reach::Previous).map(Self).map_err(|reason| reason.text)
    }

    /// # Errors
    /// Why it has no value for a record, in words that name none.
    pub(crate) fn holds(&self, scene: HookScene<'_>) -> Result<bool, &'static str> {
        let HookScene { record, previous, principal, now_ms } = scene;
        let (referred, rights) = (&ReferredRecords::default(), &GrantedRights::default());
        let scene = Scene { record, previous, parent: None, referred, rights, principal, now_ms };
        self.0.holds(&scene).map_err(Unknown::reason)
    }
}
