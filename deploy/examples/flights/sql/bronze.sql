-- All declared columns, and where each record came from.
SELECT * EXCLUDE (key, headers, value) FROM topic('raw.flights')
