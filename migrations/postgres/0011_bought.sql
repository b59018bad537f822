-- Coupons that customers buy with units, and since when what tills take alone is over.

-- The redemption that paid for it.
ALTER TABLE coupons ADD COLUMN bought_by UUID;

-- When it was used or taken back; of what an older program did, nobody knows. coupons_denied is an older program's.
ALTER TABLE coupons ADD COLUMN ended_at TIMESTAMPTZ;
CREATE INDEX coupons_denied_since ON coupons (brand_id, (COALESCE(ended_at, created_at)))
    WHERE is_offline AND state <> 'issued';

-- Since when it waits for the pass that is to show it.
ALTER TABLE coupons ADD COLUMN unshown_since TIMESTAMPTZ;
CREATE INDEX coupons_unshown ON coupons (brand_id, unshown_since) WHERE unshown_since IS NOT NULL;

-- When an offer stopped running: what tills did before is good.
ALTER TABLE offers ADD COLUMN stopped_at TIMESTAMPTZ;
