//! A bounded sample of a table's rows: how many values its columns have, alone and together. Values are hashed as they come
//! and never kept.

use crate::dialect::quote;
use crate::error::from_sqlx;
use querygate_driver_api::advice::distinct_of_sample;
use querygate_driver_api::identifier::Identifier;
use querygate_types::{Error, Result};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

/// Rows of a sample. A table with no more is read whole.
const ROWS_MAX: usize = 8_192;
/// Columns of a table that are looked at.
pub(crate) const COLUMNS_MAX: usize = 64;
/// Beginning of a value that is compared, in characters: what differs later counts as equal.
const PREFIX: usize = 128;

/// Rows of a table, hashed.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Rows of the table, as far as they are known.
    pub(crate) rows: f64,
    columns: Vec<Identifier>,
    /// Row by row, a hash for each column; 0 for NULL.
    cells: Vec<u64>,
    /// Sum of the lengths of each column's values, in bytes.
    lengths: Vec<f64>,
    /// Answers so far, by places of columns: a search asks the same again and again.
    counted: Mutex<HashMap<Vec<usize>, f64>>,
}

impl Sample {
    /// Reads it. `rows`: how many there are.
    pub(crate) async fn read(
        connection: &mut SqliteConnection,
        table: &str,
        columns: &[Identifier],
        rows: f64,
    ) -> Result<Self> {
        let columns: Vec<Identifier> = columns.iter().take(COLUMNS_MAX).cloned().collect();
        let refused = |_| Error::internal("a name of the source cannot be quoted");
        let name = quote(table).map_err(refused)?;
        let mut list = Vec::new();
        for column in &columns {
            let column = quote(column.as_str()).map_err(refused)?;
            list.push(format!(
                "CASE WHEN t.{column} IS NOT NULL THEN substr(quote(t.{column}), 1, {PREFIX}) END, length(CAST(t.{column} AS BLOB))"
            ));
        }
        let list = list.join(", ");
        let lengths = vec![0.0; columns.len()];
        let mut sample = Self { rows, lengths, columns, cells: Vec::new(), counted: Mutex::default() };
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let whole = rows <= ROWS_MAX as f64;
        let ends = if whole { None } else { ends(connection, &name).await? };
        let read = match ends {
            Some((least, greatest)) => {
                let text = format!(
                    "SELECT {list} FROM json_each(?1) AS k JOIN main.{name} AS t ON t.rowid = \
                     (SELECT r.rowid FROM main.{name} AS r WHERE r.rowid >= k.value ORDER BY r.rowid LIMIT 1)"
                );
                sqlx::query(AssertSqlSafe(text)).bind(places(least, greatest)).fetch_all(connection).await
            }
            // Small, or without row ids: from the beginning.
            None => {
                let text = format!("SELECT {list} FROM main.{name} AS t LIMIT {ROWS_MAX}");
                sqlx::query(AssertSqlSafe(text)).fetch_all(connection).await
            }
        };
        for row in read.map_err(|error| from_sqlx(&error))? {
            for (column, total) in sample.lengths.iter_mut().enumerate() {
                let text: Option<String> = row.try_get(2 * column).map_err(|error| from_sqlx(&error))?;
                let length: Option<i64> = row.try_get(2 * column + 1).map_err(|error| from_sqlx(&error))?;
                sample.cells.push(text.map_or(0, |text| hash(&text)));
                #[expect(clippy::cast_precision_loss, reason = "a length")]
                if let Some(length) = length {
                    *total += length as f64;
                }
            }
        }
        Ok(sample)
    }

    fn taken(&self) -> usize {
        self.cells.len().checked_div(self.columns.len()).unwrap_or(0)
    }

    fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| known.as_str() == column)
    }

    /// Share of rows in which the column is NULL.
    pub(crate) fn nulls(&self, column: &str) -> f64 {
        let Some(place) = self.place(column) else { return 0.0 };
        let nulls = self.cells.chunks(self.columns.len()).filter(|row| row.get(place) == Some(&0)).count();
        share(nulls, self.taken())
    }

    /// Mean bytes of a value that is not NULL.
    pub(crate) fn width(&self, column: &str) -> f64 {
        let Some(length) = self.place(column).and_then(|place| self.lengths.get(place)) else { return 8.0 };
        let values = (1.0 - self.nulls(column)) * count(self.taken());
        if values < 1.0 { 8.0 } else { length / values }
    }

    /// Distinct combinations of values of these columns. `None`: one of them was not looked at.
    pub(crate) fn distinct(&self, columns: &[&str]) -> Option<f64> {
        let mut places: Vec<usize> = columns.iter().map(|column| self.place(column)).collect::<Option<_>>()?;
        places.sort_unstable();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = counted.get(&places) {
            return Some(*known);
        }
        let mut seen: HashMap<u64, u32> = HashMap::new();
        for row in self.cells.chunks(self.columns.len().max(1)) {
            let mut hasher = DefaultHasher::new();
            places.iter().for_each(|place| row.get(*place).hash(&mut hasher));
            *seen.entry(hasher.finish()).or_default() += 1;
        }
        let once = seen.values().filter(|times| **times == 1).count();
        let distinct = distinct_of_sample(self.taken(), seen.len(), once, self.rows);
        counted.insert(places, distinct);
        Some(distinct)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a sample are small")]
fn count(number: usize) -> f64 {
    number as f64
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { count(part) / count(whole) }
}

/// Never 0, which stands for NULL.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish() | 1
}

/// First and last row id; `None` for a table without row ids.
async fn ends(connection: &mut SqliteConnection, quoted: &str) -> Result<Option<(i64, i64)>> {
    let text =
        format!("SELECT (SELECT min(t.rowid) FROM main.{quoted} AS t), (SELECT max(t.rowid) FROM main.{quoted} AS t)");
    let row = match sqlx::query(AssertSqlSafe(text)).fetch_one(connection).await {
        Ok(row) => row,
        Err(sqlx::Error::Database(_)) => return Ok(None),
        Err(error) => return Err(from_sqlx(&error)),
    };
    Ok(match (row.try_get(0), row.try_get(1)) {
        (Ok(Some(least)), Ok(Some(greatest))) => Some((least, greatest)),
        _ => None,
    })
}

/// Row ids to look at, drawn evenly but without a period of their own (a fixed step would meet periodic data in one phase),
/// as a JSON array. The same for the same ends, so that advice does not waver.
fn places(least: i64, greatest: i64) -> String {
    let width = i128::from(greatest) - i128::from(least) + 1;
    let mut drawn: HashSet<i64> = HashSet::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..ROWS_MAX {
        // xorshift64*: any spread will do.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let number = i128::from(state.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let place = i128::from(least) + number % width;
        drawn.extend(i64::try_from(place));
    }
    let mut drawn: Vec<i64> = drawn.into_iter().collect();
    drawn.sort_unstable();
    format!("[{}]", drawn.iter().map(i64::to_string).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lie_between_the_ends() {
        for (least, greatest) in [(1, 1_000_000), (i64::MIN, i64::MAX), (7, 7)] {
            let text = places(least, greatest);
            let all = text.trim_matches(['[', ']']).split(',').map(|word| word.parse::<i64>().unwrap());
            assert!(all.into_iter().all(|place| (least..=greatest).contains(&place)));
        }
    }
}
