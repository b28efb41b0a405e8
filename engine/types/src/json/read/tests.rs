//! Texts of JSON as they are read: numbers bit for bit, faults by kind and place.

use super::super::tree;
use super::super::value::{value, value_of_bytes};
use super::*;
use serde_json::{Value, json};

fn fault(text: &str) -> FaultKind {
    value(text).unwrap_err().kind
}

/// Steps of a generator whose every state comes once: cheap, and the same in each run.
struct Bits(u64);

impl Bits {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[test]
fn a_million_doubles_are_read_bit_for_bit() {
    let mut bits = Bits(8259);
    let mut read_ones = 0;
    while read_ones < 1_000_000 {
        let double = f64::from_bits(bits.next());
        if !double.is_finite() {
            continue;
        }
        let text = if read_ones % 2 == 0 { format!("{double:e}") } else { format!("{double:.17e}") };
        let read = value(&text).unwrap();
        assert_eq!(read.as_f64().unwrap().to_bits(), double.to_bits(), "{text}");
        read_ones += 1;
    }
}

#[test]
fn numbers_are_the_nearest_doubles() {
    let cases: [(&str, f64); 14] = [
        ("10928588.983213553", 10_928_588.983_213_553),
        ("122.416294033786585", 122.416_294_033_786_58),
        ("-1.4074705188261364e+113", -1.407_470_518_826_136_4e113),
        ("5.7804021771411506e-220", 5.780_402_177_141_150_6e-220),
        ("4.9406564584124654e-324", f64::from_bits(1)),
        ("2.4703282292062327e-324", 0.0),
        ("2.4703282292062328e-324", f64::from_bits(1)),
        ("2.2250738585072011e-308", 2.225_073_858_507_201e-308),
        ("1.7976931348623157e308", f64::MAX),
        ("1.7976931348623158e308", f64::MAX),
        ("9007199254740993.0", 9_007_199_254_740_992.0),
        ("9007199254740993.00000000000000000000000000000000001", 9_007_199_254_740_994.0),
        ("18446744073709551616", 18_446_744_073_709_551_616.0),
        ("-0", -0.0),
    ];
    for (text, double) in cases {
        assert_eq!(value(text).unwrap().as_f64().unwrap().to_bits(), double.to_bits(), "{text}");
    }
    for (text, whole) in [("18446744073709551615", json!(u64::MAX)), ("-9223372036854775808", json!(i64::MIN))] {
        assert_eq!(value(text).unwrap(), whole);
    }
    for beyond in ["1e400", "-1e400", "1.7976931348623159e308", &"9".repeat(400)] {
        assert_eq!(fault(beyond), FaultKind::Number, "{beyond}");
        assert!(tree::parse(beyond).is_some(), "a tree keeps the digits of {beyond}");
    }
    assert_eq!(value("1e-400").unwrap().as_f64().unwrap().to_bits(), 0);
}

#[test]
fn what_is_no_number_is_refused() {
    for text in ["01", "-01", "1.", ".5", "+1", "1e", "1e+", "-", "0x10", "1_000", "NaN", "Infinity", "-Infinity", "1a"]
    {
        assert!(matches!(fault(text), FaultKind::Syntax | FaultKind::Ended), "{text}");
        assert!(tree::parse(text).is_none(), "{text}");
    }
}

#[test]
fn strings_are_read_by_each_escape() {
    let signs = value(r#""\"\\\/\b\f\n\r\t\u0041\u00e9\uD83D\uDE00é😀\u007f""#).unwrap();
    assert_eq!(signs, json!("\"\\/\u{8}\u{c}\n\r\tA\u{e9}\u{1f600}é😀\u{7f}"));
    assert_eq!(value("\"\\u0000\"").unwrap(), json!("\0"));
    assert_eq!(read::<tree::Node>("\"\\u0000\"", 4).unwrap_err().kind, FaultKind::Nul);
    for half in
        [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\n""#, r#""\ud83d\u0041""#, r#""\ud83d\ud83d""#]
    {
        assert_eq!(fault(half), FaultKind::Surrogate, "{half}");
    }
    for wrong in [r#""\x41""#, r#""\u00g0""#, "\"\n\"", "\"\u{1}\"", "'a'", r#""\U0041""#] {
        assert_eq!(fault(wrong), FaultKind::Syntax, "{wrong}");
    }
    for cut in ["\"", "\"a", "\"\\", "\"\\u00", "{\"a\"", "{\"a\":", "{\"a\":1", "[", "[1", "[1,", "{", "{\"a\":1,", ""]
    {
        assert_eq!(fault(cut), FaultKind::Ended, "{cut}");
    }
}

#[test]
fn structures_are_read_whole() {
    let text = " {\"a\" : [ ] ,\t\"b\":{ }, \"a\":[1,[null,true,false]] }\r\n";
    assert_eq!(value(text).unwrap(), json!({"a": [1, [null, true, false]], "b": {}}), "the last of equal keys");
    for wrong in [
        "[1,]",
        "{\"a\":1,}",
        "{,}",
        "[,]",
        "{a:1}",
        "{1:2}",
        "[1 2]",
        "{} x",
        "{}{}",
        "nul",
        "True",
        "nullx",
        "\u{a0}1",
    ] {
        assert!(matches!(fault(wrong), FaultKind::Syntax | FaultKind::Ended), "{wrong}");
    }
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(value(&nested(128)).is_ok());
    assert_eq!(fault(&nested(130)), FaultKind::Depth);
    assert_eq!(fault(&"[".repeat(1_000_000)), FaultKind::Depth);
}

#[test]
fn bytes_are_utf8() {
    assert_eq!(value_of_bytes(b"\xef\xbb\xbf{\"a\":1}").unwrap(), json!({"a": 1}));
    for wrong in [
        &b"\"\xe9\""[..],
        b"\"\xc0\x80\"",
        b"\"\xed\xa0\x80\"",
        b"\xff\xfe{\0}\0",
        b"\"\xf4\x90\x80\x80\"",
        b"\"\xe2\x82",
    ] {
        assert_eq!(value_of_bytes(wrong).unwrap_err().kind, FaultKind::Encoding, "{wrong:?}");
    }
    // UTF-16 without a mark is UTF-8 with NUL characters, which stand nowhere in JSON.
    assert!(value_of_bytes(b"{\0}\0").is_err() && value_of_bytes(b"\0{\0}").is_err());
}

/// Whatever serde's reader takes is read alike but for the last bits of doubles, and nothing else is taken.
#[test]
fn damaged_texts_are_read_as_another_reader_reads_them() {
    let seed = r#"{"where":{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00\n"],"b":{"$gt":0.1,"$in":[null,true]}},"limit":20}"#;
    let mut bits = Bits(7);
    for _ in 0..100_000 {
        let mut bytes = seed.as_bytes().to_vec();
        for _ in 0..=bits.next() % 3 {
            let at = usize::try_from(bits.next() % u64::try_from(bytes.len()).unwrap()).unwrap();
            let alphabet = b"\"\\{}[],:0123456789eE+-.untrfalsd \xc3\xa9\0";
            let sign = alphabet[usize::try_from(bits.next() % u64::try_from(alphabet.len()).unwrap()).unwrap()];
            match bits.next() % 3 {
                0 => bytes[at] = sign,
                1 => bytes.insert(at, sign),
                _ => drop(bytes.remove(at)),
            }
        }
        let other = serde_json::from_slice::<Value>(&bytes);
        let own = value_of_bytes(&bytes);
        assert_eq!(own.is_ok(), other.is_ok(), "{:?}: {own:?} {other:?}", String::from_utf8_lossy(&bytes));
    }
}
