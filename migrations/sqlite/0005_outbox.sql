-- What is told to phones and to other systems, and what came of it. It takes the place of deliveries, which the release
-- before writes and nobody reads any more.

-- One row for each destination: a phone, an object at Google, an app. wanted grows with everything there is to tell it:
-- whoever claimed the row settles the number that it saw, so what was committed meanwhile is told again. due_at is when
-- the row may be claimed: at once, after a wait, or when the lease of whoever is at it runs out.
CREATE TABLE outbox (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    channel TEXT NOT NULL,
    destination_id BLOB NOT NULL,
    state TEXT NOT NULL,
    lane TEXT NOT NULL,
    wanted INTEGER NOT NULL,
    due_at TEXT NOT NULL,
    claim_no INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    changed_at TEXT NOT NULL,
    tried_at TEXT,
    told_at TEXT,
    answer TEXT,
    PRIMARY KEY (brand_id, channel, destination_id)
) STRICT;
CREATE INDEX outbox_due ON outbox (brand_id, channel, lane, due_at) WHERE state IN ('pending', 'sending');
CREATE INDEX outbox_open ON outbox (brand_id, channel, changed_at) WHERE state IN ('pending', 'sending');
CREATE INDEX outbox_parked ON outbox (brand_id, channel, destination_id) WHERE state = 'parked';

-- When the newest content was published, and what of it each device was told and came for.
ALTER TABLE passes ADD COLUMN published_at TEXT;
ALTER TABLE registrations ADD COLUMN told_at TEXT;
ALTER TABLE registrations ADD COLUMN fetched_tag_n INTEGER NOT NULL DEFAULT 0;
ALTER TABLE registrations ADD COLUMN fetched_at TEXT;

-- When the device last asked what changed; since when its push token is refused, null while it is not.
ALTER TABLE devices ADD COLUMN asked_at TEXT;
ALTER TABLE devices ADD COLUMN refused_since TEXT;

-- When a push of this topic was last accepted.
ALTER TABLE pass_types ADD COLUMN accepted_at TEXT;

-- The time in each provider token in use: all processes make the same token of it.
CREATE TABLE provider_tokens (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    key_id TEXT NOT NULL,
    issued_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, key_id)
) STRICT;
