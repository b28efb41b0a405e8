//! The window of a dataset's selection that another one is compared with, and the key of rows that it moves.

use super::ask::{Comparison, Selection};
use super::model::{Dimension, Model};
use super::spans::WindowPair;
use crate::code::Code;
use crate::refusal::Refusal;
use chrono::NaiveDate;
use querygate_query_api::requests::question::{Bucket, JsonForm};
use serde_json::{Value, json};

/// What a selection's window is compared with: one for its rows and its totals.
pub(super) struct ComparedWindow {
    /// The dimension, by its own name.
    pub(super) dimension: String,
    /// The key of rows that is of the window's field; `None` where there is none.
    pub(super) key: Option<String>,
    pub(super) windows: WindowPair,
    /// What follows the last day where the window ends within it.
    time_of_day: String,
}

impl ComparedWindow {
    /// # Errors
    /// The dimension has no range, or there are several that have one and none is named. Rows are not of one span of the window's field.
    pub(super) fn of(model: &Model, selection: &Selection, comparison: &Comparison) -> Result<Self, Refusal> {
        let dated = || selection.times.iter().filter(|time| time.range.is_some());
        let wanted = comparison.dimension.as_deref().map(|name| model.own(name));
        let mut fitting = dated().filter(|time| wanted.is_none_or(|name| model.own(&time.name) == name));
        let (Some(time), None) = (fitting.next(), fitting.next()) else { return Err(no_window(model, selection)) };
        let read = |(first, last): &(Value, Value)| {
            let (day, time_of_day) = last.as_str()?.split_at_checked(10)?;
            let window = (first.as_str()?.parse::<NaiveDate>().ok()?, day.parse::<NaiveDate>().ok()?);
            // A moment of another zone may be of another day.
            let is_day = time_of_day.is_empty() || time_of_day.ends_with('Z');
            (window.0 <= window.1 && is_day).then(|| (window, time_of_day.to_owned()))
        };
        let (window, time_of_day) = time.range.as_ref().and_then(read).ok_or_else(|| no_window(model, selection))?;
        let field = model.dimension(&time.name)?.field;
        let is_date = model.fields.field(&field).is_some_and(|field| field.form == JsonForm::Date);
        let keys: Vec<Dimension> = model.keys(selection)?.into_iter().filter(|key| key.field == field).collect();
        let (key, bucket) = match keys.as_slice() {
            [] => (None, None),
            [key] => match key.bucket.or(is_date.then_some(Bucket::Day)) {
                Some(bucket) => (Some(key.name.clone()), Some(bucket)),
                None => return Err(no_span(&key.name)),
            },
            several => return Err(several_spans(several)),
        };
        let windows = WindowPair::of(window, comparison.kind, bucket).ok_or_else(|| no_window(model, selection))?;
        Ok(Self { dimension: model.own(&time.name).to_owned(), key, windows, time_of_day })
    }

    /// The first and the last value of the compared window.
    pub(super) fn range(&self) -> (Value, Value) {
        let (first, last) = self.windows.compared;
        (first.to_string().into(), format!("{last}{}", self.time_of_day).into())
    }

    /// As an answer tells it.
    pub(super) fn shown(&self, unmatched: usize) -> Value {
        let (first, last) = self.range();
        json!({"dimension": self.dimension, "dateRange": [first, last], "unmatched": unmatched})
    }
}

fn no_span(name: &str) -> Refusal {
    let message = format!(
        "compareTo puts each span of time beside one of the window before, and '{name}' has no span: give it a granularity in \
         timeDimensions, or say dateGranularity."
    );
    Refusal::new(Code::DatasetInvalid, message)
}

fn several_spans(keys: &[Dimension]) -> Refusal {
    let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    let message = format!(
        "compareTo puts each span of time beside one of the window before, and several dimensions are of the window's field: {}. \
         Select one of them.",
        names.join(", ")
    );
    Refusal::new(Code::DatasetInvalid, message)
}

fn no_window(model: &Model, selection: &Selection) -> Refusal {
    let dated = selection.times.iter().filter(|time| time.range.is_some()).map(|time| model.own(&time.name));
    let dated: Vec<&str> = dated.collect();
    let has = if dated.is_empty() { "none has".to_owned() } else { format!("those with one are {}", dated.join(", ")) };
    let message = format!(
        "compareTo needs one entry of timeDimensions with a dateRange of two days: {has}. Name it as compareTo.dimension, or drop \
         compareTo: a comparison is only defined against a bounded window."
    );
    Refusal::new(Code::DatasetInvalid, message)
}
