-- Where curves come from: the programs and machines that trained, each once.
CREATE TABLE origins (
  id INTEGER PRIMARY KEY,
  -- SHA-256 over the columns below
  key TEXT NOT NULL UNIQUE,
  study_sha256 TEXT NOT NULL,
  data_sha256 TEXT NOT NULL,
  version TEXT NOT NULL,
  git_commit TEXT NOT NULL,
  backend TEXT NOT NULL,
  device TEXT NOT NULL,
  cpu_features TEXT NOT NULL
);

-- How the runs of a part were trained; parts that older programs committed have no row.
CREATE TABLE part_origins (
  part_id INTEGER PRIMARY KEY REFERENCES parts(id),
  origin_id INTEGER NOT NULL REFERENCES origins(id),
  -- JSON: of each run its id, beginning and end (milliseconds since 1970 by its worker's clock), and the epoch of the checkpoint that
  -- it went on from, or 0
  trained TEXT NOT NULL
);
