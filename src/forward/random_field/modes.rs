//! A field on a grid by its leading Karhunen-Loeve modes: the eigenvectors of its covariance with the largest eigenvalues.
//!
//! ```text
//! z = sum over k of sqrt(lambda_k) phi_k xi_k ,  xi_k ~ N(0, 1)
//! ```
//!
//! The correlation of two cells depends on how far they lie apart along each side, so it commutes with reflections of the grid:
//! eigenvectors are even or odd along each side. The dense eigenproblem falls into one of each parity, 2 of n/2 cells in one dimension,
//! 4 of n/4 in two, 8 of n/8 in three.

use ndarray::{Array2, Axis};

use super::circulant::for_each_index;
use crate::kernels::eigen::symmetric_eigen;

/// The most cells of one parity: the eigenproblem of so many takes some seconds.
const MOST: usize = 1500;
/// The least eigenvalue, of the largest, that rounding leaves meaningful.
const LEAST: f64 = 1e-12;

/// Leading modes of a field of variance 1.
pub(super) struct Modes {
    /// sqrt(lambda_k) phi_k, n x N.
    scaled: Array2<f64>,
    /// lambda_k, n numbers.
    values: Vec<f64>,
}

/// Cells of one parity: those of half of the grid along each side, and the middle ones where they are even there.
struct Parity {
    /// The parity of each side: 1 if eigenvectors are even, -1 if odd.
    signs: Vec<f64>,
    cells: Vec<Vec<usize>>,
}

impl Modes {
    /// Returns the `count` leading modes of a field on a grid with these sides; `correlation` is that of two cells so many cells
    /// apart along each side.
    ///
    /// # Errors
    /// Too many cells or modes, in words that follow "must have".
    pub fn new(
        shape: &[usize],
        count: usize,
        correlation: impl Fn(&[usize]) -> f64,
    ) -> Result<Self, String> {
        let cells: usize = shape.iter().product();
        if count > cells {
            return Err(format!("at most as many modes as cells, {cells}"));
        }
        let parities = parities(shape);
        let most = parities.iter().map(|p| p.cells.len()).max().unwrap_or(0);
        if most > MOST {
            return Err(format!(
                "a grid of at most {} cells for modes, not {cells}: leave modes away (circulant embedding takes any grid)",
                MOST << shape.iter().filter(|&&n| n > 1).count()
            ));
        }
        // All eigenvalues, with the parity and the place of each, the largest first; ties in a fixed order.
        let mut found = Vec::new();
        let mut vectors = Vec::new();
        for (p, parity) in parities.iter().enumerate() {
            let block = parity.block(shape, &correlation);
            let (values, columns) = symmetric_eigen(block.view()).expect("finite numbers");
            found.extend(values.iter().enumerate().map(|(k, value)| (*value, p, k)));
            vectors.push(columns);
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let meaningful = found
            .iter()
            .take_while(|(value, ..)| *value > LEAST * found[0].0)
            .count();
        if count > meaningful {
            return Err(format!(
                "at most {meaningful} modes: the others have no variance beyond rounding"
            ));
        }
        let mut scaled = Array2::zeros((count, cells));
        for (mut row, &(value, p, k)) in scaled.rows_mut().into_iter().zip(&found) {
            let column = vectors[p].index_axis(Axis(1), k);
            // An eigenvector's sign is free: its largest part is positive.
            let largest = column.iter().fold(0.0_f64, |most, x| {
                if x.abs() > most.abs() + 1e-9 {
                    *x
                } else {
                    most
                }
            });
            let scale = value.sqrt() * largest.signum();
            for (cell, x) in parities[p].cells.iter().zip(column) {
                parities[p].spread(shape, cell, |place, factor| row[place] = scale * factor * x);
            }
        }
        Ok(Self {
            scaled,
            values: found[..count].iter().map(|(value, ..)| *value).collect(),
        })
    }

    /// Returns the number n of modes.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// Returns the share of the field's variance that the modes keep.
    pub fn share(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.scaled.ncols() as f64
    }

    /// Returns the bytes that are kept.
    pub fn bytes(&self) -> usize {
        8 * self.scaled.len()
    }

    /// Appends the field z, of variance 1, at the coordinates `xi`, n numbers.
    pub fn field(&self, xi: impl Iterator<Item = f64>, out: &mut Vec<f64>) {
        let start = out.len();
        out.resize(start + self.scaled.ncols(), 0.0);
        for (mode, xi) in self.scaled.rows().into_iter().zip(xi) {
            out[start..]
                .iter_mut()
                .zip(mode)
                .for_each(|(z, m)| *z += xi * m);
        }
    }

    /// Appends the coordinates of the field `z`, N numbers: what the modes cannot show of it is left out.
    pub fn project(&self, z: &[f64], out: &mut Vec<f64>) {
        for (mode, value) in self.scaled.rows().into_iter().zip(&self.values) {
            out.push(mode.iter().zip(z).map(|(m, z)| m * z).sum::<f64>() / value);
        }
    }
}

/// Returns the parities of a grid that have cells.
fn parities(shape: &[usize]) -> Vec<Parity> {
    let mut all = Vec::new();
    for_each_index(&vec![2; shape.len()], |odd| {
        // The middle cell of an odd number is its own reflection: only even vectors have it.
        let halves = shape.iter().zip(odd);
        let halves: Vec<usize> = halves.map(|(&n, &odd)| (n + 1 - odd) / 2).collect();
        let mut cells = Vec::new();
        for_each_index(&halves, |cell| cells.push(cell.to_vec()));
        let signs = odd.iter().map(|&odd| 1.0 - 2.0 * odd as f64).collect();
        all.push(Parity { signs, cells });
    });
    all.retain(|parity| !parity.cells.is_empty());
    all
}

impl Parity {
    /// Calls `visit` with the place of each reflection of `cell` and the factor there of the unit vector of this parity.
    fn spread(&self, shape: &[usize], cell: &[usize], mut visit: impl FnMut(usize, f64)) {
        for_each_index(&vec![2; shape.len()], |reflected| {
            let (mut place, mut factor) = (0, 1.0);
            for (axis, &n) in shape.iter().enumerate() {
                let (k, mirror) = (cell[axis], n - 1 - cell[axis]);
                if k == mirror {
                    // One cell for both reflections.
                    factor *= if reflected[axis] == 0 { 1.0 } else { 0.0 };
                } else {
                    factor *= std::f64::consts::FRAC_1_SQRT_2;
                }
                if reflected[axis] == 1 {
                    factor *= self.signs[axis];
                }
                place = place * n + if reflected[axis] == 1 { mirror } else { k };
            }
            if factor != 0.0 {
                visit(place, factor);
            }
        });
    }

    /// Returns the correlation between the unit vectors of this parity: its lower triangle.
    fn block(&self, shape: &[usize], correlation: &impl Fn(&[usize]) -> f64) -> Array2<f64> {
        let mut table = Vec::new();
        for_each_index(shape, |k| table.push(correlation(k)));
        let count = self.cells.len();
        let mut block = Array2::zeros((count, count));
        let mut terms = Vec::new();
        for (b, to) in self.cells.iter().enumerate() {
            // <a, C b> for a cell a and all its reflections: the same for each, so one is enough, with its weight.
            terms.clear();
            for_each_index(&vec![2; shape.len()], |reflected| {
                let mut sign = 1.0;
                let mut image = Vec::with_capacity(shape.len());
                for (axis, &n) in shape.iter().enumerate() {
                    sign *= if reflected[axis] == 1 {
                        self.signs[axis]
                    } else {
                        1.0
                    };
                    image.push(if reflected[axis] == 1 {
                        n - 1 - to[axis]
                    } else {
                        to[axis]
                    });
                }
                terms.push((sign, image));
            });
            for (a, from) in self.cells.iter().enumerate().skip(b) {
                let weight = self.weight(shape, from) * self.weight(shape, to);
                let sum: f64 = terms
                    .iter()
                    .map(|(sign, image)| {
                        let apart = from.iter().zip(image).map(|(a, b)| a.abs_diff(*b));
                        let place = apart.zip(shape).fold(0, |at, (k, n)| at * n + k);
                        sign * table[place]
                    })
                    .sum();
                block[[a, b]] = weight * sum;
            }
        }
        block
    }

    /// Returns the weight of `cell`: a middle cell along a side stands for itself alone.
    fn weight(&self, shape: &[usize], cell: &[usize]) -> f64 {
        let middle = shape.iter().zip(cell).filter(|(n, k)| 2 * **k + 1 == **n);
        std::f64::consts::FRAC_1_SQRT_2.powi(middle.count() as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rho(k: &[usize]) -> f64 {
        let square: f64 = k.iter().map(|&k| (k * k) as f64).sum();
        super::super::matern::correlation(0.5, square.sqrt() / 2.0)
    }

    #[test]
    fn all_modes_make_up_the_correlation_and_the_leading_ones_are_its_eigenvectors() {
        for shape in [&[5][..], &[6], &[4, 3], &[1, 5], &[3, 2, 3]] {
            let cells: usize = shape.iter().product();
            let all = Modes::new(shape, cells, rho).unwrap();
            let mut places = Vec::new();
            for_each_index(shape, |k| places.push(k.to_vec()));
            let exact = Array2::from_shape_fn((cells, cells), |(a, b)| {
                let apart = places[a].iter().zip(&places[b]);
                rho(&apart.map(|(a, b)| a.abs_diff(*b)).collect::<Vec<_>>())
            });
            let apart = all.scaled.t().dot(&all.scaled) - &exact;
            assert!(apart.iter().all(|x| x.abs() < 1e-12), "{shape:?}: {apart}");
            assert!((all.share() - 1.0).abs() < 1e-12);
            let few = Modes::new(shape, 3, rho).unwrap();
            let (values, _) = symmetric_eigen(exact.view()).unwrap();
            for (k, value) in few.values.iter().enumerate() {
                assert!((value - values[cells - 1 - k]).abs() < 1e-12, "{shape:?}");
                let mode = few.scaled.row(k);
                let apart = exact.dot(&mode) - &(&mode * *value);
                assert!(apart.iter().all(|x| x.abs() < 1e-12), "{shape:?} {k}");
            }
            let (mut z, mut back) = (Vec::new(), Vec::new());
            few.field([0.5, -1.0, 2.0].into_iter(), &mut z);
            few.project(&z, &mut back);
            let apart = back
                .iter()
                .zip([0.5, -1.0, 2.0])
                .map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f64::max) < 1e-12, "{back:?}");
        }
    }

    #[test]
    fn too_many_cells_or_modes_are_refused() {
        let refused =
            |shape: &[usize], count| Modes::new(shape, count, rho).err().expect("refused");
        assert!(refused(&[4], 5).contains("at most as many modes as cells, 4"));
        assert!(refused(&[100, 100], 5).contains("at most 6000 cells for modes, not 10000"));
        let flat = Modes::new(&[8], 4, |_| 1.0).err().expect("refused");
        assert!(flat.contains("at most 1 modes"), "{flat}");
    }
}
