//! Small texts that printers put around others.

/// `"t"` followed by a number: a generated table alias.
pub(crate) fn table_alias(number: u32) -> String {
    format!("t{number}")
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
