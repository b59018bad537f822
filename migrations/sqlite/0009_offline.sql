-- Tills that were offline, and what came from elsewhere: codes in batches, balances that wallets begin with.

-- When a till did it that was offline; else it was done when it was created.
ALTER TABLE redemptions ADD COLUMN done_at TEXT;

-- What tills did offline that was not theirs to do: goods are given, and somebody must look. code says why,
-- first_redemption_id who was first.
CREATE TABLE redemption_conflicts (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    conflict_id BLOB NOT NULL,
    place TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    customer_id BLOB,
    store_id BLOB,
    terminal TEXT,
    employee TEXT,                              -- personal
    coupon_id BLOB,
    code TEXT NOT NULL,
    first_redemption_id BLOB,
    done_at TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, conflict_id),
    UNIQUE (brand_id, place, transaction_id, body_hash)
) STRICT;

-- What a wallet began with, by the id that whoever handed it over has for it.
CREATE TABLE opening_balances (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    external_id TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    opening_id BLOB NOT NULL,
    wallet_id BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, external_id)
) STRICT;

-- The job that made it, of codes that were made many at once.
ALTER TABLE coupons ADD COLUMN batch_id BLOB;
CREATE INDEX coupons_by_batch ON coupons (brand_id, batch_id, coupon_id) WHERE batch_id IS NOT NULL;

-- A till may take it without asking: its code is signed with a key that tills know the public half of.
ALTER TABLE coupons ADD COLUMN is_offline INTEGER NOT NULL DEFAULT FALSE;
CREATE INDEX coupons_denied ON coupons (brand_id, coupon_id) WHERE is_offline AND state <> 'issued';

-- The key that new codes are made with, and the oldest whose codes are still taken.
ALTER TABLE brands ADD COLUMN newest_code_key INTEGER NOT NULL DEFAULT 1;
ALTER TABLE brands ADD COLUMN oldest_code_key INTEGER NOT NULL DEFAULT 1;

-- Whether an order counted for tiers, and so counts when it comes back.
ALTER TABLE orders ADD COLUMN has_effects INTEGER NOT NULL DEFAULT TRUE;

-- A kind of wallet that closes otherwise than before: its wallets after this one are still to be told.
ALTER TABLE wallet_types ADD COLUMN told_up_to BLOB;
CREATE INDEX wallet_types_untold ON wallet_types (brand_id, wallet_type_id) WHERE told_up_to IS NOT NULL;
