//! Dense rows of numbers and the one linear solver the models need. Knows no model.

use serde::{Deserialize, Serialize};

/// Rows of equal width; not-a-number means missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    width: usize,
    data: Vec<f64>,
}

impl Matrix {
    /// No rows yet.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width, data: Vec::new() }
    }

    /// `rows` rows of zeros.
    #[must_use]
    pub fn zeros(rows: usize, width: usize) -> Self {
        Self { width, data: vec![0.0; rows * width] }
    }

    /// Appends a row, cut or filled with missing values to the width.
    pub fn push(&mut self, row: &[f64]) {
        self.data.extend(row.iter().copied().chain(std::iter::repeat(f64::NAN)).take(self.width));
    }

    /// Number of columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(0)
    }

    /// One row.
    ///
    /// # Panics
    /// When there is no such row, as a slice would.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.data[row * self.width..(row + 1) * self.width]
    }

    /// One row, to change.
    ///
    /// # Panics
    /// When there is no such row, as a slice would.
    pub fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.data[row * self.width..(row + 1) * self.width]
    }

    /// Every number is finite and the rows are whole.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let whole = if self.width == 0 { self.data.is_empty() } else { self.data.len().is_multiple_of(self.width) };
        whole && self.data.iter().all(|v| v.is_finite())
    }
}

/// The dot product, four sums at a time so that it vectorizes; the order is fixed, so results repeat.
#[must_use]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((left, left_rest), (right, right_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let tail: f64 = left_rest.iter().zip(right_rest).map(|(x, y)| x * y).sum();
    let mut sums = [0.0; 4];
    for (x, y) in left.iter().zip(right) {
        for lane in 0..4 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + tail
}

/// Rows that are multiplied at a time, so that they stay in the cache, and columns of a tile, so that sums stay in registers.
const ROWS_AT_ONCE: usize = 64;
const TILE: usize = 4;

/// The lower half of `xᵀ · x` over the named rows of `x`, in a fixed order.
#[must_use]
pub fn gram(x: &Matrix, rows: &[u32]) -> Matrix {
    let width = x.width();
    let panels = width.div_ceil(TILE);
    let mut product = Matrix::zeros(width, width);
    for rows in rows.chunks(ROWS_AT_ONCE) {
        // Panel by panel, row by row, so that a tile reads memory forward.
        let mut packed = vec![[0.0; TILE]; panels * rows.len()];
        for (at, row) in rows.iter().enumerate() {
            for (panel, part) in x.row(*row as usize).chunks(TILE).enumerate() {
                packed[panel * rows.len() + at][..part.len()].copy_from_slice(part);
            }
        }
        let panels: Vec<&[[f64; TILE]]> = packed.chunks(rows.len()).collect();
        for (down, one) in panels.iter().enumerate() {
            for (across, other) in panels.iter().enumerate().take(down + 1) {
                let sums = tile(one, other);
                for (i, sums) in sums.iter().enumerate().take(width - down * TILE) {
                    let target = &mut product.row_mut(down * TILE + i)[across * TILE..];
                    target.iter_mut().zip(sums).for_each(|(target, sum)| *target += sum);
                }
            }
        }
    }
    product
}

#[allow(clippy::needless_range_loop, reason = "iterators over these arrays are not unrolled: half as fast")]
fn tile(one: &[[f64; TILE]], other: &[[f64; TILE]]) -> [[f64; TILE]; TILE] {
    let mut sums = [[0.0; TILE]; TILE];
    for (a, b) in one.iter().zip(other) {
        for i in 0..TILE {
            for j in 0..TILE {
                sums[i][j] += a[i] * b[j];
            }
        }
    }
    sums
}

/// A symmetric positive definite matrix, divided into triangles once, to solve several systems.
pub struct Factor(Matrix);

impl Factor {
    /// By Cholesky; only the lower half of `a` is read. When `a` is not definite, ever more is added to its diagonal, up to a
    /// hundredth of its mean; `None` when that does not help either.
    #[must_use]
    pub fn of(a: &Matrix) -> Option<Self> {
        let n = a.rows();
        if a.width() != n {
            return None;
        }
        let diagonal = (0..n).map(|i| a.row(i)[i]).sum::<f64>() / n.max(1) as f64;
        let shares = [0.0, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2];
        shares.iter().find_map(|share| cholesky(a, share * diagonal)).map(Self)
    }

    /// `x` of `a · x = b`; `None` when it is not finite or `b` has another length.
    #[must_use]
    pub fn solve(&self, b: &[f64]) -> Option<Vec<f64>> {
        (b.len() == self.0.rows()).then(|| substitute(&self.0, b)).filter(|x| x.iter().all(|v| v.is_finite()))
    }
}

/// Solves `a · x = b` for symmetric positive definite `a`, of which only the lower half is read; see [`Factor`].
#[must_use]
pub fn solve(a: &Matrix, b: &[f64]) -> Option<Vec<f64>> {
    Factor::of(a)?.solve(b)
}

fn cholesky(a: &Matrix, jitter: f64) -> Option<Matrix> {
    let n = a.rows();
    let mut l = Matrix::zeros(n, n);
    for i in 0..n {
        let (done, rest) = l.data.split_at_mut(i * n);
        let row = &mut rest[..n];
        for j in 0..i {
            let other = &done[j * n..(j + 1) * n];
            row[j] = (a.row(i)[j] - dot(&row[..j], &other[..j])) / other[j];
        }
        let square = a.row(i)[i] + jitter - dot(&row[..i], &row[..i]);
        if !square.is_finite() || square <= 0.0 {
            return None;
        }
        row[i] = square.sqrt();
    }
    Some(l)
}

fn substitute(l: &Matrix, b: &[f64]) -> Vec<f64> {
    let n = b.len();
    let mut x = b.to_vec();
    for i in 0..n {
        x[i] = (x[i] - dot(&l.row(i)[..i], &x[..i])) / l.row(i)[i];
    }
    for i in (0..n).rev() {
        x[i] /= l.row(i)[i];
        let (value, row) = (x[i], l.row(i));
        x[..i].iter_mut().zip(row).for_each(|(x, l)| *x -= value * l);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn it_solves_definite_systems_and_survives_others() {
        let (n, mut rng) = (30, Rng::new(1));
        let mut root = Matrix::new(n);
        (0..n).for_each(|_| root.push(&(0..n).map(|_| rng.normal()).collect::<Vec<_>>()));
        let mut a = Matrix::zeros(n, n);
        for i in 0..n {
            for j in 0..n {
                a.row_mut(i)[j] = dot(root.row(i), root.row(j)) + if i == j { 0.1 } else { 0.0 };
            }
        }
        let expected: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let b: Vec<f64> = (0..n).map(|i| dot(a.row(i), &expected)).collect();
        let found = solve(&a, &b).unwrap();
        assert!(found.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-6));
        // Of rank one: the diagonal is lifted.
        let mut flat = Matrix::zeros(3, 3);
        (0..3).for_each(|i| flat.row_mut(i).fill(1.0));
        assert!(solve(&flat, &[1.0, 1.0, 1.0]).is_some());
        flat.row_mut(0)[0] = f64::NAN;
        assert_eq!(solve(&flat, &[1.0, 1.0, 1.0]), None);
        assert_eq!(solve(&flat, &[1.0]), None);
    }

    #[test]
    fn products_of_columns_are_those_of_single_dot_products() {
        let mut rng = Rng::new(2);
        for (rows, width) in [(1, 1), (3, 4), (70, 7), (200, 13)] {
            let mut x = Matrix::new(width);
            (0..rows).for_each(|_| x.push(&(0..width).map(|_| rng.normal()).collect::<Vec<_>>()));
            let some: Vec<u32> = (0..rows).filter(|row| row % 3 != 1).collect();
            let found = gram(&x, &some);
            for (i, j) in (0..width).flat_map(|i| (0..=i).map(move |j| (i, j))) {
                let expected: f64 = some.iter().map(|row| x.row(*row as usize)).map(|row| row[i] * row[j]).sum();
                assert!((found.row(i)[j] - expected).abs() < 1e-9, "{rows} {width} {i} {j}");
            }
        }
        assert_eq!(gram(&Matrix::new(2), &[]), Matrix::zeros(2, 2));
    }

    #[test]
    fn rows_are_cut_and_filled() {
        let mut m = Matrix::new(2);
        m.push(&[1.0, 2.0, 3.0]);
        m.push(&[4.0]);
        assert_eq!((m.rows(), m.row(0)), (2, [1.0, 2.0].as_slice()));
        assert!(m.row(1)[1].is_nan() && !m.is_finite());
        assert_eq!(Matrix::new(0).rows(), 0);
    }
}
