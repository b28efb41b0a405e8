//! Evaluates an object's rules on one written record, in the vendor's order (reference, sections 8, 9 and 14): what is dropped,
//! defaults, stamps, each field's contract, and validations where no field failed. Does no I/O.

use super::Row;
use super::condition::{Rule, Scene, Unknown};
use super::contract::{self, is_missing};
use super::defaults::{self, Unset};
use super::object::{FieldRules, ObjectRules, When};
use super::referred::ReferredRecords;
use super::rights::GrantedRights;
use super::stamp::{Stamp, is_dropped};
use super::validation::Written;
use super::violation::{Violation, ViolationCode};
use querygate_metadata::model::{Field, FieldType, StrictRule, SummaryFunction, ValidationSeverity};
use querygate_types::principal::Principal;
use serde_json::Value;

/// What a door does with a value that a caller gives to a field that takes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadonlyMode {
    /// SQL: refuses the write.
    Refuse,
    /// The vendor's: leaves the value out, and says so.
    Drop,
    /// The platform's own write, such as that of a roll-up: stores it.
    Keep,
}

/// The write of one record.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'r> {
    /// What the caller gave.
    pub payload: &'r Row,
    /// The stored record of an update; `None` for an insert.
    pub previous: Option<&'r Row>,
    /// The record's master, where rules read it (see [`ObjectRules::parent_field`]).
    pub parent: Option<&'r Row>,
    /// Records that it refers to, where validations read them (see [`ObjectRules::referred`]).
    pub referred: &'r ReferredRecords,
    /// What the principal may do, of what defaults and options ask for (see [`Evaluator::granted`](crate::Evaluator::granted)).
    pub rights: &'r GrantedRights,
    pub principal: &'r Principal,
    /// What the platform fills; a permit has them.
    pub stamps: &'r [Stamp],
    pub readonly: ReadonlyMode,
    /// Fields of the payload that a hook has set, which may set those that take no value of a caller.
    pub made: &'r [String],
    /// Milliseconds since 1970.
    pub now_ms: i64,
}

/// Why a caller's value was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DroppedReason {
    Readonly,
    ReadonlyWhen,
}

impl DroppedReason {
    /// As the vendor spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Readonly => "readonly",
            Self::ReadonlyWhen => "readonly_when",
        }
    }
}

/// A caller's value that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub field: String,
    pub reason: DroppedReason,
}

/// What the rules make of a write.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// What the caller gave and was not left out, as it is stored.
    pub given: Row,
    /// The record as it would be stored, but for autonumbers.
    pub record: Row,
    pub dropped: Vec<Dropped>,
    /// What refuses the write; empty where it may go on.
    pub violations: Vec<Violation>,
    /// What is only reported: warnings, and conditions of fields without a value.
    pub notices: Vec<Violation>,
}

impl ObjectRules {
    /// Evaluates the rules on the write of one record. References, unique values and autonumbers are asked for afterwards.
    #[must_use]
    pub fn evaluate(&self, attempt: &Attempt<'_>) -> Outcome {
        let mut outcome = self.shape(attempt);
        if outcome.violations.is_empty() {
            self.validate(attempt, &mut outcome);
        }
        outcome
    }

    /// The record that a write makes, and what refuses a value of it by itself. Requirements, options and validations, which read the
    /// record as a whole, were not asked yet.
    #[must_use]
    pub fn shape(&self, attempt: &Attempt<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        if self.refuses_fields(attempt, &mut outcome) || self.refuses_secrets(attempt, &mut outcome) {
            return outcome;
        }
        match attempt.previous {
            None => self.insert(attempt, &mut outcome),
            Some(previous) => self.update(attempt, previous, &mut outcome),
        }
        outcome
    }

    /// Fields that are not there or take no value at all. The door's rights ask the same first.
    fn refuses_fields(&self, attempt: &Attempt<'_>, outcome: &mut Outcome) -> bool {
        for name in attempt.payload.keys() {
            let code = match self.object.field(name) {
                Some(field) if field.stored() => continue,
                Some(field) if !field.field_type.stored() => ViolationCode::Computed,
                Some(_) | None => ViolationCode::UnknownField,
            };
            let message = format!("Unknown field '{name}' on object '{}'", self.object.name);
            outcome.violations.push(record_violation(name, code, message));
            return true;
        }
        false
    }

    /// Values of secrets, of a caller or of a hook: they come before all contracts, and before any value is left out.
    fn refuses_secrets(&self, attempt: &Attempt<'_>, outcome: &mut Outcome) -> bool {
        let given = attempt.payload.iter().filter_map(|(name, value)| Some((self.object.field(name)?, value)));
        let mut secrets = given.filter(|(field, _)| field.field_type == FieldType::Secret);
        let Some((field, _)) = secrets.find(|(field, value)| !is_missing(field, Some(*value))) else { return false };
        outcome.violations.push(*contract::secret(field));
        true
    }

    /// Whether the caller's value for a field is left out, and that is said.
    fn drops(&self, attempt: &Attempt<'_>, field: &Field, outcome: &mut Outcome) -> bool {
        let is_own = field.system && field.readonly && field.name != "id";
        let is_number = field.field_type == FieldType::Autonumber;
        if attempt.readonly == ReadonlyMode::Keep {
            return false;
        }
        if field.name == "id" {
            return self.keeps_id(attempt, field, outcome);
        }
        if attempt.made.contains(&field.name) {
            return false;
        }
        if !is_dropped(field) && !is_own && !is_number {
            return false;
        }
        // The tenant wall judges the organization that a new record names.
        let is_organization = self.object.tenant_field().is_some_and(|tenant| tenant.name == field.name);
        let is_walled = attempt.stamps.iter().any(|stamp| stamp.field == field.name);
        if attempt.previous.is_none()
            && is_organization
            && is_walled
            && self.protocol.has(StrictRule::OtherOrganization)
        {
            return false;
        }
        // What is stamped anyway is overwritten, not left out.
        let is_stamped = attempt.stamps.iter().any(|stamp| stamp.field == field.name);
        match attempt.readonly {
            ReadonlyMode::Refuse => outcome.violations.push(readonly(field)),
            ReadonlyMode::Keep => {}
            ReadonlyMode::Drop if is_stamped => {}
            ReadonlyMode::Drop => {
                outcome.dropped.push(Dropped { field: field.name.clone(), reason: DroppedReason::Readonly });
            }
        }
        true
    }

    /// An update does not change an id: the vendor ignores one, SQL hears that it is another.
    fn keeps_id(&self, attempt: &Attempt<'_>, field: &Field, outcome: &mut Outcome) -> bool {
        let Some(previous) = attempt.previous else { return false };
        let is_same = attempt.payload.get("id") == previous.get("id");
        if attempt.readonly == ReadonlyMode::Refuse && !is_same {
            outcome.violations.push(readonly(field));
        }
        true
    }

    fn insert(&self, attempt: &Attempt<'_>, outcome: &mut Outcome) {
        let mut record: Row =
            self.object.fields.values().filter(|f| f.stored()).map(|f| (f.name.clone(), Value::Null)).collect();
        for (name, value) in attempt.payload {
            if let Some(field) = self.object.field(name)
                && !self.drops(attempt, field, outcome)
            {
                record.insert(name.clone(), value.clone());
                outcome.given.insert(name.clone(), value.clone());
            }
        }
        for (field, rules) in self.pairs() {
            self.fill(attempt, field, rules, &mut record, outcome);
        }
        self.apply_stamps(attempt, &mut record);
        for (field, _) in self.pairs().filter(|(field, _)| is_checked(field)) {
            let value = record.get(&field.name).cloned().unwrap_or(Value::Null);
            self.store(field, &value, false, &mut record, outcome);
        }
        outcome.record = record;
    }

    /// The default of a field without a value, zero for a roll-up of no children. A default that has no value for this record
    /// leaves none, and that is said.
    fn fill(&self, attempt: &Attempt<'_>, field: &Field, rules: &FieldRules, record: &mut Row, outcome: &mut Outcome) {
        if record.get(&field.name).is_none_or(|value| !value.is_null()) {
            return;
        }
        let value = match (&rules.default, &field.summary) {
            (Some(default), _) => match defaults::value(default, field, &self.scene(attempt, record), self.protocol) {
                Ok(value) => value,
                Err(unset) => {
                    let message = format!("the default of {} could not be evaluated ({})", field.label, unset.reason());
                    let violation = record_violation(&field.name, ViolationCode::Rule, message);
                    match unset {
                        Unset::Broken => outcome.violations.push(violation),
                        Unset::Unknown(_) => {
                            outcome.notices.push(Violation { severity: ValidationSeverity::Warning, ..violation });
                        }
                    }
                    return;
                }
            },
            (None, Some(summary)) => match summary.function {
                SummaryFunction::Count | SummaryFunction::Sum => Value::from(0),
                SummaryFunction::Min | SummaryFunction::Max | SummaryFunction::Avg => return,
            },
            (None, None) => return,
        };
        record.insert(field.name.clone(), value);
    }

    fn update(&self, attempt: &Attempt<'_>, previous: &Row, outcome: &mut Outcome) {
        let mut record = previous.clone();
        for (name, value) in attempt.payload {
            let Some(field) = self.object.field(name) else { continue };
            if self.drops(attempt, field, outcome) {
                continue;
            }
            outcome.given.insert(name.clone(), value.clone());
            record.insert(name.clone(), value.clone());
            if is_checked(field) {
                self.store(field, value, true, &mut record, outcome);
            }
        }
        self.lock(attempt, previous, &mut record, outcome);
        self.apply_stamps(attempt, &mut record);
        outcome.record = record;
    }

    /// Checks a value and puts it into the record as it is stored.
    fn store(&self, field: &Field, value: &Value, clears: bool, record: &mut Row, outcome: &mut Outcome) {
        match self.checked(field, value, clears) {
            None => {}
            Some(Ok(stored)) => {
                if let Some(given) = outcome.given.get_mut(&field.name) {
                    given.clone_from(&stored);
                }
                record.insert(field.name.clone(), stored);
            }
            Some(Err(violation)) => outcome.violations.push(*violation),
        }
    }

    /// What a field's contract makes of a value, or says against it; `None`: it is stored as it is.
    fn checked(&self, field: &Field, value: &Value, clears: bool) -> Option<Result<Value, Box<Violation>>> {
        if !is_missing(field, Some(value)) {
            return Some(
                self.refuse_structure(field, value).and_then(|()| contract::check(field, value, self.protocol)),
            );
        }
        if (field.required || field.not_null) && !field.readonly {
            return Some(Err(Box::new(contract::required(field, clears))));
        }
        value.is_string().then(|| contract::check_blank(field, value, self.protocol))
    }

    /// What is stored of a value that a caller gives to a field, said before the evaluation of its record says the same. `None`: it
    /// refuses the value, or there is no such field.
    #[must_use]
    pub fn stored_value(&self, name: &str, value: &Value) -> Option<Value> {
        let field = self.object.field(name)?;
        if !is_checked(field) {
            return Some(value.clone());
        }
        match self.checked(field, value, false) {
            None => Some(value.clone()),
            Some(checked) => checked.ok(),
        }
    }

    /// No list and no object is a key: its text would be stored, and the record would not be found by it.
    fn refuse_structure(&self, field: &Field, value: &Value) -> Result<(), Box<Violation>> {
        let is_key = || self.object.key().iter().any(|key| key.name == field.name);
        let is_structure = matches!(value, Value::Array(_) | Value::Object(_));
        if is_structure && is_key() { Err(contract::no_key(field, value)) } else { Ok(()) }
    }

    /// Takes back values of fields that `readonlyWhen` locks. A condition without a value locks.
    fn lock(&self, attempt: &Attempt<'_>, previous: &Row, record: &mut Row, outcome: &mut Outcome) {
        if attempt.readonly == ReadonlyMode::Keep {
            return;
        }
        let scene = Scene { previous: Some(previous), ..self.scene(attempt, record) };
        let is_locked = |name: &&String| {
            let when = self.pair(name.as_str()).and_then(|(_, rules)| rules.readonly_when.as_ref());
            match when {
                None => false,
                Some(When::Broken) => true,
                Some(When::Rule(rule)) => rule.holds(&scene).unwrap_or(true),
            }
        };
        let locked: Vec<String> = outcome.given.keys().filter(is_locked).cloned().collect();
        for name in locked {
            match (attempt.readonly, self.object.field(&name)) {
                (ReadonlyMode::Refuse, Some(field)) => outcome.violations.push(readonly(field)),
                (ReadonlyMode::Drop | ReadonlyMode::Keep, _) | (ReadonlyMode::Refuse, None) => {}
            }
            outcome.given.shift_remove(&name);
            record.insert(name.clone(), previous.get(&name).cloned().unwrap_or(Value::Null));
            outcome.dropped.push(Dropped { field: name, reason: DroppedReason::ReadonlyWhen });
        }
    }

    /// `requiredWhen`, then the validations by priority.
    fn validate(&self, attempt: &Attempt<'_>, outcome: &mut Outcome) {
        let record = std::mem::take(&mut outcome.record);
        let scene = self.scene(attempt, &record);
        for (field, rules) in self.pairs() {
            match &rules.required_when {
                None => {}
                Some(When::Broken) => outcome.notices.push(unknown_requirement(field, None)),
                Some(When::Rule(rule)) => self.require(field, rule, &scene, outcome),
            }
        }
        for (field, rules) in self.pairs() {
            self.choose(field, &rules.options, &scene, outcome);
        }
        let assigned = if attempt.previous.is_none() { &record } else { &outcome.given };
        let written = Written { assigned, scene };
        let found = self.validations.iter().flat_map(|rule| rule.violations(&written, &self.object));
        let (errors, others): (Vec<_>, Vec<_>) =
            found.partition(|violation| violation.severity == ValidationSeverity::Error);
        outcome.violations.extend(errors);
        outcome.notices.extend(others);
        outcome.record = record;
    }

    /// A record that lacked the value before, and needed it then, may stay as it is. A condition without a value demands none.
    fn require(&self, field: &Field, rule: &Rule, scene: &Scene<'_>, outcome: &mut Outcome) {
        if !is_missing(field, scene.record.get(&field.name)) {
            return;
        }
        match rule.holds(scene) {
            Ok(false) => {}
            Ok(true) => {
                let violated_before = scene.previous.is_some_and(|previous| {
                    let before = Scene { record: previous, ..*scene };
                    is_missing(field, previous.get(&field.name)) && rule.holds(&before) == Ok(true)
                });
                if !violated_before {
                    outcome.violations.push(contract::required(field, false));
                }
            }
            Err(unknown) if self.protocol.has(StrictRule::UnevaluableRequired) => {
                outcome.violations.push(unevaluable(field, "requiredWhen", unknown));
            }
            Err(unknown) => outcome.notices.push(unknown_requirement(field, Some(unknown))),
        }
    }

    /// An option whose condition does not hold is none, unless the record had it before. Nor is one whose condition has no answer.
    fn choose(&self, field: &Field, options: &[(String, When)], scene: &Scene<'_>, outcome: &mut Outcome) {
        let has = |record: &Row, option: &str| match record.get(&field.name) {
            Some(Value::String(own)) => own == option,
            Some(Value::Array(own)) => own.iter().any(|own| own == option),
            Some(_) | None => false,
        };
        for (option, when) in options {
            let is_new = has(scene.record, option) && !scene.previous.is_some_and(|previous| has(previous, option));
            if !is_new {
                continue;
            }
            match when {
                When::Broken => outcome.violations.push(contract::no_option(field, option)),
                When::Rule(rule) => match rule.holds(scene) {
                    Ok(true) => {}
                    Ok(false) => outcome.violations.push(contract::no_option(field, option)),
                    Err(unknown) => outcome.violations.push(unevaluable(field, "visibleWhen", unknown)),
                },
            }
        }
    }

    fn apply_stamps(&self, attempt: &Attempt<'_>, record: &mut Row) {
        let is_stored = |stamp: &&Stamp| self.object.field(&stamp.field).is_some_and(Field::stored);
        let is_ours = |stamp: &&Stamp| !attempt.made.contains(&stamp.field);
        attempt.stamps.iter().filter(is_stored).filter(is_ours).for_each(|stamp| stamp.apply(record));
    }

    fn scene<'s>(&self, attempt: &Attempt<'s>, record: &'s Row) -> Scene<'s> {
        Scene {
            record,
            previous: attempt.previous,
            parent: attempt.parent,
            referred: attempt.referred,
            rights: attempt.rights,
            principal: attempt.principal,
            now_ms: attempt.now_ms,
        }
    }
}

/// Whether the field's contract looks at written values. What the platform fills is its own business, but for secrets, which it has
/// none of.
pub(super) fn is_checked(field: &Field) -> bool {
    let is_own = field.field_type.is_reference() || field.field_type == FieldType::Secret;
    let is_filled = field.system && !is_own && field.name != "id";
    field.stored() && !is_filled && field.field_type != FieldType::Autonumber
}

fn record_violation(name: &str, code: ViolationCode, message: String) -> Violation {
    Violation {
        field: Some(name.to_owned()),
        label: None,
        rule: name.to_owned(),
        code,
        message,
        severity: ValidationSeverity::Error,
        constraint: serde_json::Map::new(),
        beside: serde_json::Map::new(),
        reads: vec![name.to_owned()],
        is_authored: false,
    }
}

fn readonly(field: &Field) -> Violation {
    record_violation(&field.name, ViolationCode::Readonly, format!("{} takes no value", field.label))
}

fn unevaluable(field: &Field, rule: &str, unknown: Unknown) -> Violation {
    let message = format!("{}: {rule} could not be evaluated ({})", field.label, unknown.reason());
    Violation::of_field(field, ViolationCode::Rule, message).with([("reason", Value::from("unevaluable"))])
}

fn unknown_requirement(field: &Field, unknown: Option<Unknown>) -> Violation {
    let reason = unknown.map_or("it cannot be compiled", Unknown::reason);
    let message = format!("whether {} is required could not be evaluated ({reason})", field.label);
    let violation = record_violation(&field.name, ViolationCode::Required, message);
    Violation { severity: ValidationSeverity::Warning, ..violation }
}
