//! What a change would do, in words: its table, columns, locks, checks and rules. Shows no value, and no name that its principal does
//! not see. Reads no row.

use super::forms::at_once::ReadyAtOnce;
use super::target::Targeted;
use querygate_driver_api::write::ChangeOp;
use querygate_policy::filter::RowFilter;
use querygate_policy::write::WriteOperation;
use querygate_types::Result;

/// A change as EXPLAIN shows it, without the query that finds its rows.
#[derive(Debug)]
pub(crate) struct ChangePlan {
    /// As PostgreSQL's plans say it.
    pub(crate) operation: &'static str,
    pub(crate) table: String,
    pub(crate) source: String,
    pub(crate) details: Vec<(&'static str, String)>,
}

impl ChangePlan {
    /// `full`: with native texts, which show how policies are made, and with the names of rules.
    ///
    /// # Errors
    /// 0A000: the source cannot be asked for it.
    pub(crate) fn of(targeted: &Targeted, full: bool) -> Result<Self> {
        let operation = match targeted.operation() {
            WriteOperation::Insert => "Insert",
            WriteOperation::Update => "Update",
            WriteOperation::Delete => "Delete",
        };
        let object = targeted.intent().object();
        let mut details = Vec::new();
        if !targeted.assigned().is_empty() {
            details.push(("Assigned", targeted.assigned().join(", ")));
        }
        let finds = targeted.operation() != WriteOperation::Insert;
        if finds {
            let visible = |name: &&String| object.table.columns().iter().any(|column| column.field.name() == *name);
            let fields = targeted.table().key().iter().filter_map(|place| targeted.table().fields().get(*place));
            let key: Vec<&String> = fields.map(|field| &field.name).filter(visible).collect();
            let key: Vec<&str> = key.into_iter().map(String::as_str).collect();
            details.push(("Locked by", if key.is_empty() { "its key".to_owned() } else { key.join(", ") }));
            details.push(("Target", policies(targeted.permit().target(), "every row that is found")));
        }
        if targeted.operation() != WriteOperation::Delete {
            details.push(("Check", policies(targeted.permit().check(), "none")));
            details.push(("Rules", rules(targeted, full)));
        }
        if full {
            details.extend(native(targeted, finds)?);
        }
        let (table, source) = (object.sql_name.clone(), targeted.table().source().to_string());
        Ok(Self { operation, table, source, details })
    }

    /// That the row is named by its key, and how it is changed in the statement that locks it.
    pub(crate) fn names_row(&mut self, at_once: Option<&ReadyAtOnce>, full: bool) {
        let Some(at_once) = at_once else {
            return self.details.push(("Find", "the row of the key, as it is locked".to_owned()));
        };
        if full {
            self.details.push(("Native change with lock", at_once.text().to_string()));
        }
        let found =
            "the row of the key, changed in the statement that locks it, unless the table has triggers of its own";
        self.details.push(("Find", found.to_owned()));
    }
}

fn policies(filter: &RowFilter, none: &str) -> String {
    match filter {
        RowFilter::All => none.to_owned(),
        RowFilter::Nothing | RowFilter::Not(_) | RowFilter::And(_) | RowFilter::Or(_) | RowFilter::Test(_) => {
            "row policies, before and after the change".to_owned()
        }
    }
}

/// Contracts of fields hold for every object. Validations have names, which say what is asked.
fn rules(targeted: &Targeted, full: bool) -> String {
    let names: Vec<&str> = targeted.rules().validation_names().collect();
    match (names.len(), full) {
        (0, _) => "contracts of fields".to_owned(),
        (_, true) => format!("contracts of fields; validations {}", names.join(", ")),
        (1, false) => "contracts of fields; 1 validation".to_owned(),
        (count, false) => format!("contracts of fields; {count} validations"),
    }
}

/// Statements of the source, with placeholders.
fn native(targeted: &Targeted, finds: bool) -> Result<Vec<(&'static str, String)>> {
    let table = targeted.table();
    let mut native = Vec::new();
    if finds {
        native.push(("Native lock", table.lock_text(targeted.permit().target())?.to_string()));
    }
    let op = match targeted.operation() {
        WriteOperation::Insert => ChangeOp::Insert,
        WriteOperation::Update => ChangeOp::Update,
        WriteOperation::Delete => ChangeOp::Delete,
    };
    let is_stored = |name: &String| {
        op != ChangeOp::Delete
            && (targeted.assigned().contains(name) || targeted.stamps().iter().any(|own| own.field == *name))
    };
    let places: Vec<usize> =
        table.fields().iter().enumerate().filter(|(_, field)| is_stored(&field.name)).map(|(at, _)| at).collect();
    if op == ChangeOp::Delete || !places.is_empty() {
        let change = table.change(targeted.permit(), op, &places)?;
        native.push(("Native change", change.statement.text.to_string()));
    }
    Ok(native)
}

#[cfg(test)]
mod tests;
