//! The prior N(0, C_0) on the parameters, C_0 diagonal: a standard deviation for each run of columns.

/// Independent normals with mean zero; consecutive parameters of one deviation form a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    segments: Vec<Segment>,
}

/// `count` consecutive parameters of standard deviation `deviation`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// How many parameters.
    pub count: usize,
    /// Their standard deviation, in the parameters' own unit.
    pub deviation: f64,
}

impl Prior {
    /// The prior made of `segments`, in the order of the flattened parameters.
    #[must_use]
    pub fn new(segments: Vec<Segment>) -> Self {
        Self { segments }
    }

    /// The number of parameters P.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.segments.iter().map(|s| s.count).sum()
    }

    /// The deviations of the parameters `start..start + out.len()`, times `factor`.
    pub fn deviations<T: crate::real::Real>(&self, start: usize, factor: f64, out: &mut [T]) {
        let end = start + out.len();
        let mut from = 0;
        for segment in &self.segments {
            let to = from + segment.count;
            let (a, b) = (from.max(start), to.min(end));
            if a < b {
                out[a - start..b - start].fill(T::of(segment.deviation * factor));
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
    fn deviations_follow_the_segments_across_any_cut() {
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
        let mut all = [0.0; 5];
        prior.deviations(0, 2.0, &mut all);
        assert_eq!(all, [2.0, 2.0, 2.0, 1.0, 1.0]);
        for start in 0..5 {
            for end in start..=5 {
                let mut part = vec![0.0; end - start];
                prior.deviations(start, 2.0, &mut part);
                assert_eq!(part, all[start..end]);
            }
        }
    }
}
