-- What the record of a running call will say, as far as it was known when it was answered (JSON): a crash leaves it no other
-- way to be known.
ALTER TABLE reservations ADD COLUMN known TEXT;
