//! Tables by keys of a number, of a text and of two fields, as each kind of source makes them, with rows of two regions.

use super::model::{Row, Store};
use crate::source::Kind;

/// A table and the keys of its rows, which the model knows by their numbers.
#[derive(Debug)]
pub(crate) struct Keyed {
    pub(crate) name: &'static str,
    /// Fields of the key, and whether they are numbers.
    pub(crate) fields: &'static [(&'static str, bool)],
    /// Of each row the values of its key, as texts.
    pub(crate) keys: [&'static [&'static str]; ROWS],
    /// Conditions that name the row of a key: `{0}` is the value of its first field.
    pub(crate) conditions: &'static [&'static str],
    /// Its source gives a new row a number in place of a key of NULL.
    pub(crate) numbers_rows: bool,
}

/// Rows that there are, or may be.
const ROWS: usize = 6;
/// The row that its user may not see.
pub(crate) const HIDDEN: usize = 3;
/// Rows that are not there.
pub(crate) const FREE: [usize; 2] = [4, 5];

pub(crate) const BY_NUMBER: Keyed = Keyed {
    name: "by_number",
    fields: &[("id", true)],
    keys: [&["1"], &["2"], &["-3"], &["4"], &["70"], &["2147483647"]],
    conditions: &["id = {0}", "{0} = id"],
    numbers_rows: false,
};

pub(crate) const BY_TEXT: Keyed = Keyed {
    name: "by_text",
    fields: &[("id", false)],
    keys: [&["a"], &["b'c"], &["1"], &["hidden"], &["NULL"], &["$1"]],
    conditions: &["id = {0}"],
    numbers_rows: false,
};

pub(crate) const BY_PAIR: Keyed = Keyed {
    name: "by_pair",
    fields: &[("part", false), ("number", true)],
    keys: [&["p", "1"], &["p", "2"], &["q", "1"], &["q", "2"], &["p", "3"], &["1", "-1"]],
    conditions: &["part = {0} AND number = {1}", "{1} = number AND (part = {0})", "part = {0} AND number IN ({1})"],
    numbers_rows: false,
};

/// The tables in a kind's own words.
pub(crate) fn declared(kind: Kind) -> String {
    let (text, number) = match kind {
        Kind::Sqlite => ("text", "integer"),
        Kind::Postgres => ("text", "bigint"),
        Kind::MariaDb => ("varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin", "bigint"),
    };
    let rest = format!("region {text} NOT NULL, title {text}, amount integer");
    format!(
        "CREATE TABLE by_number (id {number} NOT NULL PRIMARY KEY, {rest});
         CREATE TABLE by_text (id {text} NOT NULL PRIMARY KEY, {rest});
         CREATE TABLE by_pair (part {text} NOT NULL, number integer NOT NULL, {rest}, PRIMARY KEY (part, number));"
    )
}

/// What is there at the start.
pub(crate) fn start() -> Store {
    let row = |region: &str, title: &str, amount| Row {
        region: region.to_owned(),
        title: Some(title.to_owned()),
        amount: Some(amount),
    };
    Store::from([
        (0, row("eu", "first", 10)),
        (1, row("eu", "second", 20)),
        (2, row("eu", "third", 30)),
        (HIDDEN, row("us", "secret", 40)),
    ])
}

impl Keyed {
    /// The values of a key as texts; `None`: its last one is NULL.
    pub(crate) fn key(&self, row: Option<usize>) -> Vec<Option<String>> {
        let texts = self.keys[row.unwrap_or(0)].iter().map(|text| Some((*text).to_owned()));
        let mut key: Vec<Option<String>> = texts.collect();
        if row.is_none() {
            *key.last_mut().unwrap() = None;
        }
        key
    }

    /// Names of the fields of the key.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.fields.iter().map(|(name, _)| *name).collect()
    }

    /// Rows as [`stored`](Self::stored) gives them.
    pub(crate) fn printed(&self, store: &Store) -> Vec<String> {
        let print = |(at, row): (&usize, &Row)| {
            let amount = row.amount.map_or("-".to_owned(), |amount| amount.to_string());
            let title = row.title.as_deref().unwrap_or("-");
            format!("{}|{}|{title}|{amount}", self.keys[*at].join("|"), row.region)
        };
        let mut rows: Vec<String> = store.iter().map(print).collect();
        rows.sort();
        rows
    }

    /// A query for all rows as texts, in the words of each source.
    pub(crate) fn stored(&self) -> String {
        format!(
            "SELECT concat_ws('|', {}, region, CASE WHEN title IS NULL THEN '-' ELSE title END,
             CASE WHEN amount IS NULL THEN '-' ELSE concat(amount, '') END) FROM {}",
            self.names().join(", "),
            self.name
        )
    }

    /// Statements that bring the rows of the start back.
    pub(crate) fn reset(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let rows = start().into_iter().map(|(at, row)| {
            let key = self.keys[at].iter().zip(self.fields);
            let key = key.map(|(text, (_, is_number))| if *is_number { (*text).to_owned() } else { quoted(text) });
            let key = key.collect::<Vec<_>>().join(", ");
            let title = quoted(row.title.as_deref().unwrap());
            format!("({key}, {}, {title}, {})", quoted(&row.region), row.amount.unwrap())
        });
        format!("DELETE FROM {0}; INSERT INTO {0} VALUES {1};", self.name, rows.collect::<Vec<_>>().join(", "))
    }
}
