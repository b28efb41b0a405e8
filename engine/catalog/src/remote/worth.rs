//! Whether it pays to tell a source the keys of a join: by their number, and by what is expected of the fragment. Changes no answer;
//! where nothing is known, keys are given.
//!
//! Expected rows are what the reader may know ([`crate::TableSizes`]), and keys are of rows that the reader sees: so is the choice.

use super::exec::AllKeys;
use super::keys::Keys;
use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use querygate_rules::estimate::{ColumnEstimate, TableEstimate, position};
use querygate_types::limits::KEY_LIST_MAX;
use std::collections::{BTreeMap, HashSet};

/// What a key costs, where a row that is not fetched saves one: it is bound, sent, and looked for.
const KEY: f64 = 1.0;
/// Share of its rows above which a fragment is not narrowed: the source looks at each of them anyway, and reads a whole table
/// faster.
const MOST: f64 = 0.7;

/// What is expected of a fragment without keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    rows: Option<f64>,
    /// One for each column that the fragment delivers, or none at all.
    columns: Vec<ColumnEstimate>,
    /// Keys are given whatever is expected.
    always: bool,
}

impl Expected {
    pub(crate) fn of(size: &TableEstimate) -> Self {
        Self { rows: size.rows, columns: size.columns.clone(), always: false }
    }

    /// This expectation, or one that is ignored: keys are given whatever is expected.
    pub(crate) fn unless_all(self, state: &dyn Session) -> Self {
        let always = state.config().get_extension::<AllKeys>().is_some();
        if always { self.ignored() } else { self }
    }

    fn ignored(self) -> Self {
        Self { always: true, ..self }
    }

    /// The keys that are worth telling, each once. `places` gives, for each column of the plan, its place among the delivered ones.
    pub(crate) fn worth(&self, keys: BTreeMap<usize, Keys>, places: &[usize]) -> BTreeMap<usize, Keys> {
        keys.into_iter()
            .map(|(column, keys)| (column, keys.once()))
            .filter(|(column, keys)| self.always || self.pays(places.get(*column), keys))
            .collect()
    }

    /// The most keys of the delivered column at this place that are worth telling.
    pub(crate) fn keys_max(&self, place: usize) -> usize {
        let Some(rows) = self.rows.filter(|_| !self.always) else { return KEY_LIST_MAX };
        let values = self.values(Some(&place), rows);
        let most = (values * MOST).min(rows / (KEY + rows / values)).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; `as` saturates")]
        let most = most as usize;
        most.min(KEY_LIST_MAX)
    }

    fn column(&self, place: Option<&usize>) -> ColumnEstimate {
        place.and_then(|place| self.columns.get(*place)).copied().unwrap_or_default()
    }

    /// Distinct values of a column with a number of rows.
    fn values(&self, place: Option<&usize>, rows: f64) -> f64 {
        self.column(place).distinct.unwrap_or(rows).max(1.0)
    }

    fn pays(&self, place: Option<&usize>, keys: &Keys) -> bool {
        match keys {
            Keys::Any(list) => {
                let (Some(rows), Ok(count)) = (self.rows, u32::try_from(list.len())) else { return true };
                let share = (f64::from(count) / self.values(place, rows)).min(1.0);
                share <= MOST && rows * (1.0 - share) > f64::from(count) * KEY
            }
            Keys::Between(low, high) => {
                let at = |end: &Option<ScalarValue>| end.as_ref().and_then(position);
                let (Some((least, greatest)), Some(low), Some(high)) = (self.column(place).range, at(low), at(high))
                else {
                    return true;
                };
                high - low <= (greatest - least) * MOST
            }
        }
    }
}

impl Keys {
    /// Each key once and no NULL, which meets nothing in a join by equality; too many for a list as their range.
    fn once(self) -> Self {
        let Self::Any(list) = self else { return self };
        let mut known = HashSet::with_capacity(list.len());
        let list: Vec<ScalarValue> =
            list.into_iter().filter(|value| !value.is_null() && known.insert(value.clone())).collect();
        if list.len() <= KEY_LIST_MAX {
            return Self::Any(list);
        }
        let order = |a: &&ScalarValue, b: &&ScalarValue| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal);
        Self::Between(list.iter().min_by(order).cloned(), list.iter().max_by(order).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(count: i64) -> Keys {
        Keys::Any((0..count).map(ScalarValue::from).collect())
    }

    fn told(rows: Option<f64>, distinct: Option<f64>, keys: Keys) -> Option<Keys> {
        let column = ColumnEstimate { distinct, range: Some((0.0, 1_000.0)) };
        let expected = Expected { rows, columns: vec![ColumnEstimate::default(), column], always: false };
        expected.worth(BTreeMap::from([(0, keys)]), &[1]).remove(&0)
    }

    #[test]
    fn keys_are_told_where_they_spare_more_than_they_cost() {
        assert_eq!(told(Some(1e6), Some(1e5), any(1_000)), Some(any(1_000)));
        assert_eq!(told(Some(1e6), Some(1e3), any(1_000)), None, "every row has one of them");
        assert_eq!(told(Some(900.0), Some(1e5), any(1_000)), None, "fewer rows than keys");
        assert_eq!(told(Some(1e6), None, any(1_000)), Some(any(1_000)), "as many values as rows");
        assert_eq!(told(None, Some(1e3), any(1_000)), Some(any(1_000)), "nothing is known");
        let twice = Keys::Any([7, 7, 8].map(ScalarValue::from).into_iter().chain([ScalarValue::Int64(None)]).collect());
        let once = Keys::Any([7, 8].map(ScalarValue::from).into());
        assert_eq!(told(Some(1e6), Some(1e5), twice), Some(once));
    }

    #[test]
    fn no_longer_list_is_made_than_is_worth_telling() {
        let most = |rows, distinct| {
            let column = ColumnEstimate { distinct, range: None };
            Expected { rows, columns: vec![column], always: false }.keys_max(0)
        };
        assert_eq!(most(Some(1e6), Some(1e3)), 700);
        assert_eq!(most(Some(1e3), Some(1e5)), 991);
        assert_eq!(most(Some(1e6), None), KEY_LIST_MAX);
        assert_eq!(most(None, Some(10.0)), KEY_LIST_MAX);
        for (rows, distinct) in [(1e6, 1e3), (1e3, 1e5), (5e4, 2e4)] {
            let most = i64::try_from(most(Some(rows), Some(distinct))).unwrap();
            assert!(told(Some(rows), Some(distinct), any(most - 1)).is_some());
            assert!(told(Some(rows), Some(distinct), any(most + 1)).is_none(), "{rows} {distinct} {most}");
        }
    }

    #[test]
    fn a_range_is_told_where_it_leaves_something_out() {
        let between = |low: i64, high: i64| Keys::Between(Some(low.into()), Some(high.into()));
        assert_eq!(told(Some(1e6), None, between(10, 400)), Some(between(10, 400)));
        assert_eq!(told(Some(1e6), None, between(10, 990)), None);
        let many = i64::try_from(KEY_LIST_MAX).unwrap() + 1;
        assert_eq!(told(Some(1e9), None, any(many)), None, "more than the column's values");
        let open = Keys::Between(Some(1_i64.into()), None);
        assert_eq!(told(Some(1e6), None, open.clone()), Some(open));
    }

    #[test]
    fn whoever_asks_for_it_tells_always() {
        let expected = Expected { rows: Some(10.0), columns: Vec::new(), always: false };
        assert!(expected.worth(BTreeMap::from([(3, any(20))]), &[]).is_empty());
        assert_eq!(expected.ignored().worth(BTreeMap::from([(3, any(20))]), &[]), BTreeMap::from([(3, any(20))]));
    }
}
