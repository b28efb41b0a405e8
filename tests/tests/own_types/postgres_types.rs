//! Every type that PostgreSQL's columns have here: how it is declared, what the gate serves it as, and values of it.

use crate::printed::{print_bytes, print_double, print_single};
use crate::values::{
    bytes, date, decimal, double, json, list, single, text, time, timestamp, unsigned, uuid, whole, word,
};
use querygate_tests::harness::Rng;

/// What the gate makes of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// As it is.
    AsItIs,
    /// As it is, ordered by code point whatever the source's own order is.
    ByCodePoint,
    /// Cast to this type.
    As(&'static str),
    /// As its text.
    Text,
    /// As a list of its items' texts.
    Texts,
}
use Served::{As, AsItIs, ByCodePoint, Text, Texts};

impl Served {
    /// The column in the source's own SQL, as the gate serves it.
    pub(crate) fn expression(self, column: &str) -> String {
        match self {
            AsItIs => column.to_owned(),
            ByCodePoint => format!("{column} COLLATE \"C\""),
            As(other) => format!("{column}::{other}"),
            Text => format!("{column}::text COLLATE \"C\""),
            Texts => format!("{column}::text[] COLLATE \"C\""),
        }
    }
}

/// A column of its own type.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) declared: &'static str,
    pub(crate) served: Served,
    pub(crate) extremes: &'static [&'static str],
    pub(crate) random: fn(&mut Rng) -> String,
}

/// Types, and a domain over three of them, that the tables need.
pub(crate) const TYPES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s fine', 'Happy'); CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN small AS integer CHECK (VALUE < 1000000); CREATE DOMAIN label AS varchar(12);
    CREATE DOMAIN price AS numeric(8,2); CREATE DOMAIN dearer AS price CHECK (VALUE > -100000);
";

const DATES: &[&str] = &[
    "4713-01-01 BC",
    "0001-01-01",
    "1582-10-15",
    "1969-12-31",
    "2000-02-29",
    "9999-12-31",
    "10000-01-01",
    "5874897-12-31",
];
const STAMPS: &[&str] = &[
    "4713-01-01 00:00:00 BC",
    "0001-01-01 00:00:00",
    "1969-12-31 23:59:59.999999",
    "2000-01-01 00:00:00",
    "9999-12-31 23:59:59.999999",
    "10000-01-01 00:00:00",
    "200000-12-31 23:59:59.999999",
];
const TIMES: &[&str] = &["00:00:00", "12:00:00.000001", "23:59:59.999999"];
const DOUBLES: &[&str] = &[
    "-0",
    "NaN",
    "Infinity",
    "-Infinity",
    "1.7976931348623157e308",
    "4.9406564584124654e-324",
    "1e15",
    "123456789012345.6",
    "0.0001",
    "1e-5",
];
const SINGLES: &[&str] =
    &["-0", "NaN", "Infinity", "-Infinity", "3.4028235e38", "1e-45", "1e6", "123456.7", "16777216"];

macro_rules! kinds {
    ($($name:ident $declared:literal $served:expr, $extremes:expr, $random:expr;)*) => {
        &[$(Kind { name: concat!("c_", stringify!($name)), declared: $declared, served: $served, extremes: $extremes, random: $random }),*]
    };
}

/// Scalars that have a type here.
pub(crate) const SCALARS: &[Kind] = kinds! {
    truth "boolean" AsItIs, &["t", "f"], |rng| if rng.percent(50) { "t" } else { "f" }.to_owned();
    two "smallint" AsItIs, &["-32768", "32767", "0"], |rng| whole(rng, 16).to_string();
    four "integer" AsItIs, &["-2147483648", "2147483647", "0"], |rng| whole(rng, 32).to_string();
    eight "bigint" AsItIs, &["-9223372036854775808", "9223372036854775807", "0"], |rng| whole(rng, 64).to_string();
    single "real" AsItIs, SINGLES, |rng| print_single(single(rng));
    double "double precision" AsItIs, DOUBLES, |rng| print_double(double(rng));
    money_like "numeric(12,2)" AsItIs, &["-9999999999.99", "9999999999.99", "0.00", "-0.01"], |rng| decimal(rng, 10, 2);
    integral "numeric(38,0)" AsItIs, &["99999999999999999999999999999999999999", "-99999999999999999999999999999999999999", "0"],
        |rng| decimal(rng, 38, 0);
    fraction "numeric(38,38)" AsItIs, &["0.99999999999999999999999999999999999999", "-0.00000000000000000000000000000000000001", "0"],
        |rng| format!("0.{}", decimal(rng, 1, 38).rsplit('.').next().unwrap());
    middle "numeric(20,10)" AsItIs, &["9999999999.9999999999", "0.0000000001"], |rng| decimal(rng, 10, 10);
    unbounded "numeric" As("numeric(38,4)"), &["1.2345", "0", "1234567890123456789012345678901234", "-0.1"], |rng| decimal(rng, 20, 4);
    words "text" ByCodePoint, &["", " ", "a", "A", "é", "e\u{301}", "zz", "\\", "''", "NULL", "\u{10ffff}", "\u{ffff}"], |rng| text(rng, 12);
    some "varchar(20)" ByCodePoint, &["", "twenty characters !!", "a "], |rng| text(rng, 20);
    any_length "varchar" ByCodePoint, &["", "x"], |rng| text(rng, 30);
    padded "char(8)" ByCodePoint, &["", "ab", "  x", "eightchr", "É", "\u{10ffff}"], |rng| text(rng, 8);
    raw "bytea" AsItIs, &["\\x", "\\x00", "\\xff", "\\x5c27", "\\x00ff"], |rng| print_bytes(&bytes(rng, 20));
    day "date" AsItIs, DATES, |rng| date(rng, 1, 9999);
    clock "time" AsItIs, TIMES, |rng| time(rng, 6);
    clock_3 "time(3)" AsItIs, &["00:00:00", "23:59:59.999"], |rng| time(rng, 3);
    wall "timestamp" AsItIs, STAMPS, |rng| timestamp(rng, (1, 9999), 6);
    wall_0 "timestamp(0)" AsItIs, &["0001-01-01 00:00:00"], |rng| timestamp(rng, (1, 9999), 0);
    instant "timestamptz" AsItIs, STAMPS, |rng| timestamp(rng, (1, 9999), 6);
    instant_3 "timestamptz(3)" AsItIs, &["1969-12-31 23:59:59.999+00"], |rng| timestamp(rng, (1, 9999), 3);
    id "uuid" AsItIs, &["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"], uuid;
    document "json" AsItIs, &["{\"b\" : 1,  \"a\": [1.50]}", "null", "\"\""], json;
    tree "jsonb" AsItIs, &["{\"b\": 1, \"a\": [1.50]}", "null", "\"\"", "[]", "{}", "1e2"], json;
    mood "mood" AsItIs, &["sad", "Happy", "it's fine", "ok"], |rng| (*rng.pick(&["sad", "ok", "Happy"])).to_owned();
    number_of "oid" As("bigint"), &["0", "4294967295"], |rng| unsigned(rng, 32).to_string();
    wide "numeric(40,2)" AsItIs, &["99999999999999999999999999999999999999.99", "0.00"], |rng| decimal(rng, 38, 2);
    tiny "numeric(3,5)" AsItIs, &["0.00999", "-0.00001"], |rng| format!("0.00{:03}", rng.below(1000));
    rounded "numeric(5,-2)" AsItIs, &["9999900", "-100"], |rng| format!("{}00", whole(rng, 16));
    special "numeric" AsItIs, &["NaN", "Infinity", "-Infinity", "1.5", "1.50"], |rng| decimal(rng, 20, 4);
    clock_zone "timetz" AsItIs, &["00:00:00+15:59", "23:59:59.999999-15:59:59"], |rng| format!("{}+02", time(rng, 6));
    span "interval" AsItIs, &["178000000 years", "-178000000 years", "00:00:00", "1 mon -1 days +00:00:00.000001"],
        |rng| format!("{} days {}", whole(rng, 12), time(rng, 6));
    address "inet" AsItIs, &["0.0.0.0", "255.255.255.255", "::", "2001:db8::1/64"], |rng| format!("10.{}.{}.1/24", rng.below(256), rng.below(256));
    network "cidr" AsItIs, &["0.0.0.0/0", "::/0"], |rng| format!("10.{}.0.0/16", rng.below(256));
    station "macaddr" AsItIs, &["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"], |rng| format!("08:00:2b:01:02:{:02x}", rng.below(256));
    station_8 "macaddr8" AsItIs, &["00:00:00:00:00:00:00:00"], |rng| format!("08:00:2b:01:02:03:04:{:02x}", rng.below(256));
    flags "bit(5)" AsItIs, &["00000", "11111"], |rng| format!("{:05b}", rng.below(32));
    flag "bit(1)" AsItIs, &["0", "1"], |rng| rng.below(2).to_string();
    more_flags "bit varying(9)" AsItIs, &["", "111111111"], |rng| format!("{:b}", rng.below(512));
    over_integer "small" As("integer"), &["-2147483648", "999999"], |rng| whole(rng, 20).to_string();
    over_varchar "label" ByCodePoint, &["", "twelve chars"], |rng| text(rng, 12);
    over_numeric "dearer" As("numeric(8,2)"), &["999999.99", "-99999.99"], |rng| decimal(rng, 5, 2);
};

/// Scalars that are their texts here.
pub(crate) const AS_TEXT: &[Kind] = kinds! {
    coins "money" Text, &["-92233720368547758.08", "92233720368547758.07"], |rng| decimal(rng, 9, 2);
    letter "\"char\"" Text, &["a", "", "é"], |rng| word(rng, 1);
    named "name" Text, &["", "a b"], |rng| text(rng, 15);
    markup "xml" Text, &["<a/>", "<b c=\"d\">é</b>"], |rng| format!("<x>{}</x>", word(rng, 5));
    point "point" Text, &["(0,0)", "(-1.5,1e+300)"], |rng| format!("({},{})", whole(rng, 10), whole(rng, 10));
    line "line" Text, &["{1,-1,0}"], |rng| format!("{{1,{},2}}", whole(rng, 10));
    segment "lseg" Text, &["[(0,0),(1,1)]"], |rng| format!("[(0,0),(1,{})]", whole(rng, 10));
    corner "box" Text, &["(1,1),(0,0)"], |rng| format!("(9,{}),(0,0)", rng.below(50));
    way "path" Text, &["[(0,0),(1,1)]", "((0,0),(1,1))"], |rng| format!("[(0,0),(1,{})]", whole(rng, 10));
    shape "polygon" Text, &["((0,0),(1,1),(1,0))"], |rng| format!("((0,0),(1,{}),(1,0))", whole(rng, 10));
    round "circle" Text, &["<(0,0),0>"], |rng| format!("<(1,2),{}>", rng.below(100));
    found "tsvector" Text, &["", "'a':1 'b':2A"], |rng| format!("'{}':1", word(rng, 5));
    sought "tsquery" Text, &["'a' & !'b'"], |rng| format!("'{}'", word(rng, 5));
    range_4 "int4range" Text, &["empty", "(,)", "[1,10)"], |rng| format!("[{},1000000)", rng.below(1000));
    range_8 "int8range" Text, &["empty", "[1,)"], |rng| format!("[{},1000000)", rng.below(1000));
    range_n "numrange" Text, &["(1.5,2.50]"], |rng| format!("[{},)", decimal(rng, 5, 2));
    range_d "daterange" Text, &["[2024-01-01,infinity)"], |rng| format!("[{},)", date(rng, 1, 9999));
    range_t "tsrange" Text, &["empty"], |rng| format!("[\"{}\",)", timestamp(rng, (1, 9999), 6));
    range_z "tstzrange" Text, &["empty"], |rng| format!("[\"{}+00\",)", timestamp(rng, (1, 9999), 6));
    ranges "int4multirange" Text, &["{}", "{[1,3),[5,7)}"], |rng| format!("{{[{},1000000)}}", rng.below(1000));
    log_place "pg_lsn" Text, &["0/0", "FFFFFFFF/FFFFFFFF"], |rng| format!("{:X}/{:X}", rng.below(99), rng.below(99_999));
    transaction "xid" Text, &["0", "4294967295"], |rng| unsigned(rng, 32).to_string();
    transaction_8 "xid8" Text, &["0", "18446744073709551615"], |rng| unsigned(rng, 60).to_string();
    place "tid" Text, &["(0,0)", "(4294967295,65535)"], |rng| format!("({},{})", rng.below(99), rng.below(99));
    snapshot "pg_snapshot" Text, &["10:20:10,14,15"], |rng| format!("10:{}:10", 20 + rng.below(9));
    steps "jsonpath" Text, &["$.\"a\"[*]?(@ > 1)"], |rng| format!("$.\"{}\"", word(rng, 5));
    class "regclass" Text, &["pg_class", "12345678"], |rng| (*rng.pick(&["pg_type", "pg_proc"])).to_owned();
    type_of "regtype" Text, &["integer"], |rng| (*rng.pick(&["text", "double precision"])).to_owned();
    record "pair" Text, &["(1,)", "(-1,\"a \"\" b\")"], |rng| format!("({},{})", whole(rng, 20), word(rng, 5));
};

/// Arrays.
pub(crate) const LISTS: &[Kind] = kinds! {
    truths "boolean[]" AsItIs, &["{}", "{NULL}", "{t,f,NULL}"], |rng| list(rng, |rng| if rng.percent(50) { "t" } else { "f" }.to_owned());
    twos "smallint[]" AsItIs, &["{}", "{-32768,32767}"], |rng| list(rng, |rng| whole(rng, 16).to_string());
    fours "integer[]" AsItIs, &["{}", "{-2147483648,2147483647}"], |rng| list(rng, |rng| whole(rng, 32).to_string());
    eights "bigint[]" AsItIs, &["{}", "{-9223372036854775808,9223372036854775807}"], |rng| list(rng, |rng| whole(rng, 64).to_string());
    singles "real[]" AsItIs, &["{NaN,Infinity,-0,1e-45}"], |rng| list(rng, |rng| print_single(single(rng)));
    doubles "double precision[]" AsItIs, &["{NaN,-Infinity,1e22,4.9406564584124654e-324}"], |rng| list(rng, |rng| print_double(double(rng)));
    decimals "numeric(10,2)[]" AsItIs, &["{99999999.99,-0.01,NULL}"], |rng| list(rng, |rng| decimal(rng, 8, 2));
    numerics "numeric[]" As("numeric(38,3)[]"), &["{1.234,0,-10}"], |rng| list(rng, |rng| decimal(rng, 8, 3));
    texts "text[]" ByCodePoint, &["{}", "{\"\"}", "{NULL,\"NULL\",\"a,b\",\"\\\"\",\"\\\\\"}"], |rng| list(rng, |rng| text(rng, 6));
    varchars "varchar(9)[]" Texts, &["{x}"], |rng| list(rng, |rng| text(rng, 9));
    raws "bytea[]" AsItIs, &["{\"\\\\x00ff\",\"\\\\x\"}"], |rng| list(rng, |rng| print_bytes(&bytes(rng, 5)));
    days "date[]" AsItIs, &["{0001-01-01,9999-12-31}"], |rng| list(rng, |rng| date(rng, 1, 9999));
    clocks "time[]" AsItIs, &["{00:00,23:59:59.999999}"], |rng| list(rng, |rng| time(rng, 6));
    walls "timestamp[]" AsItIs, &["{\"2024-02-29 13:14:15.123456\"}"], |rng| list(rng, |rng| timestamp(rng, (1, 9999), 6));
    instants "timestamptz[]" AsItIs, &["{\"2024-02-29 13:14:15.12+02\"}"], |rng| list(rng, |rng| timestamp(rng, (1, 9999), 6));
    ids "uuid[]" Texts, &["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"], |rng| list(rng, uuid);
    moods "mood[]" Texts, &["{sad,\"it's fine\"}"], |rng| list(rng, |rng| (*rng.pick(&["sad", "ok"])).to_owned());
    documents "jsonb[]" Texts, &["{\"{\\\"a\\\": 1}\"}"], |rng| list(rng, json);
    spans "interval[]" Texts, &["{\"1 day\"}"], |rng| list(rng, |rng| format!("{} days", rng.below(99)));
    addresses "inet[]" Texts, &["{10.0.0.1}"], |rng| list(rng, |rng| format!("10.0.0.{}", rng.below(256)));
    wides "numeric(40,2)[]" Texts, &["{1.50}"], |rng| list(rng, |rng| decimal(rng, 20, 2));
};
