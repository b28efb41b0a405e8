//! Statements whose rows can be read in parts: which they are, how many parts, and the plan of one. Knows no door.

use crate::bind::statement::Bound;
use crate::bind::verify::verify_final;
use crate::errors::{Stage, translate};
use crate::plan::part_name::{Name, Share};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::ExecutionPlan;
use querygate_catalog::federation::{in_range, range_key, row_ranges};
use querygate_catalog::leaf::{GovernedTable, division, share};
use querygate_query_api::parts::{Kept, Part, Parts, Split};
use querygate_resources::Holder;
use querygate_rules::opener::RemoteColumn;
use querygate_types::{Error, ErrorCode, Result};
use std::any::Any;
use std::sync::Arc;

/// Rows that are worth a part of their own.
const PART_ROWS: u64 = 500_000;
/// Parts of one result at most.
pub(crate) const PARTS_MAX: usize = 64;

/// A statement that filters and computes rows of one table, each by itself.
#[derive(Debug, Clone)]
pub(crate) struct Plain {
    /// Whether policy may hide rows of the table.
    restricted: bool,
    /// By which a database can be asked for ranges of it.
    key: Option<RemoteColumn>,
}

impl Plain {
    /// `None`: the statement is another kind of query, or one whose answer depends on the moment.
    pub(crate) fn of(bound: &Bound) -> Option<Self> {
        if bound.asks().moment || bound.asks().session {
            return None;
        }
        let (scan, nodes) = scan_of(bound.plan())?;
        // A subquery in an expression reads something too.
        let mut visited = 0;
        let walk = bound.plan().apply_with_subqueries(|_| {
            visited += 1;
            Ok(TreeNodeRecursion::Continue)
        });
        walk.ok().filter(|_| visited == nodes)?;
        let provider = source_as_provider(&scan.source).ok()?;
        let any: &dyn Any = provider.as_ref();
        let table = any.downcast_ref::<GovernedTable>()?;
        Some(Self { restricted: table.policy().restricts(), key: range_key(table) })
    }

    /// The parts of its plan: files by their bytes, which costs nothing to know; databases by pages or by ranges of a key, of a
    /// moment that they keep or count in, so only for a client that asks. Files with hidden rows have no parts: which part a
    /// visible row is in would tell how many hidden ones lie before it.
    pub(crate) async fn parts(self, plan: &Arc<dyn ExecutionPlan>, split: Split, holder: &Holder) -> Result<Parts> {
        match (division(plan, 1), self.key, split) {
            (Some(_), _, Split::Exactly(_) | Split::UpTo(_)) if self.restricted => Ok(Parts::default()),
            (Some(whole), _, split) => {
                let count = match split {
                    Split::Exactly(count) => count.min(PARTS_MAX),
                    Split::UpTo(most) => worth(whole.scanned.unwrap_or(0)).min(most).min(PARTS_MAX),
                };
                Ok(Parts { parts: files(plan, count), rows: whole.scanned.filter(|_| whole.all), kept: None })
            }
            (None, key, Split::Exactly(count)) if count > 1 => {
                let divided = row_ranges(plan, key.as_ref(), count.min(PARTS_MAX), holder).await?;
                let parts = divided.ranges.into_iter().map(|range| Name::Rows(range).part());
                Ok(Parts { parts: parts.collect(), rows: None, kept: divided.hold.map(Kept::new) })
            }
            (None, Some(_) | None, Split::Exactly(_) | Split::UpTo(_)) => Ok(Parts::default()),
        }
    }
}

fn files(plan: &Arc<dyn ExecutionPlan>, count: usize) -> Vec<Part> {
    let divided = if count > 1 { division(plan, count) } else { None };
    let Some(divided) = divided else { return Vec::new() };
    let of = u32::try_from(count).unwrap_or(0);
    (0..of).map(|index| Name::Files(Share { index, of, layout: divided.layout }).part()).collect()
}

/// How many parts a number of rows is worth.
fn worth(rows: u64) -> usize {
    usize::try_from(rows / PART_ROWS).unwrap_or(PARTS_MAX)
}

/// The one scan under nodes that treat rows one by one, and how many nodes there are with it. What is not named here has
/// no parts.
fn scan_of(plan: &LogicalPlan) -> Option<(&TableScan, usize)> {
    let (mut node, mut nodes) = (plan, 1);
    loop {
        node = match node {
            LogicalPlan::Projection(projection) => &projection.input,
            LogicalPlan::Filter(filter) => &filter.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::TableScan(scan) => return scan.fetch.is_none().then_some((scan, nodes)),
            _ => return None,
        };
        nodes += 1;
    }
}

/// The plan of one part, verified as the whole was.
pub(crate) fn part_of(plan: &Arc<dyn ExecutionPlan>, part: &Part, bound: &Bound) -> Result<Arc<dyn ExecutionPlan>> {
    let name = Name::read(part).ok_or_else(|| Error::internal("a part's name is not one of this gate's"))?;
    let plan = match name {
        Name::Files(wanted) => {
            let of = wanted.of as usize;
            if division(plan, of).is_none_or(|now| now.layout != wanted.layout) {
                return Err(changed());
            }
            share(plan, wanted.index as usize, of).map_err(|e| translate(&e, Stage::Optimize))?
        }
        Name::Rows(range) => {
            let plain = Plain::of(bound).ok_or_else(changed)?;
            in_range(plan, plain.key.as_ref(), &range)?.ok_or_else(changed)?
        }
    };
    verify_final(&plan, bound.catalog().token(), bound.inventory())?;
    Ok(plan)
}

/// Parts of two states of a source do not make a whole.
fn changed() -> Error {
    Error::new(ErrorCode::SourceSchemaChanged, "the source changed after the result was divided")
        .with_hint("Ask for the result again.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Shop;

    #[test]
    fn rows_are_worth_parts_by_the_half_million() {
        assert_eq!([0, 499_999, 1_000_000, 1_900_000].map(worth), [0, 0, 2, 3]);
    }

    /// Parts are of statements that treat the rows of one table one by one.
    #[test]
    fn only_rows_of_one_table_one_by_one_have_parts() {
        let reader = Shop::open().owner();
        for (sql, is_plain) in [
            ("SELECT id, name FROM accounts", true),
            ("SELECT upper(name) AS n FROM accounts a WHERE rating > 2", true),
            ("SELECT n FROM (SELECT name AS n FROM accounts) q WHERE n <> 'x'", true),
            ("SELECT id FROM accounts LIMIT 5", false),
            ("SELECT id FROM accounts ORDER BY id", false),
            ("SELECT count(*) FROM accounts", false),
            ("SELECT DISTINCT name FROM accounts", false),
            ("SELECT a.id FROM accounts a JOIN regions r ON r.id = a.region_id", false),
            ("SELECT id FROM accounts UNION ALL SELECT id FROM regions", false),
            ("SELECT id FROM accounts WHERE region_id IN (SELECT id FROM regions)", false),
            ("SELECT id, (SELECT max(rank) FROM regions) FROM accounts", false),
            ("SELECT rank() OVER (ORDER BY id) FROM accounts", false),
            ("SELECT id FROM orders WHERE placed < current_date", false),
            ("SELECT id, random() FROM accounts", false),
            ("SELECT relname FROM pg_class", false),
            ("SELECT 1", false),
        ] {
            assert_eq!(Plain::of(&reader.bind(sql).unwrap()).is_some(), is_plain, "{sql}");
        }
    }

    /// Where policy hides rows, the number of parts must not tell how many there are.
    #[test]
    fn a_restricted_table_is_known_as_one() {
        let restricted =
            |reader: &crate::testing::Reader, sql: &str| Plain::of(&reader.bind(sql).unwrap()).unwrap().restricted;
        let (owner, clerk) = (Shop::open().owner(), Shop::open().clerk());
        assert!(!restricted(&owner, "SELECT id FROM visits") && restricted(&clerk, "SELECT id FROM visits"));
        assert!(!restricted(&clerk, "SELECT id FROM regions"));
    }

    #[test]
    fn a_part_of_another_gate_is_refused() {
        let reader = Shop::open().owner();
        let bound = reader.bind("SELECT id FROM accounts").unwrap();
        let plan = Arc::clone(reader.plan("SELECT id FROM accounts").unwrap().physical());
        assert_eq!(part_of(&plan, &Part::new(b"x".to_vec()), &bound).unwrap_err().code(), ErrorCode::Internal);
        // Files of a table that has none, as after a change of the source.
        let files = Name::Files(Share { index: 0, of: 2, layout: 1 }).part();
        assert_eq!(part_of(&plan, &files, &bound).unwrap_err().code(), ErrorCode::SourceSchemaChanged);
    }
}
