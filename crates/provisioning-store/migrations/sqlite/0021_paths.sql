-- The proxies between a PBX and the gateway, as the Path of its REGISTER names them, one a line; none for most.
ALTER TABLE registrations ADD COLUMN path TEXT NOT NULL DEFAULT '';
