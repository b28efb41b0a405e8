//! What the columns of a file are called, and which of them a table's columns are. Knows no store.

use std::collections::HashSet;

/// Names of the columns under a header: without blanks around them; the number of the place where there is none; with a number behind
/// them where one stands there a second time.
pub(crate) fn names<'a>(header: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken = HashSet::new();
    let name = |(at, cell): (usize, &str)| {
        let name = match cell.trim() {
            "" => format!("column_{}", at + 1),
            name => name.to_owned(),
        };
        let numbered = (2_usize..).map(|number| format!("{name}_{number}"));
        let name = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(name);
        taken.insert(name.clone());
        name
    };
    header.enumerate().map(name).collect()
}

/// Names of columns that stand in no header.
pub(crate) fn numbered(columns: usize) -> Vec<String> {
    (1..=columns).map(|number| format!("column_{number}")).collect()
}

/// Where a table's column is among those of a file: under its name, else under the only one that differs in case alone.
pub(crate) fn position(columns: &[&str], name: &str) -> Option<usize> {
    if let Some(at) = columns.iter().position(|column| *column == name) {
        return Some(at);
    }
    let lower = name.to_lowercase();
    let mut alike = columns.iter().enumerate().filter(|(_, column)| column.to_lowercase() == lower);
    let (at, _) = alike.next()?;
    alike.next().is_none().then_some(at)
}

/// Why a file's columns are not those of its table: it lacks some, which stand for NULL alone, and has others
/// that are in no description. Then a column was renamed, and its values would be lost.
pub(crate) fn renamed(columns: &[&str], wanted: &[String], ignored: Option<&[String]>) -> Option<String> {
    let ignored = ignored?;
    let positions: Vec<_> = wanted.iter().map(|name| position(columns, name)).collect();
    let missing = wanted.iter().zip(&positions).find(|(_, at)| at.is_none())?.0;
    let unknown = columns
        .iter()
        .enumerate()
        .find(|(at, column)| !positions.contains(&Some(*at)) && !ignored.iter().any(|name| name == *column))?
        .1;
    Some(format!("there is no column \"{missing}\", and \"{unknown}\" is in no description"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_without_blanks_and_each_once() {
        let cases: [(&[&str], &[&str]); 4] = [
            (&["id", " name", "city "], &["id", "name", "city"]),
            (&["id", "", "id", "id_2", "id"], &["id", "column_2", "id_2", "id_2_2", "id_3"]),
            (&["Id", "id"], &["Id", "id"]),
            (&[], &[]),
        ];
        for (header, expected) in cases {
            assert_eq!(names(header.iter().copied()), expected);
        }
    }

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
            assert_eq!(position(columns, name), at, "{columns:?} {name}");
        }
    }

    #[test]
    fn a_column_that_is_called_otherwise_is_no_null() {
        let wanted = ["id".to_owned(), "name".to_owned()];
        let told = |columns: &[&str], ignored: &[&str]| {
            let ignored: Vec<String> = ignored.iter().map(|&name| name.to_owned()).collect();
            renamed(columns, &wanted, Some(&ignored))
        };
        assert_eq!(told(&["id", "name"], &[]), None);
        assert_eq!(told(&["ID", "NAME", "new"], &[]), None, "a column more");
        assert_eq!(told(&["id"], &[]), None, "a column less");
        let expected = "there is no column \"name\", and \"names\" is in no description";
        assert_eq!(told(&["id", "names"], &[]).as_deref(), Some(expected));
        assert_eq!(told(&["id", "names"], &["names"]), None);
        assert_eq!(renamed(&["id", "names"], &wanted, None), None);
    }
}
