-- Templates of every kind go out as roll-outs; phones can ask their holder to sign up.

-- When the holder answered the phone's sign-up form.
ALTER TABLE passes ADD COLUMN signed_up_at TIMESTAMPTZ;

-- The version that new passes are made with, and that passes follow unless they are ahead.
ALTER TABLE templates ADD COLUMN live_version BIGINT NOT NULL DEFAULT 1;
UPDATE templates SET live_version = version;

-- The version that a roll-out wants for the pass; 0: the template's live one.
ALTER TABLE passes ADD COLUMN wanted_version BIGINT NOT NULL DEFAULT 0;
-- The last change that a roll-out made: while it is the newest, nobody is waiting for it.
ALTER TABLE passes ADD COLUMN bulk_no BIGINT NOT NULL DEFAULT 0;
-- The last change that is published even if the pass looks the same: it is to be signed again.
ALTER TABLE passes ADD COLUMN forced_no BIGINT NOT NULL DEFAULT 0;
CREATE INDEX passes_in_bulk ON passes (brand_id, template_id) WHERE bulk_no > published_no;

CREATE TABLE rollouts (
    brand_id UUID NOT NULL,
    rollout_id UUID NOT NULL,
    template_id UUID NOT NULL,
    from_version BIGINT NOT NULL,
    to_version BIGINT NOT NULL,
    resigns BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    stage TEXT NOT NULL,
    reason TEXT,
    canary BIGINT NOT NULL,
    hold_secs BIGINT NOT NULL,
    per_minute BIGINT,
    total BIGINT NOT NULL,
    refused_seen BIGINT NOT NULL,
    touched BIGINT NOT NULL,
    touched_to UUID NOT NULL,
    next_at TIMESTAMPTZ NOT NULL,
    stage_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, rollout_id),
    FOREIGN KEY (brand_id, template_id) REFERENCES templates (brand_id, template_id)
);
CREATE UNIQUE INDEX rollouts_active ON rollouts (brand_id, template_id) WHERE state IN ('running', 'paused');
CREATE INDEX rollouts_due ON rollouts (brand_id, next_at) WHERE state = 'running';
