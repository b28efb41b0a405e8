//! What introspection finds in a source, in the metadata's types.

use querygate_driver_api::remote::TableKind;
use querygate_metadata::model::{EnumType, ItemType, TextType, ValueType};
use querygate_types::ReferentialAction;
use std::collections::BTreeMap;

/// A table as the source has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    /// What the source calls it.
    pub(super) remote: String,
    /// Its schema, if the metadata must say so; `remote` begins with it.
    pub(super) schema: Option<String>,
    /// Where its rows are from.
    pub(super) kind: TableKind,
    pub(super) columns: Vec<FoundColumn>,
    /// Columns of the primary key, in its order.
    pub(super) primary_key: Vec<String>,
    /// Those of them that may be NULL all the same.
    pub(super) loose_key: Vec<String>,
    /// What the source calls it.
    pub(super) primary_key_name: Option<String>,
    /// Columns that are never the same in two rows, besides.
    pub(super) unique: Vec<FoundKey>,
    pub(super) foreign_keys: Vec<FoundReference>,
    /// Names and columns of the indexes over all rows that are no key.
    pub(super) indexes: Vec<(String, Vec<String>)>,
    pub(super) comment: Option<String>,
    /// Why its rows cannot be read, in the source's words.
    pub(super) unreadable: Option<String>,
    /// How its files are written, as the metadata says it.
    pub(super) file: Option<serde_json::Value>,
    /// Whether a column that appears later, in place of a described one, is to be an error: files have no schema that would say so.
    pub(super) lists_ignored: bool,
    /// Columns that are served as texts since they hold values that do not fit their types, with what the source says.
    pub(super) as_text: Vec<(String, String)>,
    /// What was guessed: types from a part of it, an encoding.
    pub(super) guesses: Vec<String>,
}

/// What MongoDB's driver calls types that only extended JSON has a form for.
pub(super) const EXTENDED_JSON: &str = "extended json";

impl Found {
    /// Serves a column that could not be read as it was described otherwise: as text, and where it is one, no more. What was left out.
    pub(super) fn give_way(&mut self, column: &str, reason: &str) -> Option<String> {
        let is_text = |holds: Holds| matches!(holds.value_type, ValueType::Text | ValueType::Binary);
        let found = self.columns.iter_mut().find(|found| found.remote == *column)?;
        if found.holds.is_none_or(is_text) {
            return Some(self.leave_out(column, reason));
        }
        found.holds = Some(Holds::of(ValueType::Text));
        self.as_text.push((column.to_owned(), reason.to_owned()));
        None
    }

    /// Leaves out the columns that were to be texts, where the table cannot be read with them. What was left out; nothing where there are
    /// none.
    pub(super) fn without_texts(&mut self) -> Vec<String> {
        let tried = std::mem::take(&mut self.as_text);
        tried.iter().map(|(column, reason)| self.leave_out(column, reason)).collect()
    }

    /// Serves a column no more, nor what it is part of.
    fn leave_out(&mut self, column: &str, reason: &str) -> String {
        self.columns.iter_mut().filter(|found| found.remote == *column).for_each(|found| found.holds = None);
        // Its first reason is the source's.
        let first = self.as_text.iter().position(|(tried, _)| tried == column).map(|at| self.as_text.remove(at).1);
        let reason = first.as_deref().unwrap_or(reason);
        let names = |columns: &Vec<String>| columns.iter().any(|name| name == column);
        if names(&self.primary_key) {
            self.primary_key.clear();
        }
        self.unique.retain(|key| !names(&key.columns));
        self.foreign_keys.retain(|key| !names(&key.columns));
        self.indexes.retain(|(_, columns)| !names(columns));
        format!("left out: {}.{column} ({reason})", self.remote)
    }

    /// What the metadata says otherwise than the source does.
    pub(super) fn notes(&self) -> Vec<String> {
        let note = |column: &FoundColumn| {
            if self.as_text.iter().any(|(tried, _)| *tried == column.remote) {
                return None;
            }
            let (place, native) = (format!("{}.{}", self.remote, column.remote), column.native_type.as_str());
            match column.holds?.value_type {
                ValueType::Text if !is_text(native) && column.options.is_empty() => {
                    Some(format!("as text: {place} ({native})"))
                }
                ValueType::Json if native.contains(EXTENDED_JSON) => Some(format!(
                    "as extended JSON: {place} ({native}); a time stamp is {{\"$timestamp\": {{\"t\": seconds, \"i\": counter}}}}"
                )),
                ValueType::TextList
                    if !native.strip_suffix("[]").unwrap_or(native).is_empty()
                        && !is_text(native.trim_end_matches("[]")) =>
                {
                    Some(format!("as list of texts: {place} ({native})"))
                }
                ValueType::Decimal { scale, .. } | ValueType::List(ItemType::Decimal { scale, .. })
                    if matches!(native, "numeric" | "numeric[]") =>
                {
                    let served = column.holds?.value_type.sql_name();
                    Some(format!(
                        "with {scale} places: {place} ({native}) as {served}; a value that does not fit is an error"
                    ))
                }
                _ => None,
            }
        };
        // Its checks are the source's, and hold.
        let based = |column: &FoundColumn| {
            let (domain, place) = (column.domain.as_ref()?, format!("{}.{}", self.remote, column.remote));
            column.holds.map(|_| format!("as its base: {place} ({domain}) as {}", column.native_type))
        };
        let mut folded: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for column in self.columns.iter().filter(|column| column.holds.is_some()) {
            if let Some(equality) = &column.equality {
                folded.entry(equality).or_default().push(&column.remote);
            }
        }
        let folded = folded.into_iter().map(|(equality, columns)| {
            format!(
                "compared letter by letter here, and by {equality} in the source: {} ({})",
                self.remote,
                columns.join(", ")
            )
        });
        let loose = (!self.loose_key.is_empty()).then(|| {
            format!("never changed: {} ({} of its primary key may be NULL)", self.remote, self.loose_key.join(", "))
        });
        let unreadable = self.unreadable.as_ref().map(|cause| format!("cannot be read: {} ({cause})", self.remote));
        let of_columns = self.columns.iter().flat_map(|column| [based(column), note(column)]).flatten();
        let texts = self.as_text.iter().map(|(column, reason)| format!("as text: {}.{column} ({reason})", self.remote));
        let of_columns = of_columns.chain(texts);
        of_columns.chain(folded).chain(loose).chain(unreadable).chain(self.guesses.iter().cloned()).collect()
    }
}

/// Whether the source's word for a type is one for texts.
fn is_text(native: &str) -> bool {
    let name = native.split('(').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(
        name.as_str(),
        "" | "text"
            | "character varying"
            | "character"
            | "name"
            | "citext"
            | "varchar"
            | "char"
            | "nvarchar"
            | "tinytext"
            | "mediumtext"
            | "longtext"
            | "enum"
            | "set"
            | "string"
            | "objectid"
            | "clob"
    )
}

/// Columns that no two rows share.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FoundKey {
    pub(super) name: Option<String>,
    pub(super) columns: Vec<String>,
    /// An index alone, and no constraint.
    pub(super) is_index: bool,
}

/// A foreign key as the source has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FoundReference {
    pub(super) name: Option<String>,
    pub(super) columns: Vec<String>,
    /// The table it references, as [`Found::remote`] calls it.
    pub(super) table: String,
    /// Columns there; empty for the primary key.
    pub(super) referenced: Vec<String>,
    pub(super) on_delete: ReferentialAction,
    pub(super) on_update: ReferentialAction,
}

/// A column as the source has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FoundColumn {
    pub(super) remote: String,
    /// `None`: a type that no field type holds; the column is ignored, and said so.
    pub(super) holds: Option<Holds>,
    /// What the source calls its type; empty where it has no word for it.
    pub(super) native_type: String,
    /// The domain over that type.
    pub(super) domain: Option<String>,
    /// How texts are declared, where the source says more of them.
    pub(super) text_type: Option<TextType>,
    pub(super) enum_type: Option<EnumType>,
    pub(super) required: bool,
    pub(super) comment: Option<String>,
    /// What the source calls its own equality of texts, where it takes different ones for equal.
    pub(super) equality: Option<String>,
    /// The only values it can have; empty for any.
    pub(super) options: Vec<String>,
}

/// What a column holds: the type of its values, and the field type that says so without a further word or is nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holds {
    pub(super) kind: Kind,
    pub(super) value_type: ValueType,
}

/// The field types that introspection writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Boolean,
    Date,
    Datetime,
    Time,
    Tags,
    Json,
    Bytes,
}

impl Holds {
    /// As the field type of such values is.
    pub(super) const fn of(value_type: ValueType) -> Self {
        let kind = match value_type {
            ValueType::Text
            | ValueType::Uuid
            | ValueType::Coded(_)
            | ValueType::Network { .. }
            | ValueType::Interval
            | ValueType::TimeTz => Kind::Text,
            ValueType::TextList => Kind::Tags,
            ValueType::List(_) => Kind::Json,
            ValueType::Float64
            | ValueType::Float32
            | ValueType::Int16
            | ValueType::Int32
            | ValueType::Int64
            | ValueType::Decimal { .. }
            | ValueType::Numeric { .. } => Kind::Number,
            ValueType::Boolean => Kind::Boolean,
            ValueType::Date => Kind::Date,
            ValueType::TimestampMillisUtc | ValueType::Timestamp { .. } => Kind::Datetime,
            ValueType::Time => Kind::Time,
            ValueType::Binary => Kind::Bytes,
            ValueType::JsonText | ValueType::Json | ValueType::Float32Vector(_) => Kind::Json,
        };
        Self { kind, value_type }
    }

    /// Whether the metadata must name the column's type: its field type stands for another one.
    pub(super) const fn needs_column_type(self) -> bool {
        match self.value_type {
            ValueType::Text
            | ValueType::TextList
            | ValueType::Float64
            // With `precision` and `scale`.
            | ValueType::Decimal { .. }
            | ValueType::Boolean
            | ValueType::Date
            | ValueType::TimestampMillisUtc
            | ValueType::Time
            | ValueType::Json
            | ValueType::Float32Vector(_) => false,
            ValueType::Float32
            | ValueType::Int16
            | ValueType::Int32
            | ValueType::Int64
            | ValueType::Timestamp { .. }
            | ValueType::Binary
            | ValueType::Uuid
            | ValueType::Coded(_)
            | ValueType::Network { .. }
            | ValueType::List(_)
            | ValueType::Numeric { .. }
            | ValueType::Interval
            | ValueType::TimeTz
            | ValueType::JsonText => true,
        }
    }

    /// Whether a value stands for a record without being rounded.
    pub(super) const fn may_be_id(self) -> bool {
        let is_id = matches!(self.kind, Kind::Text) || matches!(self.kind, Kind::Number) && self.value_type.is_exact();
        is_id && !self.value_type.is_read_from_text()
    }
}
