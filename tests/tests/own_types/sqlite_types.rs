//! Types that SQLite's columns are declared as, as which the gate serves them, and values of each as SQLite keeps and prints them.

use crate::printed::print_bytes;
use crate::values::{bytes, date, decimal, double, json, text, time, uuid, whole};
use querygate_tests::harness::Rng;

/// How a value is written, and how PostgreSQL prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A number as it is written.
    Number,
    /// A number that has so many places here.
    Decimal(usize),
    Truth,
    Double,
    Text,
    Bytes,
    /// Texts of times, in ISO 8601.
    Day,
    Clock,
    /// Instants, in UTC where they have no zone.
    Instant,
    /// As `jsonb` prints it.
    Tree,
}
use Form::{Bytes, Clock, Day, Decimal, Double, Instant, Number, Text, Tree, Truth};

pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) declared: &'static str,
    pub(crate) type_name: &'static str,
    pub(crate) form: Form,
    /// As SQLite prints them, without quotes.
    pub(crate) extremes: &'static [&'static str],
    pub(crate) random: fn(&mut Rng) -> String,
}

impl Kind {
    /// A value as SQL writes it.
    pub(crate) fn literal(&self, value: &str) -> String {
        match self.form {
            Number | Decimal(_) | Truth | Double => value.to_owned(),
            Text | Day | Clock | Instant | Tree => format!("'{}'", value.replace('\'', "''")),
            Bytes => format!("x'{}'", &value[2..]),
        }
    }

    /// What SQLite prints, as PostgreSQL prints it.
    pub(crate) fn printed(&self, value: &str) -> String {
        match self.form {
            // A double is read as one.
            Number | Double | Text | Day | Clock | Bytes => value.to_owned(),
            Tree => value.replace(AS_WRITTEN, AS_PRINTED),
            Truth => if value == "0" { "f" } else { "t" }.to_owned(),
            Decimal(places) => {
                let (whole, behind) = value.split_once('.').unwrap_or((value, ""));
                format!("{whole}.{behind:0<places$}")
            }
            Instant => format!("{}+00", value.replace('T', " ").trim_end_matches('Z').trim_end_matches("+00")),
        }
    }

    /// By what the column is compared in SQLite as it is here: an order of texts that is none of values is overruled.
    pub(crate) fn key(&self) -> String {
        let key = match self.form {
            Number | Double | Bytes | Day | Clock | Decimal(_) => "$",
            Truth => "($ <> 0)",
            Text => "(CAST($ AS TEXT) COLLATE BINARY)",
            Tree => return format!("(replace($, '{AS_WRITTEN}', '{AS_PRINTED}') COLLATE BINARY)"),
            Instant => "rtrim(replace($, 'T', ' '), 'Z')",
        };
        key.to_owned()
    }
}

macro_rules! kinds {
    ($($name:ident $declared:literal $type_name:literal $form:expr, $extremes:expr, $random:expr;)*) => {
        &[$(Kind {
            name: concat!("c_", stringify!($name)), declared: $declared, type_name: $type_name, form: $form,
            extremes: $extremes, random: $random,
        }),*]
    };
}

/// One JSON value as it is written, and as `jsonb` prints it.
const AS_WRITTEN: &str = "{\"b\":1,  \"a\":[1.50]}";
const AS_PRINTED: &str = "{\"a\": [1.50], \"b\": 1}";

const EIGHT: &[&str] = &["-9223372036854775808", "9223372036854775807", "0"];
const TEXTS: &[&str] = &["", "a", "A", "a ", "é", "e\u{301}", "%", "\\", "'", "1", "1.0", "\u{10ffff}"];
const DOUBLES: &[&str] = &["1.7976931348623157e308", "5e-324", "0.0", "1e15", "0.1", "9e999", "-9e999", "3.0"];

pub(crate) const KINDS: &[Kind] = kinds! {
    integer "INTEGER" "int8" Number, EIGHT, |rng| whole(rng, 64).to_string();
    int "int" "int8" Number, EIGHT, |rng| whole(rng, 32).to_string();
    tiny "TINYINT" "int8" Number, &["-128", "127"], |rng| whole(rng, 8).to_string();
    small "SMALLINT" "int8" Number, EIGHT, |rng| whole(rng, 16).to_string();
    medium "MEDIUMINT" "int8" Number, EIGHT, |rng| whole(rng, 24).to_string();
    big "BIGINT" "int8" Number, EIGHT, |rng| whole(rng, 64).to_string();
    big_u "UNSIGNED BIG INT" "int8" Number, EIGHT, |rng| whole(rng, 64).to_string();
    four "INT4" "int8" Number, EIGHT, |rng| whole(rng, 32).to_string();
    truth "BOOLEAN" "bool" Truth, &["0", "1"], |rng| rng.below(2).to_string();
    truth_short "bool" "bool" Truth, &["0", "1"], |rng| rng.below(2).to_string();
    real "REAL" "float8" Double, DOUBLES, |rng| format!("{:e}", double(rng));
    double "DOUBLE" "float8" Double, DOUBLES, |rng| format!("{:e}", double(rng));
    precise "DOUBLE PRECISION" "float8" Double, DOUBLES, |rng| format!("{:e}", double(rng));
    float "FLOAT" "float8" Double, DOUBLES, |rng| format!("{:e}", double(rng));
    number "NUMERIC" "float8" Double, &["0", "1.5", "-3", "1e15"], |rng| (whole(rng, 30) as f64 / 64.0).to_string();
    money "DECIMAL(10,2)" "numeric" Decimal(2), &["99999999.99", "-99999999.99", "0", "0.1", "5"], |rng| decimal(rng, 7, 2);
    cents "NUMERIC(12,4)" "numeric" Decimal(4), &["12345678.1234", "0"], |rng| decimal(rng, 6, 4);
    words "TEXT" "text" Text, TEXTS, |rng| text(rng, 20);
    some "VARCHAR(255)" "text" Text, TEXTS, |rng| text(rng, 20);
    padded "CHARACTER(20)" "text" Text, TEXTS, |rng| text(rng, 20);
    native "NATIVE CHARACTER(70)" "text" Text, TEXTS, |rng| text(rng, 20);
    national "NVARCHAR(100)" "text" Text, TEXTS, |rng| text(rng, 20);
    large "CLOB" "text" Text, TEXTS, |rng| text(rng, 20);
    by_letter "TEXT COLLATE NOCASE" "text" Text, TEXTS, |rng| text(rng, 2);
    untyped "" "text" Text, TEXTS, |rng| text(rng, 20);
    string "STRING" "text" Text, TEXTS, |rng| text(rng, 20);
    id "UUID" "text" Text, &["00000000-0000-0000-0000-000000000000"], uuid;
    fixed "BINARY(4)" "bytea" Bytes, &["\\x", "\\x00", "\\xff"], |rng| print_bytes(&bytes(rng, 4));
    varying "VARBINARY(20)" "bytea" Bytes, &["\\x", "\\x00", "\\xff"], |rng| print_bytes(&bytes(rng, 20));
    tiny_blob "TINYBLOB" "bytea" Bytes, &["\\x", "\\x00", "\\xff"], |rng| print_bytes(&bytes(rng, 20));
    raw "BLOB" "bytea" Bytes, &["\\x", "\\x00", "\\xff", "\\x61"], |rng| print_bytes(&bytes(rng, 20));
    day "DATE" "date" Day, &["0001-01-01", "1969-12-31", "2000-02-29", "9999-12-31"], |rng| date(rng, 1, 9999);
    clock "TIME" "time" Clock, &["00:00:00", "23:59:59", "12:00:00.123"], |rng| time(rng, 3);
    moment "DATETIME" "timestamptz" Instant, &["0001-01-01 00:00:00", "9999-12-31T23:59:59.999Z", "1969-12-31 23:59:59.999"],
        |rng| format!("{} {}", date(rng, 1, 9999), time(rng, 3));
    stamp "TIMESTAMP" "timestamptz" Instant, &["0001-01-01 00:00:00", "9999-12-31 23:59:59.999"],
        |rng| format!("{} {}", date(rng, 1, 9999), time(rng, 3));
    instant "TIMESTAMPTZ" "timestamptz" Instant, &["0001-01-01T00:00:00Z", "9999-12-31 23:59:59.999999+00"],
        |rng| format!("{}T{}Z", date(rng, 1, 9999), time(rng, 6));
    document "JSON" "jsonb" Tree, &["null", "\"\"", "{\"a\": [1.50], \"b\": 1}"], json;
    document_as_written "JSON" "jsonb" Tree, &[AS_WRITTEN, AS_PRINTED], |rng| whole(rng, 40).to_string();
};
