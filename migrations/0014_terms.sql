-- Terms of a request that an endpoint's prices are for (Anthropic's speed, inference_geo): it serves
-- requests that ask for just these; '' = as they are where nothing is said.
ALTER TABLE endpoint ADD COLUMN speed TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoint ADD COLUMN inference_geo TEXT NOT NULL DEFAULT '';
