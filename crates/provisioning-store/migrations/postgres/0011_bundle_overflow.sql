-- Whose credit a live call draws on where its bundle does not pay.
ALTER TABLE reservations ADD COLUMN payer TEXT NOT NULL DEFAULT 'profile' CHECK (payer IN ('profile', 'company'));
