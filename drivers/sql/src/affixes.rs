//! Small texts that printers put around others.

/// `"t"` followed by a number: a generated table alias.
pub(crate) fn table_alias(number: u32) -> String {
    format!("t{number}")
}

/// How names of queries begin that a statement reads more than once.
const SHARED: &str = "shared_";

/// The name of such a query.
pub(crate) fn shared_name(number: usize) -> String {
    format!("{SHARED}{number}")
}

/// Whether a source could take a name for one of these; some do not tell cases apart.
pub(crate) fn is_shared_name(name: &str) -> bool {
    name.get(..SHARED.len()).is_some_and(|first| first.eq_ignore_ascii_case(SHARED))
}

/// Joins operands with an associative operator as a balanced tree, so that long lists stay shallow in the source's
/// parser.
pub(crate) fn balanced(operands: &[String], operator: &str) -> String {
    match operands {
        [] => String::new(),
        [one] => one.clone(),
        many => {
            if many.len() <= 16 {
                return format!("({})", many.join(operator));
            }
            let (left, right) = many.split_at(many.len() / 2);
            format!("({}{operator}{})", balanced(left, operator), balanced(right, operator))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_like_those_of_shared_queries_are_known() {
        assert!(is_shared_name(&shared_name(1)) && is_shared_name("SHARED_1") && is_shared_name("shared_x"));
        assert!(!is_shared_name("shared") && !is_shared_name("shäred_1") && !is_shared_name("unshared_1"));
    }
}
