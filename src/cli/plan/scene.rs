//! What a prediction rests on: this machine's rates, the network as measured, assumed or given, and a run whose number
//! of ranks may vary.

use eki_mpi::cost::StepShape;
use eki_mpi::cost::calibrate::{Network, Rates, Sizes};
use eki_mpi::cost::predict::{Prediction, predict};
use eki_mpi::error::{Error, Result};
use eki_mpi::forward::ForwardMap;
use eki_mpi::kernels::real::Real;
use eki_mpi::run::layer_blocks::LayerSchedule;
use eki_mpi::run::plan::Plan;
use serde::Serialize;

use super::PlanArguments;

/// A cluster's network, where none is measured: about 50 Gbit/s, as several ranks of a node share a card.
const ASSUMED: Network = Network {
    latency: 5e-6,
    overhead: 0.5e-6,
    bandwidth: 5e9,
};

/// The seconds of a step, and what they rest on.
#[derive(Clone, Debug, Serialize)]
pub struct Forecast {
    /// The rate of products of one rank's threads, in GFLOP/s.
    pub product_gflops: f64,
    /// The network between ranks.
    pub network: Network,
    /// Says whether the network's figures were measured or assumed.
    pub source: &'static str,
    /// The step.
    #[serde(flatten)]
    pub prediction: Prediction,
}

/// A run whose number of ranks may vary, on ranks that all have cores like this machine's.
pub struct ForecastModel<'a, T> {
    /// The run.
    pub plan: &'a Plan,
    map: &'a dyn ForwardMap<T>,
    /// Threads of each rank.
    pub threads: usize,
    per_host: usize,
    rates: Rates,
    /// The network between ranks.
    pub network: Network,
    source: &'static str,
}

impl<'a, T: Real> ForecastModel<'a, T> {
    /// Measures this machine.
    pub fn new(
        arguments: &PlanArguments,
        measured: Option<Network>,
        plan: &'a Plan,
        map: &'a dyn ForwardMap<T>,
        (threads, per_host): (usize, usize),
    ) -> Result<Self> {
        // All of a host's cores work in a run: they share a memory and a clock. No more than the ranks will have.
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(cores.min(arguments.ranks as usize * threads))
            .build()
            .map_err(|e| Error::Run(format!("threads could not be started: {e}")))?;
        let shape = StepShape::of(plan, map, 1, threads);
        let sizes = Sizes {
            mixed: plan.mixed(),
            kind: shape.kind,
            gain: Some(shape.method(0).side).filter(|&side| side > 0),
            members: shape.members,
            outputs: shape.outputs,
            samples: shape.samples,
            form: shape.form,
            low_rank: plan.low_rank(),
            loss: &plan.loss,
            localisation: plan.localisation(),
        };
        let assumed = measured.unwrap_or(ASSUMED);
        let micro = |given: Option<f64>, else_: f64| given.map_or(else_, |us| us * 1e-6);
        Ok(Self {
            plan,
            map,
            threads,
            per_host,
            rates: Rates::measure(&pool, &LayerSchedule::new(plan, map), &sizes),
            network: Network {
                latency: micro(arguments.latency, assumed.latency),
                overhead: micro(arguments.overhead, assumed.overhead),
                bandwidth: arguments.bandwidth.map_or(assumed.bandwidth, |gb| gb * 1e9),
            },
            source: if measured.is_some() {
                "as measured between this launcher's ranks, unless given"
            } else {
                "as assumed or given (--bandwidth, --latency, --overhead)"
            },
        })
    }

    /// Returns what it costs on `ranks` ranks.
    pub fn shape(&self, ranks: usize) -> StepShape {
        StepShape::of(self.plan, self.map, ranks, self.threads).with_near(self.per_host)
    }

    /// Returns what a step takes on `ranks` ranks.
    pub fn forecast(&self, ranks: usize) -> Forecast {
        Forecast {
            product_gflops: self.rates.product * self.threads as f64 / 1e9,
            network: self.network,
            source: self.source,
            prediction: predict(&self.shape(ranks), &self.rates, &self.network),
        }
    }
}
