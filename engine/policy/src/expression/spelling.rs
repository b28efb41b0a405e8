//! The text of an expression before it is parsed: bounds on its nesting, and the two old SQL spellings that the vendor
//! still reads, `=` and `IN`, rewritten into CEL. Leaves all others alone.

/// Deepest nesting of brackets.
const NESTING_MAX: usize = 24;
/// Most operators between two of `&&`, `||`, a comma and a bracket.
const CHAIN_MAX: usize = 48;

/// Whether the parser, which recurses once per bracket and per chained operator, may read the text. Text in quotes
/// counts too: to tell it apart needs the parser.
pub(super) fn is_shallow(source: &str) -> bool {
    let chars: Vec<char> = source.chars().collect();
    let (mut nesting, mut chain) = (0_usize, 0_usize);
    for (i, c) in chars.iter().enumerate() {
        match c {
            '(' | '[' | '{' => {
                nesting += 1;
                chain += 1;
            }
            ')' | ']' | '}' => nesting = nesting.saturating_sub(1),
            '&' | '|' | ',' => chain = 0,
            '.' | '!' | '-' | '+' | '*' | '/' | '%' | '<' | '>' | '=' | '?' | ':' => chain += 1,
            'i' | 'I' if is_word(&chars, i, "in") || is_word(&chars, i, "IN") => chain += 1,
            _ => {}
        }
        if nesting > NESTING_MAX || chain > CHAIN_MAX {
            return false;
        }
    }
    true
}

/// CEL for a source that may use `=` for `==` and `IN (...)` for `in [...]`. Text in quotes is not touched.
pub(super) fn modernize(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len() + 8);
    let mut i = 0;
    while let Some(&c) = chars.get(i) {
        match c {
            '\'' | '"' => {
                let end = string_end(&chars, i);
                out.extend(chars.get(i..end).unwrap_or_default());
                i = end;
            }
            '=' if chars.get(i + 1) == Some(&'=') => {
                out.push_str("==");
                i += 2;
            }
            '=' if i > 0 && matches!(chars.get(i - 1), Some('!' | '<' | '>')) => {
                out.push('=');
                i += 1;
            }
            '=' => {
                out.push_str("==");
                i += 1;
            }
            'I' if is_word(&chars, i, "IN") => {
                out.push_str("in");
                i += 2;
                i = parenthesized_list(&chars, i, &mut out);
            }
            c => {
                out.push(c);
                i += 1;
            }
        }
    }
    out
}

/// Words and signs of other languages, with what CEL writes. A word that another one begins with comes after it.
const WORDS: [(&str, &str); 8] = [
    ("is not null", "!= null"),
    ("is null", "== null"),
    ("not like", "!x.contains('text')"),
    ("like", "x.contains('text'), x.startsWith('text') or x.endsWith('text')"),
    ("between", ">= and <="),
    ("and", "&&"),
    ("or", "||"),
    ("not", "!"),
];
const SIGNS: [(&str, &str); 3] = [("<>", "!="), ("&", "&&"), ("|", "||")];

/// The first word or sign outside of quotes that other languages have where CEL has another, and that one. For a text that is no CEL.
pub(super) fn foreign(source: &str) -> Option<(String, &'static str)> {
    let chars: Vec<char> = source.chars().collect();
    let mut i = 0;
    while let Some(&c) = chars.get(i) {
        if matches!(c, '\'' | '"') {
            i = string_end(&chars, i);
            continue;
        }
        let rest = chars.get(i..).unwrap_or_default();
        let starts = |text: &str| rest.iter().take(text.len()).copied().eq(text.chars());
        // What CEL has itself is passed over whole.
        if starts("&&") || starts("||") {
            i += 2;
            continue;
        }
        if let Some((sign, own)) = SIGNS.into_iter().find(|(sign, _)| starts(sign)) {
            return Some((format!("'{sign}'"), own));
        }
        let written = |word: &str| is_word(&chars, i, word) || is_word(&chars, i, &word.to_ascii_uppercase());
        if let Some((word, own)) = WORDS.into_iter().find(|(word, _)| written(word)) {
            let as_written: String = rest.iter().take(word.len()).collect();
            return Some((format!("'{as_written}'"), own));
        }
        i += 1;
    }
    None
}

/// Index after the closing quote, or the end of the text.
fn string_end(chars: &[char], start: usize) -> usize {
    let quote = chars.get(start);
    let mut i = start + 1;
    while let Some(c) = chars.get(i) {
        match c {
            '\\' => i += 2,
            c if Some(c) == quote => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn is_word(chars: &[char], at: usize, word: &str) -> bool {
    let part = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric() || *c == '_' || *c == '.');
    let before = at.checked_sub(1).and_then(|b| chars.get(b));
    let end = at + word.len();
    chars.get(at..end).is_some_and(|w| w.iter().copied().eq(word.chars())) && !part(before) && !part(chars.get(end))
}

/// `(a, b)` after `IN` becomes `[a, b]`; `(current_user.x)` stays. Returns the index after what was consumed.
fn parenthesized_list(chars: &[char], at: usize, out: &mut String) -> usize {
    let open = at + chars.get(at..).unwrap_or_default().iter().take_while(|c| c.is_whitespace()).count();
    if chars.get(open) != Some(&'(') {
        return at;
    }
    let mut i = open + 1;
    while let Some(c) = chars.get(i) {
        match c {
            '\'' | '"' => i = string_end(chars, i),
            '(' => return at,
            ')' => {
                let inner: String = chars.get(open + 1..i).unwrap_or_default().iter().collect();
                if inner.trim_start().starts_with("current_user.") && !inner.contains(',') {
                    return at;
                }
                out.push_str(" [");
                out.push_str(&inner);
                out.push(']');
                return i + 1;
            }
            _ => i += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_other_languages_are_named_with_those_of_cel() {
        for (source, expected) in [
            ("a == 1 and b == 2", Some(("'and'", "&&"))),
            ("a == 1 AND b == 2", Some(("'AND'", "&&"))),
            ("a == 1 or b == 2", Some(("'or'", "||"))),
            ("not a == 1", Some(("'not'", "!"))),
            ("a <> 1", Some(("'<>'", "!="))),
            ("a IS NULL && b", Some(("'IS NULL'", "== null"))),
            ("b == 1 && a is not null", Some(("'is not null'", "!= null"))),
            ("a NOT LIKE 'x%'", Some(("'NOT LIKE'", "!x.contains('text')"))),
            ("a like 'x%'", Some(("'like'", "x.contains('text'), x.startsWith('text') or x.endsWith('text')"))),
            ("a BETWEEN 1 AND 2", Some(("'BETWEEN'", ">= and <="))),
            ("a == 1 & b == 2", Some(("'&'", "&&"))),
            ("a == 1 | b == 2", Some(("'|'", "||"))),
            ("a == 1 && b == 2 || c == 3 | d == 4", Some(("'|'", "||"))),
            ("a == 'x and y' && (", None),
            ("android == 1 && order == 2 &&", None),
        ] {
            let found = foreign(source);
            assert_eq!(found.as_ref().map(|(foreign, own)| (foreign.as_str(), *own)), expected, "{source}");
        }
    }

    #[test]
    fn only_the_two_old_spellings_are_rewritten() {
        for (source, expected) in [
            ("a = 'x'", "a == 'x'"),
            ("a == 'x=y' && b != \"=\"", "a == 'x=y' && b != \"=\""),
            ("a >= 1 && b <= 2", "a >= 1 && b <= 2"),
            ("a IN ('x', 'y)')", "a in ['x', 'y)']"),
            ("a IN (current_user.org_user_ids)", "a in (current_user.org_user_ids)"),
            ("a IN current_user.positions", "a in current_user.positions"),
            ("INN == 1", "INN == 1"),
            ("a = 'it\\'s = IN'", "a == 'it\\'s = IN'"),
            ("a = 1 AND b = 2", "a == 1 AND b == 2"),
        ] {
            assert_eq!(modernize(source), expected);
        }
    }
}
