-- +goose Up
-- format: 6
-- min_binary: 1

-- One row; a transaction that changes the catalog holds it until its end.
CREATE TABLE catalog_head (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    revision BIGINT  NOT NULL,
    -- How many transactions have changed the catalog, drafts included.
    edits    BIGINT  NOT NULL
);

INSERT INTO catalog_head (id, revision, edits) VALUES (1, 0, 0);

-- What tells one state of the catalog from every other, on the line of history that server names. Each read asks for
-- it, and here it is planned once in a session, and not each time.
-- +goose StatementBegin
CREATE FUNCTION catalog_state(server text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT concat(edits, '/', server, '/', tableoid, '/', xmin) FROM catalog_head WHERE id = 1);
END $$;
-- +goose StatementEnd

CREATE TABLE items (
    -- MODULE or PATH.
    kind           TEXT    COLLATE "C" NOT NULL,
    id             TEXT    COLLATE "C" NOT NULL,
    state          TEXT    NOT NULL,
    -- The newest version's number; 0 before the first.
    latest_version INTEGER NOT NULL,
    -- JSON of the content being edited; NULL for none.
    draft          TEXT,
    -- JSON list of the stays in the archive.
    archives       TEXT    NOT NULL,
    edits          BIGINT  NOT NULL,
    update_time    BIGINT  NOT NULL,
    -- Of the last change that readers could see; 0 for none.
    revision       BIGINT  NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE INDEX items_revision ON items (revision, kind);

CREATE TABLE versions (
    kind           TEXT    COLLATE "C" NOT NULL,
    id             TEXT    COLLATE "C" NOT NULL,
    number         INTEGER NOT NULL,
    -- JSON, with its defaults spelled out.
    content        TEXT    NOT NULL,
    content_hash   TEXT    NOT NULL,
    change_class   TEXT    NOT NULL,
    retake         TEXT    NOT NULL,
    publish_time   BIGINT  NOT NULL,
    effective_time BIGINT  NOT NULL,
    -- From when an upgrade to the version is mandatory; NULL: it is not.
    mandate_time   BIGINT,
    PRIMARY KEY (kind, id, number),
    FOREIGN KEY (kind, id) REFERENCES items (kind, id)
);

-- What lists filter by: of each newest version, and of each draft.
CREATE TABLE facets (
    kind        TEXT    COLLATE "C" NOT NULL,
    id          TEXT    COLLATE "C" NOT NULL,
    -- 1 for the draft's.
    draft       INTEGER NOT NULL,
    topic       TEXT    COLLATE "C" NOT NULL,
    level       TEXT    COLLATE "C" NOT NULL,
    -- Folded, each between line feeds.
    roles       TEXT    COLLATE "C" NOT NULL,
    -- Folded, one text a line.
    search_text TEXT    COLLATE "C" NOT NULL,
    -- The beginning of the title, folded.
    title_key   TEXT    COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, draft, id),
    FOREIGN KEY (kind, id) REFERENCES items (kind, id)
);

CREATE INDEX facets_topic ON facets (kind, draft, topic, id);

-- The modules that newest versions build on: prerequisites, or all modules of a path.
CREATE TABLE module_references (
    kind      TEXT    COLLATE "C" NOT NULL,
    id        TEXT    COLLATE "C" NOT NULL,
    position  INTEGER NOT NULL,
    module_id TEXT    COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, id, position),
    FOREIGN KEY (kind, id) REFERENCES items (kind, id)
);

CREATE INDEX module_references_module ON module_references (module_id, kind);

CREATE TABLE changes (
    revision    BIGINT  NOT NULL PRIMARY KEY,
    kind        TEXT    COLLATE "C" NOT NULL,
    id          TEXT    COLLATE "C" NOT NULL,
    action      TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    change_time BIGINT  NOT NULL,
    actor       TEXT    NOT NULL
);

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
