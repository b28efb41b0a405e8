//! Whether rows are judged by their columns alone, and whether the source would judge stored rows as the gate judges the given ones, so that it need not be asked: of tests for which equal
//! values are enough, and of values that it stores as they are given.

use crate::write::target::Targeted;
use querygate_catalog::write::{TargetField, WriteTarget};
use querygate_driver_api::value::ValueType;
use querygate_driver_api::write::Alterations;
use querygate_policy::RowFilter;
use querygate_policy::filter::{FilterValue, Test};
use querygate_policy::rules::Mechanism;

/// Digits that a double keeps of every decimal.
const EXACT_DIGITS: u8 = 15;
/// The first number with more of them.
const EXACT_END: u64 = 1_000_000_000_000_000;

/// Whether a mechanism refuses or changes no row that its columns, CHECK and validations let pass.
pub(super) fn is_by_columns(mechanism: &Mechanism<'_>, targeted: &Targeted) -> bool {
    let table = targeted.table();
    match mechanism {
        // They see each row before it is stored, or as it is stored, or other rows beside it.
        Mechanism::Hook
        | Mechanism::Fault(_)
        | Mechanism::RollUp
        | Mechanism::Referred(_)
        | Mechanism::Master
        | Mechanism::Autonumber(_)
        | Mechanism::Expression(_)
        | Mechanism::RequiredWhen(_)
        | Mechanism::OptionWhen(_) => false,
        Mechanism::OwnDefault(field) => targeted.assigned().contains(&field.name),
        // The source keeps them, or they are asked for afterwards.
        Mechanism::Unique(group) => group.organization.is_none() && table.keeps_unique(&group.fields),
        Mechanism::Check(filter) => is_judged_alike(filter, table),
        // Asked of each row, or of each value of its columns.
        Mechanism::Validation | Mechanism::Contract(_) | Mechanism::Mask(_) | Mechanism::Owner => true,
        // Looked for before the rows are stored.
        Mechanism::Reference(_) => true,
        // All rows get one value.
        Mechanism::SameDefault(_) | Mechanism::Stamp(_) => true,
        // Of stored rows only.
        Mechanism::ReadonlyWhen(_) => true,
    }
}

/// Whether a row that passes a filter here passes it in the source.
fn is_judged_alike(filter: &RowFilter, table: &WriteTarget) -> bool {
    implies(filter, table, true)
}

/// `passes`: whether the filter is to pass, or to fail, in both.
fn implies(filter: &RowFilter, table: &WriteTarget, passes: bool) -> bool {
    let field = |name: &String| table.place(name).and_then(|place| table.fields().get(place));
    match filter {
        RowFilter::All | RowFilter::Nothing => true,
        RowFilter::Not(inner) => implies(inner, table, !passes),
        RowFilter::And(members) | RowFilter::Or(members) => members.iter().all(|member| implies(member, table, passes)),
        RowFilter::Test(Test::IsNull { column, negated: _ }) => field(column).is_some(),
        RowFilter::Test(Test::Compare { column, op, value }) => {
            use querygate_policy::filter::CompareOp as Op;
            // A text that is equal is equal in any order; one that differs may still be held for equal.
            let is_same = match op {
                Op::Eq => passes,
                Op::Ne => !passes,
                Op::Lt | Op::Le | Op::Gt | Op::Ge => false,
            };
            field(column)
                .is_some_and(|field| is_exact(field, value.value()) || (is_same && is_text(field, value.value())))
        }
        RowFilter::Test(Test::In { column, values, negated }) => field(column).is_some_and(|field| {
            values
                .iter()
                .all(|value| is_exact(field, value.value()) || (passes != *negated && is_text(field, value.value())))
        }),
        RowFilter::Test(
            Test::CompareColumns { .. }
            | Test::Text { .. }
            | Test::ListContains { .. }
            | Test::HasElements { .. }
            | Test::InRelated { .. },
        ) => false,
    }
}

/// Whether values of a field compare with this one in one way only.
fn is_exact(field: &TargetField, value: &FilterValue) -> bool {
    if !field.is_canonical() {
        return false;
    }
    match (field.value_type(), value) {
        (ValueType::Boolean, FilterValue::Boolean(_)) | (ValueType::Date, FilterValue::Date(_)) => true,
        (ValueType::Int16 | ValueType::Int32, FilterValue::Integer(_)) => true,
        (ValueType::Decimal128 { precision, .. }, FilterValue::Integer(whole)) => {
            precision <= EXACT_DIGITS && whole.unsigned_abs() < EXACT_END
        }
        (ValueType::Int64, FilterValue::Integer(_)) => true,
        (_, _) => false,
    }
}

fn is_text(field: &TargetField, value: &FilterValue) -> bool {
    match value {
        FilterValue::Text(_) => field.is_canonical() && field.value_type() == ValueType::Text,
        FilterValue::Integer(_)
        | FilterValue::Decimal(_)
        | FilterValue::Boolean(_)
        | FilterValue::Date(_)
        | FilterValue::Timestamp(_)
        | FilterValue::Time(_) => false,
    }
}

/// Whether the fields that CHECK looks at are stored as the gate sees them: those that get no value have none in the source either.
pub(super) fn is_stored_alike(targeted: &Targeted, places: &[usize], alterations: &Alterations) -> bool {
    let table = targeted.table();
    targeted.permit().check().columns().into_iter().all(|name| {
        let place = table.place(name);
        place.and_then(|place| Some((place, table.fields().get(place)?))).is_some_and(|(place, field)| {
            let column = field.column();
            !alterations.reformed.contains(column) && (places.contains(&place) || !alterations.filled.contains(column))
        })
    })
}
