-- Credit and minutes are kept on hand.
INSERT INTO holds (owner, profile_id, bundle_period, bundle_held_s, credit_held_micros)
VALUES ('gateway', 1, 1, 600, 1000000);
UPDATE accounts SET reserved = 1000000 WHERE name = 'profile:1';
UPDATE accounts SET reserved = 600 WHERE name = 'bundle:1:1';
