-- +goose Up
-- How far the rebuild of all learners is: whom it has done, for whom, and who holds it until when.
-- started_at is 0 where none is begun and not finished.
CREATE TABLE replay (
  id               INTEGER PRIMARY KEY CHECK (id = 1),
  started_at       BIGINT NOT NULL,
  actor_id         TEXT NOT NULL,
  cursor_id        TEXT NOT NULL,
  learners_done    BIGINT NOT NULL,
  learners_total   BIGINT NOT NULL,
  entries_read     BIGINT NOT NULL,
  learners_drifted BIGINT NOT NULL,
  owner            TEXT NOT NULL,
  lease_until      BIGINT NOT NULL
);
INSERT INTO replay (id, started_at, actor_id, cursor_id, learners_done, learners_total, entries_read, learners_drifted, owner, lease_until)
VALUES (1, 0, '', '', 0, 0, 0, 0, '', 0);
