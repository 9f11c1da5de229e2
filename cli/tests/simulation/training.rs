//! Training that takes simulated time alone. What it gives is decided by the run, as of the real one.

use std::sync::Arc;
use std::time::Duration;

use curvefleet_proto::plan::{RunSettings, ShardSpec};
use curvefleet_proto::store::Store;
use curvefleet_worker::agent::trainer::{Next, Room, ShardTrainer, Trainer, Unprepared, Untrained, Watch};
use curvefleet_worker::train::{Curve, EpochRecord, Outcome, Scores};
use futures::future::BoxFuture;

use super::scene::Scene;

/// Epochs take so long.
const EPOCH_MS: (u64, u64) = (200, 1_500);

pub struct Trains(pub Arc<Scene>);

struct Shard {
    scene: Arc<Scene>,
    settings: RunSettings,
}

impl std::fmt::Debug for Trains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trains")
    }
}

impl Trainer for Trains {
    fn prepare<'a>(
        &'a self,
        _: &'a Store,
        spec: &'a ShardSpec,
    ) -> BoxFuture<'a, Result<Arc<dyn ShardTrainer>, Unprepared>> {
        let shard = Shard { scene: self.0.clone(), settings: spec.settings.clone() };
        Box::pin(async move { Ok(Arc::new(shard) as Arc<dyn ShardTrainer>) })
    }
}

impl ShardTrainer for Shard {
    fn train<'a>(
        &'a self,
        seeds: &'a [u64],
        _room: Room,
        watch: Watch,
    ) -> BoxFuture<'a, (u32, Result<Vec<Outcome>, Untrained>)> {
        Box::pin(async move { (0, self.pack(seeds, watch).await) })
    }
}

impl Shard {
    async fn pack(&self, seeds: &[u64], watch: Watch) -> Result<Vec<Outcome>, Untrained> {
        if self.scene.mishap("training", 30) {
            return Err(Untrained::Device("the device fell off the bus".to_string()));
        }
        if self.scene.mishap("training", 20) {
            return Err(Untrained::Run("out of memory".to_string()));
        }
        watch.begin();
        let epochs = self.settings.training.epochs;
        for epoch in 1..=epochs {
            let pause = self.scene.between("training", EPOCH_MS.0, EPOCH_MS.1);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if watch.epoch(seeds.len() as u64, epoch, 1.0 / f64::from(epoch)) != Next::GoOn && epoch < epochs {
                return Err(Untrained::Stopped);
            }
        }
        let outcome = |seed: &u64| Outcome { curve: curve(&self.settings, *seed), diverged: None };
        Ok(seeds.iter().map(outcome).collect())
    }
}

/// A run's curve: what every machine would get.
fn curve(settings: &RunSettings, seed: u64) -> Curve {
    let epoch = |epoch| EpochRecord {
        epoch,
        train_loss: train_loss(&settings.run_id(seed).to_string(), epoch),
        validation: Scores { loss: Some(1.0), accuracy: Some(0.5), ..Scores::default() },
        test: None,
        curve: vec![0.5; 4],
    };
    Curve { epochs: (1..=settings.training.epochs).map(epoch).collect() }
}

/// A number that no other run has at this epoch.
pub fn train_loss(run: &str, epoch: u32) -> f64 {
    let digits = u32::from_str_radix(&run[..8], 16).unwrap();
    f64::from(digits) + 1.0 / f64::from(epoch)
}
