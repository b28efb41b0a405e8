//! Whether a row passes a filter, as far as the row itself says so.

use querygate_policy::RowFilter;
use querygate_policy::filter::{RowLookup, Test};
use querygate_types::{Error, Result};
use serde_json::{Map, Value};

/// Whether a row passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterOutcome {
    Passes,
    Fails,
    /// Other rows decide.
    Unknown,
}

/// # Errors
/// A value that cannot be compared.
pub(super) fn filter_outcome(filter: &RowFilter, record: &Map<String, Value>) -> Result<FilterOutcome> {
    Ok(match filter {
        RowFilter::All => FilterOutcome::Passes,
        RowFilter::Nothing => FilterOutcome::Fails,
        RowFilter::Not(inner) => match filter_outcome(inner, record)? {
            FilterOutcome::Passes => FilterOutcome::Fails,
            FilterOutcome::Fails => FilterOutcome::Passes,
            FilterOutcome::Unknown => FilterOutcome::Unknown,
        },
        RowFilter::And(members) => of_members(members, record, FilterOutcome::Fails, FilterOutcome::Passes)?,
        RowFilter::Or(members) => of_members(members, record, FilterOutcome::Passes, FilterOutcome::Fails)?,
        RowFilter::Test(Test::InRelated { column, .. }) => match record.get(column) {
            None | Some(Value::Null) => FilterOutcome::Fails,
            Some(_) => FilterOutcome::Unknown,
        },
        RowFilter::Test(
            Test::Compare { .. }
            | Test::CompareColumns { .. }
            | Test::In { .. }
            | Test::IsNull { .. }
            | Test::Text { .. }
            | Test::ListContains { .. }
            | Test::HasElements { .. },
        ) => match filter.evaluate(record, &NoRows)? {
            true => FilterOutcome::Passes,
            false => FilterOutcome::Fails,
        },
    })
}

/// One member that is `decides` decides for all; where one is unknown and none decides, all is unknown.
fn of_members(
    members: &[RowFilter],
    record: &Map<String, Value>,
    decides: FilterOutcome,
    otherwise: FilterOutcome,
) -> Result<FilterOutcome> {
    let mut made = otherwise;
    for member in members {
        match filter_outcome(member, record)? {
            FilterOutcome::Unknown => made = FilterOutcome::Unknown,
            own if own == decides => return Ok(decides),
            FilterOutcome::Passes | FilterOutcome::Fails => {}
        }
    }
    Ok(made)
}

struct NoRows;

impl RowLookup for NoRows {
    fn rows_where(&self, _object: &str, _column: &str, _value: &str) -> Result<Vec<Map<String, Value>>> {
        Err(Error::internal("a test of one row asked for others"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn related() -> RowFilter {
        let (column, object, select) = ("deal".to_owned(), "deal".to_owned(), "id".to_owned());
        RowFilter::Test(Test::InRelated { column, object, filter: Box::new(RowFilter::All), select })
    }

    fn check(filter: &RowFilter, expected: FilterOutcome) {
        let record = json!({"deal": "d1", "none": null}).as_object().unwrap().clone();
        assert_eq!(filter_outcome(filter, &record).unwrap(), expected, "{filter:?}");
    }

    #[test]
    fn what_other_rows_decide_is_unknown_unless_the_row_decides_it() {
        let is_null = |column: &str| RowFilter::Test(Test::IsNull { column: column.to_owned(), negated: false });
        let (yes, no) = (is_null("none"), is_null("deal"));
        check(&yes, FilterOutcome::Passes);
        check(&no, FilterOutcome::Fails);
        check(&related(), FilterOutcome::Unknown);
        check(&RowFilter::Not(Box::new(related())), FilterOutcome::Unknown);
        check(&RowFilter::And(vec![related(), no.clone()]), FilterOutcome::Fails);
        check(&RowFilter::And(vec![related(), yes.clone()]), FilterOutcome::Unknown);
        check(&RowFilter::Or(vec![related(), yes.clone()]), FilterOutcome::Passes);
        check(&RowFilter::Or(vec![related(), no]), FilterOutcome::Unknown);
        check(&RowFilter::And(Vec::new()), FilterOutcome::Passes);
        check(&RowFilter::Or(Vec::new()), FilterOutcome::Fails);
        let absent = match related() {
            RowFilter::Test(Test::InRelated { object, filter, select, .. }) => {
                RowFilter::Test(Test::InRelated { column: "none".to_owned(), object, filter, select })
            }
            other => other,
        };
        check(&absent, FilterOutcome::Fails);
        check(&RowFilter::Not(Box::new(absent)), FilterOutcome::Passes);
    }
}
