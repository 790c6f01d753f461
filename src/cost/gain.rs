//! The cost of the Kalman gain in a step, in the terms of `cost`.
//!
//! Let n be the side of the factored matrix: J in the explicit form, K in the factored one, else the smaller of both;
//! let l be the other of J and K. The interaction then takes n^3/3 more flops on every rank; n^2 l / R for half of the
//! Gram matrix, which in the explicit form replaces D (with D by samples, all of it does); and, except in the mean
//! form, 2 n^2 J / R to solve for the members' rows. A rank sends each row that it computes to all others, 8 n bytes to
//! each. In the explicit form perturbed observations add one product J x J.

use super::StepShape;
use crate::ensemble::transform::Form;
use crate::method::gain::SOLVED;
use crate::method::outputs::ROWS_PER_TASK;
use crate::parallel::partition::Partition;

impl StepShape {
    /// Returns the side of the matrix that is factored for the Kalman gain: J in the explicit form, K in the factored
    /// one, else the smaller of both.
    #[must_use]
    pub fn gain_side(&self) -> usize {
        match self.form {
            Form::Explicit => self.members,
            // At most J, unless covariances are localised.
            Form::Factored => self.outputs,
            Form::Mean => self.members.min(self.outputs),
        }
    }

    /// Returns the number of the `rows` rows that `rank` multiplies or solves for.
    pub(crate) fn solved_of(&self, rows: usize, rank: usize) -> usize {
        Partition::in_units(rows, self.ranks, SOLVED)
            .range(rank)
            .len()
    }

    /// Returns the flops of the Kalman gain on `rank`, without S itself in the explicit form by samples, which replaces
    /// D.
    pub(super) fn gain_flops(&self, rank: usize) -> f64 {
        if !self.gain {
            return 0.0;
        }
        let side = self.gain_side();
        let long = self.members + self.outputs - side;
        let real = |n: usize| n as f64;
        let square = real(side).powi(2);
        let gram = real(self.solved_of(side, rank) * side) * real(long);
        let solved = |rows: usize| 2.0 * square * real(self.solved_of(rows, rank));
        let factor = square * real(side) / 3.0;
        factor
            + match self.form {
                Form::Explicit => {
                    let products = if self.by_rows() { gram } else { 0.0 };
                    products + solved(side) + self.perturbed_flops(rank)
                }
                Form::Factored => gram + solved(self.members),
                Form::Mean => gram,
            }
    }

    /// Returns the flops of `rank` in the product of perturbed residuals and anomalies, in the explicit form.
    fn perturbed_flops(&self, rank: usize) -> f64 {
        let (j, k) = (self.members, self.outputs);
        let own = match (self.perturbed, self.by_rows()) {
            (false, _) => 0,
            (true, true) => self.solved_of(j, rank) * k,
            (true, false) => j * self.outputs_of(rank),
        };
        2.0 * j as f64 * own as f64
    }

    /// Returns the bytes that `rank` sends for the Kalman gain: rows of a Gram matrix and of the solution, to all
    /// others; in the explicit form by samples also one bound, and W g.
    pub(super) fn gain_sent(&self, rank: usize) -> usize {
        let (j, side) = (self.members, self.gain_side());
        let rows = |rows: usize| 8 * side * self.solved_of(rows, rank) * (self.ranks - 1);
        match self.form {
            _ if !self.gain => 0,
            Form::Explicit if self.by_rows() => rows(j) * (2 + usize::from(self.perturbed)),
            Form::Explicit => {
                let perturbed = if self.perturbed { 8 + 8 * j * j } else { 0 };
                8 + 8 * j + perturbed + rows(j)
            }
            Form::Factored => rows(side) + rows(j),
            Form::Mean => rows(side),
        }
    }

    /// Returns the bytes held temporarily while the Kalman gain is computed and applied to D: W Omega^{1/2}, a Gram
    /// matrix and its factor, and the solution.
    pub(super) fn gain_memory(&self, rank: usize) -> usize {
        let (j, k, side) = (self.members, self.outputs, self.gain_side());
        match self.form {
            _ if !self.gain => 0,
            // X, X X^T and the matrix that replaces D; then the last two, and D as the update reads it.
            Form::Explicit if self.by_rows() => 8 * (j * k + 2 * j * j),
            Form::Explicit => {
                let (own_k, s) = (self.outputs_of(rank), self.number);
                let scaled = 8 * j * own_k;
                let wave =
                    (4 * self.threads * ROWS_PER_TASK).min(j.next_multiple_of(ROWS_PER_TASK)) * j;
                // Perturbed observations need as much again at the same time.
                let times = 1 + usize::from(self.perturbed);
                let panels = 8 * (wave + self.threads * ROWS_PER_TASK * j);
                let summed = times * (scaled + 8 * j * j) + panels;
                (scaled + s * j * own_k).max(summed).max(2 * 8 * j * j)
            }
            Form::Factored => 8 * (2 * j * k + side * side),
            Form::Mean => 8 * (j * k + side * side),
        }
    }
}
