-- Every list and every batch finds its rows by seeking: what it costs does not grow with the brand.

DROP INDEX passes_by_customer;
CREATE INDEX passes_by_customer ON passes (brand_id, customer_id, pass_id);
CREATE INDEX passes_by_program ON passes (brand_id, program_id, pass_id);
CREATE INDEX passes_by_status ON passes (brand_id, status, pass_id);

DROP INDEX customer_identifiers_by_customer;
CREATE INDEX customer_identifiers_by_customer ON customer_identifiers (brand_id, customer_id, kind);

-- A program that changed has its passes marked some at a time: the last one marked; the lowest id before the first; null
-- when all are.
ALTER TABLE programs ADD COLUMN touched_to BLOB;
CREATE INDEX programs_to_touch ON programs (brand_id, program_id) WHERE touched_to IS NOT NULL;

-- A message of a device is shown with the device too, where it names it.
ALTER TABLE device_logs ADD COLUMN device_id BLOB;
CREATE INDEX device_logs_by_device ON device_logs (brand_id, device_id, log_id) WHERE device_id IS NOT NULL;

-- Passes that their template could not show: tried again when it has a new version.
CREATE INDEX passes_refused ON passes (brand_id, template_id, pass_id) WHERE refused IS NOT NULL;
