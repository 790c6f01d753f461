//! What the Kalman gain adds to a step's cost, in the terms of `cost`.
//!
//! With n the side that is factored, J in the explicit form, K in the factored one, else the smaller of both, and l the
//! other: to the interaction come n^3/3 flops on every rank; n^2 l / R for half of the Gram matrix, which in the explicit
//! form takes D's place (by samples all of it does); 2 n^2 J / R to solve for the members' rows, but in the mean form. Each
//! row that a rank makes of these goes to the others, 8 n bytes to each. In the explicit form members with noise of their
//! own on the observations have one product J x J more.

use super::StepShape;
use crate::ensemble::transform::Form;
use crate::method::gain::SOLVED;
use crate::method::outputs::ROWS_PER_TASK;
use crate::parallel::partition::Partition;

impl StepShape {
    /// The side of the matrix that is factored for the Kalman gain: J in the explicit form, K in the factored one, else the
    /// smaller of both.
    #[must_use]
    pub fn gain_side(&self) -> usize {
        match self.form {
            Form::Explicit => self.members,
            // No more than J, unless covariances are localised.
            Form::Factored => self.outputs,
            Form::Mean => self.members.min(self.outputs),
        }
    }

    /// Rows of `rows` that `rank` multiplies or solves for.
    pub(crate) fn solved_of(&self, rows: usize, rank: usize) -> usize {
        Partition::in_units(rows, self.ranks, SOLVED)
            .range(rank)
            .len()
    }

    /// Flops of the Kalman gain on `rank`, but for S itself in the explicit form by samples, which takes D's place.
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

    /// Flops of `rank`'s part of the product of perturbed residuals and anomalies, in the explicit form.
    fn perturbed_flops(&self, rank: usize) -> f64 {
        let (j, k) = (self.members, self.outputs);
        let own = match (self.perturbed, self.by_rows()) {
            (false, _) => 0,
            (true, true) => self.solved_of(j, rank) * k,
            (true, false) => j * self.outputs_of(rank),
        };
        2.0 * j as f64 * own as f64
    }

    /// Bytes that `rank` sends for the Kalman gain: rows of a Gram matrix, and rows that are solved for, to all others; in
    /// the explicit form by samples one bound more, and W g.
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

    /// Bytes of what comes and goes while the Kalman gain is made and put on D: W Omega^{1/2}, a Gram matrix and its factor,
    /// what is solved for.
    pub(super) fn gain_memory(&self, rank: usize) -> usize {
        let (j, k, side) = (self.members, self.outputs, self.gain_side());
        match self.form {
            _ if !self.gain => 0,
            // X, X X^T and what takes D's place; then the last two, and D as the update reads it.
            Form::Explicit if self.by_rows() => 8 * (j * k + 2 * j * j),
            Form::Explicit => {
                let (own_k, s) = (self.outputs_of(rank), self.number);
                let scaled = 8 * j * own_k;
                let wave =
                    (4 * self.threads * ROWS_PER_TASK).min(j.next_multiple_of(ROWS_PER_TASK)) * j;
                // With noise on the observations once more, beside the first.
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
