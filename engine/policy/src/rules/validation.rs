//! The validations of an object, compiled: what each finds wrong with a written record. Compiles once, looks at one record.

use super::Row;
use super::condition::{Reach, Rule, Scene, Unknown};
use super::forms::schema::Schema;
use super::forms::texts;
use super::object::RuleFault;
use super::violation::{Violation, ViolationCode};
use crate::pattern::Pattern;
use indexmap::IndexMap;
use querygate_extension::validation::{NativeValidation, Written as NativeWritten};
use querygate_extension::{Extensions, Registration};
use querygate_metadata::model::{
    Expression, Location, Object, Snapshot, TextFormat, Validation, ValidationCheck, ValidationEvents,
    ValidationSeverity,
};
use serde_json::{Map, Value, json};

/// A validation, ready for records.
#[derive(Debug)]
pub(super) struct CompiledValidation {
    name: String,
    message: String,
    events: ValidationEvents,
    severity: ValidationSeverity,
    check: Check,
    /// Fields that decide it.
    reads: Vec<String>,
}

#[derive(Debug)]
enum Check {
    Condition {
        rule: Rule,
        field: Option<String>,
    },
    Format {
        field: String,
        pattern: Option<Pattern>,
        format: Option<TextFormat>,
    },
    StateMachine {
        field: String,
        transitions: IndexMap<String, Vec<String>>,
        initial: Option<Vec<String>>,
    },
    JsonSchema {
        field: String,
        schema: Schema,
    },
    Conditional {
        when: Rule,
        then: Box<CompiledValidation>,
        otherwise: Option<Box<CompiledValidation>>,
    },
    /// In Rust; it looks at these fields, or at all.
    Native {
        validation: Registration<dyn NativeValidation>,
        fields: Vec<String>,
    },
    /// Cannot be evaluated, so that it refuses every record.
    Broken,
}

/// One written record as validations see it.
#[derive(Clone, Copy)]
pub(super) struct Written<'r> {
    /// What this write sets, defaults included.
    pub(super) assigned: &'r Row,
    pub(super) scene: Scene<'r>,
}

/// The active validations of an object by priority, and those that cannot be evaluated.
pub(super) fn compile_all(
    object: &Object,
    snapshot: &Snapshot,
    extensions: &Extensions,
    faults: &mut Vec<RuleFault>,
) -> Vec<CompiledValidation> {
    let mut active: Vec<&Validation> = object.validations.iter().filter(|rule| rule.active).collect();
    active.sort_by_key(|rule| rule.priority);
    let mut compiler = Compiler { object, snapshot, extensions, faults };
    active.into_iter().map(|rule| compiler.validation(rule)).collect()
}

impl CompiledValidation {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_for_inserts(&self) -> bool {
        self.events.insert
    }

    /// Fields that decide it.
    pub(super) fn reads(&self) -> impl Iterator<Item = &str> {
        self.reads.iter().map(String::as_str)
    }

    /// Fields that refer to records which it, or one within it, reads, each with what it reads of them.
    pub(super) fn referred(&self) -> Vec<(&str, &str)> {
        match &self.check {
            Check::Condition { rule, .. } => rule.referred().collect(),
            Check::Conditional { when, then, otherwise } => {
                let inner = std::iter::once(then).chain(otherwise).flat_map(|rule| rule.referred());
                when.referred().chain(inner).collect()
            }
            Check::Format { .. }
            | Check::StateMachine { .. }
            | Check::JsonSchema { .. }
            | Check::Native { .. }
            | Check::Broken => Vec::new(),
        }
    }

    /// Whether it, or one within it, is in Rust.
    pub(super) fn is_native(&self) -> bool {
        match &self.check {
            Check::Native { .. } => true,
            Check::Conditional { then, otherwise, .. } => {
                then.is_native() || otherwise.as_ref().is_some_and(|rule| rule.is_native())
            }
            Check::Condition { .. }
            | Check::Format { .. }
            | Check::StateMachine { .. }
            | Check::JsonSchema { .. }
            | Check::Broken => false,
        }
    }

    /// What it finds wrong, if it is for this kind of write.
    pub(super) fn violations(&self, written: &Written<'_>, object: &Object) -> Vec<Violation> {
        let is_insert = written.scene.previous.is_none();
        let is_due = if is_insert { self.events.insert } else { self.events.update };
        let mut found = if is_due { self.find(written, object) } else { Vec::new() };
        for violation in &mut found {
            violation.severity = self.severity;
            violation.reads.clone_from(&self.reads);
        }
        found
    }

    fn find(&self, written: &Written<'_>, object: &Object) -> Vec<Violation> {
        match &self.check {
            Check::Native { validation, fields } => self.find_natively(validation, fields, written),
            Check::Conditional { when, then, otherwise } => match when.holds(&written.scene) {
                Ok(true) => then.find(written, object),
                Ok(false) => otherwise.as_ref().map(|rule| rule.find(written, object)).unwrap_or_default(),
                Err(unknown) => vec![self.unknown(None, unknown)],
            },
            Check::Condition { .. }
            | Check::Format { .. }
            | Check::StateMachine { .. }
            | Check::JsonSchema { .. }
            | Check::Broken => self.find_one(written, object).into_iter().collect(),
        }
    }

    /// What an extension finds wrong. It sees the fields that the metadata names, so that nothing else is in its words.
    fn find_natively(
        &self,
        validation: &Registration<dyn NativeValidation>,
        fields: &[String],
        written: &Written<'_>,
    ) -> Vec<Violation> {
        let shown = |row: &Row| -> Row {
            fields.iter().filter_map(|name| Some((name.clone(), row.get(name)?.clone()))).collect()
        };
        let (record, previous, now_ms) = (written.scene.record, written.scene.previous, written.scene.now_ms);
        let found = if fields.is_empty() {
            validation.check(&NativeWritten { record, previous, now_ms })
        } else {
            let (record, previous) = (shown(record), previous.map(shown));
            validation.check(&NativeWritten { record: &record, previous: previous.as_ref(), now_ms })
        };
        let found = match found {
            Ok(found) => found,
            // Its own words may hold values.
            Err(_) => return vec![self.unevaluable(None, "its extension failed")],
        };
        let of = |violation: querygate_extension::validation::Violation| {
            let own = self.found(violation.field.as_deref(), ViolationCode::Own(violation.code));
            match violation.message {
                Some(message) => Violation { message, is_authored: false, ..own },
                None => own,
            }
        };
        found.into_iter().map(of).collect()
    }

    fn find_one(&self, written: &Written<'_>, object: &Object) -> Option<Violation> {
        match &self.check {
            Check::Native { .. } | Check::Conditional { .. } => None,
            Check::Broken => Some(self.unevaluable(None, "it cannot be compiled")),
            Check::Condition { rule, field } => match rule.holds(&written.scene) {
                Ok(false) => None,
                Ok(true) => Some(self.found(field.as_deref(), ViolationCode::Rule)),
                Err(unknown) => Some(self.unknown(field.as_deref(), unknown)),
            },
            Check::Format { field, pattern, format } => {
                let value = given(written.assigned, field)?;
                let text = if let Value::String(text) = value { text.clone() } else { value.to_string() };
                let fits = pattern.as_ref().is_none_or(|pattern| pattern.matches(&text))
                    && format.is_none_or(|format| has_format(format, value, &text));
                (!fits).then(|| self.found(Some(field), ViolationCode::InvalidFormat))
            }
            Check::StateMachine { field, transitions, initial } => {
                self.state(written, object, field, transitions, initial.as_deref())
            }
            Check::JsonSchema { field, schema } => match given(written.assigned, field)? {
                Value::String(text) => match querygate_types::json::value::value(text) {
                    Ok(parsed) if schema.holds(&parsed) => None,
                    Ok(_) => Some(self.found(Some(field), ViolationCode::JsonSchema)),
                    Err(_) => Some(self.found(Some(field), ViolationCode::InvalidJson)),
                },
                value => (!schema.holds(value)).then(|| self.found(Some(field), ViolationCode::JsonSchema)),
            },
        }
    }

    /// A state that is new must be one to begin with; one that changes must follow the one before. What has no state, or had one
    /// that the machine does not know, may go anywhere.
    fn state(
        &self,
        written: &Written<'_>,
        object: &Object,
        field: &str,
        transitions: &IndexMap<String, Vec<String>>,
        initial: Option<&[String]>,
    ) -> Option<Violation> {
        let to = written.assigned.get(field).filter(|value| !value.is_null())?;
        let to_text = state_text(to);
        let mut beside = Map::new();
        let (code, constraint) = match written.scene.previous {
            // An empty text is no state to begin with.
            None => {
                let initial = initial.filter(|states| !to_text.is_empty() && !states.contains(&to_text))?;
                beside.insert("value".to_owned(), to.clone());
                (ViolationCode::InvalidInitialState, json!({"allowed": initial.join(", ")}))
            }
            Some(previous) => {
                let from = previous.get(field).filter(|from| !from.is_null() && *from != to)?;
                let from = state_text(from);
                transitions.get(&from).filter(|next| !next.contains(&to_text))?;
                (ViolationCode::InvalidTransition, json!({"from": from, "to": to_text}))
            }
        };
        let label = object.field(field).map(|field| field.label.clone());
        let constraint = constraint.as_object().cloned().unwrap_or_default();
        Some(Violation { label, constraint, beside, ..self.found(Some(field), code) })
    }

    fn found(&self, field: Option<&str>, code: ViolationCode) -> Violation {
        Violation {
            field: field.map(str::to_owned),
            label: None,
            rule: self.name.clone(),
            code,
            message: self.message.clone(),
            severity: self.severity,
            constraint: Map::new(),
            beside: Map::new(),
            reads: self.reads.clone(),
            is_authored: true,
        }
    }

    fn unknown(&self, field: Option<&str>, unknown: Unknown) -> Violation {
        self.unevaluable(field, unknown.reason())
    }

    fn unevaluable(&self, field: Option<&str>, fault: &str) -> Violation {
        let message = format!("Validation rule '{}' could not be evaluated ({fault}) — write rejected.", self.name);
        let constraint = [("rule", json!(self.name)), ("reason", json!("unevaluable")), ("fault", json!(fault))];
        Violation { message, is_authored: false, ..self.found(field, ViolationCode::Rule) }.with(constraint)
    }
}

impl Check {
    /// The fields that it looks at; of one that cannot be evaluated, all.
    fn reads(&self, object: &Object) -> Vec<String> {
        match self {
            Self::Condition { rule, field } => rule.fields().map(str::to_owned).chain(field.iter().cloned()).collect(),
            Self::Format { field, .. } | Self::StateMachine { field, .. } | Self::JsonSchema { field, .. } => {
                vec![field.clone()]
            }
            Self::Conditional { when, then, otherwise } => {
                let inner = std::iter::once(then).chain(otherwise).flat_map(|rule| rule.reads.iter().cloned());
                when.fields().map(str::to_owned).chain(inner).collect()
            }
            Self::Native { fields, .. } if !fields.is_empty() => fields.clone(),
            Self::Native { .. } | Self::Broken => object.fields.keys().cloned().collect(),
        }
    }
}

/// Why a check cannot be evaluated, and where that stands.
struct Broken {
    reason: String,
    is_mistake: bool,
    location: Location,
}

/// Compiles the validations of one object.
struct Compiler<'c> {
    object: &'c Object,
    snapshot: &'c Snapshot,
    extensions: &'c Extensions,
    faults: &'c mut Vec<RuleFault>,
}

impl Compiler<'_> {
    fn validation(&mut self, rule: &Validation) -> CompiledValidation {
        let check = match self.check(rule) {
            Ok(check) => check,
            Err(Broken { reason, is_mistake, location }) => {
                self.faults.push(RuleFault { rule: rule.name.clone(), reason, is_mistake, location });
                Check::Broken
            }
        };
        CompiledValidation {
            name: rule.name.clone(),
            message: rule.message.clone(),
            events: rule.events,
            severity: rule.severity,
            reads: check.reads(self.object),
            check,
        }
    }

    fn condition(&self, expression: &Expression) -> Result<Rule, Broken> {
        let compiled = Rule::compile(expression, self.object, Reach::PreviousAndReferred(self.snapshot));
        compiled.map_err(|reason| Broken {
            is_mistake: reason.is_mistake(),
            reason: reason.text,
            location: expression.location.clone(),
        })
    }

    fn check(&mut self, rule: &Validation) -> Result<Check, Broken> {
        let here = |reason: String| Broken { reason, is_mistake: false, location: rule.location.clone() };
        Ok(match &rule.check {
            ValidationCheck::Condition { condition: source, fields } => {
                Check::Condition { rule: self.condition(source)?, field: fields.first().cloned() }
            }
            ValidationCheck::Format { field, regex, format } => {
                let pattern = regex.as_deref().map(Pattern::compile).transpose().map_err(here)?;
                Check::Format { field: field.clone(), pattern, format: *format }
            }
            ValidationCheck::StateMachine { field, transitions, initial_states } => Check::StateMachine {
                field: field.clone(),
                transitions: transitions.clone(),
                initial: initial_states.clone(),
            },
            ValidationCheck::JsonSchema { field, schema } => {
                Check::JsonSchema { field: field.clone(), schema: Schema::compile(schema).map_err(here)? }
            }
            ValidationCheck::Conditional { when, then, otherwise } => Check::Conditional {
                when: self.condition(when)?,
                then: Box::new(self.validation(then)),
                otherwise: otherwise.as_ref().map(|rule| Box::new(self.validation(rule))),
            },
            ValidationCheck::Native { name, fields } => match self.extensions.validation(name) {
                Some(validation) => Check::Native { validation: validation.clone(), fields: fields.clone() },
                None => return Err(here(format!("no extension has the validation '{name}'"))),
            },
        })
    }
}

/// A value that the write sets and that is not empty.
fn given<'r>(assigned: &'r Row, field: &str) -> Option<&'r Value> {
    assigned.get(field).filter(|value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => true,
    })
}

fn has_format(format: TextFormat, value: &Value, text: &str) -> bool {
    match format {
        TextFormat::Email => texts::has_email_form(text),
        TextFormat::Url => texts::is_absolute_url(text),
        TextFormat::Phone => texts::has_strict_phone_form(text),
        // What is structured already is JSON.
        TextFormat::Json => !value.is_string() || querygate_types::json::value::value(text).is_ok(),
    }
}

fn state_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
