-- The brand's own app: where it is installed, and what each installation was told of its customer's passes.

-- An installation, under what Firebase or Apple reaches it by; address_hash is that of the fid, or of the token where there
-- is none. told_at: when a message to it was last taken; refused_since: since when its address is refused.
CREATE TABLE app_devices (
    brand_id BLOB NOT NULL,
    device_id BLOB NOT NULL,
    customer_id BLOB NOT NULL,
    service TEXT NOT NULL,
    platform TEXT NOT NULL,
    address_hash BLOB NOT NULL,
    fid TEXT,                                  -- personal
    token TEXT,                                -- personal
    locale TEXT,
    told_at TEXT,
    refused_since TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, device_id),
    UNIQUE (brand_id, service, address_hash),
    FOREIGN KEY (brand_id, customer_id) REFERENCES customers (brand_id, customer_id)
) STRICT;
CREATE INDEX app_devices_customer ON app_devices (brand_id, customer_id, device_id);
CREATE INDEX app_devices_told ON app_devices (brand_id, service, told_at) WHERE told_at IS NOT NULL;

-- What apps show of a pass, as it was last published; written before the pass itself is.
CREATE TABLE pass_notices (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    pass_id BLOB NOT NULL,
    notice TEXT NOT NULL,                      -- personal
    PRIMARY KEY (brand_id, pass_id)
) STRICT;

-- The change that an installation is to know of, the one it was told of, and what it was told then; told null: nothing, and
-- is_new tells whether it never heard of the pass, or what it knew of it was not kept.
CREATE TABLE app_passes (
    brand_id BLOB NOT NULL,
    device_id BLOB NOT NULL,
    pass_id BLOB NOT NULL,
    is_new INTEGER NOT NULL,
    told TEXT,                                 -- personal
    told_no INTEGER NOT NULL,
    wanted_no INTEGER NOT NULL,
    changed_at TEXT NOT NULL,
    told_at TEXT,
    PRIMARY KEY (brand_id, device_id, pass_id),
    FOREIGN KEY (brand_id, device_id) REFERENCES app_devices (brand_id, device_id)
) STRICT;
CREATE INDEX app_passes_untold ON app_passes (brand_id, device_id) WHERE told_no < wanted_no;
CREATE INDEX app_passes_pass ON app_passes (brand_id, pass_id);

-- How long each lane has waited.
DROP INDEX outbox_open;
CREATE INDEX outbox_open ON outbox (brand_id, channel, lane, changed_at) WHERE state IN ('pending', 'sending');

-- The time in the provider token of each of Apple's push keys: all processes make the same token of it. A key is a team's, and
-- several brands may share it. It takes the place of provider_tokens.
CREATE TABLE push_keys (
    key_id TEXT NOT NULL,
    issued_at TEXT NOT NULL,
    PRIMARY KEY (key_id)
) STRICT;
