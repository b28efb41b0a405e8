//! A column of a source behind the gate, against what is known of it: every read and every comparison. Knows no source.

use crate::answers::Answers;
use crate::decoded::decoded;
use crate::differences::Differences;
use crate::doors::{Doors, Texts, texts};
use crate::wire::{Answer, Cell};

/// The table that has all columns, and a key `nr` from 0.
pub(crate) const TABLE: &str = "kinds";

/// A column as it must be.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) name: String,
    /// As `pg_type` calls its type.
    pub(crate) type_name: String,
    /// Each value as PostgreSQL prints it.
    pub(crate) cells: Vec<Option<String>>,
    pub(crate) answers: Answers,
}

/// The gate, and what was found to differ.
pub(crate) struct Check {
    pub(crate) gate: Doors,
    pub(crate) found: Differences,
}

impl Check {
    pub(crate) fn new(gate: Doors) -> Self {
        Self { gate, found: Differences::default() }
    }

    pub(crate) fn column(&mut self, column: &Expected) {
        let bytes = self.reads(column);
        self.finds(column, &bytes);
        self.orders(column);
        self.groups(column);
    }

    /// Gives each value's bytes, and the number of their type.
    fn reads(&mut self, column: &Expected) -> (u32, Vec<Cell>) {
        let name = column.name.as_str();
        let sql = format!("SELECT {name} FROM {TABLE} ORDER BY nr");
        let expected: Texts = Ok(column.cells.iter().map(|cell| vec![cell.clone()]).collect());
        let text = self.gate.text(&sql);
        self.found.compare((name, "text"), &sql, &expected, &texts(&text));
        let flight = self.gate.flight(&sql);
        self.found.compare((name, "flight"), &sql, &expected, &flight);
        let rows = match self.gate.binary(&sql, &[]) {
            Ok(rows) => rows,
            Err(refused) => {
                self.found.note(name, "binary", Some(format!("{sql}: {refused:?}")));
                return (0, vec![None; column.cells.len()]);
            }
        };
        let oid = rows.columns[0].oid;
        let named = self.gate.text(&format!("SELECT typname FROM pg_catalog.pg_type WHERE oid = {oid}"));
        let type_name = named.unwrap().texts()[0][0].clone().unwrap();
        self.found.compare((name, "type"), &sql, &column.type_name, &type_name);
        let cells = rows.column(0);
        let shown = cells.iter().map(|cell| vec![cell.as_ref().map(|bytes| decoded(&type_name, bytes))]);
        self.found.compare((name, "binary"), &sql, &expected, &Ok(shown.collect()));
        (oid, cells)
    }

    /// The rows of each value, by a literal and by a parameter.
    fn finds(&mut self, column: &Expected, (oid, bytes): &(u32, Vec<Cell>)) {
        let name = column.name.as_str();
        for (row, (text, bytes)) in column.cells.iter().zip(bytes).enumerate() {
            let (Some(text), Some(bytes)) = (text, bytes) else { continue };
            let first = column.cells[..row].iter().all(|other| other.as_ref() != Some(text));
            if !first {
                continue;
            }
            let expected = numbers(column.answers.equal(row));
            let literal = format!("'{}'", text.replace('\'', "''"));
            let sql = format!("SELECT nr FROM {TABLE} WHERE {name} = {literal} ORDER BY nr");
            let found = self.gate.text(&sql);
            self.found.compare((name, "literal"), &sql, &expected, &texts(&found));
            let sql = format!("SELECT nr::text AS found FROM {TABLE} WHERE {name} = $1 ORDER BY nr");
            let found = self.gate.binary(&sql, &[(*oid, bytes.clone())]);
            self.found.compare((name, "parameter"), &format!("{sql} [{text}]"), &expected, &texts(&found));
        }
    }

    fn orders(&mut self, column: &Expected) {
        let (name, answers) = (column.name.as_str(), &column.answers);
        for (check, sql, expected) in [
            (
                "order",
                format!("SELECT nr FROM {TABLE} WHERE {name} IS NOT NULL ORDER BY {name}, nr"),
                numbers(answers.order.iter().copied()),
            ),
            (
                "order down",
                format!("SELECT nr FROM {TABLE} WHERE {name} IS NOT NULL ORDER BY {name} DESC, nr LIMIT 20"),
                numbers(answers.order_down.iter().copied().take(20)),
            ),
            (
                "join",
                format!("SELECT a.nr, b.nr FROM {TABLE} a JOIN {TABLE} b ON a.{name} = b.{name} ORDER BY 1, 2"),
                Ok(answers.pairs.iter().map(|(one, other)| vec![number(*one), number(*other)]).collect()),
            ),
        ] {
            let found = self.gate.text(&sql);
            self.found.compare((name, check), &sql, &expected, &texts(&found));
        }
    }

    fn groups(&mut self, column: &Expected) {
        let (name, answers) = (column.name.as_str(), &column.answers);
        let sql = format!("SELECT count(*), min(nr), {name} FROM {TABLE} GROUP BY {name} ORDER BY 2");
        let found = texts(&self.gate.text(&sql));
        let shown = found.as_ref().map(|rows| rows.iter().map(|row| row[..2].to_vec()).collect()).map_err(Clone::clone);
        let expected: Vec<_> =
            answers.groups.iter().map(|(count, first)| vec![number(*count), number(*first)]).collect();
        self.found.compare((name, "groups"), &sql, &Ok(expected), &shown);
        for row in found.into_iter().flatten() {
            let Some(first) = row[1].as_ref().and_then(|text| text.parse::<usize>().ok()) else { continue };
            self.one_of(column, "values of groups", &sql, first, row[2].as_ref());
        }

        let sql = format!("SELECT DISTINCT {name} FROM {TABLE} WHERE {name} IS NOT NULL ORDER BY {name}");
        let found =
            texts(&self.gate.text(&sql)).map(|rows| rows.into_iter().map(|mut row| row.remove(0)).collect::<Vec<_>>());
        let firsts = answers.order.iter().filter(|row| answers.equal(**row).first() == Some(row));
        let firsts: Vec<usize> = firsts.copied().collect();
        self.found.compare(
            (name, "distinct"),
            &sql,
            &Ok(firsts.len()),
            &found.as_ref().map(Vec::len).map_err(Clone::clone),
        );
        for (first, value) in firsts.iter().zip(found.into_iter().flatten()) {
            self.one_of(column, "distinct", &sql, *first, value.as_ref());
        }

        let sql = format!("SELECT count(DISTINCT {name}), count({name}) FROM {TABLE}");
        let found = self.gate.text(&sql);
        let expected = Ok(vec![vec![number(firsts.len()), number(answers.order.len())]]);
        self.found.compare((name, "count distinct"), &sql, &expected, &texts(&found));
        for (check, function, rows) in [("least", "min", &answers.least), ("greatest", "max", &answers.greatest)] {
            let sql = format!("SELECT {function}({name}) FROM {TABLE}");
            match (texts(&self.gate.text(&sql)), rows.first()) {
                (Ok(found), Some(first)) => self.one_of(column, check, &sql, *first, found[0][0].as_ref()),
                // Of no value there is neither.
                (found, _) => self.found.compare((name, check), &sql, &Ok(vec![vec![None]]), &found),
            }
        }
    }

    /// Whether a value is the one of a row, or one that is equal to it.
    fn one_of(&mut self, column: &Expected, check: &str, sql: &str, row: usize, value: Option<&String>) {
        let equal = column.answers.equal(row);
        let well = if equal.is_empty() {
            value.is_none()
        } else {
            equal.iter().any(|row| column.cells[*row].as_ref() == value)
        };
        let words = || format!("{sql}\n      source {:?}\n      gate   {value:?}", column.cells[row]);
        self.found.note(&column.name, check, (!well).then(words));
    }

    /// What a statement gives, or its code.
    pub(crate) fn ask(&mut self, sql: &str) -> Answer {
        self.gate.text(sql)
    }
}

fn number(number: usize) -> Option<String> {
    Some(number.to_string())
}

fn numbers(rows: impl IntoIterator<Item = usize>) -> Texts {
    Ok(rows.into_iter().map(|row| vec![number(row)]).collect())
}
