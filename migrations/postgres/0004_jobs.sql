-- Long work that goes on by itself, part by part: imports of files.

-- spool names the folder that the file is in: whoever works on that folder may take the job. offset_bytes and next_line
-- say where the file goes on; they move together with what was made of the lines before.
CREATE TABLE jobs (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    job_id UUID NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    spool TEXT NOT NULL,
    layout JSONB NOT NULL,
    defaults JSONB NOT NULL,
    size_bytes BIGINT NOT NULL,
    offset_bytes BIGINT NOT NULL,
    next_line BIGINT NOT NULL,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    unchanged BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    reason TEXT,
    lease_until TIMESTAMPTZ NOT NULL,
    lease_no BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, job_id)
);
CREATE INDEX jobs_running ON jobs (brand_id, spool, lease_until) WHERE state = 'running';
CREATE INDEX jobs_by_age ON jobs (brand_id, updated_at) WHERE state <> 'running';

-- What became of the lines of one part, compressed.
CREATE TABLE job_results (
    brand_id UUID NOT NULL,
    job_id UUID NOT NULL,
    first_line BIGINT NOT NULL,
    outcomes BYTEA NOT NULL,                    -- personal
    PRIMARY KEY (brand_id, job_id, first_line),
    FOREIGN KEY (brand_id, job_id) REFERENCES jobs (brand_id, job_id)
);

-- SHA-256 of the authenticationToken that another vendor gave the pass; phones that have it keep it.
ALTER TABLE passes ADD COLUMN token_hash BYTEA;
