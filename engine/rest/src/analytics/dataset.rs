//! A dataset's answer: the groups of a selection, what they are compared with, measures that are computed of others, totals.

use super::ask::{Comparison, Selection};
use super::grid::{Grid, GridKey};
use super::model::{ComputedMeasure, Dimension, Model, unknown};
use super::spans::{ComparisonKind, Window, compared_window, counterpart, days_of};
use super::{ROWS_MAX, sql_member};
use crate::code::Code;
use crate::refusal::Refusal;
use crate::work::{Held, Work};
use chrono::NaiveDate;
use querygate_query_api::requests::question::Bucket;
use serde_json::{Map, Value, json};

/// What the name of a compared measure ends with.
const COMPARED: &str = "__compare";

/// Groups, what their columns are, and the groups of each total.
pub(super) struct DatasetAnswer {
    grid: Grid,
    fields: Vec<Value>,
    totals: Vec<(Vec<String>, Grid)>,
    /// Of the rows, and of their text.
    held: Held,
}

/// The days of one key, as JSON and as its text.
const RANGE_BYTES: usize = 2 << 10;
/// Computed measures of one selection.
const COMPUTED_MAX: usize = 16;

/// What a selection's window is compared with.
struct ComparedWindow {
    /// The dimension, by its own name.
    dimension: String,
    window: Window,
    /// What follows the last day where the window ends within it.
    time_of_day: String,
    kind: ComparisonKind,
}

/// # Errors
/// As of each question; `DATASET_INVALID` of a comparison without a window and of more groups than can be put together.
pub(super) async fn answer(work: &Work, model: &Model, selection: &Selection) -> Result<DatasetAnswer, Refusal> {
    let mut held = work.held();
    check_order(model, selection)?;
    let (grid, fields) = assemble(work, model, selection, &mut held).await?;
    let mut totals = Vec::new();
    for grouping in &selection.totals {
        let absent = grouping.iter().find(|name| !selection.dimensions.contains(name));
        if let Some(name) = absent {
            return Err(unknown("selected dimension", name));
        }
        let total = Selection {
            dimensions: grouping.clone(),
            order: Vec::new(),
            limit: ROWS_MAX,
            given_limit: None,
            offset: None,
            totals: Vec::new(),
            ..selection.clone()
        };
        let (grid, _) = assemble(work, model, &total, &mut held).await?;
        totals.push((grouping.clone(), grid));
    }
    Ok(DatasetAnswer { grid, fields, totals, held })
}

/// # Errors
/// Rows are ordered by what is not selected.
fn check_order(model: &Model, selection: &Selection) -> Result<(), Refusal> {
    let names =
        || selection.dimensions.iter().chain(&selection.measures).chain(selection.times.iter().map(|time| &time.name));
    let is_known = |name: &str| {
        let compared = selection.comparison.as_ref().and_then(|_| name.strip_suffix(COMPARED));
        names().any(|own| model.own(own) == name || compared == Some(model.own(own)))
    };
    match selection.order.iter().find(|(name, _)| !is_known(model.own(name))) {
        Some((name, _)) => Err(unknown("selected name", name)),
        None => Ok(()),
    }
}

async fn assemble(
    work: &Work,
    model: &Model,
    selection: &Selection,
    held: &mut Held,
) -> Result<(Grid, Vec<Value>), Refusal> {
    let named = |name: &String| model.combined.iter().find(|measure| measure.name == model.own(name));
    let combined: Vec<&ComputedMeasure> = selection.measures.iter().filter_map(named).collect();
    if combined.len() > COMPUTED_MAX {
        let message = format!("More than {COMPUTED_MAX} computed measures: select fewer at once.");
        return Err(Refusal::new(Code::DatasetInvalid, message));
    }
    let mut measures: Vec<String> = Vec::new();
    let given = selection.measures.iter().filter(|name| named(name).is_none());
    for name in given.chain(combined.iter().flat_map(|measure| &measure.of)) {
        if !measures.contains(name) {
            measures.push(name.clone());
        }
    }
    // The source orders and cuts where it gives the whole answer and orders as this does.
    let falls = selection.order.iter().all(|(name, falls)| *falls && selection.measures.contains(name));
    let is_pushed = selection.comparison.is_none() && combined.is_empty() && falls && !selection.order.is_empty();
    let mut base = Selection { measures, ..selection.clone() };
    if !is_pushed {
        (base.order, base.limit, base.offset) = (Vec::new(), ROWS_MAX + 1, None);
    }
    let asked = model.asked(&base)?;
    let mut grid = Grid::read(work, model, &asked, held).await?;
    let mut fields = asked.fields;
    if let Some(comparison) = &selection.comparison {
        compare(work, model, &base, comparison, (&mut grid, &mut fields), held).await?;
    }
    for measure in combined {
        held.grow(grid.computed_bytes())?;
        grid.compute(&measure.name, measure.operator, &measure.of);
        // Others have their turn, and who no longer waits is heard.
        tokio::task::yield_now().await;
        fields.push(json!({"name": measure.name, "type": "number", "label": measure.label}));
    }
    if !is_pushed {
        arrange(model, selection, &mut grid)?;
    }
    Ok((grid, fields))
}

/// Adds the measures of the compared window.
async fn compare(
    work: &Work,
    model: &Model,
    base: &Selection,
    comparison: &Comparison,
    (grid, fields): (&mut Grid, &mut Vec<Value>),
    held: &mut Held,
) -> Result<(), Refusal> {
    let compared = ComparedWindow::of(model, base, comparison)?;
    let mut shifted = base.clone();
    let (first, last) = compared_window(compared.window, compared.kind).ok_or_else(|| no_window(model, base))?;
    for time in shifted.times.iter_mut().filter(|time| model.own(&time.name) == compared.dimension) {
        time.range = Some((first.to_string().into(), format!("{last}{}", compared.time_of_day).into()));
    }
    let other = Grid::read(work, model, &model.asked(&shifted)?, held).await?;
    let keys = model.keys(base)?;
    let aligned: Vec<Option<Bucket>> =
        keys.iter().map(|key| key.bucket.filter(|_| key.name == compared.dimension)).collect();
    let key = |at: usize, key: &GridKey| {
        let aligned = aligned.get(at).copied().flatten().zip(key.text());
        aligned.map_or_else(
            || key.clone(),
            |(bucket, text)| GridKey::of_text(&counterpart(bucket, &text, compared.window, compared.kind)),
        )
    };
    let measures = base.measures.iter().map(|name| model.measure(name)).collect::<Result<Vec<_>, _>>()?;
    let absent: Vec<&'static str> = measures.iter().map(super::model::Measure::of_none).collect();
    held.grow(grid.bytes().saturating_add(other.bytes()))?;
    grid.attach(other, COMPARED, key, &absent);
    fields.extend(base.measures.iter().map(|name| {
        let name = format!("{}{COMPARED}", model.own(name));
        json!({"name": name, "type": "number", "label": name})
    }));
    Ok(())
}

/// Orders and cuts rows that were put together. Those of a page without an order are ordered by their keys.
fn arrange(model: &Model, selection: &Selection, grid: &mut Grid) -> Result<(), Refusal> {
    let own = |name: &String, falls: bool| (model.own(name).to_owned(), falls);
    let mut order: Vec<(String, bool)> = selection.order.iter().map(|(name, falls)| own(name, *falls)).collect();
    let is_page = selection.given_limit.is_some() || selection.offset.is_some();
    if order.is_empty() && (is_page || selection.comparison.is_some()) {
        order = model.keys(selection)?.into_iter().map(|key| (key.name, false)).collect();
    }
    match model.keys(selection)?.iter().find(|key| key.bucket.is_some()) {
        _ if !order.is_empty() => grid.order(&order),
        Some(span) => grid.absent_last(&span.name),
        None => {}
    }
    grid.page(selection.offset.unwrap_or(0), selection.limit);
    Ok(())
}

impl ComparedWindow {
    /// # Errors
    /// The dimension has no range, or there are several that have one and none is named.
    fn of(model: &Model, selection: &Selection, comparison: &Comparison) -> Result<Self, Refusal> {
        let dated = || selection.times.iter().filter(|time| time.range.is_some());
        let wanted = comparison.dimension.as_deref().map(|name| model.own(name));
        let mut fitting = dated().filter(|time| wanted.is_none_or(|name| model.own(&time.name) == name));
        let (Some(time), None) = (fitting.next(), fitting.next()) else { return Err(no_window(model, selection)) };
        let read = |(first, last): &(Value, Value)| {
            let (day, time_of_day) = last.as_str()?.split_at_checked(10)?;
            let window = (first.as_str()?.parse::<NaiveDate>().ok()?, day.parse::<NaiveDate>().ok()?);
            (window.0 <= window.1).then(|| (window, time_of_day.to_owned()))
        };
        let (window, time_of_day) = time.range.as_ref().and_then(read).ok_or_else(|| no_window(model, selection))?;
        Ok(Self { dimension: model.own(&time.name).to_owned(), window, time_of_day, kind: comparison.kind })
    }
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

impl DatasetAnswer {
    /// The body of the answer, with its memory.
    ///
    /// # Errors
    /// 53200: there is no room for it. A name is none; it was checked before.
    pub(super) fn printed(mut self, model: &Model, selection: &Selection) -> Result<(String, Held), Refusal> {
        let grids = || std::iter::once(&self.grid).chain(self.totals.iter().map(|(_, grid)| grid));
        let keys = model.keys(selection)?;
        let spans = keys.iter().filter(|key| key.bucket.is_some()).count();
        // Keys stand in it twice: in rows, and as they are stored.
        let bytes = grids().map(Grid::text_bytes).fold(self.grid.text_bytes(), usize::saturating_add);
        self.held.grow(bytes.saturating_add(self.grid.len().saturating_mul(spans).saturating_mul(RANGE_BYTES)))?;
        let fields = Value::Array(self.fields.clone());
        let mut body = "{\"rows\":[".to_owned();
        self.grid.print(&mut body);
        body.push_str(&format!("],\"fields\":{fields}{}", sql_member(model, selection)));
        let ranges = self.ranges(&keys);
        if !ranges.is_empty() {
            body.push_str(&format!(",\"drillRanges\":{}", Value::Array(ranges)));
        }
        if !selection.dimensions.is_empty() {
            body.push_str(&format!(",\"object\":{}", Value::from(model.object.name.as_str())));
        }
        // What a row stands for can be asked for by the values of its dimensions.
        let plain = keys.iter().filter(|key| key.bucket.is_none());
        let plain: Map<String, Value> = plain.map(|key| (key.name.clone(), key.field.clone().into())).collect();
        if !plain.is_empty() {
            body.push_str(&format!(",\"dimensionFields\":{},\"drillRawRows\":[", Value::Object(plain)));
            self.grid.print_stored(&mut body);
            body.push(']');
        }
        if !self.totals.is_empty() {
            body.push_str(",\"totals\":[");
            for (at, (dimensions, grid)) in self.totals.iter().enumerate() {
                let comma = if at > 0 { "," } else { "" };
                body.push_str(&format!("{comma}{{\"dimensions\":{},\"rows\":[", json!(dimensions)));
                grid.print(&mut body);
                body.push_str("]}");
            }
            body.push(']');
        }
        body.push('}');
        Ok((body, self.held))
    }

    /// For each row, the days that its keys of spans stand for; empty where there is no such key.
    fn ranges(&self, keys: &[Dimension]) -> Vec<Value> {
        let mut ranges = vec![Map::new(); self.grid.len()];
        let mut spanned = false;
        for (key, bucket) in keys.iter().filter_map(|key| Some((key, key.bucket?))) {
            spanned = true;
            for (range, text) in ranges.iter_mut().zip(self.grid.key(&key.name)) {
                if let Some((from, to)) = text.and_then(|text| days_of(bucket, &text)) {
                    let span = json!({"field": key.field, "gte": from.to_string(), "lt": to.to_string()});
                    range.insert(key.name.clone(), span);
                }
            }
        }
        if spanned { ranges.into_iter().map(Value::Object).collect() } else { Vec::new() }
    }
}
