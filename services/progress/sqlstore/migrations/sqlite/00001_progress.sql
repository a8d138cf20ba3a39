-- +goose Up
-- format: 13
-- min_binary: 1
-- Times are microseconds since 1970, UTC. Everything of a learner is keyed by the learner first. Ids of learners,
-- events, enrollments and awards are the 16 bytes of a UUID.
CREATE TABLE instance (
  id          INTEGER PRIMARY KEY CHECK (id = 1),
  incarnation TEXT NOT NULL,
  -- The server, the database and the line of history that the incarnation is of; '' until it was used.
  origin      TEXT NOT NULL DEFAULT ''
);

CREATE TABLE learner_head (
  learner_id BLOB PRIMARY KEY,
  sequence   BIGINT NOT NULL,
  version    BIGINT NOT NULL,
  -- Whether profile, or the learner's token, told of them.
  known      BOOLEAN NOT NULL DEFAULT FALSE,
  -- The IANA zone that the learner is in since zone_since; '' is UTC. 0 is always.
  time_zone  TEXT NOT NULL DEFAULT '',
  zone_since BIGINT NOT NULL DEFAULT 0,
  -- The rules that all that is stored of the learner was last brought to.
  rules      INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- The zones that the learner was in, each until the next; the first one is since 0. The last one is the head's.
CREATE TABLE learner_zone (
  learner_id BLOB NOT NULL,
  since      BIGINT NOT NULL,
  time_zone  TEXT NOT NULL,
  PRIMARY KEY (learner_id, since)
) WITHOUT ROWID;

CREATE TABLE learner_log (
  learner_id     BLOB NOT NULL,
  sequence       BIGINT NOT NULL,
  received_at    BIGINT NOT NULL,
  -- NULL where the record is no event.
  event_id       BLOB,
  module_id      TEXT,
  voids_event_id BLOB,
  -- All that no statement asks for, in the form of progress.AppendEntry.
  entry          BLOB NOT NULL,
  PRIMARY KEY (learner_id, sequence)
) WITHOUT ROWID;
CREATE UNIQUE INDEX learner_log_event ON learner_log (learner_id, event_id);
CREATE UNIQUE INDEX learner_log_void ON learner_log (learner_id, voids_event_id) WHERE voids_event_id IS NOT NULL;

CREATE TABLE module_facts (
  learner_id       BLOB NOT NULL,
  module_id        TEXT NOT NULL,
  -- In the form of progress.AppendFacts.
  state            BLOB NOT NULL,
  -- Facts in short, by which previews count without reading them (progress.Summary). A fold_key of '' is
  -- of facts without one.
  fold_key         TEXT NOT NULL DEFAULT '',
  materials        INTEGER NOT NULL DEFAULT 0,
  cycle_state      TEXT NOT NULL DEFAULT '',
  complete_version INTEGER,
  -- What is done in the current cycle, as a hash: it changes when a unit is done, and not with every event.
  shape            BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (learner_id, module_id)
) WITHOUT ROWID;
-- The shape comes after the learner, so that the entry stays on its page when it changes.
CREATE INDEX module_facts_summary ON module_facts (module_id, fold_key, materials, cycle_state, complete_version, learner_id, shape);

CREATE TABLE enrollment (
  learner_id       BLOB NOT NULL,
  enrollment_id    BLOB NOT NULL,
  path_id          TEXT NOT NULL,
  path_version     INTEGER NOT NULL,
  state            TEXT NOT NULL,
  enroll_at        BIGINT NOT NULL,
  update_at        BIGINT NOT NULL,
  previous_percent INTEGER,
  -- Why the percent fell, as JSON (progress.PercentChange).
  percent_change   TEXT,
  PRIMARY KEY (learner_id, enrollment_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX enrollment_one_per_path ON enrollment (learner_id, path_id) WHERE state <> 'WITHDRAWN';
-- The list of a learner's enrollments, oldest first.
CREATE INDEX enrollment_listed ON enrollment (learner_id, enroll_at, enrollment_id);
CREATE INDEX enrollment_open ON enrollment (path_id, path_version, learner_id, state) WHERE state <> 'WITHDRAWN';

CREATE TABLE award (
  learner_id    BLOB NOT NULL,
  award_id      BLOB NOT NULL,
  number        INTEGER NOT NULL DEFAULT 1,
  path_id       TEXT NOT NULL,
  path_version  INTEGER NOT NULL,
  milestone_id  TEXT NOT NULL,
  title         TEXT NOT NULL,
  award_at      BIGINT NOT NULL,
  from_sequence BIGINT NOT NULL,
  to_sequence   BIGINT NOT NULL,
  completions   TEXT NOT NULL,
  rule          TEXT NOT NULL,
  revoke_at     BIGINT,
  revoke_reason TEXT,
  revocations   INTEGER NOT NULL DEFAULT 0,
  -- The sequence of the last revocation; 0: there was none.
  revoked_at    BIGINT NOT NULL DEFAULT 0,
  -- The rules that it was last judged by.
  rules         INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (learner_id, award_id)
) WITHOUT ROWID;
CREATE INDEX award_held ON award (path_id, milestone_id, revoke_at) WHERE revoke_at IS NULL;

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

-- Profile's revision that learners' time zones are known up to.
CREATE TABLE zone_head (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  revision BIGINT NOT NULL
);
INSERT INTO zone_head (id, revision) VALUES (1, 0);

-- What profile says of learners, cohorts and memberships: each change, by its revision, with when it happened and when
-- it was stored here. The newest one of each is how things are.
CREATE TABLE profile_person (
  learner_id  BLOB NOT NULL,
  revision    BIGINT NOT NULL,
  change_time BIGINT NOT NULL,
  stored_time BIGINT NOT NULL,
  suspended   BOOLEAN NOT NULL,
  -- A date; '' where it is not known.
  hire_date   TEXT NOT NULL,
  PRIMARY KEY (learner_id, revision)
) WITHOUT ROWID;

CREATE TABLE profile_membership (
  learner_id  BLOB NOT NULL,
  cohort_id   TEXT NOT NULL,
  revision    BIGINT NOT NULL,
  change_time BIGINT NOT NULL,
  stored_time BIGINT NOT NULL,
  member      BOOLEAN NOT NULL,
  -- Since when periods after joining count.
  join_time   BIGINT NOT NULL,
  PRIMARY KEY (learner_id, cohort_id, revision)
) WITHOUT ROWID;

CREATE TABLE profile_cohort (
  cohort_id   TEXT NOT NULL,
  revision    BIGINT NOT NULL,
  change_time BIGINT NOT NULL,
  stored_time BIGINT NOT NULL,
  title       TEXT NOT NULL,
  -- The ids of the learners who manage it, as a JSON array.
  managers    TEXT NOT NULL,
  -- From then on it has no members.
  deleted     BOOLEAN NOT NULL,
  PRIMARY KEY (cohort_id, revision)
) WITHOUT ROWID;

-- Jobs that one process at a time works on (internal/lease): their owner, until when, and how far they
-- are, as JSON.
CREATE TABLE lease (
  job         TEXT PRIMARY KEY,
  owner       TEXT NOT NULL,
  lease_until BIGINT NOT NULL,
  state       TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE subject_link (
  issuer     TEXT NOT NULL,
  subject    TEXT NOT NULL,
  learner_id BLOB NOT NULL,
  time_zone  TEXT NOT NULL,
  zone_since BIGINT NOT NULL,
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

-- Tickets for one watch of a learner's log each, that are not used: their SHA-256, never the tickets. The
-- caller is who got one, with the roles and the end of the token that it was got with.
CREATE TABLE watch_ticket (
  ticket_hash  BLOB PRIMARY KEY,
  learner_id   BLOB NOT NULL,
  issuer       TEXT NOT NULL,
  subject      TEXT NOT NULL,
  command      BOOLEAN NOT NULL,
  -- With a space between them.
  roles        TEXT NOT NULL,
  token_expire BIGINT NOT NULL,
  expire_time  BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX watch_ticket_of_learner ON watch_ticket (learner_id, expire_time);
CREATE INDEX watch_ticket_by_time ON watch_ticket (expire_time);

-- The audit chain. The head is one row; a transaction that appends holds it until its end, so that
-- entries number without gaps in the order of commits. It comes last, and is the same in all services.
CREATE TABLE audit_head (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    sequence BIGINT  NOT NULL,
    hash     TEXT    NOT NULL
);

INSERT INTO audit_head (id, sequence, hash) VALUES (1, 0, '');

-- Admin commands, each with the hash of the one before.
CREATE TABLE audit_entry (
    sequence      BIGINT NOT NULL PRIMARY KEY,
    entry_time    BIGINT NOT NULL,
    actor         TEXT   NOT NULL,
    action        TEXT   NOT NULL,
    resource      TEXT   NOT NULL,
    reason        TEXT   NOT NULL,
    previous_hash TEXT   NOT NULL,
    hash          TEXT   NOT NULL
);

-- The hashes show a change; these stop one made in error.
-- +goose StatementBegin
CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry
BEGIN
    SELECT RAISE(ABORT, 'an audit entry stays as it is');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry
BEGIN
    SELECT RAISE(ABORT, 'an audit entry stays as it is');
END;
-- +goose StatementEnd
