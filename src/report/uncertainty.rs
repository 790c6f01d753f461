//! Predictive uncertainty of an ensemble of classifiers: how sure it is, and whether it is right as often as it is
//! sure.
//!
//! ```text
//! p_i = (1/J) sum_j z_ij                        predictive probabilities of sample i, z_ij those of member j
//! H(p_i) = -sum_c p_ic ln p_ic                  entropy, in nats: the total uncertainty
//! H(p_i) - (1/J) sum_j H(z_ij)                  the disagreement of the members (mutual information)
//! ECE = sum_b n_b/n |accuracy_b - confidence_b| over bins b of confidence max_c p_ic
//! ```
//!
//! Calibration: Guo, Pleiss, Sun & Weinberger, ICML 2017. Entropies: Depeweg et al., ICML 2018.

use ndarray::{Array2, ArrayView2};
use serde::Serialize;

use crate::kernels::real::Real;

/// The number of bins of confidence, of equal width.
pub const BINS: usize = 15;

/// Sums over members of their predictions for w samples.
#[derive(Clone, Debug)]
pub struct Tally {
    members: usize,
    sums: Array2<f64>,    // c x w, of z
    squares: Array2<f64>, // c x w, of z^2
    entropies: Vec<f64>,  // w, of H(z)
}

/// The ensemble as a predictive distribution over classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Uncertainty {
    /// The number J of members.
    pub members: usize,
    /// The fraction of samples whose most likely class under the predictive mean is the true one.
    pub accuracy: f64,
    /// The mean of -ln of the true class's predictive probability (at least 1e-12).
    pub log_loss: f64,
    /// The mean entropy of the predictive distribution, in nats.
    pub entropy: f64,
    /// The part of the entropy that is disagreement between members, in nats.
    pub disagreement: f64,
    /// The mean over samples of the standard deviation over members of the predicted class's probability.
    pub spread: f64,
    /// The mean confidence: the probability of the most likely class.
    pub confidence: f64,
    /// The expected calibration error (ECE).
    pub calibration_error: f64,
    /// The samples by confidence.
    pub reliability: Vec<Bin>,
}

/// The samples whose confidence lies in (from, to].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// The lower end.
    pub from: f64,
    /// The upper end.
    pub to: f64,
    /// The number of samples.
    pub samples: usize,
    /// The mean confidence of these samples, 0 if there are none.
    pub confidence: f64,
    /// The fraction of these samples classified correctly, 0 if there are none.
    pub accuracy: f64,
}

impl Tally {
    /// Returns an empty tally for `samples` samples of `classes` classes.
    #[must_use]
    pub fn new(classes: usize, samples: usize) -> Self {
        Self {
            members: 0,
            sums: Array2::zeros((classes, samples)),
            squares: Array2::zeros((classes, samples)),
            entropies: vec![0.0; samples],
        }
    }

    /// Adds one member's probabilities, c x w.
    pub fn add<T: Real>(&mut self, probabilities: ArrayView2<T>) {
        self.members += 1;
        let rows = self.sums.rows_mut().into_iter();
        for ((mut sums, mut squares), z) in
            rows.zip(self.squares.rows_mut()).zip(probabilities.rows())
        {
            for (i, z) in z.iter().enumerate() {
                let z = z.as_f64();
                sums[i] += z;
                squares[i] += z * z;
                self.entropies[i] += surprise(z);
            }
        }
    }

    /// Returns the predictive distribution of sample `i`.
    fn prediction(&self, i: usize) -> SamplePrediction {
        let count = self.members.max(1) as f64;
        let mean = self.sums.column(i).mapv(|sum| sum / count);
        let class = (0..mean.len()).fold(0, |best, c| if mean[c] > mean[best] { c } else { best });
        let confidence = mean[class];
        let variance = self.squares[[class, i]] / count - confidence * confidence;
        let entropy: f64 = mean.iter().map(|&p| surprise(p)).sum();
        SamplePrediction {
            disagreement: entropy - self.entropies[i] / count,
            probabilities: mean.to_vec(),
            class,
            confidence,
            deviation: variance.max(0.0).sqrt(),
            entropy,
        }
    }
}

/// Returns -p ln p, 0 at p = 0.
fn surprise(p: f64) -> f64 {
    if p > 0.0 { -p * p.ln() } else { 0.0 }
}

/// The predictive distribution of one sample.
struct SamplePrediction {
    probabilities: Vec<f64>,
    class: usize,
    confidence: f64,
    deviation: f64,
    entropy: f64,
    disagreement: f64,
}

impl Uncertainty {
    /// Returns the uncertainty from the tallies of consecutive samples, all of the same members, and the true classes.
    ///
    /// # Panics
    /// If there are no samples, or a different number of labels.
    #[must_use]
    pub fn of(tallies: &[Tally], labels: &[u8]) -> Self {
        let predictions: Vec<SamplePrediction> = tallies
            .iter()
            .flat_map(|tally| (0..tally.entropies.len()).map(|i| tally.prediction(i)))
            .collect();
        assert_eq!(predictions.len(), labels.len(), "a label for each sample");
        let judged = || {
            predictions
                .iter()
                .zip(labels.iter().map(|&y| usize::from(y)))
        };
        let mean = |of: &dyn Fn(&SamplePrediction, usize) -> f64| {
            judged().map(|(v, y)| of(v, y)).sum::<f64>() / labels.len() as f64
        };
        let reliability = reliability(judged().map(|(v, y)| (v.confidence, v.class == y)));
        let gap = |bin: &Bin| bin.samples as f64 * (bin.accuracy - bin.confidence).abs();
        Self {
            members: tallies[0].members,
            accuracy: mean(&|v, y| f64::from(u8::from(v.class == y))),
            log_loss: mean(&|v, y| -v.probabilities[y].max(1e-12).ln()),
            entropy: mean(&|v, _| v.entropy),
            disagreement: mean(&|v, _| v.disagreement),
            spread: mean(&|v, _| v.deviation),
            confidence: mean(&|v, _| v.confidence),
            calibration_error: reliability.iter().map(gap).sum::<f64>() / labels.len() as f64,
            reliability,
        }
    }
}

/// Returns the bins of (confidence, right or wrong).
fn reliability(judged: impl Iterator<Item = (f64, bool)>) -> Vec<Bin> {
    let mut sums = [(0_usize, 0.0, 0_usize); BINS];
    for (confidence, right) in judged {
        let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let (samples, confidences, rights) = &mut sums[bin];
        *samples += 1;
        *confidences += confidence;
        *rights += usize::from(right);
    }
    let bin = |(b, (samples, confidences, rights)): (usize, (usize, f64, usize))| Bin {
        from: b as f64 / BINS as f64,
        to: (b + 1) as f64 / BINS as f64,
        samples,
        confidence: confidences / samples.max(1) as f64,
        accuracy: rights as f64 / samples.max(1) as f64,
    };
    sums.into_iter().enumerate().map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn of_two(first: Array2<f64>, second: Array2<f64>, labels: &[u8]) -> Uncertainty {
        let mut tally = Tally::new(first.nrows(), first.ncols());
        tally.add(first.view());
        tally.add(second.view());
        Uncertainty::of(&[tally], labels)
    }

    #[test]
    fn members_that_agree_have_entropy_but_no_spread() {
        let z = array![[0.5, 0.8], [0.5, 0.2]];
        let u = of_two(z.clone(), z, &[0, 1]);
        let h = |p: f64| -p * p.ln() - (1.0 - p) * (1.0 - p).ln();
        assert!((u.entropy - (h(0.5) + h(0.8)) / 2.0).abs() < 1e-12);
        assert!(u.disagreement.abs() < 1e-12 && u.spread < 1e-7);
        assert_eq!((u.members, u.accuracy), (2, 0.5));
        assert!((u.log_loss + (0.5_f64.ln() + 0.2_f64.ln()) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn sure_members_that_contradict_each_other_disagree_fully() {
        let u = of_two(array![[1.0], [0.0]], array![[0.0], [1.0]], &[0]);
        assert!((u.disagreement - 2.0_f64.ln()).abs() < 1e-12);
        assert!((u.entropy - u.disagreement).abs() < 1e-12);
        assert_eq!((u.spread, u.confidence), (0.5, 0.5));
    }

    #[test]
    fn the_calibration_error_is_the_gap_between_confidence_and_accuracy() {
        // Three samples at confidence 0.9, two of them right; one at 0.6, right.
        let z = array![[0.9, 0.9, 0.9, 0.6], [0.1, 0.1, 0.1, 0.4]];
        let u = of_two(z.clone(), z, &[0, 0, 1, 0]);
        let expected = (3.0 * (0.9 - 2.0 / 3.0) + (1.0 - 0.6)) / 4.0;
        assert!((u.calibration_error - expected).abs() < 1e-12);
        let filled: Vec<&Bin> = u.reliability.iter().filter(|b| b.samples > 0).collect();
        assert_eq!(filled.iter().map(|b| b.samples).collect::<Vec<_>>(), [1, 3]);
        assert!(
            filled
                .iter()
                .all(|b| b.from < b.confidence && b.confidence <= b.to)
        );
    }

    #[test]
    fn samples_may_be_tallied_in_pieces() {
        let z = array![[0.9, 0.3, 0.2], [0.1, 0.7, 0.8]];
        let mut pieces = [Tally::new(2, 2), Tally::new(2, 1)];
        pieces[0].add(z.slice(ndarray::s![.., ..2]));
        pieces[1].add(z.slice(ndarray::s![.., 2..]));
        let mut whole = Tally::new(2, 3);
        whole.add(z.view());
        let labels = [0, 1, 0];
        assert_eq!(
            Uncertainty::of(&pieces, &labels),
            Uncertainty::of(&[whole], &labels)
        );
    }
}
