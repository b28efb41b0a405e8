//! What changes by keys do, of a table with rows that their user does not see. Knows no gate.

use super::tables::{FREE, HIDDEN};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) region: String,
    pub(crate) title: Option<String>,
    pub(crate) amount: Option<i64>,
}

/// Rows by the numbers of their keys.
pub(crate) type Store = BTreeMap<usize, Row>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Insert,
    Update,
    Delete,
    /// `ON CONFLICT (key) DO UPDATE`.
    Upsert,
    /// `ON CONFLICT DO NOTHING`.
    Keep,
}

pub(crate) const FORMS: [Form; 5] = [Form::Insert, Form::Update, Form::Delete, Form::Upsert, Form::Keep];

/// The values of one run of a form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Set {
    /// The number of its key; `None`: a key of NULL.
    pub(crate) row: Option<usize>,
    pub(crate) title: Option<&'static str>,
    pub(crate) amount: Option<i64>,
}

const fn set(row: usize, title: &'static str, amount: i64) -> Set {
    Set { row: Some(row), title: Some(title), amount: Some(amount) }
}

/// Sets of values: none, one, many.
pub(crate) const SETS: [&[Set]; 10] = [
    &[],
    &[set(0, "new", 5)],
    &[Set { row: Some(1), title: None, amount: None }],
    &[set(HIDDEN, "new", 5)],
    &[set(FREE[0], "it's", -5)],
    &[Set { row: None, title: Some("new"), amount: Some(5) }],
    &[set(0, "new", 5), set(FREE[0], "free", 6), set(2, "", 0)],
    &[set(FREE[1], "once", 1), set(FREE[1], "twice", 2)],
    &[set(1, "new", 5), set(HIDDEN, "new", 5), set(FREE[0], "free", 6)],
    &[set(FREE[0], "free", 5), Set { row: Some(FREE[1]), title: None, amount: None }],
];

/// How many rows change, or the SQLSTATE of why none does.
pub(crate) fn apply(form: Form, sets: &[Set], store: &mut Store) -> Result<u64, &'static str> {
    let mut changed = store.clone();
    let counts = sets.iter().map(|set| one(form, *set, &mut changed)).collect::<Result<Vec<_>, _>>()?;
    *store = changed;
    Ok(counts.into_iter().sum())
}

fn one(form: Form, set: Set, store: &mut Store) -> Result<u64, &'static str> {
    let new = Row { region: "eu".to_owned(), title: set.title.map(str::to_owned), amount: set.amount };
    let added = |own: Option<i64>| Some(own? + set.amount?);
    let Some(row) = set.row else {
        return match form {
            Form::Insert | Form::Upsert | Form::Keep => Err("23502"),
            Form::Update | Form::Delete => Ok(0),
        };
    };
    let is_hidden = row == HIDDEN;
    match (form, store.get_mut(&row)) {
        (Form::Insert | Form::Upsert | Form::Keep, None) => {
            store.insert(row, new);
            Ok(1)
        }
        (Form::Insert, Some(_)) => Err("23505"),
        (Form::Upsert, Some(_)) if is_hidden => Err("23505"),
        (Form::Update | Form::Delete, Some(_)) if is_hidden => Ok(0),
        (Form::Update | Form::Upsert, Some(there)) => {
            *there = Row { region: there.region.clone(), amount: added(there.amount), ..new };
            Ok(1)
        }
        (Form::Delete, Some(_)) => {
            store.remove(&row);
            Ok(1)
        }
        (Form::Keep, Some(_)) | (Form::Update | Form::Delete, None) => Ok(0),
    }
}
