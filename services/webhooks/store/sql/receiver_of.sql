CREATE OR REPLACE FUNCTION public.receiver_of(account_id text, target_url text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
RETURN ((account_id || ' '::text) || "left"(regexp_replace(regexp_replace(lower(COALESCE("substring"(target_url, '^[^/]*//[^/?#]*'::text), ''::text)), '^(http://.*)[:]0*80$|^(https://.*)[:]0*443$'::text, '\1\2'::text), '\.(?=([:][0-9]*)?$)'::text, ''::text), 255));
