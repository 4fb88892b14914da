-- Tokens of audio and their prices (schema/usage.h, router/price.h): how many of the input, of the
-- output and of what was read from a cache were sound.
ALTER TABLE price ADD COLUMN audio_cache_read INTEGER CHECK(audio_cache_read >= 0);
ALTER TABLE price ADD COLUMN audio_completion INTEGER CHECK(audio_completion >= 0);
ALTER TABLE price_tier ADD COLUMN audio_cache_read INTEGER CHECK(audio_cache_read >= 0);
ALTER TABLE price_tier ADD COLUMN audio_completion INTEGER CHECK(audio_completion >= 0);
ALTER TABLE attempt ADD COLUMN audio_input_tok INTEGER CHECK(audio_input_tok >= 0);
ALTER TABLE attempt ADD COLUMN audio_output_tok INTEGER CHECK(audio_output_tok >= 0);
ALTER TABLE attempt ADD COLUMN audio_cache_read_tok INTEGER CHECK(audio_cache_read_tok >= 0);
ALTER TABLE usage_day ADD COLUMN audio_input_tok INTEGER NOT NULL DEFAULT 0
  CHECK(audio_input_tok >= 0);
ALTER TABLE usage_day ADD COLUMN audio_output_tok INTEGER NOT NULL DEFAULT 0
  CHECK(audio_output_tok >= 0);
ALTER TABLE usage_day ADD COLUMN audio_cache_read_tok INTEGER NOT NULL DEFAULT 0
  CHECK(audio_cache_read_tok >= 0);
ALTER TABLE correction ADD COLUMN audio_input_tok INTEGER NOT NULL DEFAULT 0;
ALTER TABLE correction ADD COLUMN audio_output_tok INTEGER NOT NULL DEFAULT 0;
ALTER TABLE correction ADD COLUMN audio_cache_read_tok INTEGER NOT NULL DEFAULT 0;

-- The price an attempt was settled at, where that is not the one it was held at: the provider
-- served it on other terms than the endpoint's (usage.speed, usage.inference_geo).
ALTER TABLE attempt ADD COLUMN billed_price INTEGER;
