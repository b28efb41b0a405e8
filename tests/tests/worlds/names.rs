//! Names and texts as people give them.

use querygate_tests::harness::Rng;

/// Names of tables and columns that are easily lost.
const NAMES: [&str; 28] = [
    "Order Item",
    "größe",
    "年",
    "select",
    "user",
    "a.b",
    "a-b",
    "100%",
    "weird\"quote",
    "it's",
    "CamelCase",
    "camelcase",
    "x$y",
    "1st",
    "_hidden",
    "trailing ",
    "é",
    "e\u{301}",
    "naïve",
    "🦀 crab",
    "emoji🎉",
    "a/b",
    "back\\slash",
    "percent%20",
    "id",
    "ID",
    "a name that is longer than sixty-three bytes, as no name of the gate can be",
    "comma,name",
];

/// A name that begins so, or an odd one that is not among these. Those with the characters of `without` are others.
pub(crate) fn name(rng: &mut Rng, plain: &str, taken: &mut Vec<String>, without: &[char]) -> String {
    let odd = || NAMES.iter().filter(|name| !name.contains(without));
    let mut name = if rng.percent(40) {
        (*rng.pick(&odd().copied().collect::<Vec<_>>())).to_owned()
    } else {
        format!("{plain}_{}", rng.between(1, 99))
    };
    // SQLite and MariaDB take names that differ in their case alone for one.
    while taken.iter().any(|other| other.to_lowercase() == name.to_lowercase()) {
        name.push('x');
    }
    taken.push(name.clone());
    name
}

const TEXTS: [&str; 30] = [
    "",
    " ",
    "a",
    "A",
    "é",
    "e\u{301}",
    "ß",
    "it's",
    "say \"hi\"",
    "a,b",
    "a;b",
    "a\tb",
    "line\nbreak",
    "line\r\nbreak",
    "NULL",
    "null",
    "NA",
    "\\N",
    "nan",
    "true",
    "0",
    "007",
    "1e5",
    "%",
    "\\",
    " padded ",
    "日本語",
    "🦀",
    "{\"a\": 1}",
    "$1",
];

pub(crate) fn text(rng: &mut Rng) -> String {
    match rng.below(10) {
        0 => format!("w{}", rng.below(1000)),
        1 => "long ".repeat(rng.between(1, 400)),
        _ => (*rng.pick(&TEXTS)).to_owned(),
    }
}

/// Words without a sign that a format could take for its own.
pub(crate) fn word(rng: &mut Rng) -> String {
    (*rng.pick(&["north", "south", "éclair", "Größe", "blue moon", "x", "O'Brien", "a_b", "tab le"])).to_owned()
}

pub(crate) fn whole(rng: &mut Rng) -> i64 {
    match rng.below(6) {
        0 => *rng.pick(&[0, 1, -1, i64::MAX, i64::MIN, 9_007_199_254_740_993, -2_147_483_649, 255, 65_536]),
        1 => i64::from_ne_bytes(rng.next().to_ne_bytes()),
        _ => i64::try_from(rng.below(2000)).unwrap() - 1000,
    }
}

/// A day; now and then one of another millennium.
pub(crate) fn day(rng: &mut Rng) -> String {
    let year = if rng.percent(10) { *rng.pick(&[1, 999, 1582, 1900, 9999]) } else { rng.between(1970, 2030) };
    format!("{year:04}-{:02}-{:02}", rng.between(1, 12), rng.between(1, 28))
}

pub(crate) fn clock(rng: &mut Rng) -> String {
    let clock = format!("{:02}:{:02}:{:02}", rng.below(24), rng.below(60), rng.below(60));
    match rng.below(3) {
        0 => format!("{clock}.{:06}", rng.below(1_000_000)),
        _ => clock,
    }
}

pub(crate) fn one(rng: &mut Rng, texts: &[&'static str]) -> &'static str {
    texts[rng.below(texts.len())]
}
