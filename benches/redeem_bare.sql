-- A bare redemption: six statements.
\set n random(1, :members)
BEGIN;
INSERT INTO bench_keys VALUES (gen_random_uuid()::text, '{}');
UPDATE bench_coupons SET used = used + 1 WHERE n = :n;
INSERT INTO bench_entries (wallet, units) VALUES (:n, -1);
UPDATE bench_balances SET points = points - 1 WHERE n = :n AND points >= 1;
INSERT INTO bench_outbox (wallet) VALUES (:n);
COMMIT;
