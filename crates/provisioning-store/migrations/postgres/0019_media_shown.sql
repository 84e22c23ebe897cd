-- How a registered PBX has shown that it protects its media; 'auto' where it has shown nothing yet.
ALTER TABLE registrations ADD COLUMN media TEXT COLLATE "C" NOT NULL DEFAULT 'auto'
    CHECK (media IN ('auto', 'off', 'optional', 'required'));
