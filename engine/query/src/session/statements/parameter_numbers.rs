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
