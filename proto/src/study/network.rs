//! Models, training and probe of a study, checked: what [`super::resolve`] does for the rest.

use super::error::{Error, Step};
use super::file::{ModelEntry, Parsed, ProbeEntry, TrainingEntry};
use super::preset;
use super::settings::{ConditionSet, Model, ModelKind, Preset, Probe, ProbeKind, Scoring, Training};
use crate::limits::{MAX_LABELS, MAX_NAME_BYTES};
use crate::requirement::Requirement;

/// Largest hidden size.
const HIDDEN_MAX: u32 = 65_536;
/// Most layers.
const LAYERS_MAX: u32 = 64;
/// Most attention heads.
const HEADS_MAX: u32 = 1_024;

impl Parsed {
    pub(super) fn models(&self) -> Result<Vec<Model>, Error> {
        if self.file.models.is_empty() {
            let kind = preset::MODEL;
            let name = kind.as_str().to_string();
            let requires = Requirement::default();
            return Ok(vec![Model { name, kind, hidden: 0, layers: 1, heads: 0, dropout: 0.0, requires }]);
        }
        let mut models: Vec<Model> = Vec::new();
        for (index, entry) in self.file.models.iter().enumerate() {
            let model = self.model(index, entry)?;
            let same = |other: &&Model| {
                let (name, requires) = (other.name.clone(), other.requires.clone());
                other.name == model.name || **other == Model { name, requires, ..model.clone() }
            };
            if let Some(other) = models.iter().find(same) {
                let path = [Step::Key("models"), Step::Index(index)];
                let what = if other.name == model.name { "have the same name" } else { "are the same network" };
                return Err(self.error(&path, format!("the models `{}` and `{}` {what}", other.name, model.name)));
            }
            models.push(model);
        }
        Ok(models)
    }

    fn model(&self, index: usize, entry: &ModelEntry) -> Result<Model, Error> {
        let path = |key: &'static str| [Step::Key("models"), Step::Index(index), Step::Key(key)];
        let name = entry.name.clone().unwrap_or_else(|| entry.kind.as_str().to_string());
        self.check_name(&path("name"), "the model's name", &name)?;
        let hidden = entry.hidden.unwrap_or(0);
        if hidden > HIDDEN_MAX {
            return Err(self.error(
                &path("hidden"),
                format!("`hidden` is {hidden}; at most {HIDDEN_MAX} is allowed (0 means as many as features)"),
            ));
        }
        let layers = entry.layers.unwrap_or(1);
        if !(1..=LAYERS_MAX).contains(&layers) {
            return Err(
                self.error(&path("layers"), format!("`layers` is {layers}; it must lie between 1 and {LAYERS_MAX}"))
            );
        }
        let model = Model {
            name,
            kind: entry.kind,
            hidden,
            layers,
            heads: entry.heads.unwrap_or(0),
            dropout: entry.dropout.unwrap_or(0.0),
            requires: entry.requires.clone(),
        };
        self.check_requirement(&path("requires"), &model.requires)?;
        match misfit(&model) {
            Some((key, why)) => Err(self.error(&path(key), why)),
            None => Ok(model),
        }
    }

    /// What the study's runs need of their workers.
    pub(super) fn requires(&self) -> Result<Requirement, Error> {
        self.check_requirement(&[Step::Key("requires")], &self.file.requires)?;
        Ok(self.file.requires.clone())
    }

    fn check_requirement(&self, path: &[Step<'_>], requirement: &Requirement) -> Result<(), Error> {
        let Requirement { cores, memory_gib, gpu, labels } = requirement;
        let is_name = |text: &str| text.len() <= MAX_NAME_BYTES && !text.chars().any(char::is_control);
        let is_label =
            |(key, value): (&String, &String)| !key.is_empty() && !value.is_empty() && is_name(key) && is_name(value);
        let wrong = if *cores == Some(0) {
            Some("`cores` in `requires` is 0; it must be at least 1".to_string())
        } else if memory_gib.is_some_and(|gib| !(gib > 0.0 && gib.is_finite())) {
            Some("`memory_gib` in `requires` must be above 0".to_string())
        } else if gpu.as_deref().is_some_and(|gpu| !is_name(gpu)) {
            Some(format!("`gpu` in `requires` is a part of a card's name, of at most {MAX_NAME_BYTES} characters"))
        } else if labels.len() > MAX_LABELS || !labels.iter().all(is_label) {
            let rule = format!("at most {MAX_LABELS}, each `key = \"value\"` of 1 to {MAX_NAME_BYTES} characters");
            Some(format!("`labels` in `requires` are {rule}"))
        } else {
            None
        };
        wrong.map_or(Ok(()), |message| Err(self.error(path, message)))
    }

    /// Attention splits the hidden size evenly over the heads; where the hidden size is the number of features, that shows only now.
    pub(super) fn check_heads(&self, models: &[Model], sets: &[ConditionSet]) -> Result<(), Error> {
        for (index, model) in models.iter().enumerate().filter(|(_, model)| model.heads > 0) {
            let sizes = sets.iter().map(|set| if model.hidden == 0 { set.features.len() as u32 } else { model.hidden });
            if let Some(hidden) = sizes.into_iter().find(|hidden| hidden % model.heads != 0) {
                return Err(self.error(
                    &[Step::Key("models"), Step::Index(index), Step::Key("heads")],
                    format!(
                        "`heads` is {}, which does not divide the hidden size {hidden} of the model `{}`",
                        model.heads, model.name
                    ),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn training(&self) -> Result<Training, Error> {
        let training = merged_training(self.file.preset, &self.file.training);
        let t = &training;
        let rules: [(&'static str, bool, &str); 8] = [
            ("epochs", (1..=1_000_000).contains(&t.epochs), "between 1 and 1000000"),
            ("batch_size", (1..=1_000_000).contains(&t.batch_size), "between 1 and 1000000"),
            ("learning_rate", t.learning_rate > 0.0 && t.learning_rate.is_finite(), "above 0"),
            ("beta1", (0.0..1.0).contains(&t.beta1), "at least 0 and below 1"),
            ("beta2", (0.0..1.0).contains(&t.beta2), "at least 0 and below 1"),
            ("epsilon", t.epsilon > 0.0 && t.epsilon.is_finite(), "above 0"),
            ("test_fraction", t.test_fraction > 0.0 && t.test_fraction < 1.0, "between 0 and 1, both excluded"),
            (
                "validation_fraction",
                t.validation_fraction > 0.0 && t.validation_fraction < 1.0,
                "between 0 and 1, both excluded",
            ),
        ];
        match rules.iter().find(|(_, holds, _)| !holds) {
            Some((key, _, rule)) => {
                Err(self.error(&[Step::Key("training"), Step::Key(key)], format!("`training.{key}` must be {rule}")))
            }
            None => Ok(training),
        }
    }

    pub(super) fn probe(&self) -> Result<Probe, Error> {
        let probe = merged_probe(self.file.preset, &self.file.probe);
        let refuse = |key: &'static str, why: String| Err(self.error(&[Step::Key("probe"), Step::Key(key)], why));
        if !(1..=1_000).contains(&probe.k) {
            return refuse("k", format!("`probe.k` is {}; it must lie between 1 and 1000", probe.k));
        }
        if !(probe.l2 > 0.0 && probe.l2.is_finite()) {
            return refuse("l2", format!("`probe.l2` is {}; it must be above 0", probe.l2));
        }
        if probe.kind == ProbeKind::Logistic && probe.scoring == Scoring::LeaveOneOut {
            let why = "`probe.scoring` is \"leave-one-out\", which would fit a logistic regression for every sample; \
                       use \"held-out\" or \"resubstitution\"";
            return refuse("scoring", why.to_string());
        }
        Ok(probe)
    }
}

/// The key of a model's that does not go with its kind or its other keys, and why.
fn misfit(model: &Model) -> Option<(&'static str, String)> {
    let kind = model.kind.as_str();
    if !(0.0..1.0).contains(&model.dropout) {
        return Some(("dropout", format!("`dropout` is {}; it must be at least 0 and below 1", model.dropout)));
    }
    if model.heads > HEADS_MAX {
        return Some(("heads", format!("`heads` is {}; at most {HEADS_MAX} is allowed", model.heads)));
    }
    if model.heads > 0 && model.kind != ModelKind::Transformer {
        return Some((
            "heads",
            format!("`heads` goes with `kind = \"transformer\"` alone, and this one is \"{kind}\""),
        ));
    }
    let given = [("hidden", model.hidden > 0), ("layers", model.layers > 1), ("dropout", model.dropout > 0.0)];
    if let Some((key, _)) = given.iter().find(|(_, given)| *given && !model.kind.has_layers()) {
        return Some((key, format!("`{key}` means nothing to \"{kind}\", which has no layers; leave it out")));
    }
    if model.dropout > 0.0 && model.layers == 1 && model.kind != ModelKind::Transformer {
        let why = format!(
            "`dropout` lies between the layers of \"{kind}\", and this model has one layer; give it more `layers`"
        );
        return Some(("dropout", why));
    }
    None
}

fn merged_training(preset: Preset, entry: &TrainingEntry) -> Training {
    let base = preset.training();
    Training {
        epochs: entry.epochs.unwrap_or(base.epochs),
        batch_size: entry.batch_size.unwrap_or(base.batch_size),
        learning_rate: entry.learning_rate.unwrap_or(base.learning_rate),
        optimizer: entry.optimizer.unwrap_or(base.optimizer),
        beta1: entry.beta1.unwrap_or(base.beta1),
        beta2: entry.beta2.unwrap_or(base.beta2),
        epsilon: entry.epsilon.unwrap_or(base.epsilon),
        test_fraction: entry.test_fraction.unwrap_or(base.test_fraction),
        validation_fraction: entry.validation_fraction.unwrap_or(base.validation_fraction),
        split: entry.split.unwrap_or(base.split),
        oversample: entry.oversample.unwrap_or(base.oversample),
        class_weights: entry.class_weights.unwrap_or(base.class_weights),
        shuffle: entry.shuffle.unwrap_or(base.shuffle),
        evaluation: entry.evaluation.unwrap_or(base.evaluation),
        read_out: entry.read_out.unwrap_or(base.read_out),
    }
}

fn merged_probe(preset: Preset, entry: &ProbeEntry) -> Probe {
    let base = preset.probe();
    Probe {
        kind: entry.kind.unwrap_or(base.kind),
        k: entry.k.unwrap_or(base.k),
        l2: entry.l2.unwrap_or(base.l2),
        scoring: entry.scoring.unwrap_or(base.scoring),
        states: entry.states.unwrap_or(base.states),
    }
}
