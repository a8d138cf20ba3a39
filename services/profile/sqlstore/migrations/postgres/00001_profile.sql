-- +goose Up
-- format: 5
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
    -- Display name and email, folded, one a line.
    search_text    TEXT    NOT NULL,
    -- The beginning of the display name, folded.
    name_key       TEXT    COLLATE "C" NOT NULL,
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
    issuer     TEXT    COLLATE "C" NOT NULL,
    subject    TEXT    COLLATE "C" NOT NULL,
    learner_id TEXT    COLLATE "C" NOT NULL REFERENCES learners (id),
    -- Where it stands in the learner's list.
    position   INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
);

CREATE INDEX learner_subjects_learner ON learner_subjects (learner_id, position);

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
  goal_minutes integer, goal_units integer, version bigint, create_time bigint, update_time bigint, revision bigint, issuer text, subject text
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT l.id, l.display_name, l.email, l.locale, l.time_zone, l.time_zone_time, l.background, l.target_role,
      l.goal_minutes, l.goal_units, l.version, l.create_time, l.update_time, l.revision, s.issuer, s.subject
    FROM learners l LEFT JOIN learner_subjects s ON s.learner_id = l.id WHERE l.id = ANY (ids) ORDER BY l.id, s.position;
END $$;
-- +goose StatementEnd

-- Stores a learner of one subject with the feed's next revision, which it returns: that of before where the very
-- learner is stored, and NULL where the subject is another's. The feed's row is updated from what was inserted, so it
-- is locked after the wait for another transaction with the same subject, and never during it.
-- +goose StatementBegin
CREATE FUNCTION sign_in(
  id text, display_name text, email text, locale text, time_zone text, time_zone_time bigint, background text, target_role text,
  goal_minutes integer, goal_units integer, search_text text, version bigint, create_time bigint, update_time bigint, name_key text,
  of_issuer text, of_subject text
) RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  at bigint;
BEGIN
  WITH linked AS (
    INSERT INTO learner_subjects (issuer, subject, learner_id, position) VALUES (of_issuer, of_subject, id, 0) ON CONFLICT DO NOTHING RETURNING learner_id
  ), head AS (
    UPDATE feed_head h SET revision = h.revision + 1 FROM linked WHERE h.id = 1 RETURNING h.revision
  )
  INSERT INTO learners AS l (id, display_name, email, locale, time_zone, time_zone_time, background, target_role,
      goal_minutes, goal_units, search_text, version, create_time, update_time, name_key, revision)
    SELECT id, display_name, email, locale, time_zone, time_zone_time, background, target_role,
      goal_minutes, goal_units, search_text, version, create_time, update_time, name_key, head.revision FROM head
    RETURNING l.revision INTO at;
  IF NOT FOUND THEN
    SELECT l.revision INTO at FROM learner_subjects s JOIN learners l ON l.id = s.learner_id
      WHERE s.issuer = of_issuer AND s.subject = of_subject AND s.learner_id = sign_in.id;
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
