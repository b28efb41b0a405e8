//! How large a B-tree becomes, and what writing to it costs. The layout is PostgreSQL 15's (`nbtree`), from its
//! documentation: aligned tuples, posting lists for equal keys, leaves filled to 90%.

use super::shape::{Column, Index, Workload};

const PAGE: f64 = 8192.0;
/// Page header and the B-tree's own space at the end.
const PAGE_OVERHEAD: f64 = 24.0 + 16.0;
const FILL: f64 = 0.9;
const TUPLE_HEADER: f64 = 8.0;
const LINE_POINTER: f64 = 4.0;
const ROW_POINTER: f64 = 6.0;
/// Most bytes of a posting list when an index is built: a tenth of a page.
const POSTING_MOST: f64 = 812.0;

fn align(bytes: f64, to: f64) -> f64 {
    (bytes / to).ceil() * to
}

/// Bytes of a tuple with these columns, in order.
fn tuple<'a>(columns: impl Iterator<Item = &'a Column>) -> f64 {
    let mut bytes = TUPLE_HEADER;
    for column in columns {
        bytes = align(bytes, f64::from(column.align.max(1))) + column.width * (1.0 - column.nulls);
    }
    align(bytes, 8.0)
}

/// Estimated bytes of the index on disk. A table or column that does not exist counts as nothing.
#[must_use]
pub fn size(workload: &Workload, index: &Index) -> f64 {
    let Some(table) = workload.tables.get(index.table) else { return 0.0 };
    let part = index.predicate.and_then(|number| workload.predicates.get(number)).map_or(1.0, |p| p.selectivity);
    let rows = (table.rows * part.clamp(0.0, 1.0)).max(1.0);
    let columns = || index.keys.iter().chain(&index.include).filter_map(|column| table.columns.get(*column));
    let bytes = tuple(columns());
    // Equal keys: values of several columns together, at most one a row.
    let distinct = columns().map(|column| column.distinct.max(1.0)).product::<f64>().min(rows);
    let dedupes = index.include.is_empty() && columns().all(|column| column.dedupes);
    let a_key = rows / distinct;
    let per_row = if dedupes && a_key > 1.0 {
        let most = ((POSTING_MOST - bytes) / ROW_POINTER).floor().max(1.0);
        let lists = (a_key / most).ceil();
        let each = (a_key / lists).round();
        // A key that occurs once keeps its pointer in the header; a list has all its pointers behind the key.
        let list = if each > 1.0 { align(bytes + ROW_POINTER * each, 8.0) } else { bytes };
        lists * (list + LINE_POINTER) / a_key
    } else {
        bytes + LINE_POINTER
    };
    let room = (PAGE - PAGE_OVERHEAD) * FILL;
    let leaves = (rows * per_row.min(bytes + LINE_POINTER) / room).ceil();
    // Inner pages hold a key and a pointer for each page below.
    let fan_out = (room / (bytes + LINE_POINTER)).max(2.0);
    let (mut pages, mut level) = (leaves + 1.0, leaves);
    while level > 1.0 {
        level = (level / fan_out).ceil();
        pages += level;
    }
    pages * PAGE
}

/// Index entries written per unit of the workload's weights: each insert and delete writes one, an update of a column in the
/// index two (one where the row no longer qualifies for in-place updates).
#[must_use]
pub fn writes(workload: &Workload, index: &Index) -> f64 {
    let Some(table) = workload.tables.get(index.table) else { return 0.0 };
    let part = index.predicate.and_then(|number| workload.predicates.get(number)).map_or(1.0, |p| p.selectivity);
    let updated: f64 = index
        .keys
        .iter()
        .chain(&index.include)
        .filter_map(|column| table.updates.get(*column))
        .copied()
        .fold(0.0, f64::max);
    part * (table.inserts + 2.0 * updated)
}

#[cfg(test)]
mod tests {
    use super::super::shape::Table;
    use super::*;

    fn column(width: f64, distinct: f64, dedupes: bool) -> Column {
        Column { width, align: if width >= 4.0 { 4 } else { 1 }, distinct, nulls: 0.0, dedupes }
    }

    /// Rows, columns with carried ones last, how many are carried, and the bytes that PostgreSQL 15 used on TPC-H tables of
    /// scale 1. (HypoPG's estimates for the same are 1.1 to 8 times of these.)
    fn measured() -> Vec<(f64, Vec<Column>, usize, f64)> {
        let (lines, orders) = (6_001_215.0, 1_500_000.0);
        let text = |width, distinct| Column { align: 1, ..column(width, distinct, true) };
        let number = |distinct| Column { align: 1, ..column(5.0, distinct, false) };
        let (order, part, date, flag) =
            (column(4.0, 1.5e6, true), column(4.0, 2e5, true), column(4.0, 2526.0, true), text(2.0, 3.0));
        vec![
            (lines, vec![order], 0, 77_889_536.0),
            (lines, vec![part], 0, 45_080_576.0),
            (lines, vec![date], 0, 42_696_704.0),
            (lines, vec![number(50.0)], 0, 135_004_160.0),
            (lines, vec![flag], 0, 41_607_168.0),
            (lines, vec![part, date], 0, 134_750_208.0),
            (lines, vec![date, number(50.0)], 0, 189_571_072.0),
            (lines, vec![order, number(50.0)], 1, 189_251_584.0),
            (lines, vec![flag, date], 0, 42_926_080.0),
            (orders, vec![column(4.0, 1e5, true)], 0, 12_632_064.0),
            (orders, vec![text(16.0, 5.0)], 0, 10_600_448.0),
            (2e5, vec![text(11.0, 25.0), text(11.0, 40.0)], 0, 1_474_560.0),
            (8e5, vec![text(126.0, 8e5)], 0, 131_465_216.0),
        ]
    }

    #[test]
    fn sizes_are_within_a_tenth_of_what_postgres_builds() {
        for (at, (rows, columns, carried, built)) in measured().into_iter().enumerate() {
            let keys = columns.len() - carried;
            let table = Table { rows, columns, inserts: 0.0, updates: Vec::new() };
            let all: Vec<usize> = (0..table.columns.len()).collect();
            let workload = Workload { tables: vec![table], ..Workload::default() };
            let index = Index { include: all[keys..].to_vec(), ..Index::on(0, &all[..keys]) };
            let factor = size(&workload, &index) / built;
            assert!((0.9..1.1).contains(&factor), "case {at}: {factor}");
        }
    }

    #[test]
    fn a_partial_index_is_smaller_and_written_less() {
        let table = Table { rows: 1e6, columns: vec![column(4.0, 1e6, true)], inserts: 100.0, updates: vec![50.0] };
        let predicates = vec![super::super::shape::Predicate { table: 0, selectivity: 0.1 }];
        let workload = Workload { tables: vec![table], predicates, statements: Vec::new() };
        let whole = Index::on(0, &[0]);
        let part = Index { predicate: Some(0), ..whole.clone() };
        assert!((size(&workload, &part) / size(&workload, &whole) - 0.1).abs() < 0.01);
        assert!((writes(&workload, &whole) - 200.0).abs() < 1e-9);
        assert!((writes(&workload, &part) - 20.0).abs() < 1e-9);
    }
}
