-- One row a person. Names are kept in NFC and ordered by their bytes, whatever the database's collation.
CREATE TABLE users (
    name text COLLATE "C" PRIMARY KEY CHECK (char_length(name) BETWEEN 1 AND 64),
    email text CHECK (char_length(email) BETWEEN 1 AND 254),
    -- month * 100 + day: 29 February is 229. Null where no birthday was saved.
    month_day smallint CHECK (month_day BETWEEN 101 AND 1231),
    -- The year of birth. Null where it is not known.
    year smallint CHECK (year BETWEEN 1 AND 9999),
    CHECK (year IS NULL OR month_day IS NOT NULL)
);

-- Coming birthdays, soonest first, ties by name.
CREATE INDEX users_by_month_day ON users (month_day, name) WHERE month_day IS NOT NULL;
