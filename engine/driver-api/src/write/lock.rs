//! Locked reads: rows of one table, found by their key and a policy, that nobody else changes until the transaction ends.

use crate::capability::{Refusal, RefusalReason};
use crate::fragment::Fragment;
use crate::identifier::TableRef;
use crate::relation::Relation;
use crate::scalar::ScalarExpr;

/// A lock on each row that a read gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lock {
    /// What it keeps others from.
    pub strength: LockStrength,
    /// What it does about locks of others.
    pub wait: LockWait,
}

/// What others may do with a locked row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockStrength {
    /// Read it.
    Update,
    /// Read it and lock it in the same way.
    Share,
}

/// What happens at a row that somebody else has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockWait {
    /// Waits for the other's end.
    Wait,
    /// Fails (55P03).
    NoWait,
    /// Leaves the row out.
    SkipLocked,
}

/// The table whose rows a fragment's read can lock: one scan, filtered, its columns handed on. Each row that it gives is one row
/// of the table, and no other row is locked. A fence is refused because rows below it would be locked before a condition above it
/// leaves them out.
///
/// # Errors
/// The fragment has another shape.
pub fn lockable(fragment: &Fragment) -> Result<&TableRef, Refusal> {
    locked_table(&fragment.relation)
}

/// As [`lockable`], of a relation.
///
/// # Errors
/// As there.
pub fn locked_table(mut relation: &Relation) -> Result<&TableRef, Refusal> {
    loop {
        relation = match relation {
            Relation::Scan { table, .. } => return Ok(table),
            Relation::Filter { input, .. } => input,
            Relation::Project { input, exprs }
                if exprs.iter().all(|(_, expr)| matches!(expr, ScalarExpr::Column(_))) =>
            {
                input
            }
            Relation::Project { .. }
            | Relation::Join { .. }
            | Relation::Aggregate { .. }
            | Relation::Distinct { .. }
            | Relation::Sort { .. }
            | Relation::Limit { .. }
            | Relation::SetOperation { .. }
            | Relation::Window { .. }
            | Relation::Fence { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => {
                let text = "only filtered rows of one table can be locked";
                return Err(Refusal::new(RefusalReason::Operator, text));
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fragment::OutputColumn;
    use crate::identifier::{ColumnId, Identifier};
    use crate::relation::{Collation, Encoding, JoinKind, ScanColumn};
    use crate::scalar::Constant;
    use crate::value::ValueType;

    fn scan(id: u32) -> Relation {
        let column = ScanColumn {
            id: ColumnId(id),
            name: Identifier::new("id").unwrap(),
            value_type: ValueType::Int64,
            nullable: false,
            collation: Collation::Binary,
            encoding: Encoding::Canonical,
        };
        Relation::Scan { table: TableRef::new(["main", "t"]).unwrap(), columns: vec![column] }
    }

    fn table(relation: Relation) -> Result<String, Refusal> {
        let output =
            OutputColumn { id: ColumnId(0), name: "id".to_owned(), value_type: ValueType::Int64, nullable: true };
        lockable(&Fragment { relation, output: vec![output], parameters: Vec::new() }).map(ToString::to_string)
    }

    #[test]
    fn only_filtered_rows_of_one_table_are_locked() {
        let truth = ScalarExpr::Constant(Constant::True);
        let filter = |input| Relation::Filter { input: Box::new(input), predicate: truth.clone() };
        let project = |input, expr| Relation::Project { input: Box::new(input), exprs: vec![(ColumnId(0), expr)] };
        assert_eq!(table(filter(filter(scan(0)))).as_deref(), Ok("main.t"));
        assert_eq!(table(project(filter(scan(0)), ScalarExpr::Column(ColumnId(0)))).as_deref(), Ok("main.t"));
        for other in [
            filter(Relation::Fence { input: Box::new(filter(scan(0))) }),
            Relation::Limit { input: Box::new(scan(0)), skip: 0, fetch: Some(1) },
            Relation::Distinct { input: Box::new(scan(0)) },
            project(scan(0), ScalarExpr::Negate(Box::new(ScalarExpr::Column(ColumnId(0))))),
            Relation::Join {
                kind: JoinKind::LeftSemi,
                left: Box::new(scan(0)),
                right: Box::new(scan(1)),
                on: truth.clone(),
            },
            Relation::EmptyRow,
        ] {
            assert!(table(other).is_err());
        }
    }
}
