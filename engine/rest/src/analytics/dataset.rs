//! A dataset's answer: the groups of a selection, what they are compared with, measures that are computed of others, totals.

use super::ask::{Selection, TimeDimension};
use super::compared::ComparedWindow;
use super::grid::{Grid, GridKey, too_many};
use super::model::{ComputedMeasure, Dimension, Model, unknown};
use super::spans::days_of;
use super::{ROWS_MAX, sql_member};
use crate::code::Code;
use crate::refusal::Refusal;
use crate::work::{Held, Work};
use serde_json::{Map, Value, json};

/// What the name of a compared measure ends with.
const COMPARED: &str = "__compare";

/// Groups of one grouping.
struct AssembledGroups {
    grid: Grid,
    /// What its columns are.
    fields: Vec<Value>,
    /// Groups of the compared window whose span stands beside none of the window. They are not in the grid.
    unmatched: usize,
}

/// Groups, what their columns are, and the groups of each total.
pub(super) struct DatasetAnswer {
    grid: Grid,
    fields: Vec<Value>,
    /// What the window was compared with, as JSON.
    compared: Option<Value>,
    totals: Vec<(Vec<String>, Grid)>,
    /// Of the rows, and of their text.
    held: Held,
}

/// The days of one key, as JSON and as its text.
const RANGE_BYTES: usize = 2 << 10;
/// Computed measures of one selection.
const COMPUTED_MAX: usize = 16;

/// # Errors
/// As of each question; `DATASET_INVALID` of a comparison without a window and of more groups than can be put together.
pub(super) async fn answer(work: &Work, model: &Model, selection: &Selection) -> Result<DatasetAnswer, Refusal> {
    let mut held = work.held();
    check_order(model, selection)?;
    let comparison = selection.comparison.as_ref();
    let compared = comparison.map(|comparison| ComparedWindow::of(model, selection, comparison)).transpose()?;
    let AssembledGroups { grid, fields, unmatched } =
        assemble(work, model, selection, compared.as_ref(), &mut held).await?;
    let keys: Vec<String> = model.keys(selection)?.into_iter().map(|key| key.name).collect();
    let mut totals = Vec::new();
    for grouping in &selection.totals {
        let absent = grouping.iter().find(|name| !keys.iter().any(|key| key == model.own(name)));
        if let Some(name) = absent {
            return Err(unknown("selected dimension", name));
        }
        let asked = total(model, selection, grouping);
        let assembled = assemble(work, model, &asked, compared.as_ref(), &mut held).await?;
        totals.push((grouping.clone(), assembled.grid));
    }
    let compared = compared.map(|compared| compared.shown(unmatched));
    Ok(DatasetAnswer { grid, fields, compared, totals, held })
}

/// The selection of all records by the dimensions of one grouping. Spans of other dimensions do not part it; their ranges hold.
fn total(model: &Model, selection: &Selection, grouping: &[String]) -> Selection {
    let is_named = |time: &TimeDimension| grouping.iter().any(|name| model.own(name) == model.own(&time.name));
    let times = selection.times.iter();
    let times = times.map(|time| TimeDimension { bucket: time.bucket.filter(|_| is_named(time)), ..time.clone() });
    Selection {
        dimensions: grouping.to_vec(),
        times: times.collect(),
        order: Vec::new(),
        limit: ROWS_MAX,
        given_limit: None,
        offset: None,
        totals: Vec::new(),
        ..selection.clone()
    }
}

/// # Errors
/// Rows are ordered by what is not selected.
fn check_order(model: &Model, selection: &Selection) -> Result<(), Refusal> {
    let spans = || selection.times.iter().filter(|time| time.bucket.is_some()).map(|time| &time.name);
    let names = || selection.dimensions.iter().chain(&selection.measures).chain(spans());
    let is_known = |name: &str| {
        let compared = selection.comparison.as_ref().and_then(|_| name.strip_suffix(COMPARED));
        let mut measures = selection.measures.iter();
        names().any(|own| model.own(own) == name) || measures.any(|own| compared == Some(model.own(own)))
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
    compared: Option<&ComparedWindow>,
    held: &mut Held,
) -> Result<AssembledGroups, Refusal> {
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
        (base.order, base.offset) = (Vec::new(), None);
    }
    // One more than there may be, where nothing that was asked for bounds them: then there are too many.
    if !is_pushed || !selection.is_bounded() {
        base.limit = ROWS_MAX + 1;
    }
    let asked = model.asked(&base)?;
    let mut grid = Grid::read(work, model, &asked, held).await?;
    let mut fields = asked.fields;
    let unmatched = match compared {
        Some(compared) => compare(work, model, &base, compared, (&mut grid, &mut fields), held).await?,
        None => 0,
    };
    let ends: &[&str] = if compared.is_some() { &["", COMPARED] } else { &[""] };
    for measure in combined {
        for end in ends {
            held.grow(grid.computed_bytes())?;
            let name = format!("{}{end}", measure.name);
            let of: Vec<String> = measure.of.iter().map(|name| format!("{}{end}", model.own(name))).collect();
            grid.compute(&name, measure.operator, &of);
            // Others have their turn, and who no longer waits is heard.
            tokio::task::yield_now().await;
            let label = if end.is_empty() { &measure.label } else { &name };
            fields.push(json!({"name": name, "type": "number", "label": label}));
        }
    }
    if !is_pushed {
        arrange(model, selection, &mut grid)?;
    }
    Ok(AssembledGroups { grid, fields, unmatched })
}

/// Adds the measures of the compared window, and gives the number of its groups that stand beside no span of the window.
async fn compare(
    work: &Work,
    model: &Model,
    base: &Selection,
    compared: &ComparedWindow,
    (grid, fields): (&mut Grid, &mut Vec<Value>),
    held: &mut Held,
) -> Result<usize, Refusal> {
    let mut shifted = base.clone();
    for time in shifted.times.iter_mut().filter(|time| model.own(&time.name) == compared.dimension) {
        time.range = Some(compared.range());
    }
    let other = Grid::read(work, model, &model.asked(&shifted)?, held).await?;
    let aligned = model.keys(base)?.iter().position(|key| Some(&key.name) == compared.key.as_ref());
    let key = |at: usize, key: &GridKey| match aligned.filter(|aligned| *aligned == at).and_then(|_| key.text()) {
        Some(text) => compared.windows.counterpart(&text).map(|text| GridKey::of_text(&text)),
        None => Some(key.clone()),
    };
    let measures = base.measures.iter().map(|name| model.measure(name)).collect::<Result<Vec<_>, _>>()?;
    let absent: Vec<&'static str> = measures.iter().map(super::model::Measure::of_none).collect();
    held.grow(grid.bytes().saturating_add(other.bytes()))?;
    let unmatched = grid.attach(other, COMPARED, key, &absent);
    if grid.len() as u64 > ROWS_MAX {
        return Err(too_many());
    }
    let field = |name: &String| {
        let own = model.own(name);
        let kind = fields.iter().find(|field| field["name"] == own).map(|field| field["type"].clone());
        let name = format!("{own}{COMPARED}");
        json!({"name": name, "type": kind, "label": name})
    };
    let added: Vec<Value> = base.measures.iter().map(field).collect();
    fields.extend(added);
    Ok(unmatched)
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
        if let Some(compared) = &self.compared {
            body.push_str(&format!(",\"compared\":{compared}"));
        }
        let ranges = self.ranges(&keys);
        if !ranges.is_empty() {
            body.push_str(&format!(",\"drillRanges\":{}", Value::Array(ranges)));
        }
        if !selection.dimensions.is_empty() {
            body.push_str(&format!(",\"object\":{}", Value::from(model.fields.object.name.as_str())));
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
