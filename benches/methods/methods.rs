//! The methods, with the settings that the guide gives to begin with.

/// A method of the table: a name, and the keys that it sets beside the preset `process`.
pub struct Method {
    pub name: &'static str,
    /// Keys and values, as on the command line.
    pub settings: &'static str,
    /// What its members are for: a fit, or the posterior.
    pub aim: Aim,
}

/// What a method's members are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// The best fit: their spread is no error bar.
    Fit,
    /// The posterior.
    Posterior,
    /// The posterior by sigma points, which no first members are given to.
    Law,
    /// The posterior, localised by correlations: where parameters have places.
    Localised,
    /// The posterior, localised by distance.
    ByDistance,
}

const fn method(name: &'static str, aim: Aim, settings: &'static str) -> Method {
    Method {
        name,
        settings,
        aim,
    }
}

const FOUR: &str = "kind=kalman perturb=true h_schedule=level h=[0.25,0.25,0.25,0.25] run.stop_at_misfit=0 ensemble.second_order_exact=true";

/// All methods. Keys without a section are of `method`.
pub const METHODS: &[Method] = &[
    method(
        "eki",
        Aim::Fit,
        "kind=eki h_schedule=level h=2 epsilon=0.5 run.steps=50",
    ),
    method(
        "meki",
        Aim::Fit,
        "kind=eki h_schedule=level h=1 epsilon=0.5 momentum=true run.steps=50",
    ),
    method(
        "kalman",
        Aim::Fit,
        "kind=kalman h_schedule=misfit h=1 run.steps=50",
    ),
    method(
        "teki",
        Aim::Fit,
        "kind=kalman h_schedule=misfit h=1 tikhonov=1 run.stop_at_misfit=0 run.steps=30",
    ),
    method(
        "posterior",
        Aim::Posterior,
        "kind=kalman perturb=true h_schedule=misfit h=0.25 run.end_time=1 run.stop_at_misfit=0 run.steps=1000 ensemble.second_order_exact=true",
    ),
    method("esmda-4", Aim::Posterior, FOUR),
    method(
        "esmda-8",
        Aim::Posterior,
        "kind=kalman perturb=true h_schedule=level h=[0.125,0.125,0.125,0.125,0.125,0.125,0.125,0.125] run.stop_at_misfit=0 ensemble.second_order_exact=true",
    ),
    method(
        "etki",
        Aim::Posterior,
        "kind=etki h_schedule=misfit h=0.25 run.end_time=1 run.stop_at_misfit=0 run.steps=1000 ensemble.second_order_exact=true",
    ),
    method(
        "gnki",
        Aim::Posterior,
        "kind=gnki perturb=true h_schedule=level h=0.5 accept=true run.stop_at_misfit=0 run.steps=12 ensemble.second_order_exact=true",
    ),
    method(
        "eks",
        Aim::Posterior,
        "kind=eks h_schedule=level h=0.1 run.end_time=6 run.stop_at_misfit=0 run.steps=2000",
    ),
    method(
        "aldi",
        Aim::Posterior,
        "kind=aldi h_schedule=level h=1 run.end_time=8 run.stop_at_misfit=0 run.steps=1000",
    ),
    method(
        "uki",
        Aim::Law,
        "kind=uki h_schedule=level h=0.5 run.stop_at_misfit=0 run.steps=30",
    ),
    method("esmda-4 fisher", Aim::Localised, "localise=fisher"),
    method("esmda-4 sec", Aim::Localised, "localise=sec"),
    method("esmda-4 threshold", Aim::Localised, "localise=threshold"),
    method("esmda-4 distance", Aim::ByDistance, ""),
];

impl Method {
    /// Returns true if the method is run on a problem of `parameters` parameters and `members` members, whose parameters have
    /// places, and are correlated a priori.
    pub fn applies(
        &self,
        (parameters, members): (usize, usize),
        places: bool,
        correlated: bool,
    ) -> bool {
        match self.aim {
            Aim::Localised | Aim::ByDistance => places,
            // 2 P + 1 points.
            Aim::Law => !correlated && parameters <= 100,
            // These take the prior's covariance from its laws.
            _ if self.name == "teki" || self.name == "eks" || self.name == "aldi" => {
                !correlated && members >= parameters + 2
            }
            _ => true,
        }
    }

    /// The keys and values that it sets.
    pub fn keys(&self) -> Vec<(String, String)> {
        let localised = matches!(self.aim, Aim::Localised | Aim::ByDistance);
        let words = if localised { FOUR } else { "" }
            .split_whitespace()
            .chain(self.settings.split_whitespace());
        words
            .map(|word| {
                let (key, value) = word.split_once('=').expect("key=value");
                let key = if key.contains('.') {
                    key.to_owned()
                } else {
                    format!("method.{key}")
                };
                (key, value.to_owned())
            })
            .collect()
    }

    /// Its settings in one line.
    pub fn in_words(&self) -> String {
        match self.aim {
            Aim::ByDistance => format!("{FOUR} localise={{distance=8 lengths}}"),
            Aim::Localised => format!("{FOUR} {}", self.settings),
            _ => self.settings.to_owned(),
        }
    }
}
