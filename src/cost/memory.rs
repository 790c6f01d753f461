//! What a run holds on each rank, by name, before anything is allocated: what lasts, and the most of what comes and goes.

use serde::Serialize;

use super::StepShape;
use crate::ensemble::transform::{Form, update_scratch};
use crate::forward::low_rank::UNIT;
use crate::kernels::panel::in_panels;
use crate::method::norm::TILE;
use crate::method::outputs::ROWS_PER_TASK;
use crate::parallel::partition::BLOCK;

/// Memory of the program itself with Open MPI, and of each thread's product kernels: measured, not derived.
const PROGRAM: u64 = 16 << 20;
const THREAD: u64 = 4 << 20;

/// Bytes of a named parameter: its name and prior; as text in a question to a simulator, with the numbers; and in the table of
/// results, with all copies of names, numbers and text. Measured at P = 10^6 with names of ten letters.
const NAMED: usize = 80;
const ASKED: usize = 36;
const REPORTED: usize = 240;

/// The most numbers of an ensemble that are written as text; beyond it final/ensemble.npy must do.
pub const MOST_AS_TEXT: usize = 1 << 24;

/// Bytes one rank holds, by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// While the data is sent to all ranks, before anything else is there.
    pub starting: u64,
    /// What is there throughout.
    pub lasting: Vec<(&'static str, u64)>,
    /// What comes and goes; only the largest counts.
    pub passing: Vec<(&'static str, u64)>,
}

impl Memory {
    /// The most that is held at any time.
    #[must_use]
    pub fn peak(&self) -> u64 {
        let lasting = self.lasting.iter().map(|(_, bytes)| *bytes);
        let passing = self.passing.iter().map(|(_, bytes)| *bytes).max();
        let whole = lasting.chain(passing).fold(0, u64::saturating_add);
        self.starting.max(whole)
    }
}

/// The product of sizes, which may be more than an integer holds; exact where it is not.
fn product(sizes: &[usize]) -> f64 {
    sizes.iter().map(|size| *size as f64).product()
}

impl StepShape {
    /// Bytes that `rank` holds.
    #[must_use]
    pub fn memory(&self, rank: usize) -> Memory {
        let (j, p, s, t) = (self.members, self.parameters, self.number, self.threads);
        let (own_j, own_p) = (self.members_of(rank), self.parameters_of(rank));
        let width = BLOCK.min(p);
        let stored = self.form != Form::Mean;
        let when = |there: bool, bytes: f64| if there { bytes } else { 0.0 };
        let slab = when(stored, product(&[s, j, own_p]));
        let named = if self.simulates { p } else { 0 };
        let program = PROGRAM + t as u64 * THREAD;
        let given = self.by_sums.map_or(0, |(_, given)| given);
        let drawn = [
            product(&[s, self.rows, p]),
            product(&[s, own_j, self.drawn]),
            product(&[s, own_j.div_ceil(UNIT), given]),
        ];
        let lasting = [
            ("program, MPI, kernels", program as f64),
            ("data set", self.data as f64),
            ("slab of the members", slab),
            ("momentum's slab", slab * (self.slabs - 1) as f64),
            (
                "members' copy from afar",
                when(stored, product(&[s, own_j, self.parameters_far(rank)])),
            ),
            ("means and draws", when(!stored, drawn.iter().sum())),
            ("names and priors", product(&[NAMED, named])),
            ("roots of moments", self.spreading.kept as f64),
            ("centres", when(self.centres, product(&[2, s, own_p]))),
            ("hidden states", product(&[s, own_j, self.hidden])),
            ("outputs", product(&[s, own_j, self.outputs])),
            // Kept from step to step.
            (
                "D or its factors",
                product(&[s, self.kept_of_the_interaction(rank)]),
            ),
            (
                "evaluation",
                product(&[s, t, self.room]) + product(&[s, self.inputs]),
            ),
            (
                "update's scratch",
                product(&[s, t, update_scratch(self.form, j, self.outputs, width)]),
            ),
        ];
        // Of each number of the final ensemble, where its members are written as text: itself, in double precision, its text.
        let few = product(&[j, p]) <= MOST_AS_TEXT as f64;
        let written = when(self.writes_members && few, product(&[s + 8 + 20, j, named]));
        let results = when(rank == 0, product(&[REPORTED, named]) + written);
        let grows = self.members > self.members_before && stored;
        let grown = product(&[self.slabs, s, self.members_before, own_p]);
        let passing = [
            ("interaction", self.interaction_memory(rank) as f64),
            ("Kalman gain", self.gain_memory(rank) as f64),
            ("inputs of layers", product(&[t, self.spreading.passing])),
            ("evaluating the mean", product(&[8 + s, p])),
            ("questions", product(&[t, ASKED, named])),
            ("results as text", results),
            ("growth", when(grows, grown)),
        ];
        let kept = |list: &[(&'static str, f64)]| {
            let there = list.iter().filter(|(_, bytes)| *bytes > 0.0);
            there.map(|&(name, bytes)| (name, bytes as u64)).collect()
        };
        Memory {
            starting: self.data.saturating_mul(2).saturating_add(program),
            lasting: kept(&lasting),
            passing: kept(&passing),
        }
    }

    /// Numbers of D as the update reads it, and by rows of what it is made from; or of V and W, and of these as the update
    /// reads them.
    fn kept_of_the_interaction(&self, rank: usize) -> usize {
        let (j, k) = (self.members, self.outputs);
        match self.form {
            Form::Explicit if self.by_rows() && self.gain => j * j + j * k,
            Form::Explicit if self.by_rows() => {
                let own = self.rows_of(rank);
                let made = self.threads * ROWS_PER_TASK.min(own) * (j + k);
                j * j + j * k + own * k + in_panels(k, j) + made
            }
            Form::Explicit => j * j,
            Form::Factored => 4 * j * k,
            Form::Mean => 2 * j * k,
        }
    }

    /// Bytes of what comes and goes while D is put together on `rank`.
    fn interaction_memory(&self, rank: usize) -> usize {
        let (j, k, s, t) = (self.members, self.outputs, self.number, self.threads);
        let several = self.ranks > 1;
        // What ranks gather passes through a buffer, and as much again inside MPI.
        let gathered = |numbers: usize| {
            if several {
                2 * s * numbers.min(1 << 20)
            } else {
                0
            }
        };
        match self.form {
            Form::Explicit if self.by_rows() => gathered(j * j.max(k)),
            Form::Explicit => {
                let (own_j, own_k) = (self.members_of(rank), self.outputs_of(rank));
                let packed = if several { s * own_j * (k - own_k) } else { 0 };
                let wave = (4 * t * ROWS_PER_TASK).min(j.next_multiple_of(ROWS_PER_TASK)) * j;
                // A reduction's own copy of its chunk, and as much again inside MPI, which has to receive the others'.
                let reduced = if several {
                    2 * 8 * wave.min(1 << 20)
                } else {
                    0
                };
                let sums = 8 * wave + s * t * ROWS_PER_TASK * j + reduced;
                s * j * own_k + packed.max(s * j * own_k + sums)
            }
            Form::Factored | Form::Mean => 2 * s * t * TILE * TILE,
        }
    }
}
