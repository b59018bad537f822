-- Coupons that customers buy with units, and since when what tills take alone is over.

-- The redemption that paid for it.
ALTER TABLE coupons ADD COLUMN bought_by BLOB;

-- When it was used or taken back; of what an older program did, nobody knows.
ALTER TABLE coupons ADD COLUMN ended_at TEXT;
CREATE INDEX coupons_denied_since ON coupons (brand_id, (COALESCE(ended_at, created_at)))
    WHERE is_offline AND state <> 'issued';
DROP INDEX coupons_denied;

-- When an offer was ended: what tills did before is good.
ALTER TABLE offers ADD COLUMN ended_at TEXT;
