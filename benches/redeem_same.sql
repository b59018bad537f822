-- The statements of a redemption of units, one after the other, as the service sends them.
\set n random(1, :members)
SELECT brand_id, member_id, wallet_id, customer_id FROM bench_members WHERE n = :n \gset
BEGIN;
SELECT m.member_id, m.program_id, m.created_at, m.tier, p.rules_version, p.time_zone, c.attributes FROM members m
    JOIN programs p ON p.brand_id = m.brand_id AND p.program_id = m.program_id
    JOIN customers c ON c.brand_id = m.brand_id AND c.customer_id = m.customer_id
    WHERE m.brand_id = :brand_id AND m.customer_id = :customer_id ORDER BY m.member_id FOR NO KEY UPDATE OF m;
SELECT w.*, l.lot_no, l.pending, l.active, l.held, l.spent, l.expired, l.cancelled, l.starts_at, l.activation, l.expires_at
    FROM wallets w LEFT JOIN lots l ON l.brand_id = w.brand_id AND l.wallet_id = w.wallet_id
        AND (l.pending > 0 OR l.active > 0 OR l.held > 0)
    WHERE w.brand_id = :brand_id AND w.member_id IN (:member_id);
INSERT INTO redemptions (brand_id, redemption_id, place, transaction_id, body_hash, customer_id, state, discount_minor, items, created_at)
    VALUES (:brand_id, gen_random_uuid(), 'pgbench', gen_random_uuid()::text, '\x00', :customer_id, 'committed', 0,
            '{"items":[{"kind":"units","wallet":"points","units":"1","discount_minor":0,"by_line":[]}],"wallets":[]}', now())
    ON CONFLICT DO NOTHING;
WITH saved AS (
    UPDATE wallets SET active = active - 1, spent = spent + 1, head_no = head_no + 1, head_link = head_link, due_at = due_at
    WHERE brand_id = :brand_id AND wallet_id = :wallet_id RETURNING brand_id
), moved AS (
    INSERT INTO lots SELECT * FROM lots WHERE brand_id = :brand_id AND wallet_id = :wallet_id AND lot_no = 1
    ON CONFLICT (brand_id, wallet_id, lot_no) DO UPDATE SET active = lots.active - 1, spent = lots.spent + 1 RETURNING brand_id
), told AS (
    INSERT INTO events (brand_id, event_id, kind, customer_id, subject_id, data, occurred_at)
    VALUES (:brand_id, gen_random_uuid(), 'redemption.committed', :customer_id, gen_random_uuid(), '{"redemption_id":"rdm","discount_minor":0}', now())
    RETURNING brand_id
) INSERT INTO entries (brand_id, wallet_id, entry_no, kind, units, balance, movement, occurred_at, created_at, link)
    SELECT brand_id, wallet_id, 1000001 + head_no, 'spent', -1, 0, '{"slices":[[1,"active","spent",1]]}', now(), now(), head_link
    FROM wallets WHERE brand_id = :brand_id AND wallet_id = :wallet_id;
WITH held AS MATERIALIZED (SELECT pass_id FROM passes WHERE brand_id = :brand_id AND customer_id = :customer_id ORDER BY pass_id FOR NO KEY UPDATE)
    UPDATE passes SET change_no = change_no + 1, updated_at = now() FROM held WHERE passes.brand_id = :brand_id AND passes.pass_id = held.pass_id;
COMMIT;
