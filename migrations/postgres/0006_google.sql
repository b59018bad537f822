-- Classes and objects that Google Wallet holds.

-- A class as it should be there, under Google's id for it. sent_hash is that of what Google has; null: nothing yet.
CREATE TABLE google_classes (
    brand_id UUID NOT NULL REFERENCES brands (brand_id),
    class_id UUID NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    body BYTEA NOT NULL,
    body_hash BYTEA NOT NULL,
    sent_hash BYTEA,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, class_id),
    UNIQUE (brand_id, name)
);
CREATE INDEX google_classes_unsent ON google_classes (brand_id, class_id) WHERE sent_hash IS NULL OR sent_hash <> body_hash;

-- A pass whose holder asked for it in Google Wallet: from then on its object is kept there. notified_n: when the last
-- three alerts went out; seen_at: when Google last listed it.
CREATE TABLE google_objects (
    brand_id UUID NOT NULL,
    pass_id UUID NOT NULL,
    name TEXT NOT NULL,
    sent_hash BYTEA,
    sent_at TIMESTAMPTZ,
    has_users BOOLEAN NOT NULL,
    notified_1 TIMESTAMPTZ,
    notified_2 TIMESTAMPTZ,
    notified_3 TIMESTAMPTZ,
    seen_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (brand_id, pass_id),
    UNIQUE (brand_id, name),
    FOREIGN KEY (brand_id, pass_id) REFERENCES passes (brand_id, pass_id)
);
