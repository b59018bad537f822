-- Classes and objects that Google Wallet holds.

-- A class as it should be there, under Google's id for it. sent_hash is that of what Google has; null: nothing yet.
CREATE TABLE google_classes (
    brand_id BLOB NOT NULL REFERENCES brands (brand_id),
    class_id BLOB NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    body_hash BLOB NOT NULL,
    sent_hash BLOB,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, class_id),
    UNIQUE (brand_id, name)
) STRICT;
CREATE INDEX google_classes_unsent ON google_classes (brand_id, class_id) WHERE sent_hash IS NULL OR sent_hash <> body_hash;

-- A pass whose holder asked for it in Google Wallet: from then on its object is kept there. notified_n: when the last
-- three alerts went out; seen_at: when Google last listed it.
CREATE TABLE google_objects (
    brand_id BLOB NOT NULL,
    pass_id BLOB NOT NULL,
    name TEXT NOT NULL,
    sent_hash BLOB,
    sent_at TEXT,
    has_users INTEGER NOT NULL,
    notified_1 TEXT,
    notified_2 TEXT,
    notified_3 TEXT,
    seen_at TEXT,
    created_at TEXT NOT NULL,
    PRIMARY KEY (brand_id, pass_id),
    UNIQUE (brand_id, name),
    FOREIGN KEY (brand_id, pass_id) REFERENCES passes (brand_id, pass_id)
) STRICT;
