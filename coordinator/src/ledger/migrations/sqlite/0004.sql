-- Who may use the coordinators of this ledger. Of a token's secret there is its SHA-256 alone.
CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  -- admin, submit, worker or read
  role TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  -- opens nothing from then on; 0 means never
  expires_ms INTEGER NOT NULL,
  revoked_ms INTEGER NOT NULL DEFAULT 0
);
