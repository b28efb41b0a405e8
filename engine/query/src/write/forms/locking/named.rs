//! Which of the tables that a query reads is the one whose rows it locks: the only one, or the one that OF names.

use super::unlockable;
use crate::write::intent::folded;
use datafusion::sql::sqlparser::ast::{Ident, JoinOperator, ObjectName, ObjectNamePart, TableFactor, TableWithJoins};
use querygate_types::{Error, ErrorCode, Result};

/// The table by itself. `of`: what stands behind OF.
///
/// # Errors
/// 42P01: OF names none of the query's tables. 0A000: there is not one table, or not each row of the query has a row of it.
pub(super) fn locked(from: &[TableWithJoins], of: Option<&ObjectName>) -> Result<TableWithJoins> {
    let Some(of) = of else {
        let [only] = from else { return Err(unlockable()) };
        return Ok(only.clone());
    };
    let [ObjectNamePart::Identifier(of)] = of.0.as_slice() else {
        return Err(Error::new(ErrorCode::SyntaxError, "FOR UPDATE OF takes names without a schema"));
    };
    let of = folded(of);
    for tables in from {
        if is_called(&tables.relation, &of) {
            // Rows that the other side alone has would be rows without a row of it.
            return if tables.joins.iter().all(|join| side(&join.join_operator).is_some()) {
                Ok(alone(&tables.relation))
            } else {
                Err(unlockable())
            };
        }
        for (at, join) in tables.joins.iter().enumerate() {
            if is_called(&join.relation, &of) {
                let here = side(&join.join_operator) == Some(Side::Both);
                let later = tables.joins.iter().skip(at + 1).all(|join| side(&join.join_operator).is_some());
                return if here && later { Ok(alone(&join.relation)) } else { Err(unlockable()) };
            }
        }
    }
    let text = format!("relation \"{of}\" in FOR UPDATE clause not found in FROM clause");
    Err(Error::new(ErrorCode::UndefinedTable, text))
}

/// Of which sides of a join each row of it has a row.
#[derive(PartialEq, Eq)]
enum Side {
    Left,
    Both,
}

fn side(join: &JoinOperator) -> Option<Side> {
    match join {
        JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => Some(Side::Both),
        JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => Some(Side::Left),
        JoinOperator::Right(_)
        | JoinOperator::RightOuter(_)
        | JoinOperator::FullOuter(_)
        | JoinOperator::Semi(_)
        | JoinOperator::LeftSemi(_)
        | JoinOperator::RightSemi(_)
        | JoinOperator::Anti(_)
        | JoinOperator::LeftAnti(_)
        | JoinOperator::RightAnti(_)
        | JoinOperator::CrossApply
        | JoinOperator::OuterApply
        | JoinOperator::AsOf { .. }
        | JoinOperator::StraightJoin(_)
        | JoinOperator::ArrayJoin
        | JoinOperator::LeftArrayJoin
        | JoinOperator::InnerArrayJoin => None,
    }
}

fn is_called(table: &TableFactor, of: &str) -> bool {
    name(table).is_some_and(|name| folded(name) == of)
}

/// What a query calls one of its tables.
fn name(table: &TableFactor) -> Option<&Ident> {
    let TableFactor::Table { name, alias, .. } = table else { return None };
    match (alias, name.0.last()) {
        (Some(alias), _) => Some(&alias.name),
        (None, Some(ObjectNamePart::Identifier(last))) => Some(last),
        (None, Some(ObjectNamePart::Function(_)) | None) => None,
    }
}

fn alone(table: &TableFactor) -> TableWithJoins {
    TableWithJoins { relation: table.clone(), joins: Vec::new() }
}
