-- Whether an address proves its profile by itself, or waits until an operator confirms it. What there is keeps its effect.
ALTER TABLE ip_rules ADD COLUMN state TEXT COLLATE "C" NOT NULL DEFAULT 'confirmed' CHECK (state IN ('pending', 'confirmed'));

-- Where profiles have proved their passwords within the last month: such an address is not somebody else's by a claim alone.
CREATE TABLE proofs (
    profile_id BIGINT NOT NULL,
    address    TEXT COLLATE "C" NOT NULL,
    transport  TEXT COLLATE "C" NOT NULL,
    proved_at  BIGINT NOT NULL,
    PRIMARY KEY (profile_id, address)
);
CREATE INDEX proofs_by_time ON proofs (proved_at);
