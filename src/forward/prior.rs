//! The prior N(m_0, C_0) on the parameters, C_0 diagonal: a standard deviation for each run of columns, and a mean that
//! is 0 but at a few.

use std::ops::Range;

use crate::kernels::real::Real;

/// Independent normals; consecutive parameters of one deviation form a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    segments: Vec<Segment>,
    /// Parameters and their mean, ascending; that of all others is 0.
    mean: Vec<(usize, f64)>,
}

/// `count` consecutive parameters of standard deviation `deviation`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// The number of parameters.
    pub count: usize,
    /// Their standard deviation, in the parameters' own unit.
    pub deviation: f64,
}

impl Prior {
    /// The prior made of `segments`, in the order of the flattened parameters.
    #[must_use]
    pub fn new(segments: Vec<Segment>) -> Self {
        let mean = Vec::new();
        Self { segments, mean }
    }

    /// The prior N(0, I) of `count` parameters.
    #[must_use]
    pub fn standard(count: usize) -> Self {
        Self::new(vec![Segment {
            count,
            deviation: 1.0,
        }])
    }

    /// The same with these means of some parameters, given in ascending order.
    #[must_use]
    pub fn with_mean(self, mean: Vec<(usize, f64)>) -> Self {
        assert!(
            mean.is_sorted_by_key(|(at, _)| at)
                && mean.last().is_none_or(|(at, _)| *at < self.parameters()),
            "parameters of the prior, in order"
        );
        Self { mean, ..self }
    }

    /// The number of parameters P.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.segments.iter().map(|s| s.count).sum()
    }

    /// Returns the number of segments.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The parameters of the segments `range`, as far as there are such.
    #[must_use]
    pub fn within(&self, range: Range<usize>) -> Range<usize> {
        let before = |segment: usize| self.segments.iter().take(segment).map(|s| s.count).sum();
        before(range.start)..before(range.end)
    }

    /// The means of the parameters `range`.
    #[must_use]
    pub fn mean<T: Real>(&self, range: Range<usize>) -> Vec<T> {
        let mut mean = vec![T::zero(); range.len()];
        let from = self.mean.partition_point(|(at, _)| *at < range.start);
        let within = self.mean[from..].iter();
        for (at, value) in within.take_while(|(at, _)| *at < range.end) {
            mean[at - range.start] = T::from_f64(*value);
        }
        mean
    }

    /// The deviations of the parameters `start..start + out.len()`, times `factor`.
    pub fn deviations<T: Real>(&self, start: usize, factor: f64, out: &mut [T]) {
        let end = start + out.len();
        let mut from = 0;
        for segment in &self.segments {
            let to = from + segment.count;
            let (a, b) = (from.max(start), to.min(end));
            if a < b {
                out[a - start..b - start].fill(T::from_f64(segment.deviation * factor));
            }
            from = to;
        }
        assert!(end <= from, "parameters beyond the prior's");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_and_means_follow_across_any_cut() {
        let prior = Prior::new(vec![
            Segment {
                count: 3,
                deviation: 1.0,
            },
            Segment {
                count: 0,
                deviation: 9.0,
            },
            Segment {
                count: 2,
                deviation: 0.5,
            },
        ]);
        assert_eq!(prior.parameters(), 5);
        let prior = prior.with_mean(vec![(1, 0.25), (4, 1.0)]);
        let mean = [0.0, 0.25, 0.0, 0.0, 1.0];
        let mut all = [0.0; 5];
        prior.deviations(0, 2.0, &mut all);
        assert_eq!(all, [2.0, 2.0, 2.0, 1.0, 1.0]);
        for start in 0..5 {
            for end in start..=5 {
                let mut part = vec![0.0; end - start];
                prior.deviations(start, 2.0, &mut part);
                assert_eq!(part, all[start..end]);
                assert_eq!(prior.mean::<f64>(start..end), mean[start..end]);
            }
        }
    }
}
