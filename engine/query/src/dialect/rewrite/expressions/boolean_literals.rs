//! Literals without a type where truth is asked for, which are read as booleans: `WHERE 't'`, `a OR 'f'`. The engine takes them for texts.

use crate::dialect::ast::{cast, literal_text, number};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Join, JoinConstraint, JoinOperator, Select, TableFactor, TableWithJoins,
    UnaryOperator,
};

/// Reads those that an expression takes for truth.
pub(in crate::dialect) fn operands(expr: &mut Expr) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            read(left);
            read(right);
        }
        Expr::UnaryOp { op: UnaryOperator::Not, expr: operand }
        | Expr::IsTrue(operand)
        | Expr::IsNotTrue(operand)
        | Expr::IsFalse(operand)
        | Expr::IsNotFalse(operand)
        | Expr::IsUnknown(operand)
        | Expr::IsNotUnknown(operand) => read(operand),
        _ => {}
    }
}

/// Reads those that are the conditions of a SELECT.
pub(in crate::dialect) fn conditions(select: &mut Select) {
    select.selection.iter_mut().chain(&mut select.having).for_each(read);
    select.from.iter_mut().for_each(joined);
}

fn joined(table: &mut TableWithJoins) {
    nested(&mut table.relation);
    for join in &mut table.joins {
        nested(&mut join.relation);
        if let Some(condition) = condition(join) {
            read(condition);
        }
    }
}

fn nested(factor: &mut TableFactor) {
    if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
        joined(table_with_joins);
    }
}

fn condition(join: &mut Join) -> Option<&mut Expr> {
    let (JoinOperator::Join(constraint)
    | JoinOperator::Inner(constraint)
    | JoinOperator::Left(constraint)
    | JoinOperator::LeftOuter(constraint)
    | JoinOperator::Right(constraint)
    | JoinOperator::RightOuter(constraint)
    | JoinOperator::FullOuter(constraint)) = &mut join.join_operator
    else {
        return None;
    };
    match constraint {
        JoinConstraint::On(condition) => Some(condition),
        _ => None,
    }
}

fn read(expr: &mut Expr) {
    if literal_text(expr).is_some() {
        *expr = cast(std::mem::replace(expr, number(0)), DataType::Boolean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::ast::{SetExpr, Statement};
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    #[test]
    fn literals_are_read_where_truth_is_asked_for() {
        let mut parsed = Parser::parse_sql(
            &PostgreSqlDialect {},
            "SELECT a FROM t JOIN (u LEFT JOIN v ON ('n')) ON 'y' WHERE 't' HAVING E'f'",
        )
        .unwrap();
        let Some(Statement::Query(query)) = parsed.first_mut() else { panic!("a query") };
        let SetExpr::Select(select) = query.body.as_mut() else { panic!("a SELECT") };
        conditions(select);
        assert_eq!(select.to_string().matches("AS BOOLEAN)").count(), 4, "{select}");
        for (text, read) in [
            ("a AND 't'", "a AND CAST('t' AS BOOLEAN)"),
            ("NOT 'f'", "NOT CAST('f' AS BOOLEAN)"),
            ("'t' IS NOT TRUE", "CAST('t' AS BOOLEAN) IS NOT TRUE"),
            ("a = 't'", "a = 't'"),
            ("a OR b", "a OR b"),
            ("NOT 'f'::text", "NOT 'f'::TEXT"),
        ] {
            let mut expr = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).unwrap().parse_expr().unwrap();
            operands(&mut expr);
            assert_eq!(expr.to_string(), read);
        }
    }
}
