-- A ledger as the program with schema 1 wrote it: one study finished, one cancelled with a run left, every statement of SQLite's dump.
PRAGMA foreign_keys = OFF;
BEGIN TRANSACTION;
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY,
  shard_id INTEGER NOT NULL REFERENCES shards(id),
  place INTEGER,
  worker TEXT NOT NULL,
  fence INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  error TEXT NOT NULL,
  log TEXT NOT NULL
);
INSERT INTO "attempts" VALUES(1,1,0,'here-1',1,1795576209099,'done','','seed 0 on here-1 (cpu/avx512): 2 epochs; at the end training loss 0.7060, validation accuracy 0.500, highest probe accuracy 1.000');
INSERT INTO "attempts" VALUES(2,1,1,'here-1',1,1795576209099,'done','','seed 1 on here-1 (cpu/avx512): 2 epochs; at the end training loss 0.7279, validation accuracy 0.500, highest probe accuracy 1.000');
CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  who TEXT NOT NULL,
  what TEXT NOT NULL,
  target TEXT NOT NULL
);
INSERT INTO "audit" VALUES(1,1795576209080,'127.0.0.1:57628','submit','finished');
INSERT INTO "audit" VALUES(2,1795576211093,'127.0.0.1:60486','submit','waiting');
INSERT INTO "audit" VALUES(3,1795576211111,'127.0.0.1:60500','cancel','waiting');
CREATE TABLE parts (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  size_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  shard_id INTEGER NOT NULL REFERENCES shards(id),
  fence INTEGER NOT NULL,
  worker TEXT NOT NULL,
  committed_ms INTEGER NOT NULL
);
INSERT INTO "parts" VALUES(1,'studies/finished/curves/41a2bfaa6eb4b2ce-1-1.parquet',6432,'ef66ec545a1c3a7a7e046903e0efaa1d25ba353a1f77e51101a340ccc8a2b369',1,1,'here-1',1795576209099);
CREATE TABLE runs (
  shard_id INTEGER NOT NULL REFERENCES shards(id),
  -- its place in the shard, from 0
  place INTEGER NOT NULL,
  key TEXT NOT NULL,
  seed INTEGER NOT NULL,
  -- pending, done, failed or cancelled
  state TEXT NOT NULL,
  -- failures held against it
  attempts INTEGER NOT NULL DEFAULT 0,
  -- fence of the last lease under which it failed: it is not waited for under that lease any more
  tried_fence INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  worker TEXT NOT NULL DEFAULT '',
  part_id INTEGER REFERENCES parts(id),
  PRIMARY KEY (shard_id, place)
) WITHOUT ROWID;
INSERT INTO "runs" VALUES(1,0,'80271e1f294bec9f8286fb77f4900c70',0,'done',0,0,'','here-1',1);
INSERT INTO "runs" VALUES(1,1,'2299c08c180dde340656078b6d9993fa',1,'done',0,0,'','here-1',1);
INSERT INTO "runs" VALUES(2,0,'80271e1f294bec9f8286fb77f4900c70',0,'done',0,0,'','here-1',1);
INSERT INTO "runs" VALUES(2,1,'2299c08c180dde340656078b6d9993fa',1,'done',0,0,'','here-1',1);
INSERT INTO "runs" VALUES(3,0,'95fbf867aaf0f96d8a3c0cffcb707a3d',2,'cancelled',0,0,'','',NULL);
CREATE TABLE shard_specs (
  shard_id INTEGER PRIMARY KEY REFERENCES shards(id),
  spec_json TEXT NOT NULL
);
INSERT INTO "shard_specs" VALUES(1,'{"study":"finished","shard":"41a2bfaa6eb4b2ce","data":"joints","condition":"clap/wave","model":"lstm","settings":{"numbers_version":2,"data_sha256":"1ee32aa30bebbb578d756247360d3d787b1548e4e1c5d69d9ccf554aea2860fc","condition":{"classes":["clap","wave"],"labels":"true","features":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15],"pad_to":10},"model":{"kind":"lstm","hidden":4,"layers":1,"heads":1,"dropout":0.0},"training":{"epochs":2,"batch_size":16,"learning_rate":0.001,"optimizer":"adam","beta1":0.9,"beta2":0.999,"epsilon":1e-8,"test_fraction":0.2,"validation_fraction":0.2,"split":"stratified","oversample":"training","class_weights":"none","shuffle":"condition","evaluation":"running","read_out":"own-last-step"},"probe":{"kind":"knn","k":3,"l2":1.0,"scoring":"held-out","states":"epoch-end"}},"seeds":[0,1],"pack_size":2}');
INSERT INTO "shard_specs" VALUES(2,'{"study":"waiting","shard":"765f794b36b54c86","data":"joints","condition":"clap/wave","model":"lstm","settings":{"numbers_version":2,"data_sha256":"1ee32aa30bebbb578d756247360d3d787b1548e4e1c5d69d9ccf554aea2860fc","condition":{"classes":["clap","wave"],"labels":"true","features":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15],"pad_to":10},"model":{"kind":"lstm","hidden":4,"layers":1,"heads":1,"dropout":0.0},"training":{"epochs":2,"batch_size":16,"learning_rate":0.001,"optimizer":"adam","beta1":0.9,"beta2":0.999,"epsilon":1e-8,"test_fraction":0.2,"validation_fraction":0.2,"split":"stratified","oversample":"training","class_weights":"none","shuffle":"condition","evaluation":"running","read_out":"own-last-step"},"probe":{"kind":"knn","k":3,"l2":1.0,"scoring":"held-out","states":"epoch-end"}},"seeds":[0,1],"pack_size":2}');
INSERT INTO "shard_specs" VALUES(3,'{"study":"waiting","shard":"a744418dccd36cf9","data":"joints","condition":"clap/wave","model":"lstm","settings":{"numbers_version":2,"data_sha256":"1ee32aa30bebbb578d756247360d3d787b1548e4e1c5d69d9ccf554aea2860fc","condition":{"classes":["clap","wave"],"labels":"true","features":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15],"pad_to":10},"model":{"kind":"lstm","hidden":4,"layers":1,"heads":1,"dropout":0.0},"training":{"epochs":2,"batch_size":16,"learning_rate":0.001,"optimizer":"adam","beta1":0.9,"beta2":0.999,"epsilon":1e-8,"test_fraction":0.2,"validation_fraction":0.2,"split":"stratified","oversample":"training","class_weights":"none","shuffle":"condition","evaluation":"running","read_out":"own-last-step"},"probe":{"kind":"knn","k":3,"l2":1.0,"scoring":"held-out","states":"epoch-end"}},"seeds":[2],"pack_size":2}');
CREATE TABLE shards (
  id INTEGER PRIMARY KEY,
  study_id INTEGER NOT NULL REFERENCES studies(id),
  -- its place in the plan, from 0
  place INTEGER NOT NULL,
  key TEXT NOT NULL UNIQUE,
  data TEXT NOT NULL,
  condition TEXT NOT NULL,
  labels TEXT NOT NULL,
  model TEXT NOT NULL,
  -- pending, leased or closed
  state TEXT NOT NULL,
  -- of the last lease; never falls
  fence INTEGER NOT NULL DEFAULT 0,
  -- who holds it; empty unless leased
  worker TEXT NOT NULL DEFAULT '',
  deadline_ms INTEGER NOT NULL DEFAULT 0,
  -- not leased before this time
  not_before_ms INTEGER NOT NULL DEFAULT 0,
  -- infrastructure failures since something was committed last
  setbacks INTEGER NOT NULL DEFAULT 0,
  -- how many of its runs are pending
  open INTEGER NOT NULL,
  UNIQUE (study_id, place)
);
INSERT INTO "shards" VALUES(1,1,0,'41a2bfaa6eb4b2ce','joints','clap/wave','true','lstm','closed',1,'',0,0,0,0);
INSERT INTO "shards" VALUES(2,2,0,'765f794b36b54c86','joints','clap/wave','true','lstm','closed',0,'',0,0,0,0);
INSERT INTO "shards" VALUES(3,2,1,'a744418dccd36cf9','joints','clap/wave','true','lstm','closed',0,'',0,0,0,0);
CREATE TABLE studies (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  hash TEXT NOT NULL,
  -- active, finished, cancelled or stopped
  state TEXT NOT NULL,
  stop_reason TEXT NOT NULL DEFAULT '',
  -- studies of higher priority are leased first
  priority INTEGER NOT NULL DEFAULT 0,
  epochs_per_run INTEGER NOT NULL,
  -- counters of its runs, kept up in the transactions that change the runs
  planned INTEGER NOT NULL DEFAULT 0,
  done INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  cancelled INTEGER NOT NULL DEFAULT 0,
  submitted_ms INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL DEFAULT 0,
  -- counts the changes that a manifest shows; the manifest in the store is current where both are equal
  changes INTEGER NOT NULL DEFAULT 0,
  manifest_changes INTEGER NOT NULL DEFAULT 0,
  manifest_runs INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "studies" VALUES(1,'finished','1d7a62a8e948cbc80c22979e34d865de31f86469a3d22c6a2b98888de187d79c','finished','',0,2,2,2,0,0,1795576209080,1795576209099,1,1,2);
INSERT INTO "studies" VALUES(2,'waiting','f1f89a555b59b46247c184d084885c8b8588bb7168f77e82436ddb8562d750ea','cancelled','',0,2,3,2,0,1,1795576211093,1795576211111,2,2,2);
CREATE TABLE study_files (
  study_id INTEGER PRIMARY KEY REFERENCES studies(id),
  toml TEXT NOT NULL
);
INSERT INTO "study_files" VALUES(1,'name = "finished"
description = ""
preset = "sound"
seeds = [0, 1]
shard_size = 2
pack_size = 2

[[data]]
name = "joints"
format = "generated"
missing = "interpolate"
sha256 = "1ee32aa30bebbb578d756247360d3d787b1548e4e1c5d69d9ccf554aea2860fc"
steps_min = 10
steps_max = 10
feature_names = ["head_x", "head_y", "hip_x", "hip_y", "right_shoulder_x", "right_shoulder_y", "right_elbow_x", "right_elbow_y", "right_wrist_x", "right_wrist_y", "left_shoulder_x", "left_shoulder_y", "left_elbow_x", "left_elbow_y", "left_wrist_x", "left_wrist_y"]

[data.generate]
items_per_class = 12
steps = 10
noise = 0.15
seed = 1

[[data.classes]]
name = "raise"
count = 12

[[data.classes]]
name = "wave"
count = 12

[[data.classes]]
name = "circle"
count = 12

[[data.classes]]
name = "point"
count = 12

[[data.classes]]
name = "push"
count = 12

[[data.classes]]
name = "clap"
count = 12

[[conditions]]
name = ""
data = "joints"
classes = [["clap", "wave"]]
labels = ["true"]
features = ["head_x", "head_y", "hip_x", "hip_y", "right_shoulder_x", "right_shoulder_y", "right_elbow_x", "right_elbow_y", "right_wrist_x", "right_wrist_y", "left_shoulder_x", "left_shoulder_y", "left_elbow_x", "left_elbow_y", "left_wrist_x", "left_wrist_y"]
pad_to = 10

[[models]]
name = "lstm"
kind = "lstm"
hidden = 4
layers = 1
heads = 0
dropout = 0.0

[training]
epochs = 2
batch_size = 16
learning_rate = 0.001
optimizer = "adam"
beta1 = 0.9
beta2 = 0.999
epsilon = 0.00000001
test_fraction = 0.2
validation_fraction = 0.2
split = "stratified"
oversample = "training"
class_weights = "none"
shuffle = "condition"
evaluation = "running"
read_out = "own-last-step"

[probe]
kind = "knn"
k = 3
l2 = 1.0
scoring = "held-out"
states = "epoch-end"
');
INSERT INTO "study_files" VALUES(2,'name = "waiting"
description = ""
preset = "sound"
seeds = [0, 1, 2]
shard_size = 2
pack_size = 2

[[data]]
name = "joints"
format = "generated"
missing = "interpolate"
sha256 = "1ee32aa30bebbb578d756247360d3d787b1548e4e1c5d69d9ccf554aea2860fc"
steps_min = 10
steps_max = 10
feature_names = ["head_x", "head_y", "hip_x", "hip_y", "right_shoulder_x", "right_shoulder_y", "right_elbow_x", "right_elbow_y", "right_wrist_x", "right_wrist_y", "left_shoulder_x", "left_shoulder_y", "left_elbow_x", "left_elbow_y", "left_wrist_x", "left_wrist_y"]

[data.generate]
items_per_class = 12
steps = 10
noise = 0.15
seed = 1

[[data.classes]]
name = "raise"
count = 12

[[data.classes]]
name = "wave"
count = 12

[[data.classes]]
name = "circle"
count = 12

[[data.classes]]
name = "point"
count = 12

[[data.classes]]
name = "push"
count = 12

[[data.classes]]
name = "clap"
count = 12

[[conditions]]
name = ""
data = "joints"
classes = [["clap", "wave"]]
labels = ["true"]
features = ["head_x", "head_y", "hip_x", "hip_y", "right_shoulder_x", "right_shoulder_y", "right_elbow_x", "right_elbow_y", "right_wrist_x", "right_wrist_y", "left_shoulder_x", "left_shoulder_y", "left_elbow_x", "left_elbow_y", "left_wrist_x", "left_wrist_y"]
pad_to = 10

[[models]]
name = "lstm"
kind = "lstm"
hidden = 4
layers = 1
heads = 0
dropout = 0.0

[training]
epochs = 2
batch_size = 16
learning_rate = 0.001
optimizer = "adam"
beta1 = 0.9
beta2 = 0.999
epsilon = 0.00000001
test_fraction = 0.2
validation_fraction = 0.2
split = "stratified"
oversample = "training"
class_weights = "none"
shuffle = "condition"
evaluation = "running"
read_out = "own-last-step"

[probe]
kind = "knn"
k = 3
l2 = 1.0
scoring = "held-out"
states = "epoch-end"
');
CREATE TABLE workers (
  name TEXT PRIMARY KEY,
  slots INTEGER NOT NULL,
  backend TEXT NOT NULL,
  version TEXT NOT NULL,
  last_seen_ms INTEGER NOT NULL
);
INSERT INTO "workers" VALUES('here-1',1,'cpu/avx512','0.1.0',1795576209105);
INSERT INTO "workers" VALUES('here-2',1,'cpu/avx512','0.1.0',1795576209082);
CREATE INDEX studies_active ON studies(priority, id) WHERE state = 'active';
CREATE INDEX shards_waiting ON shards(study_id, place) WHERE state = 'pending';
CREATE INDEX shards_deadline ON shards(deadline_ms) WHERE state = 'leased';
CREATE INDEX shards_leased ON shards(study_id) WHERE state = 'leased';
CREATE INDEX shards_held ON shards(worker) WHERE state = 'leased';
CREATE INDEX runs_key ON runs(key);
CREATE INDEX attempts_shard ON attempts(shard_id, place);
COMMIT;
PRAGMA application_id = 1667656820;
PRAGMA user_version = 1;
