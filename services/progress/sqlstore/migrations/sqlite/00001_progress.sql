-- +goose Up
-- Times are microseconds since 1970, UTC. Everything of a learner is keyed by the learner first.
CREATE TABLE instance (
  id          INTEGER PRIMARY KEY CHECK (id = 1),
  incarnation TEXT NOT NULL
);

CREATE TABLE learner_head (
  learner_id TEXT PRIMARY KEY,
  sequence   BIGINT NOT NULL,
  version    BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE learner_log (
  learner_id     TEXT NOT NULL,
  sequence       BIGINT NOT NULL,
  record_type    TEXT NOT NULL,
  event_id       TEXT,
  payload_hash   BLOB,
  module_id      TEXT,
  module_version INTEGER,
  unit_id        TEXT,
  verb           TEXT,
  score          DOUBLE PRECISION,
  progress       DOUBLE PRECISION,
  occurred_at    BIGINT,
  received_at    BIGINT NOT NULL,
  effective_at   BIGINT NOT NULL,
  adjusted       BOOLEAN NOT NULL,
  device_id      TEXT,
  actor_id       TEXT NOT NULL,
  reason         TEXT,
  voids_event_id TEXT,
  body           TEXT,
  PRIMARY KEY (learner_id, sequence)
) WITHOUT ROWID;
CREATE UNIQUE INDEX learner_log_event ON learner_log (learner_id, event_id);
CREATE UNIQUE INDEX learner_log_void ON learner_log (learner_id, voids_event_id) WHERE voids_event_id IS NOT NULL;

CREATE TABLE module_facts (
  learner_id       TEXT NOT NULL,
  module_id        TEXT NOT NULL,
  first_at         BIGINT,
  version          INTEGER,
  cycle            INTEGER NOT NULL,
  complete_at      BIGINT,
  complete_version INTEGER,
  expire_at        BIGINT,
  state            TEXT NOT NULL,
  PRIMARY KEY (learner_id, module_id)
) WITHOUT ROWID;
CREATE INDEX module_facts_module ON module_facts (module_id, learner_id);

CREATE TABLE enrollment (
  learner_id            TEXT NOT NULL,
  enrollment_id         TEXT NOT NULL,
  path_id               TEXT NOT NULL,
  path_version          INTEGER NOT NULL,
  state                 TEXT NOT NULL,
  enroll_at             BIGINT NOT NULL,
  update_at             BIGINT NOT NULL,
  previous_percent      INTEGER,
  percent_change_reason TEXT,
  PRIMARY KEY (learner_id, enrollment_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX enrollment_one_per_path ON enrollment (learner_id, path_id) WHERE state <> 'WITHDRAWN';
CREATE INDEX enrollment_path ON enrollment (path_id, path_version, learner_id);

CREATE TABLE award (
  learner_id    TEXT NOT NULL,
  award_id      TEXT NOT NULL,
  path_id       TEXT NOT NULL,
  path_version  INTEGER NOT NULL,
  milestone_id  TEXT NOT NULL,
  title         TEXT NOT NULL,
  award_at      BIGINT NOT NULL,
  from_sequence BIGINT NOT NULL,
  to_sequence   BIGINT NOT NULL,
  completions   TEXT NOT NULL,
  rule          TEXT NOT NULL,
  PRIMARY KEY (learner_id, award_id)
) WITHOUT ROWID;

CREATE TABLE catalog_head (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  revision BIGINT NOT NULL
);
INSERT INTO catalog_head (id, revision) VALUES (1, 0);

CREATE TABLE catalog_entity (
  kind TEXT NOT NULL,
  id   TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (kind, id)
) WITHOUT ROWID;

CREATE TABLE sweep (
  id          INTEGER PRIMARY KEY CHECK (id = 1),
  revision    BIGINT NOT NULL,
  at          BIGINT NOT NULL,
  to_revision BIGINT NOT NULL,
  to_at       BIGINT NOT NULL,
  cursor_id   TEXT NOT NULL,
  owner       TEXT NOT NULL,
  lease_until BIGINT NOT NULL
);
INSERT INTO sweep (id, revision, at, to_revision, to_at, cursor_id, owner, lease_until) VALUES (1, 0, 0, 0, 0, '', '', 0);

CREATE TABLE subject_link (
  issuer     TEXT NOT NULL,
  subject    TEXT NOT NULL,
  learner_id TEXT NOT NULL,
  time_zone  TEXT NOT NULL,
  PRIMARY KEY (issuer, subject)
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
  caller       TEXT NOT NULL,
  method       TEXT NOT NULL,
  idem_key     TEXT NOT NULL,
  request_hash BLOB NOT NULL,
  response     BLOB NOT NULL,
  create_time  BIGINT NOT NULL,
  PRIMARY KEY (caller, method, idem_key)
);
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (create_time);
