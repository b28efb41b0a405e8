//! Every type that MariaDB's columns have here: how it is declared, as which type the gate serves it, and values of it.

use crate::printed::{print_double, print_single};
use crate::values::{bytes, date, decimal, double, json, single, text, time, unsigned, uuid, whole};
use querygate_tests::harness::Rng;

/// How a value that the server's own client prints is printed by PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Letter for letter.
    Plain,
    Truth,
    /// Without leading zeros.
    Whole,
    Single,
    Double,
    Bytes,
    /// A wall clock, and an instant in UTC.
    Wall,
    Instant,
}

/// By what a column is compared in the source so as it is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    AsItIs,
    /// As its text, by code point.
    AsText,
    /// By its number: truth, and the places of an enum's labels.
    ByNumber,
}
use Compared::{AsItIs, AsText, ByNumber};
use Form::{Bytes, Double, Instant, Plain, Single, Truth, Wall, Whole};

pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) declared: &'static str,
    pub(crate) type_name: &'static str,
    pub(crate) form: Form,
    pub(crate) compared: Compared,
    /// As SQL writes them, and so those at random.
    pub(crate) extremes: &'static [&'static str],
    pub(crate) random: fn(&mut Rng) -> String,
}

macro_rules! kinds {
    ($($name:ident $declared:literal $type_name:literal $form:ident $compared:ident, $extremes:expr, $random:expr;)*) => {
        &[$(Kind {
            name: concat!("c_", stringify!($name)), declared: $declared, type_name: $type_name, form: $form, compared: $compared,
            extremes: $extremes, random: $random,
        }),*]
    };
}

pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Of version 4: the server refuses those of no version.
fn uuid_4(rng: &mut Rng) -> String {
    let text = uuid(rng);
    quoted(&format!("{}4{}a{}", &text[..14], &text[15..19], &text[20..]))
}

fn blob(rng: &mut Rng, most: usize) -> String {
    format!("x'{}'", bytes(rng, most).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Letters of one byte too.
fn latin(rng: &mut Rng, most: usize) -> String {
    let plain: String = text(rng, most).chars().map(|c| if u32::from(c) < 256 { c } else { 'ü' }).collect();
    quoted(&plain)
}

const TEXTS: &[&str] =
    &["''", "'a'", "'A'", "'é'", "'e\u{301}'", "'ss'", "'ß'", "'%'", "'\\\\'", "''''", "'\u{10ffff}'"];

pub(crate) const KINDS: &[Kind] = kinds! {
    truth "tinyint(1)" "bool" Truth ByNumber, &["0", "1"], |rng| rng.below(2).to_string();
    truth_named "boolean" "bool" Truth ByNumber, &["false", "true"], |rng| rng.below(2).to_string();
    truth_bit "bit(1)" "bool" Truth ByNumber, &["b'0'", "b'1'"], |rng| format!("b'{}'", rng.below(2));
    tiny "tinyint" "int2" Plain AsItIs, &["-128", "127"], |rng| whole(rng, 8).to_string();
    tiny_u "tinyint unsigned" "int2" Plain AsItIs, &["0", "255"], |rng| unsigned(rng, 8).to_string();
    small "smallint" "int2" Plain AsItIs, &["-32768", "32767"], |rng| whole(rng, 16).to_string();
    small_u "smallint unsigned" "int4" Plain AsItIs, &["0", "65535"], |rng| unsigned(rng, 16).to_string();
    medium "mediumint" "int4" Plain AsItIs, &["-8388608", "8388607"], |rng| whole(rng, 24).to_string();
    medium_u "mediumint unsigned" "int4" Plain AsItIs, &["0", "16777215"], |rng| unsigned(rng, 24).to_string();
    four "int" "int4" Plain AsItIs, &["-2147483648", "2147483647"], |rng| whole(rng, 32).to_string();
    four_u "int unsigned" "int8" Plain AsItIs, &["0", "4294967295"], |rng| unsigned(rng, 32).to_string();
    filled "int(8) zerofill" "int8" Whole AsItIs, &["0", "4294967295"], |rng| unsigned(rng, 20).to_string();
    eight "bigint" "int8" Plain AsItIs, &["-9223372036854775808", "9223372036854775807"], |rng| whole(rng, 64).to_string();
    eight_u "bigint unsigned" "numeric" Plain AsItIs, &["0", "18446744073709551615"], |rng| unsigned(rng, 64).to_string();
    calendar "year" "int2" Whole AsItIs, &["1901", "2155", "0000"], |rng| rng.between(1901, 2155).to_string();
    money_like "decimal(12,2)" "numeric" Plain AsItIs, &["-9999999999.99", "9999999999.99", "0", "-0.01"], |rng| decimal(rng, 10, 2);
    money_u "decimal(10,4) unsigned" "numeric" Plain AsItIs, &["0", "999999.9999"], |rng| decimal(rng, 6, 4).replace('-', "");
    integral "decimal(38,0)" "numeric" Plain AsItIs,
        &["99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"], |rng| decimal(rng, 38, 0);
    fraction "decimal(38,38)" "numeric" Plain AsItIs, &["0.99999999999999999999999999999999999999", "0"],
        |rng| format!("0.{}", decimal(rng, 1, 38).rsplit('.').next().unwrap());
    wide "decimal(65,30)" "numeric" Plain AsItIs, &["99999999999999999999999999999999999.999999999999999999999999999999", "0"],
        |rng| decimal(rng, 35, 30);
    single "float" "float4" Single AsItIs, &["3.4028234e38", "-1.17549e-38", "0", "16777216", "0.1"], |rng| print_single(single(rng));
    single_u "float(7,2)" "float4" Single AsItIs, &["99999.99", "0"], |rng| decimal(rng, 4, 2);
    double "double" "float8" Double AsItIs, &["1.7976931348623157e308", "2.2250738585072014e-308", "0", "1e15", "0.1"],
        |rng| print_double(double(rng));
    double_places "double(12,3)" "float8" Double AsItIs, &["999999999.999", "0"], |rng| decimal(rng, 8, 3);
    padded "char(8)" "bpchar" Plain AsText, &["''", "'ab'", "'  x'", "'eightchr'"], |rng| quoted(&text(rng, 8));
    some "varchar(20)" "varchar" Plain AsText, TEXTS, |rng| quoted(&text(rng, 20));
    by_letter "varchar(20) COLLATE utf8mb4_general_ci" "varchar" Plain AsText, TEXTS, |rng| quoted(&text(rng, 3));
    by_byte "varchar(20) COLLATE utf8mb4_bin" "varchar" Plain AsText, TEXTS, |rng| quoted(&text(rng, 3));
    latin "varchar(20) CHARACTER SET latin1" "varchar" Plain AsText, &["''", "'é'", "'ü'", "'U'"], |rng| latin(rng, 4);
    utf_16 "varchar(20) CHARACTER SET utf16" "varchar" Plain AsText, TEXTS, |rng| quoted(&text(rng, 4));
    long_some "varchar(600)" "varchar" Plain AsText, TEXTS, |rng| quoted(&text(rng, 300));
    tiny_text "tinytext" "text" Plain AsText, TEXTS, |rng| quoted(&text(rng, 20));
    words "text" "text" Plain AsText, TEXTS, |rng| quoted(&text(rng, 20));
    medium_text "mediumtext" "text" Plain AsText, TEXTS, |rng| quoted(&text(rng, 20));
    long_text "longtext" "text" Plain AsText, TEXTS, |rng| quoted(&text(rng, 20));
    document "json" "text" Plain AsText, &["'null'", "'{\"b\" : 1, \"a\": [1.50]}'"], |rng| quoted(&json(rng));
    mood "enum('new','it''s','Zed','äh')" "kinds_c_mood" Plain ByNumber, &["'new'", "'it''s'", "'Zed'", "'äh'"],
        |rng| (*rng.pick(&["'new'", "'äh'"])).to_owned();
    several "set('a','b','c')" "text" Plain AsText, &["''", "'a'", "'a,b,c'"], |rng| rng.below(8).to_string();
    fixed "binary(4)" "bytea" Bytes AsItIs, &["x''", "x'00'", "x'ffffffff'", "x'6120'"], |rng| blob(rng, 4);
    raw "varbinary(20)" "bytea" Bytes AsItIs, &["x''", "x'00'", "x'ff'", "x'61'", "x'6120'"], |rng| blob(rng, 20);
    tiny_blob "tinyblob" "bytea" Bytes AsItIs, &["x''", "x'00'"], |rng| blob(rng, 20);
    bytes "blob" "bytea" Bytes AsItIs, &["x''", "x'00'", "x'5c27'"], |rng| blob(rng, 20);
    medium_blob "mediumblob" "bytea" Bytes AsItIs, &["x''", "x'00'"], |rng| blob(rng, 20);
    long_blob "longblob" "bytea" Bytes AsItIs, &["x''", "x'00'"], |rng| blob(rng, 20);
    bits "bit(8)" "bytea" Bytes AsItIs, &["b'0'", "b'11111111'"], |rng| format!("b'{:b}'", rng.below(256));
    bits_64 "bit(64)" "bytea" Bytes AsItIs, &["b'0'", "b'1'"], |rng| format!("b'{:b}'", rng.next());
    day "date" "date" Plain AsItIs, &["'0001-01-01'", "'1582-10-15'", "'1969-12-31'", "'9999-12-31'"], |rng| quoted(&date(rng, 1, 9999));
    wall "datetime" "timestamp" Wall AsItIs, &["'0001-01-01 00:00:00'", "'9999-12-31 23:59:59'"],
        |rng| quoted(&format!("{} {}", date(rng, 1, 9999), time(rng, 0)));
    wall_3 "datetime(3)" "timestamp" Wall AsItIs, &["'1969-12-31 23:59:59.999'"],
        |rng| quoted(&format!("{} {}", date(rng, 1, 9999), time(rng, 3)));
    wall_6 "datetime(6)" "timestamp" Wall AsItIs, &["'0001-01-01 00:00:00.000001'", "'9999-12-31 23:59:59.999999'"],
        |rng| quoted(&format!("{} {}", date(rng, 1, 9999), time(rng, 6)));
    instant "timestamp" "timestamptz" Instant AsItIs, &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"],
        |rng| quoted(&format!("{} {}", date(rng, 1971, 2037), time(rng, 0)));
    instant_6 "timestamp(6)" "timestamptz" Instant AsItIs, &["'1970-01-01 00:00:01.000001'", "'2038-01-19 03:14:07.999999'"],
        |rng| quoted(&format!("{} {}", date(rng, 1971, 2037), time(rng, 6)));
    clock "time" "text" Plain AsText, &["'-838:59:59'", "'838:59:59'", "'00:00:00'"], |rng| quoted(&time(rng, 0));
    clock_6 "time(6)" "text" Plain AsText, &["'-838:59:59.999999'", "'00:00:00.000001'"], |rng| quoted(&time(rng, 6));
    id "uuid" "text" Plain AsText, &["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
        uuid_4;
    address_4 "inet4" "text" Plain AsText, &["'0.0.0.0'", "'255.255.255.255'"], |rng| quoted(&format!("10.0.0.{}", rng.below(256)));
    address_6 "inet6" "text" Plain AsText, &["'::'", "'ffff::1'", "'::ffff:1.2.3.4'"], |rng| quoted(&format!("2001:db8::{:x}", rng.between(1, 255)));
};
