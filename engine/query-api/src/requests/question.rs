//! Questions about the records of one object, as ObjectStack's QueryAST has them, beside SQL. Knows no plan and no HTTP.
//!
//! A question is a value: names of metadata, and filters as JSON. [`Session::ask`](crate::service::Session::ask) makes a prepared statement of
//! it, with the values to run it with; [`Session::run`](crate::service::Session::run) gives its rows.

use serde_json::Value;
use std::sync::Arc;

/// References on one path of a name: as many as ObjectStack joins.
pub const PATH_STEPS_MAX: usize = 3;
/// Related objects of one question.
pub const RELATED_OBJECTS_MAX: usize = 16;

/// A question about one object's records.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Question {
    /// The object, by its name in metadata.
    pub object: String,
    /// Keys of the records that are wanted; `None`: any. None of them is taken for a token.
    pub keys: Option<Vec<String>>,
    /// Fields that are wanted, in this order; `None`: all that the reader may see. One that is hidden from the reader is left out
    /// without a word. Not read where there are aggregations or groups.
    pub fields: Option<Vec<String>>,
    /// ObjectStack's filter, in its object form.
    pub filter: Option<Value>,
    /// Whether keys of groups, aggregations and filters may be of records that the object's refer to: references with dots between them,
    /// and the field, as `account.industry`. What the reader does not see there is null. Not read of questions about records.
    pub paths: bool,
    /// Keys of the order, first the strongest. The record's key is added where `limit` or `offset` is given.
    pub order: Vec<OrderKey>,
    /// Most rows that are wanted; `None`: all.
    pub limit: Option<u64>,
    /// Rows that are passed over.
    pub offset: Option<u64>,
    /// Keys of groups.
    pub group_by: Vec<GroupKey>,
    /// What is computed of each group, or of all records.
    pub aggregations: Vec<Aggregation>,
    /// A filter over aliases of aggregations and keys of groups. Not read without either.
    pub having: Option<Value>,
    /// Words that are looked for.
    pub search: Option<String>,
    /// Fields in which they are looked for; `None`: those that the object names, or that suit.
    pub search_fields: Option<Vec<String>>,
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderKey {
    /// Field; for questions with aggregations also an alias or a key of groups.
    pub field: String,
    /// Whether the greatest comes first. Nulls come first in ascending order, and last in descending order.
    pub descending: bool,
}

/// One key of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupKey {
    /// Field.
    pub field: String,
    /// What of a date makes the key; `None`: the value.
    pub bucket: Option<Bucket>,
    /// Name in the answer; the field's where there is none.
    pub alias: Option<String>,
}

/// A span of dates. Its key is a text: `2026`, `2026-Q4`, `2026-11`, `2026-W47` (ISO), `2026-11-20`, in the session's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the values of dateGranularity")]
pub enum Bucket {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Bucket {
    /// Every span, the shortest first.
    pub const ALL: [Self; 5] = [Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// As `dateGranularity` spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// The span of a name; `None`: there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bucket| bucket.name() == name)
    }
}

/// What is computed of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the values of function")]
pub enum AggregateFunction {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    CountDistinct,
}

impl AggregateFunction {
    /// Every function.
    pub const ALL: [Self; 6] = [Self::Count, Self::Sum, Self::Avg, Self::Min, Self::Max, Self::CountDistinct];

    /// As `function` spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::CountDistinct => "count_distinct",
        }
    }

    /// The function of a name; `None`: there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }
}

/// One computed value of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregation {
    /// What is computed.
    pub function: AggregateFunction,
    /// Of which field; `None`, which only `Count` takes: of records.
    pub field: Option<String>,
    /// Name in the answer.
    pub alias: String,
    /// Records that count for this value alone.
    pub filter: Option<Value>,
}

/// Which of its answers a question is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerForm {
    /// The page of records or of groups.
    Records,
    /// One row with one number, `total`: how many records or groups there are before the page is cut.
    Total,
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerColumn {
    /// Key of the record: the name of a field, of a group's key or of an aggregation.
    pub name: String,
    /// How its values are written.
    pub form: JsonForm,
    /// The field whose values these are, as they are stored or as the reader may see them; `None` of what was computed.
    pub field: Option<Arc<FieldDescription>>,
}

/// How ObjectStack writes a value in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JsonForm {
    /// A string.
    Text,
    /// Bytes: a string of hexadecimal digits behind `\x`, as PostgreSQL prints and reads them.
    Bytes,
    /// A number. Exact ones have all their digits; NaN and infinities are strings.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `YYYY-MM-DD`.
    Date,
    /// `YYYY-MM-DDTHH:MM:SS.mmmZ`, in UTC, with microseconds where they are not zero.
    Instant,
    /// `HH:MM:SS`, with `.mmm` or microseconds where they are not zero.
    Time,
    /// An array of these texts or numbers.
    List,
    /// A text that is itself JSON.
    Json,
}

/// An object as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectDescription {
    /// Its name in metadata.
    pub name: String,
    /// Its name in SQL.
    pub sql_name: String,
    /// What people call it.
    pub label: String,
    /// What people call several.
    pub plural_label: Option<String>,
    /// In words.
    pub description: Option<String>,
    /// The field that finds one record; `None` where it is hidden from the reader, or where there are several.
    pub key: Option<String>,
    /// The fields that find one record only together; empty where one does, or where the reader does not see all of them.
    pub key_fields: Vec<String>,
    /// The field that names a record to people.
    pub name_field: Option<String>,
    /// Fields that the reader may see, in the order of columns.
    pub fields: Vec<Arc<FieldDescription>>,
    /// What clients may do with it by ObjectStack's interface (`enable.apiMethods`); `None`: everything.
    pub api_methods: Option<Vec<String>>,
    /// Whether the reader may take records away as a file.
    pub may_export: bool,
}

/// What a reader may do with an object's records beside reading them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeRights {
    /// Whether records may be added. Here and below: rights allow it, and nothing of the object or its source stands in the way; a
    /// single change may still be refused.
    pub create: bool,
    /// Whether records may be changed.
    pub update: bool,
    /// Whether records may be taken away.
    pub delete: bool,
    /// Fields that the reader sees and must not write.
    pub locked_fields: Vec<String>,
}

impl ObjectDescription {
    /// Whether the reader finds one record by a text: the key, or its parts with commas.
    #[must_use]
    pub fn has_path(&self) -> bool {
        self.key.is_some() || !self.key_fields.is_empty()
    }

    /// A field that the reader may see.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Arc<FieldDescription>> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A field as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDescription {
    /// Its name in metadata.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// ObjectStack's type, as `lookup`.
    pub type_name: &'static str,
    /// How its values are written, for this reader.
    pub form: JsonForm,
    /// Whether a value is a list.
    pub is_list: bool,
    /// Whether the reader sees masked values. Such a field is in no filter, order, group, aggregation or search of theirs.
    pub is_masked: bool,
    /// Whether it is computed of other fields when it is read.
    pub is_computed: bool,
    /// Whether a record must have a value.
    pub is_required: bool,
    /// Whether a caller's value is dropped.
    pub is_readonly: bool,
    /// Whether the platform fills it.
    pub is_system: bool,
    /// The object whose keys its values are, by its name in metadata, whether or not the reader may see that object.
    pub references: Option<String>,
    /// Values and labels of a field with options.
    pub options: Vec<(String, String)>,
}
