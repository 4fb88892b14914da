-- What a model refuses although its protocol allows it (schema/vocab.h: VOCAB_RULES): words,
-- separated by spaces.
ALTER TABLE endpoint ADD COLUMN rules TEXT NOT NULL DEFAULT '';
