//! What is wrong with a written record, in the vendor's codes and words. Decides nothing.

use querygate_metadata::model::{Field, ValidationSeverity};
use querygate_types::vendor::{FieldFault, VendorCode};
use querygate_types::{Error, ErrorCode};
use serde_json::{Map, Value};

/// The vendor's code of a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ViolationCode {
    /// The object has no such field.
    UnknownField,
    /// The field is computed and takes no value.
    Computed,
    /// The field takes no value of a user, and the door does not drop it silently.
    Readonly,
    /// The gate cannot keep such a value as it must be kept.
    NotKept,
    Required,
    MinLength,
    MaxLength,
    MinValue,
    MaxValue,
    MaxScale,
    MaxPrecision,
    InvalidType,
    InvalidNumber,
    InvalidBoolean,
    InvalidEmail,
    InvalidUrl,
    InvalidPhone,
    InvalidDate,
    InvalidTime,
    InvalidOption,
    ValueDomain,
    ReferenceNotFound,
    /// A script, a cross-field rule, or a rule that could not be evaluated.
    Rule,
    InvalidFormat,
    InvalidInitialState,
    InvalidTransition,
    JsonSchema,
    InvalidJson,
    Unique,
    DeleteRestricted,
    /// An extension's own.
    Own(&'static str),
}

impl ViolationCode {
    /// The code as the vendor spells it in `fields[]`, or of the whole answer where it has no place there.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownField | Self::Computed => "INVALID_FIELD",
            Self::Readonly => "readonly",
            Self::NotKept => "not_supported",
            Self::Required => "required",
            Self::MinLength => "min_length",
            Self::MaxLength => "max_length",
            Self::MinValue => "min_value",
            Self::MaxValue => "max_value",
            Self::MaxScale => "max_scale",
            Self::MaxPrecision => "max_precision",
            Self::InvalidType => "invalid_type",
            Self::InvalidNumber => "invalid_number",
            Self::InvalidBoolean => "invalid_boolean",
            Self::InvalidEmail => "invalid_email",
            Self::InvalidUrl => "invalid_url",
            Self::InvalidPhone => "invalid_phone",
            Self::InvalidDate => "invalid_date",
            Self::InvalidTime => "invalid_time",
            Self::InvalidOption => "invalid_option",
            Self::ValueDomain => "value_domain",
            Self::ReferenceNotFound => "reference_not_found",
            Self::Rule => "rule_violation",
            Self::InvalidFormat => "invalid_format",
            Self::InvalidInitialState => "invalid_initial_state",
            Self::InvalidTransition => "invalid_transition",
            Self::JsonSchema => "json_schema_violation",
            Self::InvalidJson => "invalid_json",
            Self::Unique => "UNIQUE_VIOLATION",
            Self::DeleteRestricted => "DELETE_RESTRICTED",
            Self::Own(code) => code,
        }
    }

    /// The code of the whole answer, as doors of ObjectStack's interface say it.
    #[must_use]
    pub const fn vendor(self) -> VendorCode {
        match self {
            Self::UnknownField | Self::Computed => VendorCode::InvalidField,
            Self::Unique => VendorCode::UniqueViolation,
            Self::DeleteRestricted => VendorCode::DeleteRestricted,
            Self::NotKept => VendorCode::NotImplemented,
            Self::Readonly
            | Self::Required
            | Self::MinLength
            | Self::MaxLength
            | Self::MinValue
            | Self::MaxValue
            | Self::MaxScale
            | Self::MaxPrecision
            | Self::InvalidType
            | Self::InvalidNumber
            | Self::InvalidBoolean
            | Self::InvalidEmail
            | Self::InvalidUrl
            | Self::InvalidPhone
            | Self::InvalidDate
            | Self::InvalidTime
            | Self::InvalidOption
            | Self::ValueDomain
            | Self::ReferenceNotFound
            | Self::Rule
            | Self::InvalidFormat
            | Self::InvalidInitialState
            | Self::InvalidTransition
            | Self::JsonSchema
            | Self::InvalidJson
            | Self::Own(_) => VendorCode::ValidationFailed,
        }
    }

    /// The gate's error code, and by it the SQLSTATE.
    #[must_use]
    pub const fn error(self) -> ErrorCode {
        match self {
            Self::UnknownField => ErrorCode::UndefinedColumn,
            Self::Computed | Self::Readonly => ErrorCode::GeneratedAlways,
            Self::NotKept => ErrorCode::FeatureNotSupported,
            Self::Required => ErrorCode::NotNullViolation,
            Self::MaxLength => ErrorCode::StringDataTooLong,
            Self::MaxScale | Self::MaxPrecision => ErrorCode::NumericOutOfRange,
            Self::InvalidType | Self::InvalidNumber | Self::InvalidBoolean | Self::InvalidJson => {
                ErrorCode::InvalidTextRepresentation
            }
            Self::InvalidDate | Self::InvalidTime => ErrorCode::InvalidDatetimeFormat,
            Self::ReferenceNotFound | Self::DeleteRestricted => ErrorCode::ForeignKeyViolation,
            Self::Unique => ErrorCode::UniqueViolation,
            Self::MinLength
            | Self::MinValue
            | Self::MaxValue
            | Self::InvalidEmail
            | Self::InvalidUrl
            | Self::InvalidPhone
            | Self::InvalidOption
            | Self::ValueDomain
            | Self::Rule
            | Self::InvalidFormat
            | Self::InvalidInitialState
            | Self::InvalidTransition
            | Self::JsonSchema
            | Self::Own(_) => ErrorCode::CheckViolation,
        }
    }
}

/// One thing that is wrong with a record. The message names the caller's own values only.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// The field it is about; `None` for the record as a whole.
    pub field: Option<String>,
    /// The field's label, where the message was made by the platform.
    pub label: Option<String>,
    /// Name of the rule: a validation's own, else of the field and what it demands.
    pub rule: String,
    pub code: ViolationCode,
    pub message: String,
    pub severity: ValidationSeverity,
    /// What was demanded, for clients that make their own texts, and who read the fields that it was found by: a state may be
    /// of a field that the caller cannot read.
    pub constraint: Map<String, Value>,
    /// Members beside it: the caller's own value, the options that there are.
    pub beside: Map<String, Value>,
    /// Fields of the record that it was found by.
    pub reads: Vec<String>,
    /// Whether the message stands in the metadata, written for those who are refused, and was not made here.
    pub is_authored: bool,
}

impl Violation {
    /// Of a field's own contract.
    pub(super) fn of_field(field: &Field, code: ViolationCode, message: String) -> Self {
        Self {
            field: Some(field.name.clone()),
            label: Some(field.label.clone()),
            rule: format!("{}_{}", field.name, code.name().to_ascii_lowercase()),
            code,
            message,
            severity: ValidationSeverity::Error,
            constraint: Map::new(),
            beside: Map::new(),
            reads: vec![field.name.clone()],
            is_authored: false,
        }
    }

    pub(super) fn with<const N: usize>(mut self, constraint: [(&str, Value); N]) -> Self {
        self.constraint.extend(constraint.map(|(key, value)| (key.to_owned(), value)));
        self
    }

    pub(super) fn beside<const N: usize>(mut self, members: [(&str, Value); N]) -> Self {
        self.beside.extend(members.map(|(key, value)| (key.to_owned(), value)));
        self
    }

    /// As doors tell it. `reads`: whether the writer reads a field.
    #[must_use]
    pub fn fault(&self, reads: &dyn Fn(&str) -> bool) -> FieldFault {
        let mut facts = Map::new();
        if is_shown(self, reads) {
            if !self.constraint.is_empty() {
                facts.insert("constraint".to_owned(), self.constraint.clone().into());
            }
            facts.extend(self.beside.clone());
        }
        FieldFault {
            field: self.field_name().to_owned(),
            code: self.code.name(),
            message: self.message.clone(),
            label: self.label.clone(),
            facts,
        }
    }

    /// The field as the vendor spells it, `_record` for the record as a whole.
    #[must_use]
    pub fn field_name(&self) -> &str {
        self.field.as_deref().unwrap_or("_record")
    }
}

impl From<Violation> for Error {
    /// The constraint's name and the column are the violation's `rule` and `field`, which the error does not repeat.
    fn from(violation: Violation) -> Self {
        let (fault, vendor) = (violation.fault(&|_| false), violation.code.vendor());
        Self::new(violation.code.error(), violation.message).with_vendor_code(vendor).with_faults(vec![fault])
    }
}

/// Bounds of what an error repeats of violations after the first.
const OTHERS_MAX: usize = 10;
const OTHERS_BYTES_MAX: usize = 2_000;

/// The error of a record with these violations: the first one's code and message, the rule's name where a check failed, and the other
/// messages as the detail. `reads`: whether the writer reads a field; of what was found by another one the client gets only an
/// author's message. `None`: nothing is wrong.
pub fn refusal(violations: &[Violation], relation: &str, reads: &dyn Fn(&str) -> bool) -> Option<Error> {
    let (first, others) = violations.split_first()?;
    let shown = violations.iter().filter(|violation| is_shown(violation, reads));
    let faults = shown.map(|violation| violation.fault(reads)).collect();
    let error = Error::new(first.code.error(), told(first, relation, reads));
    let error = error.with_vendor_code(first.code.vendor()).with_faults(faults);
    let error = match first.code.error() {
        ErrorCode::CheckViolation if is_shown(first, reads) => error.with_constraint(&first.rule),
        _ => error,
    };
    let mut detail = String::new();
    for (number, other) in others.iter().enumerate() {
        let message = told(other, relation, reads);
        if number == OTHERS_MAX || detail.len() + message.len() > OTHERS_BYTES_MAX {
            detail.push_str(&format!("; and {} more", others.len() - number));
            break;
        }
        detail.push_str(if number == 0 { "Also: " } else { "; " });
        detail.push_str(message.trim_end_matches('.'));
    }
    Some(if detail.is_empty() { error } else { error.with_detail(format!("{detail}.")) })
}

fn is_shown(violation: &Violation, reads: &dyn Fn(&str) -> bool) -> bool {
    violation.reads.iter().all(|field| reads(field))
}

fn told(violation: &Violation, relation: &str, reads: &dyn Fn(&str) -> bool) -> String {
    if violation.is_authored || is_shown(violation, reads) {
        return violation.message.clone();
    }
    format!("new row for relation \"{relation}\" violates a rule about columns that are not shown")
}
