//! What trees must do: learn, follow quantiles, use missing values, obey monotone features, survive saving.

use super::*;
use crate::saved;

/// `y = 3 sin(a) + b²`, noise that grows with `c`, a tenth of `a` missing.
fn data(rows: u32, seed: u64) -> (Matrix, Vec<f64>) {
    let mut rng = Rng::new(seed);
    let (mut x, mut y) = (Matrix::new(4), Vec::new());
    for _ in 0..rows {
        let [a, b, c, d] = [rng.normal() * 2.0, rng.normal(), rng.unit(), rng.unit()];
        let hidden = rng.unit() < 0.1;
        x.push(&[if hidden { f64::NAN } else { a }, b, c, d]);
        y.push(if hidden { 10.0 } else { 3.0 * a.sin() + b * b } + c * rng.normal());
    }
    (x, y)
}

#[test]
fn a_surface_is_learned_and_missing_values_go_where_they_fit() {
    let (x, y) = data(2_000, 1);
    let trees = Ensemble::train(&x, &y, &Options::default()).unwrap();
    let (x, y) = data(2_000, 2);
    let error = |row: usize| (trees.predict(x.row(row)) - y[row]).powi(2);
    let mse = (0..2_000).map(error).sum::<f64>() / 2_000.0;
    let center = numeric::mean(&y);
    let variance = y.iter().map(|v| (v - center).powi(2)).sum::<f64>() / 2_000.0;
    assert!(mse < 0.1 * variance, "{mse} of {variance}");
    assert!((trees.predict(&[f64::NAN, 0.0, 0.0, 0.5]) - 10.0).abs() < 0.7);
    // Absent values are missing values.
    assert_eq!(trees.predict(&[]).to_bits(), trees.predict(&[f64::NAN; 4]).to_bits());
}

#[test]
fn quantiles_hold_on_new_rows() {
    let (x, y) = data(3_000, 3);
    let (new_x, new_y) = data(3_000, 4);
    for level in [0.1, 0.5, 0.9] {
        let options = Options { loss: Loss::Quantile(level), trees: 200, min_leaf: 20, ..Options::default() };
        let trees = Ensemble::train(&x, &y, &options).unwrap();
        let below = (0..3_000).filter(|row| new_y[*row] <= trees.predict(new_x.row(*row))).count();
        assert!((below as f64 / 3_000.0 - level).abs() < 0.04, "{level}: {below}");
    }
}

#[test]
fn a_monotone_feature_never_goes_the_other_way() {
    let mut rng = Rng::new(5);
    let (mut x, mut y) = (Matrix::new(2), Vec::new());
    for _ in 0..800 {
        let [a, b] = [rng.unit(), rng.unit()];
        x.push(&[a, b]);
        y.push(a + (9.0 * b).sin() + rng.normal());
    }
    for (sign, loss) in [(1_i8, Loss::Squared), (-1, Loss::Squared), (1, Loss::Quantile(0.8))] {
        let options = Options { monotone: vec![sign], loss, ..Options::default() };
        let trees = Ensemble::train(&x, &y, &options).unwrap();
        for b in 0..20 {
            let along = (0..200).map(|a| trees.predict(&[f64::from(a) / 200.0, f64::from(b) / 20.0]) * f64::from(sign));
            assert!(along.collect::<Vec<_>>().is_sorted_by(|a, b| a <= &(b + 1e-9)), "{sign} at {b}");
        }
    }
}

#[test]
fn equal_seeds_give_equal_models_that_survive_saving() {
    let (x, y) = data(500, 6);
    let options = Options { trees: 20, ..Options::default() };
    let trees = Ensemble::train(&x, &y, &options).unwrap();
    assert_eq!(Ensemble::train(&x, &y, &options).unwrap(), trees);
    assert_ne!(Ensemble::train(&x, &y, &Options { seed: 1, ..options }).unwrap(), trees);
    assert_eq!(saved::load::<Ensemble>(&saved::save(&trees).unwrap()), Ok(trees.clone()));
}

/// An ensemble as it is kept, whatever its nodes.
#[derive(serde::Serialize, serde::Deserialize)]
struct Raw {
    width: usize,
    base: f64,
    roots: Vec<u32>,
    nodes: Vec<RawNode>,
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
enum RawNode {
    Leaf(f64),
    Split { feature: u32, threshold: f64, missing_left: bool, left: u32, right: u32 },
}

impl Saved for Raw {
    const KIND: &'static str = Ensemble::KIND;
    const VERSION: u16 = Ensemble::VERSION;

    fn check(&self) -> Result<(), LoadError> {
        Ok(())
    }
}

#[test]
fn only_nodes_that_lead_to_an_end_are_loaded() {
    let load = |nodes: &[RawNode]| {
        let raw = Raw { width: 2, base: 0.5, roots: vec![0], nodes: nodes.to_vec() };
        saved::load::<Ensemble>(&saved::save(&raw).unwrap())
    };
    let split = |feature, left, right| RawNode::Split { feature, threshold: 1.0, missing_left: true, left, right };
    let (low, high) = (RawNode::Leaf(1.0), RawNode::Leaf(2.0));
    let trees = load(&[split(1, 1, 2), low.clone(), high.clone()]).unwrap();
    let told = [&[0.0, 0.0][..], &[0.0, 1.0], &[0.0, 1.5], &[0.0, f64::NAN], &[0.0]].map(|row| trees.predict(row));
    assert_eq!(told.map(|value| (value * 10.0).round()), [15.0, 15.0, 25.0, 15.0, 15.0]);
    // A right checksum is no proof: circles, children apart or out of reach, features that no row has, leaves that are no number.
    for nodes in [
        [split(0, 0, 0), low.clone(), high.clone()],
        [split(0, 0, 1), low.clone(), high.clone()],
        [split(0, 2, 1), low.clone(), high.clone()],
        [split(0, 2, 3), low.clone(), high.clone()],
        [split(2, 1, 2), low.clone(), high.clone()],
        [split(u32::MAX, 1, 2), low.clone(), high.clone()],
        [split(0, u32::MAX, 0), low.clone(), high],
        [split(0, 1, 2), low, RawNode::Leaf(f64::NAN)],
    ] {
        assert!(load(&nodes).is_err());
    }
}

/// Where a row ends in one tree, step by step.
fn alone(nodes: &[RawNode], root: u32, row: &[f64]) -> f64 {
    let mut at = root as usize;
    loop {
        match nodes[at] {
            RawNode::Leaf(value) => return value,
            RawNode::Split { feature, threshold, missing_left, left, right } => {
                let value = row.get(feature as usize).copied().unwrap_or(f64::NAN);
                let goes_left = if value.is_nan() { missing_left } else { value <= threshold };
                at = if goes_left { left as usize } else { right as usize };
            }
        }
    }
}

#[test]
fn trees_that_are_walked_together_end_where_each_would_alone() {
    let (x, y) = data(801, 8);
    for trees in [1, 7, 8, 61] {
        let ensemble = Ensemble::train(&x, &y, &Options { trees, ..Options::default() }).unwrap();
        let raw: Raw = postcard::from_bytes(&postcard::to_allocvec(&ensemble).unwrap()).unwrap();
        for row in (0..801).map(|row| x.row(row)).chain([&[][..], &[f64::NAN, f64::INFINITY], &[0.0; 9]]) {
            let sum = raw.roots.iter().map(|root| alone(&raw.nodes, *root, row)).fold(0.0, |a, b| a + b);
            assert_eq!(ensemble.predict(row).to_bits(), (raw.base + sum).to_bits());
        }
        let mut sums = vec![1.0; 801];
        ensemble.nodes.add_to(&mut sums, &x, &(0..801).collect::<Vec<_>>(), raw.roots[trees - 1]);
        for (row, sum) in sums.into_iter().enumerate() {
            assert_eq!(sum.to_bits(), (1.0 + alone(&raw.nodes, raw.roots[trees - 1], x.row(row))).to_bits());
        }
    }
}

#[test]
fn degenerate_data_gives_a_constant_or_nothing() {
    let options = Options::default();
    assert_eq!(Ensemble::train(&Matrix::new(3), &[], &options), None);
    let mut x = Matrix::new(1);
    x.push(&[1.0]);
    x.push(&[2.0]);
    assert_eq!(Ensemble::train(&x, &[f64::NAN, f64::INFINITY], &options), None);
    let constant = Ensemble::train(&x, &[7.0, f64::NAN], &options).unwrap();
    assert!((constant.predict(&[5.0]) - 7.0).abs() < 1e-12);
}
