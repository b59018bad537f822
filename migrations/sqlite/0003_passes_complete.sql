-- Templates of every kind, rolled out by steps; passes that sign up, are imported, or came from another vendor.

-- When the holder answered the phone's sign-up form.
ALTER TABLE passes ADD COLUMN signed_up_at TEXT;
