//! Which values of new records are stored as they are given, said of a value without its record: so that many records are judged column by
//! column. It never says so of a value that the evaluation of its record would refuse or change; where it does not know, it says no.

use super::Row;
use super::condition::Scene;
use super::contract::{is_within_precision, whole_numbers};
use super::forms::domains;
use super::forms::texts::{self, has_email_form, has_phone_form, has_url_form, js_length};
use super::object::ObjectRules;
use super::referred::ReferredRecords;
use super::rights::GrantedRights;
use super::stamp::{Stamp, is_dropped};
use super::validation::{CompiledValidation, Written};
use crate::query_filter::{Column, ColumnKind};
use crate::value::MOMENTS;
use querygate_metadata::model::{Field, FieldType, ValidationSeverity};
use querygate_types::principal::Principal;
use std::collections::BTreeSet;

/// 0001-01-01 and 9999-12-31, in days since 1970-01-01: dates that are spelled in one way.
const DAYS: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;
const DAY_MICROS: i64 = 86_400_000_000;
/// Decimals of this many digits and fewer are doubles of their own.
const EXACT_MAX: u128 = 999_999_999_999_999;

/// A value that is not NULL, before it is one of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GivenValue<'v> {
    Text(&'v str),
    Whole(i64),
    /// `value` × 10^−`scale`.
    Decimal {
        value: i128,
        scale: u8,
    },
    Double(f64),
    Boolean(bool),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01.
    Instant(i64),
    /// Microseconds since midnight.
    Time(i64),
}

/// The contract of one field, for values without their records.
#[derive(Debug, Clone, Copy)]
pub struct ValueContract<'r> {
    field: &'r Field,
    kind: Kind,
    takes_null: bool,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Nothing is demanded.
    Any,
    Text(fn(&str) -> bool),
    Uuid,
    Reference,
    Option,
    Number,
    Boolean,
    Date,
    Instant,
    Time,
}

/// The contracts of fields that a statement gives values to, and the validations of their records. What else has a say in a record is
/// listed by [`CompiledPolicy::mechanisms`](crate::CompiledPolicy::mechanisms).
#[derive(Debug)]
pub struct ColumnContracts<'r> {
    rules: &'r ObjectRules,
    contracts: Vec<ValueContract<'r>>,
}

impl ObjectRules {
    /// The contracts of these fields. `None`: values of one of them are judged with their record only.
    #[must_use]
    pub fn by_columns(&self, assigned: &[String], stamps: &[Stamp]) -> Option<ColumnContracts<'_>> {
        if !self.referred.is_empty() || self.validations.iter().any(CompiledValidation::is_native) {
            return None;
        }
        let contracts = assigned.iter().map(|name| self.contract(name, stamps)).collect::<Option<_>>()?;
        Some(ColumnContracts { rules: self, contracts })
    }

    fn contract(&self, name: &str, stamps: &[Stamp]) -> Option<ValueContract<'_>> {
        let (field, rules) = self.pair(name)?;
        let is_own = field.system && field.readonly && field.name != "id";
        if !field.stored() || is_own || is_dropped(field) {
            return None;
        }
        let stamp = stamps.iter().find(|stamp| stamp.field == field.name);
        if stamp.is_some_and(|stamp| !stamp.only_missing) {
            return None;
        }
        let is_checked = super::evaluate::is_checked(field);
        let is_filled = rules.default.is_some() || field.summary.is_some() || stamp.is_some();
        let is_required = is_checked && (field.required || field.not_null) && !field.readonly;
        let kind = if is_checked { kind(field)? } else { Kind::Any };
        Some(ValueContract { field, kind, takes_null: !is_filled && !is_required })
    }
}

/// How values of a field are looked at; `None`: only with their record.
fn kind(field: &Field) -> Option<Kind> {
    use FieldType as F;
    if field.multiple || field.field_type == F::Secret {
        return None;
    }
    if field.column_type.is_some() {
        match Column::from(field).kind() {
            ColumnKind::Number => return Some(Kind::Number),
            ColumnKind::Boolean => return Some(Kind::Boolean),
            ColumnKind::Date => return Some(Kind::Date),
            ColumnKind::Timestamp => return Some(Kind::Instant),
            ColumnKind::Time => return Some(Kind::Time),
            ColumnKind::Uuid => return Some(Kind::Uuid),
            ColumnKind::Text => {}
            ColumnKind::List | ColumnKind::Json | ColumnKind::ReadFromText | ColumnKind::Computed => return None,
        }
    }
    match field.field_type {
        F::Text | F::Textarea | F::Markdown | F::Html | F::Richtext | F::Code | F::Signature | F::Qrcode | F::Color => {
            Some(Kind::Text(|_| true))
        }
        F::Email => Some(Kind::Text(has_email_form)),
        F::Url => Some(Kind::Text(has_url_form)),
        F::Phone => Some(Kind::Text(has_phone_form)),
        F::Lookup | F::MasterDetail | F::Tree | F::User => Some(Kind::Reference),
        F::Number | F::Currency | F::Percent | F::Rating | F::Slider | F::Progress => Some(Kind::Number),
        F::Boolean | F::Toggle => Some(Kind::Boolean),
        F::Date => Some(Kind::Date),
        F::Datetime => Some(Kind::Instant),
        F::Time => Some(Kind::Time),
        F::Select | F::Radio => Some(Kind::Option),
        F::Password
        | F::Secret
        | F::Image
        | F::File
        | F::Avatar
        | F::Video
        | F::Audio
        | F::Location
        | F::Address
        | F::Json
        | F::Composite
        | F::Record
        | F::Repeater
        | F::Vector
        | F::Multiselect
        | F::Checkboxes
        | F::Tags
        | F::Summary
        | F::Formula
        | F::Autonumber => None,
    }
}

impl ValueContract<'_> {
    /// Whether NULL stays NULL.
    #[must_use]
    pub fn keeps_null(&self) -> bool {
        self.takes_null
    }

    /// Whether a value is stored as it is given.
    #[must_use]
    pub fn keeps(&self, value: GivenValue<'_>) -> bool {
        let is_spelled = match value {
            GivenValue::Double(double) => double.is_finite(),
            GivenValue::Date(day) => DAYS.contains(&day),
            GivenValue::Instant(micros) => {
                i32::try_from(micros.div_euclid(DAY_MICROS)).is_ok_and(|day| DAYS.contains(&day))
            }
            GivenValue::Time(micros) => (0..DAY_MICROS).contains(&micros),
            GivenValue::Text(_) | GivenValue::Whole(_) | GivenValue::Decimal { .. } | GivenValue::Boolean(_) => true,
        };
        is_spelled
            && match (self.kind, value) {
                (Kind::Any, _)
                | (Kind::Boolean, GivenValue::Boolean(_))
                | (Kind::Date, GivenValue::Date(_))
                | (Kind::Time, GivenValue::Time(_)) => true,
                // Earlier ones are refused in some releases, where the column is none of an instant's own type.
                (Kind::Instant, GivenValue::Instant(micros)) => {
                    self.field.column_type.is_some() || MOMENTS.contains(&micros.div_euclid(1_000))
                }
                (Kind::Text(has_form), GivenValue::Text(text)) => has_value(text) && has_form(text) && self.fits(text),
                (Kind::Reference, GivenValue::Text(text)) => has_value(text),
                (Kind::Uuid, GivenValue::Text(text)) => {
                    querygate_types::uuid::canonical(text).is_some_and(|form| form == text)
                }
                (Kind::Option, GivenValue::Text(text)) => {
                    has_value(text) && (self.field.options.is_empty() || self.field.option(text).is_some())
                }
                #[expect(clippy::cast_precision_loss, reason = "rules compute with doubles")]
                (Kind::Number, GivenValue::Whole(whole)) => {
                    let range = whole_numbers(self.field.value_type());
                    range.is_none_or(|range| range.contains(&whole)) && self.counts(whole as f64, 0)
                }
                // Of whole numbers, such a value is refused, or stored as another.
                (Kind::Number, GivenValue::Double(_) | GivenValue::Decimal { .. })
                    if whole_numbers(self.field.value_type()).is_some() =>
                {
                    false
                }
                (Kind::Number, GivenValue::Double(double)) => {
                    let counts_places = self.field.scale.is_some() || self.field.precision.is_some();
                    self.counts(double, if counts_places { texts::decimal_places(double) } else { 0 })
                }
                (Kind::Number, GivenValue::Decimal { value, scale }) => {
                    exact_double(value, scale).is_some_and(|double| self.counts(double, places(value, scale)))
                }
                (
                    Kind::Text(_)
                    | Kind::Reference
                    | Kind::Uuid
                    | Kind::Option
                    | Kind::Number
                    | Kind::Boolean
                    | Kind::Date
                    | Kind::Instant
                    | Kind::Time,
                    _,
                ) => false,
            }
    }

    fn fits(&self, text: &str) -> bool {
        let most = |max: u32| text.len() <= max as usize || js_length(text) <= max as usize;
        self.field.max_length.is_none_or(most)
            && self.field.min_length.is_none_or(|min| js_length(text) >= min as usize)
            && self.field.value_domain.is_none_or(|domain| domains::holds(domain, text))
    }

    fn counts(&self, number: f64, places: usize) -> bool {
        let has_places = self.field.scale.is_none_or(|scale| places <= scale as usize);
        has_places
            && is_within_precision(self.field, number, places)
            && self.field.min.is_none_or(|min| number >= min)
            && self.field.max.is_none_or(|max| number <= max)
    }
}

/// Not blank: blanks are stored in several ways.
fn has_value(text: &str) -> bool {
    !text.trim().is_empty()
}

/// The double that a decimal's text is read as, where it has the decimal's digits.
fn exact_double(value: i128, scale: u8) -> Option<f64> {
    if value.unsigned_abs() > EXACT_MAX || scale > 22 {
        return None;
    }
    let whole = i64::try_from(value).ok()?;
    #[expect(clippy::cast_precision_loss, reason = "fifteen digits, and a power of ten that a double is")]
    Some(whole as f64 / 10_f64.powi(i32::from(scale)))
}

/// Digits after the point, without zeros at the end.
fn places(mut value: i128, scale: u8) -> usize {
    let mut places = usize::from(scale);
    while places > 0 && value % 10 == 0 {
        value /= 10;
        places -= 1;
    }
    places
}

impl<'r> ColumnContracts<'r> {
    /// One for each of the fields.
    #[must_use]
    pub fn contracts(&self) -> &[ValueContract<'r>] {
        &self.contracts
    }

    /// Fields that validations of new records read.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<&'r str> {
        self.rules.validations.iter().filter(|rule| rule.is_for_inserts()).flat_map(|rule| rule.reads()).collect()
    }

    /// Whether no validation refuses a new record, of which these are the fields that validations read.
    #[must_use]
    pub fn passes(&self, record: &Row, principal: &Principal, now_ms: i64) -> bool {
        let (referred, rights) = (&ReferredRecords::default(), &GrantedRights::default());
        let scene = Scene { record, previous: None, parent: None, referred, rights, principal, now_ms };
        let written = Written { assigned: record, scene };
        let found = self.rules.validations.iter().flat_map(|rule| rule.violations(&written, &self.rules.object));
        found.map(|violation| violation.severity).all(|severity| severity != ValidationSeverity::Error)
    }
}
