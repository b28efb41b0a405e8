//! What leaves and their books need of expressions: the columns that one reads, and its text with numbered parameters in place of
//! values.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Placeholder;

/// Numbers parameters of one leaf in order of appearance.
#[derive(Debug, Default)]
pub(crate) struct Numbered {
    next: usize,
}

impl Numbered {
    /// The conjuncts as text, every literal as `$n`.
    pub(crate) fn conjuncts(&mut self, conjuncts: &[Expr]) -> String {
        conjuncts.iter().map(|one| self.expression(one)).collect::<Vec<_>>().join(" AND ")
    }

    /// The conjuncts as text, equal for any values: a list of them is as long as one.
    pub(crate) fn template(&mut self, conjuncts: &[Expr]) -> String {
        let short = |expr: &Expr| {
            let shortened = expr.clone().transform_up(|e| {
                Ok(match e {
                    Expr::InList(mut list) if list.list.iter().all(|item| matches!(item, Expr::Literal(..))) => {
                        list.list.truncate(1);
                        Transformed::yes(Expr::InList(list))
                    }
                    other => Transformed::no(other),
                })
            });
            // The closure never fails; the whole list is numbered all the same.
            shortened.map_or_else(|_| expr.clone(), |done| done.data)
        };
        self.conjuncts(&conjuncts.iter().map(short).collect::<Vec<_>>())
    }

    fn expression(&mut self, expr: &Expr) -> String {
        let numbered = expr.clone().transform_up(|e| {
            Ok(match e {
                Expr::Literal(value, _) if !value.is_null() => {
                    self.next += 1;
                    Transformed::yes(Expr::Placeholder(Placeholder::new_with_field(format!("${}", self.next), None)))
                }
                other => Transformed::no(other),
            })
        });
        match numbered {
            Ok(done) if matches!(done.data, Expr::BinaryExpr(_)) => format!("({})", done.data),
            Ok(done) => done.data.to_string(),
            // The closure never fails; nothing is better than a value.
            Err(_) => "…".to_owned(),
        }
    }
}

/// Column names an expression reads.
pub(crate) fn columns_of(expr: &Expr) -> Vec<String> {
    let mut names = Vec::new();
    // The closure never fails, so neither does the walk.
    let _ = expr.apply(|e| {
        if let Expr::Column(c) = e {
            names.push(c.name.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, lit};

    #[test]
    fn values_become_numbers() {
        let mut numbered = Numbered::default();
        let text = numbered.conjuncts(&[col("a").eq(lit("secret")), col("b").in_list(vec![lit(1), lit(2)], false)]);
        assert_eq!(text, "(a = $1) AND b IN ([$2, $3])");
        let listed = |n| [col("a").in_list((0..n).map(lit).collect(), false)];
        let template = |n: i32| Numbered::default().template(&listed(n));
        assert_eq!((template(9), template(9)), ("a IN ([$1])".to_owned(), template(40)));
        assert_eq!(numbered.conjuncts(&[col("c").is_null().or(col("d").gt(lit(7)))]), "(c IS NULL OR d > $4)");
    }
}
