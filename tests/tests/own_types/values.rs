//! Values at random, as texts that PostgreSQL would print, and the seed they come from. Knows no source.

use querygate_tests::harness::Rng;

/// Names another seed.
const SEED_VARIABLE: &str = "QUERYGATE_SEED";
const SEED: u64 = 20_261_122;

/// The seed of this run, which is printed: a failure is repeated by giving it back.
pub(crate) fn seed(of: &str) -> u64 {
    let given = std::env::var(SEED_VARIABLE).ok().map(|text| text.parse().expect("QUERYGATE_SEED is a number"));
    let seed = given.unwrap_or(SEED);
    println!("{of}: {SEED_VARIABLE}={seed}");
    seed
}

/// A whole number of so many bits, small ones as often as large ones.
pub(crate) fn whole(rng: &mut Rng, bits: u32) -> i128 {
    let width = u32::try_from(rng.between(1, bits as usize - 1)).unwrap();
    let value = i128::from(rng.next()) & ((1 << width) - 1);
    if rng.percent(50) { -value } else { value }
}

pub(crate) fn unsigned(rng: &mut Rng, bits: u32) -> i128 {
    let width = u32::try_from(rng.between(1, bits as usize)).unwrap();
    i128::from(rng.next()) & ((1 << width) - 1)
}

/// So many digits at most before and after the point, all of the latter written.
pub(crate) fn decimal(rng: &mut Rng, whole: usize, places: usize) -> String {
    let mut digits =
        |count: usize| -> String { (0..count).map(|_| char::from(b'0' + (rng.next() % 10) as u8)).collect() };
    let (before, after) = (digits(whole), digits(places));
    let before = before.chars().skip(rng.below(whole)).collect::<String>();
    let before = before.trim_start_matches('0');
    let before = if before.is_empty() { "0" } else { before };
    let point = if places == 0 { String::new() } else { format!(".{after}") };
    let zero = before == "0" && after.bytes().all(|digit| digit == b'0');
    let sign = if rng.percent(50) && !zero { "-" } else { "" };
    format!("{sign}{before}{point}")
}

/// Any finite double, or one with few digits.
pub(crate) fn double(rng: &mut Rng) -> f64 {
    loop {
        let value = if rng.percent(50) { f64::from_bits(rng.next()) } else { whole(rng, 40) as f64 / 64.0 };
        if value.is_finite() {
            return value;
        }
    }
}

pub(crate) fn single(rng: &mut Rng) -> f32 {
    loop {
        let value = if rng.percent(50) { f32::from_bits(rng.next() as u32) } else { whole(rng, 20) as f32 / 4.0 };
        if value.is_finite() {
            return value;
        }
    }
}

/// Characters that are easily lost: quotes, signs of patterns, control characters, accents apart from their letters, and some beyond
/// two bytes.
const CHARACTERS: [char; 34] = [
    'a', 'b', 'A', 'B', 'z', 'Z', '0', '9', ' ', '\'', '"', '\\', '%', '_', '-', ',', '{', '}', '(', ')', '|', '$',
    ';', '\n', '\t', '\u{1}', 'é', 'É', 'e', '\u{301}', 'ß', 'Ω', '中', '🦀',
];

/// At most so many characters; no blank at the end.
pub(crate) fn text(rng: &mut Rng, most: usize) -> String {
    let text: String = (0..rng.between(0, most)).map(|_| *rng.pick(&CHARACTERS)).collect();
    text.trim_end_matches(' ').to_owned()
}

/// At most so many letters, at least one.
pub(crate) fn word(rng: &mut Rng, most: usize) -> String {
    (0..rng.between(1, most)).map(|_| char::from(b'a' + (rng.next() % 26) as u8)).collect()
}

pub(crate) fn bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    (0..rng.between(0, most)).map(|_| (rng.next() & 0xff) as u8).collect()
}

/// A day of these years.
pub(crate) fn date(rng: &mut Rng, first: usize, last: usize) -> String {
    format!("{:04}-{:02}-{:02}", rng.between(first, last), rng.between(1, 12), rng.between(1, 28))
}

/// A time of day with at most so many digits after the second, as PostgreSQL prints it.
pub(crate) fn time(rng: &mut Rng, places: usize) -> String {
    let clock = format!("{:02}:{:02}:{:02}", rng.between(0, 23), rng.between(0, 59), rng.between(0, 59));
    let fraction: String = (0..rng.between(0, places)).map(|_| char::from(b'0' + (rng.next() % 10) as u8)).collect();
    match fraction.trim_end_matches('0') {
        "" => clock,
        digits => format!("{clock}.{digits}"),
    }
}

pub(crate) fn timestamp(rng: &mut Rng, (first, last): (usize, usize), places: usize) -> String {
    format!("{} {}", date(rng, first, last), time(rng, places))
}

pub(crate) fn uuid(rng: &mut Rng) -> String {
    let text = format!("{:016x}{:016x}", rng.next(), rng.next());
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

/// A list of values as an array is written, some of them NULL.
pub(crate) fn list(rng: &mut Rng, item: impl Fn(&mut Rng) -> String) -> String {
    let items: Vec<String> = (0..rng.between(0, 4))
        .map(|_| {
            if rng.percent(20) {
                return "NULL".to_owned();
            }
            format!("\"{}\"", item(rng).replace('\\', "\\\\").replace('"', "\\\""))
        })
        .collect();
    format!("{{{}}}", items.join(","))
}

/// A text of JSON.
pub(crate) fn json(rng: &mut Rng) -> String {
    match rng.below(6) {
        0 => format!("{{\"a\": {}, \"b\": [true, null]}}", whole(rng, 30)),
        1 => format!("[{}, \"{}\"]", decimal(rng, 5, 3), word(rng, 5)),
        2 => format!("\"{}\"", word(rng, 6)),
        3 => whole(rng, 60).to_string(),
        4 => "{\"é\": {\"deep\": [1, 2, {\"x\": \"\\\"\\\\\"}]}}".to_owned(),
        _ => "null".to_owned(),
    }
}
