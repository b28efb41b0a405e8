//! What expressions of PostgreSQL find, and which of them are refused.

use super::*;

fn found(pattern: &str, flags: &str, text: &str) -> Option<String> {
    let expression = Expression::new(pattern, flags, 4 << 20).unwrap();
    assert!(matches!(expression, Expression::Stepping(_)), "{pattern}");
    expression.find_at(text, 0).unwrap().map(|range| text[range].to_owned())
}

#[test]
fn what_looks_around_and_refers_back_is_found() {
    for (pattern, flags, text, expected) in [
        (r"^(\w+)( \1)+$", "", "abc abc abc", Some("abc abc abc")),
        (r"^(\w+)( \1)+$", "", "abc abd abc", None),
        (r"(\w)(.*?\1)", "", "Programmer", Some("rogr")),
        (r"^([ab])\1$", "i", "aA", Some("aA")),
        (r"()*\1", "", "a", Some("")),
        (r"^((.)\2|..)\2", "", "abadef", None),
        (r"a(?=b)b*(?=c)c*", "", "abc", Some("abc")),
        (r"a(?!b)b*", "", "ab", None),
        (r"(?<=foo)b+", "", "foobar", Some("b")),
        (r"a*(?<!a)b*", "", "ab", Some("")),
        (r"(^(?!aa)(?!bb)(?!cc))+", "", "dd x", Some("")),
        (r"\mone\M", "", "phone one", Some("one")),
        (r"\y[[:alpha:]]{2,3}\y", "", "a1 four two", Some("two")),
        (r"x|(?:\M)+", "", "x", Some("x")),
        (r"^b\Z", "n", "a\nb", Some("b")),
        (r"(?i)\mA[]b-]", "", "ab", Some("ab")),
        (r"(?=é)[^a]\u00e9?", "", "aé", Some("é")),
        (r"(?:(?:a|b)*)*\Z", "", "abab", Some("abab")),
        (r"\m a # a comment", "x", "b a", Some("a")),
    ] {
        assert_eq!(found(pattern, flags, text).as_deref(), expected, "{pattern} {text}");
    }
}

#[test]
fn what_is_not_of_postgresql_is_invalid() {
    for pattern in [
        r"(a)\2",
        r"(?<n>a)",
        r"(?>a)\Z",
        r"\Z\p{L}",
        r"\m*",
        r"a**\Z",
        r"(\1)",
        r"a{2,1}\y",
        r"(?=(a)\1)",
        r"[a\y",
        r"\y[[.a.]]",
        r"(?=a",
    ] {
        let error = Expression::new(pattern, "", 4 << 20).unwrap_err().to_string();
        assert!(error.contains("invalid regular expression"), "{pattern}: {error}");
    }
}

#[test]
fn what_takes_too_long_or_too_much_is_refused() {
    let too_complex = |result: Result<String>| assert!(result.unwrap_err().to_string().contains("too complex"));
    for pattern in
        [r"(?:(?:\y|x{255}){255}){255}", r"(?:(?:(?:(?:(?:){255}){255}){255}){255}){255}\Z", &"(".repeat(200)]
    {
        let pattern = format!(r"\m{pattern}");
        too_complex(Expression::new(&pattern, "", 4 << 20).map(|_| pattern.clone()));
    }
    let expression = Expression::new(r"^(a+)+\1$", "", 4 << 20).unwrap();
    too_complex(expression.is_match(&format!("{}b", "a".repeat(40))).map(|found| found.to_string()));
}

#[test]
fn empty_matches_follow_others() {
    let expression = Expression::new("a*", "", 4 << 20).unwrap();
    let found: Vec<_> = expression.finds("baaac", 0).map(Result::unwrap).collect();
    assert_eq!(found, [0..0, 1..4, 4..4, 5..5]);
}
