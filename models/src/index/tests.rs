//! The search against a planner of a few lines, whose best answer is known.

use super::*;

/// Sequential scans cost a row each; an index costs the rows that its usable prefix leaves, a quarter of that when it covers.
struct Toy<'a> {
    workload: &'a Workload,
    tells: bool,
    questions: usize,
    /// Its time is over after so many.
    most: usize,
    /// A column of the first table by which each row is found without an index.
    key: Option<usize>,
}

impl CostOracle for Toy<'_> {
    type Error = std::convert::Infallible;

    fn cost(&mut self, statement: usize, indexes: &[&Index]) -> Result<Answer, Self::Error> {
        self.questions += 1;
        let (mut cost, mut used) = (0.0, Vec::new());
        for access in &self.workload.statements[statement].accesses {
            let table = &self.workload.tables[access.table];
            let plans = indexes.iter().enumerate().filter(|(_, index)| index.table == access.table);
            let best = plans
                .filter(|(_, index)| index.predicate.is_none_or(|predicate| access.implies.contains(&predicate)))
                .map(|(place, index)| (scan(self.workload, access, index), place))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            match best {
                Some((with, place)) if with < table.rows => {
                    cost += with;
                    used.push(place);
                }
                _ => cost += table.rows,
            }
        }
        Ok(Answer { cost, planned: None, worst: None, used: self.tells.then_some(used) })
    }

    fn admits(&self, index: &Index) -> bool {
        index.table != 0 || self.key.is_none() || self.key != index.keys.first().copied()
    }

    fn is_spent(&self) -> bool {
        self.questions >= self.most
    }
}

fn scan(workload: &Workload, access: &Access, index: &Index) -> f64 {
    let table = &workload.tables[access.table];
    let mut rows = table.rows * index.predicate.map_or(1.0, |predicate| workload.predicates[predicate].selectivity);
    let mut useful = index.predicate.is_some();
    for key in &index.keys {
        if access.equal.contains(key) || access.join.contains(key) {
            rows /= table.columns[*key].distinct;
            useful = true;
        } else {
            if access.range.contains(key) {
                rows *= 0.2;
                useful = true;
            }
            break;
        }
    }
    if index.covers(&access.output) {
        10.0 + rows / 4.0
    } else if useful {
        10.0 + rows.max(1.0) * 1.5
    } else {
        f64::INFINITY
    }
}

fn table(rows: f64, distinct: &[f64]) -> Table {
    let columns =
        distinct.iter().map(|distinct| Column { width: 4.0, align: 4, distinct: *distinct, nulls: 0.0, dedupes: true });
    Table { rows, columns: columns.collect(), inserts: 0.0, updates: Vec::new() }
}

fn statement(weight: f64, access: Access) -> Statement {
    let mut access = access;
    let used = [&access.equal, &access.range, &access.join, &access.order].map(Clone::clone).concat();
    access.output.extend(used);
    Statement { weight, accesses: vec![access] }
}

fn equal(table: usize, columns: &[usize]) -> Access {
    Access { table, equal: columns.to_vec(), output: vec![5], ..Access::default() }
}

fn workload() -> Workload {
    Workload {
        tables: vec![
            table(1e6, &[1e6, 1000.0, 50.0, 4.0, 2000.0, 1e5]),
            table(1e5, &[1e5, 10.0, 300.0, 7.0, 2.0, 1e4]),
        ],
        predicates: vec![Predicate { table: 0, selectivity: 0.02 }],
        statements: vec![
            statement(50.0, equal(0, &[0])),
            statement(5.0, equal(0, &[1, 2])),
            statement(3.0, Access { range: vec![4], ..equal(0, &[3]) }),
            statement(20.0, equal(1, &[2])),
            statement(1.0, Access { join: vec![1], ..equal(1, &[3]) }),
        ],
    }
}

fn toy(workload: &Workload) -> Toy<'_> {
    Toy { workload, tells: true, questions: 0, most: usize::MAX, key: None }
}

fn find(workload: &Workload, settings: Settings) -> Advice {
    advise(workload, toy(workload), settings).unwrap()
}

#[test]
fn columns_are_put_together_and_the_most_useful_index_comes_first() {
    let workload = workload();
    let advice = find(&workload, Settings { include: false, ..Settings::default() });
    assert_eq!(advice.suggestions[0].index, Index::on(0, &[0]));
    let together = advice.suggestions.iter().any(|one| one.index.keys.len() == 2 && one.index.covers(&[1, 2]));
    assert!(together, "{advice:?}");
    assert!(advice.after < 0.02 * advice.before);
    assert!(advice.suggestions.iter().all(|one| one.benefit > 0.0 && !one.statements.is_empty()));
}

#[test]
fn what_may_not_be_suggested_is_not_and_that_is_told() {
    let workload = workload();
    let advice = advise(&workload, Toy { key: Some(0), ..toy(&workload) }, Settings::default()).unwrap();
    let by_key = |index: &Index| index.table == 0 && index.keys.first() == Some(&0);
    assert!(!advice.suggestions.is_empty(), "{advice:?}");
    assert!(!advice.suggestions.iter().any(|one| by_key(&one.index)), "{advice:?}");
    let told = advice.rejected.iter().find(|one| by_key(&one.index)).unwrap();
    assert_eq!(told.why, WhyNot::NotAdmitted);
}

#[test]
fn every_budget_is_kept_and_more_budget_is_never_worse() {
    let workload = workload();
    let mut last = f64::INFINITY;
    for megabytes in [0.0, 1.0, 8.0, 16.0, 24.0, 40.0, 100.0] {
        let budget = megabytes * 1e6;
        for width in 1..=4 {
            let advice = find(&workload, Settings { budget, width, ..Settings::default() });
            assert!(advice.bytes <= budget);
            assert!(advice.suggestions.iter().all(|one| one.index.keys.len() <= width));
            if width == 4 {
                assert!(advice.after <= last * 1.000_001, "{megabytes} MB: {} after {last}", advice.after);
                last = advice.after;
            }
        }
    }
}

/// All sets of single-column indexes within the budget.
#[test]
fn the_result_is_as_good_as_trying_all_sets_of_one_column() {
    let workload = workload();
    let columns: Vec<Index> = (0..2).flat_map(|table| (0..5).map(move |column| Index::on(table, &[column]))).collect();
    for megabytes in [3.0, 8.0, 15.0, 30.0] {
        let budget = megabytes * 1e6;
        let mut best = f64::INFINITY;
        for mask in 0..1u32 << columns.len() {
            let set: Vec<&Index> = (0..columns.len()).filter(|at| mask >> at & 1 == 1).map(|at| &columns[at]).collect();
            if set.iter().map(|index| size(&workload, index)).sum::<f64>() > budget {
                continue;
            }
            let mut oracle = toy(&workload);
            let cost = |at: usize, one: &Statement| one.weight * oracle.cost(at, &set).unwrap().cost;
            let mut cost = cost;
            best = best.min(workload.statements.iter().enumerate().map(|(at, one)| cost(at, one)).sum());
        }
        let settings = Settings { budget, width: 1, include: false, least_benefit: 0.0, ..Settings::default() };
        let advice = find(&workload, settings);
        assert!(advice.after <= best * 1.000_001, "{megabytes} MB: {} against {best}", advice.after);
    }
}

#[test]
fn exchanges_never_make_extend_worse_and_what_the_planner_tells_saves_questions() {
    let workload = workload();
    for megabytes in [5.0, 12.0, 20.0] {
        let settings = Settings { budget: megabytes * 1e6, ..Settings::default() };
        let extend = find(&workload, Settings { rounds: 0, ..settings });
        let advice = find(&workload, settings);
        assert!(advice.after <= extend.after * 1.000_001);
        let silent = advise(&workload, Toy { tells: false, ..toy(&workload) }, settings).unwrap();
        assert_eq!(silent.after.to_bits(), advice.after.to_bits());
        assert!(advice.questions <= silent.questions);
        assert_eq!(find(&workload, settings), advice, "the same input gives the same advice");
    }
}

#[test]
fn a_search_whose_time_is_over_gives_what_it_found() {
    let workload = workload();
    let all = find(&workload, Settings::default());
    let advice = advise(&workload, Toy { most: 12, ..toy(&workload) }, Settings::default()).unwrap();
    assert!(!advice.suggestions.is_empty() && advice.rejected.is_empty(), "{advice:?}");
    assert!(advice.after < advice.before && advice.questions < all.questions / 2, "{advice:?}");
}

#[test]
fn a_policy_index_is_built_where_all_readers_are_behind_the_wall() {
    let mut workload = workload();
    for statement in &mut workload.statements {
        for access in statement.accesses.iter_mut().filter(|access| access.table == 0) {
            access.implies = vec![0];
        }
    }
    let advice = find(&workload, Settings { budget: 2e6, ..Settings::default() });
    assert!(advice.suggestions.iter().any(|one| one.index.predicate == Some(0)), "{advice:?}");
    let only =
        |index: &Index| index.predicate.is_none_or(|predicate| workload.predicates[predicate].table == index.table);
    assert!(advice.suggestions.iter().all(|one| only(&one.index)));
}

#[test]
fn writes_are_counted_and_rejections_have_their_reason() {
    let mut workload = workload();
    workload.tables[1].inserts = 1e9;
    let advice = find(&workload, Settings { budget: 30e6, include: false, ..Settings::default() });
    assert!(advice.suggestions.iter().all(|one| one.index.table == 0));
    let why = |index: &Index| advice.rejected.iter().find(|one| one.index == *index).map(|one| &one.why);
    assert!(matches!(why(&Index::on(1, &[2])), Some(WhyNot::Writes { .. })), "{:?}", advice.rejected);
    let small = find(&workload, Settings { budget: 1e4, ..Settings::default() });
    assert!(small.suggestions.is_empty());
    assert!(small.rejected.iter().any(|one| one.why == WhyNot::TooLarge));
    // Every obvious index is suggested or has a reason.
    assert!(advice.rejected.iter().all(|one| advice.suggestions.iter().all(|other| other.index != one.index)));
}

#[test]
fn questions_are_bounded() {
    let workload = workload();
    for questions in [0, 10, 50] {
        let settings = Settings { questions, ..Settings::default() };
        let advice = find(&workload, settings);
        // The first pass over the statements, the explanation and one last state are beyond the bound.
        assert!(advice.questions <= questions + 30, "{} for {questions}", advice.questions);
    }
}

#[test]
fn what_refers_to_nothing_is_refused() {
    let check = |change: &dyn Fn(&mut Workload), settings: Settings| {
        let mut workload = workload();
        change(&mut workload);
        let refused = advise(&workload, toy(&self::workload()), settings);
        assert!(matches!(refused, Err(SearchError::Workload | SearchError::Settings)));
    };
    check(&|workload| workload.statements[0].accesses[0].table = 9, Settings::default());
    check(&|workload| workload.statements[0].accesses[0].equal.push(6), Settings::default());
    check(&|workload| workload.statements[3].accesses[0].implies.push(0), Settings::default());
    check(&|workload| workload.statements[0].weight = f64::NAN, Settings::default());
    check(&|_| (), Settings { width: 5, ..Settings::default() });
    check(&|_| (), Settings { budget: f64::NAN, ..Settings::default() });
}
