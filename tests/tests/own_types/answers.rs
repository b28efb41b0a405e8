//! What a column's values have to do with each other, as row numbers: which are equal, and in which order they are. Knows no source.

/// What a source, or an independent computation, says of one column. Rows are numbered from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    /// Rows that are not NULL by value, then by number, upwards.
    pub(crate) order: Vec<usize>,
    /// Rows in descending order; equal values by number upwards still.
    pub(crate) order_down: Vec<usize>,
    /// Of each value its rows and the first of them, by the latter; NULL is a value.
    pub(crate) groups: Vec<(usize, usize)>,
    /// Rows of the least and of the greatest value.
    pub(crate) least: Vec<usize>,
    pub(crate) greatest: Vec<usize>,
    /// Rows with the same value.
    pub(crate) pairs: Vec<(usize, usize)>,
}

impl Answers {
    /// From a value for each row that is ordered as the column is; `None` is NULL.
    pub(crate) fn of<K: Ord>(keys: &[Option<K>]) -> Self {
        let rows = || keys.iter().enumerate().filter_map(|(row, key)| Some((row, key.as_ref()?)));
        let mut order: Vec<(usize, &K)> = rows().collect();
        order.sort_by(|a, b| a.1.cmp(b.1).then(a.0.cmp(&b.0)));
        let mut down = order.clone();
        down.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(&b.0)));
        let equal = |to: Option<&K>| -> Vec<usize> {
            to.map_or_else(Vec::new, |to| rows().filter(|(_, key)| *key == to).map(|(row, _)| row).collect())
        };
        let count = |key: &Option<K>| keys.iter().filter(|other| *other == key).count();
        let first = |row: &usize| keys[..*row].iter().all(|other| *other != keys[*row]);
        Self {
            groups: (0..keys.len()).filter(first).map(|row| (count(&keys[row]), row)).collect(),
            least: equal(order.first().map(|(_, key)| *key)),
            greatest: equal(order.last().map(|(_, key)| *key)),
            pairs: rows().flat_map(|(row, key)| equal(Some(key)).into_iter().map(move |other| (row, other))).collect(),
            order: order.into_iter().map(|(row, _)| row).collect(),
            order_down: down.into_iter().map(|(row, _)| row).collect(),
        }
    }

    /// Rows with the value of this one.
    pub(crate) fn equal(&self, row: usize) -> Vec<usize> {
        self.pairs.iter().filter(|(one, _)| *one == row).map(|(_, other)| *other).collect()
    }
}

impl Answers {
    /// As a database says itself, asked in SQL by `run`. `key` is what is compared, with `$` for the column.
    pub(crate) fn asked(column: &str, key: &str, mut run: impl FnMut(&str) -> Vec<Vec<usize>>) -> Self {
        let key_of = |table: &str| key.replace('$', &format!("{table}.{column}"));
        let (key, one, other) = (key_of("k"), key_of("a"), key_of("b"));
        let mut first = |sql: &str| run(sql).into_iter().map(|row| row[0]).collect::<Vec<_>>();
        let order = first(&format!("SELECT k.nr FROM kinds k WHERE {key} IS NOT NULL ORDER BY {key}, k.nr"));
        let order_down = first(&format!("SELECT k.nr FROM kinds k WHERE {key} IS NOT NULL ORDER BY {key} DESC, k.nr"));
        let mut end = |end: &str| {
            let most = format!("(SELECT {end}({}) FROM kinds a)", key_of("a"));
            first(&format!("SELECT k.nr FROM kinds k WHERE {key} = {most} ORDER BY k.nr"))
        };
        let (least, greatest) = (end("min"), end("max"));
        let groups = run(&format!("SELECT count(*), min(k.nr) FROM kinds k GROUP BY {key} ORDER BY 2"));
        let pairs = run(&format!("SELECT a.nr, b.nr FROM kinds a JOIN kinds b ON {one} = {other} ORDER BY a.nr, b.nr"));
        let two = |rows: Vec<Vec<usize>>| rows.into_iter().map(|row| (row[0], row[1])).collect();
        Self { order, order_down, groups: two(groups), least, greatest, pairs: two(pairs) }
    }
}
