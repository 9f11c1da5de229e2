-- Who may use the coordinators of this ledger. Of a token's secret there is its SHA-256 alone.
CREATE TABLE tokens (
  id TEXT COLLATE "C" PRIMARY KEY,
  name TEXT COLLATE "C" NOT NULL,
  -- admin, submit, worker or read
  role TEXT COLLATE "C" NOT NULL,
  sha256 TEXT COLLATE "C" NOT NULL,
  created_ms BIGINT NOT NULL,
  -- opens nothing from then on; 0 means never
  expires_ms BIGINT NOT NULL,
  revoked_ms BIGINT NOT NULL DEFAULT 0
);
