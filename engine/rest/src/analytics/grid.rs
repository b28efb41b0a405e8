//! Rows of a dataset's answer, put together of several questions: keys, labels, measures, what they are compared with, what is computed of
//! them, their order and page.

use super::ROWS_MAX;
use super::ask::ComputedOperator;
use super::model::{Asked, Model};
use crate::code::Code;
use crate::refusal::Refusal;
use crate::work::{Held, Work};
use querygate_query_api::requests::question::JsonForm;
use querygate_types::Error;
use querygate_types::json::print::quoted;
use querygate_types::json::value::value;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::HashMap;

const NULL: &str = "null";
/// What a text takes beside its letters: where it is, and what is between it and the next one.
const CELL_BYTES: usize = 64;
/// A number that is computed, with what it takes.
const COMPUTED_BYTES: usize = CELL_BYTES + 24;

/// A key of a group: JSON texts of what is stored and of what people call it.
#[derive(Debug, Clone)]
pub(super) struct GridKey {
    pub(super) stored: String,
    label: Option<String>,
}

/// Values of one group as JSON texts, in the order of the grid's names.
#[derive(Debug, Clone)]
struct GridRow {
    keys: Vec<GridKey>,
    values: Vec<String>,
}

impl GridRow {
    /// Bytes of its texts and of what holds them.
    fn bytes(&self) -> usize {
        let keys =
            self.keys.iter().map(|key| key.stored.len() + key.label.as_ref().map_or(0, String::len) + CELL_BYTES);
        let values = self.values.iter().map(|value| value.len() + CELL_BYTES);
        keys.chain(values).sum::<usize>() + CELL_BYTES
    }
}

/// Groups with their values.
#[derive(Debug)]
pub(super) struct Grid {
    keys: Vec<String>,
    values: Vec<String>,
    rows: Vec<GridRow>,
}

impl Grid {
    /// Runs a question of groups. Its rows are charged to `held`.
    ///
    /// # Errors
    /// As of the question; 400 of more groups than can be put together.
    pub(super) async fn read(work: &Work, model: &Model, asked: &Asked, held: &mut Held) -> Result<Self, Refusal> {
        let question = &asked.question;
        let mut found = work.find(question).await?;
        let keys: Vec<String> = question.group_by.iter().filter_map(|key| key.alias.clone()).collect();
        let values = question.aggregations.iter().map(|aggregation| aggregation.alias.clone()).collect();
        let mut rows = Vec::new();
        while let Some(printer) = found.next().await? {
            held.grow(printer.bytes)?;
            let cell = |column: usize, row: usize| {
                let cells = printer.cells(column).ok_or_else(|| Error::internal("an answer lacks a column"))?;
                let mut text = String::new();
                cells.print(row, &mut text)?;
                Ok::<_, Error>((text, cells))
            };
            for row in 0..printer.rows {
                let key = |column: usize| {
                    let (stored, cells) = cell(column, row)?;
                    let field = model.group_field(question, column).filter(|field| field.form == JsonForm::Text);
                    let label = field.zip(cells.texts(row).pop()).and_then(|(field, value)| {
                        let (_, label) = field.options.iter().find(|(option, _)| *option == value)?;
                        let mut text = String::new();
                        quoted(label, &mut text);
                        Some(text)
                    });
                    Ok(GridKey { stored, label })
                };
                let value = |column: usize| Ok(cell(column, row)?.0);
                let columns = printer.columns.len();
                let (keys, values) = ((0..keys.len()).map(key), (keys.len()..columns).map(value));
                let row = GridRow {
                    keys: keys.collect::<Result<_, Error>>()?,
                    values: values.collect::<Result<_, Error>>()?,
                };
                held.grow(row.bytes())?;
                rows.push(row);
                if rows.len() as u64 > ROWS_MAX {
                    return Err(too_many());
                }
            }
        }
        Ok(Self { keys, values, rows })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds values of another grid of the same groups behind the own ones. `key` gives the key that stands for one of the other's. A value
    /// that only one of them has is `absent` in the other. Groups with a key that nothing stands for are left out; it gives their number.
    pub(super) fn attach(
        &mut self,
        other: Self,
        end: &str,
        key: impl Fn(usize, &GridKey) -> Option<GridKey>,
        absent: &[&'static str],
    ) -> usize {
        let of = |keys: &[GridKey]| keys.iter().map(|key| key.stored.clone()).collect::<Vec<_>>();
        let mut places: HashMap<Vec<String>, usize> =
            self.rows.iter().enumerate().map(|(at, row)| (of(&row.keys), at)).collect();
        let own = self.values.len();
        self.values.extend(other.values.iter().map(|name| format!("{name}{end}")));
        let absent = || absent.iter().map(|text| (*text).to_owned());
        for row in &mut self.rows {
            row.values.extend(absent());
        }
        let mut left_out = 0;
        for row in other.rows {
            let keys: Option<Vec<GridKey>> = row.keys.iter().enumerate().map(|(at, own)| key(at, own)).collect();
            let Some(keys) = keys else {
                left_out += 1;
                continue;
            };
            let place = *places.entry(of(&keys)).or_insert_with(|| {
                self.rows.push(GridRow { keys, values: absent().chain(absent()).collect() });
                self.rows.len() - 1
            });
            if let Some(found) = self.rows.get_mut(place) {
                found.values.truncate(own);
                found.values.extend(row.values);
            }
        }
        left_out
    }

    /// Adds a value that is computed of others; null where one of them is.
    pub(super) fn compute(&mut self, name: &str, operator: ComputedOperator, of: &[String]) {
        let places: Option<Vec<usize>> = of.iter().map(|name| self.values.iter().position(|own| own == name)).collect();
        for row in &mut self.rows {
            let number = |at: &usize| row.values.get(*at)?.parse::<f64>().ok().filter(|number| number.is_finite());
            let numbers = places.as_ref().and_then(|places| places.iter().map(number).collect::<Option<Vec<f64>>>());
            let computed = numbers.and_then(|numbers| operator.of(&numbers));
            let printed = computed.and_then(serde_json::Number::from_f64);
            row.values.push(printed.map_or_else(|| NULL.to_owned(), |number| whole(&number)));
        }
        self.values.push(name.to_owned());
    }

    /// Orders rows by names with their directions, first the strongest. What is absent comes last, either way. Labels are what is compared.
    pub(super) fn order(&mut self, order: &[(String, bool)]) {
        enum Place {
            Key(usize),
            Value(usize),
        }
        let place = |name: &String| {
            let at = |names: &[String]| names.iter().position(|own| own == name);
            at(&self.keys).map(Place::Key).or_else(|| at(&self.values).map(Place::Value))
        };
        let places: Vec<(Place, bool)> =
            order.iter().filter_map(|(name, descending)| Some((place(name)?, *descending))).collect();
        let cell = |row: &GridRow, place: &Place| {
            let text = match place {
                Place::Key(at) => row.keys.get(*at).map(GridKey::shown),
                Place::Value(at) => row.values.get(*at).map(String::as_str),
            };
            text.and_then(|text| value(text).ok()).filter(|value| !value.is_null() && *value != "")
        };
        self.rows.sort_by_cached_key(|row| {
            let cells =
                places.iter().map(|(place, descending)| SortCell { value: cell(row, place), falls: *descending });
            cells.collect::<Vec<_>>()
        });
    }

    /// Rows without this key behind the others.
    pub(super) fn absent_last(&mut self, key: &str) {
        let at = self.keys.iter().position(|own| own == key);
        self.rows.sort_by_key(|row| at.and_then(|at| row.keys.get(at)).is_none_or(|key| key.stored == NULL));
    }

    pub(super) fn page(&mut self, offset: u64, limit: u64) {
        let bounded = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        self.rows.drain(..bounded(offset).min(self.rows.len()));
        self.rows.truncate(bounded(limit));
    }

    /// Bytes that its rows take.
    pub(super) fn bytes(&self) -> usize {
        self.rows.iter().map(GridRow::bytes).fold(0, usize::saturating_add)
    }

    /// Bytes that one more computed value takes in each row.
    pub(super) fn computed_bytes(&self) -> usize {
        self.rows.len().saturating_mul(COMPUTED_BYTES)
    }

    /// Bytes that no text of its rows is longer than.
    pub(super) fn text_bytes(&self) -> usize {
        let names = self.keys.iter().chain(&self.values);
        // Six signs at most stand for one.
        let names = names.map(|name| name.len().saturating_mul(6).saturating_add(4)).fold(2, usize::saturating_add);
        self.bytes().saturating_add(names.saturating_mul(self.rows.len()))
    }

    /// Rows as JSON objects with commas between them, as people read them.
    pub(super) fn print(&self, text: &mut String) {
        self.print_of(text, |row| row.keys.iter().map(GridKey::shown).chain(row.values.iter().map(String::as_str)));
    }

    /// The keys alone, as they are stored.
    pub(super) fn print_stored(&self, text: &mut String) {
        self.print_of(text, |row| row.keys.iter().map(|key| key.stored.as_str()));
    }

    /// A key's texts, row by row; nothing of a key that is none.
    pub(super) fn key(&self, name: &str) -> Vec<Option<String>> {
        let at = self.keys.iter().position(|own| own == name);
        let text = |row: &GridRow| {
            let key = row.keys.get(at?)?;
            value(&key.stored).ok()?.as_str().map(str::to_owned)
        };
        self.rows.iter().map(text).collect()
    }

    fn print_of<'g, I: Iterator<Item = &'g str>>(&'g self, text: &mut String, cells: impl Fn(&'g GridRow) -> I) {
        let names: Vec<String> = self
            .keys
            .iter()
            .chain(&self.values)
            .map(|name| {
                let mut text = String::new();
                quoted(name, &mut text);
                text
            })
            .collect();
        for (at, row) in self.rows.iter().enumerate() {
            text.push_str(if at == 0 { "{" } else { ",{" });
            for (at, (name, cell)) in names.iter().zip(cells(row)).enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(name);
                text.push(':');
                text.push_str(cell);
            }
            text.push('}');
        }
    }
}

impl GridKey {
    fn shown(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.stored)
    }

    /// One whose text is this one, and has no label.
    pub(super) fn of_text(text: &str) -> Self {
        let mut stored = String::new();
        quoted(text, &mut stored);
        Self { stored, label: None }
    }

    pub(super) fn text(&self) -> Option<String> {
        value(&self.stored).ok()?.as_str().map(str::to_owned)
    }
}

pub(super) fn too_many() -> Refusal {
    let message = format!(
        "More than {ROWS_MAX} groups are not put together here. Narrow the selection, or order by falling measures with a limit of \
         {ROWS_MAX} or less, without compareTo and computed measures."
    );
    Refusal::new(Code::DatasetInvalid, message)
}

/// A number as JavaScript prints it: whole ones without a point.
fn whole(number: &serde_json::Number) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

#[derive(Debug, PartialEq)]
struct SortCell {
    value: Option<Value>,
    falls: bool,
}

impl Eq for SortCell {}

impl PartialOrd for SortCell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SortCell {
    fn cmp(&self, other: &Self) -> Ordering {
        let (Some(own), Some(others)) = (&self.value, &other.value) else {
            return self.value.is_none().cmp(&other.value.is_none());
        };
        let rising = match (own.as_f64(), others.as_f64()) {
            (Some(own), Some(others)) => own.total_cmp(&others),
            (None, None) => text_of(own).cmp(&text_of(others)),
            (own, others) => others.is_some().cmp(&own.is_some()),
        };
        if self.falls { rising.reverse() } else { rising }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(rows: &[(&str, &str)]) -> Grid {
        let row = |(key, value): &(&str, &str)| GridRow {
            keys: vec![GridKey { stored: (*key).to_owned(), label: None }],
            values: vec![(*value).to_owned()],
        };
        Grid { keys: vec!["k".to_owned()], values: vec!["n".to_owned()], rows: rows.iter().map(row).collect() }
    }

    fn shown(grid: &Grid) -> String {
        let mut text = String::new();
        grid.print(&mut text);
        assert!(text.len() <= grid.text_bytes());
        text
    }

    #[test]
    fn compared_values_stand_beside_the_others_and_are_absent_where_there_are_none() {
        let mut own = grid(&[("\"a\"", "1"), ("\"b\"", "2")]);
        let other = grid(&[("\"b\"", "5"), ("\"c\"", "7"), ("\"d\"", "9")]);
        let known = |_: usize, key: &GridKey| Some(key.clone()).filter(|key| key.stored != "\"d\"");
        assert_eq!(own.attach(other, "__compare", known, &["0"]), 1);
        own.compute("r", ComputedOperator::Ratio, &["n".to_owned(), "n__compare".to_owned()]);
        assert_eq!(
            shown(&own),
            "{\"k\":\"a\",\"n\":1,\"n__compare\":0,\"r\":null},{\"k\":\"b\",\"n\":2,\"n__compare\":5,\"r\":0.4},\
             {\"k\":\"c\",\"n\":0,\"n__compare\":7,\"r\":0}"
        );
    }

    #[test]
    fn what_is_absent_is_last_either_way_and_numbers_are_no_texts() {
        for (falls, expected) in [(false, ["9", "10", "null"]), (true, ["10", "9", "null"])] {
            let mut own = grid(&[("\"a\"", "null"), ("\"b\"", "10"), ("\"c\"", "9")]);
            own.order(&[("n".to_owned(), falls)]);
            let found: Vec<&str> = own.rows.iter().map(|row| row.values[0].as_str()).collect();
            assert_eq!(found, expected);
        }
        let mut own = grid(&[("\"a\"", "1"), ("\"b\"", "2"), ("\"c\"", "3")]);
        own.page(1, 1);
        let mut stored = String::new();
        own.print_stored(&mut stored);
        assert_eq!((shown(&own).as_str(), stored.as_str()), ("{\"k\":\"b\",\"n\":2}", "{\"k\":\"b\"}"));
    }
}
