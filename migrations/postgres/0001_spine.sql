-- The spine: brands, their keys, programs, people, templates, passes, phones, and what keeps them told.
-- Every table leads with brand_id: the wall between tenants, and the shard key when one database is not enough.
-- Times are UTC. *_hash and *_lookup columns are digests; a comment marks columns that hold personal data.

CREATE TABLE installation (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    master_key_check BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE brands (
    brand_id UUID NOT NULL PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    locale TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    next_seq BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE pass_types (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    pass_type TEXT NOT NULL UNIQUE,
    tag_epoch BIGINT NOT NULL,
    tag_n BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, pass_type)
);

CREATE TABLE api_keys (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    key_id UUID NOT NULL,
    role TEXT NOT NULL,
    store_id UUID,
    name TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,
    PRIMARY KEY (brand_id, key_id),
    UNIQUE (brand_id, secret_hash)
);

CREATE TABLE idempotency_keys (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    scope TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    status BIGINT NOT NULL,
    content_type TEXT NOT NULL,
    body BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, scope, idempotency_key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (brand_id, created_at);

CREATE TABLE programs (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    program_id UUID NOT NULL,
    external_id TEXT,
    name TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, program_id),
    UNIQUE (brand_id, external_id)
);

CREATE TABLE customers (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    customer_id UUID NOT NULL,
    name TEXT,                                  -- personal
    locale TEXT,
    time_zone TEXT,
    attributes JSONB NOT NULL,                  -- personal
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, customer_id)
);

-- unique_lookup is null for kinds that several people may share (phone, e-mail).
CREATE TABLE customer_identifiers (
    brand_id UUID NOT NULL,
    kind TEXT NOT NULL,
    lookup BYTEA NOT NULL,
    customer_id UUID NOT NULL,
    unique_lookup BYTEA,
    value TEXT NOT NULL,                        -- personal
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, kind, lookup, customer_id),
    UNIQUE (brand_id, kind, unique_lookup),
    FOREIGN KEY (brand_id, customer_id) REFERENCES customers (brand_id, customer_id)
);
CREATE INDEX customer_identifiers_by_customer ON customer_identifiers (brand_id, customer_id);

CREATE TABLE members (
    brand_id UUID NOT NULL,
    member_id UUID NOT NULL,
    program_id UUID NOT NULL,
    customer_id UUID NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, member_id),
    UNIQUE (brand_id, program_id, customer_id),
    FOREIGN KEY (brand_id, program_id) REFERENCES programs (brand_id, program_id),
    FOREIGN KEY (brand_id, customer_id) REFERENCES customers (brand_id, customer_id)
);
CREATE INDEX members_by_customer ON members (brand_id, customer_id);

CREATE TABLE templates (
    brand_id UUID NOT NULL,
    template_id UUID NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    pass_type TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, template_id),
    UNIQUE (brand_id, name),
    FOREIGN KEY (brand_id, pass_type) REFERENCES pass_types (brand_id, pass_type)
);

-- A version never changes: caches and image addresses name it.
CREATE TABLE template_files (
    brand_id UUID NOT NULL,
    template_id UUID NOT NULL,
    version BIGINT NOT NULL,
    name TEXT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (brand_id, template_id, version, name),
    FOREIGN KEY (brand_id, template_id) REFERENCES templates (brand_id, template_id)
);

-- change_no grows with every change of what the pass shows; published_no is the change that its published content
-- includes. change_no > published_no means: to be published.
CREATE TABLE passes (
    brand_id UUID NOT NULL,
    pass_id UUID NOT NULL,
    pass_type TEXT NOT NULL,
    serial TEXT NOT NULL,
    link TEXT NOT NULL,
    code_id BYTEA NOT NULL,
    token_key_version BIGINT NOT NULL,
    program_id UUID NOT NULL,
    customer_id UUID NOT NULL,
    member_id UUID NOT NULL,
    template_id UUID NOT NULL,
    external_id TEXT,
    order_hash BYTEA NOT NULL,
    data JSONB NOT NULL,                        -- personal
    status TEXT NOT NULL,
    reissued_as UUID,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    change_no BIGINT NOT NULL,
    published_no BIGINT NOT NULL,
    publish_after TIMESTAMPTZ NOT NULL,
    lease_until TIMESTAMPTZ NOT NULL,
    lease_no BIGINT NOT NULL,
    refused TEXT,
    render_at TIMESTAMPTZ,
    first_tag_n BIGINT NOT NULL,
    tag_n BIGINT NOT NULL,
    last_modified BIGINT NOT NULL,
    template_version BIGINT NOT NULL,
    apple_hash BYTEA NOT NULL,
    google_hash BYTEA NOT NULL,
    PRIMARY KEY (brand_id, pass_id),
    UNIQUE (brand_id, pass_type, serial),
    UNIQUE (brand_id, link),
    UNIQUE (brand_id, external_id),
    UNIQUE (brand_id, code_id),
    FOREIGN KEY (brand_id, member_id) REFERENCES members (brand_id, member_id),
    FOREIGN KEY (brand_id, template_id) REFERENCES templates (brand_id, template_id),
    FOREIGN KEY (brand_id, pass_type) REFERENCES pass_types (brand_id, pass_type)
);
CREATE INDEX passes_to_publish ON passes (brand_id, publish_after) WHERE change_no > published_no;
CREATE INDEX passes_to_render ON passes (brand_id, render_at) WHERE render_at IS NOT NULL;
CREATE INDEX passes_by_customer ON passes (brand_id, customer_id);
CREATE INDEX passes_by_template ON passes (brand_id, template_id, pass_id);
CREATE INDEX passes_by_tag ON passes (brand_id, pass_id, tag_n);

-- What the phones are served: apple is pass.json without its authenticationToken, google is the object.
CREATE TABLE pass_contents (
    brand_id UUID NOT NULL,
    pass_id UUID NOT NULL,
    apple BYTEA NOT NULL,                       -- personal
    google BYTEA NOT NULL,                      -- personal
    PRIMARY KEY (brand_id, pass_id),
    FOREIGN KEY (brand_id, pass_id) REFERENCES passes (brand_id, pass_id)
);

CREATE TABLE devices (
    brand_id UUID NOT NULL,
    device_id UUID NOT NULL,
    pass_type TEXT NOT NULL,
    library_id TEXT NOT NULL,                   -- personal
    push_token TEXT NOT NULL,                   -- personal
    scheme TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, device_id),
    UNIQUE (brand_id, pass_type, library_id),
    FOREIGN KEY (brand_id, pass_type) REFERENCES pass_types (brand_id, pass_type)
);

-- listed_tag_n: a tag of the registration's own, for a pass that was published again before the device registered; the
-- device may have asked with a newer tag already, and would otherwise never hear of it.
CREATE TABLE registrations (
    brand_id UUID NOT NULL,
    pass_id UUID NOT NULL,
    device_id UUID NOT NULL,
    listed_tag_n BIGINT NOT NULL,
    told_tag_n BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, pass_id, device_id),
    FOREIGN KEY (brand_id, pass_id) REFERENCES passes (brand_id, pass_id),
    FOREIGN KEY (brand_id, device_id) REFERENCES devices (brand_id, device_id)
);
CREATE INDEX registrations_by_device ON registrations (brand_id, device_id, pass_id);
CREATE INDEX registrations_by_told ON registrations (brand_id, pass_id, told_tag_n, device_id);

-- One row per destination that has something to be told. A destination has at most one pending row: a phone that is
-- told comes and asks for everything.
CREATE TABLE deliveries (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    delivery_id UUID NOT NULL,
    channel TEXT NOT NULL,
    lane TEXT NOT NULL,
    device_id UUID NOT NULL,
    state TEXT NOT NULL,
    not_before TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, delivery_id)
);
CREATE UNIQUE INDEX deliveries_pending ON deliveries (brand_id, channel, device_id) WHERE state = 'pending';
CREATE INDEX deliveries_due ON deliveries (brand_id, lane, not_before) WHERE state = 'pending';

CREATE TABLE device_logs (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    log_id UUID NOT NULL,
    pass_id UUID,
    message TEXT NOT NULL,                      -- personal
    received_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, log_id)
);
CREATE INDEX device_logs_by_pass ON device_logs (brand_id, pass_id, log_id);

-- The timeline. seq is given after the commit, densely and in one order per brand; readers follow seq, never ids.
CREATE TABLE events (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    event_id UUID NOT NULL,
    seq BIGINT,
    kind TEXT NOT NULL,
    customer_id UUID,
    pass_id UUID,
    subject_id UUID NOT NULL,
    data JSONB NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, event_id)
);
CREATE UNIQUE INDEX events_by_seq ON events (brand_id, seq);
CREATE INDEX events_unsequenced ON events (brand_id, event_id) WHERE seq IS NULL;
CREATE INDEX events_by_subject ON events (brand_id, subject_id, seq);
