//! What the presets choose (method.md): `paper` does what the authors' code does, flaws included; `sound` what a careful
//! reviewer would ask for. Every choice is a key of its own that a study file may set otherwise.

use super::settings::{
    ClassWeights, ModelKind, Optimizer, Oversample, Preset, Probe, ProbeKind, ReadOut, Scoring, Shuffle, Split, States,
    Statistics, Training,
};

/// Seeds where a study names none: the paper's simulations per class pair.
pub const SEEDS: u32 = 20;
/// Runs per lease where a study does not say.
pub const SHARD_SIZE: u32 = 5;
/// The model where a study names none.
pub const MODEL: ModelKind = ModelKind::Lstm;
/// Attention heads where a study names none: the first that divides the hidden size.
pub const HEADS: [u32; 4] = [8, 4, 2, 1];

impl Preset {
    /// The training settings (method.md 2).
    pub fn training(self) -> Training {
        let paper = self == Preset::Paper;
        Training {
            epochs: 50,
            batch_size: 128,
            learning_rate: 1e-3,
            optimizer: Optimizer::Adam,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            test_fraction: 0.2,
            validation_fraction: 0.2,
            split: if paper { Split::Random } else { Split::Stratified },
            oversample: if paper { Oversample::Pool } else { Oversample::Training },
            class_weights: ClassWeights::None,
            shuffle: if paper { Shuffle::DataSet } else { Shuffle::Condition },
            evaluation: if paper { Statistics::Batch } else { Statistics::Running },
            read_out: if paper { ReadOut::LastStep } else { ReadOut::OwnLastStep },
        }
    }

    /// The probe's settings (method.md 2.6).
    pub fn probe(self) -> Probe {
        let paper = self == Preset::Paper;
        Probe {
            kind: ProbeKind::Knn,
            k: 3,
            l2: 1.0,
            scoring: if paper { Scoring::Resubstitution } else { Scoring::HeldOut },
            states: if paper { States::TrainingPasses } else { States::EpochEnd },
        }
    }
}
