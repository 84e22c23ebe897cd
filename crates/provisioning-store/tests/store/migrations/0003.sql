-- A cap of its own, and what was spent.
UPDATE subscribers SET spend_guard = '{"day_cap_micros":{"set":5000000}}' WHERE profile_id = 1;
INSERT INTO spending (profile_id, hour, hour_spent_micros, hour_forgiven_micros, is_hour_warned, day,
    day_spent_micros, day_forgiven_micros, is_day_warned)
VALUES (1, 363336, 40000, 0, 0, 15139, 40000, 0, 0);
