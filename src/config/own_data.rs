//! Data of the user's own, data.train or data.series in place of data.name, and what follows from it where the configuration does not
//! say.

use super::keys::LossKind;
use super::kinds::{ModelKind, OWN_FILES, OWN_SERIES};
use super::resolved::Resolved;
use crate::error::Result;

/// The key of the loss.
const LOSS: &str = "method.loss";

impl Resolved {
    /// Takes data.train or data.series in place of the data set that data.name has by default or by a preset; the loss then follows
    /// from the targets, and a series is learned one value at a time.
    ///
    /// # Errors
    /// Keys of the user's own data that do not fit together, or do not fit the model.
    pub(super) fn settle_own_data(&mut self) -> Result<()> {
        let data = &self.config.data;
        let (files, series) = (!data.train.is_empty(), !data.series.is_empty());
        if files && series {
            return Err(self.error("data.series", "must not be given beside data.train"));
        }
        let name = match (files, series) {
            (true, _) => OWN_FILES,
            (_, true) => OWN_SERIES,
            _ => return self.refuse_lonely_keys(),
        };
        if self.is_given("data.name") && data.name != name {
            let allowed = format!("must be left out, or {name:?}, where your own data is named");
            return Err(self.error("data.name", allowed));
        }
        name.clone_into(&mut self.config.data.name);
        self.origins.remove("data.name");
        if files {
            self.check_files()?;
        } else {
            self.settle_series();
        }
        if !self.is_given(LOSS) {
            self.config.method.loss = LossKind::Auto;
            self.origins.remove(LOSS);
        }
        Ok(())
    }

    /// Refuses keys that need data.train or data.series, which are not given.
    fn refuse_lonely_keys(&self) -> Result<()> {
        let data = &self.config.data;
        if data.name == OWN_FILES || !data.test.is_empty() {
            let key = if data.test.is_empty() {
                "data.name"
            } else {
                "data.test"
            };
            return Err(self.error(key, "needs data.train, which names the training samples"));
        }
        if data.name == OWN_SERIES {
            return Err(self.error("data.name", "needs data.series, the file of the series"));
        }
        match data.target.is_empty() {
            true => Ok(()),
            false => Err(self.error("data.target", "needs data.train or data.series")),
        }
    }

    /// Refuses a model that does not take samples.
    fn check_files(&self) -> Result<()> {
        let takes = [ModelKind::Dense, ModelKind::Conv, ModelKind::Recurrent];
        match takes.contains(&self.config.model.kind) {
            true => Ok(()),
            false => Err(self.error(
                "data.train",
                "needs model.kind = \"dense\", \"conv\" or \"recurrent\"",
            )),
        }
    }

    /// Takes the values of a series one by one and in their order, where nothing else is said.
    fn settle_series(&mut self) {
        if !self.is_given("data.shuffle") {
            self.config.data.shuffle = false;
            self.origins.remove("data.shuffle");
        }
        if !self.origins.contains_key("data.batch") {
            self.config.data.batch = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(source: &str, sets: &[&str]) -> Result<Resolved> {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        Resolved::new(source, &sets)
    }

    #[test]
    fn own_data_takes_the_place_of_a_presets_and_reads_back() {
        for (source, set, name) in [
            ("digits", "data.train=a.csv", OWN_FILES),
            ("sunspots", "data.series=a.csv", OWN_SERIES),
            ("rnn", "data.series=a.csv", OWN_SERIES),
        ] {
            let own = resolved(source, &[set]).unwrap();
            assert_eq!(own.config.data.name, name);
            assert_eq!(own.config.method.loss, LossKind::Auto);
            assert_eq!(own.config.data.shuffle, name == OWN_FILES);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("config.toml");
            std::fs::write(&path, own.toml()).unwrap();
            let again = resolved(path.to_str().unwrap(), &[]).unwrap();
            assert_eq!(again.config, own.config, "{source}");
            let said = resolved(source, &[set, "method.loss=least-squares"]).unwrap();
            assert_eq!(said.config.method.loss, LossKind::LeastSquares);
        }
        let one = resolved("sunspots", &["data.series=a.csv", "data.batch=2"]).unwrap();
        assert_eq!(one.config.data.batch, 2);
    }

    #[test]
    fn keys_that_do_not_fit_together_are_refused() {
        let train = "data.train=a.csv";
        for (sets, words) in [
            (&[train, "data.series=b.csv"][..], "beside data.train"),
            (
                &[train, "data.name=mnist"],
                "must be left out, or \"files\"",
            ),
            (&["data.name=files"], "needs data.train"),
            (&["data.test=a.csv"], "needs data.train"),
            (&["data.name=series"], "needs data.series"),
            (&["data.target=y"], "needs data.train or data.series"),
            (
                &[train, "model.kind=linear"],
                "needs model.kind = \"dense\"",
            ),
        ] {
            let line = resolved("digits", sets).unwrap_err().to_string();
            assert!(line.contains(words), "{sets:?}: {line}");
        }
    }
}
