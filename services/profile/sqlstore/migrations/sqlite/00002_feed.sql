-- +goose Up
-- min_binary: 2

-- One row; whoever changes what the feed tells of a learner holds it until the end of the transaction.
CREATE TABLE feed_head (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    revision BIGINT  NOT NULL
);

-- The learner's newest place in the feed; 0: the feed has nothing to tell of them.
ALTER TABLE learners ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;

-- Who had a time zone before there was a feed comes first in it, the oldest at the front.
UPDATE learners SET revision = numbered.place
FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM learners WHERE time_zone <> '') AS numbered
WHERE learners.id = numbered.id;

INSERT INTO feed_head (id, revision) SELECT 1, count(*) FROM learners WHERE revision > 0;

CREATE UNIQUE INDEX learners_revision ON learners (revision) WHERE revision > 0;
