-- What a gateway keeps on hand of a profile's credit and bundle, for calls that begin while the database does not
-- answer. Reserved in the accounts like what live calls hold.
CREATE TABLE holds (
    owner              TEXT COLLATE "C" NOT NULL,
    profile_id         BIGINT NOT NULL,
    bundle_period      BIGINT NOT NULL,
    bundle_held_s      BIGINT NOT NULL CHECK (bundle_held_s >= 0),
    credit_held_micros BIGINT NOT NULL CHECK (credit_held_micros >= 0),
    PRIMARY KEY (owner, profile_id)
);
