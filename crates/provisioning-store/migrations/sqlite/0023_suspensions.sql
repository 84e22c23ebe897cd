-- Since when, and why, a company or a profile makes and takes no calls.
ALTER TABLE companies ADD COLUMN suspended_at INTEGER;
ALTER TABLE companies ADD COLUMN suspended_for TEXT;
ALTER TABLE profiles ADD COLUMN suspended_at INTEGER;
ALTER TABLE profiles ADD COLUMN suspended_for TEXT;
