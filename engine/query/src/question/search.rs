//! Searches: every word is in one of the fields, whatever the case of ASCII letters; of a field with options, in the label of its value.

use super::object::{Standing, standing};
use super::refusal::{denied, field as refused_field, guarded};
use querygate_catalog::VisibleObject;
use querygate_metadata::model::{Field, FieldType};
use querygate_policy::filter::{FilterValue, Operand, RowFilter, Test, TextKind};
use querygate_policy::query_filter::{Column, ColumnKind};
use querygate_types::Result;
use querygate_types::vendor::VendorCode;

/// Words of one search.
const WORDS_MAX: usize = 32;

/// The filter of a search.
///
/// # Errors
/// `INVALID_FIELD` of a field that is not searched; `PERMISSION_DENIED` where one of the fields is hidden from the reader or masked,
/// also where the reader named none.
pub(super) fn read(words: &str, named: Option<&[String]>, visible: &VisibleObject) -> Result<RowFilter> {
    let fields = fields(named, visible)?;
    let words: Vec<&str> = words.split_whitespace().collect();
    if words.len() > WORDS_MAX {
        return Err(super::refusal::query(format!("a search takes at most {WORDS_MAX} words")));
    }
    let word = |word: &str| RowFilter::Or(fields.iter().flat_map(|field| tests(field, word)).collect());
    Ok(RowFilter::And(words.into_iter().map(word).collect()).simplify())
}

fn fields<'a>(named: Option<&[String]>, visible: &'a VisibleObject) -> Result<Vec<&'a Field>> {
    let object = &visible.object;
    let allowed: Vec<&str> = match &object.searchable_fields {
        Some(fields) => fields.iter().map(String::as_str).collect(),
        None => automatic(visible),
    };
    let mut names = allowed.clone();
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        for name in named {
            if object.field(name).is_none() {
                let message = format!("unknown field '{name}' on object '{}'", object.name);
                return Err(refused_field(VendorCode::InvalidField, name, message));
            }
            if !allowed.contains(&name.as_str()) {
                let message = format!("field '{name}' on object '{}' is not searchable", object.name);
                return Err(refused_field(VendorCode::InvalidField, name, message));
            }
        }
        names.retain(|name| named.iter().any(|wanted| wanted == name));
    }
    let (mut fields, mut refused) = (Vec::with_capacity(names.len()), Vec::new());
    for name in names {
        match standing(visible, name) {
            Standing::Open(field) => fields.push(field),
            Standing::Guarded(field) => refused.push(field.name.clone()),
            Standing::Computed(_) | Standing::Absent => {}
        }
    }
    match named {
        _ if refused.is_empty() => Ok(fields),
        Some(_) => Err(guarded(&refused, &object.name)),
        // The caller named none of them.
        None => Err(denied()),
    }
}

/// The field that names records, then those that hold texts.
fn automatic(visible: &VisibleObject) -> Vec<&str> {
    use FieldType as F;
    let object = &visible.object;
    let holds_text = |field: &&Field| {
        let text = matches!(
            field.field_type,
            F::Text | F::Email | F::Phone | F::Url | F::Autonumber | F::Textarea | F::Markdown | F::Select
        );
        text && !field.hidden && !field.system && !field.internal
    };
    let first = object.name_field.as_deref();
    let others = object.fields.values().filter(holds_text).map(|field| field.name.as_str());
    first.into_iter().chain(others.filter(|name| Some(*name) != first)).collect()
}

fn tests(field: &Field, word: &str) -> Vec<RowFilter> {
    let column = field.name.clone();
    let literal = |text: &str| Operand::Literal(FilterValue::Text(text.to_owned()));
    let kind = Column::from(field).kind();
    let is_list = kind == ColumnKind::List;
    // One of a list that is stored as a document is not looked for.
    if !field.options.is_empty() && (!is_list || Column::from(field).has_items()) {
        let wanted = word.to_ascii_lowercase();
        let values = field.options.iter().filter(|option| option.label.to_ascii_lowercase().contains(&wanted));
        let values: Vec<Operand> = values.map(|option| literal(&option.value)).collect();
        if !values.is_empty() && is_list {
            let member = |value| RowFilter::Test(Test::ListContains { column: column.clone(), value });
            return values.into_iter().map(member).collect();
        }
        if !values.is_empty() {
            return vec![RowFilter::Test(Test::In { column, values, negated: false })];
        }
    }
    match kind {
        ColumnKind::Text | ColumnKind::Uuid => {
            let pattern = literal(word);
            vec![RowFilter::Test(Test::Text { column, kind: TextKind::IContains, pattern, negated: false })]
        }
        ColumnKind::Number
        | ColumnKind::Boolean
        | ColumnKind::Date
        | ColumnKind::Timestamp
        | ColumnKind::Time
        | ColumnKind::List
        | ColumnKind::Json
        | ColumnKind::ReadFromText
        | ColumnKind::Computed => Vec::new(),
    }
}
