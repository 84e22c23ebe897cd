-- A profile's own limits as JSON, because each may be inherited, lifted or set; {} inherits them all.
ALTER TABLE subscribers ADD COLUMN spend_guard TEXT COLLATE "C" NOT NULL DEFAULT '{}';

-- What a profile was charged in its latest hour and day. Windows are counted from 1970, in UTC.
CREATE TABLE spending (
    profile_id           BIGINT NOT NULL PRIMARY KEY,
    hour                 BIGINT NOT NULL,
    hour_spent_micros    BIGINT NOT NULL CHECK (hour_spent_micros >= 0),
    hour_forgiven_micros BIGINT NOT NULL CHECK (hour_forgiven_micros >= 0),
    is_hour_warned       BIGINT NOT NULL CHECK (is_hour_warned IN (0, 1)),
    day                  BIGINT NOT NULL,
    day_spent_micros     BIGINT NOT NULL CHECK (day_spent_micros >= 0),
    day_forgiven_micros  BIGINT NOT NULL CHECK (day_forgiven_micros >= 0),
    is_day_warned        BIGINT NOT NULL CHECK (is_day_warned IN (0, 1))
);
