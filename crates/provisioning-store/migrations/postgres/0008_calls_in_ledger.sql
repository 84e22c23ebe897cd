-- A report that is proved by the ledger asks for the movements of its calls.
CREATE INDEX transfers_of_call ON transfers (call_id) WHERE call_id IS NOT NULL;
