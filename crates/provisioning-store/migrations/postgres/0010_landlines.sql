-- Who has made sure that a landline number is the company's own, and when: only such ones are shown. What verified
-- companies have stored until now is taken as it was, unless it is hosted here or another company has stored it too.
ALTER TABLE landlines ADD COLUMN verified_by TEXT;
ALTER TABLE landlines ADD COLUMN verified_at BIGINT;
UPDATE landlines SET
    verified_by = (SELECT COALESCE(c.verified_by, 'with the company') FROM companies c WHERE c.id = landlines.company_id),
    verified_at = (SELECT COALESCE(c.verified_at, 0) FROM companies c WHERE c.id = landlines.company_id)
WHERE company_id IN (SELECT id FROM companies WHERE is_verified = 1)
    AND number NOT IN (SELECT number FROM online_numbers)
    AND number NOT IN (SELECT number FROM landlines GROUP BY number HAVING COUNT(*) > 1);

-- A number that moves or goes is shown by nobody it was taken from.
CREATE INDEX caller_ids_by_number ON caller_ids (number);
