-- What a key was corrected by in a window is asked for every key of a list.
CREATE INDEX correction_key ON correction(key_id, admitted_ms);
PRAGMA user_version = 15;
