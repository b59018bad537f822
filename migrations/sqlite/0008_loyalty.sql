-- Loyalty and the till: shops, kinds of wallets, members' wallets with their lots and entries, purchases, offers, coupons,
-- redemptions and returns.

CREATE TABLE stores (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    store_id BLOB NOT NULL,
    external_id TEXT,
    name TEXT NOT NULL,
    locale TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, store_id),
    UNIQUE (brand_id, external_id)
) STRICT;

-- Where in its store the till stands that has this key.
ALTER TABLE api_keys ADD COLUMN terminal TEXT;

-- spec is what the brand wrote.
CREATE TABLE wallet_types (
    brand_id BLOB NOT NULL,
    wallet_type_id BLOB NOT NULL,
    program_id BLOB NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, wallet_type_id),
    UNIQUE (brand_id, program_id, key),
    FOREIGN KEY (brand_id, program_id) REFERENCES programs (brand_id, program_id)
) STRICT;

CREATE TABLE earning_rules (
    brand_id BLOB NOT NULL,
    earning_rule_id BLOB NOT NULL,
    program_id BLOB NOT NULL,
    wallet_type_id BLOB NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, earning_rule_id),
    FOREIGN KEY (brand_id, wallet_type_id) REFERENCES wallet_types (brand_id, wallet_type_id)
) STRICT;
CREATE INDEX earning_rules_by_program ON earning_rules (brand_id, program_id);

-- The tiers of a program, as the brand wrote them; rules_version grows with every change of its tiers, wallet types, earning
-- rules and offers.
ALTER TABLE programs ADD COLUMN tiers TEXT;
ALTER TABLE programs ADD COLUMN rules_version INTEGER NOT NULL DEFAULT 0;

-- Where a member stands; tier_due_at is when that must be looked at though nothing happened.
ALTER TABLE members ADD COLUMN tier TEXT;
ALTER TABLE members ADD COLUMN tier_since TEXT;
ALTER TABLE members ADD COLUMN tier_until TEXT;
ALTER TABLE members ADD COLUMN tier_lost_at TEXT;
ALTER TABLE members ADD COLUMN tier_value INTEGER NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN tier_due_at TEXT;
CREATE INDEX members_tier_due ON members (brand_id, tier_due_at) WHERE tier_due_at IS NOT NULL;

-- What a member did on a day of the program's calendar (days since 1970): earned into a kind of wallet (its id), spent
-- (minor units) and bought (both under the nil id).
CREATE TABLE member_days (
    brand_id BLOB NOT NULL,
    member_id BLOB NOT NULL,
    wallet_type_id BLOB NOT NULL,
    day INTEGER NOT NULL,
    earned INTEGER NOT NULL,
    spent_minor INTEGER NOT NULL,
    visits INTEGER NOT NULL,
    PRIMARY KEY (brand_id, member_id, wallet_type_id, day),
    FOREIGN KEY (brand_id, member_id) REFERENCES members (brand_id, member_id)
) STRICT;

-- Sums over the lots; head_no and head_link are of the newest entry, anchored_no the one that the brand's chain knows.
-- The counters count what was earned and spent since the beginning of a calendar period. due_at is when the clock has
-- something to do.
CREATE TABLE wallets (
    brand_id BLOB NOT NULL,
    wallet_id BLOB NOT NULL,
    member_id BLOB NOT NULL,
    wallet_type_id BLOB NOT NULL,
    active INTEGER NOT NULL CHECK (active >= 0),
    pending INTEGER NOT NULL CHECK (pending >= 0),
    held INTEGER NOT NULL CHECK (held >= 0),
    spent INTEGER NOT NULL CHECK (spent >= 0),
    expired INTEGER NOT NULL CHECK (expired >= 0),
    cancelled INTEGER NOT NULL CHECK (cancelled >= 0),
    debt INTEGER NOT NULL CHECK (debt >= 0),
    head_no INTEGER NOT NULL,
    head_link BLOB NOT NULL,
    last_lot INTEGER NOT NULL,
    earn_since TEXT NOT NULL,
    earn_count INTEGER NOT NULL,
    spend_since TEXT NOT NULL,
    spend_count INTEGER NOT NULL,
    due_at TEXT,
    anchored_no INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, wallet_id),
    UNIQUE (brand_id, member_id, wallet_type_id),
    FOREIGN KEY (brand_id, member_id) REFERENCES members (brand_id, member_id),
    FOREIGN KEY (brand_id, wallet_type_id) REFERENCES wallet_types (brand_id, wallet_type_id)
) STRICT;
CREATE INDEX wallets_due ON wallets (brand_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX wallets_by_type ON wallets (brand_id, wallet_type_id, wallet_id);
CREATE INDEX wallets_unanchored ON wallets (brand_id, wallet_id) WHERE head_no > anchored_no;

CREATE TABLE lots (
    brand_id BLOB NOT NULL,
    wallet_id BLOB NOT NULL,
    lot_no INTEGER NOT NULL,
    pending INTEGER NOT NULL CHECK (pending >= 0),
    active INTEGER NOT NULL CHECK (active >= 0),
    held INTEGER NOT NULL CHECK (held >= 0),
    spent INTEGER NOT NULL CHECK (spent >= 0),
    expired INTEGER NOT NULL CHECK (expired >= 0),
    cancelled INTEGER NOT NULL CHECK (cancelled >= 0),
    starts_at TEXT NOT NULL,
    activation TEXT NOT NULL,
    expires_at TEXT,
    PRIMARY KEY (brand_id, wallet_id, lot_no),
    FOREIGN KEY (brand_id, wallet_id) REFERENCES wallets (brand_id, wallet_id)
) STRICT;
CREATE INDEX lots_open ON lots (brand_id, wallet_id, lot_no) WHERE pending > 0 OR active > 0 OR held > 0;

-- Units that are held for a basket; slices are lots and units.
CREATE TABLE holds (
    brand_id BLOB NOT NULL,
    wallet_id BLOB NOT NULL,
    hold_no INTEGER NOT NULL,
    until TEXT NOT NULL,
    slices TEXT NOT NULL,
    PRIMARY KEY (brand_id, wallet_id, hold_no),
    FOREIGN KEY (brand_id, wallet_id) REFERENCES wallets (brand_id, wallet_id)
) STRICT;

-- Never changed. units and balance are what the movement came to; link is the digest over it and the entry before.
CREATE TABLE entries (
    brand_id BLOB NOT NULL,
    wallet_id BLOB NOT NULL,
    entry_no INTEGER NOT NULL,
    kind TEXT NOT NULL,
    units INTEGER NOT NULL,
    balance INTEGER NOT NULL,
    movement TEXT NOT NULL,
    reverses_no INTEGER,
    source_id BLOB,
    rule_id BLOB,
    reason TEXT,                                -- personal
    store_id BLOB,
    terminal TEXT,
    employee TEXT,                              -- personal
    occurred_at TEXT NOT NULL,
    created_at TEXT NOT NULL,
    link BLOB NOT NULL,
    PRIMARY KEY (brand_id, wallet_id, entry_no),
    FOREIGN KEY (brand_id, wallet_id) REFERENCES wallets (brand_id, wallet_id)
) STRICT;
CREATE INDEX entries_by_source ON entries (brand_id, source_id) WHERE source_id IS NOT NULL;
CREATE INDEX entries_reversing ON entries (brand_id, wallet_id, reverses_no) WHERE reverses_no IS NOT NULL;

-- The chain over all wallets' chains: each anchor holds a digest of the heads that moved since the one before.
CREATE TABLE ledger_anchors (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    anchor_no INTEGER NOT NULL,
    heads INTEGER NOT NULL,
    link BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, anchor_no)
) STRICT;
CREATE TABLE ledger_heads (
    brand_id BLOB NOT NULL,
    anchor_no INTEGER NOT NULL,
    wallet_id BLOB NOT NULL,
    entry_no INTEGER NOT NULL,
    link BLOB NOT NULL,
    PRIMARY KEY (brand_id, anchor_no, wallet_id),
    FOREIGN KEY (brand_id, anchor_no) REFERENCES ledger_anchors (brand_id, anchor_no)
) STRICT;

-- place is a store's id, or "online": a caller's own id is unique there for ever. lines and earnings hold what was paid,
-- earned and returned so far.
CREATE TABLE orders (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    order_id BLOB NOT NULL,
    place TEXT NOT NULL,
    external_id TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    customer_id BLOB,
    channel TEXT,
    store_id BLOB,
    terminal TEXT,
    employee TEXT,                              -- personal
    business_date TEXT,
    placed_at TEXT NOT NULL,
    currency TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    paid_minor INTEGER NOT NULL,
    returned_minor INTEGER NOT NULL,
    redemption_id BLOB,
    lines TEXT NOT NULL,
    earnings TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, order_id),
    UNIQUE (brand_id, place, external_id)
) STRICT;
CREATE UNIQUE INDEX orders_by_redemption ON orders (brand_id, redemption_id) WHERE redemption_id IS NOT NULL;
CREATE INDEX orders_by_customer ON orders (brand_id, customer_id, order_id);

CREATE TABLE returns (
    brand_id BLOB NOT NULL,
    return_id BLOB NOT NULL,
    place TEXT NOT NULL,
    external_id TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    order_id BLOB NOT NULL,
    minor INTEGER NOT NULL,
    answer TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, return_id),
    UNIQUE (brand_id, place, external_id),
    FOREIGN KEY (brand_id, order_id) REFERENCES orders (brand_id, order_id)
) STRICT;
CREATE INDEX returns_by_order ON returns (brand_id, order_id);

-- uses_left, stock_left and budget_left_minor are counted down or up by conditional updates, in the transaction that uses them;
-- null where there is no limit.
CREATE TABLE offers (
    brand_id BLOB NOT NULL,
    offer_id BLOB NOT NULL,
    program_id BLOB NOT NULL,
    external_id TEXT,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    spec TEXT NOT NULL,
    uses_left INTEGER CHECK (uses_left >= 0),
    stock_left INTEGER CHECK (stock_left >= 0),
    budget_left_minor INTEGER CHECK (budget_left_minor >= 0),
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, offer_id),
    UNIQUE (brand_id, external_id),
    FOREIGN KEY (brand_id, program_id) REFERENCES programs (brand_id, program_id)
) STRICT;
CREATE INDEX offers_by_program ON offers (brand_id, program_id, offer_id);

-- How often a customer used an offer: ever, and since the beginning of a calendar period.
CREATE TABLE offer_uses (
    brand_id BLOB NOT NULL,
    offer_id BLOB NOT NULL,
    customer_id BLOB NOT NULL,
    used INTEGER NOT NULL,
    period_since TEXT NOT NULL,
    period_used INTEGER NOT NULL,
    PRIMARY KEY (brand_id, offer_id, customer_id),
    FOREIGN KEY (brand_id, offer_id) REFERENCES offers (brand_id, offer_id)
) STRICT;

-- A customer's right to an offer. code_id is in its signed barcode, typed is what people type.
CREATE TABLE coupons (
    brand_id BLOB NOT NULL,
    coupon_id BLOB NOT NULL,
    offer_id BLOB NOT NULL,
    customer_id BLOB,
    external_id TEXT,
    code_id BLOB NOT NULL,
    typed TEXT NOT NULL,
    state TEXT NOT NULL,
    starts_at TEXT NOT NULL,
    expires_at TEXT,
    held_until TEXT,
    held_by BLOB,
    redemption_id BLOB,
    redeemed_at TEXT,
    redeemed_in TEXT,
    pass_id BLOB,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, coupon_id),
    UNIQUE (brand_id, code_id),
    UNIQUE (brand_id, typed),
    UNIQUE (brand_id, external_id),
    FOREIGN KEY (brand_id, offer_id) REFERENCES offers (brand_id, offer_id)
) STRICT;
CREATE INDEX coupons_by_customer ON coupons (brand_id, customer_id, coupon_id) WHERE customer_id IS NOT NULL;
CREATE UNIQUE INDEX coupons_by_pass ON coupons (brand_id, pass_id) WHERE pass_id IS NOT NULL;
CREATE INDEX coupons_by_offer ON coupons (brand_id, offer_id, coupon_id);

-- What a till was told; with lock_until it holds units and coupons until then. content is what was quoted.
CREATE TABLE quotes (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    quote_id BLOB NOT NULL,
    place TEXT NOT NULL,
    customer_id BLOB,
    basket_hash BLOB NOT NULL,
    content TEXT NOT NULL,
    lock_until TEXT,
    redemption_id BLOB,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, quote_id)
) STRICT;
CREATE INDEX quotes_by_age ON quotes (brand_id, created_at);

-- An id takes effect once. What was refused under it stays refused; the till may ask for something else under the same id.
CREATE TABLE redemptions (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    redemption_id BLOB NOT NULL,
    place TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    customer_id BLOB,
    store_id BLOB,
    terminal TEXT,
    employee TEXT,                              -- personal
    state TEXT NOT NULL,
    currency TEXT,
    discount_minor INTEGER NOT NULL,
    items TEXT NOT NULL,
    created_at TEXT NOT NULL,
    voided_at TEXT,
    PRIMARY KEY (brand_id, redemption_id),
    UNIQUE (brand_id, place, transaction_id, body_hash)
) STRICT;
CREATE UNIQUE INDEX redemptions_once ON redemptions (brand_id, place, transaction_id) WHERE state <> 'refused';
CREATE INDEX redemptions_refused ON redemptions (brand_id, created_at) WHERE state = 'refused';
CREATE INDEX redemptions_by_customer ON redemptions (brand_id, customer_id, redemption_id);

-- What people with a key did by hand.
CREATE TABLE audit (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    audit_id BLOB NOT NULL,
    key_id BLOB NOT NULL,
    action TEXT NOT NULL,
    subject_id BLOB NOT NULL,
    reason TEXT,                                -- personal
    data TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, audit_id)
) STRICT;
