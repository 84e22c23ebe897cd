-- Whether an address proves its profile by itself, or waits until an operator confirms it. What there is keeps its effect.
ALTER TABLE ip_rules ADD COLUMN state TEXT NOT NULL DEFAULT 'confirmed' CHECK (state IN ('pending', 'confirmed'));

-- Where profiles have proved their passwords within the last month: such an address is not somebody else's by a claim alone.
CREATE TABLE proofs (
    profile_id INTEGER NOT NULL,
    address    TEXT    NOT NULL,
    transport  TEXT    NOT NULL,
    proved_at  INTEGER NOT NULL,
    PRIMARY KEY (profile_id, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX proofs_by_time ON proofs (proved_at);
