//! What a caller of the library puts together, checked before a run: a forward map, its prior, data, a state and a plan.

use super::State;
use crate::data::{Inputs, Samples, Targets};
use crate::error::{Error, Result};
use crate::forward::problem::Problem;
use crate::kernels::real::Real;
use crate::parallel::ranks::Ranks;
use crate::run::plan::Plan;

/// Refuses `found` of `what` where the plan was made for `needed`; `whose` begins the message.
pub(super) fn same(whose: &str, found: usize, needed: usize, what: &str) -> Result<()> {
    if found == needed {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{whose} {found} {what}, and the plan was made for {needed}"
    )))
}

impl<T: Real> Problem<T> {
    /// Checks that the map, its prior and the data have the sizes that `plan` was made for.
    ///
    /// # Errors
    /// The first size that differs, or a target that is no class.
    pub fn check(&self, plan: &Plan) -> Result<()> {
        let (map, data) = (self.map.as_ref(), plan.data);
        same(
            "the forward map has",
            map.parameters(),
            plan.parameters,
            "parameters",
        )?;
        same(
            "its prior has",
            map.prior().parameters(),
            plan.parameters,
            "parameters",
        )?;
        same(
            "the forward map takes",
            map.features(),
            data.features,
            "inputs",
        )?;
        same(
            "the forward map gives",
            map.outputs(),
            data.outputs,
            "outputs",
        )?;
        self.dataset.train.check("training", data.train, plan)?;
        self.dataset.test.check("test", data.test, plan)?;
        if let Some(augment) = &self.augment {
            let (channels, height, width) = augment.image;
            same(
                "images to be moved have",
                channels * height * width,
                data.features,
                "pixels",
            )?;
        }
        Ok(())
    }
}

impl Samples {
    /// Checks that these are the `needed` samples of `kind` that `plan` was made for.
    fn check(&self, kind: &str, needed: usize, plan: &Plan) -> Result<()> {
        let has = format!("the {kind} set has");
        let rows = match &self.inputs {
            Inputs::Bytes(bytes) => bytes.nrows(),
            Inputs::Reals(reals) => reals.nrows(),
        };
        same(&has, self.len(), needed, "targets")?;
        same(&has, rows, needed, "rows of inputs")?;
        same(&has, self.features(), plan.data.features, "inputs a sample")?;
        same(&has, self.outputs(), plan.data.outputs, "outputs a sample")?;
        let wrong = |why: &str| Err(Error::Usage(format!("{has} {why}")));
        match &self.targets {
            Targets::Classes { labels, classes } => match labels.iter().max() {
                _ if !plan.data.classes => wrong("classes, and the plan was made for values"),
                Some(label) if usize::from(*label) >= *classes => wrong("a class beyond the last"),
                _ => Ok(()),
            },
            Targets::Values(_) if plan.data.classes => {
                wrong("values, and the plan was made for classes")
            }
            Targets::Values(_) => Ok(()),
        }
    }
}

impl<T: Real> State<T> {
    /// Checks that it is a state of a run of `plan`.
    ///
    /// # Errors
    /// Another number of parameters, or more members than there will ever be.
    pub(super) fn check(&self, ranks: Ranks, plan: &Plan) -> Result<()> {
        let members = self.ensemble.members(ranks).items();
        let most = plan.members(plan.last_epoch()).max(plan.members(0));
        same(
            "the state has",
            self.ensemble.parameters(),
            plan.parameters,
            "parameters",
        )?;
        if members > most {
            let why = format!("the state has {members} members, and the plan at most {most}");
            return Err(Error::Usage(why));
        }
        Ok(())
    }
}
