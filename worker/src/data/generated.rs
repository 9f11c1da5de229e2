//! The built-in data set "moving joints": a stick figure of eight joints makes one of six gestures.
//!
//! It exists so that a study can run with nothing downloaded, and it is made to have learning curves worth mapping:
//! every gesture starts from the same rest after a random delay, so early time steps say little about the class and later ones much;
//! some pairs part early (clap against anything), some late (raise against wave); amplitude, tempo, place and size vary from
//! item to item, and the sensors are noisy. The same settings give the same bits on every machine: draws come from
//! [`crate::rng`], and trigonometry is written out here in operations that IEEE 754 fixes.

use curvefleet_proto::study::Generate;

use super::{DataError, Dataset, Provenance, Sequence};
use crate::rng::{self, Stream};

/// The gestures, in label order.
pub const CLASSES: [&str; 6] = ["raise", "wave", "circle", "point", "push", "clap"];
/// The joints; each gives an x and a y.
pub const JOINTS: [&str; 8] =
    ["head", "hip", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"];

/// The angle of a hanging arm, in turns; 0 is sideways, a quarter turn is up.
const REST: f64 = -0.22;
/// The most numbers that one data set may hold (4 GiB of them), so that a slip in a study file does not fill the memory.
const MOST_VALUES: u64 = 1 << 30;

/// Makes the data set that the settings describe; items of the classes take turns.
///
/// # Errors
/// [`DataError::Settings`] where a setting is out of range: no items, fewer than two steps, a noise that is negative or not finite.
pub fn generate(settings: &Generate) -> Result<Dataset, DataError> {
    check(settings)?;
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&settings.seed.to_le_bytes());
    let mut draws = rng::stream(&seed, "moving joints");
    let mut sequences = Vec::new();
    for _ in 0..settings.items_per_class {
        for label in 0..CLASSES.len() {
            let item = Item::draw(&mut draws);
            sequences.push(Sequence {
                label: label as u32,
                steps: settings.steps,
                values: item.perform(label, settings, &mut draws),
                text: None,
            });
        }
    }
    let options = [
        ("items_per_class", settings.items_per_class.to_string()),
        ("steps", settings.steps.to_string()),
        ("noise", settings.noise.to_string()),
        ("seed", settings.seed.to_string()),
    ];
    Ok(Dataset {
        name: "moving joints".to_string(),
        classes: CLASSES.map(str::to_string).to_vec(),
        features: JOINTS.iter().flat_map(|joint| [format!("{joint}_x"), format!("{joint}_y")]).collect(),
        sequences,
        provenance: Provenance {
            format: "generated".to_string(),
            options: options.into_iter().map(|(key, value)| (key.to_string(), value)).collect(),
            missing_treatment: "refuse".to_string(),
            ..Provenance::default()
        },
    })
}

fn check(settings: &Generate) -> Result<(), DataError> {
    let refuse = |problem: &str| Err(DataError::Settings { format: "generated", problem: problem.to_string() });
    if settings.items_per_class == 0 {
        return refuse("was given generate.items_per_class = 0; expected at least 1");
    }
    if settings.steps < 2 {
        return refuse("was given fewer than 2 generate.steps; a gesture needs a beginning and an end");
    }
    // Above this the figure is invisible, and far above it the numbers no longer fit.
    const MOST_NOISE: f64 = 1e6;
    if !(0.0..=MOST_NOISE).contains(&settings.noise) {
        return refuse("was given a generate.noise that is not between 0 and 1000000 limb lengths");
    }
    let per_item = (2 * JOINTS.len()) as u64;
    let values = (u64::from(settings.items_per_class) * CLASSES.len() as u64)
        .checked_mul(u64::from(settings.steps))
        .and_then(|rows| rows.checked_mul(per_item));
    if values.is_none_or(|values| values > MOST_VALUES) {
        return refuse("was asked for more than 1073741824 numbers; lower generate.items_per_class or generate.steps");
    }
    Ok(())
}

/// How one person makes the gesture this time.
struct Item {
    /// When it begins, as a share of the sequence.
    delay: f64,
    /// How long it takes, as a share of the sequence.
    duration: f64,
    /// How far the arms go, 1 being the average.
    amplitude: f64,
    /// Where in its period a repeated movement begins, in turns.
    phase: f64,
    /// Where the figure stands, in limb lengths.
    place: [f64; 2],
    /// How large the figure is, 1 being the average.
    size: f64,
    /// Where in its period the body's slow sway begins, in turns.
    sway: f64,
    /// How the arms hang at rest, in turns off the average.
    rest: [f64; 2],
}

impl Item {
    fn draw(draws: &mut Stream) -> Self {
        Self {
            delay: 0.05 + 0.15 * draws.uniform(),
            duration: 0.6 + 0.2 * draws.uniform(),
            amplitude: 1.0 + 0.12 * draws.normal(),
            phase: 0.3 * draws.uniform(),
            place: [0.25 * draws.normal(), 0.25 * draws.normal()],
            size: 1.0 + 0.08 * draws.normal(),
            sway: draws.uniform(),
            rest: [0.02 * draws.normal(), 0.02 * draws.normal()],
        }
    }

    /// The noisy positions of the joints over time, `[time, joint, (x, y)]`.
    fn perform(&self, label: usize, settings: &Generate, draws: &mut Stream) -> Vec<f32> {
        let mut values = Vec::with_capacity(settings.steps as usize * 2 * JOINTS.len());
        for step in 0..settings.steps {
            let time = f64::from(step) / f64::from(settings.steps - 1);
            let progress = ((time - self.delay) / self.duration).clamp(0.0, 1.0);
            let sway = 0.1 * sine(self.sway + time);
            for [x, y] in self.joints(&Pose::of(label, progress, self)) {
                let x = self.size * (x + sway) + self.place[0] + settings.noise * draws.normal();
                let y = self.size * y + self.place[1] + settings.noise * draws.normal();
                values.extend([x as f32, y as f32]);
            }
        }
        values
    }

    /// Where the joints are in a pose, before size, place and noise; in the order of [`JOINTS`].
    fn joints(&self, pose: &Pose) -> [[f64; 2]; 8] {
        let arm = |side: f64, rest: f64, [shoulder, elbow]: [f64; 2]| {
            let upper = REST + rest + self.amplitude * shoulder;
            let fore = upper + elbow;
            let joint = [0.5 * side, 0.0];
            let bend = [joint[0] + side * cosine(upper), joint[1] + sine(upper)];
            [joint, bend, [bend[0] + side * cosine(fore), bend[1] + sine(fore)]]
        };
        let right = arm(1.0, self.rest[0], pose.right);
        let left = arm(-1.0, self.rest[1], pose.left);
        [[0.0, 0.7], [0.0, -1.8], right[0], right[1], right[2], left[0], left[1], left[2]]
    }
}

/// The arms' angles in turns: how far the upper arm is up from rest, and how far the forearm is bent from it.
struct Pose {
    right: [f64; 2],
    left: [f64; 2],
}

impl Pose {
    /// The pose of gesture `label` after `progress` (0 to 1) of it.
    fn of(label: usize, progress: f64, item: &Item) -> Self {
        let up = |reach: f64, by: f64| reach * smooth(progress / by);
        let repeated = |times: f64| sine(item.phase + times * progress);
        let hanging = [0.0, 0.03];
        let (right, left) = match CLASSES[label] {
            "raise" => ([up(0.40, 0.8), 0.03], hanging),
            "wave" => ([up(0.40, 0.8), 0.03 + (0.08 + 0.17 * repeated(2.0)) * smooth((progress - 0.4) / 0.3)], hanging),
            "circle" => ([up(0.80, 1.0), 0.03], hanging),
            "point" => ([up(0.24, 0.8), 0.03], hanging),
            "push" => {
                let bent = 0.28 * smooth(progress / 0.4);
                let stretched = 0.7 * smooth((progress - 0.6) / 0.4);
                ([up(0.24, 0.8), 0.03 + bent * (1.0 - stretched)], hanging)
            }
            _ => {
                let both = [up(0.20, 0.5), 0.03 + (0.22 + 0.1 * repeated(2.0)) * smooth(progress / 0.5)];
                (both, both)
            }
        };
        Self { right, left }
    }
}

/// 0 up to x = 0, 1 from x = 1 on, and smooth in between.
fn smooth(x: f64) -> f64 {
    let x = x.clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

/// The sine of an angle in turns, to about 1e-15, by its Taylor series on a quarter turn.
fn sine(turns: f64) -> f64 {
    let within = turns - turns.round();
    let folded = if within > 0.25 {
        0.5 - within
    } else if within < -0.25 {
        -0.5 - within
    } else {
        within
    };
    let x = folded * std::f64::consts::TAU;
    let square = x * x;
    let series = (1..=10).rev().fold(1.0, |sum, k| 1.0 - sum * square / f64::from(2 * k * (2 * k + 1)));
    x * series
}

/// The cosine of an angle in turns.
fn cosine(turns: f64) -> f64 {
    sine(turns + 0.25)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_agrees_with_the_library() {
        for i in -4000..4000 {
            let turns = f64::from(i) / 1000.0;
            assert!((sine(turns) - (turns * std::f64::consts::TAU).sin()).abs() < 1e-14, "{turns}");
        }
    }
}
