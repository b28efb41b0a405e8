//! Fields as the filter language sees them: 49 types, ten kinds of column. Knows no operator.

use crate::value::ColumnKind;
use querygate_metadata::model::{Field, FieldType, FormulaReturn, ValueType};

/// A field as the filter language sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub field_type: FieldType,
    /// The value is a list.
    pub multiple: bool,
    /// Of a formula.
    pub formula_return: Option<FormulaReturn>,
    /// What its column holds, where the metadata says so.
    pub column_type: Option<ValueType>,
}

impl From<&Field> for Column {
    fn from(field: &Field) -> Self {
        // Digits that are declared make a column of decimals of what is one of doubles without them.
        let decimal =
            Some(field.value_type()).filter(|own| matches!(own, ValueType::Decimal { .. }) && !field.multiple);
        Self {
            field_type: field.field_type,
            multiple: field.multiple,
            formula_return: field.formula_return,
            column_type: field.column_type.or(decimal),
        }
    }
}

impl Column {
    /// What a filter may ask of the field.
    #[must_use]
    pub fn kind(self) -> ColumnKind {
        use FieldType as F;
        if self.multiple && self.field_type != F::Formula {
            return ColumnKind::List;
        }
        // The texts of a value of these have several forms, or another order than the value; bytes are no text.
        let is_asked_for_null =
            |own: ValueType| own.is_read_from_text() || matches!(own, ValueType::Coded(_) | ValueType::Binary);
        if self.column_type.is_some_and(is_asked_for_null) {
            return ColumnKind::ReadFromText;
        }
        // An id, a code or a reference whose column holds whole numbers is compared as a number.
        if self.column_type.is_some_and(is_number) {
            return ColumnKind::Number;
        }
        match self.field_type {
            F::Text
            | F::Textarea
            | F::Markdown
            | F::Html
            | F::Richtext
            | F::Code
            | F::Email
            | F::Url
            | F::Phone
            | F::Password
            | F::Secret
            | F::Signature
            | F::Qrcode
            | F::Color
            | F::Autonumber
            | F::Select
            | F::Radio
            | F::Lookup
            | F::MasterDetail
            | F::Tree
            | F::User
            | F::Image
            | F::File
            | F::Avatar
            | F::Video
            | F::Audio => match self.column_type {
                Some(ValueType::Uuid) => ColumnKind::Uuid,
                _ => ColumnKind::Text,
            },
            F::Number | F::Currency | F::Percent | F::Rating | F::Slider | F::Progress | F::Summary => {
                ColumnKind::Number
            }
            F::Boolean | F::Toggle => ColumnKind::Boolean,
            F::Date => ColumnKind::Date,
            F::Datetime => ColumnKind::Timestamp,
            F::Time => ColumnKind::Time,
            F::Multiselect | F::Checkboxes | F::Tags => ColumnKind::List,
            F::Location | F::Address | F::Json | F::Composite | F::Record | F::Repeater | F::Vector => ColumnKind::Json,
            F::Formula => ColumnKind::Computed,
        }
    }

    /// What its column of numbers holds; `None`: it has none.
    pub(super) fn number_type(self) -> Option<ValueType> {
        (self.kind() == ColumnKind::Number).then(|| self.column_type.unwrap_or(ValueType::Float64))
    }

    /// Whether its column is a list of texts, of which one is looked for. A list may be stored as one document.
    #[must_use]
    pub fn has_items(self) -> bool {
        self.kind() == ColumnKind::List && self.column_type.is_none_or(|own| own == ValueType::TextList)
    }

    /// What a row policy may ask of the field.
    pub(crate) fn policy_kind(self) -> ColumnKind {
        match self.kind() {
            ColumnKind::List if !self.has_items() => ColumnKind::Json,
            kind => kind,
        }
    }

    /// Whether the published fixture refuses text operators on the field (the running vendor does not).
    pub(super) fn refuses_text(self) -> bool {
        match self.kind() {
            ColumnKind::Text | ColumnKind::Uuid | ColumnKind::List => false,
            ColumnKind::Number
            | ColumnKind::Boolean
            | ColumnKind::Date
            | ColumnKind::Timestamp
            | ColumnKind::Time
            | ColumnKind::Json
            | ColumnKind::ReadFromText => true,
            ColumnKind::Computed => match self.formula_return {
                Some(FormulaReturn::Number | FormulaReturn::Boolean | FormulaReturn::Date) => true,
                Some(FormulaReturn::Text) | None => false,
            },
        }
    }
}

const fn is_number(value_type: ValueType) -> bool {
    match value_type {
        ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Float32
        | ValueType::Float64
        | ValueType::Decimal { .. } => true,
        ValueType::Text
        | ValueType::Uuid
        | ValueType::Coded(_)
        | ValueType::Network { .. }
        | ValueType::TextList
        | ValueType::List(_)
        | ValueType::Boolean
        | ValueType::Date
        | ValueType::TimestampMillisUtc
        | ValueType::Timestamp { .. }
        | ValueType::Time
        | ValueType::Binary
        | ValueType::JsonText
        | ValueType::Json
        | ValueType::Numeric { .. }
        | ValueType::Interval
        | ValueType::TimeTz
        | ValueType::Float32Vector(_) => false,
    }
}
