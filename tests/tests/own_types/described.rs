//! What psql's `\\d` must print of a table, from what its source says of it. Knows no source.

use querygate_tests::server::{Server, psql};
use std::fmt::Write as _;

/// A table as its source's catalog has it, under the names that it has here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Described {
    pub(crate) name: String,
    /// Name, type, and whether it is never NULL.
    pub(crate) columns: Vec<(String, String, bool)>,
    pub(crate) primary_key: Vec<String>,
    /// Name, columns, and what kind of index.
    pub(crate) indexes: Vec<(String, Vec<String>, IndexKind)>,
    pub(crate) foreign_keys: Vec<ForeignKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "no source has them all")]
pub(crate) enum IndexKind {
    Constraint,
    Unique,
    Plain,
}

#[derive(Debug, Clone)]
pub(crate) struct ForeignKey {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) table: String,
    pub(crate) referenced: Vec<String>,
    /// `NO ACTION`, which is not printed, or another.
    pub(crate) on_update: String,
    pub(crate) on_delete: String,
}

impl ForeignKey {
    fn definition(&self) -> String {
        let (own, other) = (self.columns.join(", "), self.referenced.join(", "));
        let mut text = format!("FOREIGN KEY ({own}) REFERENCES {}({other})", self.table);
        for (event, action) in [("UPDATE", &self.on_update), ("DELETE", &self.on_delete)] {
            if action != "NO ACTION" {
                write!(text, " ON {event} {action}").unwrap();
            }
        }
        text
    }
}

impl Described {
    /// The lines of `\\d`; `all` are the tables that may refer to it.
    pub(crate) fn lines(&self, all: &[Self]) -> Vec<String> {
        let mut lines =
            vec![format!(" Table \"public.{}\"", self.name), " Column | Type | Collation | Nullable ".to_owned()];
        for (name, of, never_null) in &self.columns {
            lines.push(format!(" {name} | {of} | | {}", if *never_null { "not null " } else { "" }));
        }
        let mut indexes: Vec<(&str, String)> = Vec::new();
        for (name, columns, kind) in &self.indexes {
            let words = match kind {
                IndexKind::Constraint => "UNIQUE CONSTRAINT, ",
                IndexKind::Unique => "UNIQUE, ",
                IndexKind::Plain => "",
            };
            indexes.push((name, format!(" \"{name}\" {words}btree ({})", columns.join(", "))));
        }
        indexes.sort();
        let primary = format!(" \"{}_pkey\" PRIMARY KEY, btree ({})", self.name, self.primary_key.join(", "));
        let primary = Some(primary).filter(|_| !self.primary_key.is_empty());
        section(&mut lines, "Indexes:", primary.into_iter().chain(indexes.into_iter().map(|(_, line)| line)));
        let mut own: Vec<&ForeignKey> = self.foreign_keys.iter().collect();
        own.sort_by_key(|key| &key.name);
        let own = own.into_iter().map(|key| format!(" \"{}\" {}", key.name, key.definition()));
        section(&mut lines, "Foreign-key constraints:", own);
        let theirs = all.iter().flat_map(|table| table.foreign_keys.iter().map(move |key| (key, &table.name)));
        let mut theirs: Vec<(&ForeignKey, &String)> = theirs.filter(|(key, _)| key.table == self.name).collect();
        theirs.sort_by_key(|(key, _)| &key.name);
        let theirs = theirs
            .into_iter()
            .map(|(key, table)| format!(" TABLE \"{table}\" CONSTRAINT \"{}\" {}", key.name, key.definition()));
        section(&mut lines, "Referenced by:", theirs);
        lines
    }
}

fn section(lines: &mut Vec<String>, title: &str, of: impl Iterator<Item = String>) {
    let of: Vec<String> = of.collect();
    if !of.is_empty() {
        lines.push(title.to_owned());
        lines.extend(of);
    }
}

/// What psql prints, without the widths of columns, their defaults, and lines between.
fn shown(server: &Server, table: &str) -> Vec<String> {
    let printed = psql(server, "ann", &["-c", &format!("\\d {table}")]);
    assert!(printed.success, "{table}: {}", printed.err);
    let line = |line: &str| {
        let words = line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let words = if line.starts_with(' ') { format!(" {words}") } else { words };
        match words.match_indices('|').nth(3) {
            Some((default, _)) => words[..default].to_owned(),
            None => words,
        }
    };
    printed.out.lines().map(line).filter(|line| !line.is_empty() && !line.contains("---")).collect()
}

/// A table, a line of what its source says, the gate's, and why they differ. An empty line is none.
pub(crate) type Different = (&'static str, &'static str, &'static str, &'static str);

/// Compares each table with what psql prints of it: equal, but for these lines.
pub(crate) fn compare(server: &Server, tables: &[Described], different: &[Different]) {
    let mut wrong = String::new();
    let mut seen = vec![false; different.len()];
    for table in tables {
        let (own, gate) = (table.lines(tables), shown(server, &table.name));
        assert!(own.len() > 2, "{own:?}");
        let mut expected = own.clone();
        for (place, (_, line, here, _)) in different.iter().enumerate().filter(|(_, (of, ..))| *of == table.name) {
            let at = expected.iter().position(|known| known == line);
            seen[place] = match (at, here.is_empty()) {
                (Some(at), true) => expected.remove(at) == *line,
                (Some(at), false) => std::mem::replace(&mut expected[at], (*here).to_owned()) == *line,
                (None, _) => false,
            };
        }
        if expected != gate {
            writeln!(wrong, "{}:\n  source {own:#?}\n  gate   {gate:#?}", table.name).unwrap();
        }
    }
    for ((table, line, _, reason), seen) in different.iter().zip(seen) {
        if !seen {
            writeln!(wrong, "{table}: the source does not say {line:?} any more ({reason})").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
