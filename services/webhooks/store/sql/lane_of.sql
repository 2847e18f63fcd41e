CREATE OR REPLACE FUNCTION public.lane_of(target_id text, account_id text, target_url text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
RETURN CASE WHEN (target_id <> 'callback'::text) THEN target_id ELSE ((account_id || ' '::text) || "left"(lower(COALESCE("substring"(target_url, '^[^/]*//[^/?#]*'::text), ''::text)), 255)) END;
