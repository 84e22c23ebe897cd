-- What a gateway keeps on hand of a profile's credit and bundle, for calls that begin while the database does not
-- answer. Reserved in the accounts like what live calls hold.
CREATE TABLE holds (
    owner              TEXT    NOT NULL,
    profile_id         INTEGER NOT NULL,
    bundle_period      INTEGER NOT NULL,
    bundle_held_s      INTEGER NOT NULL CHECK (bundle_held_s >= 0),
    credit_held_micros INTEGER NOT NULL CHECK (credit_held_micros >= 0),
    PRIMARY KEY (owner, profile_id)
) STRICT, WITHOUT ROWID;
