//! Runs the queries of one world on every layout and judges the answers.

use crate::oracle::{Beside, Oracle};
use crate::query::{Compare, Generator, Query, plain, smaller};
use crate::rule::cell;
use crate::totals::Totals;
use crate::world::{self, SENTINEL};
use querygate_tests::harness::{Answer, Client, Fixture, Layout, Rng, TestGate};
use querygate_types::principal::Principal;
use serde_json::Value;
use std::cell::OnceCell;
use std::sync::Arc;

/// A gate with an open session.
struct Side {
    client: Client,
    gate: TestGate,
}

impl Side {
    fn new(fixture: &Fixture, place: &dyn Fn(&str) -> Layout, who: &Principal) -> Self {
        let gate = TestGate::placed(fixture, place);
        Self { client: gate.client(who), gate }
    }

    fn run(&self, query: &Query) -> Answer {
        run(&self.client, query)
    }
}

fn run(client: &Client, query: &Query) -> Answer {
    let sql = plain(&query.text);
    let once = || if query.parameters.is_empty() { client.run(&sql) } else { client.run_with(&sql, &query.parameters) };
    // Some are asked so often that a plan which was kept gives the answer.
    for _ in 0..if sql.len().is_multiple_of(REPEATED) { KEPT_AFTER } else { 0 } {
        let _before = once();
    }
    once()
}

/// One statement of so many is asked again and again, and so many times before its plan is kept.
const REPEATED: usize = 6;
const KEPT_AFTER: usize = 3;

/// Objects by layout: all in one, or spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    One(Layout),
    Spread([Layout; 4], usize),
}

impl Place {
    fn name(self) -> String {
        match self {
            Self::One(layout) => layout.name().to_owned(),
            Self::Spread(..) => "spread".to_owned(),
        }
    }

    fn of(self, object: &str) -> Layout {
        match self {
            Self::One(layout) => layout,
            Self::Spread(layouts, from) => {
                let n: usize = object.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
                layouts[(n + from) % layouts.len()]
            }
        }
    }
}

/// A world with its gates, as one principal sees it.
pub(crate) struct World {
    name: String,
    world: world::World,
    reference: Side,
    reference_place: Place,
    /// Where servers are under test: another engine over the reduced copy.
    oracle: Option<Oracle>,
    governed: Vec<(Place, Arc<Side>, Client)>,
    /// Made when needed: the same principal over the reduced rows; nobody's policy over the same layout.
    twins: Vec<OnceCell<Side>>,
    plain: Vec<OnceCell<Side>>,
    /// Whether rows that hold a mark of hidden ones are visible to this user: they are marked by what the first user sees.
    sees_marks: bool,
    /// Another user of the same gates.
    another: Option<Box<World>>,
}

impl World {
    pub(crate) fn random(rng: &mut Rng, seed: u64, n: u64) -> Self {
        Self::over(rng, seed, n, &Layout::ALL)
    }

    /// With all objects in each of these layouts, and sometimes spread.
    pub(crate) fn over(rng: &mut Rng, seed: u64, n: u64, layouts: &[Layout]) -> Self {
        let world = loop {
            let world = world::World::random(rng);
            if world.objects.iter().any(|o| o.readable) {
                break world;
            }
        };
        let servers: Vec<Layout> = layouts.iter().copied().filter(|layout| layout.is_server()).collect();
        let mut places: Vec<Place> = layouts.iter().map(|l| Place::One(*l)).collect();
        if rng.percent(50) {
            let mut spread = [Layout::Sqlite, Layout::Parquet, Layout::OtherSqlite, Layout::Memory];
            for (place, server) in spread.iter_mut().zip(&servers) {
                *place = *server;
            }
            places.push(Place::Spread(spread, rng.below(4)));
        }
        let mut fixture = world.governed();
        // A real server computes, and so does the gate.
        fixture.verify_sample = if servers.is_empty() { 0.0 } else { 1.0 };
        let gates = places.iter().map(|p| (*p, Arc::new(Side::new(&fixture, &|o| p.of(o), &world.who))));
        let gates: Vec<(Place, Arc<Side>)> = gates.collect();
        let another = world.seen_by_another(rng);
        let name = format!("seed {seed} world {n}");
        let mut made = Self::of(rng, &name, world, &gates);
        if rng.percent(60) {
            made.another = Some(Box::new(Self::of(rng, &format!("{name}, the other user"), another, &gates)));
        }
        made
    }

    fn of(rng: &mut Rng, name: &str, world: world::World, gates: &[(Place, Arc<Side>)]) -> Self {
        let reference_place = rng.pick(gates).0;
        let governed = gates.iter().map(|(p, side)| (*p, Arc::clone(side), side.gate.client(&world.who)));
        let servers = gates.iter().any(|(place, _)| matches!(place, Place::One(layout) if layout.is_server()));
        Self {
            oracle: if servers { Oracle::over(&world.reduced()) } else { None },
            name: name.to_owned(),
            governed: governed.collect(),
            sees_marks: world.reduced().tables.iter().any(|t| t.rows.iter().any(has_mark)),
            reference: Side::new(&world.reduced(), &|o| reference_place.of(o), &open()),
            reference_place,
            twins: gates.iter().map(|_| OnceCell::new()).collect(),
            plain: gates.iter().map(|_| OnceCell::new()).collect(),
            another: None,
            world,
        }
    }

    pub(crate) fn check(&self, rng: &mut Rng, queries: u64) -> Totals {
        let mut totals = Totals::default();
        let (seen, unseen, probes) = (self.world.seen(), self.world.unseen(), self.probes(rng));
        for n in 0..queries {
            let mut own = Rng::part(rng.next(), n);
            let query = Generator::new(&mut own, &seen, &unseen, &probes).query();
            match &self.another {
                Some(another) if n % 4 == 3 => another.case(n, &query, &mut totals),
                // One text, both users, one after the other: a kept plan must serve each with the own policy.
                Some(another) if n % 8 == 0 => {
                    self.case(n, &query, &mut totals);
                    another.case(n, &query, &mut totals);
                }
                _ => self.case(n, &query, &mut totals),
            }
            if n % 8 == 4 {
                // Once more, from whatever was kept of the first time.
                self.case(n, &query, &mut totals);
            }
        }
        for (place, side, _) in &self.governed {
            for [outcome, what, template] in side.gate.self_checks() {
                totals.self_checked += usize::from(outcome == "equal");
                if outcome == "different" {
                    totals.differences.push(format!("{}, {place:?}: self-check: {what}\n  {template}", self.name));
                }
            }
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
            let query = Generator::new(&mut own, &seen, &unseen, &probes).query();
            !same(&self.reference.run(&query), &side.run(&query), query.compare)
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

    fn case(&self, n: u64, query: &Query, totals: &mut Totals) {
        let (sql, compare) = (plain(&query.text), query.compare);
        let expected = self.reference.run(query);
        totals.cases += 1;
        match &expected {
            Answer::Failed { code, .. } => {
                *totals.errors.entry(code.clone()).or_default() += 1;
                if code == "XX000" {
                    if std::env::var_os("PRINT_CAUSES").is_some() {
                        println!("of: {sql}");
                    }
                    totals.internal.push(format!("internal, {} query {n}:\n  {sql}", self.name));
                }
            }
            Answer::Rows { rows, .. } => {
                totals.answered += 1;
                totals.nonempty += u64::from(!rows.is_empty());
            }
            Answer::Command(_) | Answer::Notice(_) => totals.answered += 1,
        }
        self.ask_postgres(n, query, &expected, totals);
        for (at, (place, _, client)) in self.governed.iter().enumerate() {
            totals.comparisons += 1;
            *totals.by_place.entry(place.name()).or_default() += 1;
            let got = run(client, query);
            let leaked = !self.sees_marks
                && got.text().contains(SENTINEL)
                && !expected.text().contains(SENTINEL)
                && !sql.contains(SENTINEL);
            if !leaked && same(&expected, &got, compare) {
                continue;
            }
            let verdict = self.judge(at, query, &got, leaked);
            match verdict {
                Verdict::PlanDependent => totals.plan_dependent += 1,
                Verdict::Internal => {
                    if std::env::var_os("PRINT_CAUSES").is_some() {
                        println!("of: {sql}");
                    }
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
                    let shrunk = self.shrink(at, query);
                    let report = format!(
                        "DIFFERENCE, {} query {n} on {place:?}\n{sql}\n{:?}\nshrunk: {}\n--- expected\n{}\n--- got\n{}\n{}\n{}",
                        self.name,
                        query.parameters,
                        plain(&shrunk.text),
                        cut(&expected),
                        cut(&got),
                        self.plans(at, query),
                        self.world.report()
                    );
                    println!("{report}");
                    totals.differences.push(report);
                }
            }
        }
    }

    /// What the gate answers without policy over the reduced copy, PostgreSQL answers too.
    fn ask_postgres(&self, n: u64, query: &Query, expected: &Answer, totals: &mut Totals) {
        let Some(oracle) = &self.oracle else { return };
        match oracle.beside(query, expected) {
            Beside::Equal => totals.alike += 1,
            Beside::Raised => totals.raised += 1,
            Beside::Refused(codes) => *totals.refused.entry(codes).or_default() += 1,
            Beside::Different(how) => {
                let report = format!(
                    "DIFFERENCE from PostgreSQL itself, {} query {n} over {:?}\n{}\n{:?}\n{how}\n{}",
                    self.name,
                    self.reference_place,
                    plain(&query.text),
                    query.parameters,
                    self.world.report()
                );
                println!("{report}");
                totals.otherwise.push(report);
            }
        }
    }

    fn judge(&self, at: usize, query: &Query, got: &Answer, leaked: bool) -> Verdict {
        if leaked {
            return Verdict::Real;
        }
        let place = self.governed[at].0;
        let reduced = self.world.reduced();
        let plain = self.plain[at].get_or_init(|| Side::new(&reduced, &|o| place.of(o), &open()));
        let expected = plain.run(query);
        if same(&expected, got, query.compare) {
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
            // Visible rows fail in several ways, and partitions race: a hidden row that is evaluated shows where visible
            // ones do not fail, which is far more often.
            (Some(a), Some(b)) if is_data_error(a) && is_data_error(b) => Verdict::PlanDependent,
            _ if self.somewhere(query, got) => Verdict::PlanDependent,
            // Which rows a LIMIT without order takes depends on the plan, and with them whether one that fails is among
            // them: without it the visible rows alone must fail so.
            (None, Some(code))
                if is_data_error(code) && without_limit(query).is_some_and(|q| self.somewhere(&q, got)) =>
            {
                Verdict::PlanDependent
            }
            _ => Verdict::Real,
        }
    }

    /// Whether the visible rows alone give this answer, on some layout, with the policies or without. Of several errors that
    /// values raise, the one that comes first is chance.
    fn somewhere(&self, query: &Query, got: &Answer) -> bool {
        let (reduced, twin) = (self.world.reduced(), self.world.twin());
        self.governed.iter().enumerate().any(|(at, (place, _, _))| {
            let plain = self.plain[at].get_or_init(|| Side::new(&reduced, &|o| place.of(o), &open()));
            let twin = self.twins[at].get_or_init(|| Side::new(&twin, &|o| place.of(o), &self.world.who));
            [plain, twin].iter().any(|side| {
                let answer = side.run(query);
                let raises = |answer: &Answer| answer.code().is_some_and(is_data_error);
                same(&answer, got, query.compare) || (raises(&answer) && raises(got))
            })
        })
    }

    /// How both sides plan a query: the governed one, and the same policies over the reduced rows.
    fn plans(&self, at: usize, query: &Query) -> String {
        let (place, _, client) = &self.governed[at];
        let twin = self.world.twin();
        let twin = self.twins[at].get_or_init(|| Side::new(&twin, &|o| place.of(o), &self.world.who));
        let explain = Query { text: format!("EXPLAIN {}", query.text), ..query.clone() };
        format!("--- plan\n{}\n--- plan over reduced rows\n{}", run(client, &explain).text(), twin.run(&explain).text())
    }

    /// The query without the parts that the difference does not need. Parameters stay as they are.
    fn shrink(&self, at: usize, query: &Query) -> Query {
        let mut best = query.clone();
        if !query.parameters.is_empty() {
            return best;
        }
        let differs = |query: &Query| {
            let got = run(&self.governed[at].2, query);
            !same(&self.reference.run(query), &got, query.compare)
                && matches!(self.judge(at, query, &got, false), Verdict::Real)
        };
        loop {
            let texts = smaller(&best.text).into_iter();
            let next = texts.map(|text| Query { text, ..best.clone() }).find(differs);
            match next {
                Some(next) => best = next,
                None => return best,
            }
        }
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
    pub(crate) fn apply(self, stack: &mut Value) {
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

/// The query with all its rows; `None` where it has no limit of its own.
fn without_limit(query: &Query) -> Option<Query> {
    let (text, limit) = query.text.rsplit_once(" LIMIT ")?;
    limit
        .bytes()
        .all(|b| b.is_ascii_digit() || b" OFSET".contains(&b))
        .then(|| Query { text: text.to_owned(), ..query.clone() })
}

fn has_mark(row: &querygate_tests::harness::Row) -> bool {
    row.values().any(|value| value.as_str().is_some_and(|text| text.contains(SENTINEL)))
}

/// The unrestricted principal of the reduced copy.
fn open() -> Principal {
    Principal::builder("open").permission_set("w_set").build()
}

/// An error that a value raises: class 22, and the cardinality violation. 54000: a result that is too large, or a character that is none.
fn is_data_error(code: &str) -> bool {
    code.starts_with("22") || code == "21000" || code == "54000"
}

fn both_data_errors(a: &Answer, b: &Answer) -> bool {
    let data = |answer: &Answer| answer.code().is_none_or(is_data_error);
    data(a) && data(b) && (a.code().is_some() || b.code().is_some())
}

/// Sums of doubles depend in their last digits on the order of their rows, which the plan decides.
fn same(expected: &Answer, got: &Answer, compare: Compare) -> bool {
    equal(expected, got, compare) || equal(&rounded(expected), &rounded(got), compare)
}

/// Doubles with twelve digits.
fn rounded(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    if let Answer::Rows { types, rows, .. } = &mut answer {
        for row in rows {
            for (cell, _) in row.iter_mut().zip(&*types).filter(|(_, of)| of.as_str() == "float8") {
                *cell = cell.take().map(|text| text.parse::<f64>().map_or(text, |number| format!("{number:.11e}")));
            }
        }
    }
    answer
}

fn equal(expected: &Answer, got: &Answer, compare: Compare) -> bool {
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
