-- One row a person. Names are kept in NFC and ordered by their bytes, which is SQLite's own order of texts.
CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    email TEXT CHECK (length(email) BETWEEN 1 AND 254),
    -- month * 100 + day: 29 February is 229. Null where no birthday was saved.
    month_day INTEGER CHECK (month_day BETWEEN 101 AND 1231),
    -- The year of birth. Null where it is not known.
    year INTEGER CHECK (year BETWEEN 1 AND 9999),
    CHECK (year IS NULL OR month_day IS NOT NULL)
) STRICT, WITHOUT ROWID;

-- Coming birthdays, soonest first, ties by name.
CREATE INDEX users_by_month_day ON users (month_day, name) WHERE month_day IS NOT NULL;
