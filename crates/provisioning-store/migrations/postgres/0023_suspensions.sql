-- Since when, and why, a company or a profile makes and takes no calls.
ALTER TABLE companies ADD COLUMN suspended_at BIGINT;
ALTER TABLE companies ADD COLUMN suspended_for TEXT COLLATE "C";
ALTER TABLE profiles ADD COLUMN suspended_at BIGINT;
ALTER TABLE profiles ADD COLUMN suspended_for TEXT COLLATE "C";
