\set user random(0, 99999)
\set month_day random(1, 12) * 100 + random(1, 28)
\set year random(1900, 2019)
INSERT INTO users (name, month_day, year)
VALUES (chr(97 + :user % 26) || chr(97 + :user / 26 % 26) || chr(97 + :user / 676 % 26) || chr(97 + :user / 17576 % 26) || 'aaa', :month_day, :year)
ON CONFLICT (name) DO UPDATE SET month_day = excluded.month_day, year = excluded.year
WHERE users.month_day IS DISTINCT FROM excluded.month_day OR users.year IS DISTINCT FROM excluded.year
RETURNING name;
