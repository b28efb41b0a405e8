//! Filters of a question: read by the policy crate's rules, over the fields that the reader may compare.

use super::named_fields::NamedFields;
use super::object::{Standing, absent, open};
use super::refusal::{guarded, query};
use crate::write::values::key_text::key_text;
use querygate_catalog::VisibleObject;
use querygate_metadata::model::Field;
use querygate_policy::filter::{RowFilter, Test};
use querygate_policy::query_filter::{Column, FilterContext, FilterErrorCode, compile_filter, one_of};
use querygate_query_api::requests::record_change::key_parts;
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, Result, limits};
use serde_json::Value;
use std::borrow::Cow;
use std::cell::RefCell;

/// Reads a filter over the fields that a question may name.
///
/// # Errors
/// `PERMISSION_DENIED` where it names a field that is hidden from the reader or masked, whatever else is wrong with it; the filter
/// language's own.
pub(super) fn read(filter: &Value, names: &NamedFields<'_>, context: &FilterContext) -> Result<RowFilter> {
    let (refused, unknown) = (RefCell::new(Vec::new()), RefCell::new(None));
    let column = |name: &str| match names.standing(name) {
        Standing::Open(field) | Standing::Computed(field) => Some(Column::from(field)),
        Standing::Guarded(field) => {
            refused.borrow_mut().push(name.to_owned());
            Some(Column::from(field))
        }
        Standing::Absent => {
            unknown.borrow_mut().get_or_insert_with(|| name.to_owned());
            None
        }
    };
    let compiled = compile_filter(filter, &column, context);
    let refused = refused.into_inner();
    if !refused.is_empty() {
        return Err(guarded(&refused, &names.visible().object.name));
    }
    match (compiled, unknown.into_inner()) {
        (Ok(filter), _) => Ok(even(filter)),
        (Err(error), Some(name)) if error.code == FilterErrorCode::InvalidField => {
            Err(absent(names.visible(), &name, VendorCode::InvalidField))
        }
        (Err(error), _) => Err(Error::from(error)),
    }
}

/// Records with one of these keys.
///
/// # Errors
/// `PERMISSION_DENIED` where the key is hidden from the reader or masked; `INVALID_FIELD` of an object that has none.
pub(super) fn of_keys(keys: &[String], visible: &VisibleObject) -> Result<RowFilter> {
    if keys.len() > limits::KEY_LIST_MAX {
        return Err(query(format!("at most {} keys are taken", limits::KEY_LIST_MAX)));
    }
    let (only, parts) = (visible.object.referenced_field(), visible.object.key());
    if only.is_none() && parts.len() > 1 {
        return of_composite_keys(keys, &parts, visible);
    }
    let key = open(visible, only.map_or("id", |key| key.name.as_str()), VendorCode::InvalidField)?;
    let texts = keys.iter().filter_map(|own| key_parts(own, 1)?.pop());
    let texts = texts.filter_map(|text| key_text(key.value_type(), text)).map(Cow::into_owned).collect::<Vec<_>>();
    Ok(even(one_of(&key.name, key.into(), &texts)))
}

/// Records that several fields find together.
fn of_composite_keys(keys: &[String], parts: &[&Field], visible: &VisibleObject) -> Result<RowFilter> {
    let open = |part: &&Field| open(visible, &part.name, VendorCode::InvalidField);
    let fields = parts.iter().map(open).collect::<Result<Vec<_>>>()?;
    let one = |key: &String| match key_parts(key, fields.len()) {
        None => RowFilter::Nothing,
        Some(texts) => {
            let equal = |(field, text): (&&Field, &str)| {
                let text = key_text(field.value_type(), text).map(Cow::into_owned);
                one_of(&field.name, (*field).into(), &Vec::from_iter(text))
            };
            RowFilter::And(fields.iter().zip(texts).map(equal).collect())
        }
    };
    Ok(RowFilter::Or(keys.iter().map(one).collect()).simplify())
}

/// The filter with lists of 1, 2, 4, 8, … members: a plan is bound for few lengths of lists. A member may stand in a list twice.
pub(super) fn even(filter: RowFilter) -> RowFilter {
    match filter {
        RowFilter::And(members) => RowFilter::And(members.into_iter().map(even).collect()),
        RowFilter::Or(members) => RowFilter::Or(members.into_iter().map(even).collect()),
        RowFilter::Not(inner) => RowFilter::Not(Box::new(even(*inner))),
        RowFilter::Test(Test::In { column, mut values, negated }) => {
            if let Some(last) = values.last().cloned() {
                values.resize(values.len().next_power_of_two(), last);
            }
            RowFilter::Test(Test::In { column, values, negated })
        }
        RowFilter::All | RowFilter::Nothing | RowFilter::Test(_) => filter,
    }
}
