//! Templates as people write SQL: they come as words with a blank between each. Changes blanks only; understands no statement.

/// Without the blanks that nobody writes: `a.b`, `f(x, y)`.
pub(crate) fn closed_up(template: &str) -> String {
    let words: Vec<&str> = template.split(' ').filter(|word| !word.is_empty()).collect();
    let mut out = String::with_capacity(template.len());
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| words.get(at)).copied();
        if before.is_some_and(|before| is_apart(before, word)) {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Words before which a bracket stands apart; other words are names of functions.
const NO_FUNCTIONS: [&str; 17] = [
    "in", "and", "or", "not", "as", "from", "where", "on", "using", "values", "exists", "over", "join", "select",
    "then", "when", "by",
];

fn is_apart(before: &str, word: &str) -> bool {
    match (before, word) {
        ("(" | "." | "::" | "[", _) | (_, ")" | "," | "." | "::" | ";" | "]" | "[") => false,
        (before, "(") => {
            !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"') || NO_FUNCTIONS.contains(&before)
        }
        _ => true,
    }
}

/// Words that begin a line.
const LINES: [&str; 15] = [
    "from",
    "where",
    "group",
    "order",
    "having",
    "limit",
    "offset",
    "union",
    "except",
    "intersect",
    "left",
    "right",
    "inner",
    "full",
    "cross",
];

/// The same over several lines, one for each clause.
pub(crate) fn laid_out(template: &str) -> String {
    let mut out = String::with_capacity(template.len() + 32);
    let (mut depth, mut before) = (0_i32, "");
    for word in closed_up(template).split(' ') {
        // Within brackets a line would be in the way.
        let joined = matches!(before, "left" | "right" | "inner" | "full" | "cross" | "outer");
        let begins = depth == 0 && (LINES.contains(&word) || (word == "join" && !joined));
        if !out.is_empty() {
            out.push_str(if begins { "\n" } else { " " });
        }
        out.push_str(word);
        let count = |bracket: char| i32::try_from(word.matches(bracket).count()).unwrap_or(0);
        depth += count('(') - count(')');
        before = LINES.into_iter().find(|line| *line == word).unwrap_or("");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_stand_where_people_write_them() {
        let check = |template: &str, expected: &str| assert_eq!(closed_up(template), expected);
        check("select a . b , count ( * ) from t as x", "select a.b, count(*) from t as x");
        check("select * from t where a in ( ? ) and ( b = ? or c )", "select * from t where a in (?) and (b = ? or c)");
        check("select a :: text", "select a::text");
        check("", "");
        check("?", "?");
    }

    #[test]
    fn clauses_begin_lines() {
        let template = "select a , ( select max ( b ) from u ) from t left join v on t . a = v . a join w using ( a ) where a = ? order by a limit ?";
        let expected = "select a, (select max(b) from u)\nfrom t\nleft join v on t.a = v.a\njoin w using (a)\nwhere a = ?\norder by a\nlimit ?";
        assert_eq!(laid_out(template), expected);
    }
}
