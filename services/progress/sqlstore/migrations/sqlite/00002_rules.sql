-- +goose Up
-- min_binary: 2
-- The IANA zone that the learner's days are told by; '' is UTC.
ALTER TABLE learner_head ADD COLUMN time_zone TEXT NOT NULL DEFAULT '';

ALTER TABLE award ADD COLUMN revoke_at BIGINT;
ALTER TABLE award ADD COLUMN revoke_reason TEXT;

-- Profile's revision that learners' time zones are known up to.
CREATE TABLE zone_head (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  revision BIGINT NOT NULL
);
INSERT INTO zone_head (id, revision) VALUES (1, 0);

-- A log entry's body is now all that it did beside the facts; it was the enrollment alone.
UPDATE learner_log SET body = '{"enrollments":[' || body || ']}' WHERE body IS NOT NULL;
