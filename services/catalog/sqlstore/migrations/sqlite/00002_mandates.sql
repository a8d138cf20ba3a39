-- +goose Up

-- From when an upgrade to the version is mandatory; NULL: it is not.
ALTER TABLE versions ADD COLUMN mandate_time BIGINT;
