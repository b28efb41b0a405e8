//! Changes of one row by its key, over tables as `querygate introspect` describes them: the key as a parameter of a type that is said or
//! not, in text and in binary, under casts and among other conditions. A row that is hidden, or not there, is none.

use bytes::{BufMut, BytesMut};
use querygate_tests::server::runtime;
use tokio_postgres::Client;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

/// Keys of a table of tickets.
pub(crate) struct Keys<'a> {
    pub(crate) key_type: Type,
    /// Of a row that may be changed.
    pub(crate) own: &'a str,
    /// Of rows that may not, and of none.
    pub(crate) others: &'a [&'a str],
}

/// A value by its text, `None` for NULL, in one of the two formats.
#[derive(Debug)]
pub(crate) struct Given<'a> {
    pub(crate) text: Option<&'a str>,
    pub(crate) format: Format,
}

impl ToSql for Given<'_> {
    fn to_sql(&self, to: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(text) = self.text else { return Ok(IsNull::Yes) };
        match (self.format, to) {
            (Format::Binary, &Type::INT8) => out.put_i64(text.parse()?),
            (Format::Binary, &Type::INT4) => out.put_i32(text.parse()?),
            _ => out.extend_from_slice(text.as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        self.format
    }

    to_sql_checked!();
}

/// What a change gives back of its rows: one column of texts.
fn changed(client: &Client, sql: &str, types: Option<&[Type]>, given: &[Given<'_>]) -> Vec<String> {
    let rows = runtime().block_on(async {
        let statement = match types {
            Some(types) => client.prepare_typed(sql, types).await,
            None => client.prepare(sql).await,
        };
        let given: Vec<&(dyn ToSql + Sync)> = given.iter().map(|value| value as _).collect();
        client.query(&statement?, &given).await
    });
    let rows = rows.unwrap_or_else(|error| panic!("{sql} {types:?} {given:?}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

const WAYS: [(bool, Format); 4] =
    [(true, Format::Binary), (true, Format::Text), (false, Format::Binary), (false, Format::Text)];

/// Changes tickets by their keys, and deletes the one that may be changed.
pub(crate) fn changes_rows_by_their_keys(client: &Client, keys: &Keys<'_>) {
    let Keys { key_type, own, others } = keys;
    let cast = format!("id = $1::{}", key_type.name());
    let forms = [
        "id = $1",
        "$1 = id",
        &cast,
        "id IN ($1)",
        "id = ANY (ARRAY[$1])",
        "region = 'eu' AND id = $1 AND title <> 'no'",
    ];
    let mut titles = 0;
    for form in forms {
        for (is_typed, format) in WAYS {
            let types = [key_type.clone(), Type::TEXT];
            let types = is_typed.then_some(types.as_slice());
            let sql = format!("UPDATE ticket SET title = $2 WHERE {form} RETURNING id::text || ' ' || title");
            for other in others.iter().map(|other| Some(*other)).chain([None]) {
                let given = [Given { text: other, format }, Given { text: Some("wrong"), format }];
                assert!(changed(client, &sql, types, &given).is_empty(), "{sql} {other:?} {is_typed} {format:?}");
            }
            titles += 1;
            let title = format!("title {titles}");
            let given = [Given { text: Some(*own), format }, Given { text: Some(&title), format }];
            assert_eq!(changed(client, &sql, types, &given), [format!("{own} {title}")], "{sql} {is_typed} {format:?}");
            let found = changed(client, &format!("SELECT title FROM ticket WHERE id::text = '{own}'"), None, &[]);
            assert_eq!(found, [title], "{sql} {is_typed} {format:?}");
        }
    }
    let sql = "DELETE FROM ticket WHERE id = $1 RETURNING title";
    for (key, expected) in others.iter().map(|other| (*other, 0)).chain([(*own, 1), (*own, 0)]) {
        let given = [Given { text: Some(key), format: Format::Text }];
        assert_eq!(changed(client, sql, None, &given).len(), expected, "{key}");
    }
}
