//! A Gaussian random field on a grid of one, two or three dimensions: the prior of many parameters by a few numbers.
//!
//! ```text
//! kappa[64,64] matern 1.5 10 0 1             u = m + s z ,  z ~ N(0, rho) ,  rho Matérn's correlation (`matern`), nu = 1.5, length 10
//! kappa[64,64] matern of log 1.5 10 0 1      ln u = m + s z
//! kappa[64,64] matern 1.5 10,4 0 1           length 10 along the first side, 4 along the second
//! kappa[64,64] matern 1.5 10 0 1 modes 100   z by its 100 leading Karhunen-Loeve modes (`modes`), else by circulant embedding (`circulant`)
//! ```
//!
//! Lengths are in cells. Cells are in row-major order: the last index runs fastest, as in NumPy. The coordinates xi ~ N(0, I) are the
//! factors of the modes, n numbers; or white noise on the periodic grid of the embedding, M numbers, at least two for each cell in one
//! dimension, four in two, eight in three. Modes are few and each moves the whole field, so that correlations of a coordinate with an
//! output stand out of the sampling noise. White noise is exact for any grid, but a single cell of it moves an output little:
//! localisation by correlations (`method.localise` "sec", "threshold") then damps nearly all, and needs modes.

mod circulant;
mod matern;
mod modes;

use std::sync::{Arc, Mutex};

use self::circulant::Circulant;
use self::modes::Modes;
use crate::files::numbers::number;

/// The most cells of a grid.
const MOST_CELLS: usize = 10_000_000;
/// The most square roots that are remembered.
const REMEMBERED: usize = 4;

/// The parameters of a field's correlation.
#[derive(Clone, Debug, PartialEq)]
struct Correlation {
    /// The sides of the grid.
    shape: Vec<usize>,
    nu: f64,
    /// The correlation length along each side, in cells.
    lengths: Vec<f64>,
    /// The number of modes; none: circulant embedding.
    modes: Option<usize>,
}

/// A square root of a field's correlation.
enum Root {
    Modes(Modes),
    Circulant(Circulant),
}

/// Square roots made before: a run asks for the same one several times.
static KNOWN: Mutex<Vec<(Correlation, Arc<Root>)>> = Mutex::new(Vec::new());

impl Correlation {
    /// Returns the square root, from memory where it was made before.
    fn root(&self) -> Result<Arc<Root>, String> {
        let mut known = KNOWN.lock().expect("no thread panicked");
        if let Some((_, root)) = known.iter().find(|(of, _)| of == self) {
            return Ok(root.clone());
        }
        let rho = |apart: &[usize]| {
            let parts = apart.iter().zip(&self.lengths);
            let square: f64 = parts.map(|(&k, l)| (k as f64 / l) * (k as f64 / l)).sum();
            matern::correlation(self.nu, square.sqrt())
        };
        let root = Arc::new(match self.modes {
            Some(count) => Root::Modes(Modes::new(&self.shape, count, rho)?),
            None => Root::Circulant(Circulant::new(&self.shape, rho)),
        });
        if known.len() == REMEMBERED {
            known.remove(0);
        }
        known.push((self.clone(), root.clone()));
        Ok(root)
    }
}

/// A random field: its name, its law, and how it follows from its coordinates.
#[derive(Clone)]
pub struct RandomField {
    name: String,
    correlation: Correlation,
    mean: f64,
    deviation: f64,
    /// True if the logarithm is the Gaussian field.
    of_log: bool,
    root: Arc<Root>,
}

impl std::fmt::Debug for RandomField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RandomField")
            .field("name", &self.name)
            .field("correlation", &self.correlation)
            .finish_non_exhaustive()
    }
}

impl PartialEq for RandomField {
    fn eq(&self, other: &Self) -> bool {
        let law = |field: &Self| (field.mean, field.deviation, field.of_log);
        self.name == other.name && self.correlation == other.correlation && law(self) == law(other)
    }
}

impl RandomField {
    /// Returns the field `name` on a grid of these sides with the law `matern` or, if `of_log`, `matern of log`; `numbers` are
    /// the words NU LENGTH MEAN DEVIATION, after which `modes N` may stand.
    ///
    /// # Errors
    /// What the field must have, in words that follow "have".
    pub(super) fn new(
        name: &str,
        shape: Vec<usize>,
        of_log: bool,
        numbers: &[&str],
    ) -> Result<Self, String> {
        let (numbers, modes) = match numbers {
            [numbers @ .., "modes", count] => {
                let count = count.parse().ok().filter(|count| *count > 0);
                let count = count.ok_or("a number of modes of at least 1")?;
                (numbers, Some(count))
            }
            numbers => (numbers, None),
        };
        let &[nu, length, mean, deviation] = numbers else {
            return Err(
                "NU LENGTH MEAN DEVIATION after matern, and after them nothing, or modes N"
                    .to_owned(),
            );
        };
        let real = |word: &str| word.parse::<f64>().ok().filter(|x| x.is_finite());
        let positive = |word: &str| real(word).filter(|x| *x > 0.0);
        let (least, most) = (matern::LEAST_NU, matern::LARGEST_NU);
        let nu = positive(nu).filter(|nu| (least..=most).contains(nu));
        let nu = nu.ok_or_else(|| format!("a smoothness nu from {least} to {most}"))?;
        let lengths: Option<Vec<f64>> = length.split(',').map(positive).collect();
        let mut lengths = lengths.ok_or("correlation lengths greater than 0, in cells")?;
        if lengths.len() == 1 {
            lengths = vec![lengths[0]; shape.len()];
        }
        if lengths.len() != shape.len() {
            return Err(format!(
                "one correlation length, or one for each of the {} sides of the grid",
                shape.len()
            ));
        }
        let mean = real(mean).ok_or("a finite mean")?;
        let deviation = positive(deviation).ok_or("a deviation greater than 0")?;
        let correlation = Correlation {
            shape,
            nu,
            lengths,
            modes,
        };
        let root = correlation.root()?;
        Ok(Self {
            name: name.to_owned(),
            correlation,
            mean,
            deviation,
            of_log,
            root,
        })
    }

    /// Returns the sides of the grid in `text`, as in `64,64`; None where they are none.
    pub(super) fn sides(text: &str) -> Option<Vec<usize>> {
        let sides: Option<Vec<usize>> = text.split(',').map(|side| side.parse().ok()).collect();
        let sides = sides.filter(|sides| (1..=3).contains(&sides.len()))?;
        let cells = sides
            .iter()
            .try_fold(1_usize, |cells, side| cells.checked_mul(*side))?;
        (1..=MOST_CELLS).contains(&cells).then_some(sides)
    }

    /// Returns the field's name, without an index.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the sides of the grid.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.correlation.shape
    }

    /// Returns the number N of cells.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.shape().iter().product()
    }

    /// Returns the number of coordinates: modes, or cells of the periodic grid.
    #[must_use]
    pub fn coordinates(&self) -> usize {
        match &*self.root {
            Root::Modes(modes) => modes.count(),
            Root::Circulant(circulant) => circulant.coordinates(),
        }
    }

    /// Returns the name of the cell number `cell`, from 0, as in `kappa[3,7]`: indices count from 1.
    #[must_use]
    pub fn cell_name(&self, cell: usize) -> String {
        let mut left = cell;
        let mut index: Vec<String> = Vec::new();
        for &side in self.shape().iter().rev() {
            index.push((left % side + 1).to_string());
            left /= side;
        }
        index.reverse();
        format!("{}[{}]", self.name, index.join(","))
    }

    /// Appends the field in its own unit at its coordinates `xi`.
    pub fn values(&self, xi: impl Iterator<Item = f64>, out: &mut Vec<f64>) {
        let start = out.len();
        match &*self.root {
            Root::Modes(modes) => modes.field(xi, out),
            Root::Circulant(circulant) => circulant.field(xi, out),
        }
        out[start..].iter_mut().for_each(|z| *z = self.value(*z));
    }

    /// Returns the value of a cell where the field of variance 1 is `z`.
    #[must_use]
    pub fn value(&self, z: f64) -> f64 {
        let z = self.mean + self.deviation * z;
        match self.of_log {
            true => libm::exp(z),
            false => z,
        }
    }

    /// Returns the field of variance 1 where a cell has the value `u`, which it may have.
    #[must_use]
    pub fn standard(&self, u: f64) -> f64 {
        let z = if self.of_log { libm::log(u) } else { u };
        (z - self.mean) / self.deviation
    }

    /// Returns true if all values are greater than 0.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.of_log
    }

    /// Returns true if a cell may have the value `u`.
    #[must_use]
    pub fn admits(&self, u: f64) -> bool {
        u.is_finite() && (u > 0.0 || !self.of_log)
    }

    /// Returns the values that a cell may have, in words.
    #[must_use]
    pub fn support(&self) -> &'static str {
        match self.of_log {
            true => "greater than 0",
            false => "finite",
        }
    }

    /// Returns true if coordinates follow from the field's values: by its modes. White noise on a larger grid does not.
    #[must_use]
    pub fn has_modes(&self) -> bool {
        matches!(*self.root, Root::Modes(_))
    }

    /// Appends the coordinates of the values `u`, of cells that may have them: what the modes cannot show of them is left out.
    ///
    /// # Panics
    /// Without modes.
    pub fn project(&self, u: &[f64], out: &mut Vec<f64>) {
        let Root::Modes(modes) = &*self.root else {
            panic!("the field {} has no modes", self.name)
        };
        let z: Vec<f64> = u.iter().map(|u| self.standard(*u)).collect();
        modes.project(&z, out);
    }

    /// Returns the bytes that are kept, and those that each thread holds while it makes a field.
    #[must_use]
    pub fn bytes(&self) -> [usize; 2] {
        let [kept, passing] = match &*self.root {
            Root::Modes(modes) => [modes.bytes(), 0],
            Root::Circulant(circulant) => circulant.bytes(),
        };
        [kept, passing + 8 * self.cells()]
    }

    /// Returns a line on the field for people: its size, and what its coordinates keep of its variance.
    #[must_use]
    pub fn description(&self) -> String {
        let by = |sides: &[usize]| {
            let sides: Vec<String> = sides.iter().map(usize::to_string).collect();
            sides.join(" x ")
        };
        let head = format!("field {}: {} cells", self.name, by(self.shape()));
        match &*self.root {
            Root::Modes(modes) => format!(
                "{head}, {} modes with {} % of its variance",
                modes.count(),
                number(100.0 * modes.share(), 4)
            ),
            Root::Circulant(circulant) => {
                let cut = match circulant.cut() {
                    0.0 => "no eigenvalue cut".to_owned(),
                    cut => format!(
                        "negative eigenvalues cut that had {} % of its variance: the correlation is an approximation (shorter \
                         lengths or a smaller nu need no cut)",
                        number(100.0 * cut, 2)
                    ),
                };
                format!(
                    "{head}, white noise on {} cells, {cut}",
                    by(circulant.sides())
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rng::{Key, Purpose};

    fn field(shape: &[usize], of_log: bool, words: &str) -> Result<RandomField, String> {
        let words: Vec<&str> = words.split(' ').collect();
        RandomField::new("k", shape.to_vec(), of_log, &words)
    }

    fn drawn(field: &RandomField, member: u64) -> Vec<f64> {
        let key = Key {
            seed: 1,
            purpose: Purpose::Initial,
            step: 0,
            member,
            block: 0,
        };
        let mut xi = vec![0.0; field.coordinates()];
        <f64 as crate::kernels::real::Real>::fill_normal(&key, 0, &mut xi);
        let mut u = Vec::new();
        field.values(xi.into_iter(), &mut u);
        u
    }

    /// The mean square of 2000 draws, and their products over some distances, against Matérn's formula: within four standard
    /// errors, for both representations.
    #[test]
    fn draws_have_the_mean_and_the_covariance_that_are_asked_for() {
        const DRAWS: usize = 2000;
        for words in ["1.5 4,2 1 2", "0.7 4,2 1 2", "1.5 4,2 1 2 modes 108"] {
            let field = field(&[12, 9], false, words).unwrap();
            let nu = field.correlation.nu;
            let all: Vec<Vec<f64>> = (0..DRAWS as u64).map(|j| drawn(&field, j)).collect();
            for (from, to) in [(0, 0), (0, 1), (0, 9), (40, 60), (58, 94)] {
                let (rows, columns) = (
                    (from / 9) as f64 - (to / 9) as f64,
                    (from % 9) as f64 - (to % 9) as f64,
                );
                let r = ((rows / 4.0).powi(2) + (columns / 2.0).powi(2)).sqrt();
                let expected = 4.0 * matern::correlation(nu, r);
                let products = all.iter().map(|u| (u[from] - 1.0) * (u[to] - 1.0));
                let found = products.sum::<f64>() / DRAWS as f64;
                // The variance of a product of normals is C_aa C_bb + C_ab^2.
                let error = ((16.0 + expected * expected) / DRAWS as f64).sqrt();
                assert!(
                    (found - expected).abs() < 4.0 * error,
                    "{words} {from} {to}: {found} {expected}"
                );
            }
            let mean = all.iter().map(|u| u[50]).sum::<f64>() / DRAWS as f64;
            assert!(
                (mean - 1.0).abs() < 4.0 * 2.0 / (DRAWS as f64).sqrt(),
                "{words}: {mean}"
            );
        }
    }

    #[test]
    fn a_field_of_the_logarithm_is_the_exponential_of_the_other_and_is_projected_back() {
        let plain = field(&[6, 5], false, "2.5 3 1 0.5 modes 7").unwrap();
        let log = field(&[6, 5], true, "2.5 3 1 0.5 modes 7").unwrap();
        let (z, u) = (drawn(&plain, 3), drawn(&log, 3));
        assert!(
            z.iter()
                .zip(&u)
                .all(|(z, u)| (z.exp() / u - 1.0).abs() < 1e-14)
        );
        let mut xi = Vec::new();
        log.project(&u, &mut xi);
        let mut again = Vec::new();
        log.values(xi.into_iter(), &mut again);
        assert!(
            again
                .iter()
                .zip(&u)
                .all(|(a, u)| (a / u - 1.0).abs() < 1e-12)
        );
        assert_eq!(
            [0, 5, 29].map(|c| log.cell_name(c)),
            ["k[1,1]", "k[2,1]", "k[6,5]"]
        );
        assert!(
            log.description()
                .contains("field k: 6 x 5 cells, 7 modes with 9")
        );
        assert!(!log.admits(0.0) && plain.admits(0.0) && !plain.admits(f64::NAN));
    }

    #[test]
    fn laws_that_cannot_be_are_refused_in_words() {
        for (words, refusal) in [
            ("1.5 4 0", "NU LENGTH MEAN DEVIATION"),
            ("1.5 4 0 1 2", "NU LENGTH MEAN DEVIATION"),
            ("0 4 0 1", "nu from 0.05 to 50"),
            ("1.5 0 0 1", "lengths greater than 0"),
            ("1.5 4,4,4 0 1", "one for each of the 2 sides"),
            ("1.5 4 x 1", "a finite mean"),
            ("1.5 4 0 0", "a deviation greater than 0"),
            ("1.5 4 0 1 modes 0", "at least 1"),
            ("1.5 4 0 1 modes 31", "at most as many modes as cells, 30"),
        ] {
            let told = field(&[6, 5], false, words).unwrap_err();
            assert!(told.contains(refusal), "{words}: {told}");
        }
        assert_eq!(RandomField::sides("3,4"), Some(vec![3, 4]));
        for wrong in ["", "0", "2,2,2,2", "100000,1000", "3,x"] {
            assert_eq!(RandomField::sides(wrong), None, "{wrong}");
        }
    }
}
