//! Tests of what readers of the shop hear of a run: an owner from whom nothing is hidden, and a clerk with row policies.

use super::*;
use crate::bind::workspace::with_config;
use crate::testing::{Reader, Shop, on_runtime, printed};
use futures::StreamExt;

/// A statement's run with nothing given to sources: its lines, each with what is said of it.
fn ran(reader: &Reader, sql: &str, for_operator: bool) -> (Vec<(String, Option<Figures>)>, bool) {
    let (observed, plan, counting) = observed(reader, sql);
    let rows = counting.run(plan).unwrap().len() as u64;
    let told = observed.told(rows, Duration::ZERO, for_operator);
    (lines(&told), told.withholds)
}

fn observed(reader: &Reader, sql: &str) -> (Observed, Arc<dyn ExecutionPlan>, Reader) {
    let observed = Observed::of(&reader.bind(sql).unwrap());
    let plan = observed.starts(reader.planned_once(sql).unwrap()).unwrap();
    let state = with_config(&reader.state, |config| config.set_extension(Arc::new(observed.counted())));
    (observed, plan, Reader { workspace: Arc::clone(&reader.workspace), state: Arc::new(state) })
}

fn lines(told: &Told) -> Vec<(String, Option<Figures>)> {
    let text = told.text.as_deref().unwrap();
    assert_eq!(text.lines().count(), told.nodes.len(), "{text}");
    text.lines().map(|line| line.trim().to_owned()).zip(told.nodes.iter().copied()).collect()
}

fn of<'a>(lines: &'a [(String, Option<Figures>)], start: &str) -> &'a Option<Figures> {
    let found = lines.iter().find(|(line, _)| line.starts_with(start));
    &found.unwrap_or_else(|| panic!("no {start}: {lines:?}")).1
}

const JOINED: &str = "SELECT a.name, v.day FROM accounts a JOIN visits v ON v.account_id = a.id";

/// Who sees all hears rows and times of each leaf; whom policies bind, of how many visible rows there were, and no time above hidden
/// ones.
#[test]
fn rows_are_visible_ones_and_times_of_what_hides_none() {
    let (owner, clerk) = (Shop::open().owner(), Shop::open().clerk());
    for reader in [&owner, &clerk] {
        for table in ["accounts", "visits", "regions"] {
            let visible = reader.rows(&format!("SELECT id FROM {table}")).unwrap().len() as u64;
            let (lines, withholds) = ran(reader, &format!("SELECT count(*) FROM {table}"), false);
            let leaf = of(&lines, &format!("GovernedScan: {table}")).unwrap();
            assert_eq!(leaf.rows, visible, "{lines:?}");
            assert!(!withholds, "{lines:?}");
        }
    }
    let visible = |reader: &Reader| reader.rows("SELECT id FROM accounts").unwrap().len();
    assert!(visible(&clerk) < visible(&owner));
    let timed = |lines: &[(String, Option<Figures>)]| {
        lines.iter().filter_map(|(_, told)| *told).filter(|told| told.milliseconds.is_some()).count()
    };
    let (all, _) = ran(&owner, JOINED, false);
    assert!(timed(&all) > 2 && of(&all, "HashJoinExec").unwrap().milliseconds.is_some(), "{all:?}");
    let (bound, _) = ran(&clerk, JOINED, false);
    assert_eq!(timed(&bound), 0, "{bound:?}");
    let (as_operator, withholds) = ran(&clerk, JOINED, true);
    assert!(timed(&as_operator) > 2 && !withholds, "{as_operator:?}");
}

/// A table of which nothing is hidden is said with times also beside one that hides rows; what is above both is not.
#[test]
fn times_are_told_beside_what_hides_rows() {
    let sql = "SELECT r.name, v.day FROM regions r JOIN visits v ON v.region_id = r.id";
    let (lines, _) = ran(&Shop::open().clerk(), sql, false);
    assert!(of(&lines, "GovernedScan: regions").unwrap().milliseconds.is_some(), "{lines:?}");
    assert_eq!(of(&lines, "GovernedScan: visits").unwrap().milliseconds, None, "{lines:?}");
    assert_eq!(of(&lines, "HashJoinExec").unwrap().milliseconds, None, "{lines:?}");
}

fn leaf_of(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let any: &dyn Any = plan.as_ref();
    if any.is::<GovernedExec>() { Some(Arc::clone(plan)) } else { plan.children().into_iter().find_map(leaf_of) }
}

/// Of a leaf that hides rows and was left before its end, operators alone hear how far it was read.
#[test]
fn a_leaf_that_was_left_early_is_for_operators() {
    let sql = "SELECT count(*) FROM visits";
    for (reader, told) in [(Shop::open().clerk(), false), (Shop::open().owner(), true)] {
        let (observed, plan, counting) = observed(&reader, sql);
        let leaf = leaf_of(&plan).unwrap();
        let context = counting.state.task_ctx();
        on_runtime(async move { leaf.execute(0, context).unwrap().next().await.unwrap().unwrap() });
        let heard = observed.told(1, Duration::ZERO, false);
        assert_eq!(of(&lines(&heard), "GovernedScan").is_some(), told, "{}", printed(&plan));
        assert_eq!(heard.withholds, !told);
        let heard = observed.told(1, Duration::ZERO, true);
        assert!(of(&lines(&heard), "GovernedScan").is_some() && !heard.withholds);
    }
}

/// A statement that a source runs as a whole is one line, which gives the answer.
#[test]
fn a_whole_statement_gives_its_answer() {
    for (reader, is_timed) in [(Shop::open().owner(), true), (Shop::open().clerk(), false)] {
        let observed = Observed::of(&reader.bind("SELECT id FROM accounts").unwrap());
        let told = observed.told(3, Duration::from_millis(7), false);
        assert!(told.text.is_none() && !told.withholds);
        let expected = Figures { rows: 3, milliseconds: is_timed.then_some(7.0), memory: None };
        assert_eq!(told.nodes, [Some(expected)]);
        let told = observed.told(3, Duration::from_millis(7), true);
        assert_eq!(told.nodes, [Some(Figures { rows: 3, milliseconds: Some(7.0), memory: None })]);
    }
}

/// Without such a run nothing is counted.
#[test]
fn other_runs_count_nothing_at_leaves() {
    let owner = Shop::open().owner();
    let plan = owner.planned_once("SELECT count(*) FROM visits").unwrap();
    owner.run(Arc::clone(&plan)).unwrap();
    assert_eq!(leaf_of(&plan).unwrap().metrics().unwrap().output_rows(), None);
}

/// How far an open table is read beside one that hides rows may depend on how long the hidden rows took, where a node ends as soon as it
/// has enough.
#[test]
fn what_races_against_hidden_rows_is_for_operators() {
    let clerk = Shop::open().clerk();
    for (sql, leaf, is_told) in [
        ("SELECT id FROM regions UNION ALL SELECT id FROM visits LIMIT 1", "GovernedScan: regions", false),
        ("SELECT id FROM regions UNION ALL SELECT id FROM visits", "GovernedScan: regions", true),
        // Nothing is hidden of these.
        ("SELECT id FROM regions UNION ALL SELECT id || 'x' FROM regions LIMIT 1", "GovernedScan: regions", true),
        (
            "SELECT id FROM regions WHERE id NOT IN (SELECT region_id FROM visits WHERE region_id IS NOT NULL)",
            "GovernedScan: regions",
            true,
        ),
    ] {
        let (lines, withholds) = ran(&clerk, sql, false);
        assert_eq!((of(&lines, leaf).is_some(), withholds), (is_told, !is_told), "{sql}: {lines:?}");
        let (lines, withholds) = ran(&clerk, sql, true);
        assert!(of(&lines, leaf).is_some() && !withholds, "{sql}: {lines:?}");
    }
}
