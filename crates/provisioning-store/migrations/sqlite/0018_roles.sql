-- What a token allows, by its role: until now an operator's had no company and an administrator's had one. A row without a
-- role would be an administrator's, and without a company that is nobody's.
ALTER TABLE tokens ADD COLUMN role TEXT NOT NULL DEFAULT 'administrator'
    CHECK (role IN ('operator', 'operator_read_only', 'administrator', 'administrator_read_only', 'billing'));
UPDATE tokens SET role = 'operator' WHERE company_id IS NULL;
