-- Templates of every kind go out as roll-outs; phones can ask their holder to sign up.

-- When the holder answered the phone's sign-up form.
ALTER TABLE passes ADD COLUMN signed_up_at TEXT;

-- The version that new passes are made with, and that passes follow unless they are ahead.
ALTER TABLE templates ADD COLUMN live_version INTEGER NOT NULL DEFAULT 1;
UPDATE templates SET live_version = version;

-- The version that a roll-out wants for the pass; 0: the template's live one.
ALTER TABLE passes ADD COLUMN wanted_version INTEGER NOT NULL DEFAULT 0;
-- The last change that a roll-out made: while it is the newest, nobody is waiting for it.
ALTER TABLE passes ADD COLUMN bulk_no INTEGER NOT NULL DEFAULT 0;
-- The last change that is published even if the pass looks the same: it is to be signed again.
ALTER TABLE passes ADD COLUMN forced_no INTEGER NOT NULL DEFAULT 0;
CREATE INDEX passes_in_bulk ON passes (brand_id, template_id) WHERE bulk_no > published_no;

CREATE TABLE rollouts (
    brand_id BLOB NOT NULL,
    rollout_id BLOB NOT NULL,
    template_id BLOB NOT NULL,
    from_version INTEGER NOT NULL,
    to_version INTEGER NOT NULL,
    resigns INTEGER NOT NULL,
    state TEXT NOT NULL,
    stage TEXT NOT NULL,
    reason TEXT,
    canary INTEGER NOT NULL,
    hold_secs INTEGER NOT NULL,
    per_minute INTEGER,
    total INTEGER NOT NULL,
    refused_seen INTEGER NOT NULL,
    touched INTEGER NOT NULL,
    touched_to BLOB NOT NULL,
    next_at TEXT NOT NULL,
    stage_at TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, rollout_id),
    FOREIGN KEY (brand_id, template_id) REFERENCES templates (brand_id, template_id)
) STRICT;
CREATE UNIQUE INDEX rollouts_active ON rollouts (brand_id, template_id) WHERE state IN ('running', 'paused');
CREATE INDEX rollouts_due ON rollouts (brand_id, next_at) WHERE state = 'running';
