-- The spine: brands, their keys, programs, people, templates, passes, phones, and what keeps them told.
-- Every table leads with brand_id: the wall between tenants, and the shard key when one database is not enough.
-- Times are UTC. *_hash and *_lookup columns are digests; a comment marks columns that hold personal data.

CREATE TABLE installation (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    master_key_check BLOB NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE brands (
    brand_id BLOB NOT NULL PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    locale TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    next_seq INTEGER NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE pass_types (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    pass_type TEXT NOT NULL UNIQUE,
    tag_epoch INTEGER NOT NULL,
    tag_n INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, pass_type)
) STRICT;

CREATE TABLE api_keys (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    key_id BLOB NOT NULL,
    role TEXT NOT NULL,
    store_id BLOB,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT,
    PRIMARY KEY (brand_id, key_id),
    UNIQUE (brand_id, secret_hash)
) STRICT;

CREATE TABLE idempotency_keys (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    scope TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, scope, idempotency_key)
) STRICT;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (brand_id, created_at);

CREATE TABLE programs (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    program_id BLOB NOT NULL,
    external_id TEXT,
    name TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, program_id),
    UNIQUE (brand_id, external_id)
) STRICT;

CREATE TABLE customers (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    customer_id BLOB NOT NULL,
    name TEXT,                                  -- personal
    locale TEXT,
    time_zone TEXT,
    attributes TEXT NOT NULL,                  -- personal
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, customer_id)
) STRICT;

-- unique_lookup is null for kinds that several people may share (phone, e-mail).
CREATE TABLE customer_identifiers (
    brand_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    lookup BLOB NOT NULL,
    customer_id BLOB NOT NULL,
    unique_lookup BLOB,
    value TEXT NOT NULL,                        -- personal
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, kind, lookup, customer_id),
    UNIQUE (brand_id, kind, unique_lookup),
    FOREIGN KEY (brand_id, customer_id) REFERENCES customers (brand_id, customer_id)
) STRICT;
CREATE INDEX customer_identifiers_by_customer ON customer_identifiers (brand_id, customer_id);

CREATE TABLE members (
    brand_id BLOB NOT NULL,
    member_id BLOB NOT NULL,
    program_id BLOB NOT NULL,
    customer_id BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, member_id),
    UNIQUE (brand_id, program_id, customer_id),
    FOREIGN KEY (brand_id, program_id) REFERENCES programs (brand_id, program_id),
    FOREIGN KEY (brand_id, customer_id) REFERENCES customers (brand_id, customer_id)
) STRICT;
CREATE INDEX members_by_customer ON members (brand_id, customer_id);

CREATE TABLE templates (
    brand_id BLOB NOT NULL,
    template_id BLOB NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    pass_type TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, template_id),
    UNIQUE (brand_id, name),
    FOREIGN KEY (brand_id, pass_type) REFERENCES pass_types (brand_id, pass_type)
) STRICT;

-- A version never changes: caches and image addresses name it.
CREATE TABLE template_files (
    brand_id BLOB NOT NULL,
    template_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (brand_id, template_id, version, name),
    FOREIGN KEY (brand_id, template_id) REFERENCES templates (brand_id, template_id)
) STRICT;

-- change_no grows with every change of what the pass shows; published_no is the change that its published content
-- includes. change_no > published_no means: to be published.
CREATE TABLE passes (
    brand_id BLOB NOT NULL,
    pass_id BLOB NOT NULL,
    pass_type TEXT NOT NULL,
    serial TEXT NOT NULL,
    link TEXT NOT NULL,
    code_id BLOB NOT NULL,
    token_key_version INTEGER NOT NULL,
    program_id BLOB NOT NULL,
    customer_id BLOB NOT NULL,
    member_id BLOB NOT NULL,
    template_id BLOB NOT NULL,
    external_id TEXT,
    order_hash BLOB NOT NULL,
    data TEXT NOT NULL,                        -- personal
    status TEXT NOT NULL,
    reissued_as BLOB,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    change_no INTEGER NOT NULL,
    published_no INTEGER NOT NULL,
    publish_after TEXT NOT NULL,
    lease_until TEXT NOT NULL,
    lease_no INTEGER NOT NULL,
    refused TEXT,
    render_at TEXT,
    first_tag_n INTEGER NOT NULL,
    tag_n INTEGER NOT NULL,
    last_modified INTEGER NOT NULL,
    template_version INTEGER NOT NULL,
    apple_hash BLOB NOT NULL,
    google_hash BLOB NOT NULL,
    PRIMARY KEY (brand_id, pass_id),
    UNIQUE (brand_id, pass_type, serial),
    UNIQUE (brand_id, link),
    UNIQUE (brand_id, external_id),
    UNIQUE (brand_id, code_id),
    FOREIGN KEY (brand_id, member_id) REFERENCES members (brand_id, member_id),
    FOREIGN KEY (brand_id, template_id) REFERENCES templates (brand_id, template_id),
    FOREIGN KEY (brand_id, pass_type) REFERENCES pass_types (brand_id, pass_type)
) STRICT;
CREATE INDEX passes_to_publish ON passes (brand_id, publish_after) WHERE change_no > published_no;
CREATE INDEX passes_to_render ON passes (brand_id, render_at) WHERE render_at IS NOT NULL;
CREATE INDEX passes_by_customer ON passes (brand_id, customer_id);
CREATE INDEX passes_by_template ON passes (brand_id, template_id, pass_id);
CREATE INDEX passes_by_tag ON passes (brand_id, pass_id, tag_n);

-- What the phones are served: apple is pass.json without its authenticationToken, google is the object.
CREATE TABLE pass_contents (
    brand_id BLOB NOT NULL,
    pass_id BLOB NOT NULL,
    apple BLOB NOT NULL,                       -- personal
    google BLOB NOT NULL,                      -- personal
    PRIMARY KEY (brand_id, pass_id),
    FOREIGN KEY (brand_id, pass_id) REFERENCES passes (brand_id, pass_id)
) STRICT;

CREATE TABLE devices (
    brand_id BLOB NOT NULL,
    device_id BLOB NOT NULL,
    pass_type TEXT NOT NULL,
    library_id TEXT NOT NULL,                   -- personal
    push_token TEXT NOT NULL,                   -- personal
    scheme TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, device_id),
    UNIQUE (brand_id, pass_type, library_id),
    FOREIGN KEY (brand_id, pass_type) REFERENCES pass_types (brand_id, pass_type)
) STRICT;

-- listed_tag_n: a tag of the registration's own, for a pass that was published again before the device registered; the
-- device may have asked with a newer tag already, and would otherwise never hear of it.
CREATE TABLE registrations (
    brand_id BLOB NOT NULL,
    pass_id BLOB NOT NULL,
    device_id BLOB NOT NULL,
    listed_tag_n INTEGER NOT NULL,
    told_tag_n INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, pass_id, device_id),
    FOREIGN KEY (brand_id, pass_id) REFERENCES passes (brand_id, pass_id),
    FOREIGN KEY (brand_id, device_id) REFERENCES devices (brand_id, device_id)
) STRICT;
CREATE INDEX registrations_by_device ON registrations (brand_id, device_id, pass_id);
CREATE INDEX registrations_by_told ON registrations (brand_id, pass_id, told_tag_n, device_id);

-- One row per destination that has something to be told. A destination has at most one pending row: a phone that is
-- told comes and asks for everything.
CREATE TABLE deliveries (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    delivery_id BLOB NOT NULL,
    channel TEXT NOT NULL,
    lane TEXT NOT NULL,
    device_id BLOB NOT NULL,
    state TEXT NOT NULL,
    not_before TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, delivery_id)
) STRICT;
CREATE UNIQUE INDEX deliveries_pending ON deliveries (brand_id, channel, device_id) WHERE state = 'pending';
CREATE INDEX deliveries_due ON deliveries (brand_id, lane, not_before) WHERE state = 'pending';

CREATE TABLE device_logs (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    log_id BLOB NOT NULL,
    pass_id BLOB,
    message TEXT NOT NULL,                      -- personal
    received_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, log_id)
) STRICT;
CREATE INDEX device_logs_by_pass ON device_logs (brand_id, pass_id, log_id);

-- The timeline. seq is given after the commit, densely and in one order per brand; readers follow seq, never ids.
CREATE TABLE events (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    event_id BLOB NOT NULL,
    seq INTEGER,
    kind TEXT NOT NULL,
    customer_id BLOB,
    pass_id BLOB,
    subject_id BLOB NOT NULL,
    data TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, event_id)
) STRICT;
CREATE UNIQUE INDEX events_by_seq ON events (brand_id, seq);
CREATE INDEX events_unsequenced ON events (brand_id, event_id) WHERE seq IS NULL;
CREATE INDEX events_by_subject ON events (brand_id, subject_id, seq);
