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
    // A tree that leads in a circle has a right checksum and is still refused.
    let mut circle = trees;
    circle.nodes[0] = Node::Split { feature: 0, threshold: 0.0, missing_left: false, left: 0, right: 0 };
    assert!(saved::load::<Ensemble>(&saved::save(&circle).unwrap()).is_err());
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
