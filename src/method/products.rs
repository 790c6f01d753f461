//! Gram products of all members' anomalies, scaled by the misfit's curvature: what methods with the Kalman gain solve with.
//!
//! ```text
//! X = W Omega^{1/2} ,  g = Omega^{-1/2} grad Psi(Gbar)    J x K and K numbers; Omega: Psi's curvature at Gbar
//! X g ,  X X^T                                            J numbers, J x J: on every rank, the same bits for any R
//! ```
//!
//! Rows are made in groups that ranks share out and then gather; or, where K > J, each rank sums over its own samples. All of it
//! is in double precision: what is solved with may be far from well conditioned.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::ThreadPool;

use crate::ensemble::draw;
use crate::error::{Error, Result};
use crate::kernels::exact_sum::Quantum;
use crate::kernels::real::{Real, inner, product};
use crate::kernels::threads::for_each;
use crate::method::anomalies::{self, largest_row};
use crate::method::gain::{self, SOLVED};
use crate::method::outputs::{Factors, Outputs, by_rows};
use crate::parallel::comm::Comm;
use crate::parallel::partition::{OUTPUTS, Partition};

/// Returns the error of outputs whose products are not finite.
pub(crate) fn too_large() -> Error {
    Error::Run("the outputs are too large for the Kalman gain: scale them or method.noise".into())
}

/// grad Psi and Omega at the mean outputs, K numbers each: members' gradients are taken as grad Psi + Omega W_j, which
/// they are where Psi is a square.
pub(crate) struct GaussNewton {
    /// grad Psi.
    pub(crate) gradient: Vec<f64>,
    curvature: Vec<f64>,
}

impl GaussNewton {
    /// A member's gradients by its anomalies and the noise on its observations, in units of Omega^{-1/2}.
    pub(crate) fn gradients<T: Real>(
        &self,
        anomalies: &[T],
        noise: Option<&[f64]>,
        gradients: &mut [T],
    ) {
        let about = self.gradient.iter().zip(&self.curvature);
        for (i, ((v, w), (gradient, omega))) in
            gradients.iter_mut().zip(anomalies).zip(about).enumerate()
        {
            let of_noise = noise.map_or(0.0, |noise| omega.sqrt() * noise[i]);
            *v = T::from_f64(gradient + omega * w.as_f64() - of_noise);
        }
    }

    /// Omega^{1/2}, K numbers.
    pub(crate) fn roots(&self) -> Vec<f64> {
        self.curvature.iter().map(|omega| omega.sqrt()).collect()
    }

    /// W Omega^{1/2} and Omega^{-1/2} grad Psi.
    fn scales<T: Real>(&self, anomalies: ArrayView2<T>) -> (Array2<f64>, Vec<f64>) {
        let roots = self.roots();
        let gradient = self.gradient.iter().zip(&roots).map(|(g, root)| g / root);
        (gain::scaled(anomalies, &roots), gradient.collect())
    }
}

/// The products of a step's outputs, on every rank.
pub(crate) struct Products {
    /// X g, J numbers.
    pub(crate) through: Vec<f64>,
    /// X X^T, J x J, of which at least the lower triangle is there.
    pub(crate) gram: Array2<f64>,
    /// All of X X^T, or (X - E) X^T where observations are perturbed by E.
    pub(crate) residual: Array2<f64>,
}

impl<T: Real> Outputs<'_, T> {
    /// Psi expanded about the mean outputs `means`, which are the `first..` of a batch's K.
    pub(crate) fn expanded(&self, means: &[T], first: usize) -> GaussNewton {
        let means: Vec<f64> = means.iter().map(|z| z.as_f64()).collect();
        let targets = self.targets[first..][..means.len()].iter();
        let targets: Vec<f64> = targets.map(|y| y.as_f64()).collect();
        let mut gradient = vec![0.0; means.len()];
        self.loss.gradient(&means, &targets, first, &mut gradient);
        GaussNewton {
            gradient,
            curvature: self.loss.curvature(&means, first),
        }
    }

    /// Returns `member`'s noise, where observations are perturbed, on those `columns` of a step's K, whole blocks of them, in units
    /// of Omega^{-1/2}: N(0, 1/h).
    pub(crate) fn noise(&self, member: usize, columns: Range<usize>) -> Option<Vec<f64>> {
        let (draw, h) = self.noise.zip(self.gain)?;
        let mut drawn = vec![0.0_f32; columns.len()];
        for (block, part) in (columns.start / OUTPUTS..).zip(drawn.chunks_mut(OUTPUTS)) {
            draw.key(member, block).fill_normal_f32(0, part);
        }
        let noise = drawn.iter().map(|&e| f64::from(e) / h.sqrt());
        Some(noise.collect())
    }

    /// Returns the products of a step's outputs. Called by all ranks.
    ///
    /// # Errors
    /// Outputs too large to be solved with.
    pub(crate) fn products(&self, comm: &Comm, pool: &ThreadPool) -> Result<Products> {
        if by_rows(self.members.items(), self.targets.len()) {
            self.products_by_rows(comm, pool)
        } else {
            Ok(self.products_by_samples(comm, pool))
        }
    }

    /// ||D||_F before the gain, D = 1 c^T + S, from `c` = X g / J and the `residual` that takes the place of J S.
    pub(crate) fn norm_by_products(&self, c: &[f64], residual: &Array2<f64>) -> f64 {
        let count = self.survivors.count() as f64;
        let row_squares = |row: ndarray::ArrayView1<f64>| -> f64 {
            let entries = row.iter().zip(c).map(|(s, c)| s / count + c);
            entries.map(|d| d * d).sum()
        };
        let alive = (0..self.members.items()).filter(|&j| self.survivors.contains(j));
        let rows = alive.map(|j| row_squares(residual.row(j)));
        rows.sum::<f64>().sqrt()
    }

    /// Returns the products where each rank makes whole rows, which all ranks then have.
    fn products_by_rows(&self, comm: &Comm, pool: &ThreadPool) -> Result<Products> {
        let members = self.members.items();
        let Factors {
            gradients,
            anomalies,
            means,
        } = self.factors(comm, pool, 0..0);
        let (x, g) = self.expanded(&means, 0).scales(anomalies.view());
        self.buffers.put_array(gradients);
        self.buffers.put_array(anomalies);
        let rows = x.rows().into_iter();
        let through = rows.map(|row| inner(row.to_slice().expect("row-major"), &g));
        let through: Vec<f64> = through.collect();
        let gram = gram(comm, pool, x.view());
        if self.noise.is_none() {
            let mut d = gram.clone();
            for j in 1..members {
                let (mut above, below) = d.view_mut().split_at(Axis(0), j);
                above.column_mut(j).assign(&below.slice(s![0, ..j]));
            }
            return Ok(Products {
                through,
                gram,
                residual: d,
            });
        }
        let exact = self.exact_noise(comm, pool, x.view())?;
        let mut d = Array2::zeros((members, members));
        shared_rows(comm, pool, &mut d, |first, out| {
            let own = first..first + out.len() / members;
            let mut residuals = x.slice(s![own.clone(), ..]).to_owned();
            match &exact {
                Some(e) => residuals -= &e.slice(s![own, ..]),
                None => self.take_noise(own, 0..self.targets.len(), residuals.view_mut()),
            }
            let out = draw::matrix(out, residuals.nrows(), members);
            product(out, 0.0, 1.0, residuals.view(), x.t());
        });
        Ok(Products {
            through,
            gram,
            residual: d,
        })
    }

    /// Returns the products where each rank sums over its own blocks of samples.
    fn products_by_samples(&self, comm: &Comm, pool: &ThreadPool) -> Products {
        let slabs = self.sample_slabs(comm);
        let blocks: Vec<_> = slabs.iter().map(|(columns, _)| columns.clone()).collect();
        let mut scaled: Vec<(Array2<f64>, Vec<f64>)> = vec![Default::default(); slabs.len()];
        let places = slabs.into_iter().zip(&mut scaled);
        for_each(pool, places, |_, ((columns, mut w), place)| {
            let means = anomalies::anomalies(w.view_mut(), self.survivors, |_, _| ());
            *place = self.expanded(&means, columns.start).scales(w.view());
        });
        let (through, gram) = self.summed(comm, pool, &scaled);
        let perturbed = self.perturbed(comm, pool, blocks, &scaled);
        Products {
            residual: perturbed.unwrap_or_else(|| gram.clone()),
            through,
            gram,
        }
    }

    /// Takes the noise of members `members` on the observations `columns`, whole blocks of them, from their `rows`.
    fn take_noise(
        &self,
        members: Range<usize>,
        columns: Range<usize>,
        mut rows: ArrayViewMut2<f64>,
    ) {
        for (j, mut row) in members.zip(rows.rows_mut()) {
            if self.survivors.contains(j) {
                let noise = self.noise(j, columns.clone());
                let noise = row.iter_mut().zip(noise.iter().flatten());
                noise.for_each(|(x, e)| *x -= e);
            }
        }
    }

    /// (X - E) X^T over all samples, where observations are perturbed; `parts` as for `summed`.
    fn perturbed(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        blocks: Vec<Range<usize>>,
        parts: &[(Array2<f64>, Vec<f64>)],
    ) -> Option<Array2<f64>> {
        self.noise?;
        let mut residuals: Vec<Array2<f64>> = parts.iter().map(|(x, _)| x.clone()).collect();
        for_each(
            pool,
            blocks.into_iter().zip(&mut residuals),
            |_, (columns, rows)| match self.second_order {
                true => *rows -= &self.centred_noise(columns),
                false => self.take_noise(0..rows.nrows(), columns, rows.view_mut()),
            },
        );
        let pairs = residuals.iter().zip(parts);
        let bounds = pairs.map(|(r, (x, _))| largest_row(r.view()) * largest_row(x.view()));
        let mut bound = [bounds.fold(0.0, f64::max)];
        comm.largest(&mut bound);
        let pairs = residuals.iter().zip(parts);
        let views: Vec<_> = pairs.map(|(r, (x, _))| (r.view(), x.view())).collect();
        Some(self.whole_sum(comm, pool, &views, self.quantum(bound[0])))
    }

    /// X g and X X^T over all samples, from this rank's parts of X = W Omega^{1/2} and g = Omega^{-1/2} grad Psi.
    fn summed(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        parts: &[(Array2<f64>, Vec<f64>)],
    ) -> (Vec<f64>, Array2<f64>) {
        let members = self.members.items();
        let norms = parts
            .iter()
            .map(|(x, g)| (largest_row(x.view()), inner(g, g).sqrt()));
        let mut bounds = norms.fold([0.0_f64; 2], |most, (x, g)| {
            [most[0].max(x * x), most[1].max(x * g)]
        });
        comm.largest(&mut bounds);
        let [quantum, of_gradient] = bounds.map(|bound| self.quantum(bound));
        let mut through = vec![0.0; members];
        for (x, g) in parts {
            for (sum, row) in through.iter_mut().zip(x.rows()) {
                *sum += of_gradient.round(inner(row.to_slice().expect("row-major"), g));
            }
        }
        comm.sum_exact(&mut through);
        let views: Vec<_> = parts.iter().map(|(x, _)| (x.view(), x.view())).collect();
        (through, self.whole_sum(comm, pool, &views, quantum))
    }

    /// `sum_panels` of all rows, J x J.
    fn whole_sum(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        factors: &[(ArrayView2<f64>, ArrayView2<f64>)],
        quantum: Quantum,
    ) -> Array2<f64> {
        let members = self.members.items();
        let mut whole = Array2::zeros((members, members));
        let numbers = whole.as_slice_mut().expect("row-major");
        self.sum_panels(comm, pool, factors, quantum, |first, sums| {
            numbers[first * members..][..sums.len()].copy_from_slice(sums);
        });
        whole
    }
}

/// Returns the lower triangle of X X^T on every rank.
pub(crate) fn gram(comm: &Comm, pool: &ThreadPool, x: ArrayView2<f64>) -> Array2<f64> {
    let mut gram = Array2::zeros((x.nrows(), x.nrows()));
    shared_rows(comm, pool, &mut gram, |first, rows| {
        let rows = draw::matrix(rows, rows.len() / x.nrows(), x.nrows());
        gain::gram_rows(x, first, rows);
    });
    gram
}

/// Works on groups of rows of `matrix`, which ranks and threads share out and all ranks then have; `work` is given the
/// first row's number and the rows.
pub(crate) fn shared_rows(
    comm: &Comm,
    pool: &ThreadPool,
    matrix: &mut Array2<f64>,
    work: impl Fn(usize, &mut [f64]) + Sync,
) {
    let (rows, width) = matrix.dim();
    let shared = Partition::in_units(rows, comm.size(), SOLVED);
    let own = shared.range(comm.rank());
    let numbers = matrix.as_slice_mut().expect("row-major");
    let groups = numbers[own.start * width..own.end * width].chunks_mut(SOLVED * width);
    for_each(pool, groups.enumerate(), |_, (group, rows)| {
        work(own.start + group * SOLVED, rows);
    });
    comm.all_gather_rows(shared, width, numbers);
}
