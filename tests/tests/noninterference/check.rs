//! Runs the queries of one world on every layout and judges the answers.

use crate::query::{Compare, Generator, plain, smaller};
use crate::rule::cell;
use crate::world::{self, SENTINEL};
use querygate_tests::harness::{Answer, Client, Fixture, Layout, Rng, TestGate};
use querygate_types::Principal;
use serde_json::Value;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;

/// What a run found.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    cases: u64,
    comparisons: u64,
    /// Cases that answer.
    answered: u64,
    /// Cases that answer with at least one row.
    nonempty: u64,
    /// Error codes on both sides.
    errors: BTreeMap<String, u64>,
    /// Both sides answer, and the same principal over the reduced rows agrees with the governed side: the error comes
    /// from visible rows and from the plan.
    plan_dependent: u64,
    /// The layouts differ among themselves without any governance: in which error comes first.
    layout_errors: u64,
    /// The same in anything else: a fault of the engine, though no leak.
    layout_dependent: Vec<String>,
    /// Statements that fail inside the engine, on both sides.
    internal: Vec<String>,
    differences: Vec<String>,
}

impl Totals {
    pub(crate) fn real(&self) -> usize {
        self.differences.len()
    }

    pub(crate) fn nonempty(&self) -> u64 {
        self.nonempty
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.comparisons += other.comparisons;
        self.answered += other.answered;
        self.nonempty += other.nonempty;
        self.plan_dependent += other.plan_dependent;
        self.layout_errors += other.layout_errors;
        self.internal.extend(other.internal);
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.layout_dependent.extend(other.layout_dependent);
        self.differences.extend(other.differences);
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} cases, {} comparisons: {} cases answer, {} with rows, errors on both sides {:?}, {} errors that depend on the plan, {} on the layout, {} other layout differences without governance, {} internal errors, {} differences",
            self.cases,
            self.comparisons,
            self.answered,
            self.nonempty,
            self.errors,
            self.plan_dependent,
            self.layout_errors,
            self.layout_dependent.len(),
            self.internal.len(),
            self.differences.len()
        )?;
        let faults = self.layout_dependent.iter().take(20).chain(self.internal.iter().take(20));
        faults.into_iter().try_for_each(|text| writeln!(f, "{text}"))
    }
}

/// A gate with an open session.
struct Side {
    client: Client,
    _gate: TestGate,
}

impl Side {
    fn new(fixture: &Fixture, place: &dyn Fn(&str) -> Layout, who: &Principal) -> Self {
        let gate = TestGate::placed(fixture, place);
        Self { client: gate.client(who), _gate: gate }
    }
}

/// Objects by layout: all in one, or spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    One(Layout),
    Spread(usize),
}

impl Place {
    fn of(self, object: &str) -> Layout {
        const ORDER: [Layout; 4] = [Layout::Sqlite, Layout::Parquet, Layout::OtherSqlite, Layout::Memory];
        match self {
            Self::One(layout) => layout,
            Self::Spread(from) => {
                let n: usize = object.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
                ORDER[(n + from) % ORDER.len()]
            }
        }
    }
}

/// A world with its gates.
pub(crate) struct World {
    name: String,
    world: world::World,
    reference: Side,
    reference_place: Place,
    governed: Vec<(Place, Side)>,
    /// Made when needed: the same principal over the reduced rows; nobody's policy over the same layout.
    twins: Vec<OnceCell<Side>>,
    plain: Vec<OnceCell<Side>>,
}

impl World {
    pub(crate) fn random(rng: &mut Rng, seed: u64, n: u64) -> Self {
        let world = loop {
            let world = world::World::random(rng);
            if world.objects.iter().any(|o| o.readable) {
                break world;
            }
        };
        let mut places: Vec<Place> = Layout::ALL.iter().map(|l| Place::One(*l)).collect();
        if rng.percent(50) {
            places.push(Place::Spread(rng.below(4)));
        }
        let reference_place = *rng.pick(&places);
        let governed = world.governed();
        let governed = places.iter().map(|p| (*p, Side::new(&governed, &|o| p.of(o), &world.who))).collect();
        let reference = Side::new(&world.reduced(), &|o| reference_place.of(o), &open());
        Self {
            name: format!("seed {seed} world {n}"),
            reference,
            reference_place,
            governed,
            twins: places.iter().map(|_| OnceCell::new()).collect(),
            plain: places.iter().map(|_| OnceCell::new()).collect(),
            world,
        }
    }

    pub(crate) fn check(&self, rng: &mut Rng, queries: u64) -> Totals {
        let mut totals = Totals::default();
        let (seen, unseen, probes) = (self.world.seen(), self.world.unseen(), self.probes(rng));
        for n in 0..queries {
            let mut own = Rng::part(rng.next(), n);
            let (sql, compare) = Generator::new(&mut own, &seen, &unseen, &probes).statement();
            self.case(n, &sql, compare, &mut totals);
        }
        totals
    }

    /// Queries that notice a gate which forgets a rule.
    pub(crate) fn noticed(&self, rng: &mut Rng, sabotage: Sabotage, queries: u64) -> usize {
        let mut fixture = self.world.governed();
        sabotage.apply(&mut fixture.stack);
        let side = Side::new(&fixture, &|_| Layout::Memory, &self.world.who);
        let (seen, unseen, probes) = (self.world.seen(), self.world.unseen(), self.probes(rng));
        let noticed = (0..queries).filter(|n| {
            let mut own = Rng::part(rng.next(), *n);
            let (sql, compare) = Generator::new(&mut own, &seen, &unseen, &probes).statement();
            let sql = plain(&sql);
            !same(&self.reference.client.run(&sql), &side.client.run(&sql), compare)
        });
        noticed.count()
    }

    /// Values of the world's cells, hidden ones among them.
    fn probes(&self, rng: &mut Rng) -> Vec<Value> {
        let mut probes = Vec::new();
        for object in &self.world.objects {
            for row in &object.rows {
                for name in row.keys() {
                    probes.extend(cell(row, name).filter(|v| v.is_string() || v.is_number()).cloned());
                }
            }
        }
        rng.shuffle(&mut probes);
        probes.truncate(40);
        probes
    }

    fn case(&self, n: u64, marked: &str, compare: Compare, totals: &mut Totals) {
        let sql = plain(marked);
        let expected = self.reference.client.run(&sql);
        totals.cases += 1;
        match &expected {
            Answer::Failed { code, .. } => {
                *totals.errors.entry(code.clone()).or_default() += 1;
                if code == "XX000" {
                    totals.internal.push(format!("internal, {} query {n}:\n  {sql}", self.name));
                }
            }
            Answer::Rows { rows, .. } => {
                totals.answered += 1;
                totals.nonempty += u64::from(!rows.is_empty());
            }
            Answer::Command(_) | Answer::Notice(_) => totals.answered += 1,
        }
        for (at, (place, side)) in self.governed.iter().enumerate() {
            totals.comparisons += 1;
            let got = side.client.run(&sql);
            let leaked =
                got.text().contains(SENTINEL) && !expected.text().contains(SENTINEL) && !sql.contains(SENTINEL);
            if !leaked && same(&expected, &got, compare) {
                continue;
            }
            let verdict = self.judge(at, &sql, compare, &got, leaked);
            match verdict {
                Verdict::PlanDependent => totals.plan_dependent += 1,
                Verdict::Internal => {
                    totals.internal.push(format!("internal on {place:?} only, {} query {n}:\n  {sql}", self.name));
                }
                Verdict::LayoutDependent(other) if both_data_errors(&other, &expected) => totals.layout_errors += 1,
                Verdict::LayoutDependent(other) => totals.layout_dependent.push(format!(
                    "layout, {} query {n} {place:?} against {:?}:\n  {sql}\n{}\n{}\n",
                    self.name,
                    self.reference_place,
                    cut(&other),
                    cut(&expected),
                )),
                Verdict::Real => {
                    let shrunk = self.shrink(at, marked, compare);
                    let report = format!(
                        "DIFFERENCE, {} query {n} on {place:?}\n{sql}\nshrunk: {}\n--- expected\n{}\n--- got\n{}\n{}",
                        self.name,
                        plain(&shrunk),
                        cut(&expected),
                        cut(&got),
                        self.world.report()
                    );
                    println!("{report}");
                    totals.differences.push(report);
                }
            }
        }
    }

    fn judge(&self, at: usize, sql: &str, compare: Compare, got: &Answer, leaked: bool) -> Verdict {
        if leaked {
            return Verdict::Real;
        }
        let place = self.governed[at].0;
        let reduced = self.world.reduced();
        let plain = self.plain[at].get_or_init(|| Side::new(&reduced, &|o| place.of(o), &open()));
        let expected = plain.client.run(sql);
        if same(&expected, got, compare) {
            return Verdict::LayoutDependent(expected);
        }
        if [&expected, got].iter().any(|answer| answer.code() == Some("XX000")) {
            return Verdict::Internal;
        }
        // Rows against other rows are a difference whatever the plan.
        match (expected.code(), got.code()) {
            (None, None) => Verdict::Real,
            // Which rows raise, and which error comes first, depends on the order of evaluation, so on the plan. An error
            // that the visible rows alone give too, under some plan, tells nothing of hidden ones; one that is not
            // raised evaluates nothing at all.
            (Some(code), None) if is_data_error(code) => Verdict::PlanDependent,
            _ if self.somewhere(sql, compare, got) => Verdict::PlanDependent,
            _ => Verdict::Real,
        }
    }

    /// Whether the visible rows alone give this answer, on some layout, with the policies or without.
    fn somewhere(&self, sql: &str, compare: Compare, got: &Answer) -> bool {
        let (reduced, twin) = (self.world.reduced(), self.world.twin());
        self.governed.iter().enumerate().any(|(at, (place, _))| {
            let plain = self.plain[at].get_or_init(|| Side::new(&reduced, &|o| place.of(o), &open()));
            let twin = self.twins[at].get_or_init(|| Side::new(&twin, &|o| place.of(o), &self.world.who));
            [plain, twin].iter().any(|side| same(&side.client.run(sql), got, compare))
        })
    }

    fn shrink(&self, at: usize, marked: &str, compare: Compare) -> String {
        let differs = |marked: &str| {
            let sql = plain(marked);
            let got = self.governed[at].1.client.run(&sql);
            !same(&self.reference.client.run(&sql), &got, compare)
                && matches!(self.judge(at, &sql, compare, &got, false), Verdict::Real)
        };
        let mut best = marked.to_owned();
        while let Some(next) = smaller(&best).into_iter().find(|text| differs(text)) {
            best = next;
        }
        best
    }
}

/// A rule that a sabotaged gate forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    RowPolicies,
    Owners,
    Masks,
    Fields,
}

impl Sabotage {
    fn apply(self, stack: &mut Value) {
        let objects = stack["objects"].as_array().map_or(0, Vec::len);
        match self {
            Self::RowPolicies => stack["permissions"][0]["rowLevelSecurity"] = Value::from(Vec::<Value>::new()),
            Self::Fields => stack["permissions"][0]["fields"] = Value::Object(serde_json::Map::new()),
            Self::Owners => {
                stack["sharingRules"] = Value::from(Vec::<Value>::new());
                (0..objects).for_each(|n| stack["objects"][n]["sharingModel"] = "public_read_write".into());
            }
            Self::Masks => {
                for object in stack["objects"].as_array_mut().into_iter().flatten() {
                    for field in object["fields"].as_object_mut().into_iter().flatten() {
                        let field = field.1.as_object_mut().unwrap();
                        field.remove("maskingRule");
                        field.remove("requiredPermissions");
                    }
                }
            }
        }
    }
}

enum Verdict {
    Real,
    /// The engine refuses to plan or to run on one side, with a fixed text: a fault of it, but nothing is told.
    Internal,
    PlanDependent,
    LayoutDependent(Answer),
}

/// The unrestricted principal of the reduced copy.
fn open() -> Principal {
    Principal::builder("open").permission_set("w_set").build()
}

/// Class 22 and the cardinality violation: raised by rows.
fn is_data_error(code: &str) -> bool {
    code.starts_with("22") || code == "21000"
}

fn both_data_errors(a: &Answer, b: &Answer) -> bool {
    let data = |answer: &Answer| answer.code().is_none_or(is_data_error);
    data(a) && data(b) && (a.code().is_some() || b.code().is_some())
}

fn same(expected: &Answer, got: &Answer, compare: Compare) -> bool {
    match (expected, got) {
        (Answer::Failed { code: a, message: x, .. }, Answer::Failed { code: b, message: y, .. }) => {
            a == b && (x == y || is_data_error(a))
        }
        (Answer::Rows { columns: a, types: s, rows: x }, Answer::Rows { columns: b, types: t, rows: y }) => {
            a == b
                && s == t
                && match compare {
                    Compare::Ordered => x == y,
                    Compare::Multiset => expected.clone().sorted() == got.clone().sorted(),
                    Compare::Count => x.len() == y.len(),
                }
        }
        _ => expected == got,
    }
}

fn cut(answer: &Answer) -> String {
    let text = answer.text();
    text.lines().take(40).collect::<Vec<_>>().join("\n")
}
