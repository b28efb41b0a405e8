//! Numeric parameters through the extended protocol, binary: each has its value's own places, whatever stands beside it. The
//! expected answers are a PostgreSQL 15 server's.

use bytes::{BufMut, BytesMut};
use querygate_tests::server::{demo, runtime};
use std::error::Error;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// A numeric as its text, so that its places are compared too.
#[derive(Debug, Clone, PartialEq)]
struct Numeric(String);

impl ToSql for Numeric {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let (negative, digits) = match self.0.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, self.0.as_str()),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let padded = format!(
            "{}{whole}{fraction}{}",
            "0".repeat((4 - whole.len() % 4) % 4),
            "0".repeat((4 - fraction.len() % 4) % 4)
        );
        let groups: Vec<i16> = padded
            .as_bytes()
            .chunks(4)
            .map(|group| std::str::from_utf8(group)?.parse().map_err(Into::into))
            .collect::<Result<_, Box<dyn Error + Sync + Send>>>()?;
        out.put_u16(u16::try_from(groups.len())?);
        out.put_i16(i16::try_from(whole.len().div_ceil(4))? - 1);
        out.put_u16(if negative { 0x4000 } else { 0 });
        out.put_u16(u16::try_from(fraction.len())?);
        groups.iter().for_each(|group| out.put_i16(*group));
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NUMERIC
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Numeric {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let word = |at: usize| i16::from_be_bytes([raw[2 * at], raw[2 * at + 1]]);
        let (count, weight, negative) = (word(0), word(1), word(2) == 0x4000);
        let scale = usize::try_from(word(3))?;
        let group = |power: i16| {
            let at = weight - power;
            if (0..count).contains(&at) { word(usize::try_from(4 + at).unwrap_or_default()) } else { 0 }
        };
        let whole: String = (0..=weight.max(0)).rev().map(|power| format!("{:04}", group(power))).collect();
        let fraction: String =
            (1..=scale.div_ceil(4)).map(|at| format!("{:04}", group(-i16::try_from(at).unwrap_or(0)))).collect();
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let sign = if negative { "-" } else { "" };
        Ok(Self(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{}", &fraction[..scale]) }))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NUMERIC
    }
}

/// Statements whose one parameter is said to be numeric: values, and what they give as text; `-` for no row.
const CASES: &[(&str, &[(&str, &str)])] = &[
    ("SELECT 1 + $1", &[("1.25", "2.25"), ("0.005", "1.005"), ("3", "4"), ("-0.1", "0.9"), ("7.50", "8.50")]),
    (
        "SELECT $1",
        &[("1.25", "1.25"), ("1.2500", "1.2500"), ("0", "0"), ("0.12345678901234567890", "0.12345678901234567890")],
    ),
    ("SELECT $1::numeric", &[("1.25", "1.25"), ("100", "100")]),
    ("SELECT $1::numeric(10,1)", &[("1.25", "1.3"), ("-1.25", "-1.3"), ("3", "3.0")]),
    ("SELECT $1 * 2.50", &[("1.25", "3.1250"), ("3", "7.50")]),
    ("SELECT coalesce($1, 0)", &[("1.25", "1.25"), ("3", "3")]),
    ("SELECT round($1, 1)", &[("1.25", "1.3"), ("7.5", "7.5")]),
    ("SELECT greatest($1, 2)", &[("7.5", "7.5"), ("3", "3")]),
    ("SELECT least($1, 2, 3)", &[("1.25", "1.25")]),
    ("SELECT nullif($1, 1.5)", &[("1.25", "1.25"), ("1.5", "NULL"), ("1.50", "NULL")]),
    ("SELECT CASE WHEN true THEN $1 ELSE 0 END", &[("1.25", "1.25")]),
    ("SELECT sum(n * $1) FROM (VALUES (100.50), (200.25)) t (n)", &[("0.005", "1.50375"), ("2", "601.50")]),
    ("SELECT sum(CASE WHEN n > 1 THEN n ELSE $1 END) FROM (VALUES (1), (8)) t (n)", &[("0.5", "8.5"), ("2", "10")]),
    ("SELECT n::numeric FROM (VALUES (1), (8)) t (n) WHERE n = $1", &[("7.5", "-"), ("8", "8"), ("8.00", "8")]),
    ("SELECT n::numeric FROM (VALUES (1), (8)) t (n) WHERE n > $1", &[("7.5", "8"), ("8", "-"), ("7.999999", "8")]),
    (
        "SELECT n FROM (VALUES (1.50), (8.00)) t (n) WHERE n IN ($1, 7)",
        &[("1.5", "1.50"), ("1.505", "-"), ("8", "8.00")],
    ),
    ("SELECT n FROM (VALUES (1.50), (8.00)) t (n) WHERE n BETWEEN $1 AND 7", &[("1.495", "1.50"), ("1.505", "-")]),
    ("SELECT count(*)::numeric FROM accounts WHERE rating = $1", &[("7.5", "0"), ("1000.0", "0")]),
    (
        "SELECT count(*)::numeric FROM generate_series(1, 9) x WHERE x = $1",
        &[("0.123456789012345678901234567890", "0")],
    ),
    ("SELECT x::numeric FROM generate_series(1, 3) x ORDER BY x DESC LIMIT $1", &[("1.25", "3"), ("0.4", "-")]),
];

#[test]
fn a_numeric_has_its_value_s_own_places() {
    runtime().block_on(async {
        let client = demo().server.client("ada").await;
        for (sql, cases) in CASES {
            let statement =
                client.prepare_typed(sql, &[Type::NUMERIC]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
            assert_eq!(statement.params(), [Type::NUMERIC], "{sql}");
            assert_eq!(statement.columns()[0].type_(), &Type::NUMERIC, "{sql}");
            // Several rounds: a plan that is kept for one value is not given to another.
            for (value, expected) in [*cases; 3].concat() {
                let rows = client.query(&statement, &[&Numeric(value.to_owned())]).await;
                let rows = rows.unwrap_or_else(|e| panic!("{sql} {value}: {e:?}"));
                let found = match rows.as_slice() {
                    [] => "-".to_owned(),
                    [row, ..] => row.get::<_, Option<Numeric>>(0).map_or("NULL".to_owned(), |numeric| numeric.0),
                };
                assert_eq!(found, expected, "{sql} with {value}");
            }
            client.query(&statement, &[&None::<Numeric>]).await.unwrap_or_else(|e| panic!("{sql} NULL: {e:?}"));
        }
    });
}
