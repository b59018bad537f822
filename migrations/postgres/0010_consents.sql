-- What people agreed to, by purpose and channel: the newest decision. The timeline has
-- each that changed what holds.

CREATE TABLE consents (
    brand_id UUID NOT NULL,
    customer_id UUID NOT NULL,
    purpose TEXT NOT NULL,
    channel TEXT NOT NULL,
    state TEXT NOT NULL,
    notice_version TEXT NOT NULL,
    source TEXT NOT NULL,
    decided_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, customer_id, purpose, channel),
    FOREIGN KEY (brand_id, customer_id) REFERENCES customers (brand_id, customer_id)
);
