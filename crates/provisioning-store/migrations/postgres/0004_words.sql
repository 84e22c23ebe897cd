-- One vocabulary: digits is 12026843376, e164 is +12026843376. Either column had called the first e164.
UPDATE profiles SET presentation = CASE presentation
    WHEN 'e164' THEN 'digits' WHEN 'plus_e164' THEN 'e164' ELSE presentation END;
UPDATE carriers SET number_format = CASE number_format
    WHEN 'e164' THEN 'digits' WHEN 'plus_e164' THEN 'e164' ELSE number_format END;

-- The country in whose national form a carrier writes numbers; none where it writes them in full.
ALTER TABLE carriers ADD COLUMN country TEXT COLLATE "C";
