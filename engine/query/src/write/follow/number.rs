//! Autonumbers of new rows: one more than the highest that is stored or was of a row that is gone, taken when nothing refuses the rows
//! any more, and given up with the transaction. So none is left out, and none is given twice.

use crate::write::lock::{KeyValues, having};
use crate::write::target::{Targeted, closed};
use crate::write::values::rows::Row;
use arrow::array::{ArrayRef, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use futures::TryStreamExt;
use querygate_catalog::write::{CounterTurn, PlainRead, WriteTarget};
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::{Locking, Transaction, Violation};
use querygate_metadata::model::Field;
use querygate_policy::RowFilter;
use querygate_policy::rules::AutonumberFormat;
use querygate_policy::write::WriteOperation;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many of the last texts are looked at before all are: some may be no numbers of the format.
const LAST: u64 = 32;
/// How often the highest number is locked, and found not to be the highest any more.
const ATTEMPTS: usize = 16;
/// How long a writer waits for those who came before it. Whom they wait for may wait for it in turn, which only the source finds out,
/// once it waits there.
const TURN_MAX: Duration = Duration::from_secs(1);
/// How many numbers that follow a known one are looked for each by each; beyond, ever further ones.
const FOLLOWING: u64 = 32;
/// The furthest of those, as a power of two.
const FURTHEST: u32 = 20;

/// Autonumbers of new rows.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// The texts of each field, by place.
    pub(crate) columns: Vec<(usize, ArrayRef)>,
    /// Whether one is the first of its counter: no row was there to be locked, so that another writer may take it too, and the index
    /// lets one of them through.
    pub(crate) is_first: bool,
    /// Counters whose end was remembered, and not looked for among all rows: place and prefix.
    remembered: Vec<(usize, String)>,
}

impl Numbers {
    /// Whether a number may be what a source refuses as taken, so that another try takes another one. Ends that were remembered are
    /// looked for by it.
    pub(crate) fn may_be_taken(&self, table: &WriteTarget) -> bool {
        for (place, prefix) in &self.remembered {
            table.counters().forget(*place, prefix);
        }
        self.is_first || !self.remembered.is_empty()
    }
}

/// An autonumber of a table: the field, and where its column is.
#[derive(Clone, Copy)]
struct Autonumber<'a> {
    field: &'a Field,
    format: &'a AutonumberFormat,
    place: usize,
    /// A new row of its counter.
    record: &'a Row,
    /// What its texts begin with.
    prefix: &'a str,
}

/// The texts of all autonumbers of new rows.
///
/// # Errors
/// 23502: a field that a number is made of has no value. 0A000: the source does not keep writers from taking the same one.
pub(crate) async fn draw(
    targeted: &Targeted,
    records: &[Row],
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Numbers> {
    let mut drawn = Numbers::default();
    if targeted.operation() != WriteOperation::Insert {
        return Ok(drawn);
    }
    for (field, format) in targeted.rules().autonumbers() {
        let place = targeted.table().place(&field.name);
        let Some(place) = place.filter(|_| field.stored()) else {
            return Err(closed("the source lacks the column of an autonumber"));
        };
        let mut counters: BTreeMap<String, u64> = BTreeMap::new();
        let mut texts = Vec::with_capacity(records.len());
        for record in records {
            let unset = || Error::new(ErrorCode::NotNullViolation, "a field that a number is made of has no value");
            let scope = format.scope(record, targeted.now_ms()).ok_or_else(unset)?;
            let prefix = format.prefix(record, targeted.now_ms()).ok_or_else(unset)?;
            let last = match counters.get(&scope) {
                Some(last) => *last,
                None => {
                    let number = Autonumber { field, format, place, record, prefix: &prefix };
                    let highest = highest(targeted, number, transaction, context).await?;
                    if highest.is_remembered {
                        drawn.remembered.push((place, prefix.clone()));
                    }
                    drawn.is_first |= highest.counter == 0;
                    highest.counter.max(targeted.table().floor(place, &prefix))
                }
            };
            let next = last.checked_add(1);
            let next = next.ok_or_else(|| Error::new(ErrorCode::NumericOutOfRange, "autonumber out of range"))?;
            counters.insert(scope, next);
            texts.push(format.text(record, targeted.now_ms(), next).ok_or_else(unset)?);
        }
        let own = targeted.table().fields().get(place).map(|field| field.value_type().to_arrow());
        let own = own.ok_or_else(|| Error::internal("a field that is not the table's"))?;
        let texts: ArrayRef = Arc::new(StringArray::from(texts));
        drawn.columns.push((place, cast(&texts, &own).map_err(Error::internal)?));
    }
    Ok(drawn)
}

/// The highest number of a counter.
#[derive(Debug, Clone, Default)]
struct Highest {
    /// 0: there is none.
    counter: u64,
    text: String,
    /// It was found from where the counter was last seen to end.
    is_remembered: bool,
}

/// The highest number with a prefix. No other transaction takes the next one before this one ends.
async fn highest(
    targeted: &Targeted,
    number: Autonumber<'_>,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Highest> {
    let Autonumber { field, format, place, .. } = number;
    if !format.is_readable() {
        return Err(closed("the end of an autonumber's counter cannot be found"));
    }
    let table = targeted.table();
    match table.writer()?.capabilities().locking {
        Locking::Source => {
            return last(targeted, number, transaction, context).await;
        }
        Locking::Rows | Locking::Conflicts => {}
    }
    if !is_kept_unique(targeted, field) {
        return Err(closed(
            "the source has no unique index over an autonumber, so that two writers might take the same",
        ));
    }
    // Who takes a number has locked the row of the one before. Without such a row the index lets one of two writers through.
    let _turn = turn(table, number, transaction.has_written(), context).await?;
    let mut locked = None;
    for _ in 0..ATTEMPTS {
        let last = last(targeted, number, transaction, context).await?;
        if last.counter == 0 || locked.as_ref() == Some(&last.text) {
            return Ok(last);
        }
        let value = vec![vec![Value::text(last.text.as_str())]];
        having(table, KeyValues { places: &[place], values: &value }, &RowFilter::All, transaction, context).await?;
        locked = Some(last.text);
    }
    Err(Violation::Serialization.error())
}

/// The turn to look for the end of a counter. `has_written`: the transaction's own rows may be what those before it wait for, so that it
/// waits for none of them.
async fn turn(
    table: &WriteTarget,
    number: Autonumber<'_>,
    has_written: bool,
    context: &ExecuteContext,
) -> Result<Option<CounterTurn>> {
    if has_written {
        return Ok(None);
    }
    tokio::select! {
        biased;
        error = context.over() => Err(error),
        turn = table.counters().turn(number.place, number.prefix) => Ok(turn),
        () = tokio::time::sleep(TURN_MAX) => Ok(None),
    }
}

/// Whether an index of the source keeps two rows from having one number.
fn is_kept_unique(targeted: &Targeted, field: &Field) -> bool {
    let table = targeted.table();
    let tenant = targeted.rules().object().tenant_field().map(|tenant| tenant.name.clone());
    let with_tenant: Vec<String> = tenant.into_iter().chain([field.name.clone()]).collect();
    table.keeps_unique(std::slice::from_ref(&field.name)) || table.keeps_unique(&with_tenant)
}

/// The highest number that is stored: found from where the counter was last seen to end, or among all.
async fn last(
    targeted: &Targeted,
    number: Autonumber<'_>,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Highest> {
    let Autonumber { field, format, place, prefix, .. } = number;
    let table = targeted.table();
    let of = |found: Option<(u64, String)>, is_remembered| {
        let (counter, text) = found.unwrap_or_default();
        Highest { counter, text, is_remembered }
    };
    if !format.is_ordered() {
        let read = table.texts(place, prefix, None)?;
        return Ok(of(scan(&read, format, prefix, transaction, context).await?.1, false));
    }
    // A row far beyond that end may be missed. An index refuses its number a second time; without one it would be given twice. Where
    // numbers beyond it are of rows that are gone, the next row lies there.
    if is_kept_unique(targeted, field)
        && let Some(known) = table.counters().end(place, prefix)
        && known >= table.floor(place, prefix)
        && let Some(found) = following(targeted, number, known, transaction, context).await?
    {
        if found.0 > known {
            table.counters().advance(place, prefix, found.0);
        }
        return Ok(of(Some(found), true));
    }
    let began = Instant::now();
    let found = last_of_all(targeted, number, transaction, context).await?;
    if let Some((counter, _)) = &found {
        table.counters().set(place, prefix, *counter, began.elapsed());
    }
    Ok(of(found, false))
}

async fn last_of_all(
    targeted: &Targeted,
    number: Autonumber<'_>,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Option<(u64, String)>> {
    let Autonumber { format, place, prefix, .. } = number;
    let table = targeted.table();
    if let Some(read) = asked(table.texts(place, prefix, Some(LAST)))? {
        let (seen, found) = scan(&read, format, prefix, transaction, context).await?;
        if found.is_some() || seen < LAST {
            return Ok(found);
        }
    }
    let read = table.texts(place, prefix, None)?;
    Ok(scan(&read, format, prefix, transaction, context).await?.1)
}

/// The end of the numbers that follow a known one, which an index finds whatever the number of rows. `None`: neither it
/// nor one of those is stored, or the source is not asked for values of this field.
async fn following(
    targeted: &Targeted,
    number: Autonumber<'_>,
    known: u64,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Option<(u64, String)>> {
    let Autonumber { format, place, record, prefix, .. } = number;
    let mut from = known;
    for _ in 0..ATTEMPTS {
        let further = (FOLLOWING.ilog2() + 1..=FURTHEST).map(|power| 1_u64 << power);
        let steps = (0..=FOLLOWING).chain(further);
        let texts = steps.filter_map(|step| format.text(record, targeted.now_ms(), from.checked_add(step)?));
        let texts: Vec<_> = texts.map(|text| vec![Value::text(text.as_str())]).collect();
        let Some(read) = asked(targeted.table().with(&[place], &texts, &[place]))? else { return Ok(None) };
        let Some((last, text)) = scan(&read, format, prefix, transaction, context).await?.1 else { return Ok(None) };
        if last == from {
            return Ok(Some((last, text)));
        }
        from = last;
    }
    Ok(None)
}

/// A read, if its source can be asked for it.
fn asked(read: Result<PlainRead>) -> Result<Option<PlainRead>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.code() == ErrorCode::FeatureNotSupported => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many texts there are, and the highest number among them.
async fn scan(
    read: &PlainRead,
    format: &AutonumberFormat,
    prefix: &str,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<(u64, Option<(u64, String)>)> {
    let mut rows = transaction.query(&read.statement, &read.values, context.clone()).await?;
    let (mut seen, mut highest) = (0, None);
    while let Some(batch) = rows.try_next().await? {
        let texts = batch.columns().first().ok_or_else(|| Error::internal("a read of texts has no column"))?;
        let texts = cast(texts, &DataType::Utf8).map_err(Error::internal)?;
        let texts = texts.as_any().downcast_ref::<StringArray>().ok_or_else(|| Error::internal("no texts"))?;
        for text in texts.iter().flatten() {
            seen += 1;
            if let Some(counter) = format.counter(text, prefix)
                && highest.as_ref().is_none_or(|(before, _)| *before < counter)
            {
                highest = Some((counter, text.to_owned()));
            }
        }
    }
    Ok((seen, highest))
}

#[cfg(test)]
mod tests;
