-- +goose Up
-- format: 5
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
    -- Display name and email, folded, one a line.
    search_text    TEXT    NOT NULL,
    -- The beginning of the display name, folded.
    name_key       TEXT    NOT NULL,
    version        BIGINT  NOT NULL,
    create_time    BIGINT  NOT NULL,
    update_time    BIGINT  NOT NULL,
    -- Set once the identity was erased; the row stays, for the id must not come back.
    erase_time     BIGINT,
    -- The learner's newest place in the feed; 0: the feed has nothing to report of them.
    revision       BIGINT  NOT NULL DEFAULT 0
);

-- What lists are ordered by, beside the id.
CREATE INDEX learners_name ON learners (name_key, id);
CREATE INDEX learners_create_time ON learners (create_time, id);

CREATE UNIQUE INDEX learners_revision ON learners (revision) WHERE revision > 0;

-- One row; a transaction that changes what the feed reports of a learner holds it until its end.
CREATE TABLE feed_head (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    revision BIGINT  NOT NULL
);

INSERT INTO feed_head (id, revision) VALUES (1, 0);

CREATE TABLE learner_subjects (
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    learner_id TEXT    NOT NULL REFERENCES learners (id),
    -- Where it stands in the learner's list.
    position   INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) WITHOUT ROWID;

CREATE INDEX learner_subjects_learner ON learner_subjects (learner_id, position);

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
