-- Beside the tables of Passarela: whom the replayed redemptions are about, and the six tables of a bare one.
CREATE TABLE bench_members AS
    SELECT row_number() OVER () AS n, w.brand_id, w.member_id, w.wallet_id, m.customer_id
    FROM wallets w JOIN members m ON m.brand_id = w.brand_id AND m.member_id = w.member_id;
CREATE UNIQUE INDEX bench_members_by_n ON bench_members (n);
CREATE TABLE bench_keys (k TEXT PRIMARY KEY, answer TEXT);
CREATE TABLE bench_coupons (n BIGINT PRIMARY KEY, used BIGINT NOT NULL);
CREATE TABLE bench_entries (id BIGSERIAL PRIMARY KEY, wallet BIGINT NOT NULL, units BIGINT NOT NULL);
CREATE TABLE bench_balances (n BIGINT PRIMARY KEY, points BIGINT NOT NULL);
CREATE TABLE bench_outbox (id BIGSERIAL PRIMARY KEY, wallet BIGINT NOT NULL);
INSERT INTO bench_coupons SELECT n, 0 FROM bench_members;
INSERT INTO bench_balances SELECT n, 1000000000 FROM bench_members;
ANALYZE;
