//! The rules of one object, compiled once for a snapshot. Evaluates nothing.

use super::autonumber::AutonumberFormat;
use super::condition::{Reach, Rule};
use super::referred::ReferredField;
use super::related::{Rollup, rollups_of};
use super::unique::{UniqueGroup, groups_of};
use super::validation::{CompiledValidation, compile_all};
use crate::expression::DropReason;
use querygate_extension::Extensions;
use querygate_metadata::model::{
    DefaultValue, Expression, Field, FieldType, Location, Object, Protocol, Snapshot, StrictRule,
};
use serde_json::Value;
use std::sync::Arc;

/// A rule that cannot be evaluated, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFault {
    /// Name of the validation, or the field and its key.
    pub rule: String,
    pub reason: String,
    /// Whether the vendor could not evaluate it either.
    pub is_mistake: bool,
    pub location: Location,
}

/// The value of a field that is given none.
#[derive(Debug)]
pub(super) enum FieldDefault {
    Literal(Value),
    Now,
    CurrentUser,
    Computed(Rule),
    /// Cannot be evaluated: there is no such value.
    Broken,
}

/// A condition of a field, or one that cannot be evaluated.
#[derive(Debug)]
pub(super) enum When {
    Rule(Box<Rule>),
    Broken,
}

/// What rules say of one field, beside its own contract.
#[derive(Debug)]
pub(super) struct FieldRules {
    pub(super) default: Option<FieldDefault>,
    pub(super) readonly_when: Option<When>,
    pub(super) required_when: Option<When>,
    pub(super) autonumber: Option<AutonumberFormat>,
    /// Options that are there for some records only, by their values.
    pub(super) options: Vec<(String, When)>,
}

impl FieldRules {
    /// Expressions that may ask for rights.
    fn asking(&self) -> impl Iterator<Item = &Rule> {
        let default = match &self.default {
            Some(FieldDefault::Computed(rule)) => Some(rule),
            Some(FieldDefault::Literal(_) | FieldDefault::Now | FieldDefault::CurrentUser | FieldDefault::Broken)
            | None => None,
        };
        let options = self.options.iter().filter_map(|(_, when)| match when {
            When::Rule(rule) => Some(rule.as_ref()),
            When::Broken => None,
        });
        default.into_iter().chain(options)
    }
}

/// What metadata demands of the records of one object.
#[derive(Debug)]
pub struct ObjectRules {
    pub(super) object: Arc<Object>,
    pub(super) protocol: Protocol,
    /// In the order of the object's fields.
    pub(super) fields: Vec<FieldRules>,
    pub(super) validations: Vec<CompiledValidation>,
    pub(super) uniques: Vec<UniqueGroup>,
    pub(super) rollups: Vec<Rollup>,
    /// What validations read of other records.
    pub(super) referred: Vec<ReferredField>,
    pub(super) faults: Vec<RuleFault>,
}

impl ObjectRules {
    /// Compiles an object's rules. What cannot be evaluated is a fault, and refuses the writes that it is about.
    #[must_use]
    pub fn compile(object: &Arc<Object>, snapshot: &Snapshot) -> Self {
        Self::compile_with(object, snapshot, &Extensions::default())
    }

    /// The same, with what the binary has in Rust.
    #[must_use]
    pub fn compile_with(object: &Arc<Object>, snapshot: &Snapshot, extensions: &Extensions) -> Self {
        let mut faults = Vec::new();
        let master = object.master_detail().and_then(|fk| snapshot.object(fk.reference.as_deref()?));
        let compiler = Compiler { object, master: master.map(Arc::as_ref) };
        let fields = object.fields.values().map(|field| compiler.field(field, &mut faults)).collect();
        let validations = compile_all(object, snapshot, extensions, &mut faults);
        let referred = ReferredField::all(&validations, object);
        let rollups = rollups_of(object, snapshot, &mut faults);
        let protocol = snapshot.protocol;
        let (object, uniques) = (Arc::clone(object), groups_of(object));
        Self { object, protocol, fields, validations, uniques, rollups, referred, faults }
    }

    /// The object they are of.
    #[must_use]
    pub fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// Whether the snapshot follows the releases that have a rule.
    #[must_use]
    pub fn follows(&self, rule: StrictRule) -> bool {
        self.protocol.has(rule)
    }

    /// Rules that cannot be evaluated.
    #[must_use]
    pub fn faults(&self) -> &[RuleFault] {
        &self.faults
    }

    /// Names of the validations, in the order in which they are asked.
    pub fn validation_names(&self) -> impl Iterator<Item = &str> {
        self.validations.iter().map(CompiledValidation::name)
    }

    /// Fields that no two records share.
    #[must_use]
    pub fn uniques(&self) -> &[UniqueGroup] {
        &self.uniques
    }

    /// The field whose target rules read as `parent`, if any does.
    #[must_use]
    pub fn parent_field(&self) -> Option<&Field> {
        let reads = |when: &Option<When>| matches!(when, Some(When::Rule(rule)) if rule.names_parent());
        let reads_option = |(_, when): &(String, When)| matches!(when, When::Rule(rule) if rule.names_parent());
        let any = self.fields.iter().any(|rules| {
            reads(&rules.readonly_when) || reads(&rules.required_when) || rules.options.iter().any(reads_option)
        });
        self.object.master_detail().filter(|_| any)
    }

    /// Fields that refer to records which validations read.
    #[must_use]
    pub fn referred(&self) -> &[ReferredField] {
        &self.referred
    }

    /// Objects and verbs of the rights that defaults and options ask for.
    pub(crate) fn rights(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().flat_map(FieldRules::asking).flat_map(Rule::rights)
    }

    /// Autonumbers, whose texts are made when the record is stored.
    pub fn autonumbers(&self) -> impl Iterator<Item = (&Field, &AutonumberFormat)> {
        self.pairs().filter_map(|(field, rules)| Some((field, rules.autonumber.as_ref()?)))
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Field, &FieldRules)> {
        self.object.fields.values().zip(&self.fields)
    }

    pub(super) fn pair(&self, field: &str) -> Option<(&Field, &FieldRules)> {
        let (place, _, field) = self.object.fields.get_full(field)?;
        Some((field, self.fields.get(place)?))
    }
}

struct Compiler<'o> {
    object: &'o Object,
    master: Option<&'o Object>,
}

impl Compiler<'_> {
    fn field(&self, field: &Field, faults: &mut Vec<RuleFault>) -> FieldRules {
        let mut when = |key: &str, expression: &Option<Expression>| {
            let expression = expression.as_ref()?;
            let compiled = Rule::compile(expression, self.object, Reach::PreviousAndParent(self.master));
            Some(match compiled {
                Ok(rule) => When::Rule(Box::new(rule)),
                Err(reason) => {
                    faults.push(fault(field, key, expression, reason));
                    When::Broken
                }
            })
        };
        let readonly_when = when("readonlyWhen", &field.readonly_when);
        let required_when = when("requiredWhen", &field.required_when);
        let options = field.options.iter().filter_map(|option| {
            let expression = option.visible_when.as_ref()?;
            let compiled = Rule::compile(expression, self.object, Reach::PreviousParentAndRights(self.master));
            // One that cannot be evaluated keeps its option from being chosen, and nothing else from being written.
            Some((option.value.clone(), compiled.map_or(When::Broken, |rule| When::Rule(Box::new(rule)))))
        });
        let options = options.collect();
        let default = field.default.as_ref().map(|default| match default {
            DefaultValue::Literal(value) => FieldDefault::Literal(value.clone()),
            DefaultValue::Now => FieldDefault::Now,
            DefaultValue::CurrentUser => FieldDefault::CurrentUser,
            DefaultValue::Expression(expression) => match Rule::compile(expression, self.object, Reach::Record) {
                Ok(rule) => FieldDefault::Computed(rule),
                Err(reason) => {
                    faults.push(fault(field, "defaultValue", expression, reason));
                    FieldDefault::Broken
                }
            },
        });
        let default = default.or_else(|| chosen(field).map(FieldDefault::Literal));
        let format = field.autonumber_format.as_deref().filter(|_| field.field_type == FieldType::Autonumber);
        let autonumber = format.map(AutonumberFormat::parse);
        for name in autonumber.iter().flat_map(AutonumberFormat::fields) {
            if self.object.field(name).is_none_or(|part| !part.stored()) {
                faults.push(RuleFault {
                    rule: format!("{}.autonumberFormat", field.name),
                    reason: format!("there is no stored field '{name}'"),
                    is_mistake: true,
                    location: field.location.clone(),
                });
            }
        }
        FieldRules { default, readonly_when, required_when, autonumber, options }
    }
}

/// The options that a field has from the start.
fn chosen(field: &Field) -> Option<Value> {
    let mut chosen = field.options.iter().filter(|option| option.is_default).map(|option| option.value.clone().into());
    if field.multiple {
        let all: Vec<Value> = chosen.collect();
        return (!all.is_empty()).then_some(Value::Array(all));
    }
    chosen.next()
}

fn fault(field: &Field, key: &str, expression: &Expression, reason: DropReason) -> RuleFault {
    RuleFault {
        rule: format!("{}.{key}", field.name),
        is_mistake: reason.is_mistake(),
        reason: reason.text,
        location: expression.location.clone(),
    }
}
