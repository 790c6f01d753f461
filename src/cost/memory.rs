//! The memory of a run on each rank, by name, before anything is allocated: what lasts, and the largest temporary part.

use serde::Serialize;

use super::StepShape;
use crate::config::MethodKind;
use crate::ensemble::transform::{Form, update_scratch};
use crate::forward::low_rank::UNIT;
use crate::parallel::partition::BLOCK;

/// The memory of the program itself with Open MPI: measured, not derived.
const PROGRAM: u64 = 16 << 20;
/// The memory of each thread's product kernels: measured, not derived.
const THREAD: u64 = 4 << 20;

/// The bytes of a named parameter: its name and prior. Measured, as the next two, at P = 10^6 with names of ten
/// letters.
const NAMED: usize = 96;
/// The bytes of a named parameter as text in a question to a simulator, with the numbers.
const ASKED: usize = 36;
/// The bytes of a named parameter in the table of results, with all copies of names, numbers and text.
const REPORTED: usize = 640;

/// The largest ensemble, in numbers, that is written as text; larger ones are in final/ensemble.npy only.
pub const MOST_AS_TEXT: usize = 1 << 24;

/// The bytes that one rank holds, by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// The bytes held while the data is sent to all ranks, before anything else is allocated.
    pub starting: u64,
    /// The bytes held throughout the run.
    pub lasting: Vec<(&'static str, u64)>,
    /// The bytes held temporarily; only the largest counts.
    pub passing: Vec<(&'static str, u64)>,
}

impl Memory {
    /// Returns the largest number of bytes held at any time.
    #[must_use]
    pub fn peak(&self) -> u64 {
        let lasting = self.lasting.iter().map(|(_, bytes)| *bytes);
        let passing = self.passing.iter().map(|(_, bytes)| *bytes).max();
        let whole = lasting.chain(passing).fold(0, u64::saturating_add);
        self.starting.max(whole)
    }
}

/// Returns the product of sizes, which may exceed an integer's range; exact if it does not.
pub(super) fn product(sizes: &[usize]) -> f64 {
    sizes.iter().map(|size| *size as f64).product()
}

impl StepShape {
    /// Returns the name of the slab that is kept beside that of the members, by what moves these on after a step.
    fn second_slab(&self) -> &'static str {
        match self.kind {
            MethodKind::Uki => "slab before prediction",
            _ => "momentum's slab",
        }
    }

    /// Returns the memory of `rank`. Long because it is one table of all that a rank holds.
    #[must_use]
    pub fn memory(&self, rank: usize) -> Memory {
        let (j, p, s, t) = (self.members, self.parameters, self.number, self.threads);
        let (own_j, own_p) = (self.members_of(rank), self.parameters_of(rank));
        let method = self.method(rank);
        let (width, outputs) = (BLOCK.min(p), self.localising.products(self.outputs));
        let stored = self.form != Form::Mean;
        let when = |there: bool, bytes: f64| if there { bytes } else { 0.0 };
        let slab = when(stored, product(&[s, j, own_p]));
        let (prior, own) = (self.prior, self.prior.parameters);
        let program = PROGRAM + t as u64 * THREAD;
        let lasting = [
            ("program, MPI, kernels", program as f64),
            ("data set", self.data[0] as f64),
            ("noise covariance", self.data[1] as f64),
            ("coordinates, tapers", self.localising.bytes(own_p)),
            ("slab of the members", slab),
            (self.second_slab(), slab * (self.slabs - 1) as f64),
            ("the prior's sample", self.sample.kept(s, own_p)),
            (
                "members' copy from afar",
                when(stored, product(&[s, own_j, self.parameters_far(rank)])),
            ),
            ("means and draws", when(!stored, self.drawn_bytes(own_j))),
            ("names and priors", product(&[NAMED, prior.named])),
            ("prior's correlation, fields", prior.matrices as f64),
            ("roots of moments", self.whitening.kept as f64),
            ("centres", when(self.centres, product(&[2, s, own_p]))),
            ("hidden states", product(&[s, own_j, self.hidden])),
            (
                "accepted members",
                self.beside.kept(slab, product(&[s, own_j, self.outputs])),
            ),
            ("outputs", product(&[s, own_j, self.held_outputs()])),
            // Kept from step to step.
            ("D or its factors", product(&[s, method.kept])),
            (
                "evaluation",
                product(&[s, t, self.scratch]) + product(&[s, self.inputs]),
            ),
            (
                "update's scratch",
                product(&[s, t, update_scratch(self.form, j, outputs, width)])
                    + product(&[
                        s,
                        t,
                        self.localising.picked(j) + self.beside.copied(j, width),
                    ]),
            ),
        ];
        let results = when(rank == 0, self.results_bytes());
        let grows = self.members > self.members_before && stored;
        let grown = product(&[self.slabs, s, self.members_before, own_p]);
        let first = self.sample.starting(s, p, own, rank == 0);
        let passing = [
            ("interaction", method.passing as f64),
            ("Kalman gain", method.solving as f64),
            ("inputs of layers", product(&[t, self.whitening.passing])),
            ("evaluating the mean", product(&[8 + s, p])),
            (
                "fields and questions",
                product(&[t, ASKED, own]) + product(&[t, prior.passing]),
            ),
            ("results as text", results),
            ("growth", when(grows, grown)),
            ("first members", self.second_order.first_members + first),
        ];
        let kept = |list: &[(&'static str, f64)]| {
            let there = list.iter().filter(|(_, bytes)| *bytes > 0.0);
            there.map(|&(name, bytes)| (name, bytes as u64)).collect()
        };
        Memory {
            starting: (self.data[0].saturating_add(self.data[1]))
                .saturating_mul(2)
                .saturating_add(program),
            lasting: kept(&lasting),
            passing: kept(&passing),
        }
    }

    /// Returns the bytes of the results of rank 0: for each number of the final ensemble, if members are written as text, itself, in
    /// double precision, in the columns that are correlated, and its text.
    fn results_bytes(&self) -> f64 {
        let (j, own) = (self.members, self.prior.parameters);
        let few = product(&[j, own.max(self.parameters)]) <= MOST_AS_TEXT as f64;
        let written = match self.writes_members && few {
            true => product(&[self.number + 8 + 8 + 20, j, own]),
            false => 0.0,
        };
        product(&[REPORTED, own]) + written
    }

    /// Returns the bytes of the means and draws of the mean form, on a rank with `own` members.
    fn drawn_bytes(&self, own: usize) -> f64 {
        let yielded = self.by_sums.map_or(0, |(_, yielded)| yielded);
        let rows = product(&[self.rows, self.parameters]);
        let draws = product(&[own, self.drawn]) + product(&[own.div_ceil(UNIT), yielded]);
        product(&[self.number]) * (rows + draws)
    }
}
