CREATE OR REPLACE FUNCTION public.change_holds(hold_ids text[], states text[], captures bigint[], lasts_seconds integer[])
 RETURNS SETOF hold_answer
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
DECLARE
    wish record;
    hold holds;
    changed holds[] := '{}';
    changes integer := 0;
    outcome text;
BEGIN
    PERFORM lock_balances(array_agg(account_id), array_agg(environment))
    FROM unnest(hold_ids, states) AS item (hold_id, state) JOIN holds USING (hold_id)
    WHERE item.state <> 'confirmed';
    FOR wish IN
        SELECT item.*, found.hold
        FROM (
            SELECT * FROM unnest(hold_ids, states, captures, lasts_seconds)
                WITH ORDINALITY AS item (hold_id, state, captured, lasts, position)
            ORDER BY hold_id, position
        ) AS item
        LEFT JOIN LATERAL (
            SELECT holds AS hold FROM holds WHERE holds.hold_id = item.hold_id FOR NO KEY UPDATE
        ) AS found ON true
    LOOP
        IF hold.hold_id IS DISTINCT FROM wish.hold_id THEN
            hold := wish.hold;
        END IF;
        outcome := CASE
            WHEN hold.hold_id IS NULL THEN 'HOLD_NOT_FOUND'
            WHEN hold.resolved_at IS NOT NULL AND hold.state <> wish.state THEN 'HOLD_' || upper(hold.state)
            WHEN hold.resolved_at IS NOT NULL AND hold.captured_micros = wish.captured THEN 'OK'
            WHEN hold.resolved_at IS NOT NULL THEN 'HOLD_MISMATCH'
            WHEN (hold.expires_at <= clock_timestamp()) <> (wish.state = 'expired') THEN 'HOLD_EXPIRED'
            WHEN hold.amount_micros < wish.captured THEN 'AMOUNT_ABOVE_HOLD'
            ELSE 'OK'
        END;
        IF outcome = 'OK' AND hold.resolved_at IS NULL THEN
            hold.state := wish.state;
            hold.captured_micros := wish.captured;
            IF wish.state = 'confirmed' THEN
                hold.expires_at := greatest(hold.expires_at, clock_timestamp() + make_interval(secs => wish.lasts));
            ELSE
                hold.resolved_at := clock_timestamp();
            END IF;
            IF changes = 0 OR changed[changes].hold_id <> hold.hold_id THEN
                changes := changes + 1;
            END IF;
            changed[changes] := hold;
        END IF;
        RETURN NEXT hold_answer(wish.position, outcome, hold);
    END LOOP;
    UPDATE holds
    SET state = new.state, captured_micros = new.captured_micros,
        expires_at = new.expires_at, resolved_at = new.resolved_at
    FROM unnest(changed) AS new WHERE holds.hold_id = new.hold_id;
    PERFORM unspend(array_agg(new)), move_credits(array_agg(ROW(
        account_id, environment,
        CASE state WHEN 'captured' THEN 'capture' WHEN 'released' THEN 'release' ELSE 'expire' END,
        hold_id, amount_micros - captured_micros, -amount_micros, '', NULL)::movement), 'revenue')
    FROM unnest(changed) AS new WHERE resolved_at IS NOT NULL HAVING count(*) > 0;
END $function$;
