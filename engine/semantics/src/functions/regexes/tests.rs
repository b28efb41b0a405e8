//! What expressions of PostgreSQL find, and which of them are refused.

use super::*;
use std::rc::Rc;

fn matcher(pattern: &str, flags: &str, text: &str) -> Matcher {
    Matcher::new(Rc::new(Expression::new(pattern, flags, 4 << 20).unwrap()), text)
}

fn found(pattern: &str, flags: &str, text: &str) -> Option<String> {
    matcher(pattern, flags, text).find_at(text, 0).unwrap().map(|range| text[range].to_owned())
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

/// What PostgreSQL 15 finds in a database of `C.UTF-8`.
#[test]
fn classes_are_those_of_the_c_library() {
    for (pattern, flags, has, lacks) in [
        ("[[:upper:]]", "", "AÄ\u{1c5}ᾈⅠ", "aä１あ€"),
        ("[[:lower:]]", "", "aä\u{1c5}ªⅰ", "AÄᾈ１あ"),
        ("[[:upper:]]", "i", "aäAあ１", "1€ "),
        ("[[:alpha:]]", "", "aäあ１ǅⅠ", "1_€\u{a0}"),
        ("[[:alnum:]]", "", "aä1１", "_€-"),
        (r"\d", "", "07", "１٣a"),
        (r"\D", "", "１٣a\n", "07"),
        ("[[:digit:]]", "", "7", "１"),
        (r"\s", "", " \t\u{b}\u{2003}\u{3000}\u{2028}", "\u{a0}\u{2007}\u{202f}\u{85}a"),
        (r"\S", "", "\u{a0}\u{85}a", " \u{2003}"),
        (r"\w", "", "aä1１_", "-€‿"),
        (r"[^\w]", "", "-€‿", "aä_"),
        ("[[:punct:]]", "", "!€«_", "aä1１ \u{2003}"),
        ("[[:print:]]", "", "a €\u{a0}\u{e000}", "\t\u{2028}\u{7f}"),
        ("[[:graph:]]", "", "a€\u{a0}", " \u{2003}\t"),
        ("[[:cntrl:]]", "", "\u{1}\u{85}", "a "),
        ("[[:blank:]]", "", " \t", "\u{2003}\n"),
        ("[[:xdigit:]]", "", "aF9", "gＡ"),
        ("[[:ascii:]]", "", "a~", "ä"),
    ] {
        for (text, expected) in has.chars().map(|c| (c, true)).chain(lacks.chars().map(|c| (c, false))) {
            let text = text.to_string();
            assert_eq!(matcher(pattern, flags, &text).is_match(&text).unwrap(), expected, "{pattern} {text:?}");
        }
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
        r"\y[[.hyphen.]]",
        r"(?=a",
        r"\z",
        r"\pL",
        "(?P<n>a)",
        "(?U)a",
        "a(?i)B",
        "^*",
        "^*a",
        "a**",
        "a{256}",
        "a{2}{3}",
        "a{1",
        "*a",
        "(*a)",
        "b|*a",
        "a???",
        "[b-a]",
        r"[a-\d]",
        "[a-c-e]",
        r"[\m]",
        "[[:foo:]]",
        r"\8",
        r"\89",
        r"\u12",
        "(?iz)a",
        "a)",
        "a\\",
    ] {
        let error = Expression::new(pattern, "", 4 << 20).unwrap_err().to_string();
        assert!(error.contains("invalid regular expression"), "{pattern}: {error}");
    }
}

/// PostgreSQL's words (regerrs.h), and only of a pattern that the statement itself holds.
#[test]
fn an_invalid_constant_pattern_has_its_reason() {
    for (pattern, reason) in [
        ("a(.", "parentheses () not balanced"),
        ("a)", "parentheses () not balanced"),
        ("(?=a", "parentheses () not balanced"),
        ("[a", "brackets [] not balanced"),
        ("a{1", "braces {} not balanced"),
        ("*a", "quantifier operand invalid"),
        ("a**", "quantifier operand invalid"),
        ("^*", "quantifier operand invalid"),
        ("a{2,1}", "invalid repetition count(s)"),
        ("a{256}", "invalid repetition count(s)"),
        (r"a\", r"invalid escape \ sequence"),
        (r"\z", r"invalid escape \ sequence"),
        (r"(a)\2", "invalid backreference number"),
        ("[[:foo:]]", "invalid character class"),
        ("[b-a]", "invalid character range"),
        ("(?iz)a", "invalid embedded option"),
    ] {
        let told = linear_spelling(pattern, "").unwrap_err().to_string();
        assert!(told.contains(&format!("invalid regular expression: {reason}")), "{pattern}: {told}");
        let of_a_row = Expression::new(pattern, "", 4 << 20).unwrap_err().to_string();
        assert!(of_a_row.contains("invalid regular expression") && !of_a_row.contains(reason), "{pattern}: {of_a_row}");
    }
}

#[test]
fn what_takes_too_long_or_too_much_is_refused() {
    let too_complex = |result: Result<String>| assert!(result.unwrap_err().to_string().contains("too complex"));
    for pattern in
        [r"(?:(?:\y|x{255}){255}){255}", r"(?:(?:(?:(?:(?:){255}){255}){255}){255}){255}\Z", &"(".repeat(200)]
    {
        let pattern = format!("(?=x|){pattern}");
        too_complex(Expression::new(&pattern, "", 4 << 20).map(|_| pattern.clone()));
    }
    let too_long = |pattern: &str, text: &str| {
        too_complex(matcher(pattern, "", text).is_match(text).map(|found| found.to_string()));
    };
    too_long(r"^(a+)+\1$", &format!("{}b", "a".repeat(40)));
    // All searches of one call together.
    let text = "a".repeat(60_000);
    let matcher = matcher("(?:(?=(?:a?){10}b)|)a", "", &text);
    assert!(matcher.finds(&text, 0).any(|found| found.is_err_and(|error| error.to_string().contains("too complex"))));
    // Sets of characters take memory.
    let sets: String = ('A'..='Z').flat_map(|a| ('a'..='z').map(move |b| format!("[\\w{a}{b}é]"))).collect();
    too_complex(Expression::new(&format!("(?=a){sets}"), "i", 1 << 20).map(|_| String::new()));
}

#[test]
fn what_is_behind_is_looked_for_where_its_width_lets_it() {
    let text = "c".repeat(100_000);
    assert!(!matcher("(?<=a)b", "", &text).is_match(&text).unwrap());
    assert!(!matcher("(?<=a|bc{1,3})b", "", &text).is_match(&text).unwrap());
    for (pattern, text, expected) in [
        ("(?<=a|bcc)d", "bccd", Some("d")),
        ("(?<!a.?)d", "axd", None),
        ("(?<!a.?)d", "axxd", Some("d")),
        ("(?<=é{2})x", "éx ééx", Some("x")),
        ("(?<=a.*)x", "abx", Some("x")),
        ("(?<=^)x", "x", Some("x")),
    ] {
        assert_eq!(found(pattern, "", text).as_deref(), expected, "{pattern} {text}");
    }
}

#[test]
fn characters_are_spelled_as_in_postgresql() {
    for (pattern, text, expected) in [
        (r"^(a)\12$", "aa2", false),
        (r"^\012(?=$)", "\n", true),
        (r"\101", "A", true),
        (r"\x62c", "bc", false),
        (r"\x0041", "A", true),
        (r"^\b\B$", "\u{8}\\", true),
        (r"\cA", "\u{1}", true),
        ("[a&&b]", "&", true),
        ("[a~~b]", "~", true),
        ("^[[:<:]]ab[[:>:]]$", "ab", true),
        ("[+--]", "-", true),
        ("[a-]", "-", true),
        (r"[\D]", "1", false),
        ("[[.a.][=b=]]", "b", true),
        ("a{,3}", "a{,3}", true),
        ("(?:^)*a", "a", true),
        ("a(?#comment)b", "ab", true),
        ("***=a.c", "abc", false),
        ("***:a.c", "abc", true),
        ("(?q)a.c", "abc", false),
        ("(?n)a[^x]b", "a\nb", false),
        ("(?n)a\\Wb", "a\nb", true),
    ] {
        assert_eq!(found(pattern, "", text).is_some(), expected, "{pattern} {text}");
    }
}

#[test]
fn a_repetition_forgets_the_groups_of_the_one_before() {
    for (pattern, text, expected) in [
        ("^(?:(a)|b)*$", "ab", None),
        ("^(?:b|(a))*$", "ba", Some("a")),
        ("^(?:(a)|b){2}(?=$)", "ab", None),
        (r"^(?:(a)|b\1)+$", "aba", None),
        (r"(?:(\w)X)*", "aXbX", Some("b")),
    ] {
        let groups = matcher(pattern, "", text).groups_at(text, 0).unwrap();
        let group = groups.and_then(|found| found.get(1)).map(|range| &text[range]);
        assert_eq!(group, expected, "{pattern} {text}");
    }
}

#[test]
fn empty_matches_follow_others() {
    let matcher = matcher("a*", "", "baaac");
    let found: Vec<_> = matcher.finds("baaac", 0).map(Result::unwrap).collect();
    assert_eq!(found, [0..0, 1..4, 4..4, 5..5]);
}

#[test]
fn large_programs_are_not_run_over_long_texts() {
    let large = Expression::new("(a{1,100}){1,100}b", "", 4 << 20).unwrap();
    let small = Expression::new("a+b", "", 4 << 20).unwrap();
    let steps = Steps::over("");
    assert!(large.is_match(&"a".repeat(100), &steps).is_ok());
    assert!(large.is_match(&"a".repeat(1_000_000), &steps).is_err());
    assert!(small.is_match(&"a".repeat(1_000_000), &steps).is_ok());
}
