//! A checked configuration and the numbers that follow from it.

mod checks;
pub mod extra_arrays;
mod length;
mod localisation;
mod points;
mod schedule;
mod sets;

use crate::data::shape::DataShape;
use std::ops::Range;

use crate::config::{
    self, Config, Covariance, DrawKind, FormKind, HSchedule, Localise, Rerandomise, Resolved,
    StepKind,
};
use crate::data::batch::Batches;
use crate::data::noise::{Gamma, KeptFile, Noise};
use crate::data::observed::ObservationTable;
use crate::data::tapers::Tapers;
use crate::ensemble::moments::MeanAveraging;
use crate::ensemble::transform::Form;
use crate::error::{Error, Result};
use crate::kernels::real::Real;
use crate::method::descent::Descent;
use crate::method::loss::Loss;
use crate::method::step_size::StepSize;
use crate::method::{self, Method, ProblemShape};
use checks::{check_magnitudes, check_method, check_noise, check_size};

/// A checked configuration and everything that follows from it: what does not change during a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The configuration and where its keys were set.
    pub resolved: Resolved,
    /// The data's shape.
    pub data: DataShape,
    /// Parameters P.
    pub parameters: usize,
    /// The cut of epochs into batches.
    pub batches: Batches,
    /// The names, groups, sets and weights of the observations.
    pub table: ObservationTable,
    /// The noise of the observations.
    pub noise: Noise,
    /// Which observations inform which parameters, if files localise.
    pub tapers: Option<Tapers>,
    /// The loss.
    pub loss: Loss,
    /// The loss whose gradients enter D: the same, or with the prior's part, that of the outputs and after them of the
    /// parameters in units of the prior's deviations.
    pub loss_in_d: Loss,
    /// The step size's rule.
    pub step_size: StepSize,
    /// The settings of the ensemble: the configuration's, or those of one point that goes down a gradient.
    pub ensemble: config::Ensemble,
    /// Gradient descent, where that is the method: a step is `run::descent`'s then.
    pub descent: Option<Descent>,
    /// Steps of the whole run.
    pub steps: u64,
}

impl Plan {
    /// Checks a configuration whose `method.noise` names no file against its data and the forward map's P `parameters`.
    ///
    /// # Errors
    /// One line naming the key, its value, where it was set and what is allowed.
    pub fn new(resolved: Resolved, data: DataShape, parameters: usize) -> Result<Self> {
        let Some(variances) = resolved.config.method.noise.variances() else {
            return Err(resolved.error("method.noise", "must be numbers here: no file was read"));
        };
        let gamma = Gamma::Diagonal(variances.to_vec());
        Self::with_noise(resolved, gamma.into(), data, parameters)
    }

    /// Checks a configuration against the `noise` of its observations, its data and the forward map's P `parameters`.
    ///
    /// # Errors
    /// As `new`.
    pub fn with_noise(
        mut resolved: Resolved,
        noise: Noise,
        data: DataShape,
        parameters: usize,
    ) -> Result<Self> {
        points::settle(&mut resolved, parameters);
        let config = &resolved.config;
        if parameters == 0 || data.outputs == 0 {
            let why = "there is nothing to fit: no parameters, or no outputs";
            return Err(Error::Usage(why.to_owned()));
        }
        let simulates = config.model.kind.simulates();
        // How many sets a simulator's observations have is said by their table.
        if config.data.batch > data.train && !simulates {
            return Err(resolved.error(
                "data.batch",
                format!("must be at most the {} training samples", data.train),
            ));
        }
        let batch = if simulates { 1 } else { config.data.batch };
        check_method(&resolved, data)?;
        check_noise(&resolved, &noise, data.outputs)?;
        let observed = batch.saturating_mul(data.outputs);
        check_size(&resolved, parameters, observed)?;
        check_magnitudes(&resolved)?;
        let batches = Batches {
            seed: config.seed,
            samples: data.train,
            batch,
            shuffle: config.data.shuffle,
            of_sets: false,
        };
        let steps = length::steps(&resolved, &batches)?;
        let loss = Loss::of(&config.method, &noise.gamma, data.classes);
        let weight = config.method.prior_weight();
        let loss_in_d = loss_in_d(&loss, weight, (data.outputs, parameters));
        let adaptive = config.method.step == StepKind::Adaptive;
        let adaptive = adaptive && !config.method.kind.with_gain();
        let step_size = StepSize {
            h: config.method.h.unit(),
            epsilon: adaptive.then_some(config.method.epsilon),
        };
        let descent = Descent::of(&config.method);
        let plan = Self {
            data,
            parameters,
            batches,
            table: data.outputs.into(),
            noise,
            tapers: None,
            loss,
            loss_in_d,
            step_size,
            ensemble: match &descent {
                Some(_) => Descent::one_point(&config.ensemble),
                None => config.ensemble.clone(),
            },
            descent,
            steps,
            resolved,
        };
        let problem = ProblemShape {
            resolved: &plan.resolved,
            outputs: plan.observed(),
            parameters,
            loss: plan.config().method.loss.of_targets(data.classes),
        };
        plan.check_sample()?;
        match &plan.descent {
            Some(descent) => descent.check(&problem)?,
            None => {
                problem.refuse_descent_keys()?;
                plan.method::<f32>(plan.members(0)).check(&problem)?;
            }
        }
        Ok(plan)
    }

    /// Returns this plan with what a table says of the observations.
    ///
    /// # Errors
    /// Keys that do not fit the table's sets.
    ///
    /// # Panics
    /// If it is of another number of observations.
    pub fn with_table(self, table: ObservationTable) -> Result<Self> {
        if !self.config().model.kind.simulates() {
            return Ok(Self { table, ..self });
        }
        assert!(table.outputs.count() == self.data.outputs);
        self.with_sets(table)
    }

    /// Returns the digest of all data of a run whose samples have the digest `samples`.
    #[must_use]
    pub fn digest(&self, samples: [u8; 32]) -> [u8; 32] {
        let of_noise = self.noise.digest(self.table.digest(samples));
        let of_tapers = match &self.tapers {
            Some(tapers) => tapers.digest(of_noise),
            None => of_noise,
        };
        self.resolved.digest_with_prior(of_tapers)
    }

    /// Returns the files of which the run's folder keeps copies, but for observations and the prior's.
    pub fn kept_files(&self) -> impl Iterator<Item = &KeptFile> {
        let of_tapers = self.tapers.iter().flat_map(|tapers| &tapers.files);
        self.noise.files.iter().chain(of_tapers)
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.resolved.config
    }

    /// Outputs K that enter D at each step, the prior's part among them.
    #[must_use]
    pub fn outputs(&self) -> usize {
        let of_prior = match self.config().method.prior_weight() > 0.0 {
            true => self.parameters,
            false => 0,
        };
        self.observed() + of_prior
    }

    /// Observed outputs of a batch: K without the prior's part.
    #[must_use]
    pub fn observed(&self) -> usize {
        self.loss.outputs(self.batches.width(), self.data.outputs)
    }

    /// Returns the form of the update with `members` members: from (J, K) and the method alone.
    #[must_use]
    pub fn form(&self, members: usize) -> Form {
        let config = self.config();
        if let Some(form) = method::only_form(config.method.kind) {
            return form;
        }
        match config.method.form {
            FormKind::Explicit => Form::Explicit,
            FormKind::Factored => Form::Factored,
            FormKind::Mean => Form::Mean,
            FormKind::Auto if self.redraws_each_step() => Form::Mean,
            FormKind::Auto if config.method.localise != Localise::None => Form::Factored,
            FormKind::Auto if 2 * self.outputs() >= members => Form::Explicit,
            FormKind::Auto => Form::Factored,
        }
    }

    /// Returns the method that updates `members` members.
    #[must_use]
    pub fn method<T: Real>(&self, members: usize) -> Box<dyn Method<T>> {
        method::of(self.config().method.kind, self.form(members))
    }

    /// Returns the targets of all numbers that enter D: `observed`, and after them those of the prior's part, whose deviations from its
    /// mean are to be 0.
    #[must_use]
    pub fn targets_in_d<T: Real>(&self, mut observed: Vec<T>) -> Vec<T> {
        observed.resize(self.outputs(), T::zero());
        observed
    }

    /// Returns true if products are of bfloat16.
    #[must_use]
    pub fn mixed(&self) -> bool {
        self.config().run.mixed()
    }

    /// Returns the rank of low-rank draws, where members are drawn so.
    #[must_use]
    pub fn low_rank(&self) -> Option<usize> {
        let ensemble = &self.ensemble;
        (ensemble.draw == DrawKind::LowRank).then_some(ensemble.rank)
    }

    /// Returns the damping of the moments by which draws are spread, where they are.
    #[must_use]
    pub fn whitens(&self) -> Option<f64> {
        let damping = self.ensemble.whiten;
        (damping > 0.0).then_some(damping)
    }

    /// Returns true if the mean moves by way of the layers' sums.
    #[must_use]
    pub fn by_layer_sums(&self) -> bool {
        self.config().method.covariance == Covariance::Sums
    }

    /// Returns the decays of the mean's second moments and average.
    #[must_use]
    pub fn memory(&self) -> MeanAveraging {
        MeanAveraging {
            second: self.config().method.rms_decay,
            average: self.ensemble.polyak_decay,
        }
    }

    /// Returns why a step depends on the length of the run, if it does.
    #[must_use]
    pub fn depends_on_its_end(&self) -> Option<&'static str> {
        let (method, ensemble) = (&self.config().method, &self.ensemble);
        if ensemble.grow_to > ensemble.members {
            Some("the ensemble grows")
        } else if method.h_schedule == HSchedule::Cosine {
            Some("h falls")
        } else {
            None
        }
    }

    /// Returns the last epoch, from 0.
    #[must_use]
    pub fn last_epoch(&self) -> u64 {
        self.batches.epoch(self.steps.saturating_sub(1))
    }

    /// Members J during `epoch`, from 0: growing evenly to `ensemble.grow_to` at the last epoch.
    #[must_use]
    pub fn members(&self, epoch: u64) -> usize {
        let ensemble = &self.ensemble;
        let last = self.last_epoch();
        if ensemble.grow_to <= ensemble.members || last == 0 {
            return ensemble.members;
        }
        let grown = (ensemble.grow_to - ensemble.members) as u128 * u128::from(epoch.min(last))
            / u128::from(last);
        ensemble.members + grown as usize
    }

    /// Epochs passed at `step`, with a fraction; of sets whole ones, so that all have the same h in a pass.
    fn time(&self, step: u64) -> f64 {
        match self.batches.of_sets {
            true => self.batches.epoch(step) as f64,
            false => step as f64 / self.batches.steps_per_epoch() as f64,
        }
    }

    /// sqrt(gamma) at `step`, gamma decaying by gamma_decay over each epoch.
    #[must_use]
    pub fn spread(&self, step: u64) -> f64 {
        let ensemble = &self.ensemble;
        (ensemble.gamma * ensemble.gamma_decay.powf(self.time(step))).sqrt()
    }

    /// Returns the layers, from 0, in which members of `step` differ: all, or those of the block whose turn it is.
    #[must_use]
    pub fn layers(&self, step: u64) -> Range<usize> {
        let firsts = &self.ensemble.active_layers;
        self.block(firsts[(step % firsts.len() as u64) as usize])
    }

    /// Returns the layers, from 0, of the block that begins at layer `first`, from 1.
    #[must_use]
    pub fn block(&self, first: usize) -> Range<usize> {
        let firsts = self.ensemble.active_layers.iter();
        let next = firsts.filter(|&&other| other > first).min();
        first - 1..next.map_or(usize::MAX, |next| next - 1)
    }

    /// Returns true if the ensemble that enters `step` is drawn anew.
    #[must_use]
    pub fn rerandomises(&self, step: u64) -> bool {
        let ensemble = &self.ensemble;
        let unit = match ensemble.rerandomise {
            Rerandomise::Epoch => self.batches.steps_per_epoch(),
            Rerandomise::Step => 1,
            Rerandomise::Never => return false,
        };
        // Members that outlive a step are the run's result after the last one.
        step.is_multiple_of(unit.saturating_mul(ensemble.rerandomise_every))
            && (step < self.steps || ensemble.redrawn_each_step())
    }

    /// Returns true if the members of every step are drawn anew.
    #[must_use]
    pub fn redraws_each_step(&self) -> bool {
        self.ensemble.redrawn_each_step()
    }

    /// Returns true if `step` is the first of an epoch.
    #[must_use]
    pub fn begins_epoch(&self, step: u64) -> bool {
        step.is_multiple_of(self.batches.steps_per_epoch())
    }

    /// Returns true if the test set is judged after `step` steps.
    #[must_use]
    pub fn evaluates(&self, steps: u64) -> bool {
        let epochs = self.config().run.evaluate_every;
        let every = epochs.saturating_mul(self.batches.steps_per_epoch());
        steps == self.steps || (every > 0 && steps.is_multiple_of(every))
    }
}

/// Returns the loss whose gradients enter D: `loss`, with the prior's part of this `weight` after the K `outputs`, where there is
/// one.
fn loss_in_d(loss: &Loss, weight: f64, (outputs, parameters): (usize, usize)) -> Loss {
    let of_outputs = match loss {
        Loss::LeastSquares { variance } if weight > 0.0 => &variance[..],
        // The outputs that enter D are whitened already.
        Loss::Whitened(_) if weight > 0.0 => &[1.0],
        _ => return loss.clone(),
    };
    let of_outputs = of_outputs.iter().copied().cycle().take(outputs);
    let of_prior = std::iter::repeat_n(1.0 / weight, parameters);
    Loss::LeastSquares {
        variance: of_outputs.chain(of_prior).collect(),
    }
}
