//! Functions whose results grow with the product of their arguments' lengths: the result is counted before it is made.

use super::call::form::{P, R, form};
use super::texts::{bounded, charged};
use super::{Def, Row, Value, lenient, strict};
use crate::casts::display::text_of;
use crate::times::zone::Zone;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;

const TEXTS: &[P] = &[P::Text, P::Text, P::Text];

pub(super) const DEFS: &[Def] = &[
    strict("replace", &[form(TEXTS, R::Text, replaced)]),
    lenient(
        "array_to_string",
        &[
            form(&[P::AnyArray, P::Text], R::Text, array_to_string),
            form(&[P::AnyArray, P::Text, P::Text], R::Text, array_to_string),
        ],
    ),
];

fn replaced(row: &Row<'_>) -> Result<Value> {
    let (text, from, to) = (row.text(0), row.text(1), row.text(2));
    // An empty text is nowhere, as Postgres has it.
    if from.is_empty() {
        return Ok(Value::Text(text.to_owned()));
    }
    let found = text.matches(from).count();
    let kept = text.len().saturating_sub(found.saturating_mul(from.len()));
    charged(found.checked_mul(to.len()).and_then(|new| new.checked_add(kept)))?;
    Ok(Value::Text(text.replace(from, to)))
}

/// Elements of all dimensions in their order; NULLs are left out, or said with the third argument.
fn array_to_string(row: &Row<'_>) -> Result<Value> {
    if row.is_null(0) || row.is_null(1) {
        return Ok(Value::Null);
    }
    let null = (row.len() > 2 && !row.is_null(2)).then(|| row.text(2));
    let mut join = Join { separator: row.text(1), null, zone: row.zone, text: String::new(), is_empty: true };
    join.list(&row.list(0))?;
    Ok(Value::Text(join.text))
}

struct Join<'a> {
    separator: &'a str,
    null: Option<&'a str>,
    zone: Zone,
    text: String,
    is_empty: bool,
}

impl Join<'_> {
    fn list(&mut self, items: &ArrayRef) -> Result<()> {
        if let Some(lists) = items.as_list_opt::<i32>() {
            return (0..lists.len()).filter(|at| lists.is_valid(*at)).try_for_each(|at| self.list(&lists.value(at)));
        }
        let field = Field::new("item", DataType::clone(items.data_type()), true);
        for at in 0..items.len() {
            match text_of(items.as_ref(), at, &field, self.zone)? {
                Some(text) => self.item(&text)?,
                None => {
                    if let Some(null) = self.null {
                        self.item(null)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn item(&mut self, text: &str) -> Result<()> {
        let separator = if self.is_empty { "" } else { self.separator };
        self.is_empty = false;
        bounded(self.text.len().checked_add(separator.len()).and_then(|length| length.checked_add(text.len())))?;
        self.text.push_str(separator);
        self.text.push_str(text);
        Ok(())
    }
}
