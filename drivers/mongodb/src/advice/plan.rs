//! What the server's plan of a statement costs, and what it would cost through an index that is not there. Pure: knows no connection.
//!
//! `explain` prints no cost, so it is counted from what it prints, and for an index that is not there from what the server would
//! do with one (equality, sort, range): a document of a scan or an index entry that is visited costs 1, a document fetched through
//! an index 3 more, finding the first entry log2 of the documents, sorting n of them n·log2(n). A limit ends what needs no sorting.

use super::collection::Collection;
use super::reading::{Asks, Reading};
use mongodb::bson::{Bson, Document};

/// Fetching a document through an index, in visits.
const FETCH: f64 = 3.0;
/// Share of the documents behind a range of unknown values, open and closed: SQLite's guesses, as MongoDB has none to tell.
const OPEN_RANGE: f64 = 0.25;
const CLOSED_RANGE: f64 = 1.0 / 64.0;
/// Stages in stages.
const DEPTH_MAX: usize = 64;

/// One way to the documents.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Way {
    /// Places where it begins.
    seeks: f64,
    /// Entries or documents that are visited.
    visited: f64,
    /// Documents fetched through an index.
    fetched: f64,
    /// Whether documents come in the order that is wanted.
    ordered: bool,
}

/// Cost of a reading through an index over these fields; `None`: the server has no use for it.
pub(super) fn through(keys: &[&str], reading: &Reading, known: &Collection) -> Option<f64> {
    let way = way(keys, reading, known)?;
    let sorts = if way.ordered { 0.0 } else { sorting(reading, known) };
    Some(going(way, !way.ordered, reading, known) + sorts)
}

/// Cost of a reading without an index.
pub(super) fn scanned(reading: &Reading, known: &Collection) -> f64 {
    let sorts = !reading.order.is_empty();
    going(scan(known), sorts, reading, known) + if sorts { sorting(reading, known) } else { 0.0 }
}

fn scan(known: &Collection) -> Way {
    Way { seeks: 0.0, visited: known.rows, fetched: 0.0, ordered: false }
}

fn equal(reading: &Reading, path: &str) -> Option<usize> {
    let values = |asks: Asks| match asks {
        Asks::Equal(values) => Some(values),
        Asks::Null | Asks::Low | Asks::High | Asks::Beginning => None,
    };
    reading.conditions.iter().filter(|one| one.path == path).find_map(|one| values(one.asks))
}

fn is_null(reading: &Reading, path: &str) -> bool {
    reading.conditions.iter().any(|one| one.path == path && one.asks == Asks::Null)
}

/// The guess at the share of the documents that a field's ranges keep; `None`: it has none.
fn guessed(reading: &Reading, path: &str) -> Option<f64> {
    let has = |asks| reading.conditions.iter().any(|one| one.path == path && one.asks == asks);
    match (has(Asks::Low), has(Asks::High), has(Asks::Beginning)) {
        (false, false, false) => None,
        (true, true, _) | (_, _, true) => Some(CLOSED_RANGE),
        (true, false, false) | (false, true, false) => Some(OPEN_RANGE),
    }
}

/// The share of the documents that a field's ranges keep: what the runs delivered says more than a guess.
fn range(reading: &Reading, path: &str, known: &Collection) -> Option<f64> {
    let guess = guessed(reading, path)?;
    let Some(rows) = reading.rows else { return Some(guess) };
    let ranges = paths(reading).into_iter().filter(|path| guessed(reading, path).is_some()).count();
    let kept = (rows / unranged(reading, known)).clamp(1.0 / known.rows.max(1.0), 1.0);
    Some(kept.powf(1.0 / number(ranges.max(1))))
}

/// Fields of the conditions.
fn paths(reading: &Reading) -> Vec<&str> {
    let mut paths: Vec<&str> = reading.conditions.iter().map(|one| one.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// Documents that meet all conditions but the ranges; at least one.
fn unranged(reading: &Reading, known: &Collection) -> f64 {
    let (mut bound, mut values, mut share) = (Vec::new(), 1.0, 1.0);
    for path in paths(reading) {
        if let Some(some) = equal(reading, path) {
            values *= number(some);
            bound.push(path);
        } else if is_null(reading, path) {
            share *= known.nulls(path);
        }
    }
    (known.rows * share * (values / known.distinct(&bound)).min(1.0)).max(1.0)
}

/// Documents that meet all conditions; at least one.
fn delivered(reading: &Reading, known: &Collection) -> f64 {
    let ranged = |path: &&str| equal(reading, path).is_none() && !is_null(reading, path);
    let kept = paths(reading).into_iter().filter(ranged).filter_map(|path| range(reading, path, known));
    (unranged(reading, known) * kept.product::<f64>()).max(1.0)
}

fn way(keys: &[&str], reading: &Reading, known: &Collection) -> Option<Way> {
    let (mut rest, mut bound, mut seeks, mut share) = (keys, Vec::new(), 1.0, 1.0);
    while let Some((key, after)) = rest.split_first() {
        if let Some(values) = equal(reading, key) {
            seeks *= number(values);
            bound.push(*key);
        } else if is_null(reading, key) {
            share *= known.nulls(key);
        } else {
            break;
        }
        rest = after;
    }
    let mut visited = known.rows * share * (seeks / known.distinct(&bound)).min(1.0);
    // What is of one value orders nothing. Backwards is as good as forwards, but all fields the same way.
    let wanted: Vec<&(String, bool)> =
        reading.order.iter().filter(|(path, _)| equal(reading, path) != Some(1)).collect();
    let one_way = wanted.windows(2).all(|pair| matches!(pair, [(_, one), (_, other)] if one == other));
    let leads = rest.len() >= wanted.len() && wanted.iter().zip(rest).all(|((path, _), key)| path == key);
    let ordered = wanted.is_empty() || (seeks <= 1.0 && one_way && leads);
    let first = rest.first().and_then(|key| range(reading, key, known));
    let begun = rest.len() < keys.len() || first.is_some();
    if !begun && (wanted.is_empty() || !ordered) {
        return None;
    }
    visited *= first.unwrap_or(1.0);
    // Fields further behind say which documents need not be fetched.
    let kept = |key: &&str| match (equal(reading, key), range(reading, key, known)) {
        (Some(values), _) => (number(values) / known.distinct(&[*key])).min(1.0),
        (None, Some(share)) => share,
        (None, None) => 1.0,
    };
    let fetched = visited * rest.iter().skip(usize::from(first.is_some())).map(kept).product::<f64>();
    Some(Way { seeks, visited, fetched, ordered })
}

/// What going one way costs; `sorted`: a sort comes behind, which wants all of it.
fn going(way: Way, sorted: bool, reading: &Reading, known: &Collection) -> f64 {
    let wanted = reading.limit.filter(|_| !sorted).map_or(1.0, |limit| whole(limit) / delivered(reading, known));
    let part = wanted.min(1.0);
    way.seeks * known.rows.max(2.0).log2() + (way.visited * part).max(1.0) + way.fetched * part * FETCH
}

fn sorting(reading: &Reading, known: &Collection) -> f64 {
    let all = delivered(reading, known);
    all * reading.limit.map_or(all, whole).clamp(2.0, all.max(2.0)).log2()
}

/// What a plan of the server does.
#[derive(Debug, Default, PartialEq)]
struct Found {
    scans: usize,
    /// Fields of each index that it goes through.
    indexes: Vec<Vec<String>>,
    /// Look-ups of one document.
    looked_up: usize,
    /// No document is asked for.
    nothing: bool,
    sorts: bool,
}

/// Cost of a statement as the server plans it now; `None`: a plan of a kind that is not known here.
pub(super) fn explained(answer: &Document, reading: &Reading, known: &Collection) -> Option<f64> {
    let mut found = Found::default();
    walk(answer.get_document("queryPlanner").ok()?.get_document("winningPlan").ok()?, &mut found, 0);
    if found.scans == 0 && found.indexes.is_empty() && found.looked_up == 0 && !found.nothing {
        return None;
    }
    let whole = || Way { fetched: known.rows, ..scan(known) };
    let through = |fields: &Vec<String>| {
        let keys: Vec<&str> = fields.iter().map(String::as_str).collect();
        way(&keys, reading, known).unwrap_or_else(whole)
    };
    let one = Way { seeks: 1.0, visited: 1.0, fetched: 1.0, ordered: true };
    let scans = (0..found.scans).map(|_| scan(known));
    let ways = scans.chain(found.indexes.iter().map(through)).chain((0..found.looked_up).map(|_| one));
    let going: f64 = ways.map(|way| going(way, found.sorts, reading, known)).sum();
    Some(going.max(1.0) + if found.sorts { sorting(reading, known) } else { 0.0 })
}

fn walk(node: &Document, found: &mut Found, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match node.get_str("stage").unwrap_or_default() {
        "COLLSCAN" => found.scans += 1,
        "IXSCAN" => {
            let pattern = node.get_document("keyPattern").ok();
            found.indexes.push(pattern.map_or_else(Vec::new, |keys| keys.keys().cloned().collect()));
        }
        "IDHACK" | "CLUSTERED_IXSCAN" | "EXPRESS_IXSCAN" | "EXPRESS_CLUSTERED_IXSCAN" => found.looked_up += 1,
        "EOF" => found.nothing = true,
        "SORT" => found.sorts = true,
        _ => {}
    }
    for below in ["inputStage", "queryPlan", "winningPlan"] {
        if let Ok(below) = node.get_document(below) {
            walk(below, found, depth + 1);
        }
    }
    for below in ["inputStages", "shards"] {
        for below in node.get_array(below).into_iter().flatten().filter_map(Bson::as_document) {
            walk(below, found, depth + 1);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn whole(limit: u64) -> f64 {
    limit as f64
}

#[expect(clippy::cast_precision_loss, reason = "numbers of values")]
fn number(values: usize) -> f64 {
    values as f64
}

#[cfg(test)]
mod tests {
    use super::super::reading::Condition;
    use super::*;
    use mongodb::bson::doc;

    /// 100,000 orders: 100 regions of 10 cities each, 1,000 days, 4 states.
    fn orders() -> Collection {
        let names = ["region", "city", "day", "state", "_id"];
        let mut orders = Collection::new(100_000.0, names.iter().map(|name| (*name).to_owned()).collect());
        for n in 0..2_000_i64 {
            orders.note(&doc! { "f0": n % 100, "f1": n % 1_000, "f2": (n * 7) % 1_000, "f3": (n / 3) % 4, "f4": n });
        }
        orders
    }

    fn reading(conditions: &[(&str, Asks)], order: &[&str], limit: Option<u64>) -> Reading {
        let condition = |(path, asks): &(&str, Asks)| Condition { path: (*path).to_owned(), asks: *asks };
        Reading {
            collection: "orders".to_owned(),
            conditions: conditions.iter().map(condition).collect(),
            order: order.iter().map(|path| ((*path).to_owned(), false)).collect(),
            limit,
            ..Reading::default()
        }
    }

    #[test]
    fn equality_then_sort_then_range_is_cheapest_where_a_limit_ends_it() {
        let known = orders();
        let last = reading(&[("region", Asks::Equal(1)), ("state", Asks::Low)], &["day"], Some(10));
        let cost = |keys: &[&str]| through(keys, &last, &known).unwrap();
        let best = cost(&["region", "day", "state"]);
        for other in [&["region", "state", "day"][..], &["region", "day"], &["region"], &["day", "region", "state"]] {
            assert!(best < cost(other), "{other:?}: {} against {best}", cost(other));
        }
        assert!(best < scanned(&last, &known) / 100.0);
        // Without the limit all must be read anyhow, and what is read least of is best.
        let all = Reading { limit: None, order: Vec::new(), ..last };
        let cost = |keys: &[&str]| through(keys, &all, &known).unwrap();
        assert!(cost(&["region", "state"]) < cost(&["region", "day", "state"]));
        assert!(cost(&["region", "day", "state"]) < cost(&["region", "day"]), "fewer documents are fetched");
    }

    #[test]
    fn what_the_server_has_no_use_for_costs_nothing_that_could_be_compared() {
        let known = orders();
        let region = reading(&[("region", Asks::Equal(1))], &[], None);
        assert_eq!(through(&["state", "region"], &region, &known), None);
        assert_eq!(through(&["day"], &region, &known), None);
        let sorted = reading(&[], &["day"], None);
        assert!(through(&["day"], &sorted, &known).is_some() && through(&["state", "day"], &sorted, &known).is_none());
        let mixed = Reading { order: vec![("day".to_owned(), true), ("state".to_owned(), false)], ..sorted };
        assert_eq!(through(&["day", "state"], &mixed, &known), None, "an index has one direction");
        // Values that depend on each other are not multiplied.
        let both = reading(&[("region", Asks::Equal(1)), ("city", Asks::Equal(1))], &[], None);
        let (one, two) =
            (through(&["city"], &both, &known).unwrap(), through(&["region", "city"], &both, &known).unwrap());
        assert!((one - two).abs() < 1.0 + 0.05 * one, "{one} {two}");
        let list = reading(&[("city", Asks::Equal(50))], &[], None);
        assert!(through(&["city"], &list, &known).unwrap() > 40.0 * through(&["city"], &both, &known).unwrap());
    }

    #[test]
    fn what_runs_delivered_says_how_much_a_range_keeps() {
        let known = orders();
        let guess = reading(&[("day", Asks::Low)], &[], None);
        assert!(through(&["day"], &guess, &known).unwrap() > 99_000.0, "a quarter is not worth it");
        let cost = |rows: f64, conditions: &[(&str, Asks)], keys: &[&str]| {
            let seen = Reading { rows: Some(rows), ..reading(conditions, &[], None) };
            through(keys, &seen, &known).unwrap()
        };
        let few = cost(50.0, &[("day", Asks::Low)], &["day"]);
        assert!((few - 200.0).abs() < 25.0, "50 entries, 50 documents, and the way to them: {few}");
        let all = cost(100_000.0, &[("day", Asks::Low)], &["day"]);
        assert!(all > 399_000.0, "{all}");
        // Of 1,000 orders of a region 10 came, so that two ranges kept a tenth each.
        let both = [("region", Asks::Equal(1)), ("day", Asks::Low), ("state", Asks::High)];
        let two = cost(10.0, &both, &["region", "day", "state"]);
        assert!((two - (16.6 + 100.0 + 3.0 * 10.0)).abs() < 2.0, "{two}");
        assert!(cost(0.0, &both, &["region", "day"]) < 150.0, "and none is a number too");
    }

    #[test]
    fn a_plan_costs_what_its_stages_visit() {
        let known = orders();
        let wanted = reading(&[("region", Asks::Equal(1))], &["day"], None);
        let plan = |winning: Document| doc! { "queryPlanner": { "winningPlan": winning } };
        let cost = |winning: Document| explained(&plan(winning), &wanted, &known);
        let scan = doc! { "stage": "SORT", "inputStage": { "stage": "COLLSCAN" } };
        let scan = cost(scan).unwrap();
        assert!((scan - scanned(&wanted, &known)).abs() < 1.0, "{scan}");
        let index = doc! { "stage": "IXSCAN", "indexName": "by_region", "keyPattern": { "region": 1 } };
        let fetch = doc! { "stage": "FETCH", "inputStage": index };
        let sorted = doc! { "stage": "SORT", "inputStage": fetch };
        let through_region = through(&["region"], &wanted, &known).unwrap();
        for winning in [
            sorted.clone(),
            doc! { "isCached": false, "queryPlan": sorted.clone(), "slotBasedPlan": {} },
            doc! { "stage": "SINGLE_SHARD", "shards": [{ "winningPlan": sorted.clone() }] },
        ] {
            assert!((cost(winning).unwrap() - through_region).abs() < 1.0);
        }
        let twice = doc! { "stage": "OR", "inputStages": [sorted.clone(), sorted] };
        assert!(cost(twice).unwrap() > through_region + 4_000.0, "both are gone through, one sort comes behind");
        assert!(cost(doc! { "stage": "IDHACK" }).unwrap() < 50.0 && cost(doc! { "stage": "EOF" }).unwrap() < 2.0);
        for unknown in [doc! { "stage": "TEXT_MATCH" }, doc! {}] {
            assert_eq!(cost(unknown), None);
        }
        assert_eq!(explained(&doc! { "ok": 1 }, &wanted, &known), None);
    }
}
