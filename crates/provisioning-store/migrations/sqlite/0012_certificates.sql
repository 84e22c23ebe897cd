-- The name that the client certificate of a TLS connection must bear for the rule to match.
ALTER TABLE ip_rules ADD COLUMN certificate TEXT;
