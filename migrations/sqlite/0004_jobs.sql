-- Long work that goes on by itself, part by part: imports of files.

-- spool names the folder that the file is in: whoever works on that folder may take the job. offset_bytes and next_line
-- say where the file goes on; they move together with what was made of the lines before.
CREATE TABLE jobs (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    job_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    spool TEXT NOT NULL,
    layout TEXT NOT NULL,
    defaults TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    offset_bytes INTEGER NOT NULL,
    next_line INTEGER NOT NULL,
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    reason TEXT,
    lease_until TEXT NOT NULL,
    lease_no INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, job_id)
) STRICT;
CREATE INDEX jobs_running ON jobs (brand_id, spool, lease_until) WHERE state = 'running';
CREATE INDEX jobs_by_age ON jobs (brand_id, updated_at) WHERE state <> 'running';

-- What became of the lines of one part, compressed.
CREATE TABLE job_results (
    brand_id BLOB NOT NULL,
    job_id BLOB NOT NULL,
    first_line INTEGER NOT NULL,
    outcomes BLOB NOT NULL,                    -- personal
    PRIMARY KEY (brand_id, job_id, first_line),
    FOREIGN KEY (brand_id, job_id) REFERENCES jobs (brand_id, job_id)
) STRICT;

-- SHA-256 of the authenticationToken that another vendor gave the pass; phones that have it keep it.
ALTER TABLE passes ADD COLUMN token_hash BLOB;
