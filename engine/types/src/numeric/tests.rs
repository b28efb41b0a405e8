//! Values beside what a PostgreSQL 15 server says of them.

use super::*;

fn n(text: &str) -> Numeric {
    text.parse().unwrap_or_else(|_| panic!("{text} is a numeric"))
}

fn check(found: Result<Numeric>, expected: &str) {
    assert_eq!(found.map(|value| value.to_string()).unwrap_or_else(|e| e.code().sqlstate().to_owned()), expected);
}

/// Values whose order is that of the list, with their texts.
const ORDERED: &[&str] = &[
    "-Infinity",
    "-1e131071",
    "-12345678901234567890123456789012345678901234567890.5",
    "-100.01",
    "-100",
    "-99.9",
    "-1",
    "-0.1",
    "-1e-16383",
    "0",
    "1e-16383",
    "0.001",
    "0.0100",
    "0.1",
    "0.9999999999999999999999999999999999999999999",
    "1",
    "1.5",
    "2",
    "10",
    "99",
    "100",
    "101",
    "12345678901234567890123456789012345678901234567890",
    "1e131071",
    "Infinity",
    "NaN",
];

#[test]
fn texts_are_read_and_printed() {
    for (text, shown) in [
        (" -12.50 ", "-12.50"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1.25e-3", "0.00125"),
        ("0.00", "0.00"),
        ("-0.0", "0.0"),
        ("0e5", "0"),
        ("inf", "Infinity"),
        ("-INFINITY", "-Infinity"),
        ("nAn", "NaN"),
        ("00012.340", "12.340"),
    ] {
        assert_eq!(n(text).to_string(), shown, "{text}");
    }
    for text in ["", "-", "1x", "1e", "e1", "1.2.3", "-nan", "1_000", "--1", "1e99999999999"] {
        assert!(matches!(text.parse::<Numeric>(), Err(NotNumeric::Spelling)), "{text}");
    }
    for text in ["1e131072", "1e-16384"] {
        assert!(matches!(text.parse::<Numeric>(), Err(NotNumeric::Width(_))), "{text}");
    }
}

#[test]
fn cells_are_ordered_as_values_and_read_back() {
    let cells: Vec<Vec<u8>> = ORDERED.iter().map(|text| n(text).to_cell()).collect();
    for (at, text) in ORDERED.iter().enumerate() {
        let value = n(text);
        let back = Numeric::from_cell(&cells[at]).unwrap();
        assert_eq!(back.to_string(), value.to_string(), "{text}");
        assert_eq!(Cell::read(&cells[at]).unwrap().to_string(), value.to_string(), "{text}");
        for (other, cell) in cells.iter().enumerate() {
            assert_eq!(ordered_key(&cells[at]).cmp(ordered_key(cell)), at.cmp(&other), "{text} and {}", ORDERED[other]);
            assert_eq!(value.cmp(&n(ORDERED[other])), at.cmp(&other));
        }
    }
    assert_eq!(ordered_key(&n("1.0").to_cell()), ordered_key(&n("1.000").to_cell()));
    assert_eq!(ordered_key(&n("0").to_cell()), ordered_key(&n("-0.00").to_cell()));
    assert!(Numeric::from_cell(b"").is_none() && Numeric::from_cell(&[9, 0, 0]).is_none());
}

#[test]
fn cells_of_random_values_read_back() {
    let mut seed = 7_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..5_000 {
        let digits: String = (0..=next(60)).map(|_| char::from(b'0' + u8::try_from(next(10)).unwrap())).collect();
        let point = usize::try_from(next(digits.len() as u64)).unwrap();
        let sign = if next(2) == 0 { "" } else { "-" };
        let value = n(&format!("{sign}{}.{}", &digits[..point], &digits[point..]));
        let cell = value.to_cell();
        assert_eq!(Numeric::from_cell(&cell).unwrap().to_string(), value.to_string());
        let shown = Cell::read(&cell).unwrap();
        assert_eq!(shown.to_string(), value.to_string());
        assert!(shown.to_string().len() <= shown.text_bytes(), "{value}");
        assert_eq!(sent(&value), groups_of(&value.to_string()), "{value}");
    }
}

fn sent(value: &Numeric) -> Vec<u8> {
    let mut bytes = Vec::new();
    Cell::read(&value.to_cell()).unwrap().write_wire(&mut bytes);
    bytes
}

/// PostgreSQL's form of a number's text.
fn groups_of(text: &str) -> Vec<u8> {
    let (sign, magnitude) = text.strip_prefix('-').map_or((0, text), |rest| (0x4000, rest));
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let digits = format!(
        "{}{whole}{fraction}{}",
        "0".repeat((4 - whole.len() % 4) % 4),
        "0".repeat((4 - fraction.len() % 4) % 4)
    );
    let mut groups: Vec<i16> =
        digits.as_bytes().chunks(4).map(|four| std::str::from_utf8(four).unwrap().parse().unwrap()).collect();
    let mut weight = i16::try_from(i32::try_from(whole.len().div_ceil(4)).unwrap() - 1).unwrap();
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let (weight, sign) = if groups.is_empty() { (0, 0) } else { (weight, sign) };
    let head = [i16::try_from(groups.len()).unwrap(), weight, sign, i16::try_from(fraction.len()).unwrap()];
    head.into_iter().chain(groups).flat_map(i16::to_be_bytes).collect()
}

#[test]
fn bytes_on_the_wire_are_those_of_a_server() {
    let words = |words: &[i16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    assert_eq!(sent(&n("12.34")), words(&[2, 0, 0, 2, 12, 3400]));
    assert_eq!(sent(&n("-0.005")), words(&[1, -1, 0x4000, 3, 50]));
    assert_eq!(sent(&n("100000000")), words(&[1, 2, 0, 0, 1]));
    assert_eq!(sent(&n("0.00")), words(&[0, 0, 0, 2]));
    assert_eq!(sent(&n("-0.00")), words(&[0, 0, 0, 2]));
    let wide = n("-1e131071");
    assert_eq!(sent(&wide), groups_of(&wide.to_string()));
}

#[test]
fn a_cell_of_few_bytes_is_a_long_text() {
    let cell = n("1e131071").to_cell();
    assert!(cell.len() < 10);
    let shown = Cell::read(&cell).unwrap();
    assert!((131_072..131_080).contains(&shown.text_bytes()));
    assert_eq!(shown.to_string().len(), 131_072);
}

#[test]
fn arithmetic_has_postgres_places() {
    check(n("1").over(&n("3")), "0.33333333333333333333");
    check(n("12345678901234567890").over(&n("123")), "100371373180768845");
    check(n("-1").over(&n("-1")), "1.00000000000000000000");
    check(n("4.2").over(&n("-1")), "-4.2000000000000000");
    check(n("1.5").times(&n("2.50")), "3.750");
    check(n("7.5").modulo(&n("-2")), "1.5");
    check(n("-7.5").div(&n("2")), "-3");
    check(n("1").over(&n("0")), "22012");
    check(n("nan").over(&n("0")), "NaN");
    check(n("inf").over(&n("-2")), "-Infinity");
    check(n("inf").plus(&n("-inf")), "NaN");
    check(n("inf").times(&n("0")), "NaN");
    check(n("43312.5").gcd(&n("4637.5")), "87.5");
    check(n("1e131071").times(&n("10")), "22003");
    check(Numeric::factorial(20), "2432902008176640000");
    check(Numeric::factorial(-4), "22003");
}

#[test]
fn rounding_goes_away_from_zero() {
    check(n("2.5").round(0), "3");
    check(n("-2.5").round(0), "-3");
    check(n("1234.5").round(-2), "1200");
    check(n("4.5e131071").round(-131_072), "0");
    check(n("5.5e131071").round(-131_071), &n("6e131071").to_string());
    check(n("5e-16383").round(16_382), &n("1e-16382").to_string());
    check(n("9.99").trunc(1), "9.9");
    check(n("-1.1").floor(), "-2");
    check(n("-1.9").ceil(), "-1");
    check(n("123.45").in_type(4, 1), "123.5");
    check(n("999.95").in_type(4, 1), "22003");
    check(n("nan").in_type(4, 1), "NaN");
    check(n("inf").in_type(4, 1), "22003");
    assert_eq!(n("1.5000").trim_scale().to_string(), "1.5");
}

#[test]
fn roots_and_powers_have_postgres_digits() {
    check(n("4.2").sqrt(), "2.049390153191920");
    check(n("0").sqrt(), "0.000000000000000");
    check(n("1.000000000000004").sqrt(), "1.000000000000002");
    check(n("96627521408608.56340355806").sqrt(), "9829929.87811248649");
    check(n("8015491789940783531003294973900307").sqrt(), "89529278953540018");
    check(n("-1").sqrt(), "2201F");
    check(n("3.789").power(&n("21")), "1409343026052.8716016316022141");
    check(n("1.2").power(&n("345")), "2077446682327378559843444695.5827049735727869");
    check(n("0.12").power(&n("-20")), "2608405330458882702.5529619561355838");
    check(n("1.000000000123").power(&n("-2147483648")), "0.7678656556403084");
    check(n("0.5678").power(&n("-85")), "782333637740774446257.7719390061997396");
    check(n("-1.0").power(&n("1000000000000001")), "-1.0000000000000000");
    check(n("10.0").power(&n("-2147483648")), "0.0000000000000000");
    check(n("0.0").power(&n("12.34")), "0.0000000000000000");
    check(n("32.1").power(&n("9.8")), "580429286790711.10");
    check(n("32.1").power(&n("-9.8")), "0.000000000000001722862754788209");
    check(n("12.3").power(&n("45.6")), "50081010321492803393171165777624533697036806969694.9");
    check(n("12.3").power(&n("-45.6")), "0.00000000000000000000000000000000000000000000000001996764828785491");
    check(n("-2").power(&n("3.3")), "2201F");
    check(n("0").power(&n("-1")), "2201F");
    check(n("-inf").power(&n("3")), "-Infinity");
    check(n("nan").power(&n("0")), "1");
}

#[test]
fn logarithms_have_postgres_digits() {
    check(n("4.2").ln(), "1.4350845252893226");
    check(n("1").ln(), "0.0000000000000000");
    check(n("0").ln(), "2201E");
    check(n("4.2").log(&n("2")), "2.0703893278913979");
    check(n("0.0").exp(), "1.0000000000000000");
    check(n("1.0").exp(), "2.7182818284590452");
    check(n("32.999").exp(), "214429043492155.053");
    check(n("-32.999").exp(), "0.000000000000004663547361468248");
    check(n("-inf").exp(), "0");
    check(n("99999").exp(), "22003");
}

#[test]
fn doubles_keep_fifteen_digits() {
    assert_eq!(Numeric::from_double(0.1 + 0.2, 15).to_string(), "0.3");
    assert_eq!(Numeric::from_double(1e25, 15).to_string(), "10000000000000000000000000");
    assert_eq!(Numeric::from_double(-1.5, 6).to_string(), "-1.5");
    assert_eq!(n("1e308").to_double(), 1e308);
    assert_eq!(n("1e400").to_double(), f64::INFINITY);
    assert_eq!(n("0.1").to_double(), 0.1);
}

#[test]
fn the_short_way_of_a_double_gives_the_same() {
    let mut seed = 7_u64;
    for round in 0..20_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = match round % 4 {
            0 => f64::from_bits(seed),
            1 => f64::from(u32::try_from(seed >> 40).unwrap()) / 100.0,
            2 if round % 8 == 2 => f64::from_bits(seed >> 40),
            2 => f64::from(i32::try_from(seed >> 36).unwrap()) - 1e8,
            _ => f64::from(f32::from_bits(u32::try_from(seed >> 32).unwrap())),
        };
        if !value.is_finite() {
            continue;
        }
        for significant in [6, 15] {
            let exact = format!("{value:.*e}", significant - 1);
            let expected: Numeric = exact.parse().unwrap();
            let found = Numeric::from_double(value, significant);
            assert_eq!(found, expected, "{value:e} of {significant}");
            assert!(found.places() <= expected.places(), "{value:e} of {significant}");
        }
    }
}

#[test]
fn small_cells_are_read_as_their_digits() {
    for text in [
        "0",
        "0.00",
        "1",
        "-1",
        "12.5",
        "-0.05",
        "100",
        "1e20",
        "99999999999999999999.999",
        "-1234567.8900",
        "0.0000001",
    ] {
        let value: Numeric = text.parse().unwrap();
        let cell = value.to_cell();
        let (digits, places) = Cell::read(&cell).unwrap().small().unwrap();
        assert_eq!(Numeric::of_digits(digits, places).to_string(), value.to_string());
    }
    for text in ["NaN", "Infinity", "1e40"] {
        assert!(Cell::read(&text.parse::<Numeric>().unwrap().to_cell()).unwrap().small().is_none(), "{text}");
    }
}
