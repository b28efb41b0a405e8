//! Dense rows of numbers, which may be missing, as models keep and save them. Products and solutions are nalgebra's. Knows no model.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
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

/// `xᵀ · x` over the named rows of `x`.
#[must_use]
pub fn gram(x: &Matrix, rows: &[u32]) -> Matrix {
    let values = rows.iter().flat_map(|row| x.row(*row as usize)).copied();
    // A row of `x` is a column here.
    let chosen = DMatrix::from_iterator(x.width(), rows.len(), values);
    let product = &chosen * chosen.transpose();
    Matrix { width: x.width(), data: product.as_slice().to_vec() }
}

/// A symmetric positive definite matrix, divided into triangles once, to solve several systems.
pub struct Factor(Cholesky<f64, Dyn>);

impl Factor {
    /// Only the lower half of `a` is read. When `a` is not definite, ever more is added to its diagonal, up to a hundredth of its
    /// mean; `None` when that does not help either.
    #[must_use]
    pub fn of(a: &Matrix) -> Option<Self> {
        let n = a.rows();
        if a.width() != n {
            return None;
        }
        let matrix = DMatrix::from_row_slice(n, n, &a.data);
        let diagonal = matrix.trace() / n.max(1) as f64;
        let shares = [0.0, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2];
        let lifted = |share: &f64| {
            let mut lifted = matrix.clone();
            (0..n).for_each(|i| lifted[(i, i)] += share * diagonal);
            lifted
        };
        shares.iter().find_map(|share| Cholesky::new(lifted(share))).map(Self)
    }

    /// `x` of `a · x = b`; `None` when it is not finite or `b` has another length.
    #[must_use]
    pub fn solve(&self, b: &[f64]) -> Option<Vec<f64>> {
        if b.len() != self.0.l_dirty().nrows() {
            return None;
        }
        let x = self.0.solve(&DVector::from_column_slice(b));
        x.iter().all(|v| v.is_finite()).then(|| x.as_slice().to_vec())
    }
}

/// Solves `a · x = b` for symmetric positive definite `a`, of which only the lower half is read; see [`Factor`].
#[must_use]
pub fn solve(a: &Matrix, b: &[f64]) -> Option<Vec<f64>> {
    Factor::of(a)?.solve(b)
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
