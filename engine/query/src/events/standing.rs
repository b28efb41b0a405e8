//! Whether a row passes a filter, as far as the row itself says so.

use querygate_policy::RowFilter;
use querygate_policy::filter::{RowLookup, Test};
use querygate_types::{Error, Result};
use serde_json::{Map, Value};

/// Whether a row passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Passes,
    Fails,
    /// Other rows decide.
    Unknown,
}

/// # Errors
/// A value that cannot be compared.
pub(super) fn standing(filter: &RowFilter, record: &Map<String, Value>) -> Result<Standing> {
    Ok(match filter {
        RowFilter::All => Standing::Passes,
        RowFilter::Nothing => Standing::Fails,
        RowFilter::Not(inner) => match standing(inner, record)? {
            Standing::Passes => Standing::Fails,
            Standing::Fails => Standing::Passes,
            Standing::Unknown => Standing::Unknown,
        },
        RowFilter::And(members) => of_members(members, record, Standing::Fails, Standing::Passes)?,
        RowFilter::Or(members) => of_members(members, record, Standing::Passes, Standing::Fails)?,
        RowFilter::Test(Test::InRelated { column, .. }) => match record.get(column) {
            None | Some(Value::Null) => Standing::Fails,
            Some(_) => Standing::Unknown,
        },
        RowFilter::Test(
            Test::Compare { .. }
            | Test::CompareColumns { .. }
            | Test::In { .. }
            | Test::IsNull { .. }
            | Test::Text { .. }
            | Test::ListContains { .. },
        ) => match filter.evaluate(record, &NoRows)? {
            true => Standing::Passes,
            false => Standing::Fails,
        },
    })
}

/// One member that is `decides` decides for all; where one is unknown and none decides, all is unknown.
fn of_members(
    members: &[RowFilter],
    record: &Map<String, Value>,
    decides: Standing,
    otherwise: Standing,
) -> Result<Standing> {
    let mut made = otherwise;
    for member in members {
        match standing(member, record)? {
            Standing::Unknown => made = Standing::Unknown,
            own if own == decides => return Ok(decides),
            Standing::Passes | Standing::Fails => {}
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

    fn check(filter: &RowFilter, expected: Standing) {
        let record = json!({"deal": "d1", "none": null}).as_object().unwrap().clone();
        assert_eq!(standing(filter, &record).unwrap(), expected, "{filter:?}");
    }

    #[test]
    fn what_other_rows_decide_is_unknown_unless_the_row_decides_it() {
        let is_null = |column: &str| RowFilter::Test(Test::IsNull { column: column.to_owned(), negated: false });
        let (yes, no) = (is_null("none"), is_null("deal"));
        check(&yes, Standing::Passes);
        check(&no, Standing::Fails);
        check(&related(), Standing::Unknown);
        check(&RowFilter::Not(Box::new(related())), Standing::Unknown);
        check(&RowFilter::And(vec![related(), no.clone()]), Standing::Fails);
        check(&RowFilter::And(vec![related(), yes.clone()]), Standing::Unknown);
        check(&RowFilter::Or(vec![related(), yes.clone()]), Standing::Passes);
        check(&RowFilter::Or(vec![related(), no]), Standing::Unknown);
        check(&RowFilter::And(Vec::new()), Standing::Passes);
        check(&RowFilter::Or(Vec::new()), Standing::Fails);
        let absent = match related() {
            RowFilter::Test(Test::InRelated { object, filter, select, .. }) => {
                RowFilter::Test(Test::InRelated { column: "none".to_owned(), object, filter, select })
            }
            other => other,
        };
        check(&absent, Standing::Fails);
        check(&RowFilter::Not(Box::new(absent)), Standing::Passes);
    }
}
