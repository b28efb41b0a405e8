//! The parameters that a part of a statement names.

use crate::sql::walk::{ON, Reader, Step, look};
use datafusion::sql::sqlparser::ast::{Expr, Query, Value};
use querygate_types::limits;
use std::collections::HashSet;

/// The numbers of a query's parameters.
pub(super) fn numbers(query: &Query) -> HashSet<usize> {
    struct Numbers(HashSet<usize>);
    impl Reader for Numbers {
        fn expr(&mut self, expr: &Expr) -> Step {
            if let Expr::Value(value) = expr
                && let Value::Placeholder(name) = &value.value
                && let Ok(number) = name.trim_start_matches('$').parse::<usize>()
                && number <= limits::PARAMETERS_MAX
            {
                self.0.insert(number);
            }
            ON
        }
    }
    let mut numbers = Numbers(HashSet::new());
    look(query, &mut numbers);
    numbers.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::find::skeleton;

    /// Parameters are found wherever they stand, each once; what is no number is none.
    #[test]
    fn parameters_are_found_wherever_they_stand() {
        for (sql, expected) in [
            ("SELECT 1", vec![]),
            ("SELECT $2, $1, $2", vec![1, 2]),
            ("SELECT a FROM t WHERE b = $3 ORDER BY $4 LIMIT $1", vec![1, 3, 4]),
            ("WITH w AS (SELECT $1) SELECT (SELECT $2 FROM w) FROM t JOIN u ON $3", vec![1, 2, 3]),
            ("SELECT '$9', \"$8\"", vec![]),
            ("SELECT $70000", vec![]),
        ] {
            let mut found: Vec<usize> = numbers(&skeleton(sql).unwrap()).into_iter().collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{sql}");
        }
    }
}
