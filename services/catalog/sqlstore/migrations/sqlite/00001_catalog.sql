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

CREATE TABLE items (
    -- MODULE or PATH.
    kind           TEXT    NOT NULL,
    id             TEXT    NOT NULL,
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
) WITHOUT ROWID;

CREATE INDEX items_revision ON items (revision, kind);

CREATE TABLE versions (
    kind           TEXT    NOT NULL,
    id             TEXT    NOT NULL,
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
    kind        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    -- 1 for the draft's.
    draft       INTEGER NOT NULL,
    topic       TEXT    NOT NULL,
    level       TEXT    NOT NULL,
    -- Folded, each between line feeds.
    roles       TEXT    NOT NULL,
    -- Folded, one text a line.
    search_text TEXT    NOT NULL,
    -- The beginning of the title, folded.
    title_key   TEXT    NOT NULL,
    PRIMARY KEY (kind, draft, id),
    FOREIGN KEY (kind, id) REFERENCES items (kind, id)
) WITHOUT ROWID;

CREATE INDEX facets_topic ON facets (kind, draft, topic, id);

-- The modules that newest versions build on: prerequisites, or all modules of a path.
CREATE TABLE module_references (
    kind      TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    position  INTEGER NOT NULL,
    module_id TEXT    NOT NULL,
    PRIMARY KEY (kind, id, position),
    FOREIGN KEY (kind, id) REFERENCES items (kind, id)
) WITHOUT ROWID;

CREATE INDEX module_references_module ON module_references (module_id, kind);

CREATE TABLE changes (
    revision    BIGINT  NOT NULL PRIMARY KEY,
    kind        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    change_time BIGINT  NOT NULL,
    actor       TEXT    NOT NULL
);

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
