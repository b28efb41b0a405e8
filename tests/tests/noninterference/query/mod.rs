//! Random SQL over the tables that a principal sees: every clause, and expressions that fail on some rows only.
//!
//! Texts carry marks for shrinking: `⟦x⟧` may be dropped, `⟨x⟩` may become `true`. Answers are determined by the data:
//! whatever depends on an order that SQL leaves open is ordered by everything, or only counted.

mod aggregates;
mod blocks;
mod expressions;

use crate::rule::Kind;
use crate::world::SeenTable;
use querygate_tests::harness::Rng;
use serde_json::Value;

/// Type of an expression, as far as the generator cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ty {
    Text,
    Float,
    Int,
    Big,
    Money,
    Bool,
    Date,
    Instant,
    Tags,
}

impl From<Kind> for Ty {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Number => Self::Float,
            Kind::Int => Self::Int,
            Kind::Money => Self::Money,
            Kind::Bool => Self::Bool,
            Kind::Date => Self::Date,
            Kind::Instant => Self::Instant,
            Kind::Tags => Self::Tags,
        }
    }
}

/// How two answers to a query are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Ordered,
    Multiset,
    /// Which rows is open; how many is not.
    Count,
}

#[derive(Debug, Clone)]
struct Col {
    sql: String,
    ty: Ty,
    id: bool,
}

struct Source {
    sql: String,
    cols: Vec<Col>,
}

pub(crate) struct Generator<'a> {
    pub(crate) rng: &'a mut Rng,
    pub(crate) tables: &'a [SeenTable],
    /// Hidden columns, to be asked for now and then.
    pub(crate) unseen: &'a [(String, String)],
    /// Literals worth trying: values of hidden rows and masked columns among them.
    pub(crate) probes: &'a [Value],
    aliases: usize,
    /// Values of `$1…`, when the statement has parameters.
    parameters: Option<Vec<String>>,
}

/// A statement of the generator.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// With the marks for shrinking.
    pub(crate) text: String,
    pub(crate) parameters: Vec<String>,
    pub(crate) compare: Compare,
}

const SCALARS: [Ty; 7] = [Ty::Text, Ty::Float, Ty::Int, Ty::Money, Ty::Bool, Ty::Date, Ty::Instant];

impl<'a> Generator<'a> {
    pub(crate) fn new(
        rng: &'a mut Rng,
        tables: &'a [SeenTable],
        unseen: &'a [(String, String)],
        probes: &'a [Value],
    ) -> Self {
        let parameters = if rng.percent(12) { Some(Vec::new()) } else { None };
        Self { rng, tables, unseen, probes, aliases: 0, parameters }
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("a{}", self.aliases)
    }

    /// A whole statement.
    pub(crate) fn query(mut self) -> Query {
        let (text, compare) = self.statement();
        Query { text, parameters: self.parameters.unwrap_or_default(), compare }
    }

    fn statement(&mut self) -> (String, Compare) {
        match self.rng.below(100) {
            0..=9 => self.set_operation(),
            10..=21 => self.with(),
            22..=24 => self.recursive(),
            25..=27 => self.probe_hidden(),
            28..=30 => self.whole_table(),
            _ => {
                let (sql, types) = self.select(&[], None, 2);
                self.finish(sql, &types)
            }
        }
    }

    /// Order and limit, so that the answer is determined.
    fn finish(&mut self, sql: String, types: &[Ty]) -> (String, Compare) {
        let sortable = types.iter().all(|t| *t != Ty::Tags);
        match self.rng.below(10) {
            0..=2 if sortable => {
                let direction = *self.rng.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
                let keys: Vec<String> = (1..=types.len()).map(|n| format!("{n}{direction}")).collect();
                let limit = match self.rng.below(3) {
                    0 => String::new(),
                    1 => format!(" LIMIT {}", self.rng.below(6)),
                    _ => format!(" LIMIT {} OFFSET {}", self.rng.below(6), self.rng.below(5)),
                };
                (format!("{sql} ORDER BY {}{limit}", keys.join(", ")), Compare::Ordered)
            }
            3 => (format!("{sql} LIMIT {}", self.rng.below(6)), Compare::Count),
            4 => (format!("SELECT count(*) FROM ({sql}) q"), Compare::Ordered),
            _ => (sql, Compare::Multiset),
        }
    }
}

/// The text without marks.
pub(crate) fn plain(marked: &str) -> String {
    marked.replace(['⟦', '⟧', '⟨', '⟩'], "")
}

/// Shorter texts: each with one marked part dropped.
pub(crate) fn smaller(marked: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, char)> = Vec::new();
    for (at, c) in marked.char_indices() {
        match c {
            '⟦' | '⟨' => open.push((at, c)),
            '⟧' | '⟩' => {
                if let Some((start, opened)) = open.pop() {
                    let rest = &marked[at + c.len_utf8()..];
                    let with = if opened == '⟦' { "" } else { "true" };
                    found.push(format!("{}{with}{rest}", &marked[..start]));
                }
            }
            _ => {}
        }
    }
    found.sort_by_key(String::len);
    found
}
