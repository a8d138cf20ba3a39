-- +goose Up
-- format: 6
-- min_binary: 1

CREATE TABLE learners (
    -- A UUIDv7: its order is the order in which learners were made.
    id             TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
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
    name_key       TEXT    COLLATE "C" NOT NULL,
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
    learner_id  TEXT COLLATE "C" NOT NULL,
    cohort_id   TEXT COLLATE "C" NOT NULL,
    -- How it was after the change, as JSON.
    body        TEXT   NOT NULL
);

CREATE TABLE learner_subjects (
    issuer     TEXT    COLLATE "C" NOT NULL,
    subject    TEXT    COLLATE "C" NOT NULL,
    learner_id TEXT    COLLATE "C" NOT NULL REFERENCES learners (id),
    -- Where it stands in the learner's list.
    position   INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
);

CREATE INDEX learner_subjects_learner ON learner_subjects (learner_id, position);

CREATE TABLE cohorts (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
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
);

CREATE INDEX cohorts_evaluating ON cohorts (id) WHERE evaluating;

CREATE TABLE cohort_managers (
    cohort_id  TEXT COLLATE "C" NOT NULL REFERENCES cohorts (id),
    learner_id TEXT COLLATE "C" NOT NULL REFERENCES learners (id),
    -- Where it stands in the cohort's list.
    position   INTEGER NOT NULL,
    PRIMARY KEY (cohort_id, learner_id)
);

CREATE INDEX cohort_managers_learner ON cohort_managers (learner_id);

-- The times of membership, each of a learner in a cohort numbered from 1.
CREATE TABLE cohort_spans (
    cohort_id    TEXT COLLATE "C" NOT NULL REFERENCES cohorts (id),
    learner_id   TEXT COLLATE "C" NOT NULL REFERENCES learners (id),
    number       INTEGER NOT NULL,
    join_time    BIGINT  NOT NULL,
    -- Since when periods after joining count.
    count_time   BIGINT  NOT NULL,
    join_reason  TEXT    NOT NULL,
    leave_time   BIGINT,
    leave_reason TEXT    NOT NULL,
    PRIMARY KEY (cohort_id, learner_id, number)
);

CREATE INDEX cohort_spans_learner ON cohort_spans (learner_id);
CREATE INDEX cohort_spans_members ON cohort_spans (cohort_id, learner_id) WHERE leave_time IS NULL;

-- The learners for whom the rule of a cohort cannot be evaluated, and why.
CREATE TABLE cohort_rule_errors (
    cohort_id  TEXT COLLATE "C" NOT NULL REFERENCES cohorts (id),
    learner_id TEXT COLLATE "C" NOT NULL REFERENCES learners (id),
    error      TEXT    NOT NULL,
    PRIMARY KEY (cohort_id, learner_id)
);

CREATE INDEX cohort_rule_errors_learner ON cohort_rule_errors (learner_id);

-- Jobs that one process at a time works on (internal/lease): their owner, until when, and how far they
-- are, as JSON.
CREATE TABLE lease (
    job         TEXT   NOT NULL PRIMARY KEY,
    owner       TEXT   NOT NULL,
    lease_until BIGINT NOT NULL,
    state       TEXT   NOT NULL
);

-- These are asked with each request of a learner whom a process does not know, and here they are planned once in a
-- session, and not each time.

-- The learners that identities belong to; those that belong to nobody have no row.
-- +goose StatementBegin
CREATE FUNCTION subjects_of(issuers text[], subjects text[]) RETURNS TABLE (issuer text, subject text, id text, time_zone text, time_zone_time bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT s.issuer, s.subject, l.id, l.time_zone, l.time_zone_time
    FROM unnest(issuers, subjects) AS asked (issuer, subject)
    JOIN learner_subjects s ON s.issuer = asked.issuer AND s.subject = asked.subject JOIN learners l ON l.id = s.learner_id;
END $$;
-- +goose StatementEnd

-- Learners, with a row for each of their subjects, or one row without.
-- +goose StatementBegin
CREATE FUNCTION learners_of(ids text[]) RETURNS TABLE (
  id text, display_name text, email text, locale text, time_zone text, time_zone_time bigint, background text, target_role text,
  goal_minutes integer, goal_units integer, state text, attributes text, version bigint, create_time bigint, update_time bigint, revision bigint, issuer text, subject text
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT l.id, l.display_name, l.email, l.locale, l.time_zone, l.time_zone_time, l.background, l.target_role,
      l.goal_minutes, l.goal_units, l.state, l.attributes, l.version, l.create_time, l.update_time, l.revision, s.issuer, s.subject
    FROM learners l LEFT JOIN learner_subjects s ON s.learner_id = l.id WHERE l.id = ANY (ids) ORDER BY l.id, s.position;
END $$;
-- +goose StatementEnd

-- Stores a learner of one subject who signs in, with the changes for the feed and the memberships that the rules make, and
-- returns the feed's revision with them: that of before where the very learner is stored, and NULL where the subject is
-- another's. The feed's row is updated from what was inserted, so it is locked after the wait for another transaction
-- with the same subject, and never during it. It raises PR001, and stores nothing, where the rules are others.
-- +goose StatementBegin
CREATE FUNCTION sign_in(
  id text, display_name text, email text, locale text, time_zone text, time_zone_time bigint, background text, target_role text,
  goal_minutes integer, goal_units integer, search_text text, version bigint, create_time bigint, update_time bigint, name_key text,
  state text, attributes text, of_issuer text, of_subject text, of_rules bigint,
  change_times bigint[], change_learners text[], change_cohorts text[], change_bodies text[],
  join_cohorts text[], join_times bigint[], join_reasons text[]
) RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  at bigint;
  changes integer := cardinality(change_times);
BEGIN
  WITH linked AS (
    INSERT INTO learner_subjects (issuer, subject, learner_id, position) VALUES (of_issuer, of_subject, id, 0) ON CONFLICT DO NOTHING RETURNING learner_id
  ), head AS (
    UPDATE feed_head h SET revision = h.revision + changes FROM linked WHERE h.id = 1 AND h.rules = of_rules RETURNING h.revision
  )
  INSERT INTO learners AS l (id, display_name, email, locale, time_zone, time_zone_time, background, target_role,
      goal_minutes, goal_units, search_text, version, create_time, update_time, name_key, state, attributes, revision)
    SELECT id, display_name, email, locale, time_zone, time_zone_time, background, target_role,
      goal_minutes, goal_units, search_text, version, create_time, update_time, name_key, state, attributes, COALESCE(head.revision, -1)
    FROM linked LEFT JOIN head ON true
    RETURNING l.revision INTO at;
  IF NOT FOUND THEN
    SELECT l.revision INTO at FROM learner_subjects s JOIN learners l ON l.id = s.learner_id
      WHERE s.issuer = of_issuer AND s.subject = of_subject AND s.learner_id = sign_in.id;
    RETURN at;
  END IF;
  IF at < 0 THEN
    RAISE EXCEPTION 'the rules of cohorts have changed' USING ERRCODE = 'PR001';
  END IF;
  INSERT INTO feed_changes (revision, change_time, learner_id, cohort_id, body)
    SELECT at - changes + c.n, c.at, c.learner, c.cohort, c.body
    FROM unnest(change_times, change_learners, change_cohorts, change_bodies) WITH ORDINALITY AS c (at, learner, cohort, body, n);
  IF cardinality(join_cohorts) > 0 THEN
    INSERT INTO cohort_spans (cohort_id, learner_id, number, join_time, count_time, join_reason, leave_time, leave_reason)
      SELECT s.cohort, id, 1, s.at, s.at, s.reason, NULL, '' FROM unnest(join_cohorts, join_times, join_reasons) AS s (cohort, at, reason);
  END IF;
  RETURN at;
END $$;
-- +goose StatementEnd

CREATE TABLE idempotency_keys (
    caller       TEXT   NOT NULL,
    method       TEXT   NOT NULL,
    idem_key     TEXT   NOT NULL,
    request_hash BYTEA  NOT NULL,
    response     BYTEA  NOT NULL,
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
CREATE FUNCTION audit_entry_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an audit entry stays as it is';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_stays();
