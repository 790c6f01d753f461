//! What a run holds on each rank, by name, before anything is allocated: what lasts, and the most of what comes and goes.

use serde::Serialize;

use super::Shape;
use crate::eki::{Form, TILE, update_scratch};
use crate::forward::low_rank::UNIT;
use crate::interaction::PANEL;
use crate::panel::in_panels;
use crate::partition::BLOCK;

/// Memory of the program itself with Open MPI, and of each thread's product kernels: measured, not derived.
const PROGRAM: u64 = 16 << 20;
const THREAD: u64 = 4 << 20;

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
        let lasting: u64 = self.lasting.iter().map(|(_, bytes)| bytes).sum();
        let passing = self.passing.iter().map(|(_, bytes)| *bytes).max();
        self.starting.max(lasting + passing.unwrap_or(0))
    }
}

impl Shape {
    /// Bytes that `rank` holds.
    #[must_use]
    pub fn memory(&self, rank: usize) -> Memory {
        let (j, p, s, t) = (self.members, self.parameters, self.number, self.threads);
        let (own_j, own_p) = (self.members_of(rank), self.parameters_of(rank));
        let width = BLOCK.min(p);
        let stored = self.form != Form::Mean;
        let slab = if stored { s * j * own_p } else { 0 };
        let program = PROGRAM + t as u64 * THREAD;
        let lasting = [
            ("program, MPI, kernels", program as usize),
            ("data set", self.data as usize),
            ("slab of the members", slab),
            ("momentum's slab", slab * (self.slabs - 1)),
            (
                "members' copy from afar",
                if stored {
                    s * own_j * self.parameters_far(rank)
                } else {
                    0
                },
            ),
            (
                "means and draws",
                if stored {
                    0
                } else {
                    let given = self.by_sums.map_or(0, |(_, given)| given);
                    s * (self.rows * p + own_j * self.drawn + own_j.div_ceil(UNIT) * given)
                },
            ),
            ("roots of moments", self.spreading.kept),
            ("centres", if self.centres { 2 * s * own_p } else { 0 }),
            ("hidden states", s * own_j * self.hidden),
            ("outputs", s * own_j * self.outputs),
            // Kept from step to step.
            ("D or its factors", s * self.kept_of_the_interaction(rank)),
            ("evaluation", s * (t * self.room + self.inputs)),
            (
                "update's scratch",
                s * t * update_scratch(self.form, j, self.outputs, width),
            ),
        ];
        let grows = self.members > self.members_before && stored;
        let passing = [
            ("interaction", self.interaction_memory(rank)),
            ("Kalman gain", self.gain_memory(rank)),
            ("inputs of layers", t * self.spreading.passing),
            ("evaluating the mean", (8 + s) * p),
            (
                "growth",
                if grows {
                    self.slabs * s * self.members_before * own_p
                } else {
                    0
                },
            ),
        ];
        let kept = |list: &[(&'static str, usize)]| {
            let there = list.iter().filter(|(_, bytes)| *bytes > 0);
            there.map(|&(name, bytes)| (name, bytes as u64)).collect()
        };
        Memory {
            starting: program + 2 * self.data,
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
                let made = self.threads * PANEL.min(own) * (j + k);
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
                let wave = (4 * t * PANEL).min(j.next_multiple_of(PANEL)) * j;
                // A reduction's own copy of its chunk, and as much again inside MPI, which has to receive the others'.
                let reduced = if several {
                    2 * 8 * wave.min(1 << 20)
                } else {
                    0
                };
                let sums = 8 * wave + s * t * PANEL * j + reduced;
                s * j * own_k + packed.max(s * j * own_k + sums)
            }
            Form::Factored | Form::Mean => 2 * s * t * TILE * TILE,
        }
    }
}
