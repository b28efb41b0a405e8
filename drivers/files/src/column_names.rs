//! Which of a file's columns a table's columns are. Knows no store.

use arrow::datatypes::Schema;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

/// The names of a file's columns.
pub(crate) struct ColumnNames<'a> {
    names: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
    /// By names in lower case; `None`: several have it.
    alike: OnceCell<HashMap<String, Option<usize>>>,
}

impl<'a> ColumnNames<'a> {
    pub(crate) fn new(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.collect();
        let mut places = HashMap::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            places.entry(*name).or_insert(at);
        }
        Self { names, places, alike: OnceCell::new() }
    }

    pub(crate) fn of(schema: &'a Schema) -> Self {
        Self::new(schema.fields().iter().map(|field| field.name().as_str()))
    }

    /// Where a table's column is: under its name, else under the only one that differs in case alone.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        if let Some(at) = self.places.get(name) {
            return Some(*at);
        }
        let alike = self.alike.get_or_init(|| {
            let mut alike = HashMap::with_capacity(self.names.len());
            for (at, name) in self.names.iter().enumerate() {
                alike.entry(name.to_lowercase()).and_modify(|place| *place = None).or_insert(Some(at));
            }
            alike
        });
        alike.get(&name.to_lowercase()).copied().flatten()
    }

    pub(crate) fn name(&self, at: usize) -> &'a str {
        self.names[at]
    }

    /// Why these columns are not those of a table: some are missing, which stand for NULL alone, and others are in no description. Then a
    /// column was renamed, and its values would be lost.
    pub(crate) fn renamed(&self, wanted: &[String], ignored: Option<&[String]>) -> Option<String> {
        let ignored = ignored?;
        let positions: Vec<_> = wanted.iter().map(|name| self.position(name)).collect();
        let missing = wanted.iter().zip(&positions).find(|(_, at)| at.is_none())?.0;
        let found: HashSet<usize> = positions.iter().copied().flatten().collect();
        let is_unknown =
            |(at, name): &(usize, &&str)| !found.contains(at) && !ignored.iter().any(|other| other == **name);
        let (_, unknown) = self.names.iter().enumerate().find(is_unknown)?;
        Some(format!("there is no column \"{missing}\", and \"{unknown}\" is in no description"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_then_by_the_same_letters() {
        for (columns, name, at) in [
            (&["ID", "id"][..], "id", Some(1)),
            (&["x", "ID"], "id", Some(1)),
            (&["ID", "Id"], "id", None),
            (&["GRÖSSE"], "größe", None),
            (&["GRÖẞE"], "größe", Some(0)),
            (&[], "id", None),
        ] {
            let names = ColumnNames::new(columns.iter().copied());
            assert_eq!(names.position(name), at, "{columns:?} {name}");
        }
    }

    #[test]
    fn a_column_that_is_called_otherwise_is_no_null() {
        let wanted = ["id".to_owned(), "name".to_owned()];
        let told = |columns: &[&str], ignored: &[&str]| {
            let ignored: Vec<String> = ignored.iter().map(|&name| name.to_owned()).collect();
            ColumnNames::new(columns.iter().copied()).renamed(&wanted, Some(&ignored))
        };
        assert_eq!(told(&["id", "name"], &[]), None);
        assert_eq!(told(&["ID", "NAME", "new"], &[]), None, "a column more");
        assert_eq!(told(&["id"], &[]), None, "a column less");
        let expected = "there is no column \"name\", and \"names\" is in no description";
        assert_eq!(told(&["id", "names"], &[]).as_deref(), Some(expected));
        assert_eq!(told(&["id", "names"], &["names"]), None);
        assert_eq!(ColumnNames::new(["id", "names"].into_iter()).renamed(&wanted, None), None);
    }
}
