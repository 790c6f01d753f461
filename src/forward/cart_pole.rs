//! Cart-pole by episode return: a policy network pushes a cart left or right so that the pole on it stays up.
//!
//! With x the cart's place, a the pole's angle from upright, F = 10 N or -10 N, masses M = 1 kg (cart) and m = 0.1 kg
//! (pole), half the pole's length l = 0.5 m, g = 9.8 m/s^2:
//!
//! ```text
//! f   = (F + m l a'^2 sin a) / (M + m)
//! a'' = (g sin a - f cos a) / (l (4/3 - m cos^2 a / (M + m)))
//! x'' = f - m l a'' cos a / (M + m)
//! ```
//!
//! by Euler's steps of 0.02 s. An episode ends when |x| > 2.4 m or |a| > 12 degrees, and after 500 steps; its return is
//! the steps it lasted. Starts are uniform on [-0.05, 0.05]^4. Equations: Barto, Sutton & Anderson, IEEE Trans. Syst.
//! Man Cybern. 13 (1983) 834, without friction; constants and limits of Gym's CartPole-v1, which counts 475 as solved.
//!
//! The output is the return over 500 and its target 1: no derivative passes the episode.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, ArrayViewMut3, Axis};

use super::dense::Dense;
use super::{ForwardMap, MapShape};
use crate::forward::prior::Prior;
use crate::kernels::elementary::sin_cos;
use crate::kernels::real::Real;
use crate::kernels::rng::{Key, Purpose};

/// The steps of an episode at most: the highest return.
pub const LONGEST: usize = 500;
/// Numbers of a state: x, x', a, a'.
pub const STATE: usize = 4;

const GRAVITY: f64 = 9.8;
const POLE_MASS: f64 = 0.1;
const MASS: f64 = 1.0 + POLE_MASS;
const HALF_LENGTH: f64 = 0.5;
const FORCE: f64 = 10.0;
const SECONDS: f64 = 0.02;
/// The bounds at which an episode ends: |x| in metres, |a| in radians.
const LIMITS: (f64, f64) = (2.4, 12.0 * std::f64::consts::PI / 180.0);
/// The scales by which the policy's inputs are divided: the limits, and 3 m/s and 3 rad/s (our choice).
const SIZES: [f64; STATE] = [LIMITS.0, 3.0, LIMITS.1, 3.0];

/// Episodes under a policy: one output above 0 pushes right, else left.
#[derive(Clone, Debug)]
pub struct CartPole {
    policy: Dense,
}

impl CartPole {
    /// The policy takes the 4 numbers of a state, each divided by its size, and gives 1.
    #[must_use]
    pub fn new(policy: Dense) -> Self {
        let sizes = (
            ForwardMap::<f64>::features(&policy),
            ForwardMap::<f64>::outputs(&policy),
        );
        assert_eq!(sizes, (STATE, 1), "a policy takes a state and gives a push");
        Self { policy }
    }
}

/// `count` start states, 4 numbers a row, from the stream `block` of `seed`.
#[must_use]
pub fn starts(seed: u64, block: u32, count: usize) -> Array2<f64> {
    use rand::RngExt as _;
    let mut stream = Key {
        seed,
        purpose: Purpose::Synthetic,
        step: 0,
        member: 0,
        block,
    }
    .stream();
    Array2::from_shape_simple_fn((count, STATE), || stream.random_range(-0.05..0.05))
}

/// The state 0.02 s after `state`, under `force`, in newtons.
fn after([x, speed, angle, turning]: [f64; STATE], force: f64) -> [f64; STATE] {
    let (sin, cos) = sin_cos(angle);
    let pushed = (force + POLE_MASS * HALF_LENGTH * turning * turning * sin) / MASS;
    let inertia = HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * cos * cos / MASS);
    let turn = (GRAVITY * sin - cos * pushed) / inertia;
    let speeding = pushed - POLE_MASS * HALF_LENGTH * turn * cos / MASS;
    [
        x + SECONDS * speed,
        speed + SECONDS * speeding,
        angle + SECONDS * turning,
        turning + SECONDS * turn,
    ]
}

/// Returns true if an episode ends in this state.
fn ends([x, _, angle, _]: [f64; STATE]) -> bool {
    x.abs() > LIMITS.0 || angle.abs() > LIMITS.1
}

/// Places of episodes that run side by side, and room for the policy.
struct Room<'a, T> {
    states: ArrayViewMut2<'a, T>, // 4 x m
    seen: ArrayViewMut2<'a, T>,   // 4 x m
    pushes: &'a mut [T],          // m
    policy: &'a mut [T],
}

impl<'a, T: Real> Room<'a, T> {
    fn new(m: usize, scratch: &'a mut [T]) -> Self {
        let (states, rest) = scratch.split_at_mut(STATE * m);
        let (seen, rest) = rest.split_at_mut(STATE * m);
        let (pushes, policy) = rest.split_at_mut(m);
        let whole = |numbers| ArrayViewMut2::from_shape((STATE, m), numbers).expect("room");
        Self {
            states: whole(states),
            seen: whole(seen),
            pushes,
            policy,
        }
    }

    /// Computes the actions of the policy `member`, 1 x P, in the present states.
    fn act(&mut self, policy: &Dense, member: ArrayView2<T>) {
        let rows = self.seen.rows_mut().into_iter().zip(self.states.rows());
        for ((seen, states), size) in rows.zip(SIZES) {
            let pairs = seen.into_iter().zip(states);
            pairs.for_each(|(seen, x)| *seen = T::from_f64(x.as_f64() / size));
        }
        let m = self.pushes.len();
        let out = ArrayViewMut3::from_shape((1, 1, m), &mut *self.pushes).expect("room");
        policy.evaluate(member, self.seen.view(), out, self.policy);
    }

    /// Pushes the cart of column `i`, in double precision, and keeps the state in the run's; the `steps` of its episode,
    /// this one counted: less than 0 if it ends, NaN if the policy failed.
    fn lasts(&mut self, i: usize, steps: T) -> T {
        if !self.pushes[i].is_finite() {
            return T::nan();
        }
        let force = if self.pushes[i] > T::zero() {
            FORCE
        } else {
            -FORCE
        };
        let now = std::array::from_fn(|k| self.states[[k, i]].as_f64());
        let next = after(now, force);
        for (place, x) in self.states.column_mut(i).iter_mut().zip(next) {
            *place = T::from_f64(x);
        }
        let steps = steps + T::one();
        if ends(next) { -steps } else { steps }
    }
}

impl<T: Real> ForwardMap<T> for CartPole {
    fn shape(&self) -> MapShape {
        MapShape {
            parameters: ForwardMap::<T>::parameters(&self.policy),
            features: STATE,
            outputs: 1,
        }
    }

    fn prior(&self) -> Prior {
        ForwardMap::<T>::prior(&self.policy)
    }

    fn highest_return(&self) -> Option<f64> {
        Some(LONGEST as f64)
    }

    /// Of whole episodes; most end early at first.
    fn flops(&self, m: usize) -> f64 {
        LONGEST as f64 * ForwardMap::<T>::flops(&self.policy, m)
    }

    fn scratch(&self, m: usize) -> usize {
        (2 * STATE + 1) * m + ForwardMap::<T>::scratch(&self.policy, m)
    }

    /// Episodes start from the columns of `inputs`, 4 x m, unscaled, and go on side by side.
    fn evaluate(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        mut outputs: ArrayViewMut3<T>,
        scratch: &mut [T],
    ) {
        let mut room = Room::new(inputs.ncols(), scratch);
        let each = members
            .axis_chunks_iter(Axis(0), 1)
            .zip(outputs.outer_iter_mut());
        for (member, mut lasted) in each {
            room.states.assign(&inputs);
            // Steps so far, as `lasts` tells them.
            lasted.fill(T::zero());
            for _ in 0..LONGEST {
                if !lasted.iter().any(|&steps| steps >= T::zero()) {
                    break;
                }
                room.act(&self.policy, member);
                for (i, steps) in lasted.iter_mut().enumerate() {
                    if *steps >= T::zero() {
                        *steps = room.lasts(i, *steps);
                    }
                }
            }
            lasted.mapv_inplace(|steps| steps.abs() / T::from_f64(LONGEST as f64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    use crate::config::Activation;
    use crate::forward::activation::Output;

    fn map() -> CartPole {
        CartPole::new(Dense::new(vec![4, 1], Activation::Tanh, Output::Identity))
    }

    fn returns<T: Real>(policy: &[f64], starts: &Array2<f64>) -> Vec<f64> {
        let map = map();
        let (starts, m) = (starts.t().mapv(T::from_f64), starts.nrows());
        let member = Array2::from_shape_vec((1, 5), policy.to_vec())
            .unwrap()
            .mapv(T::from_f64);
        let mut out = Array3::zeros((1, 1, m));
        let mut scratch = vec![T::nan(); ForwardMap::<T>::scratch(&map, m)];
        let inputs = starts.as_standard_layout();
        map.evaluate(member.view(), inputs.view(), out.view_mut(), &mut scratch);
        out.iter()
            .map(|z: &T| z.as_f64() * LONGEST as f64)
            .collect()
    }

    /// One step from the upright pole at rest, worked by hand: f = 10/1.1, a'' = -f / (0.5 (4/3 - 0.1/1.1)), and
    /// x'' = f + 0.05 a'' / 1.1 with its sign; places follow one step later.
    #[test]
    fn a_step_is_the_equations() {
        let next = after([0.0; 4], FORCE);
        let f = 10.0 / 1.1;
        let turn = -f / (0.5 * (4.0 / 3.0 - 0.1 / 1.1));
        let speed = f - 0.05 * turn / 1.1;
        for (got, want) in next.iter().zip([0.0, 0.02 * speed, 0.0, 0.02 * turn]) {
            assert!((got - want).abs() < 1e-15, "{got}, not {want}");
        }
        // The same to the left, mirrored.
        assert_eq!(after([0.0; 4], -FORCE).map(|x| -x), next);
        // Off centre, without a push: the pole falls further, and takes the cart's speed from it.
        let [x, speed, angle, turning] = after([0.1, 0.2, 0.1, 0.0], 0.0);
        assert_eq!((x, angle), (0.1 + 0.02 * 0.2, 0.1));
        assert!(turning > 0.0 && speed < 0.2);
    }

    #[test]
    fn episodes_end_at_the_limits_and_the_longest_lasts_500_steps() {
        assert!(ends([2.41, 0.0, 0.0, 0.0]) && ends([0.0, 0.0, -0.21, 0.0]));
        assert!(!ends([2.39, 9.0, 0.209, 9.0]));
        let starts = starts(1, 3, 20);
        assert!(starts.iter().all(|x| x.abs() < 0.05));
        // Always left: the pole falls within a dozen steps.
        for steps in returns::<f64>(&[0.0, 0.0, 0.0, 0.0, -1.0], &starts) {
            assert!((8.0..13.0).contains(&steps), "{steps}");
        }
        // Towards where the pole leans and turns: up to the end, in both precisions.
        let good = [0.05, 0.2, 1.0, 3.0, 0.0];
        assert_eq!(returns::<f64>(&good, &starts), [500.0; 20]);
        assert_eq!(returns::<f32>(&good, &starts), [500.0; 20]);
    }

    #[test]
    fn a_policy_that_is_not_finite_fails() {
        let steps = returns::<f32>(&[0.0, f64::NAN, 0.0, 0.0, 1.0], &starts(1, 3, 2));
        assert!(steps.iter().all(|s| s.is_nan()));
    }
}
