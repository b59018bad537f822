-- What the dispatcher does to the database for 200 phones, without anybody being told: claim, and settle.
BEGIN;
WITH due AS MATERIALIZED (
    SELECT destination_id AS due_id FROM outbox
    WHERE brand_id = (SELECT brand_id FROM brands LIMIT 1) AND channel = 'apns' AND lane = 'interactive'
      AND state IN ('pending', 'sending') AND due_at <= now()
    ORDER BY due_at LIMIT 200 FOR UPDATE SKIP LOCKED)
UPDATE outbox SET state = 'sending', due_at = 'infinity', claim_no = claim_no + 1, tried_at = now()
WHERE brand_id = (SELECT brand_id FROM brands LIMIT 1) AND channel = 'apns'
  AND destination_id = ANY (ARRAY (SELECT due_id FROM due))
RETURNING destination_id, lane, wanted, claim_no, failures, changed_at;
COMMIT;
BEGIN;
UPDATE registrations SET told_tag_n = told_tag_n + 1, told_at = now()
WHERE (brand_id, pass_id, device_id) IN (
    SELECT r.brand_id, r.pass_id, r.device_id FROM outbox o
    CROSS JOIN registrations r
    WHERE o.brand_id = (SELECT brand_id FROM brands LIMIT 1) AND o.channel = 'apns' AND o.lane = 'interactive'
      AND o.state IN ('pending', 'sending') AND o.due_at = 'infinity'
      AND r.brand_id = o.brand_id AND r.device_id = o.destination_id);
UPDATE outbox SET state = 'done', due_at = now(), failures = 0, told_at = now(), answer = '200'
WHERE brand_id = (SELECT brand_id FROM brands LIMIT 1) AND channel = 'apns' AND lane = 'interactive'
  AND state IN ('pending', 'sending') AND due_at = 'infinity';
COMMIT;
