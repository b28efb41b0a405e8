//! The tables as the principal sees them, and a report for people.

use super::World;
use crate::rule::Kind;
use serde_json::Value;

/// A column as the principal sees it.
#[derive(Debug, Clone)]
pub(crate) struct SeenColumn {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// A table as the principal sees it.
#[derive(Debug, Clone)]
pub(crate) struct SeenTable {
    pub(crate) name: String,
    pub(crate) columns: Vec<SeenColumn>,
}

impl World {
    /// Visible tables with visible columns; masked ones are texts.
    pub(crate) fn seen(&self) -> Vec<SeenTable> {
        let tables = self.objects.iter().filter(|o| o.readable).map(|object| {
            let mut columns = vec![SeenColumn { name: "id".to_owned(), kind: Kind::Text }];
            if object.owned {
                columns.push(SeenColumn { name: "owner_id".to_owned(), kind: Kind::Text });
            }
            for field in object.fields.iter().filter(|f| !f.hidden) {
                let masked = field.mask.is_some() && !field.lifted;
                let kind = if masked && field.kind != Kind::Tags { Kind::Text } else { field.kind };
                columns.push(SeenColumn { name: field.name.clone(), kind });
            }
            SeenTable { name: object.sql_name().to_owned(), columns }
        });
        tables.collect()
    }

    /// Names that a query may try though the principal must not find them.
    pub(crate) fn unseen(&self) -> Vec<(String, String)> {
        let columns = self.objects.iter().flat_map(|object| {
            let hidden = object.fields.iter().filter(|f| f.hidden || !object.readable);
            hidden.map(|f| (object.sql_name().to_owned(), f.name.clone()))
        });
        columns.collect()
    }

    /// For a failure's report.
    pub(crate) fn report(&self) -> String {
        use std::fmt::Write;
        let mut out = format!("{:#}\n{:?}\nwalled {}\n", self.stack(), self.who, self.walled);
        for (at, object) in self.objects.iter().enumerate() {
            writeln!(out, "{}: shared ids {:?}", object.name, object.shared_ids).unwrap();
            for (row, visible) in object.rows.iter().zip(self.visible(at)) {
                writeln!(out, "  {} {}", if visible { '+' } else { '-' }, Value::Object(row.clone())).unwrap();
            }
        }
        out
    }
}
