//! What the columns under a header are called. Knows no store.

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
}
