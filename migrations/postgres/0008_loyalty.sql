-- Loyalty and the till: shops, kinds of wallets, members' wallets with their lots and entries, purchases, offers, coupons,
-- redemptions and returns.

CREATE TABLE stores (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    store_id UUID NOT NULL,
    external_id TEXT,
    name TEXT NOT NULL,
    locale TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, store_id),
    UNIQUE (brand_id, external_id)
);

-- Where in its store the till stands that has this key.
ALTER TABLE api_keys ADD COLUMN terminal TEXT;

-- spec is what the brand wrote.
CREATE TABLE wallet_types (
    brand_id UUID NOT NULL,
    wallet_type_id UUID NOT NULL,
    program_id UUID NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    spec JSONB NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, wallet_type_id),
    UNIQUE (brand_id, program_id, key),
    FOREIGN KEY (brand_id, program_id) REFERENCES programs (brand_id, program_id)
);

CREATE TABLE earning_rules (
    brand_id UUID NOT NULL,
    earning_rule_id UUID NOT NULL,
    program_id UUID NOT NULL,
    wallet_type_id UUID NOT NULL,
    name TEXT NOT NULL,
    spec JSONB NOT NULL,
    is_active BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, earning_rule_id),
    FOREIGN KEY (brand_id, wallet_type_id) REFERENCES wallet_types (brand_id, wallet_type_id)
);
CREATE INDEX earning_rules_by_program ON earning_rules (brand_id, program_id);

-- The tiers of a program, as the brand wrote them; rules_version grows with every change of its tiers, wallet types, earning
-- rules and offers.
ALTER TABLE programs ADD COLUMN tiers JSONB;
ALTER TABLE programs ADD COLUMN rules_version BIGINT NOT NULL DEFAULT 0;

-- Where a member stands; tier_due_at is when that must be looked at though nothing happened.
ALTER TABLE members ADD COLUMN tier TEXT;
ALTER TABLE members ADD COLUMN tier_since TIMESTAMPTZ;
ALTER TABLE members ADD COLUMN tier_until TIMESTAMPTZ;
ALTER TABLE members ADD COLUMN tier_lost_at TIMESTAMPTZ;
ALTER TABLE members ADD COLUMN tier_value BIGINT NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN tier_due_at TIMESTAMPTZ;
CREATE INDEX members_tier_due ON members (brand_id, tier_due_at) WHERE tier_due_at IS NOT NULL;

-- What a member did on a day of the program's calendar (days since 1970): earned into a kind of wallet (its id), spent
-- (minor units) and bought (both under the nil id).
CREATE TABLE member_days (
    brand_id UUID NOT NULL,
    member_id UUID NOT NULL,
    wallet_type_id UUID NOT NULL,
    day BIGINT NOT NULL,
    earned BIGINT NOT NULL,
    spent_minor BIGINT NOT NULL,
    visits BIGINT NOT NULL,
    PRIMARY KEY (brand_id, member_id, wallet_type_id, day),
    FOREIGN KEY (brand_id, member_id) REFERENCES members (brand_id, member_id)
);

-- Sums over the lots; head_no and head_link are of the newest entry, anchored_no the one that the brand's chain knows.
-- The counters count what was earned and spent since the beginning of a calendar period. due_at is when the clock has
-- something to do.
CREATE TABLE wallets (
    brand_id UUID NOT NULL,
    wallet_id UUID NOT NULL,
    member_id UUID NOT NULL,
    wallet_type_id UUID NOT NULL,
    active BIGINT NOT NULL CHECK (active >= 0),
    pending BIGINT NOT NULL CHECK (pending >= 0),
    held BIGINT NOT NULL CHECK (held >= 0),
    spent BIGINT NOT NULL CHECK (spent >= 0),
    expired BIGINT NOT NULL CHECK (expired >= 0),
    cancelled BIGINT NOT NULL CHECK (cancelled >= 0),
    debt BIGINT NOT NULL CHECK (debt >= 0),
    head_no BIGINT NOT NULL,
    head_link BYTEA NOT NULL,
    last_lot BIGINT NOT NULL,
    earn_since TIMESTAMPTZ NOT NULL,
    earn_count BIGINT NOT NULL,
    spend_since TIMESTAMPTZ NOT NULL,
    spend_count BIGINT NOT NULL,
    due_at TIMESTAMPTZ,
    anchored_no BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, wallet_id),
    UNIQUE (brand_id, member_id, wallet_type_id),
    FOREIGN KEY (brand_id, member_id) REFERENCES members (brand_id, member_id),
    FOREIGN KEY (brand_id, wallet_type_id) REFERENCES wallet_types (brand_id, wallet_type_id)
);
CREATE INDEX wallets_due ON wallets (brand_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX wallets_by_type ON wallets (brand_id, wallet_type_id, wallet_id);
CREATE INDEX wallets_unanchored ON wallets (brand_id, wallet_id) WHERE head_no > anchored_no;

CREATE TABLE lots (
    brand_id UUID NOT NULL,
    wallet_id UUID NOT NULL,
    lot_no BIGINT NOT NULL,
    pending BIGINT NOT NULL CHECK (pending >= 0),
    active BIGINT NOT NULL CHECK (active >= 0),
    held BIGINT NOT NULL CHECK (held >= 0),
    spent BIGINT NOT NULL CHECK (spent >= 0),
    expired BIGINT NOT NULL CHECK (expired >= 0),
    cancelled BIGINT NOT NULL CHECK (cancelled >= 0),
    starts_at TIMESTAMPTZ NOT NULL,
    activation JSONB NOT NULL,
    expires_at TIMESTAMPTZ,
    PRIMARY KEY (brand_id, wallet_id, lot_no),
    FOREIGN KEY (brand_id, wallet_id) REFERENCES wallets (brand_id, wallet_id)
);
CREATE INDEX lots_open ON lots (brand_id, wallet_id, lot_no) WHERE pending > 0 OR active > 0 OR held > 0;

-- Units that are held for a basket; slices are lots and units.
CREATE TABLE holds (
    brand_id UUID NOT NULL,
    wallet_id UUID NOT NULL,
    hold_no BIGINT NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    slices JSONB NOT NULL,
    PRIMARY KEY (brand_id, wallet_id, hold_no),
    FOREIGN KEY (brand_id, wallet_id) REFERENCES wallets (brand_id, wallet_id)
);

-- Never changed. units and balance are what the movement came to; link is the digest over it and the entry before.
CREATE TABLE entries (
    brand_id UUID NOT NULL,
    wallet_id UUID NOT NULL,
    entry_no BIGINT NOT NULL,
    kind TEXT NOT NULL,
    units BIGINT NOT NULL,
    balance BIGINT NOT NULL,
    movement JSONB NOT NULL,
    reverses_no BIGINT,
    source_id UUID,
    rule_id UUID,
    reason TEXT,                                -- personal
    store_id UUID,
    terminal TEXT,
    employee TEXT,                              -- personal
    occurred_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    link BYTEA NOT NULL,
    PRIMARY KEY (brand_id, wallet_id, entry_no),
    FOREIGN KEY (brand_id, wallet_id) REFERENCES wallets (brand_id, wallet_id)
);
CREATE INDEX entries_by_source ON entries (brand_id, source_id) WHERE source_id IS NOT NULL;
CREATE INDEX entries_reversing ON entries (brand_id, wallet_id, reverses_no) WHERE reverses_no IS NOT NULL;

-- The chain over all wallets' chains: each anchor holds a digest of the heads that moved since the one before.
CREATE TABLE ledger_anchors (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    anchor_no BIGINT NOT NULL,
    heads BIGINT NOT NULL,
    link BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, anchor_no)
);
CREATE TABLE ledger_heads (
    brand_id UUID NOT NULL,
    anchor_no BIGINT NOT NULL,
    wallet_id UUID NOT NULL,
    entry_no BIGINT NOT NULL,
    link BYTEA NOT NULL,
    PRIMARY KEY (brand_id, anchor_no, wallet_id),
    FOREIGN KEY (brand_id, anchor_no) REFERENCES ledger_anchors (brand_id, anchor_no)
);

-- place is a store's id, or "online": a caller's own id is unique there for ever. lines and earnings hold what was paid,
-- earned and returned so far.
CREATE TABLE orders (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    order_id UUID NOT NULL,
    place TEXT NOT NULL,
    external_id TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    customer_id UUID,
    channel TEXT,
    store_id UUID,
    terminal TEXT,
    employee TEXT,                              -- personal
    business_date TEXT,
    placed_at TIMESTAMPTZ NOT NULL,
    currency TEXT NOT NULL,
    total_minor BIGINT NOT NULL,
    paid_minor BIGINT NOT NULL,
    returned_minor BIGINT NOT NULL,
    redemption_id UUID,
    lines JSONB NOT NULL,
    earnings JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, order_id),
    UNIQUE (brand_id, place, external_id)
);
CREATE UNIQUE INDEX orders_by_redemption ON orders (brand_id, redemption_id) WHERE redemption_id IS NOT NULL;
CREATE INDEX orders_by_customer ON orders (brand_id, customer_id, order_id);

CREATE TABLE returns (
    brand_id UUID NOT NULL,
    return_id UUID NOT NULL,
    place TEXT NOT NULL,
    external_id TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    order_id UUID NOT NULL,
    minor BIGINT NOT NULL,
    answer JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, return_id),
    UNIQUE (brand_id, place, external_id),
    FOREIGN KEY (brand_id, order_id) REFERENCES orders (brand_id, order_id)
);
CREATE INDEX returns_by_order ON returns (brand_id, order_id);

-- uses_left, stock_left and budget_left_minor are counted down or up by conditional updates, in the transaction that uses them;
-- null where there is no limit.
CREATE TABLE offers (
    brand_id UUID NOT NULL,
    offer_id UUID NOT NULL,
    program_id UUID NOT NULL,
    external_id TEXT,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    spec JSONB NOT NULL,
    uses_left BIGINT CHECK (uses_left >= 0),
    stock_left BIGINT CHECK (stock_left >= 0),
    budget_left_minor BIGINT CHECK (budget_left_minor >= 0),
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, offer_id),
    UNIQUE (brand_id, external_id),
    FOREIGN KEY (brand_id, program_id) REFERENCES programs (brand_id, program_id)
);
CREATE INDEX offers_by_program ON offers (brand_id, program_id, offer_id);

-- How often a customer used an offer: ever, and since the beginning of a calendar period.
CREATE TABLE offer_uses (
    brand_id UUID NOT NULL,
    offer_id UUID NOT NULL,
    customer_id UUID NOT NULL,
    used BIGINT NOT NULL,
    period_since TIMESTAMPTZ NOT NULL,
    period_used BIGINT NOT NULL,
    PRIMARY KEY (brand_id, offer_id, customer_id),
    FOREIGN KEY (brand_id, offer_id) REFERENCES offers (brand_id, offer_id)
);

-- A customer's right to an offer. code_id is in its signed barcode, typed is what people type.
CREATE TABLE coupons (
    brand_id UUID NOT NULL,
    coupon_id UUID NOT NULL,
    offer_id UUID NOT NULL,
    customer_id UUID,
    external_id TEXT,
    code_id BYTEA NOT NULL,
    typed TEXT NOT NULL,
    state TEXT NOT NULL,
    starts_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    held_until TIMESTAMPTZ,
    held_by UUID,
    redemption_id UUID,
    redeemed_at TIMESTAMPTZ,
    redeemed_in TEXT,
    pass_id UUID,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, coupon_id),
    UNIQUE (brand_id, code_id),
    UNIQUE (brand_id, typed),
    UNIQUE (brand_id, external_id),
    FOREIGN KEY (brand_id, offer_id) REFERENCES offers (brand_id, offer_id)
);
CREATE INDEX coupons_by_customer ON coupons (brand_id, customer_id, coupon_id) WHERE customer_id IS NOT NULL;
CREATE UNIQUE INDEX coupons_by_pass ON coupons (brand_id, pass_id) WHERE pass_id IS NOT NULL;
CREATE INDEX coupons_by_offer ON coupons (brand_id, offer_id, coupon_id);

-- What a till was told; with lock_until it holds units and coupons until then. content is what was quoted.
CREATE TABLE quotes (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    quote_id UUID NOT NULL,
    place TEXT NOT NULL,
    customer_id UUID,
    basket_hash BYTEA NOT NULL,
    content JSONB NOT NULL,
    lock_until TIMESTAMPTZ,
    redemption_id UUID,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, quote_id)
);
CREATE INDEX quotes_by_age ON quotes (brand_id, created_at);

-- An id takes effect once. What was refused under it stays refused; the till may ask for something else under the same id.
CREATE TABLE redemptions (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    redemption_id UUID NOT NULL,
    place TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    customer_id UUID,
    store_id UUID,
    terminal TEXT,
    employee TEXT,                              -- personal
    state TEXT NOT NULL,
    currency TEXT,
    discount_minor BIGINT NOT NULL,
    items JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    voided_at TIMESTAMPTZ,
    PRIMARY KEY (brand_id, redemption_id),
    UNIQUE (brand_id, place, transaction_id, body_hash)
);
CREATE UNIQUE INDEX redemptions_once ON redemptions (brand_id, place, transaction_id) WHERE state <> 'refused';
CREATE INDEX redemptions_refused ON redemptions (brand_id, created_at) WHERE state = 'refused';
CREATE INDEX redemptions_by_customer ON redemptions (brand_id, customer_id, redemption_id);

-- What people with a key did by hand.
CREATE TABLE audit (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    audit_id UUID NOT NULL,
    key_id UUID NOT NULL,
    action TEXT NOT NULL,
    subject_id UUID NOT NULL,
    reason TEXT,                                -- personal
    data JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, audit_id)
);
