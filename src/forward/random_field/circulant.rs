//! A stationary field on a grid by circulant embedding: exact draws from white noise by two Fourier transforms.
//!
//! ```text
//! z = R F^-1 diag(sqrt(lambda)) F xi ,  xi ~ N(0, I) on the larger periodic grid of M cells ,  lambda = F rho
//! ```
//!
//! rho is the correlation of the first cell of the periodic grid with all others, and R keeps the cells of the field itself. The
//! square root is the symmetric one, so each xi is white noise at a cell and moves z about that cell. The grid is padded until no
//! eigenvalue lambda is negative (Dietrich & Newsam, SIAM J. Sci. Comput. 18 (1997) 1088; Graham, Kuo, Nuyens, Scheichl & Sloan,
//! SIAM J. Numer. Anal. 56 (2018) 1871). Where that would take a grid larger than `MOST_PADDING` allows, negative ones are cut, and
//! the others scaled so that the variance stays (Wood & Chan, J. Comput. Graph. Statist. 3 (1994) 409).
//!
//! M/2 numbers are kept, and M complex halves are held while a field is made: no matrix.

use std::sync::Arc;

use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};

/// The most by which each side of the smallest periodic grid is lengthened.
const MOST_PADDING: f64 = 4.0;
/// The factor from one padding to the next.
const GROWTH: f64 = 1.25;
/// The most cells of the periodic grid: larger paddings are not tried.
const MOST_CELLS: usize = 1 << 27;
/// Eigenvalues below minus this share of the largest are negative; those above it may be so by rounding.
const ROUNDING: f64 = 1e-13;
/// Columns that are transformed together: they lie side by side in memory.
const COLUMNS: usize = 16;

/// The square root of the correlation of a field on a grid.
pub(super) struct Circulant {
    /// The sides of the field's grid.
    shape: Vec<usize>,
    /// The sides of the periodic grid.
    padded: Vec<usize>,
    /// sqrt(lambda) / M for the half of the frequencies that the others follow from.
    root: Vec<f64>,
    /// The share of the variance that negative eigenvalues had, which were cut.
    cut: f64,
    transforms: Transforms,
}

/// Fourier transforms along each side: of real numbers along the last, of complex ones along the others.
struct Transforms {
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    along: Vec<[Arc<dyn Fft<f64>>; 2]>,
}

impl Transforms {
    fn new(padded: &[usize]) -> Self {
        let (last, others) = padded.split_last().expect("a side");
        let (mut real, mut complex) = (RealFftPlanner::new(), FftPlanner::new());
        let mut both = |&n: &usize| [complex.plan_fft_forward(n), complex.plan_fft_inverse(n)];
        Self {
            forward: real.plan_fft_forward(*last),
            inverse: real.plan_fft_inverse(*last),
            along: others.iter().map(&mut both).collect(),
        }
    }

    /// Transforms `data`, rows of `width` numbers, along all sides but the last: forward, or back if `inverse`.
    fn along_columns(&self, data: &mut [Complex64], width: usize, inverse: bool) {
        let sides: Vec<usize> = self.along.iter().map(|[fft, _]| fft.len()).collect();
        for (axis, ffts) in self.along.iter().enumerate() {
            let (fft, n) = (&ffts[usize::from(inverse)], sides[axis]);
            let stride = width * sides[axis + 1..].iter().product::<usize>();
            let mut columns = vec![Complex64::default(); COLUMNS * n];
            let mut scratch = vec![Complex64::default(); fft.get_inplace_scratch_len()];
            for slab in data.chunks_exact_mut(n * stride) {
                for first in (0..stride).step_by(COLUMNS) {
                    let count = COLUMNS.min(stride - first);
                    let columns = &mut columns[..count * n];
                    for (i, row) in slab.chunks_exact(stride).enumerate() {
                        for (c, z) in row[first..first + count].iter().enumerate() {
                            columns[c * n + i] = *z;
                        }
                    }
                    fft.process_with_scratch(columns, &mut scratch);
                    for (i, row) in slab.chunks_exact_mut(stride).enumerate() {
                        for (c, z) in row[first..first + count].iter_mut().enumerate() {
                            *z = columns[c * n + i];
                        }
                    }
                }
            }
        }
    }

    /// Returns the transform of the real numbers of the periodic grid, which `row` writes for one row after the other: half of the
    /// frequencies along the last side.
    fn of_rows(&self, mut row: impl FnMut(&mut [f64])) -> Vec<Complex64> {
        let (n, width) = (self.forward.len(), self.forward.complex_len());
        let rows: usize = self.along.iter().map(|[fft, _]| fft.len()).product();
        let mut data = vec![Complex64::default(); rows * width];
        let (mut numbers, mut scratch) = (vec![0.0; n], self.forward.make_scratch_vec());
        for out in data.chunks_exact_mut(width) {
            row(&mut numbers);
            let done = self
                .forward
                .process_with_scratch(&mut numbers, out, &mut scratch);
            done.expect("buffers of these lengths");
        }
        self.along_columns(&mut data, width, false);
        data
    }
}

impl Circulant {
    /// Returns the embedding of a field on a grid with these sides; `correlation` is that of two cells so many cells apart along
    /// each side.
    pub fn new(shape: &[usize], correlation: impl Fn(&[usize]) -> f64) -> Self {
        let mut padding = 1.0;
        loop {
            let found = Self::padded(shape, padding, &correlation);
            let next = padding * GROWTH;
            let cells = sides(shape, next).iter().product::<usize>();
            if found.cut == 0.0 || next > MOST_PADDING || cells > MOST_CELLS {
                return found;
            }
            padding = next;
        }
    }

    fn padded(shape: &[usize], padding: f64, correlation: &impl Fn(&[usize]) -> f64) -> Self {
        let padded = sides(shape, padding);
        let transforms = Transforms::new(&padded);
        // The correlation is even along each side: of one corner, all cells follow.
        let corner: Vec<usize> = padded.iter().map(|m| m / 2 + 1).collect();
        let mut table = Vec::with_capacity(corner.iter().product());
        for_each_index(&corner, |k| table.push(correlation(k)));
        let (&last, others) = padded.split_last().expect("a side");
        let mut starts = Vec::new();
        for_each_index(others, |k| {
            let folded = k.iter().zip(others).map(|(&k, &m)| k.min(m - k));
            let place = folded.zip(&corner).fold(0, |at, (k, n)| at * n + k);
            starts.push(place * corner[others.len()]);
        });
        let mut starts = starts.into_iter();
        let spectrum = transforms.of_rows(|row| {
            let start = starts.next().expect("as many rows");
            for (k, x) in row.iter_mut().enumerate() {
                *x = table[start + k.min(last - k)];
            }
        });
        let mut root: Vec<f64> = spectrum.into_iter().map(|z| z.re).collect();
        let largest = root.iter().fold(0.0_f64, |most, x| most.max(*x));
        let cells = padded.iter().product::<usize>() as f64;
        // All but the first and the middle frequency along the last side stand for two.
        let width = last / 2 + 1;
        let times = |i: usize| match i % width {
            0 => 1.0,
            k if 2 * k == last => 1.0,
            _ => 2.0,
        };
        let (mut kept, mut negative) = (0.0, 0.0);
        for (i, x) in root.iter_mut().enumerate() {
            if *x > 0.0 {
                kept += times(i) * *x;
            } else {
                if *x < -ROUNDING * largest {
                    negative -= times(i) * *x;
                }
                *x = 0.0;
            }
        }
        // The mean eigenvalue is the variance, 1.
        let scale = cells / kept;
        root.iter_mut()
            .for_each(|x| *x = (scale * *x).sqrt() / cells);
        Self {
            shape: shape.to_vec(),
            padded,
            root,
            cut: negative / cells,
            transforms,
        }
    }

    /// Returns the sides of the periodic grid.
    pub fn sides(&self) -> &[usize] {
        &self.padded
    }

    /// Returns the number M of cells of the periodic grid.
    pub fn coordinates(&self) -> usize {
        self.padded.iter().product()
    }

    /// Returns the share of the variance that negative eigenvalues had, which were cut; 0 where none was.
    pub fn cut(&self) -> f64 {
        self.cut
    }

    /// Returns the bytes that are kept, and those held while a field is made.
    pub fn bytes(&self) -> [usize; 2] {
        [8 * self.root.len(), 16 * self.root.len()]
    }

    /// Appends the field z, of variance 1, at the white noise `xi`, M numbers.
    pub fn field(&self, mut xi: impl Iterator<Item = f64>, out: &mut Vec<f64>) {
        let mut data = self.transforms.of_rows(|row| {
            let numbers = row.iter_mut().zip(&mut xi);
            numbers.for_each(|(x, xi)| *x = xi);
        });
        data.iter_mut().zip(&self.root).for_each(|(z, r)| *z *= *r);
        let (inverse, width) = (
            &self.transforms.inverse,
            self.transforms.forward.complex_len(),
        );
        self.transforms.along_columns(&mut data, width, true);
        let (&last, others) = self.padded.split_last().expect("a side");
        let own = self.shape[others.len()];
        let (mut numbers, mut scratch) = (vec![0.0; last], inverse.make_scratch_vec());
        for_each_index(&self.shape[..others.len()], |k| {
            let row = k.iter().zip(others).fold(0, |at, (k, m)| at * m + k);
            let half = &mut data[row * width..(row + 1) * width];
            // Real but for rounding.
            half[0].im = 0.0;
            if last % 2 == 0 {
                half[width - 1].im = 0.0;
            }
            let done = inverse.process_with_scratch(half, &mut numbers, &mut scratch);
            done.expect("buffers of these lengths");
            out.extend_from_slice(&numbers[..own]);
        });
    }
}

/// Returns the sides of the periodic grid of a field with these sides, lengthened by `padding`: products of small primes.
fn sides(shape: &[usize], padding: f64) -> Vec<usize> {
    let side = |&n: &usize| match n {
        1 => 1,
        _ => fast((2.0 * (n - 1) as f64 * padding).ceil() as usize),
    };
    shape.iter().map(side).collect()
}

/// Returns the least even number from `n` on whose only prime factors are 2, 3 and 5.
fn fast(n: usize) -> usize {
    let is_fast = |n: &usize| {
        let mut left = *n;
        for prime in [2, 3, 5] {
            while left.is_multiple_of(prime) {
                left /= prime;
            }
        }
        left == 1 && n.is_multiple_of(2)
    };
    (n..).find(is_fast).expect("a power of two")
}

/// Calls `visit` with each index of a grid with these `sides`, the last running fastest; once with none if there is no side.
pub(super) fn for_each_index(sides: &[usize], mut visit: impl FnMut(&[usize])) {
    let mut index = vec![0; sides.len()];
    for _ in 0..sides.iter().product::<usize>() {
        visit(&index);
        for (k, n) in index.iter_mut().zip(sides).rev() {
            *k += 1;
            if *k < *n {
                break;
            }
            *k = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The covariance R A A^T R^T, from the fields at unit vectors, is the correlation itself: no sampling.
    #[test]
    fn the_root_gives_the_correlation_exactly_in_one_to_three_dimensions() {
        for shape in [&[7][..], &[1], &[4, 3], &[1, 5], &[3, 2, 2]] {
            let rho = |k: &[usize]| {
                let square: f64 = k.iter().map(|&k| (k * k) as f64).sum();
                super::super::matern::correlation(1.5, square.sqrt() / 1.3)
            };
            let found = Circulant::new(shape, rho);
            assert_eq!(found.cut(), 0.0, "{shape:?}");
            let cells: usize = shape.iter().product();
            let mut covariance = vec![0.0; cells * cells];
            for j in 0..found.coordinates() {
                let mut z = Vec::new();
                let unit = (0..found.coordinates()).map(|i| f64::from(u8::from(i == j)));
                found.field(unit, &mut z);
                for (a, za) in z.iter().enumerate() {
                    for (b, zb) in z.iter().enumerate() {
                        covariance[a * cells + b] += za * zb;
                    }
                }
            }
            let mut places = Vec::new();
            for_each_index(shape, |k| places.push(k.to_vec()));
            for (a, from) in places.iter().enumerate() {
                for (b, to) in places.iter().enumerate() {
                    let apart: Vec<usize> =
                        from.iter().zip(to).map(|(a, b)| a.abs_diff(*b)).collect();
                    let off = covariance[a * cells + b] - rho(&apart);
                    assert!(off.abs() < 1e-12, "{shape:?} {a} {b}: {off}");
                }
            }
        }
    }

    #[test]
    fn a_grid_is_padded_until_no_eigenvalue_is_negative_or_the_variance_is_kept() {
        let of = |length: f64| {
            let rho = |k: &[usize]| {
                let square: f64 = k.iter().map(|&k| (k * k) as f64).sum();
                super::super::matern::correlation(2.5, square.sqrt() / length)
            };
            Circulant::new(&[16, 16], rho)
        };
        let short = of(1.0);
        assert_eq!((short.sides(), short.cut()), (&[30, 30][..], 0.0));
        let long = of(5.0);
        assert!(long.sides()[0] > 30 && long.cut() == 0.0);
        // Longer than any padding: the variance is still 1.
        let cut = of(200.0);
        assert!(cut.cut() > 0.0);
        let width = cut.padded[1] / 2 + 1;
        let cells = cut.coordinates() as f64;
        let times = |i: usize| {
            if [0, width - 1].contains(&(i % width)) {
                1.0
            } else {
                2.0
            }
        };
        let squares = cut.root.iter().enumerate().map(|(i, r)| times(i) * r * r);
        assert!((squares.sum::<f64>() * cells - 1.0).abs() < 1e-12);
    }

    #[test]
    fn sides_have_small_prime_factors() {
        assert_eq!([1, 2, 7, 1998, 2].map(fast), [2, 2, 8, 2000, 2]);
        assert_eq!(sides(&[1, 2, 1000], 1.0), [1, 2, 2000]);
    }
}
