"""How long tests wait for what must happen: so long that even a busy machine is in time, and only what never happens fails.

What must not happen before its time is tried with a clock of the test's own. What is promised within seconds is shown
there too: on a busy machine nothing keeps to seconds.
"""

PATIENCE_SECONDS = 300.0
