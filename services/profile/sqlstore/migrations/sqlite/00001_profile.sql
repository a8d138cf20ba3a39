-- +goose Up
-- format: 6
-- min_binary: 1

CREATE TABLE learners (
    -- A UUIDv7: its order is the order in which learners were made.
    id             TEXT    NOT NULL PRIMARY KEY,
    display_name   TEXT    NOT NULL,
    email          TEXT    NOT NULL,
    locale         TEXT    NOT NULL,
    time_zone      TEXT    NOT NULL,
    -- When the time zone was set, by an edit or when the learner was made.
    time_zone_time BIGINT  NOT NULL,
    background     TEXT    NOT NULL,
    target_role    TEXT    NOT NULL,
    goal_minutes   INTEGER NOT NULL,
    goal_units     INTEGER NOT NULL,
    state          TEXT    NOT NULL,
    -- A JSON object of texts.
    attributes     TEXT    NOT NULL,
    -- Display name, email and the values of attributes, folded, one a line.
    search_text    TEXT    NOT NULL,
    -- The beginning of the display name, folded.
    name_key       TEXT    NOT NULL,
    version        BIGINT  NOT NULL,
    create_time    BIGINT  NOT NULL,
    update_time    BIGINT  NOT NULL,
    -- Set once the identity was erased; the row stays, for the id must not come back.
    erase_time     BIGINT,
    -- The newest revision of the feed that is about the learner.
    revision       BIGINT  NOT NULL DEFAULT 0
);

-- What lists are ordered by, beside the id.
CREATE INDEX learners_name ON learners (name_key, id);
CREATE INDEX learners_create_time ON learners (create_time, id);

-- One row; a transaction that announces a change, or rests on the rules of cohorts, holds it until its end.
CREATE TABLE feed_head (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    revision BIGINT  NOT NULL,
    -- Rises with each change of the rules.
    rules    BIGINT  NOT NULL
);

INSERT INTO feed_head (id, revision, rules) VALUES (1, 0, 0);

-- What happened, as far as other services depend on it: to a learner, a cohort, or a learner in a cohort.
CREATE TABLE feed_changes (
    revision    BIGINT NOT NULL PRIMARY KEY,
    change_time BIGINT NOT NULL,
    learner_id  TEXT   NOT NULL,
    cohort_id   TEXT   NOT NULL,
    -- How it was after the change, as JSON.
    body        TEXT   NOT NULL
) WITHOUT ROWID;

CREATE TABLE learner_subjects (
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    learner_id TEXT    NOT NULL REFERENCES learners (id),
    -- Where it stands in the learner's list.
    position   INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) WITHOUT ROWID;

CREATE INDEX learner_subjects_learner ON learner_subjects (learner_id, position);

CREATE TABLE cohorts (
    id           TEXT NOT NULL PRIMARY KEY,
    title        TEXT    NOT NULL,
    -- The title, folded.
    search_text  TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    rule         TEXT    NOT NULL,
    -- Which of the rules that the cohort has had this is, from 1; 0: it has none.
    rule_version BIGINT  NOT NULL,
    -- Whether the rule has learners to look at yet, and the last that it has looked at.
    evaluating   BOOLEAN NOT NULL,
    evaluated    TEXT    NOT NULL,
    version      BIGINT  NOT NULL,
    create_time  BIGINT  NOT NULL,
    update_time  BIGINT  NOT NULL,
    -- Set once it was deleted: all memberships end then.
    delete_time  BIGINT
) WITHOUT ROWID;

CREATE INDEX cohorts_evaluating ON cohorts (id) WHERE evaluating;

CREATE TABLE cohort_managers (
    cohort_id  TEXT NOT NULL REFERENCES cohorts (id),
    learner_id TEXT NOT NULL REFERENCES learners (id),
    -- Where it stands in the cohort's list.
    position   INTEGER NOT NULL,
    PRIMARY KEY (cohort_id, learner_id)
) WITHOUT ROWID;

CREATE INDEX cohort_managers_learner ON cohort_managers (learner_id);

-- The times of membership, each of a learner in a cohort numbered from 1.
CREATE TABLE cohort_spans (
    cohort_id    TEXT NOT NULL REFERENCES cohorts (id),
    learner_id   TEXT NOT NULL REFERENCES learners (id),
    number       INTEGER NOT NULL,
    join_time    BIGINT  NOT NULL,
    -- Since when periods after joining count.
    count_time   BIGINT  NOT NULL,
    join_reason  TEXT    NOT NULL,
    leave_time   BIGINT,
    leave_reason TEXT    NOT NULL,
    PRIMARY KEY (cohort_id, learner_id, number)
) WITHOUT ROWID;

CREATE INDEX cohort_spans_learner ON cohort_spans (learner_id);
CREATE INDEX cohort_spans_members ON cohort_spans (cohort_id, learner_id) WHERE leave_time IS NULL;

-- The learners for whom the rule of a cohort cannot be evaluated, and why.
CREATE TABLE cohort_rule_errors (
    cohort_id  TEXT NOT NULL REFERENCES cohorts (id),
    learner_id TEXT NOT NULL REFERENCES learners (id),
    error      TEXT    NOT NULL,
    PRIMARY KEY (cohort_id, learner_id)
) WITHOUT ROWID;

CREATE INDEX cohort_rule_errors_learner ON cohort_rule_errors (learner_id);

-- Jobs that one process at a time works on (internal/lease): their owner, until when, and how far they
-- are, as JSON.
CREATE TABLE lease (
    job         TEXT   NOT NULL PRIMARY KEY,
    owner       TEXT   NOT NULL,
    lease_until BIGINT NOT NULL,
    state       TEXT   NOT NULL
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    caller       TEXT   NOT NULL,
    method       TEXT   NOT NULL,
    idem_key     TEXT   NOT NULL,
    request_hash BLOB   NOT NULL,
    response     BLOB   NOT NULL,
    create_time  BIGINT NOT NULL,
    PRIMARY KEY (caller, method, idem_key)
);

CREATE INDEX idempotency_keys_create_time ON idempotency_keys (create_time);

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
