//! One parameter in SET, over tables whose metadata `querygate introspect` wrote: with and without a declared type, in text and in
//! binary. Each way stores what a literal stores.

use crate::servers::{Opened, ask};
use crate::source::Kind;
use bytes::BytesMut;
use querygate_tests::server::runtime;
use tokio_postgres::Client;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

/// A value as a literal's text, sent in one of the two formats.
#[derive(Debug, Clone, Copy)]
struct Sent {
    text: Option<&'static str>,
    format: Format,
}

impl ToSql for Sent {
    fn to_sql(&self, to: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(text) = self.text else { return Ok(IsNull::Yes) };
        match (self.format, to) {
            (Format::Binary, &Type::INT8) => text.parse::<i64>()?.to_sql(to, out),
            (Format::Binary, &Type::INT4) => text.parse::<i32>()?.to_sql(to, out),
            (Format::Binary, &Type::FLOAT8) => text.parse::<f64>()?.to_sql(to, out),
            (Format::Binary, &Type::BOOL) => (text == "true").to_sql(to, out),
            (Format::Binary, &Type::TEXT | &Type::VARCHAR) | (Format::Text, _) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            (Format::Binary, other) => Err(format!("{other} is not sent in binary here").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        self.format
    }

    to_sql_checked!();
}

/// A column, a type that a client may declare for its value, values as literals' texts, and whether they are sent in binary, too.
pub(crate) type Column = (&'static str, Type, &'static [Option<&'static str>], bool);

/// Changes the row of a title by each column's values, in all ways.
pub(crate) fn set_in_every_way(client: &Client, title: &str, columns: &[Column]) {
    for (column, declared, values, binary) in columns {
        let read = format!("SELECT {column}::text FROM ticket WHERE title = '{title}'");
        let sql = format!("UPDATE ticket SET {column} = $1 WHERE title = '{title}'");
        for text in *values {
            let literal = text.map_or("NULL".to_owned(), |text| format!("'{text}'"));
            ask(client, &format!("UPDATE ticket SET {column} = {literal} WHERE title = '{title}'")).unwrap();
            let expected = ask(client, &read).unwrap();
            assert_eq!(expected.len(), 1, "{read}");
            for format in
                [Format::Text, Format::Binary].into_iter().filter(|format| *binary || matches!(format, Format::Text))
            {
                for types in [&[][..], &[declared.clone()][..]] {
                    let way = format!("{column} = {text:?} as {types:?}, {format:?}");
                    // Another value first, so that one that is not stored shows.
                    let other = values.iter().find(|other| *other != text).copied().flatten();
                    if let Some(other) = other {
                        let sql = format!("UPDATE ticket SET {column} = '{other}' WHERE title = '{title}'");
                        ask(client, &sql).unwrap();
                        assert_ne!(ask(client, &read).unwrap(), expected, "{way}");
                    }
                    let sent = Sent { text: *text, format };
                    let changed = runtime().block_on(async {
                        let statement = client.prepare_typed(&sql, types).await?;
                        client.execute(&statement, &[&sent]).await
                    });
                    assert_eq!(changed.unwrap_or_else(|error| panic!("{way}: {error:?}")), 1, "{way}");
                    assert_eq!(ask(client, &read).unwrap(), expected, "{way}");
                }
            }
        }
    }
}

#[test]
fn a_parameter_stores_what_a_literal_stores() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let gate = Opened::new(kind);
        let omar = gate.client("omar");
        ask(&omar, "INSERT INTO ticket (title, region) VALUES ('mine', 'eu')").unwrap();
        set_in_every_way(
            &omar,
            "mine",
            &[
                ("code", Type::TEXT, &[Some("größe x"), Some("7"), None], true),
                ("customer", Type::INT4, &[Some("1"), Some("2"), None], true),
                ("amount", Type::NUMERIC, &[Some("12.50"), Some("-3"), None], false),
                ("ratio", Type::FLOAT8, &[Some("0.25"), Some("-1e300"), None], true),
                ("due", Type::DATE, &[Some("2026-01-05"), Some("1999-12-31"), None], false),
                ("done", Type::BOOL, &[Some("true"), Some("false")], true),
            ],
        );
    }
}
