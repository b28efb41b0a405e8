//! A resolved field. Knows nothing of who may see it.

use super::{EnumType, Expression, FieldType, Location, TextType, ValueType};
use querygate_types::PgType;
use serde::{Deserialize, Serialize};

/// `unique` of a field or index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Uniqueness {
    No,
    /// `true` or `'organization'`: within an organization, nulls do not collide.
    Organization,
    /// `'global'`: in the whole store.
    Global,
}

/// One option of a `select`, `radio`, `multiselect`, `checkboxes` or `tags` field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectOption {
    pub value: String,
    pub label: String,
    pub is_default: bool,
    /// When it may be chosen.
    pub visible_when: Option<Expression>,
}

/// A list of options that fields share by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picklist {
    pub name: String,
    pub label: String,
    /// Its own options, then those of extensions.
    pub parts: Vec<PicklistPart>,
    #[serde(skip)]
    pub location: Location,
}

/// What one package gives to a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PicklistPart {
    pub package: String,
    pub options: Vec<SelectOption>,
}

impl Picklist {
    /// All options, in the order in which they are offered.
    pub fn options(&self) -> impl Iterator<Item = &SelectOption> {
        self.parts.iter().flat_map(|part| &part.options)
    }
}

/// `valueDomain` of a text: a list of values that others keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ValueDomain {
    /// `iana_time_zone`
    TimeZone,
    /// `iso_4217_currency`
    Currency,
    /// `iso_3166_alpha2`
    Country,
}

/// `currencyMode` of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CurrencyMode {
    Dynamic,
    Fixed,
}

/// `currencyConfig` of a currency. The values are bare numbers, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyConfig {
    /// Digits after the point that are shown.
    pub precision: u32,
    pub mode: CurrencyMode,
    pub default_currency: String,
}

/// `maskingRule` of a field, resolved. Lengths count Unicode code points.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MaskingRule {
    /// Keeps head and tail, one `*` per character between; everything is starred when nothing would be hidden.
    /// Presets: phone 3+4, id_card 6+4, bank_account 0+4, name 1+0.
    Window { keep_head: u32, keep_tail: u32 },
    /// First character of the local part and the whole domain; without a local part as `name`.
    Email,
    /// A mask in Rust, by its name without `native:`.
    Native(String),
}

impl MaskingRule {
    /// Presets of the reference, section 6.9.
    pub const PRESETS: &'static [(&'static str, Self)] = &[
        ("phone", Self::Window { keep_head: 3, keep_tail: 4 }),
        ("id_card", Self::Window { keep_head: 6, keep_tail: 4 }),
        ("bank_account", Self::Window { keep_head: 0, keep_tail: 4 }),
        ("name", Self::Window { keep_head: 1, keep_tail: 0 }),
        ("email", Self::Email),
    ];

    /// The preset with this name.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        Self::PRESETS.iter().find(|(preset, _)| *preset == name).map(|(_, rule)| rule.clone())
    }
}

/// `deleteBehavior` of a `lookup` or `master_detail`: what happens to this record when its target is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DeleteBehavior {
    /// Default of `lookup`. On a required lookup it acts as restrict.
    SetNull,
    /// Default of `master_detail`.
    Cascade,
    Restrict,
}

/// `returnType` of a formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FormulaReturn {
    Number,
    Text,
    Boolean,
    Date,
}

/// `summaryOperations.function`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SummaryFunction {
    Count,
    Sum,
    Min,
    Max,
    Avg,
}

/// `summaryOperations`: a stored roll-up over child records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SummaryRollup {
    /// Child object.
    pub object: String,
    /// Child field; empty for a count that names none.
    pub field: String,
    pub function: SummaryFunction,
    /// Child's foreign key; resolved when exactly one child field points back.
    pub relationship_field: Option<String>,
    /// Filter over child rows (reference 5.1), as written.
    pub filter: Option<serde_json::Value>,
}

/// `defaultValue` of a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DefaultValue {
    Literal(serde_json::Value),
    /// Token `NOW()`.
    Now,
    /// Token `current_user`.
    CurrentUser,
    Expression(Expression),
}

/// A resolved field, declared or injected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    /// Label; the name when none is declared.
    pub label: String,
    pub description: Option<String>,
    pub field_type: FieldType,
    /// The value is a list: `multiple: true`, or a type that always is one.
    pub multiple: bool,
    /// A write contract; the column stays nullable unless `not_null`.
    pub required: bool,
    /// `storage.notNull`.
    pub not_null: bool,
    pub unique: Uniqueness,
    /// Left out of forms by the vendor; not a protection.
    pub hidden: bool,
    /// Never returned, even when named; filtering still works (reference section 3).
    pub internal: bool,
    pub readonly: bool,
    pub searchable: bool,
    pub sortable: bool,
    /// Referenced object of a lookup, master_detail, tree (own object when absent) or user (`sys_user`).
    pub reference: Option<String>,
    pub options: Vec<SelectOption>,
    /// The picklist whose options these are.
    pub picklist: Option<String>,
    pub precision: Option<u32>,
    pub scale: Option<u32>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// `step` of rating, slider and progress.
    pub step: Option<f64>,
    pub min_length: Option<u32>,
    pub max_length: Option<u32>,
    /// Of a text.
    pub value_domain: Option<ValueDomain>,
    /// Of a currency.
    pub currency: Option<CurrencyConfig>,
    /// A key of another system, by which an upsert may find the record.
    pub external_id: bool,
    /// `trackHistory`: whether old and new values are kept; `None`: as the object says.
    pub track_history: Option<bool>,
    /// Of a vector.
    pub dimensions: Option<u32>,
    /// What its column holds, where metadata says so (`querygate.tables`).
    pub column_type: Option<ValueType>,
    /// How a column of texts is declared, beside `column_type`.
    pub text_type: Option<TextType>,
    /// The enum that its column is, whose values are texts.
    pub enum_type: Option<EnumType>,
    pub masking_rule: Option<MaskingRule>,
    /// All must be held or the field is neither readable nor editable.
    pub required_permissions: Vec<String>,
    /// CEL of a formula, or of a stored field computed on write.
    pub expression: Option<Expression>,
    pub formula_return: Option<FormulaReturn>,
    pub summary: Option<SummaryRollup>,
    pub autonumber_format: Option<String>,
    pub default: Option<DefaultValue>,
    pub delete_behavior: Option<DeleteBehavior>,
    pub required_when: Option<Expression>,
    pub readonly_when: Option<Expression>,
    /// Injected into every table by the platform, not written in the metadata.
    pub system: bool,
    /// An injected column of a federated object that its remote table does not have: owner rules and the tenant
    /// wall abstain on it (reference section 12).
    pub phantom: bool,
    /// Package that contributed it (the object's own, or an extension's).
    pub package: Option<String>,
    #[serde(skip)]
    pub location: Location,
}

impl Field {
    /// Whether a source has a column for it.
    #[must_use]
    pub fn stored(&self) -> bool {
        self.field_type.stored() && !self.phantom
    }

    /// Type of the value as the gate serves it (reference section 3, Arrow column).
    ///
    /// A `number` is decimal only when both `precision` and `scale` are set: with `precision` alone the vendor
    /// stores a float, and real catalogs write the number of decimal places there. A `currency` is decimal always,
    /// at least (18,4), because a float loses cents. A `columnTypes` entry decides before all of this.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        self.column_type.unwrap_or_else(|| self.own_value_type())
    }

    /// What the field type alone stands for.
    fn own_value_type(&self) -> ValueType {
        use FieldType as F;
        match self.field_type {
            F::Text | F::Textarea | F::Markdown | F::Html | F::Richtext | F::Code | F::Email | F::Url | F::Phone => {
                ValueType::Text
            }
            F::Password | F::Secret | F::Signature | F::Qrcode | F::Color | F::Autonumber => ValueType::Text,
            F::Number => self.decimal().unwrap_or(ValueType::Float64),
            F::Currency => self.decimal().unwrap_or_else(|| self.default_currency()),
            F::Percent | F::Slider | F::Progress | F::Summary => ValueType::Float64,
            F::Rating if self.step.is_some_and(|step| step.fract() != 0.0) => ValueType::Float64,
            F::Rating => ValueType::Int32,
            F::Boolean | F::Toggle => ValueType::Boolean,
            F::Date => ValueType::Date,
            F::Datetime => ValueType::TimestampMillisUtc,
            F::Time => ValueType::Time,
            F::Multiselect | F::Checkboxes | F::Tags => ValueType::TextList,
            F::Select | F::Radio | F::Lookup | F::MasterDetail | F::Tree | F::User => self.text_or_list(),
            F::Image | F::File | F::Avatar | F::Video | F::Audio => self.text_or_list(),
            F::Location | F::Address | F::Json | F::Composite | F::Record | F::Repeater => ValueType::Json,
            F::Vector => ValueType::Float32Vector(self.dimensions.unwrap_or(0)),
            F::Formula => match self.formula_return {
                Some(FormulaReturn::Number) => ValueType::Float64,
                Some(FormulaReturn::Boolean) => ValueType::Boolean,
                Some(FormulaReturn::Date) => ValueType::Date,
                Some(FormulaReturn::Text) | None => ValueType::Text,
            },
        }
    }

    /// The Postgres type on the wire.
    #[must_use]
    pub fn pg_type(&self) -> PgType {
        match &self.text_type {
            Some(declared) => declared.pg_type(),
            None => self.value_type().pg_type(),
        }
    }

    /// The option with this value.
    #[must_use]
    pub fn option(&self, value: &str) -> Option<&SelectOption> {
        self.options.iter().find(|option| option.value == value)
    }

    fn text_or_list(&self) -> ValueType {
        if self.multiple { ValueType::TextList } else { ValueType::Text }
    }

    fn decimal(&self) -> Option<ValueType> {
        let (precision, scale) = (self.precision?, self.scale?);
        if precision == 0 || precision > 38 || scale > precision {
            return None;
        }
        Some(ValueType::Decimal { precision: u8::try_from(precision).ok()?, scale: i8::try_from(scale).ok()? })
    }

    fn default_currency(&self) -> ValueType {
        let scale = self.scale.unwrap_or(4).clamp(4, 18);
        ValueType::Decimal { precision: 18, scale: i8::try_from(scale).unwrap_or(4) }
    }
}
