-- +goose Up
-- format: 13
-- min_binary: 1
-- Times are microseconds since 1970, UTC. Everything of a learner is keyed by the learner first.
CREATE TABLE instance (
  id          SMALLINT PRIMARY KEY CHECK (id = 1),
  incarnation TEXT COLLATE "C" NOT NULL,
  -- The server, the database and the line of history that the incarnation is of; '' until it was used.
  origin      TEXT COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE learner_head (
  learner_id UUID PRIMARY KEY,
  sequence   BIGINT NOT NULL,
  version    BIGINT NOT NULL,
  -- Whether profile, or the learner's token, told of them.
  known      BOOLEAN NOT NULL DEFAULT FALSE,
  -- The IANA zone that the learner is in since zone_since; '' is UTC. 0 is always.
  time_zone  TEXT COLLATE "C" NOT NULL DEFAULT '',
  zone_since BIGINT NOT NULL DEFAULT 0,
  -- The rules that all that is stored of the learner was last brought to.
  rules      INTEGER NOT NULL DEFAULT 0
) WITH (fillfactor = 80); -- room for the next version of a row on its page

-- The zones that the learner was in, each until the next; the first one is since 0. The last one is the head's.
CREATE TABLE learner_zone (
  learner_id UUID NOT NULL,
  since      BIGINT NOT NULL,
  time_zone  TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (learner_id, since)
);

CREATE TABLE learner_log (
  learner_id     UUID NOT NULL,
  sequence       BIGINT NOT NULL,
  received_at    BIGINT NOT NULL,
  -- NULL where the record is no event.
  event_id       UUID,
  module_id      TEXT COLLATE "C",
  voids_event_id UUID,
  -- All that no statement asks for, in the form of progress.AppendEntry.
  entry          BYTEA NOT NULL,
  PRIMARY KEY (learner_id, sequence)
) PARTITION BY HASH (learner_id);
-- +goose StatementBegin
DO $$
BEGIN
  FOR i IN 0..31 LOOP
    EXECUTE format('CREATE TABLE learner_log_%s PARTITION OF learner_log FOR VALUES WITH (MODULUS 32, REMAINDER %s)', i, i);
  END LOOP;
END $$;
-- +goose StatementEnd
CREATE UNIQUE INDEX learner_log_event ON learner_log (learner_id, event_id);
CREATE UNIQUE INDEX learner_log_void ON learner_log (learner_id, voids_event_id) WHERE voids_event_id IS NOT NULL;

CREATE TABLE module_facts (
  learner_id       UUID NOT NULL,
  module_id        TEXT COLLATE "C" NOT NULL,
  -- In the form of progress.AppendFacts.
  state            BYTEA NOT NULL,
  -- Facts in short, by which previews count without reading them (progress.Summary). A fold_key of '' is
  -- of facts without one.
  fold_key         TEXT COLLATE "C" NOT NULL DEFAULT '',
  materials        INTEGER NOT NULL DEFAULT 0,
  cycle_state      TEXT COLLATE "C" NOT NULL DEFAULT '',
  complete_version INTEGER,
  -- What is done in the current cycle, as a hash: it changes when a unit is done, and not with every event.
  shape            BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (learner_id, module_id)
) WITH (fillfactor = 80);
-- The shape comes after the learner, so that the entry stays on its page when it changes.
CREATE INDEX module_facts_summary ON module_facts (module_id, fold_key, materials, cycle_state, complete_version, learner_id, shape);

CREATE TABLE enrollment (
  learner_id       UUID NOT NULL,
  enrollment_id    UUID NOT NULL,
  path_id          TEXT COLLATE "C" NOT NULL,
  path_version     INTEGER NOT NULL,
  state            TEXT COLLATE "C" NOT NULL,
  enroll_at        BIGINT NOT NULL,
  update_at        BIGINT NOT NULL,
  previous_percent INTEGER,
  -- Why the percent fell, as JSON (progress.PercentChange).
  percent_change   TEXT COLLATE "C",
  PRIMARY KEY (learner_id, enrollment_id)
);
CREATE UNIQUE INDEX enrollment_one_per_path ON enrollment (learner_id, path_id) WHERE state <> 'WITHDRAWN';
-- The list of a learner's enrollments, oldest first.
CREATE INDEX enrollment_listed ON enrollment (learner_id, enroll_at, enrollment_id);
CREATE INDEX enrollment_open ON enrollment (path_id, path_version, learner_id, state) WHERE state <> 'WITHDRAWN';

CREATE TABLE award (
  learner_id    UUID NOT NULL,
  award_id      UUID NOT NULL,
  number        INTEGER NOT NULL DEFAULT 1,
  path_id       TEXT COLLATE "C" NOT NULL,
  path_version  INTEGER NOT NULL,
  milestone_id  TEXT COLLATE "C" NOT NULL,
  title         TEXT COLLATE "C" NOT NULL,
  award_at      BIGINT NOT NULL,
  from_sequence BIGINT NOT NULL,
  to_sequence   BIGINT NOT NULL,
  completions   TEXT COLLATE "C" NOT NULL,
  rule          TEXT COLLATE "C" NOT NULL,
  revoke_at     BIGINT,
  revoke_reason TEXT COLLATE "C",
  revocations   INTEGER NOT NULL DEFAULT 0,
  -- The sequence of the last revocation; 0: there was none.
  revoked_at    BIGINT NOT NULL DEFAULT 0,
  -- The rules that it was last judged by.
  rules         INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (learner_id, award_id)
);
CREATE INDEX award_held ON award (path_id, milestone_id, revoke_at) WHERE revoke_at IS NULL;

CREATE TABLE catalog_head (
  id       SMALLINT PRIMARY KEY CHECK (id = 1),
  revision BIGINT NOT NULL
);
INSERT INTO catalog_head (id, revision) VALUES (1, 0);

-- The heads of learners, and beside each the revision of the catalog and the mark: one row without a learner where
-- there is no head. Each read asks for it, and here it is planned once in a session, and not each time.
-- +goose StatementBegin
CREATE FUNCTION heads_of(learners uuid[], mark text) RETURNS TABLE (
  learner_id uuid, sequence bigint, version bigint, known boolean, time_zone text, zone_since bigint, rules integer, revision bigint, read_mark text
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT h.learner_id, coalesce(h.sequence, 0), coalesce(h.version, 0), coalesce(h.known, FALSE), coalesce(h.time_zone, ''),
      coalesce(h.zone_since, 0), coalesce(h.rules, 0), c.revision, mark
    FROM catalog_head c LEFT JOIN learner_head h ON h.learner_id = ANY (learners) WHERE c.id = 1;
END $$;
-- +goose StatementEnd

-- What a group of writers is to change, in one statement and one round trip (progress.WriteSet). It rests on what
-- they believe: the line of history, the catalog and, of every learner, the head. It does all, or raises:
-- PC001 for a newer catalog, with its revision; PC002 for heads that moved, with their learners; PC003 for
-- another line. The arrays of heads are in the order of their learners, in which a loop locks them: two groups
-- never wait for each other in a circle. A plan for any arguments is made once in a session.
-- +goose StatementBegin
CREATE FUNCTION commit_batch(
  same_line boolean, known_revision bigint,
  h_learner uuid[], h_was_sequence bigint[], h_was_version bigint[], h_sequence bigint[], h_version bigint[],
  l_learner uuid[], l_sequence bigint[], l_received bigint[], l_event uuid[], l_module text[], l_voids uuid[], l_entry bytea[],
  f_learner uuid[], f_module text[], f_state bytea[], f_key text[], f_materials integer[], f_cycle_state text[], f_complete integer[], f_shape bigint[]
) RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  stored bigint;
  stale  uuid[] := '{}';
  n      integer;
BEGIN
  IF NOT same_line THEN
    RAISE EXCEPTION 'the line of history is another one' USING ERRCODE = 'PC003';
  END IF;
  SELECT revision INTO stored FROM catalog_head WHERE id = 1;
  IF stored > known_revision THEN
    RAISE EXCEPTION 'the catalog is newer' USING ERRCODE = 'PC001', DETAIL = stored;
  END IF;
  FOR i IN 1..cardinality(h_learner) LOOP
    IF h_was_sequence[i] = h_sequence[i] AND h_was_version[i] = h_version[i] THEN
      PERFORM FROM learner_head WHERE learner_id = h_learner[i] AND sequence = h_was_sequence[i] AND version = h_was_version[i] FOR UPDATE;
    ELSE
      UPDATE learner_head SET sequence = h_sequence[i], version = h_version[i]
        WHERE learner_id = h_learner[i] AND sequence = h_was_sequence[i] AND version = h_was_version[i];
    END IF;
    IF NOT FOUND THEN
      stale := stale || h_learner[i];
    END IF;
  END LOOP;
  IF cardinality(stale) > 0 THEN
    RAISE EXCEPTION 'heads have moved' USING ERRCODE = 'PC002', DETAIL = array_to_string(stale, ' ');
  END IF;
  INSERT INTO learner_log (learner_id, sequence, received_at, event_id, module_id, voids_event_id, entry)
    SELECT unnest(l_learner), unnest(l_sequence), unnest(l_received), unnest(l_event), unnest(l_module), unnest(l_voids), unnest(l_entry);
  UPDATE module_facts f SET state = w.state, fold_key = w.fold_key, materials = w.materials, cycle_state = w.cycle_state,
      complete_version = w.complete_version, shape = w.shape
    FROM (SELECT unnest(f_learner) AS learner_id, unnest(f_module) AS module_id, unnest(f_state) AS state, unnest(f_key) AS fold_key,
      unnest(f_materials) AS materials, unnest(f_cycle_state) AS cycle_state, unnest(f_complete) AS complete_version, unnest(f_shape) AS shape) w
    WHERE f.learner_id = w.learner_id AND f.module_id = w.module_id;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n < cardinality(f_learner) THEN -- some are new
    INSERT INTO module_facts (learner_id, module_id, state, fold_key, materials, cycle_state, complete_version, shape)
      SELECT unnest(f_learner), unnest(f_module), unnest(f_state), unnest(f_key), unnest(f_materials), unnest(f_cycle_state), unnest(f_complete), unnest(f_shape)
      ON CONFLICT (learner_id, module_id) DO NOTHING;
  END IF;
END $$;
-- +goose StatementEnd

CREATE TABLE catalog_entity (
  kind TEXT COLLATE "C" NOT NULL,
  id   TEXT COLLATE "C" NOT NULL,
  body TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (kind, id)
);

-- Profile's revision that learners' time zones are known up to.
CREATE TABLE zone_head (
  id       SMALLINT PRIMARY KEY CHECK (id = 1),
  revision BIGINT NOT NULL
);
INSERT INTO zone_head (id, revision) VALUES (1, 0);

-- What profile says of learners, cohorts and memberships: each change, by its revision, with when it happened and when
-- it was stored here. The newest one of each is how things are.
CREATE TABLE profile_person (
  learner_id  UUID NOT NULL,
  revision    BIGINT NOT NULL,
  change_time BIGINT NOT NULL,
  stored_time BIGINT NOT NULL,
  suspended   BOOLEAN NOT NULL,
  -- A date; '' where it is not known.
  hire_date   TEXT NOT NULL,
  PRIMARY KEY (learner_id, revision)
);

CREATE TABLE profile_membership (
  learner_id  UUID NOT NULL,
  cohort_id   TEXT COLLATE "C" NOT NULL,
  revision    BIGINT NOT NULL,
  change_time BIGINT NOT NULL,
  stored_time BIGINT NOT NULL,
  member      BOOLEAN NOT NULL,
  -- Since when periods after joining count.
  join_time   BIGINT NOT NULL,
  PRIMARY KEY (learner_id, cohort_id, revision)
);

CREATE TABLE profile_cohort (
  cohort_id   TEXT COLLATE "C" NOT NULL,
  revision    BIGINT NOT NULL,
  change_time BIGINT NOT NULL,
  stored_time BIGINT NOT NULL,
  title       TEXT NOT NULL,
  -- The ids of the learners who manage it, as a JSON array.
  managers    TEXT NOT NULL,
  -- From then on it has no members.
  deleted     BOOLEAN NOT NULL,
  PRIMARY KEY (cohort_id, revision)
);

-- Jobs that one process at a time works on (internal/lease): their owner, until when, and how far they
-- are, as JSON.
CREATE TABLE lease (
  job         TEXT COLLATE "C" PRIMARY KEY,
  owner       TEXT COLLATE "C" NOT NULL,
  lease_until BIGINT NOT NULL,
  state       TEXT COLLATE "C" NOT NULL
);

CREATE TABLE subject_link (
  issuer     TEXT COLLATE "C" NOT NULL,
  subject    TEXT COLLATE "C" NOT NULL,
  learner_id UUID NOT NULL,
  time_zone  TEXT COLLATE "C" NOT NULL,
  zone_since BIGINT NOT NULL,
  PRIMARY KEY (issuer, subject)
);

CREATE TABLE idempotency_keys (
  caller       TEXT COLLATE "C" NOT NULL,
  method       TEXT COLLATE "C" NOT NULL,
  idem_key     TEXT COLLATE "C" NOT NULL,
  request_hash BYTEA NOT NULL,
  response     BYTEA NOT NULL,
  create_time  BIGINT NOT NULL,
  PRIMARY KEY (caller, method, idem_key)
);
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (create_time);

-- Tickets for one watch of a learner's log each, that are not used: their SHA-256, never the tickets. The
-- caller is who got one, with the roles and the end of the token that it was got with.
CREATE TABLE watch_ticket (
  ticket_hash  BYTEA PRIMARY KEY,
  learner_id   UUID NOT NULL,
  issuer       TEXT NOT NULL,
  subject      TEXT NOT NULL,
  command      BOOLEAN NOT NULL,
  -- With a space between them.
  roles        TEXT NOT NULL,
  token_expire BIGINT NOT NULL,
  expire_time  BIGINT NOT NULL
);
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
CREATE FUNCTION audit_entry_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an audit entry stays as it is';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_stays();
