-- +goose Up
-- Facts in short, by which previews count without reading them (progress.Summary). A standing of ''
-- is one that is not known: the row was written before, or the learner's time zone changed since.
ALTER TABLE module_facts ADD COLUMN fold_key TEXT NOT NULL DEFAULT '';
ALTER TABLE module_facts ADD COLUMN materials INTEGER NOT NULL DEFAULT 0;
ALTER TABLE module_facts ADD COLUMN standing TEXT NOT NULL DEFAULT '';
-- What is done in the current cycle, as a hash: it changes when a unit is done, and not with every event.
ALTER TABLE module_facts ADD COLUMN shape BIGINT NOT NULL DEFAULT 0;
-- The shape comes after the learner, so that the entry stays on its page when it changes.
CREATE INDEX module_facts_summary ON module_facts (module_id, fold_key, materials, standing, complete_version, learner_id, shape);
DROP INDEX module_facts_module;

CREATE INDEX enrollment_open ON enrollment (path_id, path_version, learner_id, state) WHERE state <> 'WITHDRAWN';
DROP INDEX enrollment_path;

CREATE INDEX award_held ON award (path_id, milestone_id, revoke_at) WHERE revoke_at IS NULL;
