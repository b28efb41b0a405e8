//! The sub-plans that predictions are combinations of, and how like them another one is. Knows encoded sub-plans, no targets.

use super::encode::{Encoded, Encoder, SHAPE};
use crate::matrix::{Matrix, dot};
use crate::numeric;
use serde::{Deserialize, Serialize};

/// `k(a, b)` as a sum of what tables, joins and pairs of equated columns have in common (linear, so that effects add up on graphs
/// never seen), how like the graphs are, how like the ranges are in all and on each table that both have, and products of these. The
/// weights are round numbers on purpose: results hardly depend on them.
///
/// Many centers have the same graph, and many the same ranges on a table: each of these is compared once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Centers {
    graphs: Matrix,
    /// Pairs of each graph.
    pairs: Matrix,
    graph_lengths: Vec<f64>,
    /// The graph of each center.
    graph_of: Vec<u32>,
    ranks: Matrix,
    rank_lengths: Vec<f64>,
    estimates: Vec<f64>,
    /// The columns of each table.
    columns: Vec<Vec<u32>>,
    /// Ranges on one table.
    profiles: Vec<Profile>,
    /// Profiles of each center, with how often the table occurs.
    profiles_of: Vec<Vec<(u32, f64)>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Profile {
    table: u32,
    ranks: Vec<f64>,
}

/// What tables and joins have in common, and what the shape.
fn graph_products(a: &[f64], b: &[f64]) -> [f64; 2] {
    let tokens = a.len().saturating_sub(SHAPE);
    [dot(&a[..tokens], &b[..tokens]), dot(&a[tokens..], &b[tokens..])]
}

fn graph_length(graph: &[f64]) -> f64 {
    let [tokens, shape] = graph_products(graph, graph);
    tokens + 0.5 * shape
}

impl Centers {
    pub(crate) fn new(rows: &[&Encoded], chosen: &[usize], columns: Vec<Vec<u32>>) -> Option<Self> {
        let first = rows.first()?;
        let mut centers = Self {
            graphs: Matrix::new(first.graph.len()),
            pairs: Matrix::new(first.pairs.len()),
            graph_lengths: Vec::new(),
            graph_of: Vec::new(),
            ranks: Matrix::new(first.ranks.len()),
            rank_lengths: Vec::new(),
            estimates: Vec::new(),
            columns,
            profiles: Vec::new(),
            profiles_of: Vec::new(),
        };
        chosen.iter().for_each(|row| centers.add(rows[*row]));
        Some(centers)
    }

    fn add(&mut self, row: &Encoded) {
        // Pairs follow from joins, so that equal graphs nearly always have equal pairs.
        let same = |at: &usize| self.graphs.row(*at) == row.graph && self.pairs(*at) == row.pairs;
        let known = (0..self.graph_lengths.len()).find(same);
        let graph = known.unwrap_or_else(|| {
            self.graphs.push(&row.graph);
            self.pairs.push(&row.pairs);
            self.graph_lengths.push(graph_length(&row.graph));
            self.graph_lengths.len() - 1
        });
        self.graph_of.push(u32::try_from(graph).unwrap_or(u32::MAX));
        self.ranks.push(&row.ranks);
        self.rank_lengths.push(dot(&row.ranks, &row.ranks));
        self.estimates.push(row.estimate);
        let mut held = Vec::new();
        for (table, (columns, count)) in
            (0_u32..).zip(self.columns.iter().zip(&row.graph)).filter(|(_, (_, n))| **n > 0.0)
        {
            let profile = Profile { table, ranks: ranks_on(columns, row) };
            let known = self.profiles.iter().position(|other| *other == profile);
            let at = known.unwrap_or_else(|| {
                self.profiles.push(profile);
                self.profiles.len() - 1
            });
            held.push((u32::try_from(at).unwrap_or(u32::MAX), *count));
        }
        self.profiles_of.push(held);
    }

    pub(crate) fn len(&self) -> usize {
        self.estimates.len()
    }

    fn ranks(&self, at: usize) -> &[f64] {
        if self.ranks.width() == 0 { &[] } else { self.ranks.row(at) }
    }

    fn pairs(&self, at: usize) -> &[f64] {
        if self.pairs.width() == 0 { &[] } else { self.pairs.row(at) }
    }

    /// The kernel between a sub-plan and each center.
    pub(crate) fn against(&self, row: &Encoded) -> Vec<f64> {
        let length = graph_length(&row.graph);
        let (mut linear, mut equated, mut like_graph) = (Vec::new(), Vec::new(), Vec::new());
        for (at, other) in self.graph_lengths.iter().enumerate() {
            let [tokens, shape] = graph_products(&row.graph, self.graphs.row(at));
            linear.push(tokens + 0.3 * shape);
            equated.push(dot(&row.pairs, self.pairs(at)));
            like_graph.push((length + other - 2.0 * (tokens + 0.5 * shape)).max(0.0) / -16.0);
        }
        numeric::exp_all(&mut like_graph);
        let length = dot(&row.ranks, &row.ranks);
        let ranges: Vec<f64> = (0..self.len()).map(|at| dot(&row.ranks, self.ranks(at))).collect();
        let distance = |(range, other): (&f64, &f64)| (length + other - 2.0 * range).max(0.0) / -4.0;
        let mut like_ranges: Vec<f64> = ranges.iter().zip(&self.rank_lengths).map(distance).collect();
        numeric::exp_all(&mut like_ranges);
        let mut like_estimate: Vec<f64> =
            self.estimates.iter().map(|other| (row.estimate - other).powi(2) / -20.0).collect();
        numeric::exp_all(&mut like_estimate);
        let like_profiles = self.like_profiles(row);
        let value = |at: usize| {
            let (graph, ranges, like_ranges) = (self.graph_of[at] as usize, ranges[at], like_ranges[at]);
            let on_tables: f64 =
                self.profiles_of[at].iter().map(|(at, count)| count * like_profiles[*at as usize]).sum();
            linear[graph] * (1.0 + 0.5 * like_ranges + 0.2 * ranges)
                + equated[graph]
                + 3.0 * like_graph[graph] * (1.0 + like_ranges)
                + 0.5 * on_tables
                + 0.5 * ranges
                + 0.5 * like_estimate[at]
                + 0.05 * (row.estimate - 10.0) * (self.estimates[at] - 10.0)
        };
        (0..self.len()).map(value).collect()
    }

    /// How like the sub-plan's ranges on a table are to each of the known ones there, times how often it has the table.
    fn like_profiles(&self, row: &Encoded) -> Vec<f64> {
        let own: Vec<Vec<f64>> = self.columns.iter().map(|columns| ranks_on(columns, row)).collect();
        let distance = |profile: &Profile| {
            let ends = own[profile.table as usize].iter().zip(&profile.ranks);
            -ends.map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
        };
        let mut like: Vec<f64> = self.profiles.iter().map(distance).collect();
        numeric::exp_all(&mut like);
        like.iter_mut().zip(&self.profiles).for_each(|(like, profile)| *like *= row.graph[profile.table as usize]);
        like
    }

    pub(crate) fn is_sound(&self, encoder: &Encoder) -> bool {
        let (graph, pairs, ranks) = (encoder.graph_width(), encoder.pairs_width(), encoder.ranks_width());
        let (centers, graphs) = (self.estimates.len(), self.graph_lengths.len());
        let finite = |values: &[f64]| values.iter().all(|v| v.is_finite());
        let widths = self.graphs.width() == graph && self.pairs.width() == pairs && self.ranks.width() == ranks;
        let rows = self.graphs.rows() == graphs
            && (pairs == 0 || self.pairs.rows() == graphs)
            && (ranks == 0 || self.ranks.rows() == centers);
        let lengths =
            [self.graph_of.len(), self.rank_lengths.len(), self.profiles_of.len()].iter().all(|len| *len == centers);
        let numbers = [&self.graph_lengths, &self.rank_lengths, &self.estimates].iter().all(|values| finite(values));
        let profile = |one: &Profile| (one.table as usize) < self.columns.len() && finite(&one.ranks);
        let held = |(at, count): &(u32, f64)| (*at as usize) < self.profiles.len() && count.is_finite();
        widths
            && rows
            && lengths
            && numbers
            && self.columns == encoder.columns_of_tables()
            && self.graph_of.iter().all(|at| (*at as usize) < graphs)
            && self.profiles.iter().all(profile)
            && self.profiles_of.iter().flatten().all(held)
            && [&self.graphs, &self.pairs, &self.ranks].iter().all(|matrix| matrix.is_finite())
    }
}

/// Ranks of a sub-plan on these columns.
fn ranks_on(columns: &[u32], row: &Encoded) -> Vec<f64> {
    columns.iter().flat_map(|column| [2 * *column as usize, 2 * *column as usize + 1]).map(|at| row.ranks[at]).collect()
}
