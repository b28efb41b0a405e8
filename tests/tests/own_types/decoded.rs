//! PostgreSQL's binary forms read by another hand than the gate's, and printed.

use crate::printed::{print_bytes, print_date, print_double, print_list, print_single, print_time, print_timestamp};

/// From 1970 to 2000, from where PostgreSQL counts.
const DAYS: i64 = 10_957;
const MICROS: i64 = DAYS * 86_400_000_000;

/// A value of a type that is named as in `pg_type`.
pub(crate) fn decoded(type_name: &str, bytes: &[u8]) -> String {
    let whole = |bytes: &[u8]| -> i64 {
        let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
        bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| (value << 8) | i64::from(*byte))
    };
    let sized = |size: usize| {
        assert_eq!(bytes.len(), size, "{type_name}: {bytes:?}");
        whole(bytes)
    };
    match type_name {
        "bool" => if sized(1) == 0 { "f" } else { "t" }.to_owned(),
        "int2" => sized(2).to_string(),
        "int4" => sized(4).to_string(),
        "int8" => sized(8).to_string(),
        "float4" => print_single(f32::from_be_bytes(bytes.try_into().unwrap())),
        "float8" => print_double(f64::from_be_bytes(bytes.try_into().unwrap())),
        "numeric" => numeric(bytes),
        "date" => print_date(sized(4) + DAYS),
        "time" => print_time(sized(8)),
        "timestamp" | "timestamptz" => print_timestamp(sized(8) + MICROS, type_name == "timestamptz"),
        "bytea" => print_bytes(bytes),
        "uuid" => {
            let text = print_bytes(bytes)[2..].to_owned();
            [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
        }
        "jsonb" => {
            assert_eq!(bytes[0], 1);
            text(&bytes[1..])
        }
        "_text" => texts(bytes),
        _ => text(bytes),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Digits of base 10,000, the weight of the first, a sign and the places that are shown.
fn numeric(bytes: &[u8]) -> String {
    let word = |place: usize| i64::from(i16::from_be_bytes([bytes[2 * place], bytes[2 * place + 1]]));
    let (count, weight, sign, places) = (word(0), word(1), word(2), usize::try_from(word(3)).unwrap());
    assert_eq!(bytes.len(), 8 + 2 * usize::try_from(count).unwrap());
    assert!(sign == 0 || sign == 0x4000, "no number: {bytes:?}");
    let digit = |place: i64| if (0..count).contains(&place) { word(4 + usize::try_from(place).unwrap()) } else { 0 };
    let before: String = (0..=weight).map(|place| format!("{:04}", digit(place))).collect();
    let before = before.trim_start_matches('0');
    let behind: String = (0..i64::try_from(places.div_ceil(4)).unwrap())
        .map(|place| format!("{:04}", digit(weight + 1 + place)))
        .collect();
    let before = if before.is_empty() { "0" } else { before };
    let point = if places == 0 { String::new() } else { format!(".{}", &behind[..places]) };
    format!("{}{before}{point}", if sign == 0 { "" } else { "-" })
}

/// One dimension of texts, from 1.
fn texts(mut bytes: &[u8]) -> String {
    let number = |bytes: &mut &[u8]| {
        let (head, rest) = bytes.split_at(4);
        *bytes = rest;
        i32::from_be_bytes(head.try_into().unwrap())
    };
    let (dimensions, _nulls, _type) = (number(&mut bytes), number(&mut bytes), number(&mut bytes));
    if dimensions == 0 {
        return "{}".to_owned();
    }
    let (length, lower) = (number(&mut bytes), number(&mut bytes));
    assert_eq!((dimensions, lower), (1, 1));
    let item = |_| {
        let length = usize::try_from(number(&mut bytes)).ok()?;
        let (item, rest) = bytes.split_at(length);
        bytes = rest;
        Some(text(item))
    };
    let items: Vec<Option<String>> = (0..length).map(item).collect();
    print_list(&items)
}
